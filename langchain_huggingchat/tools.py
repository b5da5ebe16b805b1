"""LangChain's tools and tool choices as `hfchat_base.tools` takes them.

Tools that the server runs itself may stand among them, in the form that other providers have for
theirs: ``{"type": "web_search"}`` switches the web search on, ``{"type": "mcp", "server_url": …}``
offers a tool server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from langchain_core.utils.function_calling import convert_to_openai_tool

from hfchat_base import InvalidRequestError, McpServer
from hfchat_base.secret import SecretText, reveal
from hfchat_base.tools import Tool, ToolConfig

__all__ = ["ToolSet", "as_openai_tool", "response_schema"]


@dataclass(frozen=True, slots=True)
class ToolSet:
    """What a call brings along.

    Attributes:
        offer: The tools that the caller runs.
        web_search: Whether the server is to search the web.
        mcp_servers: Tool servers for the server to use.
    """

    offer: ToolConfig
    web_search: bool = False
    mcp_servers: tuple[McpServer, ...] = ()

    @classmethod
    def of(cls, tools: Sequence[Any], choice: Any = None, *, parallel: bool = True) -> ToolSet:
        """Sort tools in any form that LangChain knows.

        Args:
            tools: As given to `bind_tools`, or converted by it.
            choice: Whether one has to be called.
            parallel: Whether several calls at once are welcome.

        Raises:
            InvalidRequestError: A tool is one that neither the caller nor the server can run.
        """
        own: list[Tool] = []
        web_search = False
        servers: list[McpServer] = []
        for tool in tools:
            converted = as_openai_tool(tool)
            kind = str(converted.get("type", ""))
            if kind == "function":
                own.append(_tool(converted["function"]))
            elif kind.startswith("web_search"):
                web_search = True
            elif kind == "mcp":
                servers.append(_mcp_server(converted))
            else:
                raise InvalidRequestError(f"A HuggingChat server has no tool of type {kind!r}.")
        offer = ToolConfig.from_choice(own, choice, parallel=parallel)
        return cls(offer, web_search, tuple(servers))


def as_openai_tool(tool: Any) -> dict[str, Any]:
    """Describe a tool in OpenAI's form.

    Raises:
        InvalidRequestError: It is none of the things that LangChain makes tools of.
    """
    try:
        return convert_to_openai_tool(tool)
    except (ValueError, TypeError, AttributeError) as error:
        kind = type(tool).__name__
        raise InvalidRequestError(f"LangChain can make no tool of {kind}: {error}") from error


def _tool(function: Mapping[str, Any]) -> Tool:
    return Tool(
        function["name"], function.get("description") or "", function.get("parameters") or {}
    )


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


def response_schema(response_format: Any) -> Mapping[str, Any] | None:
    """The JSON schema that a `response_format` asks for.

    Args:
        response_format: OpenAI's form of it: ``{"type": "json_schema", "json_schema": …}`` or
            ``{"type": "json_object"}``, or a schema itself (a pydantic class or JSON schema).

    Returns:
        None if text is wanted; an empty schema if any JSON object will do.
    """
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        kind = response_format.get("type")
        if kind == "json_schema":
            inner: Mapping[str, Any] = response_format.get("json_schema") or {}
            schema = inner.get("schema")
            return inner if schema is None else dict(schema)
        if kind == "json_object":
            return {}
        if kind == "text":
            return None
    parameters: Mapping[str, Any] = convert_to_openai_tool(response_format)["function"].get(
        "parameters", {}
    )
    return parameters
