"""Data scraped out of chat-ui's HTML, for servers whose JSON routes do not answer.

Current pages carry each response that they were rendered from in a `<script
type="application/json" data-sveltekit-fetched>`; legacy pages carry a JavaScript literal in their
start-up script (R: ``home_page_html``). Only finding and parsing; what the data means is known in
`models.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final

from hfchat_base.errors import ProtocolError

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
        ProtocolError: It is no such literal.
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
