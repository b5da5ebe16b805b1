"""``hfchat serve``: a HuggingChat server on this machine."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from hfchat_base.auth.store import replace_file
from hfchat_base.cli.options import WrongUsage
from hfchat_base.cli.terminal import Terminal, clean_line, note
from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hfchat_base.local import LocalModel, LocalServer

__all__ = ["serve"]

_DEFAULT_PORT = 8090


class _Generation(str, Enum):
    """Which chat-ui to speak as."""

    current = "current"
    legacy = "legacy"


def serve(
    generation: Annotated[
        _Generation,
        typer.Option(
            metavar="current|legacy",
            help="chat-ui version to emulate: current is 0.20, legacy 0.9.5.",
        ),
    ] = _Generation.current,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to use.")] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]",
            help="Also answer requests for this host, such as a proxy's; may be repeated.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            "--port", "-p", min=0, max=65535, metavar="N", help="Port to use; 0 picks a free one."
        ),
    ] = _DEFAULT_PORT,
    demo: Annotated[
        bool, typer.Option("--demo", help="Answer with the small real model of hfchat demo.")
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE.gguf", help="Answer with your own model.", show_default=False),
    ] = None,
    openai_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Answer with all models at an OpenAI-compatible URL, such as Ollama's"
            " http://127.0.0.1:11434/v1. The key is $OPENAI_API_KEY.",
            show_default=False,
        ),
    ] = None,
    require_login: Annotated[bool, typer.Option("--require-login", help="Refuse guests.")] = False,
) -> None:
    """Run a HuggingChat server on this machine, in memory.

    Its models are scripted, for tests, unless you choose others.
    """
    from hfchat_base.local import LocalServer, scripted_tool_servers  # noqa: PLC0415 - heavy

    if sum((demo, model is not None, openai_url is not None)) > 1:
        raise WrongUsage("Choose one of --demo, --model and --openai-url.")
    terminal = Terminal.detect()
    models = _models(terminal, demo=demo, gguf=model, openai_url=openai_url)
    try:
        server = LocalServer(
            generation=generation.value,
            models=models,
            require_login=require_login,
            tool_servers=scripted_tool_servers(),
            host=host,
            port=port,
            hosts=host_name or (),
        )
        server.start()
    except ValueError as error:
        raise WrongUsage(clean_line(str(error))) from error
    except OSError as error:
        raise InvalidRequestError(
            f"Port {port} is in use or not allowed on {host} ({error.strerror}). Choose another:"
            " --port 0 picks a free one."
        ) from error
    with server, _session_file(server, wanted=require_login) as session:
        _announce(terminal, server, generation.value, session)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            terminal.notes.print(note("\nStopped."))


def _models(
    terminal: Terminal, *, demo: bool, gguf: Path | None, openai_url: str | None
) -> Sequence[LocalModel] | None:
    """Get the models that were chosen; None stands for the scripted ones."""
    if demo or gguf is not None:
        from hfchat_base.cli.terminal import load_model  # noqa: PLC0415 - heavy

        return [load_model(terminal, gguf)]
    if openai_url is None:
        return None
    import httpx  # noqa: PLC0415 - heavy

    from hfchat_base.local import openai_models  # noqa: PLC0415 - likewise

    try:
        found = openai_models(openai_url, os.environ.get("OPENAI_API_KEY"))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            f"{clean_line(openai_url)} does not list its models ({type(error).__name__}:"
            f" {clean_line(str(error), 200)}). The URL must include the version, as in"
            " http://127.0.0.1:11434/v1."
        ) from error
    if not found:
        raise InvalidRequestError(f"There are no models at {clean_line(openai_url)}.")
    return found


@contextmanager
def _session_file(server: LocalServer, *, wanted: bool) -> Iterator[Path | None]:
    """Keep a session in a file that only this user can read, for as long as the server runs."""
    if not wanted:
        yield None
        return
    import json  # noqa: PLC0415 - seldom needed

    with tempfile.TemporaryDirectory(prefix="hfchat-") as folder:
        path = Path(folder) / "cookies.json"
        replace_file(path, json.dumps(server.cookies()).encode())
        yield path


def _announce(
    terminal: Terminal, server: LocalServer, generation: str, session: Path | None
) -> None:
    """Print where the server is and how to use it."""
    out = terminal.out
    with_login = ", login required" if session else ""
    out.print(
        Text.assemble(
            ("hfchat", "hfchat.accent"),
            "  HuggingChat server at ",
            (server.base_url, "hfchat.link"),
            note(f"  {generation}{with_login}, in memory"),
        ),
        soft_wrap=True,
    )
    out.print()
    out.print(note("In the shell where you run your program or hfchat:"))
    out.print(f"  export HUGGINGCHAT_BASE_URL={server.base_url}", soft_wrap=True)
    if session:
        out.print(f"  export HUGGINGCHAT_COOKIE_FILE={session}", soft_wrap=True)
    out.print()
    out.print(note("Then try: hfchat models, hfchat chat. Press Ctrl-C here to stop the server."))
