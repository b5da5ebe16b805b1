"""What the routes share: responses, errors, content negotiation, cookies, and lookups.

An endpoint rejects a request by raising `HTTPError` (an error that chat-ui raises on purpose) or
`InternalError` (what its schema or database throws on bad input: a 500 with an error id).
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import quote, unquote

from pydantic import ValidationError
from starlette.responses import Response

from hfchat_base.local.wire import json_text, now, superjson_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection, Request
    from starlette.types import Scope

    from hfchat_base.local.database import Conversation, Session
    from hfchat_base.local.state import ServerState

SESSION_COOKIE: Final = "hf-chat"
"""The cookie that names a session (R)."""

MAX_TITLE_CHARACTERS: Final = 100
"""The longest title that PATCH accepts (R: ``manage``)."""

SHARE_ID_CHARACTERS: Final = 7
"""A conversation id of this length names a share (R: ``manage``)."""

_MAX_DIGITS: Final = 309
"""JavaScript reads longer numbers as infinity."""


class HTTPError(Exception):
    """The server rejects a request, as chat-ui does on purpose.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class InternalError(Exception):
    """The real server would throw here: it responds with a status, mostly 500, and an error id.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, reason: str, *, status: int = 500) -> None:
        super().__init__(reason)
        self.status = status


def text_response(
    text: str,
    *,
    status: int = 200,
    media: str = "text/plain",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with text. ``media`` is the whole content type."""
    return Response(
        text.encode("utf-8", "surrogatepass"), status, {"content-type": media, **(headers or {})}
    )


def json_response(value: object, *, status: int = 200) -> Response:
    """Return a response with plain JSON."""
    return text_response(json_text(value), status=status, media="application/json")


def superjson_response(value: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with superjson, as ``/api/v2`` does."""
    return text_response(superjson_text(value), media="application/json", headers=headers)


def plain_error_response(headers: Mapping[str, str], status: int, message: str) -> Response:
    """Return an error as chat-ui's hook does: as JSON if the client mentions it, else as text."""
    if "application/json" in headers.get("accept", "") + headers.get("content-type", ""):
        return json_response({"error": message}, status=status)
    return text_response(message, status=status)


def html_response(
    page: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with an HTML page."""
    return text_response(page, status=status, media="text/html", headers=headers)


def http_error_response(request: Request, error: Exception) -> Response:
    """Turn an `HTTPError` into a response: a page for browsers, JSON for everybody else."""
    return _error_response(request, cast("HTTPError", error).status, {"message": str(error)})


def internal_error_response(request: Request, error: Exception) -> Response:
    """Turn an `InternalError` into a response. The client does not learn what went wrong."""
    body = {"message": "An error occurred", "errorId": str(uuid.uuid4())}
    return _error_response(request, cast("InternalError", error).status, body)


async def json_body(request: Request) -> Any:
    """Read the body as JSON.

    Raises:
        InternalError: It is not JSON, or it is too large.
        HTTPError: It is nested too deeply.
    """
    return json_value((await request.body()).decode("utf-8", "replace").removeprefix("\ufeff"))


def json_value(text: str) -> Any:
    """Parse JSON as ``JSON.parse`` does.

    Raises:
        InternalError: It is not JSON.
        HTTPError: It is nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_number, parse_constant=_no_constant)
    except ValueError as error:
        raise InternalError("not JSON") from error
    except RecursionError as error:
        raise HTTPError(400, "Invalid request") from error


def _number(digits: str) -> float:
    """Parse an integer; what is too large for JavaScript is infinite there."""
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _no_constant(name: str) -> None:
    """Reject NaN and Infinity, which Python accepts in JSON."""
    raise ValueError(name)


def _error_response(request: Request, status: int, body: dict[str, str]) -> Response:
    if not wants_json_errors(request.headers):
        message = body["message"].replace("&", "&amp;").replace("<", "&lt;")
        return html_response(
            f"<!doctype html>\n<html><body><h1>{status}</h1><p>{message}</p></body></html>",
            status=status,
        )
    return json_response(body, status=status)


# Content negotiation, as SvelteKit reads an ``Accept`` header (S). Whether a request is for a page
# or for data, and whether an error is sent as JSON, are two different questions.

_ENTRY = re.compile(r"([^/\s]+)/([^;\s]+)\s*(?:;\s*q=([0-9.]+))?")


class _Entry(NamedTuple):
    kind: str
    subtype: str
    quality: float

    def accepts(self, media: str) -> bool:
        kind, _, subtype = media.partition("/")
        return self.kind in {kind, "*"} and self.subtype in {subtype, "*"}


def wants_page(headers: Mapping[str, str]) -> bool:
    """Return whether a request is for the page of a path that also has data."""
    return _best(headers.get("accept", "*/*"), "*/*", "text/html") == "text/html"


def wants_json_errors(headers: Mapping[str, str]) -> bool:
    """Return whether errors are sent as JSON; otherwise they are sent as a page."""
    accept = headers.get("accept", "text/html")
    return _best(accept, "application/json", "text/html") == "application/json"


def _best(accept: str, *candidates: str) -> str | None:
    """Return the candidate that the earliest of the sorted entries accepts; the first of a tie."""
    entries = []
    for text in accept.split(","):
        found = _ENTRY.search(text)
        if found:
            entries.append(_Entry(found[1], found[2], _quality(found[3])))
    entries.sort(key=lambda entry: (-entry.quality, entry.subtype == "*", entry.kind == "*"))
    ranked = [
        (rank, order, candidate)
        for order, candidate in enumerate(candidates)
        for rank, entry in enumerate(entries)
        if entry.accepts(candidate)
    ]
    return min(ranked)[2] if ranked else None


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


# The request context: whose request it is, and for which path.

_KEY: Final = "hfchat.session"


def set_session(scope: Scope, session: Session) -> None:
    """Store the session of a request in its scope."""
    scope[_KEY] = session


def get_session(request: HTTPConnection) -> Session:
    """Return the session that `AuthMiddleware` has found for a request."""
    session: Session = request.scope[_KEY]
    return session


def path_below_base(scope: Scope) -> str:
    """Return a request's path below the base path."""
    path: str = scope["path"]
    return path.removeprefix(base_path_of(scope))


def base_path_of(scope: Scope) -> str:
    """Return the base path of the server, as the client sees it."""
    base: str = scope.get("root_path", "")
    return base


def origin(request: HTTPConnection) -> str:
    """Return the server's origin, as the client sees it."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


_PLAIN_IN_VALUES = "!'()*-._~"
_SESSION_LIFE = timedelta(weeks=2)


def read_cookies(request: HTTPConnection) -> dict[str, str]:
    """Parse the cookies of a request as chat-ui does: percent-decoded, the first of each name.

    Starlette follows Python's `http.cookies`, in which an octal escape can become a line break.
    """
    cookies: dict[str, str] = {}
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            name, separator, value = part.strip().partition("=")
            if separator:
                cookies.setdefault(name, unquote(value.strip('"')))
    return cookies


def set_cookie(name: str, value: str, life: timedelta) -> str:
    """Return a ``Set-Cookie`` header for a cookie that expires after ``life``."""
    expires = format_datetime(now() + life, usegmt=True)
    value = quote(value, safe=_PLAIN_IN_VALUES)
    return f"{name}={value}; Path=/; Expires={expires}; HttpOnly; SameSite=Lax"


def session_cookie(secret: str) -> str:
    """Return the header that sets or refreshes a session's cookie (R: ``plain_answer``)."""
    return set_cookie(SESSION_COOKIE, secret, _SESSION_LIFE)


def delete_cookie(name: str, *, secure: bool = False) -> str:
    """Return the header that deletes a cookie (R: ``login_required``)."""
    return f"{name}=; Max-Age=0; Path=/; HttpOnly; {'Secure; ' if secure else ''}SameSite=Lax"


_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_NOT_YOURS = (
    "You don't have access to this conversation. "
    "If someone gave you this link, ask them to use the 'share' feature instead."
)


def is_object_id(text: str) -> bool:
    """Return whether a text is a valid id of the database."""
    return _OBJECT_ID.fullmatch(text) is not None


def is_share_id(text: str) -> bool:
    """Return whether an id names a share."""
    return len(text) == SHARE_ID_CHARACTERS


def page_number(request: Request) -> int:
    """Return the page of a list that is requested; anything but a number counts as 0."""
    number = request.query_params.get("p", "")
    return whole_number(number) if number.isascii() and number.isdecimal() else 0


def own_conversation(request: Request, state: ServerState) -> Conversation:
    """Return the user's conversation that the path names, to write to it.

    Raises:
        InternalError: The id is not valid.
        HTTPError: There is no such conversation, or it belongs to another user.
    """
    conversation_id = request.path_params["id"]
    if not is_object_id(conversation_id):
        raise InternalError("not an object id")
    found = state.conversations.get(get_session(request).owner, conversation_id)
    if found is None:
        raise HTTPError(404, "Conversation not found")
    return found


async def change_settings(request: Request, state: ServerState) -> Response:
    """Store the user's settings; a setting that is left out is reset to its default.

    Raises:
        InternalError: A value has the wrong type.
    """
    body = await json_body(request)
    if not isinstance(body, dict):
        raise InternalError("settings are not an object")
    try:
        state.settings.write(get_session(request).owner, body)
    except ValidationError as error:
        raise InternalError("a setting has the wrong type") from error
    return Response()


def readable_conversation(request: Request, state: ServerState) -> tuple[Conversation, bool]:
    """Return the conversation or share that the path names, to read it.

    Returns:
        What was found, and whether it is a share.

    Raises:
        InternalError: The id is not valid (legacy).
        HTTPError: There is no such conversation, it belongs to another user, or the id is not
            valid (current).
    """
    conversation_id = request.path_params["id"]
    if is_share_id(conversation_id):
        return _share(conversation_id, state), True
    if not is_object_id(conversation_id):
        if state.generation == "legacy":
            raise InternalError("not an object id")
        raise HTTPError(400, "Invalid conversation ID format")
    found = state.conversations.get(get_session(request).owner, conversation_id)
    if found is None:
        if state.conversations.exists(conversation_id):
            raise HTTPError(403, _NOT_YOURS)
        raise HTTPError(404, "Conversation not found.")
    return found, False


def import_share(share_id: str, owner: str, state: ServerState, *, once: bool) -> Conversation:
    """Copy a share and its files to a conversation of a user.

    Args:
        share_id: The share.
        owner: The user.
        state: The server.
        once: Whether to return the conversation of an earlier import, if there is one.

    Raises:
        HTTPError: There is no such share.
    """
    shared = _share(share_id, state)
    if once and (created := state.conversations.find_import(owner, shared)):
        return created
    created = state.conversations.import_share(owner, shared)
    state.files.copy(shared.id, created.id)
    return created


def _share(share_id: str, state: ServerState) -> Conversation:
    shared = state.conversations.shared(share_id)
    if shared is None:
        raise HTTPError(404, "Conversation not found")
    return shared
