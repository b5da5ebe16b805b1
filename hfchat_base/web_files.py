"""Files that a message gives by their web address: fetched here, since chat-ui takes bytes only.

The address comes from whoever wrote the message, who need not be the one who runs this program. So
no cookie goes along, only public addresses are asked (each redirect again), and no more is read
than a server takes.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from curl_cffi import CurlError, CurlOpt, requests

from hfchat_base.errors import InvalidRequestError
from hfchat_base.protocol.facts import MAX_FILE_BYTES
from hfchat_base.uploads import Upload, too_large

__all__ = ["fetch_public_file"]

_MAX_REDIRECTS: Final = 5
_TIMEOUT_SECONDS: Final = 30.0
_OK: Final = 200
_REDIRECTS: Final = (301, 302, 303, 307, 308)


def fetch_public_file(url: str) -> Upload:
    """Fetch a file from a public web address.

    Args:
        url: Its address, ``http`` or ``https``.

    Raises:
        InvalidRequestError: The address is not public, or there is no file.
        FileTooLargeError: It is larger than a server takes.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        found = _fetch(url)
        if isinstance(found, Upload):
            return found
        url = urljoin(url, found)
    raise InvalidRequestError(f"The file's address redirects more than {_MAX_REDIRECTS} times.")


def _fetch(url: str) -> Upload | str:
    """Fetch once: the file, or the address that it redirects to."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidRequestError("A file's address has to begin with https:// or http://.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _public_address(parts.hostname, port)
    # The address that was checked is the one that is asked, whatever the name says by then.
    pinned = f"{parts.hostname}:{port}:{f'[{address}]' if ':' in address else address}"
    try:
        with requests.Session(curl_options={CurlOpt.RESOLVE: [pinned]}, trust_env=False) as session:
            response = session.get(
                url, stream=True, allow_redirects=False, timeout=_TIMEOUT_SECONDS
            )
            try:
                if response.status_code in _REDIRECTS:
                    return str(response.headers.get("location") or "")
                if response.status_code != _OK:
                    raise InvalidRequestError(
                        f"The file's address answers with status {response.status_code}."
                    )
                data = _read(response, parts.hostname)
            finally:
                response.close()
    except CurlError as error:
        raise InvalidRequestError(f"The file cannot be fetched from {parts.hostname}.") from error
    name = unquote(parts.path).rpartition("/")[2] or None
    return Upload.of(data, name=name)


def _read(response: requests.Response, host: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content():  # type: ignore[no-untyped-call]
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILE_BYTES:
            raise too_large(f"from {host}", size)
    return b"".join(pieces)


def _public_address(host: str, port: int) -> str:
    """Look a host up, and make sure that all its addresses are public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidRequestError(f"The file's host {host} is not known.") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise InvalidRequestError(
            f"The file's host {host} is not public. Fetch the file yourself and give its bytes."
        )
    return addresses[0]
