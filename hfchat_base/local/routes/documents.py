"""HTML pages, and the documents that several endpoints and pages share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hfchat_base.local.routes.common import (
    get_session,
    html_response,
    json_response,
    path_below_base,
    text_response,
    wants_page,
)
from hfchat_base.local.wire import (
    UNDEFINED,
    JsonObject,
    ObjectId,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from hfchat_base.local.database import Conversation, User
    from hfchat_base.local.state import ServerState


def user_document(user: User | None) -> JsonObject | None:
    """Describe a user (R: ``login_required``); null stands for a guest."""
    if user is None:
        return None
    return {
        "id": str(user.id),
        "username": user.username,
        "avatarUrl": user.avatar_url,
        "email": user.email,
        "isAdmin": False,
        "isEarlyAccess": False,
    }


def conversation_document(conversation: Conversation, *, shared: bool = False) -> JsonObject:
    """Describe a conversation with its messages, as the current generation does.

    Args:
        conversation: The conversation or share.
        shared: Whether it is a share.
    """
    return {
        "messages": conversation.messages,
        "title": conversation.title,
        "model": conversation.model,
        "preprompt": conversation.preprompt,
        "rootMessageId": conversation.root_message_id,
        "id": str(conversation.id),
        "updatedAt": conversation.updated_at,
        "modelId": conversation.model,
        "shared": shared,
        "deployedSpaces": UNDEFINED,
    }


def conversation_entries(conversations: Sequence[Conversation]) -> list[JsonObject]:
    """Describe conversations without their messages, for lists (R: ``manage``)."""
    entries = []
    for conversation in conversations:
        conversation_id = ObjectId(conversation.id)
        entries.append(
            {
                "_id": conversation_id,
                "id": conversation_id,
                "title": conversation.title,
                "updatedAt": conversation.updated_at,
                "model": conversation.model,
                "modelId": conversation.model,
            }
        )
    return entries


CURRENT_HEAD = (
    '<!doctype html>\n<html lang="en">\n\t<head>\n\t\t<meta charset="utf-8" />\n\t\t<meta\n'
    '\t\t\tname="viewport"\n\t\t\tcontent="width=device-width"\n\t\t/>\n'
    "\t\t<title>ChatUI</title>\n\t</head>\n\t<body>\n"
)
LEGACY_HEAD = (
    '<!doctype html>\n<html lang="en" class="h-full">\n\t<head>\n\t\t<meta charset="utf-8" />\n'
    '\t\t<meta name="viewport" content="width=device-width" />\n\t\t<title>ChatUI</title>\n'
    "\t</head>\n\t<body>\n"
)
PAGE_TAIL = "\t</body>\n</html>\n"
_CONVERSATION = re.compile(r"/conversation/[^/]+")


def wrong_method_page(state: ServerState) -> Response:
    """Respond to a POST that accepts pages only (R: ``bad_requests``)."""
    if state.generation == "current":
        return html_response(f"{CURRENT_HEAD}{PAGE_TAIL}", status=405, headers={"allow": "GET"})
    return html_response(f"{LEGACY_HEAD}{PAGE_TAIL}", headers={"allow": "GET"})


def not_found_page() -> Response:
    """Respond to an unknown path of the current generation: always with a page (S)."""
    return html_response(f"{CURRENT_HEAD}\t\t<h1>404</h1>\n{PAGE_TAIL}", status=404)


def data_method_error(request: Request) -> Response | None:
    """Return the error for a GET of data that only other methods have, or None (S)."""
    methods = _data_methods(request)
    if not methods or wants_page(request.headers):
        return None
    return text_response(
        "GET method not allowed",
        status=405,
        media="text/plain;charset=UTF-8",
        headers={"allow": methods},
    )


def _data_methods(request: Request) -> str:
    """Return the methods for which the path of a page has data as well."""
    path = path_below_base(request.scope)
    if path == "/settings":
        return "POST"
    return "POST, PATCH, DELETE" if _CONVERSATION.fullmatch(path) else ""


def vary_headers(request: Request) -> dict[str, str]:
    """Return the Vary header of a page whose path has data as well (R: ``login_required``)."""
    return {"vary": "Accept"} if _data_methods(request) else {}


async def v1_user(request: Request) -> Response:
    """Describe the user as ``/api/user`` does."""
    user = get_session(request).user
    if user is None:
        return json_response({"message": "Must be signed in"}, status=401)
    return json_response(
        {
            "id": user.id,
            "username": user.username,
            "name": user.username.capitalize(),
            "email": user.email,
            "avatarUrl": user.avatar_url,
            "hfUserId": f"{user.username}-id",
        }
    )
