"""Reading an answer with curl_cffi and nothing else: the floors under hfchat's transport.

Each way reads a response to its end, chunk by chunk, and returns how many newlines there were. They
are the ways that curl_cffi documents, and beneath them its handles alone, which is all that any
client over curl has to pay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from curl_cffi import AsyncCurl, AsyncSession, Curl, CurlOpt, Response, Session, ffi, lib

_NEWLINE = b"\n"


def read_with_session(session: Session[Response], url: str) -> int:
    """Read with `Session` and `iter_content`: a thread of curl_cffi's own, and a queue."""
    lines = 0
    with session.stream("GET", url) as response:
        for chunk in response.iter_content():  # type: ignore[no-untyped-call]
            lines += chunk.count(_NEWLINE)
    return lines


def read_with_multi(url: str) -> int:
    """Read with a multi handle in this thread, as hfchat does."""
    lines = 0
    chunks: list[bytes] = []
    curl = _handle(url, chunks)
    multi = lib.curl_multi_init()
    running = ffi.new("int *", 1)
    lib.curl_multi_add_handle(multi, curl._curl)  # noqa: SLF001 - there is no public way
    while running[0]:
        lib.curl_multi_perform(multi, running)
        if chunks:
            lines += b"".join(chunks).count(_NEWLINE)
            chunks.clear()
        else:
            lib.curl_multi_poll(multi, ffi.NULL, 0, 100, ffi.NULL)
    lib.curl_multi_remove_handle(multi, curl._curl)  # noqa: SLF001 - there is no public way
    lib.curl_multi_cleanup(multi)
    curl.close()
    return lines


async def read_with_async_session(session: AsyncSession[Response], url: str) -> int:
    """Read with `AsyncSession` and `aiter_content`: a queue of the event loop."""
    lines = 0
    async with session.stream("GET", url) as response:
        async for chunk in response.aiter_content():  # type: ignore[no-untyped-call]
            lines += chunk.count(_NEWLINE)
    return lines


async def read_with_async_curl(curl: AsyncCurl, url: str) -> int:
    """Read with `AsyncCurl` in the event loop, as hfchat does."""
    lines = 0
    chunks: list[bytes] = []
    news = asyncio.Event()
    handle = _handle(url, chunks, news)
    ended = curl.add_handle(handle)
    ended.add_done_callback(lambda _: news.set())
    while not ended.done() or chunks:
        await news.wait()
        news.clear()
        lines += b"".join(chunks).count(_NEWLINE)
        chunks.clear()
    handle.close()
    return lines


async def tell_of_async_session(
    session: AsyncSession[Response], url: str, tell: Callable[[int], None]
) -> None:
    """Read with `AsyncSession` and cut into lines, and tell of each but the first how many came."""
    lines = _Lines()
    async with session.stream("GET", url) as response:
        async for chunk in response.aiter_content():  # type: ignore[no-untyped-call]
            for number in lines.feed(chunk):
                tell(number)


async def tell_of_async_curl(curl: AsyncCurl, url: str, tell: Callable[[int], None]) -> None:
    """Read with `AsyncCurl` and cut into lines, and tell of each but the first how many came."""
    lines = _Lines()
    chunks: list[bytes] = []
    news = asyncio.Event()
    handle = _handle(url, chunks, news)
    ended = curl.add_handle(handle)
    ended.add_done_callback(lambda _: news.set())
    while not ended.done() or chunks:
        await news.wait()
        news.clear()
        data = b"".join(chunks)
        chunks.clear()
        for number in lines.feed(data):
            tell(number)
    handle.close()


class _Lines:
    """Cuts bytes into lines."""

    def __init__(self) -> None:
        self._seen = -1
        self._rest = b""

    def feed(self, data: bytes) -> range:
        """Take the next bytes; return the numbers of the lines that they complete, from 0."""
        lines = (self._rest + data).split(_NEWLINE)
        self._rest = lines.pop()
        first = self._seen + 1
        self._seen += len(lines)
        return range(first, self._seen + 1)


def _handle(url: str, chunks: list[bytes], news: asyncio.Event | None = None) -> Curl:
    def take(data: bytes) -> int:
        chunks.append(data)
        if news is not None:
            news.set()
        return len(data)

    curl = Curl()
    curl.setopt(CurlOpt.URL, url)
    curl.setopt(CurlOpt.WRITEFUNCTION, take)
    return curl
