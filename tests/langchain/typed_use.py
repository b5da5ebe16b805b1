"""What the documentation shows, for type checkers only: nobody runs this module.

mypy checks it with all other files; a call that it refused would be an error there.
"""

from __future__ import annotations

from pydantic import BaseModel

from hfchat_base import HuggingChat, Timeouts
from langchain_huggingchat import ChatHuggingChat


class Joke(BaseModel):
    """A joke."""

    setup: str


def construct() -> ChatHuggingChat:
    """All settings in the forms that the documentation shows."""
    ChatHuggingChat()
    ChatHuggingChat(client=HuggingChat(), timeout=Timeouts(progress=3))
    return ChatHuggingChat(
        model="a/model",
        base_url="https://chat.example.com",
        cookies={"name": "value"},
        ephemeral=True,
        web_search=True,
        mcp_servers=["fetch", {"name": "own", "url": "https://x/mcp", "headers": {"a": "b"}}],
        on_elicitation=lambda _question: None,
        stop=["END"],
        timeout=30,
        max_retries=2,
        proxy="http://127.0.0.1:3128",
        headers={"x-gateway": "key"},
        verify=False,
    )


def call(model: ChatHuggingChat) -> str:
    """Calls in the forms that the documentation shows."""
    model.bind(web_search=True, mcp_servers=["fetch"]).invoke("hi")
    model.bind_tools([Joke, {"type": "web_search"}], tool_choice="any").invoke("hi")
    model.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("hi")
    texts = [chunk.text for chunk in model.stream([("system", "Be good."), ("human", "hi")])]
    return model.invoke("hi", web_search=True).text + "".join(texts)
