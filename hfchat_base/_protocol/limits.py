"""How many bytes of a response are read at most, by what the response is.

Each request carries its limit (`Request.max_bytes`), and both drivers hold to it while the body
arrives, counted after decompression: a megabyte on the wire can be a gigabyte in memory, and what
is parsed takes many times its own size again. The numbers are ample for real servers and small for
the machine that reads them. The limit of one line of a stream is that of `framing.py`.
"""

from __future__ import annotations

from typing import Final

_MIB: Final = 1024 * 1024

SHORT_REPLY_BYTES: Final = 1 * _MIB
"""What confirms a change, and what tells who we are: a few hundred bytes in practice."""

MODEL_LIST_BYTES: Final = 16 * _MIB
"""The model list; 100 bytes to 4 KiB for each model in practice."""

PAGE_BYTES: Final = 16 * _MIB
"""The home page, or its data, which holds the model list and the conversation list."""

CONVERSATION_LIST_BYTES: Final = 16 * _MIB
"""A page of the conversation list; the list of legacy servers has few, long pages."""

CONVERSATION_BYTES: Final = 64 * _MIB
"""A conversation with all its branches and what its tools wrote, without its files."""

FILE_BYTES: Final = 128 * _MIB
"""A file of an answer. Attachments have 10 MiB at most, but models draw and tools write files."""

STREAM_BYTES: Final = 1024 * _MIB
"""All that one answer's stream brings, padding and signs of life included."""

ERROR_BYTES: Final = 64 * 1024
"""The body of a response that is not a success. The rest is not read: the status alone says
what happened, and pages of proxies can be long."""

HEAD_BYTES: Final = 256 * 1024
"""All header lines of a response together: interim heads, the head, and trailers."""

BURST_BYTES: Final = 32 * _MIB
"""What may arrive of a stream between two reads, once decompressed; a server that is made to wait
cannot get that far without compressing."""


def told(size: int) -> str:
    """A limit as people write it, such as ``16 MiB``."""
    return f"{size // _MIB} MiB" if size >= _MIB else f"{size // 1024} KiB"
