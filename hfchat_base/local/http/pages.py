"""The pages: HTML that shows nothing, but carries the data a scraper looks for.

Current pages carry the answers of the API in script elements; legacy pages carry a JavaScript
literal in their start-up script.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from hfchat_base.local.encoding.devalue import js_literal
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.superjson import superjson_text
from hfchat_base.local.http.answers import html_answer, text_answer
from hfchat_base.local.http.asker import public_base, route_path, session_of
from hfchat_base.local.http.documents import (
    conversation_document,
    conversation_entries,
    feature_flags,
    legacy_conversation_document,
    public_config,
    user_document,
)
from hfchat_base.local.http.legacy_data import (
    LAYOUT_USES,
    conversation_uses,
    layout_document,
)
from hfchat_base.local.http.lookup import readable_conversation
from hfchat_base.local.http.negotiation import wants_page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.state import ServerState

__all__ = ["current_page", "data_refusal", "legacy_page", "missing_page", "wrong_method_page"]

_CURRENT_HEAD = (
    '<!doctype html>\n<html lang="en">\n\t<head>\n\t\t<meta charset="utf-8" />\n\t\t<meta\n'
    '\t\t\tname="viewport"\n\t\t\tcontent="width=device-width"\n\t\t/>\n'
    "\t\t<title>ChatUI</title>\n\t</head>\n\t<body>\n"
)
_LEGACY_HEAD = (
    '<!doctype html>\n<html lang="en" class="h-full">\n\t<head>\n\t\t<meta charset="utf-8" />\n'
    '\t\t<meta name="viewport" content="width=device-width" />\n\t\t<title>ChatUI</title>\n'
    "\t</head>\n\t<body>\n"
)
_TAIL = "\t</body>\n</html>\n"
_CACHED_SECONDS = 60
_CONVERSATION = re.compile(r"/conversation/[^/]+")
_UNSAFE_IN_SCRIPT = {"<": "\\u003C", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def current_page(request: Request, state: ServerState) -> Response:
    """Return a page of the current generation (R: ``home_page_html``).

    Args:
        request: The request.
        state: The server.
    """
    base = public_base(request.scope)
    session = session_of(request)
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
    page = f"{_CURRENT_HEAD}{''.join(scripts)}{_TAIL}"
    return html_answer(page, headers=_varied(request))


def legacy_page(request: Request, state: ServerState) -> Response:
    """Return a page of the legacy generation (R: ``home_page_html``).

    Args:
        request: The request.
        state: The server.
    """
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
    return html_answer(f"{_LEGACY_HEAD}{script}{_TAIL}", headers=_varied(request))


def wrong_method_page(state: ServerState) -> Response:
    """Answer a POST that would rather have a page (R: ``bad_requests``).

    Args:
        state: The server.
    """
    if state.generation == "current":
        return html_answer(f"{_CURRENT_HEAD}{_TAIL}", status=405, headers={"allow": "GET"})
    return html_answer(f"{_LEGACY_HEAD}{_TAIL}", headers={"allow": "GET"})


def missing_page() -> Response:
    """Say that a path of the current generation leads nowhere; to everybody as a page (S)."""
    return html_answer(f"{_CURRENT_HEAD}\t\t<h1>404</h1>\n{_TAIL}", status=404)


def data_refusal(request: Request) -> Response | None:
    """Refuse a GET for data where only other methods have any (S).

    Args:
        request: The request.

    Returns:
        The refusal, or None if the request is for the page.
    """
    methods = _data_methods(request)
    if not methods or wants_page(request.headers):
        return None
    return text_answer(
        "GET method not allowed",
        status=405,
        media="text/plain;charset=UTF-8",
        headers={"allow": methods},
    )


def _data_methods(request: Request) -> str:
    """Name the methods for which a page's path has data too."""
    path = route_path(request.scope)
    if path == "/settings":
        return "POST"
    return "POST, PATCH, DELETE" if _CONVERSATION.fullmatch(path) else ""


def _varied(request: Request) -> dict[str, str]:
    """Say so where the same path has data for others (R: ``login_required``)."""
    return {"vary": "Accept"} if _data_methods(request) else {}


def _script(url: str, body: str, *, cached: bool = False) -> str:
    fetched = {
        "status": 200,
        "statusText": "",
        "headers": {"content-type": "application/json"},
        "body": body,
    }
    text = "".join(_UNSAFE_IN_SCRIPT.get(character, character) for character in json_text(fetched))
    ttl = f' data-ttl="{_CACHED_SECONDS}"' if cached else ""
    return (
        f'<script type="application/json" data-sveltekit-fetched data-url="{url}"{ttl}>'
        f"{text}</script>\n"
    )


def _legacy_node(document: JsonObject, uses: JsonObject, promises: str) -> str:
    data = js_literal(document, deferred_object=promises)
    return f'{{type:"data",data:{data},uses:{js_literal(uses, deferred_object=promises)}}}'
