"""Bytes → events: the decoder alone, and the whole client, compared with curl_cffi alone.

What is compared with what has to read the same bytes off the same server, in the same chunks.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from curl_cffi import AsyncCurl, AsyncSession, Response, Session

from benchmarks import bare
from benchmarks.measuring import Measured, StandingLoop, Subject, measure_in_turn, shares
from benchmarks.report import Bars, Cell, Table
from benchmarks.servers import BARE_PATH, Writing, canned_server
from benchmarks.settings import Settings
from benchmarks.ways import verdict
from hfchat_base import AsyncHuggingChat, HuggingChat
from hfchat_base._flows.stream_reader import LineReader

_DECODER = "hfchat's decoder alone"
_SYNC = "hfchat"
_SYNC_MULTI = "curl_cffi, multi handle"
_SYNC_SESSION = "curl_cffi, Session"
_ASYNC = "hfchat, async"
_ASYNC_CURL = "curl_cffi, AsyncCurl"
_ASYNC_SESSION = "curl_cffi, AsyncSession"

_OWN_FLOOR = {_SYNC: _SYNC_MULTI, _ASYNC: _ASYNC_CURL}
_FLOOR = {_SYNC: _SYNC_SESSION, _ASYNC: _ASYNC_SESSION}
_AIMS = {_SYNC: 1.25, _ASYNC: 1.5}

_MODEL = "echo/base"
_PAUSE = 0.00005


def measure(settings: Settings) -> Table:
    """Measure reading an answer under three ways of writing it."""
    tokens = settings.pick(20_000, 2_000)
    writings = {
        "one line a chunk, as fast as it is read": Writing(tokens),
        "100 lines a chunk, as fast as they are read": Writing(tokens, lines_a_chunk=100),
        "one line a chunk, each waited for": Writing(settings.pick(2_000, 300), pause=_PAUSE),
    }
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    profiles: list[str] = []
    for title, writing in writings.items():
        measured = _measure_writing(title, writing, settings, profiles)
        rows += [_row(title, subject, measured) for subject in measured.costs]
        if writing.lines_a_chunk > 1:
            continue  # its floor has nothing to do for a line
        for subject, aim in _AIMS.items():
            times = measured.ratio(subject, _FLOOR[subject]).median
            notes.append(verdict(f"{title}: {subject} against {_FLOOR[subject]}", times, aim))
    return Table(
        name="pipeline",
        title="Reading an answer: µs of CPU a line",
        compares=(
            "From the socket to typed events, compared with curl_cffi, which reads the same"
            " bytes and does nothing with them: with its sessions, as it is normally used,"
            " and with the bare handles below them."
        ),
        aim=(
            "Async at most 1.5 times, sync at most 1.25 times the session of curl_cffi,"
            " with one line per chunk, as chat-ui sends them. (With many lines per chunk the"
            " floor does almost nothing for a line, so the table only shows the cost.)"
        ),
        columns=("Writing", "Reader", "µs a line", "of the session", "of the handle"),
        rows=tuple(rows),
        notes=(*notes, *profiles),
        chart=Bars(
            "µs a line",
            "Reader",
            "µs of CPU a line",
            panel="Writing",
            ours=(_DECODER, _SYNC, _ASYNC),
            shares_axis=False,
        ),
    )


def _row(title: str, subject: str, measured: Measured) -> tuple[Cell, ...]:
    ratios = (
        measured.ratio(subject, floors[subject]) if subject in floors else None
        for floors in (_FLOOR, _OWN_FLOOR)
    )
    return (title, subject, measured.cost(subject), *ratios)


def _measure_writing(
    title: str, writing: Writing, settings: Settings, profiles: list[str]
) -> Measured:
    with ExitStack() as stack:
        url = stack.enter_context(canned_server(writing))
        subjects = {
            _DECODER: _decoding(writing),
            **_sync_subjects(stack, url, writing),
            **_async_subjects(stack, url, writing),
        }
        measured = measure_in_turn(subjects, settings.rounds, name=title, units=writing.lines)
        if settings.profile:
            profiles += [f"{title}: {name} spends {shares(subjects[name])}." for name in _AIMS]
    return measured


def _decoding(writing: Writing) -> Subject:
    chunks = writing.chunks()

    def decode() -> int:
        reader = LineReader()
        for chunk in chunks:
            for _ in reader.feed(chunk):
                pass
        return writing.lines

    return decode


def _sync_subjects(stack: ExitStack, url: str, writing: Writing) -> dict[str, Subject]:
    client = stack.enter_context(HuggingChat(url, model=_MODEL))
    conversation = client.create_conversation()
    session = stack.enter_context(Session[Response]())

    def read() -> int:
        with conversation.stream("go") as stream:
            for _ in stream:
                pass
        return writing.lines

    return {
        _SYNC: read,
        _SYNC_SESSION: partial(bare.read_with_session, session, url + BARE_PATH),
        _SYNC_MULTI: partial(bare.read_with_multi, url + BARE_PATH),
    }


def _async_subjects(stack: ExitStack, url: str, writing: Writing) -> dict[str, Subject]:
    loop = stack.enter_context(StandingLoop())

    async def begin() -> tuple[AsyncHuggingChat, AsyncSession[Response], AsyncCurl]:
        return AsyncHuggingChat(url, model=_MODEL), AsyncSession[Response](), AsyncCurl()

    async def end() -> None:
        await client.close()
        await session.close()
        await curl.close()  # type: ignore[no-untyped-call]

    client, session, curl = loop.run(begin())
    stack.callback(lambda: loop.run(end()))
    conversation = loop.run(client.create_conversation())

    async def read() -> int:
        async with conversation.stream("go") as stream:
            async for _ in stream:
                pass
        return writing.lines

    return {
        _ASYNC: loop.subject(read),
        _ASYNC_SESSION: loop.subject(
            partial(bare.read_with_async_session, session, url + BARE_PATH)
        ),
        _ASYNC_CURL: loop.subject(partial(bare.read_with_async_curl, curl, url + BARE_PATH)),
    }
