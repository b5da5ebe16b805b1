"""Secrets in the arguments of a call: text that is sent but never shown.

A framework hands the arguments of a call to tracers, caches, event handlers, logs and pickles long
before we see them. So whatever in them may be a secret (headers of tool servers, addresses with a
key in them, cookies) is replaced by a `SecretText` as early as possible, and only revealed where
the body of the request is made (`_protocol/requests.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import Self

__all__ = ["SecretText", "fingerprint", "hide_arguments", "hide_servers", "reveal", "reveal_values"]

MASK: Final = "**********"

_FINGERPRINT_KEY: Final = os.urandom(32)
"""Of this process only, so that a stored cache key cannot be tested against a list of passwords."""

_SECRET_ARGUMENTS: Final = frozenset(
    (
        *("access_token", "api_key", "authorization", "cookies", "default_headers"),
        *("extra_headers", "headers", "hf_token", "password", "proxies", "proxy", "token"),
    )
)
"""Arguments that hold secrets, whether or not a server makes use of them."""


class SecretText(str):
    """A secret text that is a mask wherever it is printed, serialized, pickled or joined.

    It is a `str`, so that everything that writes JSON accepts it, and writes the mask.

    Args:
        value: The secret; None if a pickle has dropped it.
        shown: The mask, with whatever may be shown.
    """

    __slots__ = ("_value",)

    _value: str | None

    def __new__(cls, value: str | None, shown: str = MASK) -> Self:
        """Make one; see the class."""
        text = super().__new__(cls, shown)
        text._value = value
        return text

    def reveal(self) -> str | None:
        """The secret itself; None if a pickle has dropped it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and self._value == other._value

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((SecretText, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretText, (None, str(self))

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()


def reveal(text: Any) -> Any:
    """The secret in a `SecretText` or in pydantic's `SecretStr`; other values are returned as is.

    Returns:
        None for a secret that a pickle has dropped.
    """
    if isinstance(text, SecretText):
        return text.reveal()
    unwrap = getattr(text, "get_secret_value", None)
    return unwrap() if callable(unwrap) else text


def reveal_values(value: Any) -> Any:
    """Reveal a secret, or the values of a mapping."""
    if isinstance(value, Mapping):
        return {name: reveal(inner) for name, inner in value.items()}
    return reveal(value)


def hide_servers(servers: Any) -> Any:
    """Hide what may be secret in tool servers: the values of headers, and keys in addresses.

    Args:
        servers: As `mcp_servers` takes them. Anything else is returned as is; the check of the
            arguments refuses it.
    """
    if isinstance(servers, Mapping):
        return _hide_server(servers)
    if isinstance(servers, Sequence) and not isinstance(servers, (str, bytes)):
        return tuple(_hide_server(server) for server in servers)
    return servers


def hide_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Hide the secrets among the arguments of a call; all others stay the same objects.

    Args:
        arguments: By name. In ``tools``, only those that the server runs (``{"type": "mcp", …}``)
            are searched for secrets, not the caller's own.
    """
    return {name: _hide_argument(name, value) for name, value in arguments.items()}


def fingerprint(*values: Any) -> str:
    """A key that differs for calls with different secrets, and shows none of them.

    Args:
        values: Values that may hold instances of `SecretText`.

    Returns:
        The same text for the same secrets within one process; empty if there are no secrets.
    """
    secrets = [secret for value in values for secret in _secrets_in(value)]
    if not secrets:
        return ""
    digest = hashlib.blake2b(key=_FINGERPRINT_KEY, digest_size=16)
    for secret in secrets:
        data = secret.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _hide_argument(name: str, value: Any) -> Any:
    if name == "mcp_servers":
        return hide_servers(value)
    if name == "tools" and isinstance(value, (list, tuple)):
        return [_hide_tool(tool) for tool in value]
    if name == "llm_kwargs" and isinstance(value, Mapping):
        return hide_arguments(value)
    return _hide_all(value) if name in _SECRET_ARGUMENTS else value


def _hide_tool(tool: Any) -> Any:
    if not isinstance(tool, Mapping) or tool.get("type") != "mcp":
        return tool
    hidden = _hide_server(tool)
    if "server_url" in hidden:
        hidden["server_url"] = _hide_address(hidden["server_url"])
    if "authorization" in hidden:
        hidden["authorization"] = _hide_all(hidden["authorization"])
    return hidden


def _hide_server(server: Any) -> Any:
    if not isinstance(server, Mapping):
        return server
    hidden = dict(server)
    if "url" in hidden:
        hidden["url"] = _hide_address(hidden["url"])
    if "headers" in hidden:
        hidden["headers"] = _hide_all(hidden["headers"])
    return hidden


def _hide_address(address: Any) -> Any:
    """Hide the user, the query and the fragment of an address, which may hold keys."""
    if not isinstance(address, str) or isinstance(address, SecretText):
        return address
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return SecretText(address)
    plain = f"{parts.scheme}://{host}{parts.path}"
    return address if plain == address else SecretText(address, f"{plain}?{MASK}")


def _hide_all(value: Any) -> Any:
    """Hide every text in a value; keys, such as the names of headers, are not secrets."""
    if value is None or isinstance(value, (bool, int, float, SecretText)):
        return value
    if isinstance(value, str):
        return SecretText(value)
    if isinstance(value, Mapping):
        return {key: _hide_all(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide_all(inner) for inner in value]
    revealed = reveal(value)
    return SecretText(revealed if isinstance(revealed, str) else None)


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, SecretText):
        yield value.reveal() or ""
        return
    inner: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    for one in inner:
        yield from _secrets_in(one)
