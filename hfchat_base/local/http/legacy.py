"""The API of the legacy generation: ``/api`` without a version, and ``__data.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hfchat_base.local.http.answers import Mishap, json_answer, text_answer
from hfchat_base.local.http.asker import session_of
from hfchat_base.local.http.current import v1_user_answer
from hfchat_base.local.http.documents import conversation_entries
from hfchat_base.local.http.extras import legacy_extras
from hfchat_base.local.http.legacy_data import conversation_data, home_data
from hfchat_base.local.http.lookup import is_object_id, page_number
from hfchat_base.local.http.pages import data_refusal, legacy_page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.conversations import Conversation

__all__ = ["LegacyRoutes"]

_ASSISTANTS_PER_PAGE = 24


class LegacyRoutes:
    """What only the legacy generation answers, or answers in its own form.

    Args:
        state: The server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        pages = ("/", "/settings", "/conversation/{id}", "/r/{id}", "/{path:path}")
        self.routes: list[BaseRoute] = [
            *legacy_extras(state),
            Route("/__data.json", self.home_data),
            Route("/conversation/{id}/__data.json", self.conversation_data),
            Route("/api/models", self.models),
            Route("/api/conversations", self.conversations),
            Route("/api/conversation/{id}", self.conversation),
            Route(
                "/api/conversation/{id}/message/{message}",
                self.delete_message,
                methods=["DELETE"],
            ),
            Route("/api/user", self.user),
            Route("/api/tools/search", self.tools),
            Route("/api/assistants", self.assistants),
            Route("/healthcheck", self.health),
            *(Route(path, self.page) for path in pages),
        ]

    async def home_data(self, request: Request) -> Response:
        """Return the home page's data.

        Args:
            request: The request.
        """
        return home_data(request, self._state)

    async def conversation_data(self, request: Request) -> Response:
        """Return a conversation page's data.

        Args:
            request: The request.
        """
        return conversation_data(request, self._state)

    async def models(self, _request: Request) -> Response:
        """List the models."""
        return json_answer([model.v1_entry("legacy") for model in self._state.models])

    async def conversations(self, request: Request) -> Response:
        """List a page of the asker's conversations.

        Args:
            request: The request.
        """
        owner = session_of(request).owner
        page, _ = self._state.conversations.page(owner, page_number(request))
        return json_answer(
            [
                {**entry, "assistantId": None, "modelTools": self._has_tools(entry["model"])}
                for entry in conversation_entries(page)
            ]
        )

    async def conversation(self, request: Request) -> Response:
        """Return a conversation.

        Args:
            request: The request.
        """
        conversation_id = request.path_params["id"]
        found = self._state.conversations.of(session_of(request).owner, conversation_id)
        if not is_object_id(conversation_id) or found is None:
            return json_answer({"message": "Conversation not found"}, status=404)
        return json_answer(self._api_document(found))

    async def delete_message(self, request: Request) -> Response:
        """Delete a message and everything below it; one that is not there counts as deleted.

        Args:
            request: The request.

        Raises:
            Mishap: The conversation's id is none.
        """
        conversation_id = request.path_params["id"]
        if not is_object_id(conversation_id):
            raise Mishap("not an object id")
        found = self._state.conversations.of(session_of(request).owner, conversation_id)
        if found is None:
            return json_answer({"message": "Conversation not found"}, status=404)
        found.delete_below(request.path_params["message"])
        return Response()

    async def user(self, request: Request) -> Response:
        """Tell who is asking.

        Args:
            request: The request.
        """
        return v1_user_answer(request)

    async def tools(self, _request: Request) -> Response:
        """Refuse to search tools of the community (R: ``manage``)."""
        return text_answer(
            "Community tools are not enabled", status=403, media="text/plain;charset=UTF-8"
        )

    async def assistants(self, _request: Request) -> Response:
        """List the assistants: none (R: ``manage``)."""
        return json_answer(
            {
                "assistants": [],
                "selectedModel": "",
                "numTotalItems": 0,
                "numItemsPerPage": _ASSISTANTS_PER_PAGE,
                "query": None,
            }
        )

    async def health(self, _request: Request) -> Response:
        """Say that all is well."""
        return text_answer("OK", media="text/plain;charset=UTF-8")

    async def page(self, request: Request) -> Response:
        """Return a page, also for paths that lead nowhere (R: ``models``).

        Args:
            request: The request.
        """
        return data_refusal(request) or legacy_page(request, self._state)

    def _has_tools(self, model_id: str) -> bool:
        model = self._state.model(model_id)
        return model is not None and model.supports_tools

    def _api_document(self, conversation: Conversation) -> JsonObject:
        shown = ("content", "from", "id", "createdAt", "updatedAt", "files", "updates", "reasoning")
        return {
            "id": conversation.id,
            "title": conversation.title,
            "updatedAt": conversation.updated_at,
            "modelId": conversation.model,
            "assistantId": None,
            "messages": [
                {key: message[key] for key in shown if key in message}
                for message in conversation.messages
            ],
            "modelTools": self._has_tools(conversation.model),
        }
