"""The generations of chat-ui's protocol, one module each, and how a server's is found out.

`base.py` is their interface and what they share. A third generation would be a third module and a
few lines here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hfchat_base._protocol import encodings
from hfchat_base._protocol.constants import Generation
from hfchat_base._protocol.dialects import current, legacy
from hfchat_base._protocol.dialects.base import (
    Dialect,
    ModelSource,
    OutgoingMessage,
    ParsedModels,
    conversation_id_in,
    plain_models,
    read_plain_models,
)
from hfchat_base._protocol.dialects.current import CURRENT
from hfchat_base._protocol.dialects.legacy import LEGACY
from hfchat_base._protocol.http import Response
from hfchat_base._protocol.stored import StoredConversation

__all__ = [
    "CURRENT",
    "LEGACY",
    "CreatedConversation",
    "Dialect",
    "ModelSource",
    "OutgoingMessage",
    "ParsedModels",
    "dialect_named",
    "dialect_of",
    "model_sources",
    "parse_created",
]

_MODEL_SOURCES: Final = (
    current.JSON_MODELS,
    ModelSource(plain_models(), read_plain_models),
    current.PAGE_MODELS,
    legacy.PAGE_MODELS,
    legacy.DATA_MODELS,
)


def dialect_named(name: Generation) -> Dialect:
    """Find a dialect by its name."""
    return CURRENT if name == CURRENT.name else LEGACY


def model_sources(dialect: Dialect | None) -> list[ModelSource]:
    """The ways to get a model list, the best first; of all generations if it is not known yet."""
    return [
        source
        for source in _MODEL_SOURCES
        if dialect is None or source.dialect is None or source.dialect is dialect
    ]


def dialect_of(source: ModelSource) -> Dialect:
    """The generation of a server that has answered a source, where that was not known before.

    Both have the plain list, but a current server would have answered the route before it.
    """
    return source.dialect or LEGACY


@dataclass(frozen=True, slots=True)
class CreatedConversation:
    """What a response says of a conversation that was just made.

    Attributes:
        id: Its id.
        dialect: The generation of the server that made it.
        stored: Its messages, if the response holds them (current), else None.
    """

    id: str
    dialect: Dialect
    stored: StoredConversation | None


def parse_created(response: Response) -> CreatedConversation:
    """Read the response to a new conversation, which differs between the generations.

    Raises:
        ProtocolError: It cannot be read.
    """
    what = "new conversation"
    raw = encodings.parse_json(response.body, what)
    conversation_id = conversation_id_in(raw, what)
    content = raw.get("conversation")
    if isinstance(content, str):
        stored = current.parse_stored(content, conversation_id)
        return CreatedConversation(conversation_id, CURRENT, stored)
    return CreatedConversation(conversation_id, LEGACY, None)
