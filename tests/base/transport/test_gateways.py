"""What may be between a client and its server: proxies, gateways, a private authority."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hfchat_base import HuggingChat, User
from hfchat_base.errors import ProxyError, TLSError
from tests.support.replay import RawRequest, RawServer, Wire, whole
from tests.support.socks import SocksProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfchat_base.local import LocalServer

COOKIES = {"hf-chat": "mine"}
ALICE = '{"json": {"id": "1", "username": "alice"}}'
MODELS = '{"json": [{"id": "a/b", "name": "a/b"}]}'


def answer(request: RawRequest, wire: Wire) -> None:
    """Answer as a server that knows alice."""
    wire.send(whole(MODELS if request.path.endswith("/models") else ALICE))


def test_http_proxy_with_a_password() -> None:
    """Requests go to the proxy, with its password and for the server's address."""
    with (
        RawServer(answer) as proxy,
        HuggingChat(
            "http://chat.invalid/chat",
            COOKIES,
            proxy=proxy.base_url.replace("//", "//user:pass@"),
        ) as client,
    ):
        user = client.whoami()
    assert isinstance(user, User)
    assert {request.path for request in proxy.requests} >= {
        "http://chat.invalid/chat/api/v2/user",
    }
    expected = f"Basic {base64.b64encode(b'user:pass').decode()}"
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {expected}


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument, the environment's proxy is used."""
    with RawServer(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        with HuggingChat("http://chat.invalid", COOKIES) as client:
            assert client.whoami() is not None


def test_socks_proxy_with_a_password(server: LocalServer) -> None:
    """A whole answer comes through a SOCKS proxy."""
    with (
        SocksProxy("user", "pass") as proxy,
        HuggingChat(server.base_url, proxy=f"socks5://user:pass@{proxy.address}") as client,
    ):
        assert client.create_conversation("echo/base").send("hi").text == "You said: hi"
    assert proxy.passed


def test_wrong_password(server: LocalServer) -> None:
    """A proxy that refuses is not reported as a server that cannot be reached."""
    with (
        SocksProxy("user", "pass") as proxy,
        HuggingChat(server.base_url, proxy=f"socks5://user:no@{proxy.address}") as client,
        pytest.raises(ProxyError) as caught,
    ):
        client.get_models()
    assert "user" not in str(caught.value)


def test_headers_of_a_gateway() -> None:
    """Custom headers are sent with every request."""
    with (
        RawServer(answer) as server,
        HuggingChat(server.base_url, COOKIES, headers={"X-Forwarded-User": "alice"}) as client,
    ):
        client.whoami()
    assert {request.headers["x-forwarded-user"] for request in server.requests} == {"alice"}


@pytest.mark.parametrize(
    ("browser", "agent"), [("chrome", "Chrome/"), ("firefox", "Firefox/"), (None, "hfchat")]
)
def test_impersonation(browser: str | None, agent: str) -> None:
    """The browser to imitate can be chosen, or none."""
    with (
        RawServer(answer) as server,
        HuggingChat(server.base_url, COOKIES, impersonate=browser) as client,
    ):
        client.whoami()
    assert all(agent in request.headers["user-agent"] for request in server.requests)


class Handler(BaseHTTPRequestHandler):
    """Answers every GET as `answer` does."""

    def do_GET(self) -> None:
        """Answer."""
        body = (MODELS if self.path.endswith("/models") else ALICE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server whose certificate an authority of its own has signed: address and authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company's own authority")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    authority, secret = tmp_path / "ca.pem", tmp_path / "key.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, secret)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", authority
        server.shutdown()
        thread.join()


def test_private_authority(private: tuple[str, Path]) -> None:
    """A private authority is trusted if it is given, and only then."""
    address, authority = private
    with HuggingChat(address, COOKIES, verify=str(authority)) as client:
        assert client.whoami() is not None
    with HuggingChat(address, COOKIES, verify=False) as client:
        assert client.whoami() is not None
    with HuggingChat(address, COOKIES) as client, pytest.raises(TLSError, match="verify="):
        client.whoami()
