"""From a turn to the events of its answer, tokens to final answer, in both generations.

Not here: statuses, title, storage and the wire (`run.py`), and the rounds of tool calls
(`tool_rounds.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base.local.backends import Finish, OutputFile, Reasoning, Routed, Text
from hfchat_base.local.encoding.values import UNDEFINED, JsonObject
from hfchat_base.local.generation.thinking import TagSplitter, ThinkJoiner
from hfchat_base.local.generation.tool_rounds import answer_with_tools
from hfchat_base.local.generation.web_search import search_events, with_sources

if TYPE_CHECKING:
    from hfchat_base.local.generation.turn import Emit, Turn

__all__ = ["answer_current", "answer_legacy"]


async def answer_current(turn: Turn, emit: Emit) -> None:
    """Answer as chat-ui 0.20 does: with tools if any are on, and once more after a failure.

    Args:
        turn: What to do.
        emit: Takes the events.
    """
    shown = False

    def emit_shown(event: JsonObject) -> None:
        nonlocal shown
        shown = True
        emit(event)

    try:
        if not await answer_with_tools(turn, emit_shown):
            await _generate(turn, emit)
    except Exception:
        if shown:
            raise
        # The real server falls back to a plain generation even from one: tokens then come twice
        # (R: `upstream_cut_midstream`).
        await _generate(turn, emit)


async def answer_legacy(turn: Turn, emit: Emit) -> None:
    """Answer as chat-ui 0.9 does: after a web search if it is on, with reasoning as events.

    Args:
        turn: What to do.
        emit: Takes the events.
    """
    messages = turn.messages()
    if turn.web_search:
        for event in search_events(turn.path[-1]["content"]):
            emit(event)
        messages = with_sources(messages)
    splitter = TagSplitter() if turn.model.legacy_reasoning else None
    text = ""
    filtered = False
    async with turn.ask(messages) as pieces:
        async for piece in pieces:
            if isinstance(piece, Text):
                text += piece.text
                for event in splitter.split(piece.text) if splitter else [_token(piece.text)]:
                    emit(event)
            elif isinstance(piece, OutputFile):
                emit(turn.side_event(piece))
            elif isinstance(piece, Finish):
                filtered = piece.reason == "content_filter"
            if turn.stop_requested:
                return
    if text and not filtered:
        final = text.rstrip()
        emit(
            {
                "type": "finalAnswer",
                "text": splitter.without_thinking(final) if splitter else final,
                "interrupted": False,
                "webSources": UNDEFINED,
            }
        )


async def _generate(turn: Turn, emit: Emit) -> None:
    """Stream one plain completion of the current generation."""
    joiner = ThinkJoiner()
    text = ""
    filtered = False
    async with turn.ask(turn.messages()) as pieces:
        async for piece in pieces:
            if isinstance(piece, (Text, Reasoning)):
                token = joiner.join(piece)
                text += token
                emit(_token(token))
            elif isinstance(piece, (OutputFile, Routed)):
                emit(turn.side_event(piece))
            elif isinstance(piece, Finish):
                filtered = piece.reason == "content_filter"
    if text and not filtered:
        emit({"type": "finalAnswer", "text": text.rstrip(), "interrupted": False})


def _token(text: str) -> JsonObject:
    return {"type": "stream", "token": text}
