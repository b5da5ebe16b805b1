"""Ready-made tool servers: those of the recordings, and a web search with canned results."""

from __future__ import annotations

import asyncio
from typing import Final

from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base.local.tools.elicitation import ElicitationField
from hfchat_base.local.tools.server import LocalTool, ToolContext, ToolServer

__all__ = ["SEARCH_RESULTS", "scripted_tool_servers"]

_STEPS: Final = 3
_STEP_SECONDS: Final = 0.01

SEARCH_RESULTS: Final = (
    ("https://example.com/first", "The first result", "The first result says that it is so."),
    ("https://example.org/second", "The second result", "The second result says why it is so."),
    ("https://example.net/third", "The third result", "The third result has its doubts."),
)
"""What every web search finds: link, title and text."""


def scripted_tool_servers() -> list[ToolServer]:
    """List the tool servers that the recordings talk to, and the web search.

    * ``http://127.0.0.1:9200/mcp``: ``magic_number`` tells of its progress and answers 42.
    * ``http://127.0.0.1:9201/mcp``: ``book_table`` asks the user for a day.
    * ``http://127.0.0.1:9202/mcp``: ``always_fails`` does.
    * the web search, one of the server's own, finds `SEARCH_RESULTS`.
    """
    return [
        ToolServer("local", "http://127.0.0.1:9200/mcp", [LocalTool("magic_number", _magic)]),
        ToolServer("asking", "http://127.0.0.1:9201/mcp", [LocalTool("book_table", _book)]),
        ToolServer("failing", "http://127.0.0.1:9202/mcp", [LocalTool("always_fails", _fail)]),
        ToolServer(
            WEB_SEARCH_SERVER,
            "https://mcp.exa.ai/mcp",
            [LocalTool("web_search_exa", _search, "Searches the web.")],
            base=True,
        ),
    ]


async def _magic(query: str, ctx: ToolContext) -> str:
    for step in range(1, _STEPS + 1):
        await ctx.progress(step, _STEPS, f"step {step}")
        await asyncio.sleep(_STEP_SECONDS)
    return f"42 for {query}"


async def _book(query: str, ctx: ToolContext) -> str:  # noqa: ARG001 - the model passes it
    answer = await ctx.elicit(
        "Which day?",
        [
            ElicitationField(
                "string", "date", "Date", description="The day, YYYY-MM-DD", required=True
            ),
            ElicitationField(
                "number", "people", "People", integer=True, minimum=1, maximum=20, default=2
            ),
        ],
    )
    if answer.action != "accept":
        return f"not booked ({answer.action})"
    return f"booked for {answer.content.get('people', 2)} on {answer.content['date']}"


def _fail(query: str) -> str:  # noqa: ARG001 - the model passes it
    raise RuntimeError("tool exploded")


def _search(query: str) -> str:
    return "\n\n".join(
        f"Title: {title}\nURL: {link}\nText: {text} You searched for {query}."
        for link, title, text in SEARCH_RESULTS
    )
