"""The account's settings: read, changed, and held for as long as a message needs them.

A server resets every key that a change leaves out (S), so a change reads all settings, replaces
what it names and writes all of them back. They belong to the account, and the user's browser shows
them too. The server reads them for a message when it begins to answer it (`started`).

A message that wants a value of its own therefore takes the account's `SettingsLock`, writes the
value, and releases the lock when its answer has started. Two messages of one process that want
different values wait for each other that long. A message that fails before its answer has started
keeps the lock until it has restored what it changed, or until its run is dropped.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary, ref

from pydantic import ValidationError

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow, sleep
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._flows.run_state import AnswerOptions, RunState, SettingsHold
from hfchat_base._forks import Lock, register
from hfchat_base._protocol import responses
from hfchat_base._protocol.dialects.base import setting_key
from hfchat_base.errors import ConversationBusyError, InvalidRequestError
from hfchat_base.types import Settings
from hfchat_base.validation import invalid

__all__ = ["SettingsLock", "check", "hold", "lock_for", "read", "release", "update"]

PROVIDER_CHOICES: Final = ("auto", "fastest", "cheapest")


class SettingsLock:
    """Lets one message at a time change an account's settings. Free after a fork.

    It refers to its holder weakly, so that a holder that was dropped does not block the others.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._holder: Callable[[], SettingsHold | None] = _nobody
        register(self)

    def take(self, holder: SettingsHold) -> bool:
        """Take it if nobody else holds it; return whether this holder has it now."""
        with self._guard:
            if self._holder() is None:
                self._holder = ref(holder)
            return self._holder() is holder

    def release(self, holder: SettingsHold) -> None:
        """Release it, if this holder has it."""
        with self._guard:
            if self._holder() is holder:
                self._holder = _nobody

    def after_fork(self) -> None:
        """Free it: its holder is in the parent of this process."""
        self._holder = _nobody


def _nobody() -> None:
    return None


_finding: Final = Lock()
_locks: Final[WeakValueDictionary[bytes, SettingsLock]] = WeakValueDictionary()


def lock_for(base_url: str, account: Iterable[str]) -> SettingsLock:
    """The lock of an account, the same for all of its clients in this process.

    Args:
        base_url: Its server.
        account: The values of its session's cookies. Only a digest of them is kept.
    """
    key = hashlib.blake2b("\0".join([base_url, *account]).encode("utf-8", "replace")).digest()
    with _finding:  # two threads that ask first get the same one
        return _locks.setdefault(key, SettingsLock())


# --- reading and changing -------------------------------------------------------------------------


def read(server: ServerInfo) -> Flow[Settings]:
    """Read the account's settings."""
    return Settings.model_validate(_named((yield from _read_stored(server))))


def update(server: ServerInfo, changes: Mapping[str, Any]) -> Flow[Settings]:
    """Change some settings and keep all others; return all of them.

    Raises:
        InvalidRequestError: The server has no such setting, or the value is not one for it.
    """
    checked = _checked(changes)
    holder = _new_hold(server)
    yield from _take(server, holder)
    try:
        written = yield from _write(server, (yield from _read_stored(server)), checked)
    finally:
        holder.release()
    return Settings.model_validate(_named(written))


def _read_stored(server: ServerInfo) -> Flow[dict[str, Any]]:
    """Read all settings, under the names that the server stores them by."""
    dialect = yield from discovery.dialect(server)
    request = dialect.get_settings()
    return dialect.parse_settings((yield from send(server, request)), request)


def _write(
    server: ServerInfo, stored: dict[str, Any], changes: Mapping[str, Any]
) -> Flow[dict[str, Any]]:
    """Write all settings back, some of them changed; by model where a setting has models."""
    dialect = yield from discovery.dialect(server)
    for name in changes:
        if setting_key(name) not in stored:
            known = ", ".join(sorted(_named(stored)))
            raise InvalidRequestError(f"This server has no setting {name!r}. It has {known}.")
    merged = dict(stored)
    for name, value in changes.items():
        key = setting_key(name)
        if isinstance(value, Mapping):
            by_model = {**(stored[key] or {}), **value}
            value = {model: each for model, each in by_model.items() if each is not None}  # noqa: PLW2901
        merged[key] = value
    if merged != stored:
        request = dialect.change_settings(server.endpoint, merged)
        responses.check((yield from send(server, request)), request)
    return merged


def _named(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under the names of `Settings`, without those that it does not have."""
    names = {setting_key(name): name for name in Settings.model_fields}
    return {
        names[key]: value for key, value in stored.items() if key in names and value is not None
    }


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    for name in changes:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidRequestError(f"There is no setting {name!r}.{hint}")
    plain = {
        name: {model: each for model, each in value.items() if each is not None}
        if isinstance(value, Mapping)
        else value
        for name, value in changes.items()
        if value is not None or name != "billing_organization"
    }
    try:
        Settings.model_validate(plain, strict=True)
    except ValidationError as error:
        raise invalid(error) from None
    return dict(changes)


# --- for one message ------------------------------------------------------------------------------


def hold(server: ServerInfo, run: RunState) -> Flow[None]:
    """Give the account the settings that a message wants, before it is sent."""
    options = run.options
    if not options.changes_account:
        return
    held = run.settings_hold or run.hold_settings(_new_hold(server))
    yield from _take(server, held)
    stored = yield from _read_stored(server)
    wanted = _wanted(run.model, options)
    before = {name: _part(stored, name, value) for name, value in wanted.items()}
    if options.restores_settings and before != wanted:
        # Noted before they are sent: settings may have arrived though no response has.
        held.before = held.before or before
    yield from _write(server, stored, wanted)


def release(server: ServerInfo, run: RunState) -> Flow[None]:
    """Restore what was asked for, and let the next message have settings of its own.

    For a message whose settings the server has read, or that has failed.
    """
    held = run.settings_hold
    if held is None:
        return
    before, held.before = held.before, {}
    try:
        if before:
            yield from _write(server, (yield from _read_stored(server)), before)
    finally:
        held.release()


def _new_hold(server: ServerInfo) -> SettingsHold:
    lock: SettingsLock = server.settings_lock()
    return SettingsHold(lock.take, lock.release)


def _take(server: ServerInfo, holder: SettingsHold) -> Flow[None]:
    settling = server.policy.settings
    for _ in range(settling.looks):
        if holder.take():
            return
        yield from sleep(settling.pause, is_due=True)
    raise ConversationBusyError(
        "Other messages of this process hold the account's settings, and do not release them."
    )


def _wanted(model: str, options: AnswerOptions) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if options.reasoning_effort is not None:
        wanted["reasoning_effort_overrides"] = {model: options.reasoning_effort}
    if options.provider is not None:
        wanted["provider_overrides"] = {model: options.provider}
    if isinstance(options.artifacts, bool):
        wanted["artifacts_overrides"] = {model: options.artifacts}
    if options.bill_to is not None:
        wanted["billing_organization"] = options.bill_to
    return wanted


def _part(stored: Mapping[str, Any], name: str, value: Any) -> Any:
    """The present value of a setting, of the same models as the new value if that names models."""
    now = stored.get(setting_key(name))
    if isinstance(value, Mapping):
        return {model: (now or {}).get(model) for model in value}
    return now


def check(server: ServerInfo, model: str, options: AnswerOptions) -> Flow[None]:
    """Refuse what the model or the server cannot do, before anything is sent.

    Raises:
        InvalidRequestError: One of them cannot do what is wanted.
    """
    if not options.changes_account:
        return
    dialect = yield from discovery.dialect(server)
    dialect.require("reasoning_effort, provider, bill_to, or switch for artifacts")
    if options.reasoning_effort is not None:
        yield from _check_reasoning(server, model)
    if options.provider is not None:
        yield from _check_provider(server, model, options.provider)
    if options.bill_to is not None:
        yield from _check_payer(server, options.bill_to)


def _check_reasoning(server: ServerInfo, model: str) -> Flow[None]:
    catalog = yield from discovery.models(server)
    found = catalog.find(model)
    if found is None or found.supports_reasoning:
        return
    if (yield from read(server)).reasoning_overrides.get(model):
        return
    able = [each.id for each in catalog.models if each.supports_reasoning][:5]
    others = f" {', '.join(able)} can." if able else ""
    raise InvalidRequestError(f"{model!r} cannot reason, so it takes no reasoning_effort.{others}")


def _check_provider(server: ServerInfo, model: str, wanted: str) -> Flow[None]:
    details = yield from discovery.model_details(server, model)
    if not details.providers:
        raise InvalidRequestError(
            f"The server names no providers of {model!r}, so provider= cannot be chosen."
        )
    names = [*PROVIDER_CHOICES, *(provider.name for provider in details.providers)]
    if wanted not in names:
        raise InvalidRequestError(
            f"{model!r} is not served by {wanted!r}. Choose one of {', '.join(names)}."
        )


def _check_payer(server: ServerInfo, wanted: str) -> Flow[None]:
    if wanted == (yield from read(server)).billing_organization:
        return
    names = yield from billing_organizations(server)
    if wanted not in names:
        known = f"It can bill {', '.join(names)}." if names else "It bills no organisation."
        raise InvalidRequestError(f"The server cannot bill {wanted!r} for this account. {known}")


def billing_organizations(server: ServerInfo) -> Flow[list[str]]:
    """The organisations that may pay for the account's answers; none outside of HuggingChat."""
    dialect = yield from discovery.dialect(server)
    request = dialect.get_billing_organizations()
    if request is None:
        return []
    return dialect.parse_billing_organizations((yield from send(server, request)), request)
