"""``hfchat api``: OpenAI's API in front of HuggingChat, for any OpenAI client."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from hfchat_base.cli.options import Account, BaseUrl, ModelName, server_address
from hfchat_base.cli.terminal import Terminal, clean_line, note
from hfchat_base.client import AsyncHuggingChat
from hfchat_base.errors import InvalidRequestError, MissingRequirementsError
from hfchat_base.hosts import is_loopback, listening_socket
from hfchat_base.policy import Retries

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["api"]

_DEFAULT_PORT: Final = 8000
_LAST_SECONDS: Final = 5
"""How long answers under way may take to stop when the command ends."""


def api(
    base_url: BaseUrl = None,
    account: Account = None,
    model: ModelName = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="N", help="0 takes a free one.")
    ] = _DEFAULT_PORT,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="HFCHAT_API_KEY",
            metavar="KEY",
            help="What clients send as their API key; better in $HFCHAT_API_KEY, since other"
            " programs see a command's arguments.",
            show_default="a new one, printed",
            show_envvar=False,
        ),
    ] = None,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Want no key; on loopback only.")
    ] = False,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]",
            help="Also answer requests for this host, such as a container's; may be repeated.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Allow web pages of this origin to use it (CORS); may be repeated.",
            show_default=False,
        ),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Delete each conversation after its answer.")
    ] = False,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Report the server's message limit (429) instead of waiting."
        ),
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Answer with the small real model of hfchat demo.")
    ] = False,
) -> None:
    """Let OpenAI clients use HuggingChat: serve OpenAI's API on this machine.

    One process serves one account, yours. Do not share the key.
    """
    try:
        import uvicorn  # noqa: F401, PLC0415 - only to see whether it is there

        from hfchat_base.api import create_app, new_key  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise MissingRequirementsError.for_extra("api", what="hfchat api") from error

    if no_key and key is not None:
        raise typer.BadParameter("Choose one of --key and --no-key.")
    if no_key and not is_loopback(host):
        raise typer.BadParameter(f"--no-key works on loopback only, and {host} is not.")
    if demo and base_url is not None:
        raise typer.BadParameter("Choose one of --demo and --base-url.")
    terminal = Terminal.detect()
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        address = _demo_address(terminal, stack) if demo else server_address(base_url)
        client = AsyncHuggingChat(
            address,
            account=account,
            model=model,
            ephemeral=ephemeral,
            retries=Retries(rate_limit_attempts=1, longest_limit_wait=0) if no_wait else None,
        )
        used_key = None if no_key else key or new_key()
        try:
            app = create_app(client, key=used_key, hosts=host_name or (), origins=origin or ())
        except ValueError as error:
            raise typer.BadParameter(clean_line(str(error))) from error
        shown = used_key if key is None else None
        _announce(terminal, client.base_url, f"{_url(host, listener)}/v1", shown)
        try:
            asyncio.run(_serve(app, client, listener))
        except KeyboardInterrupt:
            terminal.notes.print(note("\nStopped."))


def _listen(host: str, port: int) -> socket.socket:
    """Open a listening socket, or say which port cannot be had."""
    try:
        return listening_socket(host, port)
    except OSError as error:
        raise InvalidRequestError(
            f"Port {port} is in use or not allowed on {clean_line(host)} ({error.strerror})."
            " Choose another: --port 0 takes a free one."
        ) from error


def _url(host: str, listener: socket.socket) -> str:
    # Nobody can be sent to the unspecified address, which stands for all of this machine's.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _demo_address(terminal: Terminal, stack: ExitStack) -> str:
    """Start a local server with the demo's model, and return its address."""
    from hfchat_base.cli.terminal import load_model  # noqa: PLC0415 - heavy
    from hfchat_base.local import LocalServer  # noqa: PLC0415 - likewise

    return stack.enter_context(LocalServer(models=[load_model(terminal)])).base_url


async def _serve(app: Starlette, client: AsyncHuggingChat, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - heavy

    config = uvicorn.Config(
        app,
        ws="none",
        log_config=None,
        log_level="critical",  # the application logs what there is to say
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    async with client:
        await uvicorn.Server(config).serve([listener])


def _announce(terminal: Terminal, server: str, url: str, key: str | None) -> None:
    """Print where the API is and how to use it.

    Args:
        terminal: Where to print.
        server: The server that answers.
        url: The API's URL.
        key: The key, if it was made up here; a given one is known, and not shown.
    """
    out = terminal.out
    out.print(
        Text.assemble(
            ("hfchat", "hfchat.accent"),
            "  OpenAI's API is at ",
            (url, "hfchat.link"),
            note(f"  answered by {clean_line(server)}"),
        ),
        soft_wrap=True,
    )
    out.print()
    out.print(note("Set this in the shell of an OpenAI client:"))
    out.print(f"  export OPENAI_BASE_URL={url}", soft_wrap=True)
    if key is not None:
        out.print(f"  export OPENAI_API_KEY={key}", soft_wrap=True)
    out.print()
    out.print(note("The models: GET /v1/models, or hfchat models   ·   Ctrl-C here stops it."))
