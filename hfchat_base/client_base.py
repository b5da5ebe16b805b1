"""What the two clients share: settings, knowledge, and which flow does what.

No transport is here; each client brings its own (`client.py`).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from typing_extensions import Self

from hfchat_base.auth.cookies import CookieInput
from hfchat_base.auth.find import find_session
from hfchat_base.auth.session import Session
from hfchat_base.errors import HuggingChatError
from hfchat_base.history import History
from hfchat_base.protocol.catalog import Catalog
from hfchat_base.protocol.facts import DEFAULT_BASE_URL, MAX_BODY_BYTES, Generation
from hfchat_base.protocol.flow import Flow
from hfchat_base.protocol.flows import chat, conversations
from hfchat_base.protocol.flows.run import Run
from hfchat_base.protocol.requests import Endpoint, check_conversation_id, check_share_id
from hfchat_base.protocol.server import Server
from hfchat_base.protocol.tree import StoredConversation
from hfchat_base.transport.exchange import Connection
from hfchat_base.types import (
    Answer,
    AsHistory,
    ChatMessage,
    McpServer,
    OnElicitation,
    Retries,
    Retry,
    Timeouts,
)

BASE_URL_VARIABLE: Final = "HUGGINGCHAT_BASE_URL"
MODEL_VARIABLE: Final = "HUGGINGCHAT_MODEL"


class ClientBase(ABC):
    """Settings and knowledge, without a transport. The arguments are told at `HuggingChat`."""

    def __init__(
        self,
        base_url: str | None = None,
        cookies: CookieInput | Session | None = None,
        *,
        account: str | None = None,
        model: str | None = None,
        ephemeral: bool = False,
        stops_on_leave: bool = True,
        timeouts: Timeouts | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        impersonate: str | None = "chrome",
        max_body_bytes: int = MAX_BODY_BYTES,
        retries: Retries | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        messages_per_minute: int | None = None,
    ) -> None:
        address = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
        endpoint = Endpoint.parse(address)
        timeouts = timeouts or Timeouts()
        self.ephemeral = ephemeral
        self._timeouts = timeouts
        self._model = model or os.environ.get(MODEL_VARIABLE) or None
        self._stops_on_leave = stops_on_leave
        self._session = find_session(cookies, endpoint, account)
        self._history = History()
        self.server = Server(
            endpoint,
            has_account=lambda: not self._session.is_guest,
            timeouts=timeouts,
            max_body_bytes=max_body_bytes,
            retries=retries,
            on_retry=on_retry,
            messages_per_minute=messages_per_minute,
        )
        self._connection = Connection(
            endpoint,
            proxy=proxy,
            verify=verify,
            impersonate=impersonate,
            headers=headers or {},
            connect_timeout=timeouts.connect,
        )
        self._connect(self._connection, timeouts)

    @abstractmethod
    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        """Make the transport."""

    @classmethod
    def beside(cls, other: ClientBase) -> Self:
        """Make a client that shares everything but the transport with another."""
        twin = cls.__new__(cls)
        twin.__dict__.update(other.__dict__)
        twin._connect(other._connection, other._timeouts)  # noqa: SLF001 - one of us
        return twin

    @property
    def session(self) -> Session:
        """Whose cookies are sent, and where they were found."""
        return self._session

    @property
    def base_url(self) -> str:
        """Address of the server, without a slash at the end."""
        return self.server.endpoint.base_url

    @property
    def generation(self) -> Generation | None:
        """Which protocol the server speaks: ``current`` (chat-ui 0.20) or ``legacy`` (0.9.5).

        None until the first answer that tells them apart; `get_models` asks for one.
        """
        return self.server.generation

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, {self._session!r})"

    @property
    def default_model(self) -> str:
        """The id of the model that is used where none is named.

        Yours, or the one that the account has chosen, or the first that the server lists.
        """
        return self._default_model(self._catalog())

    @property
    def default_vision_model(self) -> str | None:
        """The id of the model that is used for images, or None if no model sees them."""
        model = self._catalog().default_vision
        return model.id if model else None

    @property
    def text_models(self) -> list[str]:
        """The ids of the models that answer with text."""
        return [model.id for model in self._catalog().text_models]

    @property
    def vision_models(self) -> list[str]:
        """The ids of the models that see images."""
        return [model.id for model in self._catalog().vision_models]

    @property
    def image_models(self) -> list[str]:
        """The ids of the models that draw images."""
        return [model.id for model in self._catalog().image_models]

    @property
    def model_aliases(self) -> dict[str, str]:
        """Short names of models, each with the id that it stands for."""
        return dict(self._catalog().aliases)

    def _catalog(self) -> Catalog:
        """The model list: read if need be, where that can be done without waiting."""
        if self.server.catalog is None:
            msg = "The model list has not been read yet: await get_models() first."
            raise HuggingChatError(msg)
        return self.server.catalog

    def _chat(
        self,
        messages: Sequence[ChatMessage] | str,
        model: str | None,
        as_history: AsHistory | None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> tuple[Callable[[Run], Flow[Answer]], OnElicitation | None]:
        if isinstance(messages, str):
            messages = [ChatMessage("user", messages)]
        ask = chat.Ask(
            tuple(messages), model or self._model, web_search, tuple(mcp_servers), as_history
        )
        return (
            lambda run: chat.chat(self.server, self._history, ask, run, ephemeral=self.ephemeral),
            on_elicitation,
        )

    def _create(self, model: str | None, system_prompt: str | None) -> Flow[StoredConversation]:
        return conversations.create(self.server, model or self._model, system_prompt)

    def _read(self, conversation_id: str) -> Flow[StoredConversation]:
        return conversations.read(self.server, check_conversation_id(conversation_id))

    def _delete(self, conversation_id: str) -> Flow[None]:
        self._history.forget(conversation_id)
        return conversations.delete(self.server, check_conversation_id(conversation_id))

    def _import(self, share: str) -> Flow[StoredConversation]:
        return conversations.import_share(self.server, check_share_id(share))

    def _default_model(self, catalog: Catalog) -> str:
        if self._model:
            return catalog.resolve(self._model).id
        return catalog.default.id if catalog.default else ""
