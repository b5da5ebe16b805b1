"""What responses mean for a session: refreshes, the end, foreign cookies; and access tokens."""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    LoginRequired,
    SessionExpired,
)
from hfchat_base._protocol.http import Request
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.session import Found, Session
from hfchat_base.auth.store import SessionStore
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from hfchat_base.auth.store import SavedSession
    from hfchat_base.local import LocalServer

URL = "http://localhost:9"
SENT = Request("POST", "/conversation")
DAY = 86400.0


def saved_session(url: str = URL, value: str = "mine") -> SavedSession:
    """Somebody's saved session."""
    return SessionStore().save(url, "alice", [Cookie("hf-chat", value, expires=time.time() + DAY)])


def session_of(saved: SavedSession) -> Session:
    """The session that a client has of a saved one."""
    return Session(Found("saved", saved.cookies, account="alice", saved=saved), URL)


def on_disk(url: str = URL) -> SavedSession:
    """What is saved now."""
    found = SessionStore().find(url, "alice")
    assert found is not None
    return found


def test_refreshed_cookies_are_written_back() -> None:
    """A new value of the site's cookie is saved at once."""
    session = session_of(saved_session())
    session.absorb(
        ["hf-chat=mine; Path=/", "token=new; Domain=localhost; Path=/"], SENT, 200, session.epoch
    )
    values = {cookie.name: cookie.value for cookie in on_disk().cookies}
    assert values == {"hf-chat": "mine", "token": "new"}


def test_refresh_without_news_is_written_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same value extends the session's life; the disk hears of it from time to time."""
    saved = saved_session()
    session = session_of(saved)
    refreshed = "hf-chat=mine; Path=/; Max-Age=1209600"
    session.absorb([refreshed], SENT, 200, session.epoch)
    assert on_disk() == saved
    later = time.time() + 4000
    monkeypatch.setattr("hfchat_base.auth.session.time.time", lambda: later)
    session.absorb([refreshed], SENT, 200, session.epoch)
    expires = on_disk().cookies[0].expires
    assert expires is not None
    assert expires > time.time() + 13 * DAY


def test_end_of_a_session_is_saved() -> None:
    """A session that the server has thrown away is marked so, and not taken again."""
    session = session_of(saved_session())
    with pytest.raises(SessionExpired, match="hfchat login --base-url http://localhost:9"):
        session.absorb(["hf-chat=a-strangers; Path=/"], SENT, 200, session.epoch)
    assert on_disk().ended_at is not None
    assert [cookie.value for cookie in on_disk().cookies] == ["mine"]


def test_refused_session_is_marked() -> None:
    """A 401 ends a session too, whatever cookies come with it."""
    session = session_of(saved_session())
    session.absorb([], SENT, 401, session.epoch)
    assert on_disk().ended_at is not None


def test_login_elsewhere_is_noticed(closed: LocalServer) -> None:
    """A program goes on with its conversation once somebody has logged in again."""
    (first,) = closed.new_session("alice").values()
    saved_session(closed.base_url, first)
    with HuggingChat(closed.base_url) as client:
        conversation = client.create_conversation()
        conversation.send("hello")
        closed.end_all_sessions()
        with pytest.raises(SessionExpired):
            conversation.send("lost")
        (second,) = closed.new_session("alice").values()
        saved_session(closed.base_url, second)
        assert conversation.send("again").text == "You said: again"


def test_late_response_of_a_former_session(closed: LocalServer) -> None:
    """A response that is still on its way when somebody logs in again harms the new session not."""
    saved_session(closed.base_url, "lost")
    with HuggingChat(closed.base_url) as client:
        session = client.session
        former = session.epoch
        session.absorb([], SENT, 401, former)
        (value,) = closed.new_session("alice").values()
        saved_session(closed.base_url, value)
        assert session.epoch != former
        session.absorb(["hf-chat=strangers; Path=/"], SENT, 401, former)
        assert client.whoami() is not None
    assert on_disk(closed.base_url).is_usable


def test_lost_account_does_not_become_a_guest(server: LocalServer) -> None:
    """Where guests are let in, nobody becomes one without noticing."""
    session = Session(Found("saved", (Cookie("hf-chat", "gone"),)), server.base_url)
    with pytest.raises(SessionExpired):
        session.absorb(["hf-chat=new; Path=/"], SENT, 200, session.epoch)
    assert not session.is_guest


@pytest.mark.parametrize(
    "header",
    [
        "hf-chat=evil; Domain=example.com",
        "hf-chat=evil; Domain=evil.localhost",
        "hf-chat=" + "x" * 5000,
        "hf-chat",
        "=evil; hf-chat=evil",
        "",
    ],
)
def test_foreign_cookies_are_not_taken(header: str) -> None:
    """Cookies for others, too large ones and broken ones change nothing."""
    session = session_of(saved_session())
    session.absorb([header], SENT, 200, session.epoch)
    assert [(cookie.name, cookie.value) for cookie in session.cookies()] == [("hf-chat", "mine")]


def test_flood_of_cookies_is_bounded() -> None:
    """A server cannot make every later request large."""
    session = session_of(saved_session())
    session.absorb([f"c{number}=v; Path=/" for number in range(1000)], SENT, 200, session.epoch)
    assert len(session.cookies()) == 64


def test_sessions_are_not_pickled() -> None:
    """A pickle would hold the cookies in the clear."""
    with pytest.raises(HuggingChatError, match="not pickled"):
        pickle.dumps(session_of(saved_session()))


def test_token_goes_where_one_is_read() -> None:
    """Below /api/ an access token is sent as such, with no cookie beside it."""

    def answer(request: RawRequest, wire: Wire) -> None:
        is_list = request.path == "/api/v2/models"
        wire.send(
            whole('{"json": [{"id": "a/b", "name": "a/b"}]}' if is_list else '{"json": null}')
        )

    with RawServer(answer) as server, HuggingChat(server.base_url, "hf_secret") as client:
        assert client.whoami() is None
    assert "/api/v2/user" in [request.path for request in server.requests]
    for request in server.requests:
        assert request.headers["authorization"] == "Bearer hf_secret"
        assert "cookie" not in request.headers


def test_token_cannot_chat(server: LocalServer) -> None:
    """Chatting with an access token is refused before anything is sent, with advice."""
    with HuggingChat(server.base_url, "hf_secret") as client:
        client.get_models()
        server.clear_requests()
        with pytest.raises(LoginRequired, match="hfchat login") as caught:
            client.create_conversation("echo/base")
    assert not server.requests
    assert "hf_secret" not in str(caught.value)


def test_logout_ends_the_session_on_the_server(server: LocalServer) -> None:
    """After a logout the cookie is worth nothing, and the file is gone."""
    cookies = server.new_session("alice")
    saved_session(server.base_url, cookies["hf-chat"])
    with HuggingChat(server.base_url) as client:
        user = client.whoami()
        assert user is not None
        client.logout()
        assert client.whoami() is None
    assert SessionStore().find(server.base_url, None) is None
    with HuggingChat(server.base_url, cookies) as client:
        assert client.whoami() is None


async def test_logout_asynchronously(server: LocalServer) -> None:
    """The asynchronous client logs out as well."""
    cookies = server.new_session("alice")
    saved_session(server.base_url, cookies["hf-chat"])
    async with AsyncHuggingChat(server.base_url) as client:
        await client.logout()
        assert await client.whoami() is None
    assert SessionStore().find(server.base_url, None) is None


def test_logout_where_nobody_is_in(server: LocalServer) -> None:
    """Logging out twice, or as a guest, is no error."""
    with HuggingChat(server.base_url) as client:
        client.logout()
        client.logout()


def test_stranger_is_told_why_the_list_is_empty(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server answers a stale session with an empty list; that is found by asking who we are."""
    cookies = server.new_session("frank")
    with HuggingChat(server.base_url, cookies) as client:
        assert list(client.list_conversations()) == []
        assert "does not know this session" not in caplog.text
        server.end_session(cookies)
        assert list(client.list_conversations()) == []
    assert "does not know this session" in caplog.text
