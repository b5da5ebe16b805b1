"""What the page of a server does besides conversations: tool servers, voice, running answers.

And what the legacy generation has of the settings. All of it as seen on the real servers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hfchat_base.local.http.answers import Mishap, Refusal, json_answer, json_body
from hfchat_base.local.http.asker import session_of
from hfchat_base.local.store.settings import SettingsRefused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.state import ServerState

__all__ = ["current_extras", "legacy_extras"]


def current_extras(state: ServerState) -> list[BaseRoute]:
    """The routes of the current generation.

    Args:
        state: The server.
    """

    async def health(request: Request) -> Response:
        body = await json_body(request)
        url = body.get("url") if isinstance(body, dict) else None
        if not url:
            return json_answer({"ready": False, "error": "URL is required"}, status=400)
        found = next((server for server in state.tool_servers if server.url == url), None)
        if found is None:
            error = f"Cannot connect to {url}. Please verify the server is running and accessible."
            report = {"ready": False, "error": error, "authRequired": False}
            return json_answer(report, status=503)
        tools = [
            {"name": tool.name, "description": tool.description, "inputSchema": tool.parameters}
            for tool in found.tools
        ]
        return json_answer({"ready": True, "tools": tools, "authRequired": False})

    async def transcribe(_request: Request) -> Response:
        raise Refusal(503, "Transcription is not configured")

    async def live(request: Request) -> Response:
        owner = session_of(request).owner
        running = []
        for run in state.active_runs:
            found = state.conversations.of(owner, str(run.conversation_id))
            if found is not None:
                running.append({"conversationId": str(found.id), "title": found.title})
        text = f"event: sync\ndata: {json.dumps({'running': running, 'ended': []})}\n\n"
        return Response(f"{text}event: idle\ndata: {{}}\n\n", media_type="text/event-stream")

    return [
        Route("/api/mcp/health", health, methods=["POST"]),
        Route("/api/transcribe", transcribe, methods=["POST"]),
        Route("/api/v2/generations/live", live),
    ]


def legacy_extras(state: ServerState) -> list[BaseRoute]:
    """The routes of the legacy generation.

    Args:
        state: The server.
    """

    async def change_settings(request: Request) -> Response:
        body = await json_body(request)
        if not isinstance(body, dict):
            raise Mishap("settings are no object")
        try:
            state.settings.write(session_of(request).owner, body)
        except SettingsRefused as refused:
            raise Mishap("a setting of the wrong type") from refused
        return Response()

    async def delete_all(request: Request) -> Response:
        state.conversations.delete_all(session_of(request).owner)
        return Response()

    return [
        Route("/settings", change_settings, methods=["POST"]),
        Route("/api/conversations", delete_all, methods=["DELETE"]),
    ]
