"""Files from the web are fetched from public addresses only, whatever the spelling.

Nothing here leaves this machine: names are looked up in a table of the test, and where a server
has to be public, the one at 127.0.0.2 is declared so. It shares its port with one at 127.0.0.1,
where libcurl would end up by itself; that one must never hear of anything.
"""

from __future__ import annotations

import gzip
import socket
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import FileTooLargeError, InvalidRequestError
from hfchat_base import files as module
from hfchat_base._protocol.constants import MAX_FILE_BYTES
from hfchat_base.files import fetch_public_file, is_public
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.local import LocalServer

NAMES = {
    "files.example": ["127.0.0.2"],
    "localhost": ["127.0.0.2"],
    "xn--fa-hia.localhost": ["127.0.0.2"],
    "fass.localhost": ["127.0.0.2"],
    "mixed.example": ["127.0.0.2", "127.0.0.1"],
    "inside.example": ["127.0.0.1"],
}


class Net:
    """A public server, a private one on the same port, and the names of both.

    Attributes:
        port: The port of both.
        public: What is public, at 127.0.0.2.
        private: Where a name that is not pinned leads, at 127.0.0.1.
        lookups: The names that were looked up.
    """

    def __init__(self) -> None:
        self.private = RawServer(lambda _, wire: wire.send(whole(b"inside")))
        self.port = int(self.private.base_url.rpartition(":")[2])
        self.public = RawServer(self._answer, address=("127.0.0.2", self.port))
        self.answers: dict[str, Any] = {}
        self.lookups: list[str] = []

    def look_up(self, host: str | bytes, port: int, **_: Any) -> list[Any]:
        """Answer as `socket.getaddrinfo` does, from the table."""
        name = host.decode() if isinstance(host, bytes) else host.encode("idna").decode()
        self.lookups.append(name)
        try:
            # As the system does for an address, and for an old spelling of one.
            found = [socket.inet_ntoa(socket.inet_aton(name))]
        except OSError:
            found = [name] if ":" in name else NAMES.get(name, [])
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    def _answer(self, request: RawRequest, wire: Wire) -> None:
        answer = self.answers.get(request.path, whole(b"a file", content_type="text/plain"))
        if callable(answer):
            answer(wire)
        else:
            wire.send(answer)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """Two servers and a table of names, in which 127.0.0.2 is public."""
    net = Net()
    monkeypatch.setattr(socket, "getaddrinfo", net.look_up)
    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.2")
    with net.public, net.private:
        yield net


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/x.png",
        "http://127.0.0.1:80/x.png",
        "http://[::1]/x.png",
        "http://10.1.2.3/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "https://",
        "http://[",
        "http://a\ud800b/",
        "",
    ],
)
def test_addresses_that_are_not_asked(address: str) -> None:
    """Private, odd and broken addresses are refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        fetch_public_file(address)


def test_nothing_reaches_a_private_server(current_server: LocalServer) -> None:
    """A server of the private network does not hear of it."""
    with pytest.raises(InvalidRequestError, match="give its bytes"):
        fetch_public_file(f"{current_server.base_url}/favicon.png")
    assert current_server.requests == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("1.1.1.1", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("2a00:1450:4001:80b::200e", True),
        ("0.0.0.0", False),  # noqa: S104 - judged, not bound
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.0.0.170", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.0.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("239.1.2.3", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::8.8.8.8", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:0:8.8.8.8", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::8.8.8.8", False),
        ("64:ff9b:1::7f00:1", False),
        ("100::1", False),
        ("2001::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("2001:2::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("fe80::1%lo", False),
        ("2606:4700::1111%lo", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("nonsense", False),
    ],
)
def test_what_is_public(address: str, expected: bool) -> None:
    """Only an address of the internet itself is public, and none that maps to another one."""
    assert is_public(address) is expected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "inside.example",
        "mixed.example",
        "unknown.example",
        # Spellings that some read as 127.0.0.1, and others as a name.
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "127.0.0.1.",
        "127.0.0.1..",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "%6cocalhost",
        "localhost%00.files.example",
        "localhost%23.files.example",
        # What is not a plain host.
        "user@files.example",
        "user:password@files.example",
        "files.example@127.0.0.1",
        "files.example%40127.0.0.1",
        "files.example\\@127.0.0.1",
        "127.0.0.1\\@files.example",
        "127.0.0.1#@files.example",
        "127.0.0.1?@files.example",
        "[fe80::1%25lo]",
        "[::1%lo]",
        "[127.0.0.1]",
        "[files.example]",
        "[v1.files]",
        "files..example",
        ".files.example",
        "-files.example",
        "files.example!",
        "files_.-.example",
        "f\u00adiles.example\u0000",
        "files.example\t",
        "fi\nles.example",
        "files example",
        "a" * 64 + ".example",
        "a." * 127 + "example",
        "xn--\ud800",
        "..",
        ".",
    ],
)
def test_hosts_that_are_not_asked(net: Net, host: str) -> None:
    """A host that is private, or can be read in two ways, is refused, and nobody hears of it."""
    with pytest.raises(InvalidRequestError):
        fetch_public_file(f"http://{host}:{net.port}/secret.png")
    assert (net.private.requests, net.public.requests) == ([], [])


@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "x", "80:80", "\uff18\uff10", "8 0"])
def test_ports_that_are_none(net: Net, port: str) -> None:
    """A port that is none is reported as such, not as a `ValueError`."""
    with pytest.raises(InvalidRequestError):
        fetch_public_file(f"http://files.example:{port}/secret.png")
    assert net.lookups == []


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("files.example", "files.example"),
        ("FILES.Example", "files.example"),
        ("files.example.", "files.example"),
        # Names that libcurl resolves by itself, to 127.0.0.1.
        ("localhost", "localhost"),
        ("localhost.", "localhost"),
        ("LOCALHOST", "localhost"),
        ("fa\u00df.localhost", "xn--fa-hia.localhost"),
        ("FA\u1e9e.localhost", "xn--fa-hia.localhost"),
        ("xn--fa-hia.localhost", "xn--fa-hia.localhost"),
        ("XN--FA-HIA.localhost", "xn--fa-hia.localhost"),
        ("\uff46\uff49\uff4c\uff45\uff53.example", "files.example"),
        ("files\u3002example", "files.example"),
    ],
)
def test_what_was_checked_is_what_is_asked(net: Net, host: str, name: str) -> None:
    """A name is looked up once, and the request goes to the address that was found then."""
    assert fetch_public_file(f"http://{host}:{net.port}/a.txt").data == b"a file"
    assert net.lookups == [name]
    assert net.private.requests == []
    (request,) = net.public.requests
    assert request.headers["host"] == f"{name}:{net.port}"
    assert "cookie" not in request.headers


def test_path_and_query_arrive(net: Net) -> None:
    """What follows the host is sent as it is, percent-encoded where it is not ASCII."""
    upload = fetch_public_file(f"http://files.example:{net.port}/b\u00fccher/a%20b.txt?q=\u00e9#x")
    assert upload.name == "a b.txt"
    assert [request.path for request in net.public.requests] == ["/b%C3%BCcher/a%20b.txt?q=%C3%A9"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost.:{port}@127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://inside.example:{port}/",
        "http://127.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://[",
        "http://files.example:x/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "",
    ],
)
def test_redirect_into_the_private_network(net: Net, location: str) -> None:
    """Where a redirect leads is checked like any address."""
    headers = {"location": location.format(port=net.port)}
    net.answers["/a.txt"] = whole(b"", status=302, headers=headers)
    with pytest.raises(InvalidRequestError):
        fetch_public_file(f"http://files.example:{net.port}/a.txt")
    assert net.private.requests == []
    assert [request.path for request in net.public.requests] == ["/a.txt"]


def test_redirects_are_followed(net: Net) -> None:
    """A redirect to another public address leads to the file, after a new look-up."""
    net.answers["/a"] = whole(b"", status=301, headers={"location": "b/c"})
    net.answers["/b/c"] = whole(b"", status=307, headers={"location": f"//localhost:{net.port}/d"})
    assert fetch_public_file(f"http://files.example:{net.port}/a").data == b"a file"
    assert net.lookups == ["files.example", "files.example", "localhost"]
    assert net.private.requests == []


def test_endless_redirects(net: Net) -> None:
    """After some redirects it is given up."""
    net.answers["/a"] = whole(b"", status=302, headers={"location": "/a"})
    with pytest.raises(InvalidRequestError, match="more than 5 times"):
        fetch_public_file(f"http://files.example:{net.port}/a")
    assert len(net.public.requests) == 6


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_no_proxy_is_asked(net: Net, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would resolve the name itself, so none is used."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(variable, net.private.base_url)
    assert fetch_public_file(f"http://files.example:{net.port}/a.txt").data == b"a file"
    assert net.private.requests == []


def test_size_is_counted_decompressed(net: Net) -> None:
    """A small response that becomes a large file is too large."""
    data = gzip.compress(bytes(4 * MAX_FILE_BYTES))
    net.answers["/a.bin"] = whole(data, headers={"content-encoding": "gzip"})
    with pytest.raises(FileTooLargeError):
        fetch_public_file(f"http://files.example:{net.port}/a.bin")


def test_endless_file_is_left(net: Net) -> None:
    """A file without an end is read up to the limit, and the connection is closed."""
    has_left = []

    def babble(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                wire.send(bytes(65536))
        except OSError:
            has_left.append(True)

    net.answers["/a.bin"] = babble
    with pytest.raises(FileTooLargeError):
        fetch_public_file(f"http://files.example:{net.port}/a.bin")
    net.public.__exit__()
    assert has_left == [True]


def test_slow_file_is_left(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps sending a little does not keep anybody for longer than the limit."""
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)

    def drip(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not wire.closed_within(0.01):
            wire.send(b"x")

    net.answers["/a.txt"] = drip
    with pytest.raises(InvalidRequestError, match="in time"):
        fetch_public_file(f"http://files.example:{net.port}/a.txt")
