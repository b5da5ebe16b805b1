"""One request on one curl handle, and what has arrived of its response.

What lives here: the options of a handle, the callbacks that fill the exchange, and the table of
libcurl's errors. Both drivers use it; waiting is theirs.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import certifi
from curl_cffi import Curl, CurlECode, CurlError, CurlOpt
from curl_cffi.requests.impersonate import resolve_latest_browser_type

from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.session import Session
from hfchat_base.errors import (
    ConnectTimeout,
    HuggingChatError,
    InvalidRequestError,
    ProtocolError,
    ProxyError,
    TLSError,
    TransportError,
)

PAUSE_BYTES: Final = 64 * 1024
"""How much an exchange may hold unread before the server is made to wait, in bytes.

It is also what is read at once, and so bounds for how long one answer keeps an event loop."""

_PAUSE: Final = 0x10000001  # CURL_WRITEFUNC_PAUSE, as libcurl documents it
_STATUS_LINE: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")
_USER_AGENT: Final = "hfchat (+https://github.com/hfchat/hfchat)"

_ENCODINGS: Final = "gzip, deflate, br, zstd"

_NOT_CONNECTED: Final = {
    CurlECode.COULDNT_RESOLVE_HOST: "its name cannot be resolved",
    CurlECode.COULDNT_CONNECT: "the connection was refused",
    CurlECode.URL_MALFORMAT: "the address is malformed",
    CurlECode.UNSUPPORTED_PROTOCOL: "the address is no web address",
}
_TLS: Final = {
    CurlECode.SSL_CONNECT_ERROR,
    CurlECode.PEER_FAILED_VERIFICATION,
    CurlECode.SSL_CERTPROBLEM,
    CurlECode.SSL_CIPHER,
    CurlECode.SSL_CACERT_BADFILE,
    CurlECode.SSL_ISSUER_ERROR,
    CurlECode.SSL_PINNEDPUBKEYNOTMATCH,
    CurlECode.SSL_INVALIDCERTSTATUS,
    CurlECode.SSL_ENGINE_NOTFOUND,
    CurlECode.USE_SSL_FAILED,
}
_PROXY: Final = {CurlECode.COULDNT_RESOLVE_PROXY, CurlECode.PROXY}
_GARBAGE: Final = {CurlECode.WEIRD_SERVER_REPLY, CurlECode.BAD_CONTENT_ENCODING}


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a server.

    Attributes:
        endpoint: Where it is.
        proxy: Address of a proxy, or None for what the environment says.
        verify: Whether to check certificates, or the path of a file with the ones to trust.
        impersonate: The browser whose TLS and headers to imitate, or None for none.
        headers: Headers of one's own, for servers behind a gateway.
        connect_timeout: Seconds, or None.
    """

    endpoint: Endpoint
    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    impersonate: str | None = "chrome"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout: float | None = None


def no_answer(request: Request, seconds: float | None) -> TransportError:
    """Say that a request was not answered in time."""
    path = request.path.partition("?")[0]
    return TransportError(f"{request.method} {path} was not answered within {seconds:g} s.")


def deadline(seconds: float | None) -> float | None:
    """The moment so many seconds from now, on the clock of the drivers."""
    return None if seconds is None else time.monotonic() + seconds


class Exchange:
    """One request, and what has arrived of its response.

    Args:
        connection: How to reach the server.
        session: Whose cookies to send, and to refresh.
        request: What to send.
        is_stream: Whether the response is read as it comes: uncompressed then, because whoever
            compresses holds back.
        pauses: Whether the server is made to wait while much lies unread.
    """

    def __init__(
        self,
        connection: Connection,
        session: Session,
        request: Request,
        *,
        is_stream: bool,
        pauses: bool,
    ) -> None:
        self.curl = Curl()
        self.request = request
        self.chunks: deque[bytes] = deque()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.head_is_complete = False
        self.is_done = False
        self.is_paused = False
        self.on_news: Callable[[], None] | None = None
        self._error: HuggingChatError | None = None
        self._connection = connection
        self._session = session
        self._is_stream = is_stream
        self._pauses = pauses
        self._held_bytes = 0
        self._set_cookies: list[str] = []
        self._had_account = not session.is_guest
        self._epoch = session.epoch
        try:
            self._set_options()
        except CurlError as error:
            self.curl.close()
            msg = "The connection cannot be set up: check proxy, verify and impersonate."
            raise InvalidRequestError(msg) from error
        except HuggingChatError:
            self.curl.close()
            raise

    def head(self, at: float) -> Response:
        """The response without its body, once the head is complete.

        Raises:
            SessionExpired: The server has thrown the session away.
        """
        endpoint = self._connection.endpoint
        self._session.absorb(self._set_cookies, endpoint.host, self.status, self._epoch)
        self._set_cookies.clear()
        return Response(
            self.status,
            self.headers,
            at=at,
            had_session=self._had_account,
            base_url=endpoint.base_url,
        )

    def take(self) -> bytes:
        """Take all that has arrived of the body; empty if nothing has."""
        if not self.chunks:
            return b""
        data = self.chunks.popleft() if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self._held_bytes = 0
        return data

    def end(self, error: CurlError | None) -> None:
        """Say that libcurl is done with it."""
        self.is_done = True
        if error is not None:
            self._error = self._explain(int(error.code))
        elif not self.head_is_complete:
            # libcurl takes a head that was cut off for a short one.
            whom = self._connection.endpoint.origin
            self._error = TransportError(f"The connection to {whom} was lost.")
        self._tell()

    def raise_error(self) -> None:
        """Raise what libcurl ended with, if it was an error.

        Raises:
            HuggingChatError: See the table.
        """
        if self._error is not None:
            raise self._error

    def _set_options(self) -> None:
        connection, request, set_ = self._connection, self.request, self.curl.setopt
        if connection.impersonate:
            browser = resolve_latest_browser_type(connection.impersonate)  # type: ignore[no-untyped-call]
            if self.curl.impersonate(browser, default_headers=True):
                msg = f"curl_cffi knows no browser {connection.impersonate!r}."
                raise InvalidRequestError(msg)
        else:
            set_(CurlOpt.USERAGENT, _USER_AGENT)
        set_(CurlOpt.URL, connection.endpoint.base_url + request.path)
        set_(CurlOpt.NOSIGNAL, 1)
        set_(CurlOpt.SUPPRESS_CONNECT_HEADERS, 1)
        set_(CurlOpt.PROTOCOLS_STR, "http,https")
        set_(CurlOpt.FOLLOWLOCATION, 0)
        set_(CurlOpt.TCP_KEEPALIVE, 1)
        # Without it libcurl would not decode what a server compresses unasked.
        set_(CurlOpt.ACCEPT_ENCODING, _ENCODINGS)
        if connection.connect_timeout is not None:
            set_(CurlOpt.CONNECTTIMEOUT_MS, max(1, round(connection.connect_timeout * 1000)))
        if connection.proxy is not None:
            set_(CurlOpt.PROXY, connection.proxy)
        self._set_trust()
        self._set_body()
        credentials = self._session.headers(request)
        if cookie := credentials.pop("cookie", None):
            set_(CurlOpt.COOKIE, cookie)
        set_(CurlOpt.HTTPHEADER, self._header_lines(credentials))
        set_(CurlOpt.HEADERFUNCTION, self._on_header)
        set_(CurlOpt.WRITEFUNCTION, self._on_body)

    def _set_trust(self) -> None:
        trusted = self._connection.verify
        if trusted is False:
            self.curl.setopt(CurlOpt.SSL_VERIFYPEER, 0)
            self.curl.setopt(CurlOpt.SSL_VERIFYHOST, 0)
        file = trusted if isinstance(trusted, str) else certifi.where()
        self.curl.setopt(CurlOpt.CAINFO, file)
        self.curl.setopt(CurlOpt.PROXY_CAINFO, file)

    def _set_body(self) -> None:
        method, body = self.request.method, self.request.body
        if method == "GET":
            self.curl.setopt(CurlOpt.HTTPGET, 1)
            return
        if method == "POST" or body:
            self.curl.setopt(CurlOpt.POST, 1)
            self.curl.setopt(CurlOpt.POSTFIELDSIZE_LARGE, len(body))
            self.curl.setopt(CurlOpt.POSTFIELDS, body)
        if method != "POST":
            self.curl.setopt(CurlOpt.CUSTOMREQUEST, method)

    def _header_lines(self, credentials: Mapping[str, str]) -> list[bytes]:
        headers = {name.lower(): value for name, value in self._connection.headers.items()}
        headers |= self.request.headers
        headers |= credentials
        # A header without a value is one that is not sent: a form gets no type of curl's own, and
        # a large body no extra round trip.
        headers = {"content-type": "", "expect": "", **headers}
        if self._is_stream:
            headers["accept-encoding"] = "identity"
        if self._connection.impersonate:
            # What the page's own script would send, not what a click on a link would.
            headers = {
                "sec-fetch-dest": "empty",
                "sec-fetch-mode": "cors",
                "sec-fetch-site": "same-origin",
                "sec-fetch-user": "",
                "upgrade-insecure-requests": "",
                "priority": "",
                **headers,
            }
        for name, value in headers.items():
            if "\r" in name + value or "\n" in name + value:
                msg = f"The header {name!r} holds a line break."
                raise InvalidRequestError(msg)
        return [f"{name}: {value}".rstrip().encode() for name, value in headers.items()]

    def _on_header(self, line: bytes) -> int:
        if match := _STATUS_LINE.match(line):
            # A further head follows an interim one (100, 103).
            self.status = int(match[1])
            self.headers = {}
            self.head_is_complete = False
        elif line in (b"\r\n", b"\n"):
            self.head_is_complete = self.status >= 200  # noqa: PLR2004
            self._tell()
        else:
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "set-cookie":
                self._set_cookies.append(value)
            else:
                self.headers[name] = value
        return len(line)

    def _on_body(self, data: bytes) -> int:
        held = self._held_bytes
        if held > PAUSE_BYTES and self._pauses:
            self.is_paused = True
            return _PAUSE
        self.chunks.append(data)
        size = len(data)
        self._held_bytes = held + size
        if not held:  # else it has been told
            self._tell()
        return size

    def _tell(self) -> None:
        if self.on_news is not None:
            self.on_news()

    def _explain(self, code: int) -> HuggingChatError:
        """Turn libcurl's error into ours. Its own words stay here: they may quote a proxy."""
        whom = self._connection.endpoint.origin
        name = next((c.name for c in CurlECode if c == code), str(code))
        if code in _PROXY or (not self.head_is_complete and self._refused_by_proxy(code)):
            return ProxyError(
                f"{whom} cannot be reached through the proxy (curl: {name}).",
                may_have_arrived=False,
            )
        if code in _NOT_CONNECTED:
            return TransportError(
                f"{whom} cannot be reached: {_NOT_CONNECTED[CurlECode(code)]} (curl: {name}).",
                may_have_arrived=False,
            )
        if code in _TLS:
            return TLSError(
                f"The TLS connection to {whom} failed (curl: {name}). Check its certificate; a"
                " private authority goes into verify='/path/to/ca.pem'.",
                may_have_arrived=False,
            )
        if code == CurlECode.OPERATION_TIMEDOUT:
            return ConnectTimeout(
                f"{whom} did not take a connection within {self._connection.connect_timeout:g} s.",
                may_have_arrived=False,
            )
        if code in _GARBAGE:
            return ProtocolError(f"{whom} does not answer as an HTTP server (curl: {name}).")
        return TransportError(f"The connection to {whom} was lost (curl: {name}).")

    def _refused_by_proxy(self, code: int) -> bool:
        # A refused CONNECT ends as RECV_ERROR, with the proxy's status and no head of the server.
        return bool(self._connection.proxy) and code in (
            CurlECode.RECV_ERROR,
            CurlECode.COULDNT_CONNECT,
        )
