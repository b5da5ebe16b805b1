"""One line of an answer → one event.

The table `_TYPES` is the only place that knows how the wire spells the events of `events.py`: each
type with its reader and its fields. A new event of the server is a line there, a reader, and a
class in `events.py`. Text is passed on as it came, but for the NUL padding. What the events add up
to (`accumulator.py`), and the thinking inside of the text (`thinking.py`), are not known here.

Whatever the bytes are, the result is an event or a `ProtocolError`. A type or subtype that is not
in the table is not an error but `Unknown`. What a newer server adds is logged once per
process for each set of unknown names, as a WARNING, and the stream continues. Only
names are logged, never values.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from hfchat_base._forks import Lock
from hfchat_base.errors import ProtocolError
from hfchat_base.events import (
    ElicitationRequest,
    ElicitationResolved,
    Event,
    File,
    FinalAnswer,
    ReasoningDelta,
    ReasoningStatus,
    RouterMetadata,
    Source,
    Sources,
    Status,
    TextDelta,
    Title,
    ToolCall,
    ToolError,
    ToolEta,
    ToolProgress,
    ToolResult,
    Unknown,
    WebSearchUpdate,
)

_log = logging.getLogger("hfchat")

EXCERPT_CHARACTERS: Final = 80
"""How much of a bad line an error shows."""

_LARGEST_NUMBER: Final = 2**53
"""Beyond it the integers of two languages need not be the same (RFC 8259, 6)."""

# The C scanner of `json` takes the lone surrogates that chat-ui makes by cutting UTF-16 (S), which
# stricter parsers refuse, and is the standard library's fastest way to parse one decoded line.
_scan = json.JSONDecoder().raw_decode

_DEEPEST: Final = 100
"""How deep the arguments of a tool may be nested: pydantic writes no JSON of more than 255 levels,
and an answer holds them a few levels down."""

# Nearly every line is a token in exactly this form (R), and then there is nothing to parse: no
# escape but the padding, and no quote or control character, which JSON would not allow either.
_plain_token = re.compile(
    rb'\{"type":"stream","token":"([^"\\\x00-\x1f]*)(?:\\u0000)*"\}'
).fullmatch

Raw = dict[str, Any]


class _FieldError(Exception):
    """A field is missing or has the wrong type."""


def decode_line(line: bytes, line_number: int | None = None) -> Event | None:
    """Read one line of a ``application/jsonl`` answer.

    Args:
        line: The line without its newline. The 4096 spaces that chat-ui sends after a final answer
            stand in front of the next object or alone (R).
        line_number: For the error, counted from 1.

    Returns:
        The event, or None for a line of white space.

    Raises:
        ProtocolError: It is not UTF-8, not one JSON object, or lacks what its type needs.
    """
    try:
        plain = _plain_token(line)
        if plain is not None:
            return TextDelta(plain[1].decode())
        text = line.decode().strip()
    except UnicodeDecodeError as error:
        raise _malformed("is not UTF-8", repr(line[:EXCERPT_CHARACTERS]), line_number) from error
    return decode_text(text, line_number) if text else None


def decode_text(text: str, line_number: int | None = None) -> Event:
    """Read one JSON object without white space around it; see `decode_line`.

    Raises:
        ProtocolError: It is not one JSON object, or lacks what its type needs.
    """
    try:
        raw, end = _scan(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("is not JSON", text, line_number) from error
    if end != len(text) or not isinstance(raw, dict):
        raise _malformed("is not one JSON object", text, line_number)
    try:
        return decode_object(raw)
    except _FieldError as error:
        raise _malformed(str(error), text, line_number) from error


def decode_object(raw: Raw) -> Event:
    """Turn a parsed object into its event; see `decode_line`."""
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise _FieldError("has no 'type'")
    known = _TYPES.get(kind)
    event = known.read(raw) if known else Unknown(raw)
    is_known = event.__class__ is not Unknown
    if known is None or not is_known or kind == "status" or not raw.keys() <= known.fields:
        _warn_of_unknown(raw, is_known=is_known)
    return event


def _malformed(problem: str, text: str, line_number: int | None) -> ProtocolError:
    where = f"Line {line_number} of the answer" if line_number else "A line of the answer"
    excerpt = text[:EXCERPT_CHARACTERS] + ("…" if len(text) > EXCERPT_CHARACTERS else "")
    return ProtocolError(f"{where} {problem}.", line_number=line_number, excerpt=excerpt)


def _text(raw: Raw, key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        msg = f"has no text in {key!r}"
        raise _FieldError(msg)
    return value


def _text_or(raw: Raw, key: str, default: str = "") -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else default


def _number(raw: Raw, key: str) -> float | None:
    """A number, or None for one that cannot be reckoned with, which chat-ui writes as null."""
    value = raw.get(key, "")
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        msg = f"has no number in {key!r}"
        raise _FieldError(msg)
    return _number_or_none(raw, key)


def _number_or_none(raw: Raw, key: str) -> float | None:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER else None  # not NaN either


def _object(raw: Raw, key: str) -> Raw:
    value = raw.get(key)
    if not isinstance(value, dict):
        msg = f"has no object in {key!r}"
        raise _FieldError(msg)
    return value


def _object_or_empty(raw: Raw, key: str) -> Raw:
    value = raw.get(key)
    if not isinstance(value, dict):
        return {}
    if _is_deep(value):
        raise _FieldError(f"has {key!r} that are nested more than {_DEEPEST} levels deep")
    return value


def _is_deep(value: Any) -> bool:
    """Return whether a value is nested deeper than it could be written as JSON again."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _objects(raw: Raw, key: str) -> Iterator[Raw]:
    value = raw.get(key)
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _stream(raw: Raw) -> Event:
    token = _text(raw, "token")
    return TextDelta(token.replace("\0", "") if "\0" in token else token)


def _status(raw: Raw) -> Event:
    code = raw.get("statusCode")
    return Status(
        _text(raw, "status"),
        raw["message"] if isinstance(raw.get("message"), str) else None,
        code if isinstance(code, int) and not isinstance(code, bool) else None,
    )


def _final_answer(raw: Raw) -> Event:
    return FinalAnswer(_text(raw, "text").replace("\0", ""), raw.get("interrupted") is True)


def _title(raw: Raw) -> Event:
    return Title(_text(raw, "title").replace("\0", ""))


def _reasoning(raw: Raw) -> Event:
    subtype = raw.get("subtype")
    if subtype == "stream":
        return ReasoningDelta(_text(raw, "token").replace("\0", ""))
    if subtype == "status":
        return ReasoningStatus(_text(raw, "status"))
    return Unknown(raw)


def _tool(raw: Raw) -> Event:
    subtype = raw.get("subtype")
    if subtype == "call":
        call = _object(raw, "call")
        return ToolCall(
            _text(raw, "uuid"), _text(call, "name"), _object_or_empty(call, "parameters")
        )
    if subtype == "eta":
        eta = _number(raw, "eta")
        return Unknown(raw) if eta is None else ToolEta(_text(raw, "uuid"), eta)
    if subtype == "progress":
        return _tool_progress(raw)
    if subtype == "result":
        return _tool_result(raw)
    if subtype == "error":
        return ToolError(_text(raw, "uuid"), _text(raw, "message"))
    return Unknown(raw)


def _tool_progress(raw: Raw) -> Event:
    progress = _number(raw, "progress")
    if progress is None:  # the tool's own word, which chat-ui passes on; no reason to give up
        return Unknown(raw)
    return ToolProgress(
        _text(raw, "uuid"),
        progress,
        _number_or_none(raw, "total"),
        raw["message"] if isinstance(raw.get("message"), str) else None,
    )


def _tool_result(raw: Raw) -> Event:
    result = _object(raw, "result")
    call = _object_or_empty(result, "call")
    if result.get("status") == "error":
        return ToolError(_text(raw, "uuid"), _text_or(result, "message", "The tool failed."))
    outputs = tuple(_objects(result, "outputs"))
    return ToolResult(
        uuid=_text(raw, "uuid"),
        name=_text_or(call, "name"),
        arguments=_object_or_empty(call, "parameters"),
        output="\n".join(text for output in outputs if (text := _text_or(output, "text"))),
        outputs=outputs,
    )


def _elicitation(raw: Raw) -> Event:
    subtype = raw.get("subtype")
    if subtype == "request":
        request = _object(raw, "request")
        return ElicitationRequest(
            elicitation_id=_text(request, "elicitationId"),
            message=_text_or(request, "message"),
            fields=tuple(_objects(request, "fields")),
            server=_text_or(request, "server"),
            mode=_text_or(request, "mode", "form"),
            url=request["url"] if isinstance(request.get("url"), str) else None,
            expires_at=_number_or_none(raw, "expiresAt"),
            tool_uuid=raw["toolUuid"] if isinstance(raw.get("toolUuid"), str) else None,
        )
    if subtype == "resolved":
        return ElicitationResolved(
            elicitation_id=_text(raw, "elicitationId"),
            action=_text(raw, "action"),
            resolution=_text_or(raw, "resolution"),
            content=raw["content"] if isinstance(raw.get("content"), dict) else None,
        )
    return Unknown(raw)


def _router(raw: Raw) -> Event:
    return RouterMetadata(_text_or(raw, "route"), _text_or(raw, "model"), _text_or(raw, "provider"))


def _file(raw: Raw) -> Event:
    return File(_text_or(raw, "name"), _text(raw, "sha"), _text_or(raw, "mime"))


def _web_search(raw: Raw) -> Event:
    # Before `subtype` the same word was spelt `messageType` (S).
    subtype = raw.get("subtype", raw.get("messageType"))
    if subtype == "sources":
        return Sources(
            tuple(
                Source(link, _text_or(source, "title"))
                for source in _objects(raw, "sources")
                if (link := _text_or(source, "link"))
            )
        )
    if subtype in ("update", "error", "finished"):
        args = raw.get("args")
        return WebSearchUpdate(
            _text_or(raw, "message", subtype if subtype == "finished" else ""),
            tuple(arg for arg in args if isinstance(arg, str)) if isinstance(args, list) else (),
            is_error=subtype == "error",
        )
    return Unknown(raw)


@dataclass(frozen=True, slots=True)
class _Type:
    """A type of event.

    Attributes:
        read: Makes the event out of the parsed object.
        fields: The names of its fields besides ``type`` and ``subtype``, of all subtypes and both
            generations (S: ``MessageUpdate`` of 0.9.5 and 0.20).
    """

    read: Callable[[Raw], Event]
    fields: frozenset[str]


def _type(read: Callable[[Raw], Event], *fields: str) -> _Type:
    return _Type(read, frozenset(("type", "subtype", *fields)))


_TYPES: Final[dict[str, _Type]] = {
    "stream": _type(_stream, "token", "len"),
    "status": _type(_status, "status", "message", "statusCode"),
    "finalAnswer": _type(_final_answer, "text", "interrupted", "webSources"),
    "title": _type(_title, "title"),
    "reasoning": _type(_reasoning, "token", "status"),
    "tool": _type(
        _tool,
        *("uuid", "call", "reasoning", "content", "originalId", "argumentsRaw"),
        *("result", "message", "eta", "progress", "total"),
    ),
    "elicitation": _type(
        _elicitation,
        *("request", "expiresAt", "toolUuid"),
        *("elicitationId", "action", "resolution", "content"),
    ),
    "routerMetadata": _type(_router, "route", "model", "provider"),
    "file": _type(_file, "name", "sha", "mime"),
    "webSearch": _type(_web_search, "messageType", "message", "args", "sources"),
}

_STATUSES: Final = {"started", "keepAlive", "finished", "error"}

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
"""What a name may look like to be logged: a server may put anything in its place."""

_MAX_WARNINGS: Final = 50
"""How many sets of unknown names are logged; a server that makes names up floods nothing."""

_warned: set[tuple[str, ...]] = set()
_lock = Lock()


def unknown_names(raw: Raw) -> tuple[str, ...]:
    """The names in an event that are not in the table; empty if all are."""
    kind = raw.get("type")
    known = _TYPES.get(kind) if isinstance(kind, str) else None
    if known is None:
        return (f"type {_shown(kind)}",)
    try:
        is_known = known.read(raw).__class__ is not Unknown
    except _FieldError:
        return (f"in {kind}", "another form")
    return _unknown_names(raw, known, is_known=is_known)


def _unknown_names(raw: Raw, known: _Type, *, is_known: bool) -> tuple[str, ...]:
    kind = raw["type"]
    is_new_status = kind == "status" and raw.get("status") not in _STATUSES
    if is_known and not is_new_status and raw.keys() <= known.fields:
        return ()
    names = [f"in {kind}"]
    if is_new_status:
        names.append(f"status {_shown(raw.get('status'))}")
    elif not is_known:
        names.append(f"subtype {_shown(raw.get('subtype'))}")
    names += sorted({f"field {_shown(name)}" for name in raw.keys() - known.fields})
    return tuple(names)


def _warn_of_unknown(raw: Raw, *, is_known: bool) -> None:
    """Log the names in an event that are not in the table, once.

    Args:
        raw: The event, as it was parsed; its ``type`` is a text.
        is_known: Whether there is an event class for its type and subtype.
    """
    kind = raw["type"]
    known = _TYPES.get(kind)
    if known is None:
        _warn((f"type {_shown(kind)}",))
    elif names := _unknown_names(raw, known, is_known=is_known):
        _warn(names)


def _warn(names: tuple[str, ...]) -> None:
    with _lock:
        if names in _warned or len(_warned) >= _MAX_WARNINGS:
            return
        _warned.add(names)
    _log.warning(
        "the server sends data that this version of hfchat does not know (%s); answers are not"
        " affected",
        ", ".join(names),
    )


def _shown(name: object) -> str:
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return repr(name)
    return "without a plain name"
