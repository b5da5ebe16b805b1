"""The JSON API of the current generation, and the older ``/api`` that it still has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hfchat_base._protocol.constants import MAX_TITLE_CHARACTERS
from hfchat_base.local.http.answers import (
    Mishap,
    Refusal,
    json_answer,
    json_body,
    superjson_answer,
    text_answer,
)
from hfchat_base.local.http.asker import session_of
from hfchat_base.local.http.documents import (
    conversation_document,
    conversation_entries,
    feature_flags,
    public_config,
    user_document,
)
from hfchat_base.local.http.extras import current_extras
from hfchat_base.local.http.lookup import (
    import_share,
    is_object_id,
    own_conversation,
    page_number,
    readable_conversation,
)
from hfchat_base.local.http.pages import current_page, data_refusal, missing_page
from hfchat_base.local.store.settings import SettingsRefused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.conversations import Conversation

__all__ = ["CurrentRoutes"]

_CACHED = {"cache-control": "private, max-age=60"}


class CurrentRoutes:
    """What only the current generation answers, or answers in its own form.

    Args:
        state: The server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            *current_extras(state),
            Route("/api/v2/models", self.models),
            Route("/api/v2/models/old", self.old_models),
            Route("/api/v2/models/{model:path}", self.model),
            Route("/api/v2/user", self.user),
            Route("/api/v2/user/settings", self.settings, methods=["GET"]),
            Route("/api/v2/user/settings", self.change_settings, methods=["POST"]),
            Route("/api/v2/feature-flags", self.flags),
            Route("/api/v2/public-config", self.config),
            Route("/api/v2/conversations", self.conversations, methods=["GET"]),
            Route("/api/v2/conversations", self.delete_all, methods=["DELETE"]),
            Route("/api/v2/conversations/import-share", self.import_share, methods=["POST"]),
            Route("/api/v2/conversations/{id}", self.read, methods=["GET"]),
            Route("/api/v2/conversations/{id}", self.change, methods=["PATCH"]),
            Route("/api/v2/conversations/{id}", self.delete, methods=["DELETE"]),
            Route(
                "/api/v2/conversations/{id}/message/{message}",
                self.delete_message,
                methods=["DELETE"],
            ),
            Route("/api/mcp/servers", self.tool_servers),
            Route("/api/models", self.v1_models),
            Route("/api/user", self.v1_user),
            Route("/api/conversations", self.v1_conversations),
            Route("/healthcheck", self.health),
            *(
                Route(path, self.page)
                for path in ("/", "/settings", "/conversation/{id}", "/r/{id}")
            ),
            Route("/{path:path}", self.nothing, methods=["GET", "POST", "PATCH", "DELETE"]),
        ]

    async def models(self, _request: Request) -> Response:
        """List the models."""
        entries = [model.v2_entry() for model in self._state.models]
        return superjson_answer(entries, headers=_CACHED)

    async def old_models(self, _request: Request) -> Response:
        """List the models that are gone: none."""
        return superjson_answer([])

    async def model(self, request: Request) -> Response:
        """Describe one model.

        Args:
            request: The request.

        Raises:
            Refusal: There is no such model.
        """
        found = self._state.model(request.path_params["model"])
        if found is None:
            raise Refusal(404, "Model not found")
        return superjson_answer(found.v2_entry())

    async def user(self, request: Request) -> Response:
        """Tell who is asking.

        Args:
            request: The request.
        """
        return superjson_answer(user_document(session_of(request).user))

    async def settings(self, request: Request) -> Response:
        """Return the asker's settings.

        Args:
            request: The request.
        """
        return superjson_answer(self._state.settings.read(session_of(request).owner))

    async def change_settings(self, request: Request) -> Response:
        """Store the asker's settings; what is left out goes back to its default.

        Args:
            request: The request.

        Raises:
            Mishap: A value has the wrong type.
        """
        body = await json_body(request)
        if not isinstance(body, dict):
            raise Mishap("settings are no object")
        try:
            self._state.settings.write(session_of(request).owner, body)
        except SettingsRefused as refused:
            raise Mishap("a setting of the wrong type") from refused
        return Response()

    async def flags(self, _request: Request) -> Response:
        """Tell what is switched on."""
        return superjson_answer(feature_flags(self._state))

    async def config(self, request: Request) -> Response:
        """Return the public configuration.

        Args:
            request: The request.
        """
        return superjson_answer(public_config(request), headers=_CACHED)

    async def conversations(self, request: Request) -> Response:
        """List a page of the asker's conversations.

        Args:
            request: The request.
        """
        page, more = self._page(request)
        return superjson_answer({"conversations": conversation_entries(page), "hasMore": more})

    async def delete_all(self, request: Request) -> Response:
        """Delete all of the asker's conversations.

        Args:
            request: The request.
        """
        return superjson_answer(self._state.conversations.delete_all(session_of(request).owner))

    async def import_share(self, request: Request) -> Response:
        """Copy a share to the asker, once.

        Args:
            request: The request.

        Raises:
            Refusal: No share is named, or there is none of that name.
        """
        body = await json_body(request)
        share_id = body.get("shareId") if isinstance(body, dict) else None
        if not isinstance(share_id, str) or not share_id:
            raise Refusal(400, "shareId is required")
        made = import_share(share_id, session_of(request).owner, self._state, once=True)
        return superjson_answer({"conversationId": str(made.id)})

    async def read(self, request: Request) -> Response:
        """Return a conversation, or a share.

        Args:
            request: The request.
        """
        found, shared = readable_conversation(request, self._state)
        return superjson_answer(conversation_document(found, shared=shared))

    async def change(self, request: Request) -> Response:
        """Change title or model.

        Args:
            request: The request.

        Raises:
            Mishap: The body is null.
            Refusal: The new value is not to be had, or the conversation.
        """
        body = await json_body(request)
        if body is None:
            raise Mishap("null has no fields")
        changes = body if isinstance(body, dict) else {}
        title, model = changes.get("title"), changes.get("model")
        if title is not None and not (
            isinstance(title, str) and 1 <= len(title) <= MAX_TITLE_CHARACTERS
        ):
            raise Refusal(400, "Title must be a string between 1 and 100 characters")
        if model is not None and self._state.model(model) is None:
            raise Refusal(400, "Invalid model ID")
        kept = self._own(request)
        if title is not None:
            kept.title = title.strip()
        if model is not None:
            kept.switch_model(model)
        return superjson_answer({"success": True})

    async def delete(self, request: Request) -> Response:
        """Delete a conversation.

        Args:
            request: The request.
        """
        self._state.conversations.delete(self._own(request))
        return superjson_answer({"success": True})

    async def delete_message(self, request: Request) -> Response:
        """Delete a message and everything below it.

        Args:
            request: The request.

        Raises:
            Refusal: There is no such message.
        """
        found, _ = readable_conversation(request, self._state)
        if not found.delete_below(request.path_params["message"]):
            raise Refusal(404, "Message not found")
        return superjson_answer({"success": True})

    async def tool_servers(self, _request: Request) -> Response:
        """List the server's own tool servers."""
        servers = self._state.tool_servers
        return json_answer([server.entry() for server in servers if server.base])

    async def v1_models(self, _request: Request) -> Response:
        """List the models in the older form."""
        return json_answer([model.v1_entry("current") for model in self._state.models])

    async def v1_user(self, request: Request) -> Response:
        """Tell who is asking, in the older form.

        Args:
            request: The request.
        """
        return v1_user_answer(request)

    async def v1_conversations(self, request: Request) -> Response:
        """List a page of the asker's conversations, in the older form.

        Args:
            request: The request.
        """
        page, _ = self._page(request)
        return json_answer(conversation_entries(page))

    async def health(self, _request: Request) -> Response:
        """Say that all is well."""
        return text_answer("OK", media="text/plain;charset=UTF-8")

    async def page(self, request: Request) -> Response:
        """Return a page.

        Args:
            request: The request.
        """
        return data_refusal(request) or current_page(request, self._state)

    async def nothing(self, _request: Request) -> Response:
        """Say that there is nothing here."""
        return missing_page()

    def _page(self, request: Request) -> tuple[list[Conversation], bool]:
        owner = session_of(request).owner
        return self._state.conversations.page(owner, page_number(request))

    def _own(self, request: Request) -> Conversation:
        if not is_object_id(request.path_params["id"]):
            raise Refusal(400, "Invalid conversation ID")
        return own_conversation(request, self._state)


def v1_user_answer(request: Request) -> Response:
    """Tell who is asking, in the form of ``/api/user``.

    Args:
        request: The request.
    """
    user = session_of(request).user
    if user is None:
        return json_answer({"message": "Must be signed in"}, status=401)
    return json_answer(
        {
            "id": user.id,
            "username": user.username,
            "name": user.username.capitalize(),
            "email": user.email,
            "avatarUrl": user.avatar_url,
            "hfUserId": f"{user.username}-id",
        }
    )
