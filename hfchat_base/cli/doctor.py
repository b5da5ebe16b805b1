"""``hfchat doctor``: check every part between this machine and an answer, and say what to do.

With ``--wire`` it compares what the server says with what this version knows, for reports.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import typer
from rich.text import Text

from hfchat_base import (
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    TextDelta,
    TransportError,
    __version__,
)
from hfchat_base.cli.options import Account, BaseUrl, connect, payment_of
from hfchat_base.cli.terminal import Terminal, clean_line, in_commands, note
from hfchat_base.client import DEFAULT_BASE_URL
from hfchat_base.types import ServerStatus

__all__ = ["doctor"]

_PACKAGES: Final = ("curl_cffi", "langchain-core", "llama-index-core", "playwright", "xllamacpp")
_CLOCK_SECONDS: Final = 120.0
"""With a larger difference, certificates and cookies may seem expired or not yet valid."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        state: Whether it passed, has something to note, failed, or was skipped.
        text: What was found.
        advice: What to do about it.
        details: More to know.
    """

    state: Literal["good", "note", "bad", "skipped"]
    text: str
    advice: str = ""
    details: tuple[str, ...] = ()


_SIGNS: Final = {
    "good": ("✓", "hfchat.good"),
    "note": ("!", "hfchat.accent"),
    "bad": ("✗", "hfchat.bad"),
    "skipped": ("·", "hfchat.note"),
}


def doctor(
    wire: Annotated[
        bool,
        typer.Option(
            "--wire",
            help="Compare what the server says with what this version knows, by reading alone, and"
            " print the differences, ready for a report: names of fields, no values.",
        ),
    ] = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Check everything between this machine and an answer, and say what to do."""
    terminal = Terminal.detect()
    is_well = True
    with connect(base_url, account) as client:
        if wire:
            _compare(terminal, client)
            return
        terminal.out.print(note(clean_line(client.base_url)), soft_wrap=True)
        for name, finding in _findings(client):
            sign, style = _SIGNS[finding.state]
            terminal.out.print(
                Text.assemble((f"{sign} ", style), f"{name:<14}", clean_line(finding.text)),
                soft_wrap=True,
            )
            for detail in finding.details:
                terminal.out.print(note(f"  {clean_line(detail)}"), soft_wrap=True)
            if finding.advice:
                terminal.out.print(note(f"  → {clean_line(finding.advice)}"), soft_wrap=True)
            is_well = is_well and finding.state != "bad"
    if not is_well:
        raise typer.Exit(1)


def _compare(terminal: Terminal, client: HuggingChat) -> None:
    """Print a report that names neither the server nor the account.

    Raises:
        Exit: The server differs from what is known.
    """
    checks = client.check_protocol()
    whose = "HuggingChat" if client.base_url == DEFAULT_BASE_URL else "a server of one's own"
    terminal.out.print(
        note(f"hfchat {__version__}, {client.generation} chat-ui, {whose}"), soft_wrap=True
    )
    for one in checks:
        sign, style = _SIGNS["note" if one.differences else "good"]
        terminal.out.print(
            Text.assemble((f"{sign} ", style), clean_line(one.route), note(f"  {one.status}")),
            soft_wrap=True,
        )
        for difference in one.differences:
            terminal.out.print(Text(f"    {clean_line(difference)}"), soft_wrap=True)
    count = sum(len(one.differences) for one in checks)
    if not count:
        terminal.out.print(note("No difference."))
        return
    found = "1 difference" if count == 1 else f"{count} differences"
    advice = f"{found}. The lines above hold names of fields alone: please add them to a report."
    terminal.out.print(note(advice), soft_wrap=True)
    raise typer.Exit(1)


def _findings(client: HuggingChat) -> Iterator[tuple[str, Finding]]:
    yield "versions", _versions()
    yield "proxy", _proxy()
    state = _State(client)
    for check in (
        state.reachability,
        state.clock,
        state.generation,
        state.session,
        state.login,
        state.credits,
        state.features,
        state.models,
        state.stream,
    ):
        yield check.__name__, _guarded(check)


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except HuggingChatError as error:
        # Our errors say what to do.
        what, _, advice = in_commands(str(error)).partition(". ")
        if isinstance(error, TransportError):
            advice = advice or "Check the address, the network, and the proxy."
        return Finding("bad", what, advice)


def _versions() -> Finding:
    found = [f"hfchat {__version__}", f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return Finding("good", ", ".join(found))


def _proxy() -> Finding:
    addresses = getproxies()
    addresses.pop("no", None)
    if not addresses:
        return Finding("good", "none")
    proxies: dict[str, str] = {}
    for name, address in addresses.items():
        host = _host(address)
        if host:
            proxies[name] = host
        else:
            advice = f"Correct the variable {name}_proxy: http://host:3128, for example."
            return Finding("bad", f"{name}: cannot be read", advice)
    # Only the hosts: an address may hold a password.
    named = ", ".join(f"{name}: {host}" for name, host in sorted(proxies.items()))
    exceptions = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    return Finding(
        "note", named, f"Hosts that bypass it are in no_proxy (now: {exceptions or 'none'})."
    )


def _host(address: str) -> str | None:
    try:
        return urlsplit(address if "://" in address else f"http://{address}").hostname
    except ValueError:
        return None


class _State:
    """The checks of a server, in order; later ones use what earlier ones found.

    Args:
        client: A client of it.
    """

    def __init__(self, client: HuggingChat) -> None:
        self._client = client
        self._answered: ServerStatus | None = None
        self._lists_models = False
        self._has_models = False

    def reachability(self) -> Finding:
        started = time.monotonic()
        self._answered = self._client.check_server()
        seconds = time.monotonic() - started
        if self._answered.status >= 500:  # noqa: PLR2004 - the server's own failures
            advice = "The server is there but fails: try again later, or tell its owner."
            return Finding("bad", f"it answers with {self._answered.status}", advice)
        return Finding("good", f"answered in {seconds:.2f} s")

    def clock(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        if self._answered.date is None:
            return Finding("skipped", "the server does not send its time")
        apart = abs(time.time() - self._answered.date.timestamp())
        if apart <= _CLOCK_SECONDS:
            return Finding("good", "agrees with the server's to within two minutes")
        advice = "Set this machine's clock: certificates and cookies depend on it."
        return Finding("bad", f"{apart / 60:.0f} minutes from the server's", advice)

    def generation(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self._client.get_models()
        self._lists_models = not said
        if self._client.generation is None:
            return Finding("bad", "this is not a chat-ui server", "Is the address complete?")
        return Finding("good", self._client.generation)

    def session(self) -> Finding:
        session = self._client.session
        taken = f"from {session.source}" + (f", of {session.account}" if session.account else "")
        if session.is_guest:
            return Finding("note", "a guest's", details=session.attempts)
        return Finding("good", taken, details=session.attempts)

    def login(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        user = self._client.whoami()
        if user is not None:
            return Finding("good", f"{user.username} {user.email}".strip())
        command = self._client.login_command
        if self._client.session.is_guest:
            return Finding(
                "note", "not logged in; some servers allow that", f"To log in: {command}"
            )
        return Finding("bad", "the server does not know this session", f"Log in again: {command}")

    def credits(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        payment = payment_of(self._client)
        if not payment:
            return Finding("skipped", "only HuggingChat bills accounts")
        return Finding("note", *payment)

    def features(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        try:
            found = self._client.features()
        except InvalidRequestError:
            return Finding("skipped", "this server does not tell")
        switches = {"login": found.login, "transcription": found.transcription}
        told = [f"{found.name} {found.version}".strip()]
        told += [f"{name} {'on' if is_on else 'off'}" for name, is_on in switches.items()]
        told += [f"router {found.router_model}"] if found.router_model else []
        return Finding("good", ", ".join(filter(None, told)))

    def models(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        found = self._client.get_models()
        if not self._lists_models:
            return Finding("bad", "the list cannot be read", "Is the address complete?")
        self._has_models = bool(found)
        if not found:
            return Finding(
                "bad", "the server lists none", "It failed to load them: tell its owner."
            )
        default = self._client.default_model
        return Finding("good", f"{len(found)}, the default is {default}")

    def stream(self) -> Finding:
        if not self._has_models:
            return _SKIPPED
        started = time.monotonic()
        first: float | None = None
        conversation = self._client.create_conversation()
        try:
            with conversation.stream("Answer with one word: hello") as stream:
                for event in stream:
                    if first is None and isinstance(event, TextDelta):
                        first = time.monotonic() - started
        finally:
            conversation.delete()
        whole = time.monotonic() - started
        came = "no text" if first is None else f"first token in {first:.2f} s"
        return Finding("good", f"{came}, complete in {whole:.2f} s")


_SKIPPED: Final = Finding("skipped", "not tried")
