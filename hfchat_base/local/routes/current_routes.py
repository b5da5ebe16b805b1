"""Routes that only the current generation has: ``/api/v2``, the older ``/api``, and its pages.

Its pages show nothing, but carry the API's responses in script elements.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.routes.common import (
    MAX_TITLE_CHARACTERS,
    HTTPError,
    InternalError,
    base_path_of,
    change_settings,
    get_session,
    html_response,
    import_share,
    is_object_id,
    json_body,
    json_response,
    origin,
    own_conversation,
    page_number,
    readable_conversation,
    superjson_response,
    text_response,
)
from hfchat_base.local.routes.documents import (
    CURRENT_HEAD,
    PAGE_TAIL,
    conversation_document,
    conversation_entries,
    data_method_error,
    not_found_page,
    user_document,
    v1_user,
    vary_headers,
)
from hfchat_base.local.wire import JsonObject, json_text, script_text, superjson_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.database import Conversation
    from hfchat_base.local.state import ActiveRun, ServerState

TICK_SECONDS: Final = 2.0
"""How often running answers are reported (S)."""

_IDLE_TICKS: Final = 2
"""After so many times without any the server has nothing more to say (R: ``running_answers``)."""

_MAX_AUDIO_BYTES: Final = 25 * 1_048_576
_AUDIO_TYPES: Final = (
    *("audio/webm", "audio/ogg", "audio/wav", "audio/flac", "audio/mpeg", "audio/mp4"),
    "audio/x-wav",
)

_CACHE_SECONDS = 60
_CACHED = {"cache-control": f"private, max-age={_CACHE_SECONDS}"}


class CurrentRoutes:
    """The routes that only the current generation has, or has in its own form."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            Route("/api/v2/models", self.models),
            Route("/api/v2/models/old", self.old_models),
            Route("/api/v2/models/{namespace}", self.model),
            Route("/api/v2/models/{namespace}/{model}", self.model),
            Route("/api/v2/user", self.user),
            Route("/api/v2/user/settings", self.settings, methods=["GET"]),
            Route("/api/v2/user/settings", self.change_settings, methods=["POST"]),
            Route("/api/v2/user/billing-orgs", self.payers),
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
            Route("/api/mcp/health", self.check_tool_server, methods=["POST"]),
            Route("/api/transcribe", self.transcribe, methods=["POST"]),
            Route("/api/v2/generations/live", self.running),
            Route("/api/models", self.v1_models),
            Route("/api/user", v1_user),
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
        return superjson_response(entries, headers=_CACHED)

    async def old_models(self, _request: Request) -> Response:
        """List the models that were removed: none."""
        return superjson_response([])

    async def model(self, request: Request) -> Response:
        """Describe one model.

        Raises:
            HTTPError: There is no such model.
        """
        found = self._state.model("/".join(request.path_params.values()))
        if found is None:
            raise HTTPError(404, "Model not found")
        return superjson_response(found.v2_details())

    async def user(self, request: Request) -> Response:
        """Describe the user."""
        return superjson_response(user_document(get_session(request).user))

    async def settings(self, request: Request) -> Response:
        """Return the user's settings."""
        settings = self._state.settings.read(get_session(request).owner)
        if self._state.model(settings["activeModel"]) is None:
            settings = {**settings, "activeModel": self._state.models[0].id}
        return superjson_response(settings)

    async def payers(self, _request: Request) -> Response:
        """Say who may pay for answers: only HuggingChat has that.

        Raises:
            HTTPError: Always.
        """
        raise HTTPError(404, "Not available")

    async def change_settings(self, request: Request) -> Response:
        """Store the user's settings; a setting that is left out is reset to its default.

        Raises:
            InternalError: A value has the wrong type.
        """
        return await change_settings(request, self._state)

    async def flags(self, _request: Request) -> Response:
        """Return the feature flags."""
        return superjson_response(feature_flags(self._state))

    async def config(self, request: Request) -> Response:
        """Return the public configuration."""
        return superjson_response(public_config(request), headers=_CACHED)

    async def conversations(self, request: Request) -> Response:
        """List a page of the user's conversations."""
        page, more = self._page(request)
        return superjson_response({"conversations": conversation_entries(page), "hasMore": more})

    async def delete_all(self, request: Request) -> Response:
        """Delete all of the user's conversations."""
        return superjson_response(self._state.conversations.delete_all(get_session(request).owner))

    async def import_share(self, request: Request) -> Response:
        """Copy a share to the user's conversations, once.

        Raises:
            HTTPError: No share is named, or there is no such share.
        """
        body = await json_body(request)
        share_id = body.get("shareId") if isinstance(body, dict) else None
        if not isinstance(share_id, str) or not share_id:
            raise HTTPError(400, "shareId is required")
        created = import_share(share_id, get_session(request).owner, self._state, once=True)
        return superjson_response({"conversationId": str(created.id)})

    async def read(self, request: Request) -> Response:
        """Return a conversation, or a share."""
        found, shared = readable_conversation(request, self._state)
        return superjson_response(conversation_document(found, shared=shared))

    async def change(self, request: Request) -> Response:
        """Change title or model.

        Raises:
            HTTPError: A value is not valid, or there is no such conversation.
        """
        body = await json_body(request)
        changes = body if isinstance(body, dict) else {}
        title, model = changes.get("title"), changes.get("model")
        if "title" in changes and not (
            isinstance(title, str) and 1 <= len(title) <= MAX_TITLE_CHARACTERS
        ):
            raise HTTPError(400, "Title must be a string between 1 and 100 characters")
        if "model" in changes and not (isinstance(model, str) and self._state.model(model)):
            raise HTTPError(400, "Invalid model ID")
        conversation = self._own(request)
        if title is not None:
            conversation.title = title.strip()
        if model is not None:
            conversation.switch_model(model)
        return superjson_response({"success": True})

    async def delete(self, request: Request) -> Response:
        """Delete a conversation."""
        self._state.conversations.delete(self._own(request))
        return superjson_response({"success": True})

    async def delete_message(self, request: Request) -> Response:
        """Delete a message and its descendants.

        Raises:
            HTTPError: There is no such message.
        """
        found, _ = readable_conversation(request, self._state)
        if not found.delete_subtree(request.path_params["message"]):
            raise HTTPError(404, "Message not found")
        return superjson_response({"success": True})

    async def tool_servers(self, _request: Request) -> Response:
        """List the server's own tool servers."""
        servers = self._state.tool_servers
        return json_response([server.entry() for server in servers if server.base])

    async def check_tool_server(self, request: Request) -> Response:
        """Connect to a tool server, and say which tools it has."""
        try:
            body = await json_body(request)
        except InternalError as problem:
            return json_response({"ready": False, "error": str(problem)}, status=503)
        url = body.get("url") if isinstance(body, dict) else None
        if not url:
            return json_response({"ready": False, "error": "URL is required"}, status=400)
        if not _is_web_address(url):
            error = "Invalid or unsafe URL (only HTTPS is supported)"
            return json_response({"ready": False, "error": error}, status=400)
        found = next((server for server in self._state.tool_servers if server.url == url), None)
        if found is None:
            error = f"Cannot connect to {url}. Please verify the server is running and accessible."
            report = {"ready": False, "error": error, "authRequired": False}
            return json_response(report, status=503)
        tools = [
            {"name": tool.name, "description": tool.description, "inputSchema": tool.parameters}
            for tool in found.tools
        ]
        return json_response({"ready": True, "tools": tools, "authRequired": False})

    async def transcribe(self, request: Request) -> Response:
        """Turn speech into text (R: ``transcribe``, ``transcribe_configured``).

        Raises:
            HTTPError: The server has no model for it, or the recording is not accepted.
        """
        if self._state.transcribe is None:
            raise HTTPError(503, "Transcription is not configured")
        kind = request.headers.get("content-type", "")
        if not any(audio in kind for audio in _AUDIO_TYPES):
            raise HTTPError(400, f"Unsupported audio format: {kind}")
        body = await request.body()
        if len(body) > _MAX_AUDIO_BYTES:
            raise HTTPError(413, "Audio file too large (max 25MB)")
        text = await asyncio.to_thread(self._state.transcribe, body, kind)
        return json_response({"text": text})

    async def running(self, request: Request) -> Response:
        """Say which of the user's answers are being written, until none is (`running_answers`)."""
        return StreamingResponse(
            self._running_frames(get_session(request).owner),
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache, no-transform",
            },
        )

    async def _running_frames(self, owner: str) -> AsyncIterator[str]:
        before: dict[str, str] = {}
        idle = 0
        while idle < _IDLE_TICKS:
            if idle or before:
                await asyncio.sleep(TICK_SECONDS)
            own = (self._state.conversations.get(owner, r.conversation_id) for r in self._runs())
            running = {str(found.id): found.title for found in own if found is not None}
            entries = [{"conversationId": each, "title": t} for each, t in running.items()]
            ended = [
                {"conversationId": each, "status": self._status(each), "title": title}
                for each, title in before.items()
                if each not in running
            ]
            yield f"event: sync\ndata: {json_text({'running': entries, 'ended': ended})}\n\n"
            before = running
            idle = 0 if running else idle + 1
        yield "event: idle\ndata: {}\n\n"

    def _runs(self) -> list[ActiveRun]:
        return list(self._state.active_runs)

    def _status(self, conversation_id: str) -> str:
        logs = [log for (owner, _), log in self._state.logs.items() if owner == conversation_id]
        return logs[-1].status if logs else "completed"

    async def v1_models(self, _request: Request) -> Response:
        """List the models in the older form."""
        return json_response([model.v1_entry("current") for model in self._state.models])

    async def v1_conversations(self, request: Request) -> Response:
        """List a page of the user's conversations in the older form."""
        page, _ = self._page(request)
        return json_response(conversation_entries(page))

    async def health(self, _request: Request) -> Response:
        """Report that the server is up."""
        return text_response("OK", media="text/plain;charset=UTF-8")

    async def page(self, request: Request) -> Response:
        """Return a page."""
        return data_method_error(request) or current_page(request, self._state)

    async def nothing(self, _request: Request) -> Response:
        """Respond to an unknown path."""
        return not_found_page()

    def _page(self, request: Request) -> tuple[list[Conversation], bool]:
        owner = get_session(request).owner
        return self._state.conversations.page(owner, page_number(request))

    def _own(self, request: Request) -> Conversation:
        if not is_object_id(request.path_params["id"]):
            raise HTTPError(400, "Invalid conversation ID")
        return own_conversation(request, self._state)


def _is_web_address(url: Any) -> bool:
    try:
        parts = urlsplit(url)
    except (ValueError, TypeError, AttributeError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def current_page(request: Request, state: ServerState) -> Response:
    """Return a page of the current generation (R: ``home_page_html``)."""
    base = base_path_of(request.scope)
    session = get_session(request)
    recent, more = state.conversations.page(session.owner, 0)
    servers = [server.entry() for server in state.tool_servers if server.base]
    scripts = [
        _script(
            f"{base}/api/v2/models",
            superjson_text([model.v2_entry() for model in state.models]),
            cached=True,
        ),
        _script(f"{base}/api/v2/user", superjson_text(user_document(session.user))),
        _script(
            f"{base}/api/v2/public-config", superjson_text(public_config(request)), cached=True
        ),
        _script(f"{base}/api/mcp/servers", json_text(servers)),
        _script(f"{base}/api/v2/user/settings", superjson_text(state.settings.read(session.owner))),
        _script(f"{base}/api/v2/feature-flags", superjson_text(feature_flags(state))),
        _script(
            f"{base}/api/v2/conversations?p=0",
            superjson_text({"conversations": conversation_entries(recent), "hasMore": more}),
        ),
    ]
    if "id" in request.path_params:
        found, shared = readable_conversation(request, state)
        document = superjson_text(conversation_document(found, shared=shared))
        scripts.append(_script(f"{base}/api/v2/conversations/{found.id}", document))
    page = f"{CURRENT_HEAD}{''.join(scripts)}{PAGE_TAIL}"
    return html_response(page, headers=vary_headers(request))


def _script(url: str, body: str, *, cached: bool = False) -> str:
    fetched = {
        "status": 200,
        "statusText": "",
        "headers": {"content-type": "application/json"},
        "body": body,
    }
    text = script_text(json_text(fetched))
    ttl = f' data-ttl="{_CACHE_SECONDS}"' if cached else ""
    return (
        f'<script type="application/json" data-sveltekit-fetched data-url="{url}"{ttl}>'
        f"{text}</script>\n"
    )


def feature_flags(state: ServerState) -> JsonObject:
    """Return the feature flags (R: ``manage``)."""
    return {
        "enableAssistants": False,
        "loginEnabled": state.login_required,
        "isAdmin": False,
        "transcriptionEnabled": state.transcribe is not None,
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
