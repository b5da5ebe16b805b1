"""`Set-Cookie` is read as browsers read it, and nothing of it breaks out of its place."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfchat_base import AsyncHuggingChat, HuggingChat, InvalidRequestError, SessionExpired
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import Cookie, read_cookies
from hfchat_base.auth.session import Found, Session
from hfchat_base.auth.set_cookie import parse_set_cookie
from hfchat_base.auth.store import SessionStore
from tests.support.replay import RawRequest, RawServer, Wire, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHAT = Endpoint.parse("https://chat.example.com/chat")
PATH = "/chat/conversation/1"
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
DAY = 86400


def read(header: str, endpoint: Endpoint = CHAT) -> Cookie | None:
    """Read one header of an answer to a message."""
    return parse_set_cookie(header, endpoint, PATH)


@pytest.mark.parametrize(
    ("header", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("  a \t=\t b  ", "a", "b"),
        ("a=b=c==", "a", "b=c=="),
        ("a=", "a", ""),
        ("a=b; Secure; Partitioned; SameSite=None", "a", "b"),
        ("a=b; Priority=High; Path=/", "a", "b"),
        ("a=b; Unknown; =x; ;; Other=1", "a", "b"),
        ('a="b c"; Path=/', "a", '"b c"'),
        ("a=b c, d; Path=/", "a", "b c, d"),
        (r'a="\015\012X-Evil: 1"; Path=/', "a", r'"\015\012X-Evil: 1"'),
        (r"a=b\c", "a", r"b\c"),
        ("a=\u00e9\u2028", "a", "\u00e9\u2028"),
        ("a=\udce9", "a", "\udce9"),
        ("a b=c", "a b", "c"),
        ("a=" + "x" * 4095, "a", "x" * 4095),
    ],
)
def test_name_and_value(header: str, name: str, value: str) -> None:
    """Name and value are taken as they are; flags and attributes that nobody knows do no harm."""
    cookie = read(header)
    assert cookie is not None
    assert (cookie.name, cookie.value) == (name, value)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "a",
        "=b",
        "a; b=c",
        "a=b\r\nX: y",
        "a=b\0",
        "a=b; Path=/\x01",
        "a=b\tc",
        "a=b\x7f",
        "a=b\x85",
        "a\x1b=b",
        "a=" + "x" * 4096,
        "a=" + "\u00e9" * 2048,
        "a=b; Domain=other.com",
        "a=b; Domain=sub.chat.example.com",
        "a=b; Domain=ample.com",
        "__Secure-a=b",
        "__Host-a=b; Secure",
        "__Host-a=b; Secure; Path=/chat",
        "__host-a=b; Secure; Path=/; Domain=chat.example.com",
    ],
)
def test_what_is_ignored(header: str) -> None:
    """Control characters, cookies for others, too long ones and false prefixes are not taken."""
    assert read(header) is None


@pytest.mark.parametrize(
    ("attributes", "domain"),
    [
        ("", "chat.example.com"),
        ("; Domain=", "chat.example.com"),
        ("; Domain=chat.example.com", ".chat.example.com"),
        ("; domain = .EXAMPLE.com ", ".example.com"),
        ("; Domain=other.com; Domain=example.com", ".example.com"),
        ("; Domain=" + "x" * 1025, "chat.example.com"),
    ],
)
def test_domain(attributes: str, domain: str) -> None:
    """Without a domain a cookie is for the very host, with one also for all hosts below it."""
    cookie = read(f"a=b{attributes}")
    assert cookie is not None
    assert cookie.domain == domain


@pytest.mark.parametrize(
    ("host", "domain", "is_taken"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.1", False),
        ("[::1]", "::1", True),
        ("localhost", "localhost", True),
        ("a.localhost", "localhost", True),
    ],
)
def test_domain_of_an_address(host: str, domain: str, is_taken: bool) -> None:
    """There is nothing below an IP address."""
    endpoint = Endpoint.parse(f"http://{host}:3000")
    assert (read(f"a=b; Domain={domain}", endpoint) is not None) == is_taken


@pytest.mark.parametrize(
    ("attributes", "path"),
    [
        ("", "/chat/conversation"),
        ("; Path=", "/chat/conversation"),
        ("; Path=chat", "/chat/conversation"),
        ("; Path=/", "/"),
        ("; PATH = /chat ", "/chat"),
        ("; Path=/x; Path=/y", "/y"),
    ],
)
def test_path(attributes: str, path: str) -> None:
    """Without a path a cookie is for the folder of what was asked."""
    cookie = read(f"a=b{attributes}")
    assert cookie is not None
    assert cookie.path == path


@pytest.mark.parametrize(
    ("attributes", "expires"),
    [
        ("", None),
        ("; Expires=Wed, 21 Oct 2065 07:28:00 GMT", 3023335680.0),
        ("; Expires=Wed, 21-Oct-2065 07:28:00 GMT", 3023335680.0),
        ("; Expires=Wednesday, 21-Oct-65 07:28:00 GMT", 3023335680.0),
        ("; Expires=Wed Oct 21 07:28:00 2065", 3023335680.0),
        ("; Expires=07:28:00 21 October 2065 +0900", 3023335680.0),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("; Expires=Thu, 01-Jan-70 00:00:01 GMT", 1.0),
        ("; Expires=Mon, 30 Feb 2065 00:00:00 GMT", None),
        ("; Expires=Wed, 21 Oct 2065 24:00:00 GMT", None),
        ("; Expires=Wed, 21 Oct 1600 07:28:00 GMT", None),
        ("; Expires=tomorrow", None),
        ("; Expires=0", None),
        ("; Max-Age=0", 0.0),
        ("; Max-Age=-1", 0.0),
        ("; Max-Age=0; Expires=Wed, 21 Oct 2065 07:28:00 GMT", 0.0),
        ("; Max-Age=x; Expires=Wed, 21 Oct 2065 07:28:00 GMT", 3023335680.0),
        ("; Max-Age=+5", None),
        ("; Max-Age=1e9", None),
        ("; Max-Age=1.5", None),
        ("; Max-Age=\u0661", None),
    ],
)
def test_expiry(attributes: str, expires: float | None) -> None:
    """An age counts more than a date, and dates come in many forms."""
    cookie = read(f"a=b{attributes}")
    assert cookie is not None
    assert cookie.expires == expires


@pytest.mark.parametrize(("age", "days"), [(str(5 * DAY), 5), ("9" * 1000, 400)])
def test_age_is_counted_from_now(age: str, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An age is in seconds from now, and cut to 400 days."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    cookie = read(f"a=b; Max-Age={age}")
    assert cookie is not None
    assert cookie.expires == 1000.0 + days * DAY


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
    """Whatever a server sets, what is sent holds no control character, and is saved as it is."""
    endpoint = Endpoint.parse("http://localhost:9")
    session = Session(Found("argument", (Cookie("hf-chat", "mine"),)), endpoint.base_url)
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
            Found("argument", tuple(read_cookies(cookies, endpoint))), endpoint.base_url
        )
        sent = session.headers(Request("GET", "/")).get("cookie", "")
        assert not CONTROL.search(sent)
        assert len(sent.split("; ")) >= len(session.cookies())


# --- over the wire --------------------------------------------------------------------------------

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
def server(setter: Setter) -> Iterator[RawServer]:
    """The server."""
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
    server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A value with octal escapes for line breaks stays one value: no header, no request."""
    value = r'"\015\012x-evil: 1\015\012\015\012GET /evil HTTP/1.1\015\012"'
    setter.lines = [f"Set-Cookie: tracker={value}; Path=/".encode()]
    ask(server.base_url, {"hf-chat": "mine"})
    assert "/evil" not in {request.path for request in server.requests}
    assert all("x-evil" not in request.headers for request in server.requests)
    assert server.requests[-1].headers["cookie"] == f"hf-chat=mine; tracker={value}"


@both
def test_bytes_come_back_as_they_were(
    server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A value is sent back byte for byte, in UTF-8 or not; unknown flags are no cookies."""
    setter.lines = [
        b"Set-Cookie: one=\xc3\xa0; Path=/; Secure; Partitioned; Priority=High",
        b"set-cookie: two=\xff\xe9; Path=/",
        b" Set-Cookie: folded=1; Path=/",
    ]
    ask(server.base_url, {"hf-chat": "mine"})
    sent = server.requests[-1].headers["cookie"].encode("latin-1")
    assert sent == b"hf-chat=mine; one=\xc3\xa0; two=\xff\xe9"


@both
def test_cookies_go_where_they_are_for(
    server: RawServer, setter: Setter, ask: Callable[[str, Any], None]
) -> None:
    """A path is kept to, the longest comes first, and a cookie that is deleted is not sent."""
    setter.lines = [
        b"Set-Cookie: a=all; Path=/",
        b"Set-Cookie: a=user; Path=/api/v2/user",
        b"Set-Cookie: b=elsewhere; Path=/conversation",
        b"Set-Cookie: c=gone; Path=/; Max-Age=0",
        b"Set-Cookie: d=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ]
    ask(server.base_url, {"hf-chat": "mine", "c": "old", "d": "old"})
    assert server.requests[-1].path == "/api/v2/user"
    assert server.requests[-1].headers["cookie"] == "a=user; hf-chat=mine; a=all"


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
    server: RawServer, setter: Setter, ask: Callable[[str, Any], None], line: bytes
) -> None:
    """A server that deletes the session's cookie has ended the session."""
    setter.lines = [line]
    with pytest.raises(SessionExpired, match="hfchat login"):
        ask(server.base_url, {"hf-chat": "mine"})


@both
def test_expired_session_is_not_sent(
    server: RawServer, ask: Callable[[str, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose time has run out is told as that, and nothing is asked as a stranger."""
    now = time.time()
    cookie = Cookie("hf-chat", "mine", expires=now + DAY)
    session = Session(Found("argument", (cookie,)), server.base_url)
    monkeypatch.setattr(time, "time", lambda: now + 2 * DAY)
    with pytest.raises(SessionExpired, match="run out"):
        ask(server.base_url, session)
    assert server.requests == []
