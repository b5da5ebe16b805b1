"""What the two generations of chat-ui have: their routes, and the events of an answer.

Facts, read in the source of chat-ui 0.20.0 (`current`) and 0.9.5 (`legacy`). When a newer server
has another route or event, it is a line here before it is anything else; a test holds the client
to these tables in both directions.

A row says why the client does not use what it names. An empty text says that it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfchat_base._protocol.constants import Generation

USED: Final = ""

_ADMIN: Final = "for the server's administrators"
_ASSISTANTS: Final = "assistants, which current servers do not have any more"
_BROWSER: Final = "the browser follows it at a login"
_COMMUNITY_TOOLS: Final = "community tools, which current servers do not have any more"
_DEBUG: Final = "shows a prompt to developers"
_HUB: Final = "publishes on the Hub, which is not the server's own"
_OLDER: Final = "the same in an older form; the newer one is used"
_PAGE: Final = "a page without data that no other route has"
_PICTURE: Final = "a picture for links"

ROUTES: Final[Mapping[Generation, Mapping[str, str]]] = {
    "current": {
        # pages
        "GET /": USED,
        "GET /conversation": "redirects to the page",
        "GET /conversation/{id}": _PAGE,
        "GET /models": _PAGE,
        "GET /models/{model}": _PAGE,
        "GET /models/{model}/thumbnail.png": _PICTURE,
        "GET /privacy": _PAGE,
        "GET /r/{id}": "a share's page; its data is read without the page",
        "GET /r/{id}/thumbnail.png": _PICTURE,
        "GET /settings": _PAGE,
        "POST /settings": _OLDER,
        # logging in and out
        "GET /login": USED,
        "GET /login/callback": _BROWSER,
        "POST /logout": USED,
        "GET /.well-known/oauth-cimd": "for the identity provider",
        "GET /api/user": _OLDER,
        "POST /api/user/validate-token": "only tells whether a token is one",
        "GET /api/v2/user": USED,
        "GET /api/v2/user/billing-orgs": USED,
        "GET /api/v2/user/reports": "reports of assistants, which there are not any more",
        "GET /api/v2/user/settings": USED,
        "POST /api/v2/user/settings": USED,
        # what the server has
        "GET /api/mcp/servers": USED,
        "POST /api/mcp/health": USED,
        "GET /api/models": USED,
        "GET /api/v2/models": USED,
        "GET /api/v2/models/old": "models that were removed; a message to one is answered with 410",
        "GET /api/v2/models/{model}": USED,
        "GET /api/v2/models/{namespace}/{model}": USED,
        "POST /api/v2/models/{model}/subscribe": "makes a model the account's default unasked",
        "POST /api/v2/models/{namespace}/{model}/subscribe": (
            "makes a model the account's default unasked"
        ),
        "GET /api/v2/feature-flags": USED,
        "GET /api/v2/public-config": USED,
        "POST /api/transcribe": USED,
        "GET /api/fetch-url": "fetches any address through the server; files are sent as they are",
        "GET /healthcheck": "says nothing of the server but that it runs",
        # conversations
        "POST /conversation": USED,
        "POST /conversation/{id}": USED,
        "DELETE /conversation/{id}": _OLDER,
        "PATCH /conversation/{id}": _OLDER,
        "POST /conversation/{id}/elicitation": USED,
        "GET /conversation/{id}/message/{message}/prompt": _DEBUG,
        "GET /conversation/{id}/output/{sha}": USED,
        "POST /conversation/{id}/share": USED,
        "POST /conversation/{id}/stop-generating": USED,
        "GET /conversation/{id}/stream": USED,
        "GET /api/conversation/{id}": _OLDER,
        "DELETE /api/conversation/{id}/message/{message}": _OLDER,
        "GET /api/conversations": _OLDER,
        "DELETE /api/conversations": _OLDER,
        "GET /api/v2/conversations": USED,
        "DELETE /api/v2/conversations": USED,
        "GET /api/v2/conversations/{id}": USED,
        "PATCH /api/v2/conversations/{id}": USED,
        "DELETE /api/v2/conversations/{id}": USED,
        "DELETE /api/v2/conversations/{id}/message/{message}": USED,
        "POST /api/v2/conversations/import-share": USED,
        "GET /api/v2/generations/live": USED,
        "POST /api/v2/spaces/deploy": _HUB,
        # operating a server
        "GET /__debug/openai": _ADMIN,
        "POST /admin/export": _ADMIN,
        "POST /admin/stats/compute": _ADMIN,
        "GET /api/v2/debug/config": _ADMIN,
        "GET /api/v2/export": _ADMIN,
        "GET /metrics": _ADMIN,
    },
    "legacy": {
        # pages and their data
        "GET /": USED,
        "GET /__data.json": USED,
        "GET /assistant/{id}": _ASSISTANTS,
        "GET /assistant/{id}/thumbnail.png": _ASSISTANTS,
        "GET /assistants": _ASSISTANTS,
        "GET /conversation": "redirects to the page",
        "GET /conversation/{id}": "a page; its data is read alone",
        "GET /conversation/{id}/__data.json": USED,
        "GET /models": _PAGE,
        "GET /models/{model}": _PAGE,
        "GET /models/{model}/thumbnail.png": _PICTURE,
        "GET /privacy": _PAGE,
        "GET /r/{id}": "redirects to a page; a share is imported",
        "GET /settings": _PAGE,
        "POST /settings": USED,
        "GET /settings/assistants/{id}/avatar.jpg": _ASSISTANTS,
        "GET /tools": _COMMUNITY_TOOLS,
        # logging in and out
        "POST /login": "sends the browser to the identity provider, as the first page does",
        "GET /login/callback": _BROWSER,
        "POST /logout": USED,
        "GET /api/user": USED,
        "GET /api/user/assistants": _ASSISTANTS,
        "POST /api/user/validate-token": "only tells whether a token is one",
        # what the server has
        "GET /api/models": USED,
        "GET /api/spaces-config": _COMMUNITY_TOOLS,
        "GET /healthcheck": "says nothing of the server but that it runs",
        "POST /api/assistant": _ASSISTANTS,
        "GET /api/assistant/{id}": _ASSISTANTS,
        "PATCH /api/assistant/{id}": _ASSISTANTS,
        "DELETE /api/assistant/{id}": _ASSISTANTS,
        "POST /api/assistant/{id}/report": _ASSISTANTS,
        "PATCH /api/assistant/{id}/review": _ASSISTANTS,
        "POST /api/assistant/{id}/subscribe": _ASSISTANTS,
        "DELETE /api/assistant/{id}/subscribe": _ASSISTANTS,
        "GET /api/assistants": _ASSISTANTS,
        "POST /api/tools": _COMMUNITY_TOOLS,
        "GET /api/tools/{id}": _COMMUNITY_TOOLS,
        "PATCH /api/tools/{id}": _COMMUNITY_TOOLS,
        "DELETE /api/tools/{id}": _COMMUNITY_TOOLS,
        "POST /api/tools/{id}/report": _COMMUNITY_TOOLS,
        "PATCH /api/tools/{id}/review": _COMMUNITY_TOOLS,
        "GET /api/tools/search": _COMMUNITY_TOOLS,
        # conversations
        "POST /conversation": USED,
        "POST /conversation/{id}": USED,
        "DELETE /conversation/{id}": USED,
        "PATCH /conversation/{id}": USED,
        "GET /conversation/{id}/message/{message}/prompt": _DEBUG,
        "POST /conversation/{id}/message/{message}/vote": "current servers have no votes any more",
        "GET /conversation/{id}/output/{sha}": USED,
        "POST /conversation/{id}/share": USED,
        "POST /conversation/{id}/stop-generating": USED,
        "GET /api/conversation/{id}": "lacks the tree of the messages, which the page's data has",
        "DELETE /api/conversation/{id}/message/{message}": USED,
        "GET /api/conversations": USED,
        "GET /api/conversations/search": "current servers cannot search any more",
        "DELETE /api/conversations": USED,
        # operating a server
        "POST /admin/export": _ADMIN,
        "POST /admin/stats/compute": _ADMIN,
    },
}
"""Method and path, the dynamic parts of which are in braces → why it is not used."""

EVENTS: Final[Mapping[Generation, Mapping[str, str]]] = {
    "current": {
        "status started": USED,
        "status error": USED,
        "status finished": USED,
        "status keepAlive": USED,
        "title": USED,
        "stream": USED,
        "tool call": USED,
        "tool result": USED,
        "tool error": USED,
        "tool eta": USED,
        "tool progress": USED,
        "elicitation request": USED,
        "elicitation resolved": USED,
        "reasoning stream": USED,
        "reasoning status": USED,
        "file": USED,
        "finalAnswer": USED,
        "routerMetadata": USED,
    },
    "legacy": {
        "status started": USED,
        "status error": USED,
        "status finished": USED,
        "status keepAlive": USED,
        "title": USED,
        "stream": USED,
        "tool call": USED,
        "tool result": USED,
        "tool error": USED,
        "tool eta": USED,
        "webSearch update": USED,
        "webSearch error": USED,
        "webSearch sources": USED,
        "webSearch finished": USED,
        "reasoning stream": USED,
        "reasoning status": USED,
        "file": USED,
        "finalAnswer": USED,
    },
}
"""Type and subtype (or status) of each line of an answer → why it is not read."""
