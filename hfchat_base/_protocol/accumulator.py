"""Collects the events of one run into an answer.

What lives here: which events a caller gets for a decoded one (thinking is split off, sources are
found in tool results, the end of a text that was not streamed is added), and what the answer is at
any moment, so that an error can carry what arrived. Not here: reading bytes, and deciding whether a
run ended well (`_flows/run.py`).

The rules for the final text (R: ``tool_call``, ``stop_generating``, ``upstream_cut_midstream``):

* Without tools the server's final text is the answer. If it continues where the stream ended, the
  rest is first handed out as a delta. If it differs in another way, it replaces the streamed text.
* With tools the final text omits what came before the last call; that is put in front again.
* If this client stopped the run, the final text may be a prefix of the streamed one, which is kept.

They apply to the text as the server has it. Artifacts are extracted afterwards, unless the caller
wants them left in the text (`_protocol/artifacts.py`).

Sources: current servers have no event for them. A search is an MCP tool whose result is text, or
data in a form of the tool's own. Search tools commonly send objects with a `url` or `link`, and
lines such as ``Title: …`` and ``URL: …``; these are recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from hfchat_base._protocol.artifacts import (
    NOTHING,
    RECENT_CHARACTERS,
    ArtifactHistory,
    ArtifactSplitter,
    render,
)
from hfchat_base._protocol.thinking import Delta, ThinkSplitter, split
from hfchat_base.events import (
    Artifact,
    ArtifactStarted,
    Event,
    File,
    FinalAnswer,
    ReasoningDelta,
    RouterMetadata,
    Source,
    Sources,
    Status,
    TextDelta,
    Title,
    ToolCall,
    ToolError,
    ToolResult,
)
from hfchat_base.types import Answer, AnswerFile, FinishReason, ToolRun

_MANY_PIECES: Final = 1024


def utf16_units(text: str) -> int:
    """The length of a text as JavaScript counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class _Pieces(list[str]):
    """A text that grows in pieces. Kept one by one, they would take many times its memory."""

    _settled = 0
    _measured = 0
    _characters = 0

    def whole(self) -> str:
        """The text so far. Reading it changes nothing, so another thread may do so."""
        return "".join(self)

    def characters(self) -> int:
        """The length of the text so far; each piece is measured once."""
        self._characters += sum(map(len, self[self._measured :]))
        self._measured = len(self)
        return self._characters

    def before(self, count: int) -> str:
        """The end of the text without its last characters."""
        pieces: list[str] = []
        size = 0
        for piece in reversed(self):
            pieces.append(piece)
            size += len(piece)
            if size >= count + RECENT_CHARACTERS:
                break
        return "".join(reversed(pieces))[: size - count]

    def settle(self) -> None:
        """Join the newest pieces, if there are many."""
        if len(self) - self._settled >= _MANY_PIECES:
            self.characters()
            self[self._settled :] = ["".join(self[self._settled :])]
            self._settled += 1
            self._measured = self._settled


class Accumulator:
    """Collects the events of one run.

    Args:
        model: The model that was asked.
        conversation_id: Where the run is stored.
        generation_id: The run's own id, or None (legacy).
        raw_artifacts: Whether artifacts stay in the text, as tags.
        history: The artifacts of earlier messages; None if they have to be requested.
    """

    def __init__(
        self,
        *,
        model: str = "",
        conversation_id: str = "",
        generation_id: str | None = None,
        raw_artifacts: bool = False,
        history: ArtifactHistory | None = None,
    ) -> None:
        self.message_id: str | None = None
        self.final: FinalAnswer | None = None
        self.streamed_characters = 0  # of all stream tokens, tags included
        self._model = model
        self._conversation_id = conversation_id
        self._generation_id = generation_id
        self._surrogate_pairs = 0
        self._splitter = ThinkSplitter()
        self._is_plain = False  # whether neither splitter is in the middle of something
        self._earlier = history or NOTHING
        self._text = _Pieces()  # as the server has it
        self._artifacts = None if raw_artifacts else ArtifactSplitter(self._text.before, history)
        self._shown: _Pieces | None = None  # as the caller has it; None while that is the same
        self._reasoning = _Pieces()
        self._said_before_tool = 0  # how many characters of text came before the last tool call
        self._overriding_text: str | None = None  # as the caller has it, with these artifacts:
        self._overriding_artifacts: tuple[Artifact, ...] = ()
        self._files: list[AnswerFile] = []
        self._sources: dict[str, Source] = {}
        self._tools: dict[str, ToolRun] = {}
        self._title: str | None = None
        self._router: dict[str, str] = {}

    @property
    def streamed_text(self) -> str:
        """The text that was streamed so far as the server has it, without the thinking."""
        return self._text.whole()

    @property
    def wants_history(self) -> bool:
        """Whether an artifact has started, so that `take_history` must supply the earlier ones."""
        return self._artifacts is not None and self._artifacts.wants_history

    @property
    def streamed_units(self) -> int:
        """The length of all stream tokens, tags included, as JavaScript counts it."""
        return self.streamed_characters + self._surrogate_pairs

    def take_text(self, event: TextDelta) -> list[Event]:
        """Add a stream token; see `take`."""
        text = event.text
        self.streamed_characters += len(text)
        if not text.isascii():
            self._surrogate_pairs += utf16_units(text) - len(text)
        # What the two splitters' `passes` say, without a call for each token.
        if self._is_plain and "<" not in text and "\n" not in text and text:
            self._text.append(text)
            return [event]
        events = self._keep(self._splitter.feed(text))
        self._is_plain = self._splitter.is_plain and (
            self._artifacts is None or self._artifacts.is_plain
        )
        return events

    def take(self, event: Event) -> list[Event]:
        """Add an event and return what a caller should see of it."""
        if isinstance(event, TextDelta):
            return self.take_text(event)
        if isinstance(event, ReasoningDelta):
            self._reasoning.append(event.text)
            return [event]
        if isinstance(event, FinalAnswer):
            return self._finish(event)
        if isinstance(event, ToolCall):
            return self._begin_tool(event)
        if isinstance(event, ToolResult):
            return self._end_tool(event)
        self._note(event)
        return [event]

    def take_history(self, history: ArtifactHistory) -> list[Event]:
        """Take the earlier artifacts, and return the events that were held back."""
        if self._artifacts is None:
            return []
        self._earlier = history
        return self._show(list(self._artifacts.take_history(history)))

    def end(self) -> list[Event]:
        """End the run, and return the events that were held back."""
        return self._end_segment() + self._end_artifacts()

    def answer(self, finish_reason: FinishReason | None = None) -> Answer:
        """The answer as far as it has arrived."""
        text, artifacts = self._overriding_text, self._overriding_artifacts
        if text is None:
            text, artifacts = self._shown_so_far()
        return Answer(
            text=text,
            artifacts=artifacts,
            reasoning=self._reasoning.whole(),
            files=tuple(self._files),
            sources=tuple(self._sources.values()),
            tool_runs=tuple(self._tools.values()),
            title=self._title,
            finish_reason=finish_reason,
            model=self._model,
            conversation_id=self._conversation_id,
            message_id=self.message_id,
            generation_id=self._generation_id,
            router=dict(self._router),
        )

    def _end_segment(self) -> list[Event]:
        self._is_plain = False
        return self._keep(self._splitter.end_of_segment())

    def _keep(self, deltas: list[Delta]) -> list[Event]:
        events: list[Event] = []
        for delta in deltas:
            if delta.__class__ is TextDelta:
                events += self._keep_text(delta)
            else:
                self._reasoning.append(delta.text)
                events.append(delta)
        return events

    def _keep_text(self, delta: TextDelta) -> list[Event]:
        self._text.append(delta.text)
        splitter = self._artifacts
        if splitter is None or splitter.passes(delta.text):
            return [delta]
        events: list[Event] = list(splitter.feed(delta.text))
        if self._shown is not None or not splitter.first_characters:
            return self._show(events)
        self._show_apart(splitter.first_characters)
        begin = next((i for i, e in enumerate(events) if isinstance(e, ArtifactStarted)), None)
        if begin is not None:
            self._show(events[begin:])
        return events

    def _show_apart(self, artifact_characters: int) -> None:
        """Keep two texts from the first artifact's tag on: the server's and the caller's."""
        whole = self._text.whole()
        self._shown = _Pieces([whole[: len(whole) - artifact_characters]])

    def _show(self, events: list[Event]) -> list[Event]:
        """Keep the text of events as the caller gets it."""
        if self._shown is not None:
            self._shown += [event.text for event in events if isinstance(event, TextDelta)]
        return events

    def _end_artifacts(self) -> list[Event]:
        if self._artifacts is None:
            return []
        events = self._show(list(self._artifacts.end()))
        if self._shown is None and self._artifacts.first_characters:
            self._show_apart(self._artifacts.first_characters)
        return events

    def _shown_so_far(self) -> tuple[str, tuple[Artifact, ...]]:
        if self._artifacts is None or self._shown is None:
            return self.streamed_text, ()
        if self._artifacts.wants_history:
            return self._rendered(self.streamed_text)
        return self._shown.whole(), self._artifacts.all_artifacts()

    def _rendered(self, text: str) -> tuple[str, tuple[Artifact, ...]]:
        """A whole text as the caller gets it, and its artifacts."""
        return (text, ()) if self._artifacts is None else render(text, self._earlier)[:2]

    def _finish(self, event: FinalAnswer) -> list[Event]:
        # An artifact may continue in what was not streamed, so it does not end here.
        events = self._end_segment()
        text, reasoning = split(event.text)
        if not self._reasoning and reasoning:
            self._reasoning.append(reasoning)
            events.append(ReasoningDelta(reasoning))
        streamed = self.streamed_text
        overriding: str | None = None
        if self._tools and not text.startswith(streamed):
            before = streamed[: self._said_before_tool]
            if not streamed.rstrip().endswith(text.strip()):
                rest = self._go_on(streamed, before + text, events)
                overriding = None if rest else before + text
        elif text != streamed and not self._go_on(streamed, text, events):
            stopped_short = event.interrupted and streamed.startswith(text)
            overriding = None if stopped_short else text
        events += self._end_artifacts()
        if overriding is not None:
            self._overriding_text, self._overriding_artifacts = self._rendered(overriding)
        self.final = FinalAnswer(self._rendered(text)[0], event.interrupted)
        return [*events, self.final]

    def _go_on(self, streamed: str, whole: str, events: list[Event]) -> bool:
        """Hand out the rest of the whole text, if it continues what was streamed."""
        if not whole.startswith(streamed):
            return False
        if rest := whole[len(streamed) :]:
            events += self._keep_text(TextDelta(rest))
        return True

    def _begin_tool(self, event: ToolCall) -> list[Event]:
        events = self._end_segment()  # an artifact continues after it
        self._said_before_tool = self._text.characters()
        self._tools[event.uuid] = ToolRun(
            uuid=event.uuid, name=event.name, arguments=event.arguments
        )
        return [*events, event]

    def _end_tool(self, event: ToolResult) -> list[Event]:
        begun = self._tools.get(event.uuid)
        self._tools[event.uuid] = ToolRun(
            uuid=event.uuid,
            name=event.name or (begun.name if begun else ""),
            arguments=event.arguments or (begun.arguments if begun else {}),
            output=event.output,
        )
        found = tuple(s for s in sources_in(event.outputs) if s.url not in self._sources)
        if not found:
            return [event]
        self._sources.update({source.url: source for source in found})
        return [event, Sources(found)]

    def _note(self, event: Event) -> None:
        if isinstance(event, Status):
            # A `keepAlive` comes ten times a second, so tokens do not have to do this.
            self._text.settle()
            self._reasoning.settle()
        elif isinstance(event, Title):
            self._title = event.title
        elif isinstance(event, File):
            self._files.append(
                AnswerFile(
                    name=event.name,
                    sha=event.sha,
                    mime=event.mime,
                    conversation_id=self._conversation_id,
                )
            )
        elif isinstance(event, Sources):
            self._sources.update({source.url: source for source in event.sources})
        elif isinstance(event, RouterMetadata):
            parts = {"route": event.route, "model": event.model, "provider": event.provider}
            self._router.update({name: part for name, part in parts.items() if part})
        elif isinstance(event, ToolError):
            begun = self._tools.get(event.uuid)
            self._tools[event.uuid] = ToolRun(
                uuid=event.uuid,
                name=begun.name if begun else "",
                arguments=begun.arguments if begun else {},
                error=event.message,
            )


_LABELLED: Final = re.compile(
    r"^[ \t*-]*(?P<label>title|url|link|source)\**[ \t]*:\**[ \t]*(?P<value>\S.*?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_WEB: Final = ("http://", "https://")


def sources_in(outputs: Iterable[dict[str, Any]]) -> tuple[Source, ...]:
    """Find the pages that a tool's result names, in order, each address once."""
    found: dict[str, Source] = {}
    for output in outputs:
        for source in _in_output(output):
            known = found.get(source.url)
            if known is None or (source.title and not known.title):
                found[source.url] = source
    return tuple(found.values())


def _in_output(output: dict[str, Any]) -> Iterator[Source]:
    yield from _in_data(output.get("structured"))
    yield from _in_data(output.get("content"))
    text = output.get("text")
    if isinstance(text, str):
        yield from _in_text(text)


def _in_data(data: Any) -> Iterator[Source]:
    # Not recursive: a tool may nest its data deeper than Python's stack allows.
    left = [data]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += reversed(item)
        elif isinstance(item, dict):
            url = next(
                (
                    value
                    for key in ("url", "link", "uri")
                    if isinstance(value := item.get(key), str) and value.startswith(_WEB)
                ),
                None,
            )
            if url:
                title = item.get("title", item.get("name"))
                yield Source(url, title if isinstance(title, str) else "")
            else:
                left += reversed(item.values())


def _in_text(text: str) -> Iterator[Source]:
    if text.lstrip().startswith(("{", "[")):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            yield from _in_data(data)
            return
    title = ""
    for match in _LABELLED.finditer(text):
        value = match["value"]
        if match["label"].lower() == "title":
            title = value
        elif value.startswith(_WEB):
            yield Source(value.split()[0], title)
            title = ""
