"""Requests that no client should send: each is answered, and nothing of the server breaks."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.local_chat import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

    from hfchat_base.local import LocalServer

UNKNOWN: Final = "0" * 24
DEEP: Final = "[" * 100_000 + "]" * 100_000
HUGE: Final = "9" * 5000
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data; boundary=b"

BODIES: Final = [
    b"",
    b"null",
    b"1",
    b"true",
    b'"text"',
    b"[]",
    b"[null]",
    b"{}",
    b"{",
    b"NaN",
    b"1e999",
    b"-0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"model": "\xff"}',
    b'{"model": "\\ud800"}',
    "{}".encode("utf-16"),
    HUGE.encode(),
    DEEP.encode(),
    f'{{"a": {DEEP}}}'.encode(),
    b"a" * 70_000,
    b"\r\n\r\n",
    b"\0",
]
VALUES: Final = [
    "null",
    "0",
    "-1",
    "1.5",
    "1e999",
    "-1e999",
    "NaN",
    HUGE,
    "9" * 400,
    "true",
    '""',
    '" "',
    '"\\ud800"',
    '"\\r\\nx: y"',
    '"\\u0000"',
    '"../../x"',
    json.dumps("x" * 5000),
    "[]",
    "[[]]",
    "{}",
    '{"a": 1}',
    DEEP,
    "[" * 900 + "]" * 900,
]
KEYS: Final = {
    "POST /conversation": ["model", "preprompt", "fromShare"],
    "PATCH /conversation/{id}": ["title", "model"],
    "PATCH /api/v2/conversations/{id}": ["title", "model"],
    "POST /api/v2/conversations/import-share": ["shareId"],
    "POST /api/v2/user/settings": [
        "activeModel",
        "customPrompts",
        "customPromptsEnabled",
        "directPaste",
        "hidePromptExamples",
        "providerOverrides",
        "reasoningEffortOverrides",
        "welcomeModalSeen",
        "billingOrganization",
    ],
    "POST /conversation/{id}/stop-generating": ["generationId", "seenContentLength"],
    "POST /conversation/{id}/elicitation": ["elicitationId", "action", "content"],
}
MESSAGE_KEYS: Final = [
    "inputs",
    "id",
    "is_retry",
    "is_continue",
    "web_search",
    "generationId",
    "selectedMcpServerNames",
    "selectedMcpServers",
    "timezone",
]
ROUTES: Final = [
    "GET /",
    "GET /settings",
    "GET /login",
    "GET /login/callback",
    "POST /login/callback",
    "POST /logout",
    "GET /_idp/authorize",
    "POST /_idp/authorize",
    "GET /healthcheck",
    "GET /conversation",
    "POST /conversation",
    "GET /conversation/{id}",
    "POST /conversation/{id}",
    "PATCH /conversation/{id}",
    "DELETE /conversation/{id}/",
    "POST /conversation/{id}/share",
    "POST /conversation/{id}/stop-generating",
    "POST /conversation/{id}/elicitation",
    "GET /conversation/{id}/stream",
    "GET /conversation/{id}/output/{id}",
    "GET /conversation/{id}/__data.json",
    "GET /__data.json",
    "GET /r/{id}",
    "GET /api/models",
    "GET /api/user",
    "GET /api/conversations",
    "GET /api/conversation/{id}",
    "DELETE /api/conversation/{id}/message/{id}",
    "GET /api/assistants",
    "GET /api/tools/search",
    "GET /api/mcp/servers",
    "GET /api/v2/models",
    "GET /api/v2/models/{id}",
    "GET /api/v2/user",
    "GET /api/v2/user/settings",
    "POST /api/v2/user/settings",
    "GET /api/v2/feature-flags",
    "GET /api/v2/public-config",
    "GET /api/v2/conversations",
    "POST /api/v2/conversations/import-share",
    "GET /api/v2/conversations/{id}",
    "PATCH /api/v2/conversations/{id}",
    "DELETE /api/v2/conversations/{id}/message/{id}",
    "PUT /api/v2/conversations/{id}",
    "OPTIONS /conversation/{id}",
    "TRACE /",
]


@pytest.fixture(autouse=True)
def _clean_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test whose requests left an error in a log."""
    with caplog.at_level(logging.INFO, "uvicorn.error"), caplog.at_level(logging.INFO, "asyncio"):
        yield
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, errors[0].getMessage() + (errors[0].exc_text or "")


class Peer:
    """Sends the requests that it is given byte by byte, as somebody who has a conversation."""

    def __init__(self, chat: Chat) -> None:
        self.conversation = chat.create()
        self.session = chat.http.cookies["hf-chat"]
        url = httpx.URL(chat.server.base_url)
        self._address = (url.host, url.port or 80)
        self._host = f"{url.host}:{url.port}".encode()

    def ask(
        self, route: str, body: bytes = b"", media: str = JSON, *headers: bytes, query: str = ""
    ) -> httpx.Response:
        """Send a request, check that the answer is meant so, and return it."""
        method, _, path = route.replace("{id}", self.conversation).partition(" ")
        lines = [
            f"{method} {path}{query} HTTP/1.1".encode("latin-1"),
            b"host: " + self._host,
            b"connection: close",
            b"content-length: %d" % len(body),
            b"content-type: " + media.encode("latin-1"),
            *headers,
        ]
        given = b"".join(headers).lower()
        if b"cookie:" not in given:
            lines.append(f"cookie: hf-chat={self.session}".encode())
        if b"origin:" not in given:
            lines.append(b"origin: http://" + self._host)
        with socket.create_connection(self._address, timeout=30) as connection:
            connection.sendall(b"\r\n".join([*lines, b"", body]))
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        answer = _read(data)
        assert_is_meant(answer)
        return answer


def _read(data: bytes) -> httpx.Response:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = [line.partition(b": ")[::2] for line in lines]
    pairs = [(name, value) for name, value in pairs if name != b"transfer-encoding"]
    return httpx.Response(int(first.split(b" ")[1]), headers=pairs, content=body)


def assert_is_meant(answer: httpx.Response) -> None:
    """Tell an answer that is meant from that of a server which broke: that one has no error id."""
    if answer.status_code >= 500:
        assert "An error occurred" in answer.text or "Failed to create message" in answer.text


@pytest.fixture
def peer(either_chat: Chat) -> Peer:
    """Somebody at a server of each generation in turn."""
    return Peer(either_chat)


@pytest.mark.parametrize("route", ROUTES)
def test_bodies_that_are_none(peer: Peer, route: str) -> None:
    """No body breaks a route, whatever it calls itself."""
    others = (FORM, "text/plain", "", "\xff/\xff; charset=\xff", "multipart/")
    is_read = route.startswith(("POST", "PATCH"))
    for media in (JSON, MULTIPART, *(others if is_read else ())):
        for body in BODIES if is_read else BODIES[::6]:
            peer.ask(route, body, media)


@pytest.mark.parametrize("route", sorted(KEYS))
def test_values_of_a_wrong_kind(peer: Peer, route: str) -> None:
    """No value breaks a route, and none that was stored breaks those that show it."""
    for key in KEYS[route]:
        for value in VALUES:
            fields = {"model": '"echo/base"', "elicitationId": f'"{UNKNOWN}"', key: value}
            body = ", ".join(f'"{name}": {text}' for name, text in fields.items())
            peer.ask(route, f"{{{body}}}".encode())
    for shown in ("GET /", "GET /api/conversations", "GET /api/v2/user/settings"):
        assert peer.ask(shown).status_code == 200


def _form(data: str, *parts: str) -> bytes:
    fields = ['Content-Disposition: form-data; name="data"\r\n\r\n' + data, *parts]
    text = "".join(f"--b\r\n{field}\r\n" for field in fields) + "--b--\r\n"
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("key", MESSAGE_KEYS)
def test_messages_of_a_wrong_kind(peer: Peer, key: str) -> None:
    """No value of a message breaks anything, neither at once nor in the run."""
    for value in VALUES:
        fields = {"inputs": '"hi"', "id": f'"{UNKNOWN}"', key: value}
        body = ", ".join(f'"{name}": {text}' for name, text in fields.items())
        peer.ask("POST /conversation/{id}", _form(f"{{{body}}}"), MULTIPART)


@pytest.mark.parametrize(
    "part",
    [
        "",
        "\r\n",
        "Content-Disposition: form-data\r\n\r\nx",
        "Content-Disposition: attachment\r\n\r\nx",
        'Content-Disposition: form-data; name="data"\r\n\r\n{}',
        'Content-Disposition: form-data; name="files"\r\n\r\nx',
        'Content-Disposition: form-data; name="files"; filename="x"\r\n\r\nx',
        'Content-Disposition: form-data; name="files"; filename="base64;"\r\n\r\n@@@@',
        'Content-Disposition: form-data; name="files"; filename="base64;\u20ac"\r\n\r\nA',
        'Content-Disposition: form-data; name="files"; filename="hash;x"\r\n\r\n\ud800',
        *(
            f'Content-Disposition: form-data; name="files"; filename="base64;x"\r\n'
            f"Content-Type: {media}\r\n\r\nQUJD"
            for media in ("\u20ac/\u20ac", "text/plain\x01", "x" * 5000, "", "text/html")
        ),
        f"X: {'y' * 20_000}\r\n\r\nx",
        "no colon here",
    ],
)
def test_attachments_of_a_wrong_kind(either_chat: Chat, part: str) -> None:
    """No attachment breaks anything, neither at once, nor in the run, nor when it is fetched."""
    peer = Peer(either_chat)
    parent = either_chat.messages(peer.conversation)[0]["id"]
    data = json.dumps({"inputs": "hi", "id": parent})
    peer.ask("POST /conversation/{id}", _form(data, part), MULTIPART)
    for message in either_chat.messages(peer.conversation):
        for file in message.get("files", []):
            peer.ask(f"GET /conversation/{{id}}/output/{quote(file['value'])}")


@pytest.mark.parametrize(
    "media",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="',
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=b; charset=no-such",
        "multipart/form-data; boundary=\xff",
        "multipart/form-data;" * 100,
        "MULTIPART/FORM-DATA; boundary=b",
    ],
)
def test_forms_with_other_boundaries(peer: Peer, media: str) -> None:
    """A body that is not a form is rejected."""
    answer = peer.ask("POST /conversation/{id}", _form('{"inputs": "hi"}'), media)
    assert answer.status_code >= 400


def test_forms_that_end_early(peer: Peer) -> None:
    """A form is rejected wherever it is cut off."""
    whole = _form('{"inputs": "hi"}', 'Content-Disposition: form-data; name="files"\r\n\r\nx')
    for length in range(len(whole)):
        assert peer.ask("POST /conversation/{id}", whole[:length], MULTIPART).status_code >= 400


@pytest.mark.parametrize("name", ["p", "fromSeq", "generationId", "x-sveltekit-invalidated"])
@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "-9" * 100, "1.5", "1e9", HUGE, "NaN", "1&1", "+1"),
        *("%00", "%ff", "%", "%zz", "%C2%B2", "%E2%91%A0", "%D9%A1", "%0d%0ax:%20y"),
    ],
)
def test_numbers_that_are_none(peer: Peer, name: str, value: str) -> None:
    """No query breaks a route."""
    for route in (
        "GET /api/conversations",
        "GET /api/v2/conversations",
        "GET /conversation/{id}/stream",
        "GET /conversation/{id}/__data.json",
    ):
        assert peer.ask(route, query=f"?{name}={value}").status_code < 500


@pytest.mark.parametrize(
    "header",
    [
        *(b"last-event-id: " + value for value in (b"-5", HUGE.encode(), b"\xff", b"\xd9\xa1")),
        *(
            b"cookie: hf-chat=" + value
            for value in (
                b"",
                b"\xff\xfe",
                b'"a\\015\\012x: y"',
                b"%0d%0ax:%20y",
                b"a b",
                b"%",
                b"\x01",
            )
        ),
        b"cookie: hfChat-codeVerifier=\xff; hf-chat=" + UNKNOWN.encode(),
        b"cookie: =; ;; hf-chat",
        *(
            b"accept: " + value
            for value in (b"", b"\xff/\xff", b"*/*;q=1.2.3", b"a/b;q=" + b"9" * 400)
        ),
        b"accept: " + b",".join([b"a/b"] * 2000),
        b"authorization: Bearer \xff",
        b"origin: http://[",
        b"referer: \xff",
        b"transfer-encoding: identity",
        b"expect: 100-continue",
        b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x",
    ],
)
def test_headers_of_a_wrong_kind(peer: Peer, header: bytes) -> None:
    """No header breaks a route."""
    for route in (
        "GET /",
        "POST /conversation",
        "POST /conversation/{id}",
        "GET /conversation/{id}/stream",
        "GET /login",
        "GET /login/callback",
        "POST /logout",
    ):
        answer = peer.ask(route, b'{"model": "echo/base"}', JSON, header)
        assert "x" not in answer.headers


@pytest.mark.parametrize(
    "form",
    [
        "username=a&redirect_uri=x%0d%0aset-cookie:%20a=b&state=s",
        "username=a%0d%0ab&redirect_uri=x",
        "username=%ff&redirect_uri=%ff&state=%ff",
        "username=%E2%82%AC&redirect_uri=http://%E2%82%AC/",
        "username=a&redirect_uri=https://evil.example/&state=s",
        "username=a&redirect_uri=//evil.example/login/callback&state=s",
        "&=&&;",
        "username=" + "a" * 100_000,
        "username&redirect_uri",
        "\u20ac",
    ],
)
def test_login_forms_of_a_wrong_kind(peer: Peer, form: str) -> None:
    """A login leads back to the server, or nowhere."""
    answer = peer.ask("POST /_idp/authorize", form.encode(), FORM)
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


_text: SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(BODIES),
)
_json: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*MESSAGE_KEYS, *(key for keys in KEYS.values() for key in keys)]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)
_bodies: SearchStrategy[bytes] = st.one_of(
    _text,
    _json.map(lambda value: json.dumps(value).encode()),
    _json.map(lambda value: _form(json.dumps(value))),
)
_header = st.tuples(
    st.sampled_from(
        [b"accept", b"cookie", b"origin", b"last-event-id", b"authorization", b"range"]
    ),
    st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0")),
).map(lambda pair: pair[0] + b": " + pair[1])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(ROUTES),
    body=_bodies,
    media=st.sampled_from([JSON, FORM, MULTIPART, "text/plain", ""]),
    headers=st.lists(_header, max_size=2),
    query=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
)
def test_anything(
    peer: Peer, route: str, body: bytes, media: str, headers: list[bytes], query: str
) -> None:
    """Whatever comes is answered."""
    peer.ask(route, body, media, *headers, query=f"?{query.replace('#', '')}")


def test_server_still_answers(either_chat: Chat, server: LocalServer) -> None:
    """After all that a message is answered as ever."""
    assert server.base_url
    assert either_chat.ask("hi")[-1]["type"] in {"status", "finalAnswer"}
