"""A response that is not a success → the error that says what to do.

The table of what chat-ui, its proxies and its login answer, by status and by text: the server has
no error codes, and its three 429s differ only in their words (R: ``usage_limits``). The words are
compared in lower case and by fragment, so that a reworded message falls back on its status.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from hfchat_base._protocol import encodings
from hfchat_base._protocol.constants import BILLING_URL, DEFAULT_BASE_URL, RATE_LIMIT_WINDOW_SECONDS
from hfchat_base._protocol.http import ERROR_BYTES, Request, Response
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base.errors import (
    AccessDeniedError,
    ConversationFullError,
    ConversationNotFoundError,
    FileNotAvailableError,
    FileTooLargeError,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    MessageNotFoundError,
    MessageTooLongError,
    MissingAuthError,
    ModelNotFoundError,
    OriginRejectedError,
    OutOfCreditsError,
    ProtocolError,
    RateLimitError,
    ResponseError,
    ServerError,
    SessionExpired,
    TooManyConversationsError,
    UnexpectedPageError,
)

if TYPE_CHECKING:
    from hfchat_base.types import Answer

_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_OK: Final = 200
_REDIRECTS: Final = (301, 302, 303, 307, 308)

_REVOKED: Final = ("oauth authorization", "has been revoked", "requested scopes")
"""What the words of a 401 inside an answer are about if the account has taken its permission back
(S)."""

_SECONDS: Final = re.compile(r"[0-9]+", re.ASCII)
_MOST_SECONDS: Final = 2.0**31
"""What a delay that is longer counts as (RFC 9111, 1.2.2)."""


def check(response: Response, request: Request) -> Response:
    """Pass a success on.

    Raises:
        HuggingChatError: It is not a success; see `refusal`.
    """
    if response.status != _OK:
        raise refusal(response, request)
    return response


def check_json(response: Response, request: Request) -> Response:
    """Pass a success that carries JSON on.

    Raises:
        HuggingChatError: It is not a success; see `refusal`.
        UnexpectedPageError: It is an HTML page.
    """
    check(response, request)
    if is_page(response):
        raise unexpected_page(response, request)
    return response


def check_data(response: Response, request: Request, what: str) -> Response:
    """Pass a success that carries SvelteKit data on.

    Such a document comes with status 200, and may hold a redirect, or an error in a node's place:
    ``{"type":"error","error":{"message":"Conversation not found."},"status":404}``.

    Args:
        response: What came.
        request: What was asked.
        what: What it should have been, for the error.

    Raises:
        HuggingChatError: It is not a success; see `refusal`.
        ProtocolError: It is not such a document.
    """
    check_json(response, request)
    document = encodings.sveltekit_document(response.body, what)
    if document.get("type") == "redirect":
        headers = {"location": str(document.get("location", ""))}
        raise refusal(replace(response, status=302, headers=headers, body=b""), request)
    nodes = document.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and node.get("type") == "error":
            status = node.get("status")
            body = json.dumps(node.get("error")).encode()
            status = status if isinstance(status, int) else 500
            raise refusal(replace(response, status=status, body=body), request)
    return response


def is_page(response: Response) -> bool:
    """Return whether a response is an HTML page."""
    return response.content_type in ("text/html", "application/xhtml+xml")


def unexpected_page(response: Response, request: Request) -> UnexpectedPageError:
    """The error for a page in place of data."""
    title = _page_title(response.body)
    named = f" titled {title!r}" if title else ""
    # No excerpt: the pages of proxies that are being debugged show the request, cookies and all.
    return UnexpectedPageError(
        f"{_what(request)} was answered with an HTML page{named} instead of data. A proxy or a"
        " login page is in the way, or base_url is not the address of a chat-ui server."
    )


def refusal(response: Response, request: Request) -> HuggingChatError:
    """Turn a response that is not a success into its error."""
    status = response.status
    message, error_id = _message(response)
    if status in _REDIRECTS:
        return _redirect(response, request)
    if status == 401:  # noqa: PLR2004
        return not_logged_in(response)
    asked = retry_after(response)
    if status == 429:  # noqa: PLR2004
        return _limit(message, request, asked)
    error = _by_status(status, message, response, request)
    if isinstance(error, ResponseError):
        error.status = status
        error.error_id = error_id
        error.retry_after = asked
    return error


def retry_after(response: Response) -> float | None:
    """Return how many seconds a response asks to wait before the next attempt (``Retry-After``).

    A date counts from the response's own ``Date``, so that the two clocks need not agree, or else
    from when it arrived. One in the past asks for no wait.

    Returns:
        The seconds, not negative; None if it does not ask, or not in a form that RFC 9110 knows.
    """
    value = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), _MOST_SECONDS)
    at = _date(value)
    now = _date(response.headers.get("date", ""))
    if now is None:
        now = response.date
    if at is None or now is None:
        return None
    return min(max(at - now, 0.0), _MOST_SECONDS)


def _date(value: str) -> float | None:
    """Read an HTTP date as seconds since 1970."""
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return (date - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def is_revocation(message: str) -> bool:
    """Return whether the words of a 401 inside an answer speak of a permission taken back."""
    words = message.lower()
    return any(revoked in words for revoked in _REVOKED)


def revoked(base_url: str, message: str, partial: Answer) -> SessionExpired:
    """Say that the account has revoked what it permitted at login."""
    error = SessionExpired(
        f"The permission given to this session at login was revoked: {message[:200]}"
        f" Log in again: {login_command(base_url)}"
    )
    error.partial = partial
    return error


def out_of_credits(base_url: str, message: str, partial: Answer | None = None) -> OutOfCreditsError:
    """The error for an account without credits; it names the page that shows what is left."""
    if base_url == DEFAULT_BASE_URL:
        helps = f"See what is left and add to it at {BILLING_URL}"
    else:
        helps = (
            "See what is left in the account with which this server pays for its models (its owner"
            f" knows); where that is the user's Hugging Face account, at {BILLING_URL}"
        )
    words = message[:200].rstrip(". ") or "payment required"
    return OutOfCreditsError(
        f"There are no credits left to pay for an answer (402): {words}. Trying again does not"
        f" help. {helps}",
        partial=partial,
    )


def login_command(base_url: str) -> str:
    """The command that restores a missing or expired session."""
    is_default = base_url in ("", DEFAULT_BASE_URL)
    return "hfchat login" if is_default else f"hfchat login --base-url {shlex.quote(base_url)}"


def not_logged_in(response: Response) -> MissingAuthError:
    """The error for a session that is missing or has ended."""
    command = login_command(response.base_url)
    if response.had_session:
        return SessionExpired(f"The server no longer knows this session. Log in again: {command}")
    return LoginRequired(f"This server requires a login. Log in once: {command}")


def _redirect(response: Response, request: Request) -> HuggingChatError:
    try:
        asked = response.base_url + request.path
        there = urljoin(asked, response.headers.get("location", ""))
        address = WebAddress.parse(there, what="The server's redirect")
    except (ValueError, InvalidRequestError):
        return not_logged_in(response)
    # Moved, not logged in: the same path elsewhere (http to https, a renamed host).
    path = request.path.partition("?")[0].rstrip("/")
    if path and address.path.rstrip("/").endswith(path):
        new = replace(address, path=address.path.rstrip("/")[: -len(path)], query="")
        if new.url != response.base_url:
            return InvalidRequestError(
                f"The server has moved: pass base_url={new.url!r}. Redirects are not followed, so"
                " that cookies stay where they belong.",
                status=response.status,
            )
    return not_logged_in(response)


def _limit(message: str, request: Request, asked: float | None) -> RateLimitError:
    words = message.lower()
    if "number of conversations" in words:
        return TooManyConversationsError(
            "The account holds as many conversations as the server allows. Delete some"
            " (delete_conversation), or use ephemeral=True.",
            reason="conversations",
        )
    if "start a new one" in words or "this conversation has more than" in words:
        return ConversationFullError(
            "This conversation has reached its message limit. Start a new one.",
            reason="conversation_full",
        )
    if asked is not None or request.method == "GET":
        # chat-ui names no time, and counts messages only: this is a gateway.
        when = "" if asked is None else f" It asks to wait {asked:.0f} seconds."
        return RateLimitError(
            f"The server refused the request: {message or 'too many requests.'}{when}",
            retry_after=asked,
        )
    return RateLimitError(
        f"The server refused the message: {message or 'too many requests.'} It counts every attempt"
        f" in the last {RATE_LIMIT_WINDOW_SECONDS:.0f} seconds.",
        reason="messages_per_minute",
        retry_after=RATE_LIMIT_WINDOW_SECONDS,
    )


def _by_status(  # noqa: PLR0911 - a table
    status: int, message: str, response: Response, request: Request
) -> HuggingChatError:
    words = message.lower()
    if status == 402:  # noqa: PLR2004
        return out_of_credits(response.base_url, message)
    if status == 403:  # noqa: PLR2004
        return _forbidden(words, message, request)
    if status == 404:  # noqa: PLR2004
        return _not_found(words, message, request)
    if status == 410:  # noqa: PLR2004
        return ModelNotFoundError(
            "The conversation's model is no longer on the server. Start a conversation with"
            " another one."
        )
    if status == 413:  # noqa: PLR2004
        return FileTooLargeError(
            f"The server refused the size of the request: {message or 'too large.'}"
            " Send fewer or smaller files."
        )
    if status == 400 and "too long" in words:  # noqa: PLR2004
        return MessageTooLongError("The text is longer than this server takes in one message.")
    if 400 <= status < 500 and is_page(response):  # noqa: PLR2004
        return unexpected_page(response, request)
    if 400 <= status < 500:  # noqa: PLR2004
        return InvalidRequestError(f"{_what(request)} was refused ({status}): {message}")
    if status >= 500:  # noqa: PLR2004
        whose = "A proxy in front of the server" if is_page(response) else "The server"
        return ServerError(f"{whose} failed on {_what(request)} ({status}): {message}")
    return ProtocolError(f"{_what(request)} was answered with an unexpected status {status}.")


def _forbidden(words: str, message: str, request: Request) -> HuggingChatError:
    # The words of chat-ui (R: `bad_requests`), and of SvelteKit where its own check is on (S).
    if any(word in words for word in ("origin", "referer", "cross-site")):
        return OriginRejectedError(
            "The server refused the Origin of the request. If there is a proxy, let it pass on"
            " the Origin and Host headers, and set base_url to the address that the server is"
            " configured with."
        )
    if "conversation" in words:
        return AccessDeniedError(
            "The conversation belongs to somebody else. Ask its owner to share it, and pass the"
            " link to import_share()."
        )
    return AccessDeniedError(f"{_what(request)} is not allowed (403): {message}")


def _not_found(words: str, message: str, request: Request) -> HuggingChatError:
    if "/output/" in request.path:
        return FileNotAvailableError("The file is not on the server (any more).")
    if "message" in words and "conversation" not in words:
        return MessageNotFoundError("There is no such message in the conversation.")
    if request.path.startswith(("/conversation/", "/api/v2/conversations/", "/api/conversation")):
        return ConversationNotFoundError(
            "There is no such conversation for this session: it was deleted, or it belongs to"
            " another session."
        )
    return InvalidRequestError(
        f"{_what(request)} does not exist on this server (404): {message} Is base_url complete?"
    )


def _message(response: Response) -> tuple[str, str | None]:
    """Find the words of an error in whatever form they came (R, S), and chat-ui's error id."""
    body = response.body[:ERROR_BYTES]
    if is_page(response):
        return _page_title(body) or "an HTML page", None
    text = body.decode(errors="replace").strip()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text[:200], None
    if not isinstance(parsed, dict):
        return text[:200], None
    message = parsed.get("message", parsed.get("error"))
    error_id = parsed.get("errorId")
    return (
        message[:200] if isinstance(message, str) else text[:200],
        error_id if isinstance(error_id, str) else None,
    )


def _page_title(body: bytes) -> str:
    match = _TITLE.search(body[:ERROR_BYTES])
    return " ".join(match[1].decode(errors="replace").split())[:80] if match else ""


def _what(request: Request) -> str:
    return f"{request.method} {request.path.partition('?')[0]}"
