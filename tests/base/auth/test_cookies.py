"""Cookies in every form that people have them in, and as servers set them."""

from __future__ import annotations

import http.cookiejar
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import InvalidRequestError
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import (
    Cookie,
    by_name,
    is_access_token,
    parse_set_cookie,
    read_cookies,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HUGGINGCHAT = Endpoint.parse("https://huggingface.co/chat")
PAIR = {"hf-chat": "one", "token": "two"}

EXPORT: list[dict[str, Any]] = [
    {"name": "hf-chat", "value": "one", "domain": "huggingface.co", "path": "/"},
    {"name": "token", "value": "two", "domain": ".huggingface.co", "expirationDate": 4e9},
    {"name": "hf-chat", "value": "other", "domain": "example.com"},
]
NETSCAPE = (
    "# Netscape HTTP Cookie File\n\n"
    "#HttpOnly_huggingface.co\tFALSE\t/\tTRUE\t4000000000\thf-chat\tone\n"
    ".huggingface.co\tTRUE\t/\tTRUE\t0\ttoken\ttwo\n"
    "example.com\tFALSE\t/\tTRUE\t0\thf-chat\tother\n"
)


def jar() -> http.cookiejar.CookieJar:
    """A jar with the cookies of two sites."""
    result = http.cookiejar.CookieJar()
    for domain, name, value in (
        ("huggingface.co", "hf-chat", "one"),
        (".huggingface.co", "token", "two"),
        ("example.com", "hf-chat", "other"),
    ):
        result.set_cookie(
            http.cookiejar.Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain=domain,
                domain_specified=True,
                domain_initial_dot=domain.startswith("."),
                path="/",
                path_specified=True,
                secure=True,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )
    return result


def written(text: str) -> Callable[[Path], Path]:
    """A file with a text."""

    def write(folder: Path) -> Path:
        path = folder / "cookies"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda _: PAIR, id="dict"),
        pytest.param(lambda _: "hf-chat=one; token=two", id="header"),
        pytest.param(lambda _: "Cookie: hf-chat=one; token=two", id="header with its name"),
        pytest.param(lambda _: json.dumps(PAIR), id="JSON object"),
        pytest.param(lambda _: json.dumps(EXPORT), id="browser extension"),
        pytest.param(lambda _: json.dumps({"cookies": EXPORT}), id="storage state"),
        pytest.param(lambda _: NETSCAPE, id="Netscape text"),
        pytest.param(lambda _: jar(), id="cookie jar"),
        pytest.param(written(NETSCAPE), id="Netscape file"),
        pytest.param(written("\ufeff" + NETSCAPE.partition("\n")[2]), id="without its first line"),
        pytest.param(written(json.dumps(EXPORT)), id="JSON file"),
        pytest.param(lambda folder: str(written(NETSCAPE)(folder)), id="path as text"),
    ],
)
def test_forms(form: Callable[[Path], Any], tmp_path: Path) -> None:
    """Each form gives both cookies of the site, and none of another one."""
    found = read_cookies(form(tmp_path), HUGGINGCHAT)
    assert {cookie.name: cookie.value for cookie in found} == PAIR


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nonsense", "name=value"),
        ("{broken secret", "look like JSON"),
        ("[]", "no cookie for huggingface.co"),
        ({}, "no cookie for huggingface.co"),
        ({"hf-chat": "a\r\nb"}, "cookies cannot hold"),
        (json.dumps(EXPORT[2:]), "no cookie for huggingface.co"),
        (json.dumps([{**EXPORT[0], "expires": 1}]), "have expired"),
        (Path("/nowhere/secret.txt"), "cannot be read"),
    ],
)
def test_input_that_cannot_be_read(source: Any, message: str) -> None:
    """Input that cannot be read is refused, and the error does not quote it."""
    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_cookies(source, HUGGINGCHAT)
    assert caught.value.__cause__ is None
    assert "broken secret" not in str(caught.value)


def test_file_of_another_kind(tmp_path: Path) -> None:
    """A file that holds no cookies is refused, and the error names it."""
    path = written("just text\n")(tmp_path)
    with pytest.raises(InvalidRequestError, match="not a Netscape or JSON cookie file"):
        read_cookies(path, HUGGINGCHAT)


@pytest.mark.parametrize(
    ("cookie", "fits"),
    [
        (Cookie("a", "v", "huggingface.co"), True),
        (Cookie("a", "v", ".huggingface.co"), True),
        (Cookie("a", "v", "chat.huggingface.co"), False),
        (Cookie("a", "v", "gface.co"), False),
        (Cookie("a", "v", "huggingface.co", "/chat"), True),
        (Cookie("a", "v", "huggingface.co", "/chat/"), True),
        (Cookie("a", "v", "huggingface.co", "/chatter"), False),
        (Cookie("a", "v", "huggingface.co", "/other"), False),
        (Cookie("a", "v", "huggingface.co", expires=1.0), False),
        (Cookie("a", "v"), True),
    ],
)
def test_which_cookies_go_to_a_server(cookie: Cookie, fits: bool) -> None:
    """Host and path have to match, and the cookie must not have expired."""
    assert bool(select([cookie], HUGGINGCHAT)) == fits


def test_the_most_exact_cookie_is_sent_first() -> None:
    """Of two cookies with one name the more specific one comes first, as servers read that one."""
    general = Cookie("token", "general", ".huggingface.co")
    exact = Cookie("token", "exact", "huggingface.co", "/chat")
    assert select([general, exact], HUGGINGCHAT) == [exact, general]
    assert by_name([exact, general]) == {"token": "exact"}


@pytest.mark.parametrize(
    ("domain", "host", "fits"),
    [
        ("example.com", "example.com", True),
        ("example.com", "chat.example.com", False),
        (".example.com", "chat.example.com", True),
        (".example.com", "example.com", True),
        (".EXAMPLE.com", "example.com", True),
        (".ample.com", "example.com", False),
        (".0.0.1", "127.0.0.1", False),
        ("", "127.0.0.1", True),
    ],
)
def test_hosts(domain: str, host: str, fits: bool) -> None:
    """Only a domain with a leading dot includes the hosts below it."""
    assert bool(select([Cookie("a", "v", domain)], Endpoint.parse(f"https://{host}"))) == fits


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://chat.example.com", True),
        ("http://chat.example.com", False),
        ("http://localhost:3000", True),
        ("http://chat.localhost", True),
        ("http://127.0.0.1:3000", True),
        ("http://[::1]:3000", True),
        ("http://192.168.0.1:3000", False),
    ],
)
def test_secure_cookies(url: str, fits: bool) -> None:
    """A secure cookie goes over TLS only, and to this machine itself, as in browsers."""
    assert bool(select([Cookie("a", "v", secure=True)], Endpoint.parse(url))) == fits


def test_secure_cookies_without_tls() -> None:
    """If all cookies are secure and the address is not, the error says so."""
    row = {"name": "hf-chat", "value": "one", "domain": "chat.example.com", "secure": True}
    with pytest.raises(InvalidRequestError, match="over https:// only"):
        read_cookies(json.dumps([row]), Endpoint.parse("http://chat.example.com"))


@pytest.mark.parametrize(
    ("subdomains", "expected"), [("TRUE", ".example.com"), ("FALSE", "example.com")]
)
def test_columns_of_a_netscape_file(subdomains: str, expected: str) -> None:
    """The columns for subdomains, path, secure and expiry are all read."""
    text = f"example.com\t{subdomains}\t/chat\tTRUE\t4000000000\ta\tb\u2028c\n"
    (cookie,) = read_cookies(text, Endpoint.parse("https://example.com/chat"))
    assert cookie == Cookie("a", "b\u2028c", expected, "/chat", 4e9, secure=True)


@pytest.mark.parametrize(("is_host_only", "count"), [(True, 0), (False, 1)])
def test_export_tells_whether_hosts_below_are_meant(is_host_only: bool, count: int) -> None:
    """Browser extensions mark cookies for one host only with ``hostOnly``."""
    rows: list[dict[str, Any]] = [
        {"name": "a", "value": "b", "domain": "example.com", "hostOnly": is_host_only},
        {"name": "c", "value": "d", "domain": "chat.example.com", "secure": True},
    ]
    found = read_cookies(json.dumps(rows), Endpoint.parse("https://chat.example.com"))
    assert [cookie.name for cookie in found if cookie.name == "a"] == ["a"] * count


@pytest.mark.parametrize("host", ["localhost", "printer.local"])
def test_jar_of_a_host_of_this_network(host: str) -> None:
    """A cookie jar writes ``localhost.local`` for localhost; other such names are unchanged."""
    cookies = jar()
    for cookie in cookies:
        cookie.domain = "localhost.local" if host == "localhost" else host
        cookie.secure = False
    found = read_cookies(cookies, Endpoint.parse(f"http://{host}:3000"))
    assert "token" in {cookie.name for cookie in found}


def test_header_with_one_name_twice() -> None:
    """Browsers send the most specific cookie first, and that one is used."""
    (cookie,) = read_cookies("cookie: a=exact; a=general", HUGGINGCHAT)
    assert cookie.value == "exact"


FORBIDDEN = ["\r\n", "\0", "\t", "\x1b", "\x7f", "\x85", ";", "\ud800"]


@pytest.mark.parametrize("text", FORBIDDEN)
@pytest.mark.parametrize(
    "form",
    [
        lambda value: {"a": value},
        lambda value: json.dumps({"a": value}),
        lambda value: json.dumps([{"name": "a", "value": value, "domain": "huggingface.co"}]),
        lambda value: json.dumps([{"name": value, "value": "a", "domain": "huggingface.co"}]),
    ],
    ids=["dict", "JSON object", "export", "name"],
)
def test_what_no_cookie_can_hold(form: Callable[[str], Any], text: str) -> None:
    """In every form, characters that would break out of the header are refused and not quoted."""
    with pytest.raises(InvalidRequestError, match="cookies cannot hold"):
        read_cookies(form(f"b{text}c"), HUGGINGCHAT)


@pytest.mark.parametrize(
    "value", ['"a b"', "a,b", "a\\b", r"\015\012", "a=b==", "\u00e9", "%0d%0a"]
)
def test_values_are_taken_as_they_are(value: str) -> None:
    """Quotes, spaces, commas, backslashes and other scripts are what browsers send, too."""
    (cookie,) = read_cookies({"a": value}, HUGGINGCHAT)
    assert cookie.value == value


def test_other_sites_do_not_matter() -> None:
    """Cookies of other sites in an export are ignored, whatever they hold."""
    rows = [*EXPORT[:1], {"name": "x\r\n", "value": "y\0", "domain": "example.com"}]
    assert [cookie.name for cookie in read_cookies(json.dumps(rows), HUGGINGCHAT)] == ["hf-chat"]


@pytest.mark.parametrize("expires", [float("nan"), float("inf"), 10**400, "soon", None, {}])
def test_expiry_that_is_not_a_time(expires: Any) -> None:
    """An expiry that is not a time is ignored."""
    row = json.dumps([{**EXPORT[0], "expires": expires}])
    (cookie,) = read_cookies(row, HUGGINGCHAT)
    assert cookie.expires is None


def test_end_of_a_browsers_session_is_no_time() -> None:
    """Extensions and Netscape files write 0 or -1 where no time is set."""
    (cookie,) = read_cookies(json.dumps([{**EXPORT[0], "expires": -1}]), HUGGINGCHAT)
    assert cookie.expires is None
    assert not cookie.has_expired
    assert Cookie("a", "v", expires=time.time() - 1).has_expired


def test_access_tokens_are_told_apart() -> None:
    """An access token is not a cookie, but a cookie may hold one as its value."""
    assert is_access_token(" hf_abc ")
    assert not is_access_token("token=hf_abc")
    assert not is_access_token({"token": "hf_abc"})


# --- what servers set -----------------------------------------------------------------------------

CHAT = Endpoint.parse("https://chat.example.com/chat")
PATH = "/chat/conversation/1"
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
    """Name and value are kept as they are; unknown flags and attributes are ignored."""
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
def test_ignored_cookies(header: str) -> None:
    """Control characters, other hosts' cookies, too long ones and false prefixes are ignored."""
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
    """Without a domain a cookie is for the exact host, with one also for all hosts below it."""
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
    """Without a path a cookie is for the folder of the requested path."""
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
    """An age overrides a date, and dates come in many forms."""
    cookie = read(f"a=b{attributes}")
    assert cookie is not None
    assert cookie.expires == expires


@pytest.mark.parametrize(("age", "days"), [(str(5 * DAY), 5), ("9" * 1000, 400)])
def test_age_is_counted_from_now(age: str, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An age is in seconds from now, and at most 400 days."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    cookie = read(f"a=b; Max-Age={age}")
    assert cookie is not None
    assert cookie.expires == 1000.0 + days * DAY


@pytest.mark.parametrize(
    ("expires", "date", "counted"),
    [
        ("Wed, 21 Oct 2065 08:28:00 GMT", "Wed, 21 Oct 2065 07:28:00 GMT", 1000.0 + 3600),
        ("Wed, 21 Oct 1998 08:28:00 GMT", "Wed, 21 Oct 1998 07:28:00 GMT", 1000.0 + 3600),
        ("Wed, 21 Oct 1998 07:27:00 GMT", "Wed, 21 Oct 1998 07:28:00 GMT", 1000.0 - 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 21 Oct 1998 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", "yesterday", 3023335680.0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", "", 3023335680.0),
        ("tomorrow", "Wed, 21 Oct 1998 07:28:00 GMT", None),
    ],
)
def test_date_is_counted_from_the_date_of_the_response(
    expires: str, date: str, counted: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date is read on the clock of the server that wrote it, if the response shows that."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    cookie = parse_set_cookie(f"a=b; Expires={expires}", CHAT, PATH, date=date)
    assert cookie is not None
    assert cookie.expires == counted
