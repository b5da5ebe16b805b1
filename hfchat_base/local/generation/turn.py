"""One turn: what is to be answered, by which model, with which tools."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hfchat_base.local.backends import ChatRequest, OutputFile, Routed
from hfchat_base.local.encoding.values import UNDEFINED, JsonObject
from hfchat_base.local.generation.prompt import chat_messages
from hfchat_base.local.records import SentPrompt
from hfchat_base.local.store.files import StoredFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from hfchat_base.local.backends import Piece
    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.tools import ToolServer

__all__ = ["Emit", "Turn"]

Emit: TypeAlias = Callable[[JsonObject], None]
"""Takes an event of the run."""


@dataclass
class Turn:
    """What a run has to do.

    Attributes:
        state: The server.
        model: Who answers.
        conversation_id: Where.
        path: The stored messages from the root to the one to answer.
        tool_servers: The tool servers that are on.
        web_search: Whether the legacy web search is on.
        stop_requested: Set when a legacy run is to end after its next token.
    """

    state: ServerState
    model: LocalModel
    conversation_id: str
    path: list[JsonObject]
    tool_servers: Sequence[ToolServer] = ()
    web_search: bool = False
    stop_requested: bool = field(default=False, init=False)

    def messages(self) -> list[JsonObject]:
        """Build what the model is sent."""
        return chat_messages(
            self.path,
            conversation_id=self.conversation_id,
            model=self.model,
            files=self.state.files,
            generation=self.state.generation,
        )

    @asynccontextmanager
    async def ask(
        self, messages: list[JsonObject], tools: list[JsonObject] | None = None
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        """Send the model a request, and close its stream at the end, however it ends.

        Args:
            messages: Chat messages.
            tools: The tools on offer.

        Yields:
            The stream of its pieces.
        """
        request = ChatRequest(self.model.id, messages, tools or [])
        self.state.records.add_prompt(SentPrompt(request.model, request.messages, request.tools))
        stream = self.model.backend.stream(request)
        try:
            yield stream
        finally:
            aclose = getattr(stream, "aclose", None)
            if aclose is not None:
                await aclose()

    def side_event(self, piece: OutputFile | Routed) -> JsonObject:
        """Turn a piece that is no text into its event; a file is stored.

        Args:
            piece: The piece.
        """
        if isinstance(piece, Routed):
            return {
                "type": "routerMetadata",
                "route": piece.route,
                "model": piece.model,
                "provider": UNDEFINED if piece.provider is None else piece.provider,
            }
        file = StoredFile(piece.name, piece.mime, piece.data)
        self.state.files.keep(self.conversation_id, file)
        return {"type": "file", "name": file.name, "sha": file.sha, "mime": file.mime}
