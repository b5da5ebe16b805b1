"""The arguments of public calls: checked where they come in, refused with one clear error.

An error names the argument, what it should be and the type of what was given; never the value,
which may be a secret. pydantic does the checking. Importing it takes as long as all the rest of the
base client, so it is asked only about what is not right at first sight.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_type_hints

from typing_extensions import TypedDict

from hfchat_base.errors import InvalidRequestError
from hfchat_base.files import Upload
from hfchat_base.policy import Retries, Timeouts
from hfchat_base.secret import reveal, reveal_values
from hfchat_base.types import AnswerFile, ChatMessage, McpServerConfig

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = [
    "ANSWER_OPTIONS",
    "CALLBACK",
    "CLIENT",
    "FILE",
    "FLAG",
    "OPTIONAL_TEXT",
    "STOPS",
    "TEXT",
    "TOOLS",
    "Kind",
    "check",
    "check_client",
    "check_messages",
    "check_servers",
    "invalid",
]

T = TypeVar("T")

_PLAIN: Final = frozenset((str, bool, int, type(None)))


def _as_it_is(value: Any) -> Any:
    return value


def _no(_value: Any) -> bool:
    return False


@dataclass(frozen=True)
class Kind:
    """What an argument has to be.

    Attributes:
        wanted: In words, as they follow "should be".
        annotation: As pydantic takes it.
        prepare: Puts a value into the form that the annotation describes.
        recognises: Tells objects that are welcome whatever the annotation says.
    """

    wanted: str
    annotation: Any
    prepare: Callable[[Any], Any] = _as_it_is
    recognises: Callable[[Any], bool] = _no

    def fits(self, value: object) -> bool:
        """Whether a value is right at first sight."""
        kind = type(value)
        kinds = get_args(self.annotation) or (self.annotation,)
        if self.recognises(value) or value is self.annotation is None:
            return True
        if isinstance(value, dict) and dict[str, str] in kinds:
            return all(type(text) is str for pair in value.items() for text in pair)
        return kind in _PLAIN and kind in kinds


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


TEXT: Final = Kind("a text (str)", str)
OPTIONAL_TEXT: Final = Kind("a text (str) or None", str | None)
FLAG: Final = Kind("True or False", bool)
CALLBACK: Final = Kind("a function or None", None, recognises=callable)
FILE: Final = Kind(
    "an AnswerFile or its sha", str, recognises=lambda value: isinstance(value, AnswerFile)
)
CLIENT: Final = Kind(
    "a HuggingChat, an AsyncHuggingChat or None",
    None,
    recognises=lambda value: hasattr(value, "open_stream"),
)
STOPS: Final = Kind("a text or a list of texts", str | list[str] | None, _listed)
TOOLS: Final = Kind("a list of tools", list[Any] | None, _listed)

ANSWER_OPTIONS: Final[Mapping[str, Kind]] = {
    "artifacts": Kind('"text", "raw", True, False or None', Literal["text", "raw"] | bool | None),
    "reasoning_effort": Kind(
        '"low", "medium", "high" or None', Literal["low", "medium", "high"] | None
    ),
    "provider": OPTIONAL_TEXT,
    "bill_to": OPTIONAL_TEXT,
    "restores_settings": Kind("True, False or None", bool | None),
}
"""How an answer can be wanted; the same for a client and for a call."""

_CLIENT: Final[Mapping[str, Kind]] = {
    "base_url": OPTIONAL_TEXT,
    "cookies": Kind(
        "a dict of names and values, a Cookie header, JSON, a path, a cookie jar or None",
        str | dict[str, str] | None,
        reveal_values,
        recognises=lambda value: (
            isinstance(value, os.PathLike) or hasattr(value, "set_cookie_if_ok")
        ),  # http.cookiejar's, without importing it
    ),
    "account": OPTIONAL_TEXT,
    "model": OPTIONAL_TEXT,
    "ephemeral": FLAG,
    "stops_on_leave": FLAG,
    "proxy": Kind("an address (str) or None", str | None, reveal),
    "headers": Kind("a dict of names and values or None", dict[str, str] | None, reveal_values),
    "verify": Kind(
        "True, False or the path of a file",
        bool | str,
        recognises=lambda value: isinstance(value, os.PathLike),
    ),
    "impersonate": OPTIONAL_TEXT,
    "max_body_bytes": Kind("a number of bytes (int)", int),
    "on_retry": CALLBACK,
    "messages_per_minute": Kind("a number (int) or None", int | None),
}
_CLIENT_OBJECTS: Final[Mapping[str, type]] = {"timeouts": Timeouts, "retries": Retries}


def check(name: str, value: T, kind: Kind) -> T:
    """Check an argument, and return it as it was given.

    Raises:
        InvalidRequestError: It is of another kind.
    """
    if not kind.fits(value) and not kind.fits(prepared := kind.prepare(value)):
        _validate(name, prepared, kind.annotation, kind.wanted, value)
    return value


def check_client(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a client, as far as they are given.

    Raises:
        InvalidRequestError: One is of a wrong type.
    """
    for name, kind in _CLIENT.items():
        if name in arguments:
            check(name, arguments[name], kind)
    for name, its_type in _CLIENT_OBJECTS.items():
        if arguments.get(name) is not None:
            _check_object(name, arguments[name], its_type)


def check_servers(servers: Any) -> tuple[Any, ...]:
    """Check the tool servers of a call.

    Raises:
        InvalidRequestError: One is neither a name nor a dict of name, url and headers.
    """
    if servers is None:
        return ()
    if isinstance(servers, (str, bytes, Mapping)) or not isinstance(servers, Iterable):
        raise _refusal("mcp_servers", "a list of tool servers", servers)
    checked = tuple(servers)
    for index, server in enumerate(checked):
        if not isinstance(server, str):
            form = _server_form(server)
            wanted = 'a name, or {"name": …, "url": …, "headers": {…}}'
            _validate(f"mcp_servers[{index}]", form, McpServerConfig, wanted, server)
    return checked


def check_messages(messages: Any) -> tuple[ChatMessage, ...]:
    """Check a history; a text is one user's message.

    Raises:
        InvalidRequestError: It is neither a text nor messages, or a message holds wrong types.
    """
    if isinstance(messages, str):
        return (ChatMessage("user", messages),)
    if isinstance(messages, (bytes, Mapping)) or not isinstance(messages, Iterable):
        raise _refusal("messages", "a text or a list of ChatMessage", messages)
    checked = tuple(messages)
    for index, message in enumerate(checked):
        # Histories are long, and nearly all of them are plain.
        is_plain = type(message) is ChatMessage and type(message.content) is str
        is_plain = is_plain and message.role in ("user", "assistant", "system")
        if not is_plain or message.files not in ((), []):
            _check_object(f"messages[{index}]", message, ChatMessage)
    return checked


def invalid(error: ValidationError) -> InvalidRequestError:
    """Say what pydantic found wrong with the arguments of a model of its own, without any value."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidRequestError):
        return cause
    return _found_in("", first)


def _check_object(name: str, value: Any, kind: Any) -> None:
    """Check that a value is an instance of a dataclass, and holds what its fields say."""
    if not isinstance(value, kind):
        raise _refusal(name, f"a {kind.__name__}", value)
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    _validate(name, fields, _form_of(kind), f"a {kind.__name__}", value)


@functools.cache
def _form_of(kind: Any) -> Any:
    """The fields of a dataclass as a TypedDict, since pydantic takes instances unseen."""
    hints = get_type_hints(kind, localns={"Attachment": Upload})
    return TypedDict(kind.__name__, hints)  # type: ignore[operator]  # made at run time


def _server_form(server: Any) -> Any:
    if not isinstance(server, Mapping):
        return server
    # The secrets that a pickle has left behind are told of where the server is sent.
    return {
        name: _sent(reveal_values(value)) if name == "headers" else reveal(value) or ""
        for name, value in server.items()
        if value is not None
    }


def _sent(headers: Any) -> Any:
    if not isinstance(headers, Mapping):
        return headers
    return {name: value for name, value in headers.items() if value is not None}


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - see the module

    return TypeAdapter(annotation)


def _validate(name: str, value: Any, annotation: Any, wanted: str, given: object) -> None:
    from pydantic import ValidationError  # noqa: PLC0415 - see the module

    try:
        _adapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        is_whole = first["input"] is value or not isinstance(value, (dict, list))
        refusal = _refusal(name, wanted, given) if is_whole else _found_in(name, first)
    else:
        return
    # Outside of the handler, as pydantic's error holds the value and would be the context.
    raise refusal


def _found_in(name: str, found: Any) -> InvalidRequestError:
    """Say what is wrong inside of an argument."""
    place = name
    for part in found["loc"]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part.isidentifier() or "-" in part:  # not a type of a union, such as list[str]
            place += f".{part}" if place else part
    what = found["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if found["type"] == "missing":
        return InvalidRequestError(f"{place} is missing.")
    return InvalidRequestError(f"{place} {what}, not {_kind_of(found['input'])}.")


def _refusal(name: str, wanted: str, value: object) -> InvalidRequestError:
    return InvalidRequestError(f"{name} should be {wanted}, not {_kind_of(value)}.")


def _kind_of(value: object) -> str:
    return "None" if value is None else type(value).__name__
