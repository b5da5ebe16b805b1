"""What responses mean for a session: refreshes, the end, foreign cookies; and access tokens."""

from __future__ import annotations

import asyncio
import pickle
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    SessionExpired,
)
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import Cookie, read_cookies
from hfchat_base.auth.session import FoundSession, Session
from hfchat_base.auth.store import SessionStore
from tests.support.replay import RawRequest, RawServer, Wire, head, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    return Session(FoundSession("saved", saved.cookies, account="alice", saved=saved), URL)


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
    """The same value extends the session; that is saved from time to time."""
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
    """A session that the server has invalidated is marked so, and not used again."""
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
    """A program continues its conversation once somebody has logged in again."""
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
    """A late response of a former session does not harm the one that has replaced it."""
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
    """Where guests are allowed, an account does not silently become one."""
    session = Session(FoundSession("saved", (Cookie("hf-chat", "gone"),)), server.base_url)
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
    """A pickle would hold the cookies in plain text."""
    with pytest.raises(HuggingChatError, match="cannot be pickled"):
        pickle.dumps(session_of(saved_session()))


def test_token_is_sent_where_one_is_read() -> None:
    """Below /api/ an access token is sent as such, without a cookie."""

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
    """After a logout the cookie is no longer valid, and the file is gone."""
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


def test_logout_twice(server: LocalServer) -> None:
    """Logging out twice, or as a guest, is not an error."""
    with HuggingChat(server.base_url) as client:
        client.logout()
        client.logout()


def test_log_says_why_the_list_is_empty(
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


# --- what servers set, over the wire --------------------------------------------------------------

MODELS = b'{"json": [{"id": "a/b", "name": "a/b"}]}'
ALICE = b'{"json": {"id": "1", "username": "alice"}}'


class Setter:
    """A server that sets cookies with its first answer.

    Attributes:
        lines: The raw lines of its head.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def __call__(self, request: RawRequest, wire: Wire) -> None:
        """Say that there is a model, and that alice is in."""
        lines, self.lines = self.lines, []
        start = head(content_type="application/json")[:-2]
        wire.send(start, *(line + b"\r\n" for line in lines), b"\r\n")
        wire.send(MODELS if request.path.endswith("/models") else ALICE)


@pytest.fixture
def setter() -> Setter:
    """What a server sets."""
    return Setter()


@pytest.fixture
def raw_server(setter: Setter) -> Iterator[RawServer]:
    """The server that sets them."""
    with RawServer(setter) as server:
        yield server


def whoami_twice(url: str, cookies: Any) -> None:
    """Ask who we are, synchronously."""
    with HuggingChat(url, cookies) as client:
        client.whoami()
        client.whoami()


def whoami_twice_async(url: str, cookies: Any) -> None:
    """Ask who we are, asynchronously."""

    async def ask() -> None:
        async with AsyncHuggingChat(url, cookies) as client:
            await client.whoami()
            await client.whoami()

    asyncio.run(ask())


both = pytest.mark.parametrize("ask", [whoami_twice, whoami_twice_async])


@both
def test_nothing_is_smuggled(
    raw_server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A value with octal escapes for line breaks stays one value: no header, no request."""
    value = r'"\015\012x-evil: 1\015\012\015\012GET /evil HTTP/1.1\015\012"'
    setter.lines = [f"Set-Cookie: tracker={value}; Path=/".encode()]
    ask(raw_server.base_url, {"hf-chat": "mine"})
    assert "/evil" not in {request.path for request in raw_server.requests}
    assert all("x-evil" not in request.headers for request in raw_server.requests)
    assert raw_server.requests[-1].headers["cookie"] == f"hf-chat=mine; tracker={value}"


@both
def test_bytes_come_back_as_they_were(
    raw_server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A value is sent back byte for byte, in UTF-8 or not; unknown flags are not cookies."""
    setter.lines = [
        b"Set-Cookie: one=\xc3\xa0; Path=/; Secure; Partitioned; Priority=High",
        b"set-cookie: two=\xff\xe9; Path=/",
        b" Set-Cookie: folded=1; Path=/",
    ]
    ask(raw_server.base_url, {"hf-chat": "mine"})
    sent = raw_server.requests[-1].headers["cookie"].encode("latin-1")
    assert sent == b"hf-chat=mine; one=\xc3\xa0; two=\xff\xe9"


@both
def test_expiry_does_not_depend_on_the_clock_here(
    raw_server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A cookie lasts as long as it does for the server, also if its clock is decades behind."""
    setter.lines = [
        b"Date: Wed, 21 Oct 1998 07:28:00 GMT",
        b"Set-Cookie: a=fresh; Path=/; Expires=Wed, 21 Oct 1998 08:28:00 GMT",
        b"Set-Cookie: b=gone; Path=/; Expires=Wed, 21 Oct 1998 07:27:59 GMT",
    ]
    ask(raw_server.base_url, {"hf-chat": "mine", "b": "old"})
    assert raw_server.requests[-1].headers["cookie"] == "hf-chat=mine; a=fresh"


@both
def test_cookies_go_where_they_are_for(
    raw_server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """Paths are respected, the longest comes first, and deleted cookies are not sent."""
    setter.lines = [
        b"Set-Cookie: a=all; Path=/",
        b"Set-Cookie: a=user; Path=/api/v2/user",
        b"Set-Cookie: b=elsewhere; Path=/conversation",
        b"Set-Cookie: c=gone; Path=/; Max-Age=0",
        b"Set-Cookie: d=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ]
    ask(raw_server.base_url, {"hf-chat": "mine", "c": "old", "d": "old"})
    assert raw_server.requests[-1].path == "/api/v2/user"
    assert raw_server.requests[-1].headers["cookie"] == "a=user; hf-chat=mine; a=all"


@both
@pytest.mark.parametrize(
    "line",
    [
        b"Set-Cookie: hf-chat=mine; Path=/; Max-Age=0",
        b"Set-Cookie: hf-chat=; Path=/; Max-Age=0; Secure; SameSite=Lax",
        b"Set-Cookie: hf-chat=mine; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        b"Set-Cookie: hf-chat=other; Path=/; Partitioned",
    ],
)
def test_deleted_session_has_ended(
    raw_server: RawServer, setter: Setter, ask: Callable[[str, Any], None], line: bytes
) -> None:
    """A server that deletes the session's cookie has ended the session."""
    setter.lines = [line]
    with pytest.raises(SessionExpired, match="hfchat login"):
        ask(raw_server.base_url, {"hf-chat": "mine"})


@both
def test_expired_session_is_not_sent(
    raw_server: RawServer, ask: Callable[[str, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired session is reported as that, and nothing is asked as a guest."""
    now = time.time()
    cookie = Cookie("hf-chat", "mine", expires=now + DAY)
    session = Session(FoundSession("argument", (cookie,)), raw_server.base_url)
    monkeypatch.setattr(time, "time", lambda: now + 2 * DAY)
    with pytest.raises(SessionExpired, match="has expired"):
        ask(raw_server.base_url, session)
    assert raw_server.requests == []


# --- anything that anybody gives ------------------------------------------------------------------

CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")

PIECES: list[bytes] = [
    *(b"hf-chat", b"a", b"=", b";", b'"', b"\\015\\012", b"\\", b"\r\n", b"\0", b" ", b"\t", b","),
    *(b"Path", b"/", b"/chat", b"Domain", b"localhost", b"Max-Age", b"Expires", b"Secure", b"0"),
    *(b"Partitioned", b"Priority=High", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8"),
]
COOKIE_TEXT = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=16).map(b"".join)
)


@given(st.lists(COOKIE_TEXT, max_size=4), st.sampled_from(["/", "/conversation/1", "/x"]))
@settings(deadline=None)
def test_any_header(headers: list[bytes], path: str) -> None:
    """Whatever a server sets, no control character is sent, and cookies are saved unchanged."""
    endpoint = Endpoint.parse("http://localhost:9")
    session = Session(FoundSession("argument", (Cookie("hf-chat", "mine"),)), endpoint.base_url)
    texts = [header.decode("utf-8", "surrogateescape") for header in headers]
    with suppress(SessionExpired):
        session.absorb(texts, Request("POST", path), 200, session.epoch)
    with suppress(SessionExpired):
        sent = session.headers(Request("GET", path)).get("cookie", "")
        assert not CONTROL.search(sent)
        assert not re.search(rb"[\0-\x1f\x7f]", sent.encode("utf-8", "surrogateescape"))
        assert {"hf-chat=mine"} <= set(sent.split("; "))
    with tempfile.TemporaryDirectory() as folder:
        store = SessionStore(Path(folder))
        saved = store.save(endpoint.base_url, "alice", session.cookies())
        assert saved.cookies == session.cookies()
        assert store.find(endpoint.base_url, "alice") == saved


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3))
def test_any_cookies_of_a_caller(cookies: dict[str, str]) -> None:
    """What a caller gives is sent as it is, or refused as one of our errors."""
    endpoint = Endpoint.parse("http://localhost:9")
    with suppress(InvalidRequestError):
        session = Session(
            FoundSession("argument", tuple(read_cookies(cookies, endpoint))), endpoint.base_url
        )
        sent = session.headers(Request("GET", "/")).get("cookie", "")
        assert not CONTROL.search(sent)
        assert len(sent.split("; ")) >= len(session.cookies())
