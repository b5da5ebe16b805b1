"""The documents that several endpoints and pages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base.local.encoding.values import UNDEFINED, JsonObject, ObjectId
from hfchat_base.local.http.asker import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.conversations import Conversation
    from hfchat_base.local.store.sessions import User

__all__ = [
    "conversation_document",
    "conversation_entries",
    "feature_flags",
    "legacy_conversation_document",
    "public_config",
    "user_document",
]


def user_document(user: User | None) -> JsonObject | None:
    """Describe a user (R: ``login_required``); null is nobody.

    Args:
        user: The user.
    """
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


def feature_flags(state: ServerState) -> JsonObject:
    """Tell what is switched on (R: ``manage``).

    Args:
        state: The server.
    """
    return {
        "enableAssistants": False,
        "loginEnabled": state.login_required,
        "isAdmin": False,
        "transcriptionEnabled": False,
    }


def public_config(request: Request) -> JsonObject:
    """Return the current generation's public configuration (R: ``manage``).

    Args:
        request: The request, for the origin.
    """
    return {
        "PUBLIC_ORIGIN": origin(request),
        "PUBLIC_APPLE_APP_ID": "",
        "PUBLIC_APP_ASSETS": "chatui",
        "PUBLIC_APP_DESCRIPTION": (
            "Making the community's best AI chat models available to everyone."
        ),
        "PUBLIC_APP_NAME": "ChatUI",
        "PUBLIC_CAVEAT": "",
        "PUBLIC_COMMIT_SHA": "",
        "PUBLIC_FEATURE_ANNOUNCEMENTS": "",
        "PUBLIC_GOOGLE_ANALYTICS_ID": "",
        "PUBLIC_LLM_ROUTER_ALIAS_ID": "omni",
        "PUBLIC_LLM_ROUTER_DISPLAY_NAME": "Omni",
        "PUBLIC_LLM_ROUTER_LOGO_URL": "",
        "PUBLIC_PLAUSIBLE_SCRIPT_URL": "",
        "PUBLIC_SHARE_PREFIX": "",
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


def legacy_conversation_document(conversation: Conversation, *, shared: bool = False) -> JsonObject:
    """Describe a conversation with its messages, as the legacy page data does.

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
        "assistant": None,
        "shared": shared,
    }


def conversation_entries(conversations: Sequence[Conversation]) -> list[JsonObject]:
    """Describe conversations without their messages, for lists (R: ``manage``).

    Args:
        conversations: The conversations.
    """
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
