"""``hfchat login``, ``logout`` and ``whoami``: a session, from logging in to logging out.

The server of the last login is remembered. The other commands use it by default.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from hfchat_base import (
    HuggingChat,
    InvalidRequestError,
    LoginRequired,
    MissingAuthError,
    TransportError,
)
from hfchat_base.auth import login as browser_login
from hfchat_base.auth.login import AuthResult, RequestLogin, login_with_cookies
from hfchat_base.auth.session import FoundSession, Session
from hfchat_base.auth.sources import (
    COOKIE_FILE_VARIABLE,
    COOKIES_VARIABLE,
    check_browser,
    read_profiles,
    resolve_endpoint,
)
from hfchat_base.auth.store import SavedSession, SessionStore
from hfchat_base.cli.options import Account, BaseUrl, Remembered, WrongUsage, connect, payment_of
from hfchat_base.cli.terminal import Terminal, clean_line, note

if TYPE_CHECKING:
    from hfchat_base.auth.cookies import CookieInput

__all__ = ["login", "logout", "whoami"]

_MINUTES: Final = 5.0
_HEADLESS_MINUTES: Final = 0.25
"""How long a hidden browser may take: it can only repeat an earlier login, which takes seconds."""

_WAITING: Final = "Waiting for you to log in at "


def login(
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the server; later commands use it too.",
            show_default="$HUGGINGCHAT_BASE_URL, or HuggingChat",
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which saved session --export writes, if there are several.",
            show_default="the newest login",
        ),
    ] = None,
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
        bool, typer.Option("--paste", help="Ask for the cookies without showing them.")
    ] = False,
    import_file: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Use a session that was exported elsewhere, or a cookie file.",
            show_default=False,
        ),
    ] = None,
    export_file: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write the session to a file for another machine. Anyone who has the file is"
            " logged in as you.",
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
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            metavar="MINUTES",
            help="How long to wait for the login.",
            show_default=f"{_MINUTES:g}, or {_HEADLESS_MINUTES:g} with --headless",
        ),
    ] = None,
    browser_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARGUMENT",
            help="One more argument for the browser; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Log in once; the session is saved for everything that uses hfchat."""
    if sum((paste, import_file is not None, from_browser is not None)) > 1:
        raise WrongUsage("Choose one of --paste, --import and --from-browser.")
    terminal = Terminal.detect()
    if export_file is not None and _export_saved(terminal, base_url, account, export_file):
        return
    if paste:
        result = login_with_cookies(_ask_for_cookies(terminal), base_url)
    elif import_file is not None:
        result = login_with_cookies(import_file, base_url)
    elif from_browser is not None:
        result = login_with_cookies(_cookies_of(from_browser, base_url), base_url)
    else:
        if minutes is None:
            minutes = _HEADLESS_MINUTES if headless else _MINUTES
        steps = browser_login.login(
            base_url,
            browser=browser,
            headless=headless,
            timeout=minutes * 60,
            browser_args=browser_arg or (),
        )
        result = _watch(terminal, steps, is_hidden=bool(headless))
    _remember_server(result.base_url)
    _print_login(terminal, result, is_chosen=bool(base_url))
    if export_file is not None:
        _export_saved(terminal, base_url, result.user.username, export_file)


def _print_login(terminal: Terminal, result: AuthResult, *, is_chosen: bool) -> None:
    """Print who has logged in, and what that changes for other commands."""
    terminal.notes.print(
        Text.assemble(
            ("✓ ", "hfchat.good"),
            "Logged in as ",
            (clean_line(result.user.username), "hfchat.name"),
            note(f"  {clean_line(result.base_url)}"),
        ),
        soft_wrap=True,
    )
    if is_chosen:
        terminal.notes.print(note("The other commands use this server from now on."))
    for variable in (COOKIES_VARIABLE, COOKIE_FILE_VARIABLE):
        if os.environ.get(variable):
            warning = f"{variable} takes precedence: unset it to use this login."
            terminal.err.print(note(warning), soft_wrap=True)


def logout(base_url: BaseUrl = None, account: Account = None) -> None:
    """Log out: end the saved session on the server, and delete it here."""
    terminal = Terminal.detect()
    with connect(base_url) as client:
        address = client.base_url
    saved = SessionStore().find(address, account)
    if saved is None:
        terminal.notes.print(
            note(f"No session is saved for {clean_line(address)}."), soft_wrap=True
        )
        raise typer.Exit(1)
    name = clean_line(saved.account)
    with _client_of(saved) as client:
        try:
            client.logout()
        except TransportError as error:
            reason = clean_line(str(error))
            problem = note(f"The session could not be ended on the server: {reason}")
            terminal.err.print(problem, soft_wrap=True)
            deleted = Text(f"The session of {name} is deleted here.")
            terminal.notes.print(deleted, soft_wrap=True)
            raise typer.Exit(1) from None
        finally:
            _forget_server(address)
    terminal.notes.print(
        Text.assemble(
            ("✓ ", "hfchat.good"), f"Logged out {name}", note(f"  {clean_line(address)}")
        ),
        soft_wrap=True,
    )


def whoami(base_url: BaseUrl = None, account: Account = None) -> None:
    """Show which account the server knows you as."""
    # Looked up first: asking the server may end the session that is saved.
    with connect(base_url, account) as client:
        saved = SessionStore().find(client.base_url, account)
        try:
            user = client.whoami()
        except MissingAuthError:
            if saved is None:
                raise
            user = None
        payment = payment_of(client) if user is not None else ()
        is_guest = client.session.is_guest
        address = clean_line(client.base_url)
        command = client.login_command
    terminal = Terminal.detect()
    if user is not None:
        email = f" <{clean_line(user.email)}>" if user.email else ""
        typer.echo(f"{clean_line(user.username)}{email}")
        if payment:
            text, advice = payment
            terminal.notes.print(note(f"{text.capitalize()}. {advice}"), soft_wrap=True)
        return
    if saved is not None:
        text = f"The saved session of {clean_line(saved.account)} at {address} has expired."
    elif is_guest:
        text = f"You are a guest at {address}."
    else:
        text = f"{address} does not know this session; it has expired."
    advice = "To log in" if is_guest and saved is None else "Log in again"
    terminal.notes.print(note(f"{text} {advice}: {command}"), soft_wrap=True)
    raise typer.Exit(1)


def _watch(
    terminal: Terminal, steps: Generator[browser_login.LoginStep, None, None], *, is_hidden: bool
) -> AuthResult:
    """Follow a login, with a line that says what it waits for."""
    started = time.monotonic()
    with terminal.notes.status(note("Opening a browser …")) as status:
        try:
            for step in steps:
                if isinstance(step, RequestLogin):
                    if not terminal.is_rich:
                        address = Text(f"Log in at {clean_line(step.url)}")
                        terminal.notes.print(address, soft_wrap=True)
                    what = "Repeating an earlier login at " if is_hidden else _WAITING
                    status.update(note(what, clean_line(step.url)))
                else:
                    return step
        except LoginRequired as error:
            if is_hidden:
                raise _hidden() from error
            raise
    seconds = time.monotonic() - started
    raise LoginRequired(f"Nobody logged in within {seconds:.0f} seconds.")


def _hidden() -> LoginRequired:
    return LoginRequired(
        "Nobody can type into a hidden browser, and it had no earlier login to repeat. Run hfchat"
        " login without --headless, or use --from-browser, --paste or --import."
    )


def _ask_for_cookies(terminal: Terminal) -> str:
    if terminal.can_ask:
        terminal.notes.print(
            note(
                "In your browser: log in, open the developer tools (F12), Application or Storage,"
                " Cookies, and copy hf-chat (on huggingface.co also token). What you paste is not"
                " shown."
            )
        )
        text: str = typer.prompt("Cookies (name=value; …, or JSON)", hide_input=True, err=True)
    else:
        text = sys.stdin.read()
    text = text.strip()
    if not text:
        raise InvalidRequestError("No cookies were pasted.")
    if "=" not in text and not text.startswith(("{", "[")):
        # People often copy the value alone.
        return f"hf-chat={text}"
    return text


def _cookies_of(browser: str, base_url: str | None) -> CookieInput:
    from hfchat_base.auth.cookies import by_name  # noqa: PLC0415 - likewise

    name = check_browser(browser.lower())
    endpoint = resolve_endpoint(base_url)
    (profile,) = read_profiles([name], endpoint, may_ask=True)
    if not profile.cookies:
        raise MissingAuthError(f"{profile.browser} gives no session: {profile.problem}.")
    return by_name(profile.cookies)


def _client_of(saved: SavedSession) -> HuggingChat:
    """A client with this very session, whatever the environment says."""
    found = FoundSession("saved", saved.cookies, account=saved.account, saved=saved)
    return HuggingChat(saved.base_url, Session(found, saved.base_url))


def _export_saved(
    terminal: Terminal, base_url: str | None, account: str | None, path: Path
) -> bool:
    """Write the saved session to a file, if there is one that the server knows."""
    from hfchat_base.auth.store import export  # noqa: PLC0415 - seldom needed

    with HuggingChat(base_url) as client:
        saved = SessionStore().find(client.base_url, account)
    if saved is None or not saved.is_usable:
        return False
    with _client_of(saved) as client:
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
            note("Delete it once it is imported: anyone who has it is logged in as you."),
        ),
        soft_wrap=True,
    )
    return True


def _remember_server(base_url: str) -> None:
    """Let later commands use the server of this login."""
    remembered = Remembered.load()
    if remembered.base_url != base_url:
        remembered.base_url = base_url
        remembered.save()


def _forget_server(base_url: str) -> None:
    """Go back to the default server, unless somebody is still logged in at this one."""
    remembered = Remembered.load()
    if remembered.base_url == base_url and SessionStore().find(base_url, None) is None:
        remembered.base_url = None
        remembered.save()
