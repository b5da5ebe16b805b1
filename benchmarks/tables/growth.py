"""How costs grow with the length of a history, of a line, and of the index of histories."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks.measuring import Measured, Subject, measure_in_turn
from benchmarks.report import Lines, Table
from benchmarks.servers import local_server
from benchmarks.settings import Settings
from hfchat_base._flows.index import ConversationIndex
from hfchat_base._flows.stream_reader import LineReader
from hfchat_base.local.wire import wire_line
from hfchat_base.types import Answer, ChatMessage, Role
from langchain_huggingchat import ChatHuggingChat

_MODEL = "echo/base"
_TEXT = "And what comes after that?"
_QUESTION = ChatMessage("user", _TEXT)
_CHUNK_BYTES = 16 * 1024
"""What curl hands over at once."""

_LINEAR: Final = 1.15
"""The exponent up to which growth counts as linear: the rest is what caches and noise cost."""

_MESSAGES = "messages in the history"
_BYTES = "bytes in a line"
_CONVERSATIONS = "conversations in the index"
_PLANNING = "planning a call"
_READING = "reading a line"
_PLANNING_AMONG = "planning a call among them"


@dataclass(frozen=True)
class _Series:
    """Something whose cost depends on a size.

    Attributes:
        of: What the size is of.
        what: What is done.
        sizes: The sizes.
        prepare: Makes what is measured for a size.
    """

    of: str
    what: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Subject]


def measure(settings: Settings) -> Table:
    """Measure each cost at several sizes, and how it grows from one to the next."""
    with ExitStack() as stack:
        measured = [
            (series, _measure(series, settings))
            for series in _all_series(stack.enter_context(local_server()), settings)
        ]
    growths = {series.what: _growth(series, costs) for series, costs in measured}
    rows = tuple(
        (series.of, series.what, size, costs.cost(str(size)), exponent)
        for series, costs in measured
        for size, exponent in zip(series.sizes, (None, *growths[series.what]), strict=True)
    )
    return Table(
        name="growth",
        title="How costs grow",
        compares="CPU time of the client for the same work at growing sizes.",
        aim="Linear or better everywhere: no exponent above one, except for noise.",
        columns=("Size of", "What", "Size", "µs of CPU", "exponent"),
        rows=rows,
        notes=(
            *(
                f"{what}: {max(exponents):.2f} at most,"
                f" {'reached' if max(exponents) <= _LINEAR else 'not reached'}."
                for what, exponents in growths.items()
            ),
            (
                "The exponent says how the cost has grown since the size before: 0 is not at all, 1"
                f" as the size, 2 as its square. Up to {_LINEAR} counts as linear."
            ),
        ),
        chart=Lines(
            "Size",
            "µs of CPU",
            "What",
            "size",
            "µs of CPU",
            panel="Size of",
            ours=(_PLANNING, _READING, _PLANNING_AMONG),
        ),
        packages=("curl_cffi", "langchain-core"),
    )


def _all_series(base_url: str, settings: Settings) -> list[_Series]:
    histories = (10, 100, 1_000)
    indexes = (10, 100, 1_000, 10_000)
    lines = (2**10, 2**14, 2**20, 2**24)[: settings.pick(4, 3)]

    def call(messages: int) -> Subject:
        return _call(base_url, messages)

    return [
        _Series(_MESSAGES, _PLANNING, histories, _plan),
        _Series(_MESSAGES, "ChatHuggingChat.invoke", histories, call),
        _Series(_BYTES, _READING, lines, _read_lines),
        _Series(_CONVERSATIONS, _PLANNING_AMONG, indexes, _plan_among),
        _Series(_CONVERSATIONS, "forgetting a conversation", indexes, _forget),
    ]


def _measure(series: _Series, settings: Settings) -> Measured:
    subjects = {str(size): series.prepare(size) for size in series.sizes}
    return measure_in_turn(subjects, settings.rounds, name=f"{series.of}, {series.what}")


def _growth(series: _Series, costs: Measured) -> list[float]:
    """The exponents from each size to the next."""
    points = [(size, costs.cost(str(size)).median) for size in series.sizes]
    return [
        math.log(cost / cost_before) / math.log(size / size_before)
        for (size_before, cost_before), (size, cost) in pairwise(points)
    ]


def _plan(messages: int) -> Subject:
    """Plan a call whose history is known but for its last message."""
    talk = [ChatMessage(role, text) for role, text in _talk(messages)]
    history = ConversationIndex()
    _remember(history, talk[:-1])
    return _planning(history, talk, times=max(20_000 // messages, 1))


def _call(base_url: str, messages: int) -> Subject:
    """Call the chat model with a history that is known but for its last message."""
    model = ChatHuggingChat(base_url=base_url, model=_MODEL)
    kinds: dict[Role, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
    talk = [kinds[role](text) for role, text in _talk(messages - 2)]
    talk += [AIMessage(model.invoke(talk).text), HumanMessage(_TEXT)]
    times = 5

    def run() -> int:
        for _ in range(times):
            model.invoke(talk)
        return times

    return run


def _read_lines(line_bytes: int) -> Subject:
    """Read lines of a length, cut into chunks as they come from curl."""
    frame = len(wire_line({"type": "stream", "token": " " * 16})) - 16
    line = wire_line({"type": "stream", "token": "x" * (line_bytes - frame)})
    lines = max(2**24 // line_bytes, 1)
    data = line * lines
    chunks = [data[at : at + _CHUNK_BYTES] for at in range(0, len(data), _CHUNK_BYTES)]

    def run() -> int:
        reader = LineReader()
        return sum(1 for chunk in chunks for _ in reader.feed(chunk))

    return run


def _plan_among(conversations: int) -> Subject:
    """Plan a call whose history is one of many in the index."""
    history = _full(conversations)
    return _planning(history, [*_one_of_many(conversations // 2), _QUESTION], times=2_000)


def _forget(conversations: int) -> Subject:
    """Forget a conversation, and remember it again."""
    history = _full(conversations)
    talk = _one_of_many(conversations // 2)
    times = max(20_000 // conversations, 20)

    def run() -> int:
        for _ in range(times):
            history.forget(talk[0].content)
            _remember(history, talk)
        return times

    return run


def _talk(messages: int) -> list[tuple[Role, str]]:
    """So many messages, the last one the user's."""
    return [
        ("assistant" if (messages - number) % 2 else "user", f"{_TEXT} {number}")
        for number in range(1, messages + 1)
    ]


def _full(conversations: int) -> ConversationIndex:
    """An index with so many conversations."""
    history = ConversationIndex(max_entries=conversations)
    for number in range(conversations):
        _remember(history, _one_of_many(number))
    return history


def _one_of_many(number: int) -> list[ChatMessage]:
    return [ChatMessage("user", f"{_TEXT} {number}"), ChatMessage("assistant", _TEXT)]


def _remember(history: ConversationIndex, talk: list[ChatMessage]) -> None:
    """Let an index know a history, whose last message is the answer, by its first message."""
    answer = Answer(text=talk[-1].content, message_id="answer")
    history.done(history.plan(_MODEL, talk[:-1], fresh=True), talk[0].content, answer)


def _planning(history: ConversationIndex, talk: list[ChatMessage], *, times: int) -> Subject:
    """Plan a call, again and again.

    Raises:
        ValueError: Its beginning is not known, so that something else would be measured.
    """
    plan = history.plan(_MODEL, talk)
    history.release(plan)
    if plan.conversation_id != talk[0].content:
        raise ValueError("the beginning of the history is not known")

    def run() -> int:
        for _ in range(times):
            history.release(history.plan(_MODEL, talk))
        return times

    return run
