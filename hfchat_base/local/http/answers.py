"""Responses in chat-ui's forms, and the refusals that turn into them.

An endpoint refuses by raising `Refusal` (what the server says on purpose) or `Mishap` (what its
schema or database throws on bad input, a 500 with an error id).
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.superjson import superjson_text
from hfchat_base.local.http.negotiation import wants_json_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = [
    "Mishap",
    "Refusal",
    "html_answer",
    "json_answer",
    "json_body",
    "json_value",
    "mishap_answer",
    "refusal_answer",
    "superjson_answer",
    "terse_answer",
    "text_answer",
]


_MOST_DIGITS = 309


class Refusal(Exception):  # noqa: N818 - says what happened
    """The server says no.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Mishap(Exception):  # noqa: N818 - says what happened
    """The real server would throw here. It answers 500, or another status, with an error id.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, reason: str, *, status: int = 500) -> None:
        super().__init__(reason)
        self.status = status


def text_answer(
    text: str,
    *,
    status: int = 200,
    media: str = "text/plain",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with text.

    Args:
        text: The body.
        status: HTTP status.
        media: Content type, written as it is.
        headers: More headers.
    """
    return Response(
        text.encode("utf-8", "surrogatepass"), status, {"content-type": media, **(headers or {})}
    )


def json_answer(value: object, *, status: int = 200) -> Response:
    """Answer with plain JSON.

    Args:
        value: The document.
        status: HTTP status.
    """
    return text_answer(json_text(value), status=status, media="application/json")


def superjson_answer(value: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with superjson, as ``/api/v2`` does.

    Args:
        value: The document.
        headers: More headers.
    """
    return text_answer(superjson_text(value), media="application/json", headers=headers)


def terse_answer(headers: Mapping[str, str], status: int, message: str) -> Response:
    """Refuse in text, or in JSON if the client speaks of JSON anywhere, as chat-ui's hook does.

    Args:
        headers: The request's headers.
        status: HTTP status.
        message: Why not.
    """
    if "application/json" in headers.get("accept", "") + headers.get("content-type", ""):
        return json_answer({"error": message}, status=status)
    return text_answer(message, status=status)


def html_answer(
    page: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a page.

    Args:
        page: HTML.
        status: HTTP status.
        headers: More headers.
    """
    return text_answer(page, status=status, media="text/html", headers=headers)


def refusal_answer(request: Request, refusal: Exception) -> Response:
    """Put a `Refusal` into words: a page for browsers, JSON for everybody else.

    Args:
        request: What was asked.
        refusal: Why not.
    """
    return _error_answer(request, cast("Refusal", refusal).status, {"message": str(refusal)})


def mishap_answer(request: Request, mishap: Exception) -> Response:
    """Put a `Mishap` into words.

    Args:
        request: What was asked.
        mishap: What went wrong; the client is not told.
    """
    words = {"message": "An error occurred", "errorId": str(uuid.uuid4())}
    return _error_answer(request, cast("Mishap", mishap).status, words)


async def json_body(request: Request) -> Any:
    """Read the body as JSON.

    Args:
        request: The request.

    Raises:
        Mishap: It is no JSON, or it is too large.
        Refusal: It is nested too deeply.
    """
    return json_value((await request.body()).decode("utf-8", "replace").removeprefix("\ufeff"))


def json_value(text: str) -> Any:
    """Read JSON as ``JSON.parse`` does, except that it reads any depth.

    Args:
        text: The document.

    Raises:
        Mishap: It is no JSON.
        Refusal: It is nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_number, parse_constant=_no_constant)
    except ValueError as error:
        raise Mishap("no JSON") from error
    except RecursionError as error:
        raise Refusal(400, "Invalid request") from error


def _number(digits: str) -> float:
    """Read a number without a fraction; what is too large for JavaScript is infinite there."""
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python takes for JSON."""
    raise ValueError(name)


def _error_answer(request: Request, status: int, words: dict[str, str]) -> Response:
    if not wants_json_errors(request.headers):
        message = words["message"].replace("&", "&amp;").replace("<", "&lt;")
        return html_answer(
            f"<!doctype html>\n<html><body><h1>{status}</h1><p>{message}</p></body></html>",
            status=status,
        )
    return json_answer(words, status=status)
