"""The data of the legacy pages, and its ``__data.json`` form.

The pages themselves carry the same data as a JavaScript literal (`pages.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base.local.encoding.devalue import devalue_text
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.values import UNDEFINED, Deferred, JsonObject
from hfchat_base.local.http.answers import Mishap, Refusal, text_answer
from hfchat_base.local.http.asker import origin, public_base, session_of
from hfchat_base.local.http.documents import (
    legacy_conversation_document,
    user_document,
)
from hfchat_base.local.http.lookup import readable_conversation

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hfchat_base.local.state import ServerState

__all__ = ["LAYOUT_USES", "conversation_data", "conversation_uses", "home_data", "layout_document"]

LAYOUT_USES: JsonObject = {"dependencies": ["conversation:list"]}
"""What makes the layout's data load again (R: ``home_page_html``)."""

_BANNERS = (
    '[\n    {\n    "title": "chat-ui is now open source!",\n    "linkTitle": "check it out",\n'
    '    "linkHref": "https://github.com/huggingface/chat-ui"\n  }\n]'
)
_TOOLS = (
    ("c", "Calculator", "calculator", "Calculate the result of a mathematical expression", "code"),
    ("b", "Fetch URL", "fetchUrl", "Fetch the contents of a URL", "cloud"),
    (
        "a",
        "Web Search",
        "websearch",
        "Search the web for up-to-date answers to the user's query.",
        "wikis",
    ),
)


def home_data(request: Request, state: ServerState) -> Response:
    """Answer for the home page's ``__data.json``: the layout, and a page without data.

    Args:
        request: The request.
        state: The server.
    """
    return _data_answer([_layout_node(request, state), "null"], _assistants_chunk(), {})


def conversation_data(request: Request, state: ServerState) -> Response:
    """Answer for a conversation page's ``__data.json``.

    Args:
        request: The request; its ``x-sveltekit-invalidated`` has a digit for each node, layout
            first, and 1 for those that are wanted.
        state: The server.
    """
    wanted = request.query_params.get("x-sveltekit-invalidated", "11")
    with_layout = wanted.startswith("1")
    layout = _layout_node(request, state) if with_layout else json_text({"type": "skip"})
    page = _page_node(request, state) if wanted.endswith("1") else json_text({"type": "skip"})
    chunks = _assistants_chunk() if with_layout else ""
    return _data_answer([layout, page], chunks, {"vary": "Accept"})


def conversation_uses(request: Request) -> JsonObject:
    """Tell what makes a conversation's data load again (R: ``plain_answer``).

    Args:
        request: The request.
    """
    here = f"{origin(request)}{public_base(request.scope)}/conversation/conversation"
    return {"dependencies": [here], "params": ["id"]}


def layout_document(request: Request, state: ServerState) -> JsonObject:
    """Build the data that every page has (R: ``home_page_html``).

    Args:
        request: The request.
        state: The server.
    """
    session = session_of(request)
    recent, _ = state.conversations.page(session.owner, 0)
    settings = state.settings.read(session.owner)
    user = user_document(session.user)
    return {
        "nConversations": state.conversations.count(session.owner),
        "conversations": [
            {
                "id": str(conversation.id),
                "title": conversation.title,
                "model": conversation.model,
                "updatedAt": conversation.updated_at,
                "assistantId": UNDEFINED,
                "avatarUrl": UNDEFINED,
            }
            for conversation in recent
        ],
        "settings": {
            "searchEnabled": False,
            "ethicsModalAccepted": False,
            "ethicsModalAcceptedAt": None,
            "activeModel": settings["activeModel"],
            "hideEmojiOnSidebar": False,
            "shareConversationsWithModelAuthors": settings["shareConversationsWithModelAuthors"],
            "customPrompts": settings["customPrompts"],
            "assistants": [],
            "tools": [],
            "disableStream": False,
            "directPaste": settings["directPaste"],
        },
        "models": [model.page_entry() for model in state.models],
        "oldModels": [],
        "tools": [_tool_entry(*tool) for tool in _TOOLS],
        "communityToolCount": 0,
        "assistants": Deferred(1, []),
        "user": UNDEFINED if user is None else user,
        "isAdmin": False,
        "assistant": None,
        "enableAssistants": False,
        "enableAssistantsRAG": False,
        "enableCommunityTools": False,
        "loginRequired": state.login_required and session.user is None,
        "loginEnabled": state.login_required,
        "guestMode": False,
        "publicConfig": _public_config(request),
    }


def _layout_node(request: Request, state: ServerState) -> str:
    return _data_node(layout_document(request, state), LAYOUT_USES)


def _page_node(request: Request, state: ServerState) -> str:
    try:
        found, shared = readable_conversation(request, state)
    except Refusal as refusal:
        error = {"message": str(refusal)}
        return json_text({"type": "error", "error": error, "status": refusal.status})
    except Mishap:
        return json_text({"type": "error", "error": {"message": "An error occurred"}})
    document = legacy_conversation_document(found, shared=shared)
    return _data_node(document, conversation_uses(request))


def _data_node(document: JsonObject, uses: JsonObject) -> str:
    return f'{{"type":"data","data":{devalue_text(document)},"uses":{json_text(uses)}}}'


def _assistants_chunk() -> str:
    """Resolve the layout's promise, in a line of its own."""
    return f'{{"type":"chunk","id":1,"data":{devalue_text([])}}}\n'


def _data_answer(nodes: list[str], chunks: str, headers: dict[str, str]) -> Response:
    return text_answer(
        f'{{"type":"data","nodes":[{",".join(nodes)}]}}\n{chunks}',
        media="application/json",
        headers={"cache-control": "private, no-store", **headers},
    )


def _tool_entry(digit: str, display: str, name: str, description: str, icon: str) -> JsonObject:
    return {
        "_id": digit.rjust(24, "0"),
        "type": "config",
        "displayName": display,
        "name": name,
        "description": description,
        "mimeTypes": [],
        "isOnByDefault": True,
        "isLocked": True,
        "timeToUseMS": 15000,
        "color": "blue",
        "icon": icon,
    }


def _public_config(request: Request) -> JsonObject:
    return {
        "PUBLIC_ORIGIN": origin(request),
        "PUBLIC_ANNOUNCEMENT_BANNERS": _BANNERS,
        "PUBLIC_APPLE_APP_ID": "",
        "PUBLIC_APP_ASSETS": "chatui",
        "PUBLIC_APP_COLOR": "blue",
        "PUBLIC_APP_DATA_SHARING": "",
        "PUBLIC_APP_DESCRIPTION": "",
        "PUBLIC_APP_DISCLAIMER": "",
        "PUBLIC_APP_DISCLAIMER_MESSAGE": "",
        "PUBLIC_APP_GUEST_MESSAGE": "",
        "PUBLIC_APP_NAME": "ChatUI",
        "PUBLIC_COMMIT_SHA": "",
        "PUBLIC_GOOGLE_ANALYTICS_ID": "",
        "PUBLIC_PLAUSIBLE_SCRIPT_URL": "",
        "PUBLIC_SHARE_PREFIX": "",
        "PUBLIC_SMOOTH_UPDATES": "false",
    }
