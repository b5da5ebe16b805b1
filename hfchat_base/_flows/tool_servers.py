"""MCP servers: the server's own, and whether one of them, or another, can be used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base._protocol.encodings import Items, Wire
from hfchat_base._protocol.requests import json_request
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base.errors import InvalidRequestError, ProtocolError
from hfchat_base.secret import reveal, reveal_values
from hfchat_base.types import McpCheck, McpServer, McpServerInfo, McpTool

_REFUSED: Final = (400, 503)
"""Of an address that the server does not call, and of a server that it cannot reach (S)."""


class _Server(Wire):
    name: str = Field(min_length=1)
    url: str = ""


class _Tool(Wire):
    name: str = Field(min_length=1)
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class _Health(Wire):
    ready: bool
    tools: Items[_Tool] | None = None
    error: str = ""
    auth_required: bool = False


_SERVERS: Final = TypeAdapter(Items[_Server])


def list_servers(server: ServerInfo, *, refresh: bool = False) -> Flow[tuple[McpServerInfo, ...]]:
    """The server's own MCP servers. Asked once and remembered; none on legacy servers."""
    if server.mcp_servers is None or refresh:
        request = (yield from discovery.dialect(server)).get_mcp_servers()
        found: list[_Server] = []
        if request is not None:
            response = responses.check_json((yield from send(server, request)), request)
            raw = encodings.parse_json(response.body, "list of MCP servers")
            found = _SERVERS.validate_python(raw) if isinstance(raw, list) else []
        server.mcp_servers = tuple(McpServerInfo(name=each.name, url=each.url) for each in found)
    return server.mcp_servers


def check(server: ServerInfo, mcp_servers: Sequence[McpServer], *, web_search: bool) -> Flow[None]:
    """Refuse a tool server that there is not. The server would leave it out and say nothing.

    Raises:
        InvalidRequestError: The server has none of that name.
    """
    names = [name for name in mcp_servers if isinstance(name, str)]
    wanted = [*names, *([WEB_SEARCH_SERVER] if web_search else [])]
    if not wanted:
        return
    if (yield from discovery.dialect(server)).get_mcp_servers() is None:
        return  # what such a server can do is said where the message is made
    own = {item.get("name") for item in mcp_servers if not isinstance(item, str)}
    # A list that was remembered may be old; one that was asked for just now is not.
    for is_again in (False,) if server.mcp_servers is None else (False, True):
        known = [each.name for each in (yield from list_servers(server, refresh=is_again))]
        missing = [name for name in wanted if name not in known and name not in own]
        if not missing:
            return
    raise _unknown(missing[0], known, is_search=missing[0] not in names)


def _unknown(name: str, known: list[str], *, is_search: bool) -> InvalidRequestError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:5]
    hint = f"It has {', '.join(near)}." if near else "It has none of its own."
    if is_search:
        return InvalidRequestError(
            f"This server has no web search (an MCP server called {name!r}). {hint}"
        )
    return InvalidRequestError(
        f"The server has no MCP server {name!r}. {hint} mcp_servers() lists them."
    )


def check_server(server: ServerInfo, url: str, headers: Mapping[str, str]) -> Flow[McpCheck]:
    """Have the server look at an MCP server.

    Raises:
        InvalidRequestError: The address is none, or the server cannot do this.
    """
    address = reveal(url) or ""
    WebAddress.parse(address, what="url")
    (yield from discovery.dialect(server)).require("MCP servers")
    pairs = [{"key": key, "value": value} for key, value in reveal_values(headers).items()]
    body = {"url": address, "headers": pairs}
    request = json_request("POST", "/api/mcp/health", server.endpoint, body)
    response = yield from send(server, request)
    if response.status not in _REFUSED:
        responses.check_json(response, request)
    try:
        health = _Health.model_validate(encodings.parse_json(response.body, "report"))
    except ValidationError:
        raise ProtocolError("The server's report on an MCP server cannot be read.") from None
    return McpCheck(
        is_ready=health.ready,
        tools=tuple(
            McpTool(name=tool.name, description=tool.description, input_schema=tool.input_schema)
            for tool in health.tools or []
        ),
        needs_login=health.auth_required,
        problem=health.error,
    )
