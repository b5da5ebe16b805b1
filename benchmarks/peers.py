"""The same faults put to hfchat and to other clients of HuggingChat: what does each do?

    python -m benchmarks.peers /path/to/python/with/hugchat/and/g4f

Run it from the repository's root; it prints the table of ``docs/comparison.md``. Each client asks a
current local server, through a server of faults, in a process of its own that has ten seconds.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from typing import Any

from benchmarks.peer_clients import WAYS, error_text

SECONDS = 10
ASKING = "--ask"
CLIENTS = ("hfchat", "hugchat", "g4f")
MODEL = "echo/base"


def ask_hfchat(url: str) -> str:
    """Ask with this package."""
    from hfchat_base import HuggingChat, Timeouts  # noqa: PLC0415 - each client has its own Python

    timeouts = Timeouts(first_event=3, progress=3)
    with HuggingChat(f"{url}/chat", timeouts=timeouts) as client:
        return client.create_conversation(MODEL).send("hello").text


def report(client: str, url: str) -> None:
    """Ask with one client and print what came of it, as JSON."""
    version = importlib.metadata.version(client)
    try:
        text = ask_hfchat(url) if client == "hfchat" else WAYS[client](url, MODEL)("hello")
        outcome = {"text": text}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we want to know
        outcome = {"error": error_text(error)}
    print("\n" + json.dumps({"version": version, **outcome}))


def faults() -> dict[str, list[Any]]:
    """The faults that the message meets, by what they are called in the table."""
    from tests.faults.answers import (  # noqa: PLC0415
        FINISHED,
        KEEP_ALIVE,
        STARTED,
        failure,
        final,
        lines,
        token,
    )
    from tests.support.faults.kinds import Babble, Cut, CutAt, Instead  # noqa: PLC0415
    from tests.support.faults.wire import response  # noqa: PLC0415

    def says(*events: dict[str, Any], more: bytes = b"") -> list[Any]:
        return [Instead(response(lines(STARTED, *events) + more, chunk_bytes=200))]

    half = lines(STARTED, token("Half "))
    page = response(b"<html><title>Wi-Fi login</title></html>", content_type="text/html")
    gateway = response(b"<html></html>", status="502 Bad Gateway", content_type="text/html")
    unknown = {"type": "hologram"}
    return {
        "no fault": [],
        "cut in the middle of the answer": [CutAt(b'"token":"said')],
        "reset in the middle of the answer": [CutAt(b'"token":"said', how="reset")],
        "cut before the answer begins": [Cut(0)],
        "message never arrives": [Instead(b"")],
        "proper end inside of the answer": says(token("Half ")),
        "body shorter than announced": [Instead(response(half, length=9999))],
        "wrong chunk size": [
            Instead(response(half, chunk_bytes=1000).replace(b"0\r\n\r\n", b"ffff\r\nab"))
        ],
        "U+2028 within a token": says(token("a\u2028b"), final("a\u2028b"), FINISHED),
        "unknown event": says(unknown, token("Hi"), final("Hi"), FINISHED),
        "a line that is no JSON": says(token("Hi"), more=b"oops\n" + lines(final("Hi"), FINISHED)),
        "model fails inside of a 200": says(token("Half "), failure("exploded", statusCode=500)),
        "stopped by somebody else": says(
            token("Half "), final("Half ", interrupted=True), FINISHED
        ),
        "final text differs": says(token("Hallo"), final("Hello"), FINISHED),
        "page of a proxy": [Instead(page)],
        "502 of a gateway, once": [Instead(gateway)],
        "keepAlive for ever": [Babble(response(b"", until_close=True) + half, lines(KEEP_ALIVE))],
        "silence": [Babble(response(b"", until_close=True) + half)],
    }


def compare(pythons: dict[str, str]) -> None:
    """Put every fault to every client and print the table."""
    from hfchat_base.local import LocalServer, default_models  # noqa: PLC0415
    from tests.support.faults.server import SEND, FaultServer  # noqa: PLC0415

    versions: dict[str, str] = {}
    rows: list[list[str]] = []
    with (
        LocalServer(models=default_models(), base_path="/chat") as server,
        FaultServer(server.base_url) as proxy,
    ):
        for name, kinds in faults().items():
            row = [name]
            for client in CLIENTS:
                proxy.reset()
                server.clear_requests()
                proxy.on(SEND, *kinds)
                command = [pythons[client], "-m", "benchmarks.peers", ASKING, client, proxy.url]
                row.append(run(command, client, versions))
                if (prompts := len(server.prompts)) > 1:
                    row[-1] += f" (generated {prompts} times)"
            rows.append(row)
            print("|", " | ".join(row), "|", flush=True)
    print(versions)


def run(command: list[str], client: str, versions: dict[str, str]) -> str:
    """Run a client and say in a few words what came of it."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"hangs (over {SECONDS} s)"
    try:
        outcome = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return f"crashes: {done.stderr.strip().splitlines()[-1:]}"
    versions[client] = outcome["version"]
    return f"`{outcome['text']!r}`" if "text" in outcome else f"error: {outcome['error']}"


if __name__ == "__main__":
    if ASKING in sys.argv:
        report(*sys.argv[2:4])
    else:
        compare({"hfchat": sys.executable, "hugchat": sys.argv[1], "g4f": sys.argv[1]})
