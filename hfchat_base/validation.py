"""The arguments of public calls: checked where they come in, refused with one clear error.

An error names the argument, what it should be and the type of what was given; never the value,
which may be a secret. pydantic does the checking.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar, get_type_hints

from pydantic import AfterValidator, InstanceOf, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from hfchat_base.errors import InvalidRequestError
from hfchat_base.files import Upload
from hfchat_base.policy import Retries, Timeouts
from hfchat_base.secret import reveal, reveal_values
from hfchat_base.time_zone import is_time_zone
from hfchat_base.types import AnswerFile, ChatMessage, McpServerConfig

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
    "WITHOUT_EFFECT",
    "Kind",
    "check",
    "check_client",
    "check_messages",
    "check_servers",
    "invalid",
    "without_effect",
]

T = TypeVar("T")


def _unchanged(value: Any) -> Any:
    return value


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


@dataclass(frozen=True)
class Kind:
    """What an argument has to be.

    Attributes:
        wanted: In words that follow "should be".
        annotation: As pydantic takes it.
        prepare: Brings a value into the form that the annotation describes.
    """

    wanted: str
    annotation: Any
    prepare: Callable[[Any], Any] = _unchanged


def _time_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError(name)
    return name


def _object_with(method: str) -> Any:
    """Any object that has a method, which identifies its class without importing it."""

    def check_method(value: Any) -> Any:
        if not hasattr(value, method):
            raise ValueError(method)
        return value

    return Annotated[Any, AfterValidator(check_method)]


_Texts = dict[str, str]
_Path = InstanceOf[os.PathLike]  # type: ignore[type-arg]  # a class, to be used with isinstance

TEXT: Final = Kind("a text (str)", str)
OPTIONAL_TEXT: Final = Kind("a text (str) or None", str | None)
FLAG: Final = Kind("True or False", bool)
CALLBACK: Final = Kind("a function or None", Callable[..., Any] | None)
FILE: Final = Kind("an AnswerFile or its sha", str | InstanceOf[AnswerFile])
CLIENT: Final = Kind(
    "a HuggingChat, an AsyncHuggingChat or None", _object_with("stream_chat") | None
)
STOPS: Final = Kind("a text or a list of texts", str | list[str] | None, _as_list)
TOOLS: Final = Kind("a list of tools", list[Any] | None, _as_list)

ANSWER_OPTIONS: Final[Mapping[str, Kind]] = {
    "artifacts": Kind('"text", "raw", True, False or None', Literal["text", "raw"] | bool | None),
    "reasoning_effort": Kind(
        '"low", "medium", "high" or None', Literal["low", "medium", "high"] | None
    ),
    "provider": OPTIONAL_TEXT,
    "bill_to": OPTIONAL_TEXT,
    "restores_settings": Kind("True, False or None", bool | None),
    "timezone": Kind(
        "an IANA name such as 'Europe/Berlin', False or None",
        Annotated[str, AfterValidator(_time_zone)] | Literal[False] | None,
    ),
}
"""How an answer can be wanted; the same for a client and for a call."""

_CLIENT_ARGUMENTS: Final[Mapping[str, Kind]] = {
    "base_url": OPTIONAL_TEXT,
    "cookies": Kind(
        "a dict of names and values, a Cookie header, JSON, a path, a cookie jar or None",
        str | _Texts | _Path | _object_with("set_cookie_if_ok") | None,
        reveal_values,
    ),
    "account": OPTIONAL_TEXT,
    "model": OPTIONAL_TEXT,
    "ephemeral": FLAG,
    "stops_on_leave": FLAG,
    "timeouts": Kind("a Timeouts", InstanceOf[Timeouts] | None),
    "proxy": Kind("an address (str) or None", str | None, reveal),
    "headers": Kind("a dict of names and values or None", _Texts | None, reveal_values),
    "verify": Kind("True, False or the path of a file", bool | str | _Path),
    "impersonate": OPTIONAL_TEXT,
    "max_body_bytes": Kind("a number of bytes (int)", int),
    "retries": Kind("a Retries", InstanceOf[Retries] | None),
    "on_retry": CALLBACK,
    "messages_per_minute": Kind("a number (int) or None", int | None),
}


WITHOUT_EFFECT: Final = frozenset(
    (
        # how a model samples, which chat-ui's own settings decide
        *("temperature", "top_p", "top_k", "min_p", "typical_p", "top_a", "seed", "n", "best_of"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty", "repeat_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "mirostat", "tfs_z", "do_sample"),
        # how much it writes and reads, and how it thinks
        *("max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens"),
        *("num_ctx", "num_predict", "truncation", "include", "response_format", "format"),
        *("reasoning", "thinking", "verbosity", "modalities", "strict"),
        # another provider's account, client and protocol
        *("api_key", "openai_api_key", "huggingfacehub_api_token", "access_token", "hf_token"),
        *("token", "authorization", "password", "api_version", "api_type", "organization"),
        *("project", "user", "service_tier", "store", "metadata", "task"),
        *("http_client", "async_http_client", "http_async_client", "reuse_client"),
        *("default_query", "extra_body", "extra_headers", "extra_query", "additional_kwargs"),
        *("model_kwargs", "generate_kwargs", "pipeline_kwargs", "tokenizer", "keep_alive"),
        *("stream_options", "stream_usage", "use_responses_api"),
        *("cache_control", "safety_settings"),
    )
)
"""Arguments of other chat models that a HuggingChat server offers no way to set."""

_OTHER_NAMES: Final = {
    "api_base": "base_url",
    "server_url": "base_url",
    "endpoint": "base_url",
    "model_name": "model",
    "model_id": "model",
    "default_headers": "headers",
    "request_timeout": "timeout",
    "stop_sequences": "stop",
}
"""How other chat models name what is there under another name."""


def without_effect(
    owner: str, arguments: Mapping[str, Any], known: Iterable[str]
) -> frozenset[str]:
    """Find the arguments that are accepted and ignored, so that a wrapper can warn about them.

    Args:
        owner: What was called, for the message.
        arguments: What is left of its keyword arguments.
        known: The names that it has.

    Returns:
        The names of settings that other chat models have, if they are not None.

    Raises:
        InvalidRequestError: A name is neither; the message suggests the right one.
    """
    known = set(known)
    for name in arguments:
        if name in WITHOUT_EFFECT or (name in known and name not in _OTHER_NAMES):
            continue
        other = _OTHER_NAMES.get(name)
        near = difflib.get_close_matches(name, sorted(known | WITHOUT_EFFECT), n=1)
        suggested = [other] if other in known else near
        hint = f" Did you mean {suggested[0]!r}?" if suggested else ""
        raise InvalidRequestError(f"{owner} has no argument {name!r}.{hint}")
    return frozenset(name for name, value in arguments.items() if value is not None)


def check(name: str, value: T, kind: Kind) -> T:
    """Check an argument, and return it as it was given.

    Raises:
        InvalidRequestError: It is of another kind.
    """
    _validate(name, kind.prepare(value), kind.annotation, kind.wanted, value)
    return value


def check_client(arguments: Mapping[str, Any]) -> None:
    """Check those arguments of a client that are given.

    Raises:
        InvalidRequestError: One is of a wrong type.
    """
    for name, kind in _CLIENT_ARGUMENTS.items():
        if name in arguments:
            check(name, arguments[name], kind)


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
    """Describe what pydantic found wrong with a model, without any value."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidRequestError):
        return cause
    return _found_in("", first)


def _check_object(name: str, value: Any, kind: Any) -> None:
    """Check that a value is an instance of a dataclass, and that its fields have their types."""
    if not isinstance(value, kind):
        raise _refusal(name, f"a {kind.__name__}", value)
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    _validate(name, fields, _form_of(kind), f"a {kind.__name__}", value)


@functools.cache
def _form_of(kind: Any) -> Any:
    """The fields of a dataclass as a TypedDict, since pydantic does not look into instances."""
    hints = get_type_hints(kind, localns={"Attachment": Upload})
    return TypedDict(kind.__name__, hints)  # type: ignore[operator]  # made at run time


def _server_form(server: Any) -> Any:
    if not isinstance(server, Mapping):
        return server
    # A secret that was lost in a pickle is reported where the server would be sent.
    return {
        name: _without_none(reveal_values(value)) if name == "headers" else reveal(value) or ""
        for name, value in server.items()
        if value is not None
    }


def _without_none(headers: Any) -> Any:
    if not isinstance(headers, Mapping):
        return headers
    return {name: value for name, value in headers.items() if value is not None}


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _validate(name: str, value: Any, annotation: Any, wanted: str, given: object) -> None:
    try:
        _adapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        is_whole = first["input"] is value or not isinstance(value, (dict, list))
        refusal = _refusal(name, wanted, given) if is_whole else _found_in(name, first)
    else:
        return
    # Outside of the handler: pydantic's error holds the value and would become the context.
    raise refusal


def _found_in(name: str, found: Any) -> InvalidRequestError:
    """Say what is wrong inside of an argument."""
    place = name
    for part in found["loc"]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part.isidentifier() or "-" in part:  # not a type of a union, such as list[str]
            place += f".{part}" if place else part
    place = place or "it"
    what = found["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if found["type"] == "missing":
        return InvalidRequestError(f"{place} is missing.")
    return InvalidRequestError(f"{place} {what}, not {_type_of(found['input'])}.")


def _refusal(name: str, wanted: str, value: object) -> InvalidRequestError:
    return InvalidRequestError(f"{name} should be {wanted}, not {_type_of(value)}.")


def _type_of(value: object) -> str:
    return "None" if value is None else type(value).__name__
