"""Who may change the account's settings, and for how long."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import HuggingChat, HuggingChatError
from hfchat_base._flows.run_state import SettingsHold
from hfchat_base._flows.settings import SettingsLock
from tests.support.faults.fault_server import SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead, Nothing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from hfchat_base.local import LocalServer
    from tests.support.attempts import Try
    from tests.support.faults.origins import Source

THINKER = "think/effort"
SETTINGS = "/api/v2/user/settings"


def holder(lock: SettingsLock) -> SettingsHold:
    """One who may take a lock."""
    return SettingsHold(lock.take, lock.release)


def test_lock_has_one_holder() -> None:
    """Whoever has the lock may take it again; others have to wait until it is released."""
    lock = SettingsLock()
    one, other = holder(lock), holder(lock)
    assert one.take()
    assert one.take()
    assert not other.take()
    other.release()
    assert not other.take()
    one.release()
    assert other.take()


def test_holder_that_is_dropped() -> None:
    """A holder that is gone holds up nobody."""
    lock = SettingsLock()
    dropped = holder(lock)
    assert dropped.take()
    del dropped
    gc.collect()
    assert holder(lock).take()


def test_account_is_known_by_its_session() -> None:
    """A gateway's cookies, which change at will, do not make another account."""
    base_url = "http://127.0.0.1:9/chat"
    session = "one-account"
    with (
        HuggingChat(base_url, {"hf-chat": session, "AWSALB": "one"}) as one,
        HuggingChat(base_url, {"hf-chat": session, "AWSALB": "other"}) as other,
        HuggingChat(base_url, {"hf-chat": "another-account", "AWSALB": "one"}) as stranger,
    ):
        lock = one.server.settings_lock()
        assert other.server.settings_lock() is lock
        assert stranger.server.settings_lock() is not lock


class WhileHeld:
    """Passes a request on, after somebody else has tried to take the account's settings.

    Args:
        lock: The account's.
    """

    def __init__(self, lock: SettingsLock) -> None:
        self._lock = lock
        self.taken: list[bool] = []

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Try, and pass the response on."""
        self.taken.append(holder(self._lock).take())
        Nothing().meet(client, ask)


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "refused"])
def test_others_wait_until_settings_are_restored(
    fails: bool, current_server: LocalServer, attempt: Try
) -> None:
    """A message has the settings to itself until they are restored, also if it is refused."""
    cookies = {"hf-chat": f"restoring-{fails}-{attempt.__name__}"}
    with FaultServer(current_server.base_url) as proxy:
        with HuggingChat(proxy.url, cookies) as another:
            lock: SettingsLock = another.server.settings_lock()
        other = WhileHeld(lock)
        proxy.on(f"POST {SETTINGS}", Nothing(), other)
        if fails:
            proxy.on(SEND, Instead(response(b'{"message":"no"}', status="400 Bad Request")))

        def ask(client: Any) -> Any:
            return client.chat(
                "Hello.", model=THINKER, reasoning_effort="low", restores_settings=True
            )

        with pytest.raises(HuggingChatError) if fails else nullcontext():
            attempt(proxy.url, ask, cookies=cookies)
    assert other.taken == [False]
    assert holder(lock).take()
