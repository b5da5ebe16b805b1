"""Finding the conversation that a path names, or refusing in the words of the right endpoint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hfchat_base._protocol.constants import SHARE_ID_CHARACTERS
from hfchat_base.local.encoding.values import whole_number
from hfchat_base.local.http.answers import Mishap, Refusal
from hfchat_base.local.http.asker import session_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.conversations import Conversation

__all__ = [
    "import_share",
    "is_object_id",
    "is_share_id",
    "own_conversation",
    "page_number",
    "readable_conversation",
]

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_NOT_YOURS = (
    "You don't have access to this conversation. "
    "If someone gave you this link, ask them to use the 'share' feature instead."
)


def is_object_id(text: str) -> bool:
    """Tell whether the database takes a text as an id.

    Args:
        text: The text.
    """
    return _OBJECT_ID.fullmatch(text) is not None


def is_share_id(text: str) -> bool:
    """Tell whether an id names a share.

    Args:
        text: The id.
    """
    return len(text) == SHARE_ID_CHARACTERS


def page_number(request: Request) -> int:
    """Read the number of the page that a list is asked for; whatever is none counts as 0.

    Args:
        request: The request.
    """
    number = request.query_params.get("p", "")
    return whole_number(number) if number.isascii() and number.isdecimal() else 0


def own_conversation(request: Request, state: ServerState) -> Conversation:
    """Return the asker's conversation that the path names, to write to it.

    Args:
        request: The request.
        state: The server.

    Raises:
        Mishap: The id is none.
        Refusal: There is none, or it is somebody else's.
    """
    conversation_id = request.path_params["id"]
    if not is_object_id(conversation_id):
        raise Mishap("not an object id")
    found = state.conversations.of(session_of(request).owner, conversation_id)
    if found is None:
        raise Refusal(404, "Conversation not found")
    return found


def readable_conversation(request: Request, state: ServerState) -> tuple[Conversation, bool]:
    """Return the conversation or share that the path names, to read it.

    Args:
        request: The request.
        state: The server.

    Returns:
        What was found, and whether it is a share.

    Raises:
        Mishap: The id is none (legacy).
        Refusal: There is none, it is somebody else's, or the id is none (current).
    """
    conversation_id = request.path_params["id"]
    if is_share_id(conversation_id):
        return _share(conversation_id, state), True
    if not is_object_id(conversation_id):
        if state.generation == "legacy":
            raise Mishap("not an object id")
        raise Refusal(400, "Invalid conversation ID format")
    found = state.conversations.of(session_of(request).owner, conversation_id)
    if found is None:
        if state.conversations.exists(conversation_id):
            raise Refusal(403, _NOT_YOURS)
        raise Refusal(404, "Conversation not found.")
    return found, False


def import_share(share_id: str, owner: str, state: ServerState, *, once: bool) -> Conversation:
    """Make a conversation out of a share, with its files.

    Args:
        share_id: The share.
        owner: Who asks.
        state: The server.
        once: Whether one that was made before will do.

    Raises:
        Refusal: There is no such share.
    """
    shared = _share(share_id, state)
    if once and (made := state.conversations.imported(owner, shared)):
        return made
    made = state.conversations.import_share(owner, shared)
    state.files.copy(shared.id, made.id)
    return made


def _share(share_id: str, state: ServerState) -> Conversation:
    shared = state.conversations.shared(share_id)
    if shared is None:
        raise Refusal(404, "Conversation not found")
    return shared
