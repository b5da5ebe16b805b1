"""The same faults put to hfchat and to other clients of HuggingChat: what does each do?

    python -m benchmarks.peers /path/to/python/with/hugchat/and/g4f [docs/comparison.md]

Run it from the repository's root. It prints the table of ``docs/comparison.md``, and writes it into
that page if it is named. Each client asks a current local server, through a server of faults, in a
process of its own that has ten seconds. What a cell says is found out, not written by hand: `told`
has the words.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peer_clients import WAYS

SECONDS = 10
ASKING = "--ask"
CLIENTS = {"hfchat": "hfchat_base", "hugchat": "hugchat.hugchat", "g4f": "g4f.Provider"}
"""The distributions, and what is imported of each before the time runs."""

MODEL = "echo/base"
BEGIN, END = "<!-- peers:begin -->", "<!-- peers:end -->"


@dataclass(frozen=True)
class Case:
    """A fault of the answer to the message `hello`.

    Attributes:
        name: What it is called in the table.
        faults: What the message meets, the first time and the next ones.
        whole: The whole answer; where it never comes, that to a message sent again.
        part: What had arrived before the fault; empty if nothing had.
        streamed: What was streamed, if the whole is something else.
    """

    name: str
    faults: list[Any] = field(default_factory=list)
    whole: str = "You said: hello"
    part: str = ""
    streamed: str | None = None


def ask_hfchat(url: str) -> str:
    """Ask with this package."""
    from hfchat_base import HuggingChat, Timeouts  # noqa: PLC0415 - each client has its own Python

    timeouts = Timeouts(first_event=3, progress=3)
    with HuggingChat(f"{url}/chat", timeouts=timeouts) as client:
        return client.create_conversation(MODEL).send("hello").text


def ask(client: str, url: str, part: str) -> None:
    """Ask with one client; print its version first, and at last what came of it, as JSON.

    Args:
        client: One of `CLIENTS`.
        url: The server's address without the path ``/chat``.
        part: What to look for in an error, in what it says and in what it holds.
    """
    import_module(CLIENTS[client])
    print(importlib.metadata.version(client), flush=True)
    outcome: dict[str, Any] = {}
    try:
        outcome["text"] = (
            ask_hfchat(url) if client == "hfchat" else WAYS[client](url, MODEL)("hello")
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we want to know
        outcome["error"] = type(error).__name__
        outcome["has_part"] = part in f"{error} {error!r} {vars(error)!r}"
    print("\n" + json.dumps(outcome))


def told(case: Case, outcome: dict[str, Any] | None, *, prompts: int, sendings: int) -> str:
    """Say in a few words what came of a case.

    Args:
        case: What was met.
        outcome: What the client's process printed; None if it did not end.
        prompts: How many prompts had reached the model.
        sendings: How many times the message was sent.
    """
    if outcome is None:
        words = "hangs"
    elif "error" in outcome:
        words = f"`{outcome['error']}`"
        if case.part:
            words += ", with partial text" if outcome["has_part"] else ", without partial text"
    elif outcome["text"] == case.whole:
        words = "complete"
    elif outcome["text"] == case.streamed:
        words = "**what was streamed**"
    elif case.part and outcome["text"].strip() == case.part.strip():
        words = "**partial text, returned as complete**"
    elif not outcome["text"].strip():
        words = "**empty, returned as complete**"
    else:
        words = f"**`{outcome['text']!r}`, returned as complete**"
    if prompts > 1:
        return f"{words}; **generated {prompts} times**"
    return f"{words}; sent {sendings} times" if sendings > 1 else words


def cases() -> list[Case]:
    """The rows of the table."""
    from tests.support.faults.answer_lines import (  # noqa: PLC0415
        FINISHED,
        KEEP_ALIVE,
        STARTED,
        failure,
        final,
        lines,
        token,
    )
    from tests.support.faults.http1 import response  # noqa: PLC0415
    from tests.support.faults.kinds import Babble, Cut, CutAt, Instead  # noqa: PLC0415

    def says(*events: dict[str, Any], more: bytes = b"") -> list[Any]:
        return [Instead(response(lines(STARTED, *events) + more, chunk_bytes=200))]

    part = "Half "
    half = lines(STARTED, token(part))
    stays_open = response(b"", until_close=True) + half
    page = response(b"<html><title>Wi-Fi login</title></html>", content_type="text/html")
    gateway = response(b"<html></html>", status="502 Bad Gateway", content_type="text/html")
    bad_chunk = response(half, chunk_bytes=1000).replace(b"0\r\n\r\n", b"ffff\r\nab")
    no_json = says(token("Hi"), more=b"oops\n" + lines(final("Hi"), FINISHED))
    unknown = {"type": "hologram"}
    failed = failure("exploded", statusCode=500)
    stopped = final(part, interrupted=True)
    middle = b'"token":"said'
    return [
        Case("none"),
        Case("connection closed in the middle", [CutAt(middle)], part="You "),
        Case("connection reset in the middle", [CutAt(middle, how="reset")], part="You "),
        Case("closed before the answer begins", [Cut(0)]),
        Case("the message does not arrive", [Instead(b"")]),
        Case("response ends properly in the middle of the answer", says(token(part)), part=part),
        Case("body shorter than announced", [Instead(response(half, length=9999))], part=part),
        Case("wrong chunk size", [Instead(bad_chunk)], part=part),
        Case(
            "U+2028 within a token",
            says(token("a\u2028b"), final("a\u2028b"), FINISHED),
            "a\u2028b",
        ),
        Case("an unknown event", says(unknown, token("Hi"), final("Hi"), FINISHED), "Hi"),
        Case("a line that is not JSON", no_json, "Hi", "Hi"),
        Case("the model fails, inside a 200", says(token(part), failed), part=part),
        Case("stopped by somebody else", says(token(part), stopped, FINISHED), part=part),
        Case(
            "final text differs from what was streamed",
            says(token("Hallo"), final("Hello"), FINISHED),
            "Hello",
            streamed="Hallo",
        ),
        Case("a proxy's page in place of the answer", [Instead(page)]),
        Case("a gateway's 502, once", [Instead(gateway)]),
        Case("keepAlive without end", [Babble(stays_open, lines(KEEP_ALIVE))], part=part),
        Case("silence", [Babble(stays_open)], part=part),
    ]


def compare(pythons: dict[str, str]) -> str:
    """Put every fault to every client and make the table.

    Args:
        pythons: The interpreter that has each client.
    """
    from hfchat_base.local import LocalServer, default_models  # noqa: PLC0415
    from tests.support.faults.fault_server import SEND, FaultServer  # noqa: PLC0415

    versions: dict[str, str] = {}
    rows: list[str] = []
    with (
        LocalServer(models=default_models(), base_path="/chat") as server,
        FaultServer(server.base_url) as proxy,
    ):
        for case in cases():
            cells = [case.name]
            for client in CLIENTS:
                proxy.reset()
                server.clear_requests()
                proxy.on(SEND, *case.faults)
                versions[client], outcome = run(pythons[client], client, proxy.url, case.part)
                cells.append(
                    told(case, outcome, prompts=len(server.prompts), sendings=proxy.count(SEND))
                )
            rows.append(f"| {' | '.join(cells)} |")
    headings = " | ".join(f"{client} {versions[client]}" for client in CLIENTS)
    return "\n".join([f"| Fault | {headings} |", f"|{'---|' * (len(CLIENTS) + 1)}", *rows])


def run(python: str, client: str, url: str, part: str) -> tuple[str, dict[str, Any] | None]:
    """Ask with a client in a process of its own.

    Returns:
        The client's version, and what came of it; None if it does not end.

    Raises:
        RuntimeError: It could not even say what came of it.
    """
    command = [python, "-m", "benchmarks.peers", ASKING, client, url, part]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdout is None:
            raise RuntimeError("the client's output is not piped")
        version = process.stdout.readline().strip()
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return version, None
    try:
        outcome: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{client} did not say what came of it") from None
    return version, outcome


def write(table: str, page: Path) -> None:
    """Put the table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    if not between.search(text):
        raise ValueError(f"{page} has no marks {BEGIN} and {END}")
    page.write_text(between.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text), encoding="utf-8")


def main(peers: str, page: str | None = None) -> None:
    """Print the table, and write it into a page.

    Args:
        peers: A Python that has hugchat and g4f.
        page: Path of the page.
    """
    table = compare({"hfchat": sys.executable, "hugchat": peers, "g4f": peers})
    print(table)
    if page is not None:
        write(table, Path(page))


if __name__ == "__main__":
    if sys.argv[1] == ASKING:
        ask(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
