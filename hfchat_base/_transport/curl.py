"""One request on one curl handle, and what both transports are.

What lives here: the options of a handle, the callbacks that fill the exchange, the table of
libcurl's errors, and the base of the two transports. How they send, wait and close is their own, in
`sync.py` and `aio.py`.
"""

from __future__ import annotations

import errno
import os
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import certifi
from curl_cffi import Curl, CurlECode, CurlError, CurlHttpVersion, CurlInfo, CurlOpt, ffi, lib
from curl_cffi.requests.impersonate import resolve_latest_browser_type

from hfchat_base._forks import Sockets, register
from hfchat_base._protocol import http
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._transport import callbacks
from hfchat_base._transport.interpreters import OnRetry
from hfchat_base._version import __version__
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
_ABORT: Final = 0xFFFFFFFF  # CURL_WRITEFUNC_ERROR, likewise
_CONTINUE: Final = 0  # CURLPAUSE_CONT, likewise
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_HEADERS: Final = re.compile("[\0-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_USER_AGENT: Final = f"hfchat/{__version__}"

_ENCODINGS: Final = "gzip, deflate, br, zstd"

_NOT_CONNECTED: Final = {
    CurlECode.COULDNT_RESOLVE_HOST: "its name cannot be resolved",
    CurlECode.COULDNT_CONNECT: "the connection was refused",
    CurlECode.URL_MALFORMAT: "the address is malformed",
    CurlECode.UNSUPPORTED_PROTOCOL: "it is not a web address",
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
_GARBAGE: Final = {
    CurlECode.WEIRD_SERVER_REPLY,
    CurlECode.BAD_CONTENT_ENCODING,
    CurlECode.UNSUPPORTED_PROTOCOL,  # once something was sent: a status below 100, or no head
}
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
_NEEDS_DESCRIPTOR: Final = {
    *(CurlECode.COULDNT_RESOLVE_HOST, CurlECode.COULDNT_CONNECT, CurlECode.COULDNT_RESOLVE_PROXY),
    *(CurlECode.SSL_CACERT_BADFILE, CurlECode.SSL_CERTPROBLEM, CurlECode.SSL_CONNECT_ERROR),
    *(CurlECode.FAILED_INIT, CurlECode.OUT_OF_MEMORY),
}
"""What libcurl ends with where it cannot open a socket or a file before it has sent anything."""


class Credentials(Protocol):
    """Whose requests these are. `hfchat_base.auth.session.Session` is one; no file is read here."""

    @property
    def is_resolved(self) -> bool:
        """Whether a request can be sent without `resolve`, which may block."""
        ...

    @property
    def is_guest(self) -> bool:
        """Whether nobody has logged in with them."""
        ...

    @property
    def epoch(self) -> int:
        """Changes when they are replaced, so that late responses are recognised."""
        ...

    def resolve(self) -> object:
        """Find them, which may read files."""
        ...

    def headers(self, request: Request) -> dict[str, str]:
        """The headers that carry them in a request, such as ``cookie``.

        Raises:
            MissingAuthError: The request cannot be sent with them.
        """
        ...

    def absorb(
        self,
        set_cookies: Iterable[str],
        request: Request,
        status: int,
        epoch: int,
        *,
        date: str = "",
    ) -> None:
        """Apply what a response says about them.

        Raises:
            SessionExpired: The server has invalidated them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a server.

    Attributes:
        endpoint: Where it is.
        proxy: Address of a proxy, or None for what the environment says.
        verify: Whether to check certificates, or the path of a file with the ones to trust.
        impersonate: The browser whose TLS and headers to imitate, or None for none.
        headers: Headers of one's own, for servers behind a gateway; no cookies.
        connect_timeout: Seconds, or None.
    """

    endpoint: Endpoint
    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    impersonate: str | None = "chrome"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            check_header(name, value)
            if name.lower() == "cookie":
                msg = "The header 'Cookie' belongs to the session: pass cookies=."
                raise InvalidRequestError(msg)


def check_header(name: str, value: str) -> None:
    """Refuse a header that a server could read as another one, or as several.

    Raises:
        InvalidRequestError: Its name is not a header name, or its value holds a control character
            or a lone surrogate.
    """
    if not _HEADER_NAME.fullmatch(name):
        msg = f"{name!r} is not a valid header name."
        raise InvalidRequestError(msg)
    if _NOT_IN_HEADERS.search(value):
        msg = f"The header {name!r} holds a line break or another control character."
        raise InvalidRequestError(msg)


def no_answer(request: Request, seconds: float | None) -> TransportError:
    """Say that a request was not answered in time."""
    path = request.path.partition("?")[0]
    return TransportError(f"{request.method} {path} was not answered within {seconds:g} s.")


def deadline(seconds: float | None) -> float | None:
    """The moment so many seconds from now, on the clock of the drivers."""
    return None if seconds is None else time.monotonic() + seconds


def new_multi() -> Any:
    """Make a multi handle of libcurl.

    Raises:
        TransportError: There is no descriptor left for it.
    """
    return check_multi(lib.curl_multi_init())


def check_multi(multi: Any) -> Any:
    """Pass a multi handle on.

    Raises:
        TransportError: There is no handle, because no descriptor was left for it.
    """
    if multi == ffi.NULL:
        raise _out_of_descriptors("No connection can be opened")
    return multi


def _out_of_descriptors(what: str) -> TransportError:
    return TransportError(
        f"{what}: this process has no file descriptor left (EMFILE). Close clients that are not"
        " needed any more, or raise the limit (ulimit -n).",
        may_have_arrived=False,
    )


class Exchange:
    """One request, and what has arrived of its response.

    Args:
        connection: How to reach the server.
        credentials: Whose cookies to send, and to refresh.
        request: What to send.
        is_stream: Whether the response is read as it comes: uncompressed then, because a
            compressor holds data back.
        pauses: Whether the server is made to wait while much lies unread.
        sockets: Takes note of the connection's.

    Attributes:
        broken_by: An exception that was raised while libcurl was calling, or None.
    """

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        request: Request,
        *,
        is_stream: bool,
        pauses: bool,
        sockets: Sockets,
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
        self.broken_by: BaseException | None = None
        self._has_raised = False
        self._head_has_begun = False
        self._was_sent = False
        self._error: HuggingChatError | None = None
        self._connection = connection
        self._credentials = credentials
        self._is_stream = is_stream
        self._pauses = pauses
        self._sockets = sockets
        self._held_bytes = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._most_bytes = http.ERROR_BYTES
        self._most_held = http.ERROR_BYTES
        self._is_cut = False
        self._set_cookies: list[str] = []
        self._had_account = not credentials.is_guest
        self._epoch = credentials.epoch
        try:
            self._set_options()
            # libcurl calls by it; it holds this object, so `close` releases it.
            self._handle: Any = callbacks.attach(self.curl, self)
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
            SessionExpired: The server has invalidated the session.
        """
        endpoint = self._connection.endpoint
        self._sockets.note(cast("int", self.curl.getinfo(CurlInfo.ACTIVESOCKET)))
        self._credentials.absorb(
            self._set_cookies,
            self.request,
            self.status,
            self._epoch,
            date=self.headers.get("date", ""),
        )
        self._set_cookies.clear()
        return Response(
            self.status,
            self.headers,
            at=at,
            date=time.time(),
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

    def end(self, error: BaseException | None) -> None:
        """Say that libcurl is done with it."""
        self.is_done = True
        if error is not None and not isinstance(error, CurlError):
            self.broken_by = error
        elif self._error is not None or self._is_cut:
            pass  # it was ended here, which libcurl takes for an error of its own
        elif error is not None:
            self._error = self._explain_end(int(error.code))
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
        self.raise_broken()
        if self._error is not None:
            raise self._error

    def raise_broken(self) -> None:
        """Raise what was raised while libcurl was calling, if it has not been raised since.

        Raises:
            BaseException: Whatever it was.
        """
        if self.broken_by is not None and not self._has_raised:
            self._has_raised = True
            raise self.broken_by

    def raise_interrupt(self) -> None:
        """Raise what was raised while libcurl was calling, if it is to end the whole program.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            SystemExit: Such as from the handler of a signal.
        """
        if isinstance(self.broken_by, (KeyboardInterrupt, SystemExit)):
            self.raise_broken()

    def close(self) -> None:
        """Let go of the handle, which is in no multi handle any more."""
        self.curl.close()
        self._handle = None

    def resume(self) -> None:
        """Continue a body that was paused.

        Raises:
            ProtocolError: libcurl had to hold too much of it.
        """
        self.is_paused = False
        try:
            self.curl.pause(_CONTINUE)
        except CurlError:
            self._error = self._error or self._too_much(http.BURST_BYTES, " at once")
            self.raise_error()

    def after_fork(self) -> None:
        """Forget the handle: its connection is the parent's, and to close it would speak on it."""
        self.curl._curl = None  # noqa: SLF001 - its close() would
        self._handle = None
        self.is_done = True
        self._error = TransportError("The connection belongs to the parent of this process.")

    def _set_options(self) -> None:
        connection, request, set_ = self._connection, self.request, self.curl.setopt
        if connection.impersonate:
            browser = resolve_latest_browser_type(connection.impersonate)  # type: ignore[no-untyped-call]
            if self.curl.impersonate(browser, default_headers=True):
                msg = f"curl_cffi does not support the browser {connection.impersonate!r}."
                raise InvalidRequestError(msg)
        else:
            set_(CurlOpt.USERAGENT, _USER_AGENT)
        set_(CurlOpt.URL, connection.endpoint.base_url + request.path)
        # A file that a server calls ".." is asked for by that name, not a level above.
        set_(CurlOpt.PATH_AS_IS, 1)
        set_(CurlOpt.NOSIGNAL, 1)
        set_(CurlOpt.SUPPRESS_CONNECT_HEADERS, 1)
        set_(CurlOpt.PROTOCOLS_STR, "http,https")
        if connection.endpoint.base_url.startswith("http:"):
            # A browser's handle would ask for an upgrade to HTTP/2, which no browser does.
            set_(CurlOpt.HTTP_VERSION, CurlHttpVersion.V1_1)
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
        headers = self._credentials.headers(request)
        if cookie := headers.pop("cookie", None):
            set_(CurlOpt.COOKIE, cookie.encode("utf-8", "surrogateescape"))
        set_(CurlOpt.HTTPHEADER, self._header_lines(headers))

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

    def _header_lines(self, own: Mapping[str, str]) -> list[bytes]:
        headers = {name.lower(): value for name, value in self._connection.headers.items()}
        headers |= self.request.headers
        headers |= own
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
            check_header(name, value)
        return [f"{name}: {value}".rstrip().encode() for name, value in headers.items()]

    def on_sending(self) -> bool:
        """Allow libcurl to send, but nothing other than a GET a second time.

        libcurl sends again by itself if a connection that was used before dies without a byte of
        the response, although the server may have acted on the request by then.
        """
        if self._was_sent and self.request.method != "GET":
            return False
        self._was_sent = True
        return True

    def on_header(self, line: bytes) -> int:
        """Take a line of a head, or the empty line at its end."""
        self._head_bytes += len(line)
        if self._head_bytes > http.HEAD_BYTES:
            self._error = self._too_much(http.HEAD_BYTES, " of headers")
            return _ABORT
        if self.head_is_complete:
            pass  # what follows a chunked body is not part of the head
        elif not self._head_has_begun:
            # A further head follows an interim one (100, 103).
            self._head_has_begun = True
            self.headers = {}
            self._set_cookies.clear()
        elif line in (b"\r\n", b"\n"):
            self._head_has_begun = False
            status = self.curl.getinfo(CurlInfo.RESPONSE_CODE)
            assert isinstance(status, int)  # noqa: S101 - as curl_cffi documents it
            self.status = status
            self.head_is_complete = status >= 200  # noqa: PLR2004
            if self._is_success:
                self._most_bytes = self.request.max_bytes
                self._most_held = http.BURST_BYTES if self._is_stream else self._most_bytes
            self._tell()
        else:
            raw_name, _, raw_value = line.partition(b":")
            raw_value = raw_value.strip(b" \t\r\n")
            # The name as it is: a line that begins with a space continues the one before it.
            name = raw_name.decode("latin-1").lower()
            if name == "set-cookie":
                # A cookie is sent back byte for byte.
                self._set_cookies.append(raw_value.decode("utf-8", "surrogateescape"))
            else:
                self.headers[name] = raw_value.decode("latin-1")
        return len(line)

    def on_body(self, data: bytes) -> int:
        """Take a piece of the body, or have libcurl keep it for now."""
        held = self._held_bytes
        if held > PAUSE_BYTES and self._pauses:
            self.is_paused = True
            return _PAUSE
        size = len(data)
        self._held_bytes = held + size
        self._body_bytes += size
        if self._body_bytes > self._most_bytes or self._held_bytes > self._most_held:
            self._refuse_rest()
            return _ABORT
        self.chunks.append(data)
        if not held and self.on_news is not None:  # else it knows already
            self.on_news()
        return size

    @property
    def _is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004

    def _refuse_rest(self) -> None:
        """End the body here: a success with an error, and what explains a failure without."""
        if not self._is_success:
            self._is_cut = True
        elif self._body_bytes > self._most_bytes:
            self._error = self._too_much(self._most_bytes)
        else:
            self._error = self._too_much(self._most_held, " at once")

    def _too_much(self, limit: int, of_what: str = "") -> ProtocolError:
        path = self.request.path.partition("?")[0]
        return ProtocolError(
            f"{self.request.method} {path} was answered with more than {http.format_size(limit)}"
            f"{of_what}. The rest was not read."
        )

    def _too_much_for_libcurl(self) -> ProtocolError:
        """Say which of its own limits libcurl has met; those of headers are as narrow as ours."""
        if self.is_paused:
            return self._too_much(http.BURST_BYTES, " at once")
        return self._too_much(http.HEAD_BYTES, " of headers, or with too many of them")

    def _tell(self) -> None:
        if self.on_news is not None:
            self.on_news()

    def _explain_end(self, code: int) -> HuggingChatError:
        """Turn what libcurl ended with into our error."""
        if code == CurlECode.WRITE_ERROR and self.broken_by is None:
            # Not even the exception could be kept: there was another signal at that moment.
            self.broken_by = KeyboardInterrupt()
        if code == CurlECode.TOO_LARGE:
            return self._too_much_for_libcurl()
        if not self._was_sent and code in _NEEDS_DESCRIPTOR and self._is_out_of_descriptors():
            return _out_of_descriptors(f"{self._connection.endpoint.origin} cannot be reached")
        return self._explain(code)

    def _explain(self, code: int) -> HuggingChatError:
        """Turn libcurl's error into ours. Its own words stay here: they may quote a proxy."""
        whom = self._connection.endpoint.origin
        name = next((c.name for c in CurlECode if c == code), str(code))
        if not self._was_sent and (error := self._explain_unsent(code, whom, name)) is not None:
            return error
        if code in _GARBAGE:
            return ProtocolError(f"{whom} does not answer as an HTTP server (curl: {name}).")
        # Whatever it is, also a refused connection: libcurl may just have tried to send again.
        return TransportError(
            f"The connection to {whom} was lost (curl: {name}).", may_have_arrived=self._was_sent
        )

    def _explain_unsent(self, code: int, whom: str, name: str) -> TransportError | None:
        """Say why nothing was sent, if the error says so."""
        if code in _PROXY or self._refused_by_proxy(code):
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
                f"The TLS connection to {whom} failed (curl: {name}). Check its"
                " certificate; for a private authority, pass verify='/path/to/ca.pem'.",
                may_have_arrived=False,
            )
        if code == CurlECode.OPERATION_TIMEDOUT:
            return ConnectTimeout(
                f"{whom} accepted no connection within {self._connection.connect_timeout:g} s.",
                may_have_arrived=False,
            )
        return None

    def _is_out_of_descriptors(self) -> bool:
        """Return whether libcurl found no descriptor free; it does not always say so."""
        number = cast("int", self.curl.getinfo(CurlInfo.OS_ERRNO))
        if number:
            return number in _NO_DESCRIPTORS
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            return error.errno in _NO_DESCRIPTORS
        return False

    def _refused_by_proxy(self, code: int) -> bool:
        # A refused CONNECT ends as RECV_ERROR, with the proxy's status and no head of the server.
        return bool(self._connection.proxy) and code in (
            CurlECode.RECV_ERROR,
            CurlECode.COULDNT_CONNECT,
        )


class Transport:
    """Sends requests to one server, with one session.

    Args:
        connection: How to reach the server.
        credentials: Whose cookies to send.
        response_timeout: Seconds for a whole response, or None.
        head_timeout: Seconds for the head of a stream, or None.
        on_retry: Called at every pause before another attempt.
        warns: Whether to warn if it is dropped with connections open.
    """

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        *,
        response_timeout: float | None,
        head_timeout: float | None,
        on_retry: OnRetry | None = None,
        warns: bool = True,
    ) -> None:
        self._connection = connection
        self._credentials = credentials
        self._response_timeout = response_timeout
        self._head_timeout = head_timeout
        self.on_retry = on_retry
        self._warns = warns
        self._sockets = Sockets()
        self._closed = False
        self._prepare()
        register(self)  # last: a fork may come at once

    def _prepare(self) -> None:
        """Make what the driver keeps its connections in."""

    def now(self) -> float:
        """Seconds on the monotonic clock that all deadlines are on."""
        return time.monotonic()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more but what is sent last."""
        return self._closed

    @property
    def has_account(self) -> bool:
        """Whether the session is one that somebody logged in with."""
        return not self._credentials.is_guest

    def after_fork(self) -> None:
        """Leave all connections to the parent of this process."""
        self._sockets.after_fork()

    def _warn_of_drop(self) -> None:
        if self._warns:
            warnings.warn(
                f"A client of {self._connection.endpoint.origin} was dropped without close().",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
