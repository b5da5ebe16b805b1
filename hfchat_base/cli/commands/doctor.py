"""``hfchat doctor``: every part between this machine and an answer, each with what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.request import getproxies

import typer
from rich.text import Text

from hfchat_base import __version__
from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow, send
from hfchat_base._protocol.dialects import model_sources
from hfchat_base._protocol.http import Response
from hfchat_base._protocol.responses import login_command
from hfchat_base._protocol.web_address import ProxyAddress
from hfchat_base.cli.commands.options import BaseUrl, connect
from hfchat_base.cli.terminal import Terminal, clean_line, note
from hfchat_base.client import HuggingChat
from hfchat_base.errors import HuggingChatError, InvalidRequestError, TransportError
from hfchat_base.events import TextDelta

__all__ = ["doctor"]

_PACKAGES: Final = ("curl_cffi", "langchain-core", "llama-index-core", "playwright", "xllamacpp")
_CLOCK_SECONDS: Final = 120.0
"""More than this, and certificates and cookies begin to be judged wrongly."""


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes:
        state: Whether all is well, something is worth knowing, it is broken, or was not tried.
        text: What was found.
        advice: What to do about it.
        details: What else there is to know.
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


def doctor(base_url: BaseUrl = None) -> None:
    """Check everything between this machine and an answer, and say what to do."""
    terminal = Terminal.detect()
    is_well = True
    with connect(base_url) as client:
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
        state.models,
        state.stream,
    ):
        yield check.__name__, _guarded(check)


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except HuggingChatError as error:
        # Our errors say themselves what to do.
        what, _, advice = str(error).partition(". ")
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
        try:
            proxies[name] = ProxyAddress.parse(address).host
        except InvalidRequestError:
            advice = f"Correct the variable {name}_proxy: http://host:3128, for example."
            return Finding("bad", f"{name}: cannot be read", advice)
    # Only the hosts: an address may hold a password.
    named = ", ".join(f"{name}: {host}" for name, host in sorted(proxies.items()))
    exceptions = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    return Finding(
        "note", named, f"Hosts without it are in no_proxy (now: {exceptions or 'none'})."
    )


class _State:
    """The checks of a server, in order; what one has found the next may use.

    Args:
        client: A client of it.
    """

    def __init__(self, client: HuggingChat) -> None:
        self._client = client
        self._answered: Response | None = None
        self._has_models = False

    def reachability(self) -> Finding:
        begun = time.monotonic()
        self._answered = self._client.run_flow(_ask())
        seconds = time.monotonic() - begun
        if self._answered.status >= 500:  # noqa: PLR2004 - the server's own failures
            advice = "The server is there but fails: try again later, or tell its owner."
            return Finding("bad", f"it answers with {self._answered.status}", advice)
        return Finding("good", f"answered in {seconds:.2f} s")

    def clock(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        try:
            server = parsedate_to_datetime(self._answered.headers.get("date", ""))
        except (TypeError, ValueError):
            return Finding("skipped", "the server does not tell its time")
        apart = abs(time.time() - server.timestamp())
        if apart <= _CLOCK_SECONDS:
            return Finding("good", "as the server's, within two minutes")
        advice = "Set this machine's clock: certificates and cookies are judged by it."
        return Finding("bad", f"{apart / 60:.0f} minutes from the server's", advice)

    def generation(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        return Finding("good", self._client.run_flow(discovery.dialect(self._client.server)).name)

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
        command = login_command(self._client.base_url)
        if self._client.session.is_guest:
            return Finding("note", "nobody; some servers allow that", f"To log in: {command}")
        return Finding("bad", "the server does not know this session", f"Log in again: {command}")

    def models(self) -> Finding:
        if self._answered is None:
            return _SKIPPED
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = self._client.get_models()
        if said:
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
        begun = time.monotonic()
        first: float | None = None
        conversation = self._client.create_conversation()
        try:
            with conversation.stream("Answer with one word: hello") as stream:
                for event in stream:
                    if first is None and isinstance(event, TextDelta):
                        first = time.monotonic() - begun
        finally:
            conversation.delete()
        whole = time.monotonic() - begun
        came = "no text came" if first is None else f"the first word came after {first:.2f} s"
        return Finding("good", f"{came}, the end after {whole:.2f} s")


_SKIPPED: Final = Finding("skipped", "not tried")


def _ask() -> Flow[Response]:
    return (yield from send(model_sources(None)[0].request))
