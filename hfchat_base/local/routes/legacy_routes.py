"""Routes that only the legacy generation has: ``/api``, ``__data.json``, and its pages.

A page's data comes as devalue (``__data.json``), and as a JavaScript literal in the page's script.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hfchat_base.local.routes.common import (
    HTTPError,
    InternalError,
    base_path_of,
    change_settings,
    get_session,
    html_response,
    is_object_id,
    json_response,
    origin,
    page_number,
    readable_conversation,
    text_response,
)
from hfchat_base.local.routes.documents import (
    LEGACY_HEAD,
    PAGE_TAIL,
    conversation_entries,
    data_method_error,
    user_document,
    v1_user,
    vary_headers,
)
from hfchat_base.local.wire import (
    UNDEFINED,
    Deferred,
    JsonObject,
    devalue_text,
    js_literal,
    json_text,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.database import Conversation
    from hfchat_base.local.state import ServerState

_ASSISTANTS_PER_PAGE = 24


class LegacyRoutes:
    """The routes that only the legacy generation has, or has in its own form."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        pages = ("/", "/settings", "/conversation/{id}", "/r/{id}", "/{path:path}")
        self.routes: list[BaseRoute] = [
            Route("/__data.json", self.home_data),
            Route("/conversation/{id}/__data.json", self.conversation_data),
            Route("/api/models", self.models),
            Route("/api/conversations", self.conversations, methods=["GET"]),
            Route("/api/conversation/{id}", self.conversation),
            Route(
                "/api/conversation/{id}/message/{message}",
                self.delete_message,
                methods=["DELETE"],
            ),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/api/conversations", self.delete_all, methods=["DELETE"]),
            Route("/api/user", v1_user),
            Route("/api/tools/search", self.tools),
            Route("/api/assistants", self.assistants),
            Route("/healthcheck", self.health),
            *(Route(path, self.page) for path in pages),
        ]

    async def home_data(self, request: Request) -> Response:
        """Return the home page's ``__data.json``: the layout, and a page without data."""
        return _data_response([_layout_node(request, self._state), "null"], _assistants_chunk(), {})

    async def conversation_data(self, request: Request) -> Response:
        """Return a conversation page's ``__data.json``, or the parts of it that are requested.

        ``x-sveltekit-invalidated`` has one digit per part, 1 for the requested ones: layout, page.
        """
        requested = request.query_params.get("x-sveltekit-invalidated", "11")
        layout = page = json_text({"type": "skip"})
        chunks = ""
        if requested.startswith("1"):
            layout, chunks = _layout_node(request, self._state), _assistants_chunk()
        if requested.endswith("1"):
            page = _page_node(request, self._state)
        return _data_response([layout, page], chunks, {"vary": "Accept"})

    async def models(self, _request: Request) -> Response:
        """List the models."""
        return json_response([model.v1_entry("legacy") for model in self._state.models])

    async def conversations(self, request: Request) -> Response:
        """List a page of the user's conversations."""
        owner = get_session(request).owner
        page, _ = self._state.conversations.page(owner, page_number(request))
        return json_response(
            [
                {**entry, "assistantId": None, "modelTools": self._has_tools(entry["model"])}
                for entry in conversation_entries(page)
            ]
        )

    async def conversation(self, request: Request) -> Response:
        """Return a conversation."""
        conversation_id = request.path_params["id"]
        found = self._state.conversations.get(get_session(request).owner, conversation_id)
        if not is_object_id(conversation_id) or found is None:
            return json_response({"message": "Conversation not found"}, status=404)
        return json_response(self._api_document(found))

    async def change_settings(self, request: Request) -> Response:
        """Store the user's settings (S)."""
        return await change_settings(request, self._state)

    async def delete_all(self, request: Request) -> Response:
        """Delete all of the user's conversations (S)."""
        self._state.conversations.delete_all(get_session(request).owner)
        return Response()

    async def delete_message(self, request: Request) -> Response:
        """Delete a message and its descendants; a missing one counts as deleted.

        Raises:
            InternalError: The conversation id is not valid.
        """
        conversation_id = request.path_params["id"]
        if not is_object_id(conversation_id):
            raise InternalError("not an object id")
        found = self._state.conversations.get(get_session(request).owner, conversation_id)
        if found is None:
            return json_response({"message": "Conversation not found"}, status=404)
        found.delete_subtree(request.path_params["message"])
        return Response()

    async def tools(self, _request: Request) -> Response:
        """Reject a search for community tools (R: ``manage``)."""
        return text_response(
            "Community tools are not enabled", status=403, media="text/plain;charset=UTF-8"
        )

    async def assistants(self, _request: Request) -> Response:
        """List the assistants: none (R: ``manage``)."""
        return json_response(
            {
                "assistants": [],
                "selectedModel": "",
                "numTotalItems": 0,
                "numItemsPerPage": _ASSISTANTS_PER_PAGE,
                "query": None,
            }
        )

    async def health(self, _request: Request) -> Response:
        """Report that the server is up."""
        return text_response("OK", media="text/plain;charset=UTF-8")

    async def page(self, request: Request) -> Response:
        """Return a page, also for unknown paths (R: ``models``)."""
        return data_method_error(request) or legacy_page(request, self._state)

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


LAYOUT_USES: JsonObject = {"dependencies": ["conversation:list"]}
"""The dependencies of the layout's data (R: ``home_page_html``)."""

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


def conversation_uses(request: Request) -> JsonObject:
    """Return the dependencies of a conversation's data (R: ``plain_answer``)."""
    here = f"{origin(request)}{base_path_of(request.scope)}/conversation/conversation"
    return {"dependencies": [here], "params": ["id"]}


def layout_document(request: Request, state: ServerState) -> JsonObject:
    """Build the data that every page has (R: ``home_page_html``)."""
    session = get_session(request)
    recent, _ = state.conversations.page(session.owner, 0)
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
        "settings": state.settings.read_legacy(session.owner),
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
    except HTTPError as error:
        message = {"message": str(error)}
        return json_text({"type": "error", "error": message, "status": error.status})
    except InternalError:
        return json_text({"type": "error", "error": {"message": "An error occurred"}})
    document = legacy_conversation_document(found, shared=shared)
    return _data_node(document, conversation_uses(request))


def _data_node(document: JsonObject, uses: JsonObject) -> str:
    return f'{{"type":"data","data":{devalue_text(document)},"uses":{json_text(uses)}}}'


def _assistants_chunk() -> str:
    """Return the line that resolves the layout's promise."""
    return f'{{"type":"chunk","id":1,"data":{devalue_text([])}}}\n'


def _data_response(nodes: list[str], chunks: str, headers: dict[str, str]) -> Response:
    return text_response(
        f'{{"type":"data","nodes":[{",".join(nodes)}]}}\n{chunks}',
        # A promise that is resolved later makes it a stream (R: `settings`).
        media="text/sveltekit-data" if chunks else "application/json",
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


def legacy_page(request: Request, state: ServerState) -> Response:
    """Return a page of the legacy generation (R: ``home_page_html``)."""
    promises = f"__sveltekit_{secrets.token_hex(3)}"
    nodes = [_legacy_node(layout_document(request, state), LAYOUT_USES, promises)]
    if "id" in request.path_params:
        found, shared = readable_conversation(request, state)
        document = legacy_conversation_document(found, shared=shared)
        nodes.append(_legacy_node(document, conversation_uses(request), promises))
    else:
        nodes.append("null")
    script = (
        "<script>\n\tkit.start(app, element, {\n\t\tnode_ids: [0, 6],\n"
        f"\t\tdata: [{','.join(nodes)}],\n"
        "\t});\n</script>\n"
        f"<script>{promises}.resolve({{id:1,data:[],error:void 0}})</script>\n"
    )
    return html_response(f"{LEGACY_HEAD}{script}{PAGE_TAIL}", headers=vary_headers(request))


def _legacy_node(document: JsonObject, uses: JsonObject, promises: str) -> str:
    data = js_literal(document, deferred_object=promises)
    return f'{{type:"data",data:{data},uses:{js_literal(uses, deferred_object=promises)}}}'


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
