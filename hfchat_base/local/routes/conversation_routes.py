"""Creating, changing, sharing and deleting conversations: what both generations have."""

from __future__ import annotations

import mimetypes
import secrets
import string
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hfchat_base.local.routes.common import (
    MAX_TITLE_CHARACTERS,
    SHARE_ID_CHARACTERS,
    HTTPError,
    InternalError,
    base_path_of,
    get_session,
    import_share,
    is_share_id,
    json_body,
    json_response,
    origin,
    own_conversation,
)
from hfchat_base.local.routes.documents import conversation_document
from hfchat_base.local.wire import JsString, superjson_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.state import ServerState

_SHARE_ALPHABET = string.ascii_letters + string.digits + "_-"


class _NewConversation(BaseModel):
    """The body that creates a conversation (S)."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)

    model: JsString
    preprompt: JsString = ""
    from_share: JsString = ""


class ConversationRoutes:
    """The paths of ``/conversation`` that manage conversations."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            Route("/conversation", self.create, methods=["POST"]),
            Route("/conversation", self.home, methods=["GET"]),
            Route("/conversation/{id}", self.change, methods=["PATCH"]),
            Route("/conversation/{id}", self.delete, methods=["DELETE"]),
            Route("/conversation/{id}/share", self.share, methods=["POST"]),
            Route("/conversation/{id}/output/{sha}", self.output),
        ]

    async def create(self, request: Request) -> Response:
        """Create a conversation.

        Raises:
            HTTPError: The body does not fit the schema, or there are too many conversations.
        """
        owner = get_session(request).owner
        try:
            body = _NewConversation.model_validate(await json_body(request))
        except ValidationError as error:
            raise HTTPError(400, "Invalid request") from error
        model = self._state.model(body.model)
        if model is None:
            raise HTTPError(400, "Invalid request")
        limit = self._state.limits.conversations
        if limit is not None and self._state.conversations.count(owner) > limit:
            raise HTTPError(
                429,
                "You have reached the maximum number of conversations. Delete some to continue.",
            )
        if model.unlisted:
            raise HTTPError(400, "Can't start a conversation with an unlisted model")
        given = body.model_fields_set
        if "from_share" in given:
            created = import_share(body.from_share, owner, self._state, once=False)
        else:
            preprompt = body.preprompt if "preprompt" in given else model.preprompt or ""
            created = self._state.conversations.create(
                owner=owner, model=model.id, preprompt=preprompt
            )
        answer = {"conversationId": str(created.id)}
        if self._state.generation == "current":
            answer["conversation"] = superjson_text(conversation_document(created))
        return json_response(answer)

    async def home(self, request: Request) -> Response:
        """Redirect browsers to the home page."""
        return RedirectResponse(f"{base_path_of(request.scope)}/", status_code=302)

    async def change(self, request: Request) -> Response:
        """Change title or model.

        Raises:
            InternalError: The body does not fit the schema.
        """
        body = await json_body(request)
        if not isinstance(body, dict):
            raise InternalError("not an object")
        title, model = body.get("title", "unchanged"), body.get("model", self._state.models[0].id)
        if not isinstance(title, str) or not 1 <= len(title.strip()) <= MAX_TITLE_CHARACTERS:
            raise InternalError("the title is not a string, too long or empty")
        if not isinstance(model, str) or self._state.model(model) is None:
            raise InternalError("no such model")
        conversation = own_conversation(request, self._state)
        if "title" in body:
            conversation.title = title.strip()
        if "model" in body:
            conversation.switch_model(model)
        return Response()

    async def delete(self, request: Request) -> Response:
        """Delete a conversation."""
        self._state.conversations.delete(own_conversation(request, self._state))
        return Response()

    async def share(self, request: Request) -> Response:
        """Share a conversation as it is now."""
        conversation = own_conversation(request, self._state)
        new_id = "".join(secrets.choice(_SHARE_ALPHABET) for _ in range(SHARE_ID_CHARACTERS))
        shared = self._state.conversations.share(conversation, new_id)
        self._state.files.copy(conversation.id, shared.id)
        if self._state.generation == "current":
            return json_response({"shareId": shared.id})
        base = base_path_of(request.scope)
        return json_response({"url": f"{origin(request)}{base}/r/{shared.id}"})

    async def output(self, request: Request) -> Response:
        """Serve a file of a conversation or share.

        Raises:
            HTTPError: There is no such conversation or file.
        """
        conversation_id, sha = request.path_params["id"], request.path_params["sha"]
        if not is_share_id(conversation_id):
            own_conversation(request, self._state)
        elif self._state.conversations.shared(conversation_id) is None:
            raise HTTPError(404, "Conversation not found")
        file = self._state.files.get(conversation_id, sha)
        if file is None:
            raise HTTPError(404, "File not found")
        extension = mimetypes.guess_extension(file.mime) or ".bin"
        name = f"{sha[:8]}{extension}"
        return Response(
            file.data,
            headers={
                "content-type": file.mime,
                "content-disposition": f'attachment; filename="{name}"',
            },
        )
