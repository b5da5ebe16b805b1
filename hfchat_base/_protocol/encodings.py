"""Data as chat-ui wraps it: superjson, devalue, and HTML pages; and the models that read it.

Only reading, and only as far as chat-ui uses them. Every encoding ends in plain Python data; dates
stay the ISO strings that they are on the wire. What is then read by name is a `Wire` model.

Pages are read for servers whose JSON routes do not answer. Current pages carry each response that
they were rendered from in a `<script type="application/json" data-sveltekit-fetched>`; legacy pages
carry a JavaScript literal in their start-up script (R: ``home_page_html``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic.alias_generators import to_camel

from hfchat_base.errors import ProtocolError

_T = TypeVar("_T")

_UNDEFINED: Final = -1
_HOLE: Final = -2
_SPECIAL: Final = {-3: float("nan"), -4: float("inf"), -5: float("-inf"), -6: -0.0}

_LEGACY_MODELS: Final = re.compile(r"\bmodels:\s*(?=\[)")
_ACTIVE_MODEL: Final = re.compile(r'\bactiveModel:\s*(?="(?:[^"\\]|\\.)*")')

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<nothing>void\s+0|undefined|NaN|-?Infinity)
    | (?P<date>new\s+Date\(\s*(?P<when>-?\d+|"[^"]*")\s*\))
    | (?P<word>true|false|null)(?![\w$])
    | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)n?
    | (?P<key>[A-Za-z_$][\w$]*)(?=\s*:)
    | (?P<mark>[\[\]{},:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\r\n|.)", re.DOTALL
)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


class Wire(BaseModel):
    """What a server sends, as far as it is used; its fields are the wire's, in snake case.

    Unknown fields are ignored. A field of the wrong type counts as left out, so that a server's
    whim in one of them costs no more than that one; only a field without a default has to be right.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel)

    @field_validator("*", mode="wrap")
    @classmethod
    def _wrong_type_is_left_out(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return handler(value)
        except ValidationError:
            field = cls.model_fields[info.field_name or ""]
            if field.is_required():
                raise
            return field.get_default(call_default_factory=True)


def structure(unused: str = "", **sent: str) -> ConfigDict:
    """Say more of what a model reads, for `_protocol/structure.py`; a part of its settings.

    Args:
        unused: Names that servers send and the model does not have, separated by spaces.
        **sent: By generation, names of the model that it always sends.
    """
    more: dict[str, Any] = {
        "unused": unused.split(),
        "sent": {generation: names.split() for generation, names in sent.items()},
    }
    return ConfigDict(json_schema_extra=more)


def _valid_items(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Leave out the items of a list that are not valid."""
    try:
        return handler(value)
    except ValidationError:
        if not isinstance(value, list):
            raise
    items: list[Any] = []
    for item in value:
        try:
            items += handler([item])
        except ValidationError:
            continue
    return items


Items = Annotated[list[_T], WrapValidator(_valid_items)]
"""A list without the items that cannot be read."""


def parse_json(body: bytes | str, what: str) -> Any:
    """Parse JSON.

    Args:
        body: The text.
        what: What it should have been, for the error.

    Raises:
        ProtocolError: It is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        msg = f"The server's {what} is not JSON."
        raise ProtocolError(msg, excerpt=text[:80]) from error


def from_superjson(body: bytes | str, what: str) -> Any:
    """Read superjson: the data is under ``json``; ``meta`` only holds the types of strings (R).

    Raises:
        ProtocolError: It is not superjson.
    """
    payload = parse_json(body, what)
    if not isinstance(payload, dict) or "json" not in payload:
        msg = f"The server's {what} is not superjson."
        raise ProtocolError(msg)
    return payload["json"]


def from_devalue(values: Any, what: str) -> Any:
    """Read devalue: the first array holds everything, integers in it are indices (R).

    Raises:
        ProtocolError: It is not devalue, or refers to itself deeper than can be read.
    """
    if not isinstance(values, list) or not values:
        msg = f"The server's {what} is not devalue."
        raise ProtocolError(msg)
    try:
        return _Devalue(values).value(0)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        msg = f"The server's {what} is not devalue."
        raise ProtocolError(msg) from error


def from_sveltekit_data(body: bytes, what: str) -> list[dict[str, Any]]:
    """Read a ``__data.json``: the data of each node that was sent, in order.

    A refusal is not noticed here; see `responses.check_data`.

    Raises:
        ProtocolError: It is not such a document.
    """
    nodes = sveltekit_document(body, what).get("nodes")
    if not isinstance(nodes, list):
        msg = f"The server's {what} is not SvelteKit data."
        raise ProtocolError(msg)
    data = [
        from_devalue(node.get("data"), what)
        for node in nodes
        if isinstance(node, dict) and node.get("type") == "data"
    ]
    return [node for node in data if isinstance(node, dict)]


def sveltekit_document(body: bytes, what: str) -> dict[str, Any]:
    """Parse a ``__data.json`` without reading its nodes.

    More lines than one may come, the later ones with deferred parts (R); only the first holds
    nodes.

    Raises:
        ProtocolError: It is not such a document.
    """
    first = parse_json(body.split(b"\n", 1)[0], what)
    if not isinstance(first, dict):
        msg = f"The server's {what} is not SvelteKit data."
        raise ProtocolError(msg)
    return first


class _Devalue:
    """Reads one devalue array; values that are referred to twice are read once."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self._known: dict[int, Any] = {}

    def value(self, index: Any) -> Any:
        if not isinstance(index, int) or isinstance(index, bool):
            msg = "an index is not an integer"
            raise TypeError(msg)
        if index < 0:
            return None if index in (_UNDEFINED, _HOLE) else _SPECIAL[index]
        if index not in self._known:
            self._read(index)
        return self._known[index]

    def _read(self, index: int) -> None:
        raw = self._values[index]
        if isinstance(raw, dict):
            members: dict[str, Any] = {}
            self._known[index] = members
            members.update({key: self.value(item) for key, item in raw.items()})
        elif isinstance(raw, list) and raw and isinstance(raw[0], str):
            self._known[index] = self._tagged(raw)
        elif isinstance(raw, list):
            items: list[Any] = []
            self._known[index] = items
            items.extend(self.value(item) for item in raw)
        else:
            self._known[index] = raw

    def _tagged(self, raw: list[Any]) -> Any:
        tag, *rest = raw
        if tag in ("Date", "BigInt"):
            return rest[0]
        if tag == "Set":
            return [self.value(item) for item in rest]
        if tag == "Map":
            return {
                self.value(k): self.value(v) for k, v in zip(rest[::2], rest[1::2], strict=True)
            }
        if tag == "null":
            return {key: self.value(item) for key, item in zip(rest[::2], rest[1::2], strict=True)}
        # Custom types, such as the ObjectId of a conversation: the tag and one index.
        return self.value(rest[0])


def fetched_responses(html: str) -> dict[str, str]:
    """Find the responses in a current page: path, without host and query → body."""
    finder = _FetchedScripts()
    finder.feed(html)
    finder.close()
    return dict(finder.responses())


def legacy_models(html: str) -> list[Any] | None:
    """Find the model list in a legacy page's start-up script, or None.

    Raises:
        ProtocolError: There is one, but it cannot be read.
    """
    for match in _LEGACY_MODELS.finditer(html):
        models = parse_literal(html, match.end())
        if isinstance(models, list):
            return models
    return None


def legacy_active_model(html: str) -> str | None:
    """Find the account's active model in a legacy page's start-up script, or None."""
    match = _ACTIVE_MODEL.search(html)
    model = parse_literal(html, match.end()) if match else None
    return model if isinstance(model, str) else None


def parse_literal(script: str, start: int = 0) -> Any:
    """Read the JavaScript literal that begins at `start`; what follows it is not looked at.

    It knows what devalue writes into a page: unquoted keys, ``void 0``, ``new Date(…)``, escapes
    that JSON does not have. An expression that is none of these ends the attempt.

    Raises:
        ProtocolError: It is not such a literal.
    """
    pieces: list[str] = []
    depth = 0
    position = start
    while True:
        match = _TOKEN.match(script, position)
        if match is None:
            excerpt = script[position : position + 40]
            msg = "The page's start-up script holds something that is not data."
            raise ProtocolError(msg, excerpt=excerpt)
        position = match.end()
        kind = match.lastgroup
        if kind == "space":
            continue
        piece = _as_json(match)
        if piece in ("[", "{"):
            depth += 1
        elif piece in ("]", "}"):
            depth -= 1
        pieces.append(piece)
        if depth <= 0:
            break
    try:
        return json.loads(" ".join(pieces))
    except (ValueError, RecursionError) as error:
        msg = "The page's start-up script cannot be read."
        raise ProtocolError(msg) from error


def _as_json(match: re.Match[str]) -> str:
    if match["string"]:
        return json.dumps(_ESCAPE.sub(_unescape, match["string"][1:-1]))
    if match["nothing"]:
        return "null"
    if match["date"]:
        return json.dumps(match["when"].strip('"'))
    if match["key"]:
        return json.dumps(match["key"])
    if number := match["number"]:
        # JavaScript also writes .5 and 5. for numbers, which JSON does not.
        return number if number.lstrip("-").isdigit() else repr(float(number))
    return match[0]


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] in "ux" and len(escape) > 1:
        return chr(int(escape[1:].strip("{}"), 16))
    if escape in ("\n", "\r\n", "\u2028", "\u2029"):
        return ""
    return _ESCAPED.get(escape, escape)


class _FetchedScripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._url: str | None = None
        self._found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and "data-sveltekit-fetched" in values:
            self._url = values.get("data-url") or ""

    def handle_data(self, data: str) -> None:
        if self._url is not None:
            self._found.append((self._url, data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._url = None

    def responses(self) -> Iterator[tuple[str, str]]:
        for url, data in self._found:
            try:
                response = json.loads(data)
            except (ValueError, RecursionError):
                continue
            if isinstance(response, dict) and isinstance(body := response.get("body"), str):
                path = re.sub(r"^https?://[^/]+", "", url).partition("?")[0]
                yield path, body
