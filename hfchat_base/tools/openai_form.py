"""Tools, tool choices and response formats as OpenAI's API has them, sorted by who runs them.

What a caller runs becomes a `ToolConfig`. What the server runs may be in the same list, in the
form that OpenAI has for its own: ``{"type": "web_search"}`` switches the web search on,
``{"type": "mcp", "server_url": …}`` offers an MCP server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hfchat_base.errors import InvalidRequestError
from hfchat_base.secret import SecretText, reveal
from hfchat_base.tools.types import Tool, ToolChoice, ToolConfig
from hfchat_base.types import McpServer

__all__ = ["ToolSet", "is_strict", "response_schema"]


@dataclass(frozen=True, slots=True)
class ToolSet:
    """The tools of a request.

    Attributes:
        config: The tools that the caller runs, and whether one has to be called.
        web_search: Whether the server is to search the web.
        mcp_servers: MCP servers for the server to use.
    """

    config: ToolConfig
    web_search: bool = False
    mcp_servers: tuple[McpServer, ...] = ()

    @classmethod
    def from_openai(
        cls, tools: Sequence[Mapping[str, Any]], choice: ToolChoice = None, *, parallel: bool = True
    ) -> ToolSet:
        """Sort tools in OpenAI's form.

        Args:
            tools: Functions, as Chat Completions has them or as Responses has them, and tools that
                the server runs.
            choice: Whether one has to be called.
            parallel: Whether one answer may hold several calls.

        Raises:
            InvalidRequestError: A tool is one that neither the caller nor the server can run.
        """
        own: list[Tool] = []
        web_search = False
        servers: list[McpServer] = []
        for tool in tools:
            kind = str(tool.get("type", ""))
            if kind == "function":
                own.append(_function(tool.get("function") or tool))
            elif kind.startswith("web_search"):
                web_search = True
            elif kind == "mcp":
                servers.append(_mcp_server(tool))
            else:
                raise InvalidRequestError(f"A HuggingChat server has no tool of type {kind!r}.")
        config = ToolConfig.from_choice(own, choice, parallel=parallel)
        return cls(config, web_search, tuple(servers))


def response_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON schema that a response format asks for.

    Args:
        response_format: ``{"type": "text"}``, ``{"type": "json_object"}``, or
            ``{"type": "json_schema"}`` with ``json_schema`` (Chat Completions) or with ``schema``
            (Responses).

    Returns:
        None if text is wanted; an empty schema if any JSON object will do.

    Raises:
        InvalidRequestError: There is no such format.
    """
    kind = "text" if response_format is None else response_format.get("type")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return {}
    if kind == "json_schema":
        inner = response_format.get("json_schema") or response_format
        schema = inner.get("schema", {} if inner is response_format else inner)
        if isinstance(schema, Mapping):
            return dict(schema)
        raise InvalidRequestError("The schema of a response format should be an object.")
    raise InvalidRequestError(
        f"A response format is of type text, json_object or json_schema, not {kind!r}."
    )


def is_strict(response_format: Mapping[str, Any] | None) -> bool:
    """Whether a response format, which `response_schema` has read, wants JSON and nothing else."""
    if response_format is None or response_format["type"] == "text":
        return False
    inner = response_format.get("json_schema") or response_format
    return response_format["type"] == "json_object" or inner.get("strict") is True


def _function(function: Any) -> Tool:
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequestError("A tool of type function needs a name.")
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise InvalidRequestError(f"The parameters of {function['name']!r} should be an object.")
    return Tool(function["name"], str(function.get("description") or ""), parameters)


def _mcp_server(tool: Mapping[str, Any]) -> McpServer:
    # Nothing is converted to `str` here: that would turn a hidden secret into its mask.
    url = tool.get("server_url")
    if not url:
        return str(tool.get("server_label", ""))
    headers = dict(tool.get("headers") or {})
    if (token := reveal(tool.get("authorization"))) is not None:
        headers = {"authorization": SecretText(f"Bearer {token}"), **headers}
    name = tool.get("server_label") or urlsplit(reveal(url) or "").hostname or "mcp"
    return {"name": name, "url": url, "headers": headers}
