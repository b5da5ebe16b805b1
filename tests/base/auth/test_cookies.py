"""Cookies in every form that people have them in."""

from __future__ import annotations

import http.cookiejar
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import InvalidRequestError
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import Cookie, is_access_token, read_cookies, select

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
        ({"hf-chat": "a\r\nb"}, "no cookie can"),
        (json.dumps(EXPORT[2:]), "no cookie for huggingface.co"),
        (json.dumps([{**EXPORT[0], "expires": 1}]), "have run out"),
        (Path("/nowhere/secret.txt"), "cannot be read"),
    ],
)
def test_what_is_none_of_them(source: Any, message: str) -> None:
    """What cannot be read is refused in words that hold none of it."""
    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_cookies(source, HUGGINGCHAT)
    assert caught.value.__cause__ is None
    assert "broken secret" not in str(caught.value)


def test_file_of_another_kind(tmp_path: Path) -> None:
    """A file that holds no cookies is refused by name."""
    path = written("just text\n")(tmp_path)
    with pytest.raises(InvalidRequestError, match="no Netscape or JSON cookie file"):
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
    """Host and path have to fit, and the time not to have run out."""
    assert bool(select([cookie], HUGGINGCHAT)) == fits


def test_the_most_exact_cookie_is_sent() -> None:
    """Of two with one name it is the one that is meant for this very place."""
    general = Cookie("token", "general", ".huggingface.co")
    exact = Cookie("token", "exact", "huggingface.co", "/chat")
    assert select([exact, general], HUGGINGCHAT) == [exact]


def test_end_of_a_browsers_session_is_no_time() -> None:
    """Extensions and Netscape files write 0 or -1 where no time is set."""
    (cookie,) = read_cookies(json.dumps([{**EXPORT[0], "expires": -1}]), HUGGINGCHAT)
    assert cookie.expires is None
    assert not cookie.has_expired
    assert Cookie("a", "v", expires=time.time() - 1).has_expired


def test_access_tokens_are_told_apart() -> None:
    """A token is no cookie, and a cookie with its value is one."""
    assert is_access_token(" hf_abc ")
    assert not is_access_token("token=hf_abc")
    assert not is_access_token({"token": "hf_abc"})
