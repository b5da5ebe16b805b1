"""``hfchat login``: log in once, with a browser or with what another machine has exported."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from hfchat_base.auth.session import Found, Session
from hfchat_base.auth.sources import (
    COOKIE_FILE_VARIABLE,
    COOKIES_VARIABLE,
    check_browser,
    read_profiles,
    resolve_endpoint,
)
from hfchat_base.cli.commands.options import BaseUrl
from hfchat_base.cli.terminal import Terminal, clean_line, note
from hfchat_base.client import HuggingChat
from hfchat_base.errors import InvalidRequestError, LoginRequired, MissingAuthError

if TYPE_CHECKING:
    from collections.abc import Generator

    from hfchat_base.auth.cookies import CookieInput
    from hfchat_base.auth.login import AuthResult, LoginStep

__all__ = ["login"]

_MINUTES = 5


def login(
    base_url: BaseUrl = None,
    browser: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Browser to log in with: chrome, chromium, edge, brave, vivaldi, firefox, or the"
            " path of one.",
            show_default="the first that is found",
        ),
    ] = None,
    from_browser: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Use your browser's existing login: chrome, chromium, edge, brave, vivaldi, opera"
            " or firefox.",
            show_default=False,
        ),
    ] = None,
    paste: Annotated[
        bool, typer.Option("--paste", help="Ask for the cookies, and do not show them.")
    ] = False,
    import_file: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Take over a session that was exported elsewhere, or a cookie file.",
            show_default=False,
        ),
    ] = None,
    export_file: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write the session into a file for another machine. Whoever has the file is you.",
            show_default=False,
        ),
    ] = None,
    headless: Annotated[
        bool | None,
        typer.Option(
            "--headless/--window",
            help="Never show the browser, or always.",
            show_default="only if somebody has to type",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--timeout", min=0, metavar="MINUTES", help="How long to wait for you.")
    ] = _MINUTES,
    browser_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARGUMENT",
            help="One more argument for the browser; may be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Log in once; the session is saved for everything that uses hfchat."""
    from hfchat_base.auth import login as auth  # noqa: PLC0415 - it brings an event loop

    if sum((paste, import_file is not None, from_browser is not None)) > 1:
        raise typer.BadParameter("Choose one of --paste, --import and --from-browser.")
    terminal = Terminal.detect()
    if export_file is not None and _export_saved(terminal, base_url, export_file):
        return
    if paste:
        result = auth.login_with_cookies(_ask_for_cookies(terminal), base_url)
    elif import_file is not None:
        result = auth.login_with_cookies(import_file, base_url)
    elif from_browser is not None:
        result = auth.login_with_cookies(_cookies_of(from_browser, base_url), base_url)
    else:
        steps = auth.login(
            base_url,
            browser=browser,
            headless=headless,
            timeout=minutes * 60,
            browser_args=browser_arg or (),
        )
        result = _watch(terminal, steps)
    terminal.notes.print(
        Text.assemble(
            ("✓ ", "hfchat.good"),
            "Logged in as ",
            (clean_line(result.user.username), "hfchat.name"),
            note(f"  {clean_line(result.base_url)}"),
        ),
        soft_wrap=True,
    )
    for variable in (COOKIES_VARIABLE, COOKIE_FILE_VARIABLE):
        if os.environ.get(variable):
            warning = f"{variable} is set and comes first: unset it to use this login."
            terminal.err.print(note(warning), soft_wrap=True)
    if export_file is not None:
        _export_saved(terminal, base_url, export_file)


def _watch(terminal: Terminal, steps: Generator[LoginStep, None, None]) -> AuthResult:
    """Follow a login, with a line that says what it waits for."""
    from hfchat_base.auth.login import AuthResult  # noqa: PLC0415 - see above

    begun = time.monotonic()
    with terminal.notes.status(note("Opening a browser …")) as status:
        for step in steps:
            if isinstance(step, AuthResult):
                return step
            if terminal.is_rich:
                status.update(note("Waiting for you to log in at ", clean_line(step.url)))
            else:
                address = Text(f"Log in at {clean_line(step.url)}")
                terminal.notes.print(address, soft_wrap=True)
    seconds = time.monotonic() - begun
    raise LoginRequired(f"Nobody logged in within {seconds:.0f} seconds.")


def _ask_for_cookies(terminal: Terminal) -> str:
    terminal.notes.print(
        note(
            "In your browser: log in, open the developer tools (F12), Application or Storage,"
            " Cookies, and copy hf-chat (on huggingface.co token too). What you paste is not shown."
        )
    )
    text: str = typer.prompt("Cookies (name=value; …, or JSON)", hide_input=True, err=True)
    if "=" not in text and not text.lstrip().startswith(("{", "[")):
        # The value alone is what people copy.
        return f"hf-chat={text.strip()}"
    return text


def _cookies_of(browser: str, base_url: str | None) -> CookieInput:
    from hfchat_base.auth.cookies import by_name  # noqa: PLC0415 - see above

    endpoint = resolve_endpoint(base_url)
    name = check_browser(browser.lower())
    (profile,) = read_profiles([name], endpoint, may_ask=True)
    if not profile.cookies:
        raise MissingAuthError(f"{profile.browser} gives no session: {profile.problem}.")
    return by_name(profile.cookies)


def _export_saved(terminal: Terminal, base_url: str | None, path: Path) -> bool:
    """Write the saved session into a file, if there is one."""
    from hfchat_base.auth.store import SessionStore, export  # noqa: PLC0415 - likewise

    address = resolve_endpoint(base_url).base_url
    saved = SessionStore().find(address, None)
    if saved is None or not saved.is_usable:
        return False
    with HuggingChat(
        address, Session(Found("saved", saved.cookies, saved=saved), address)
    ) as client:
        if client.whoami() is None:
            return False
    path = path.expanduser()
    try:
        export(saved, path)
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error.strerror}.") from None
    terminal.notes.print(
        Text.assemble(
            ("✓ ", "hfchat.good"),
            f"The session of {clean_line(saved.account)} is in {path}. ",
            note("Delete it once it is imported: whoever has it is you."),
        ),
        soft_wrap=True,
    )
    return True
