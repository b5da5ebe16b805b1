"""Options that several commands have, and the client that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfchat_base.cli.downloads import DEFAULT_FOLDER
from hfchat_base.client import HuggingChat
from hfchat_base.types import McpServer, McpServerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BaseUrl",
    "DownloadFolder",
    "Files",
    "Mcp",
    "ModelName",
    "System",
    "WebSearch",
    "connect",
    "parse_mcp_servers",
]

BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the server.",
        show_default="$HUGGINGCHAT_BASE_URL, or HuggingChat",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Model to ask.",
        show_default="$HUGGINGCHAT_MODEL, or the server's first",
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system", "-s", metavar="TEXT", help="What the model is told first.", show_default=False
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="Attach a file; may be given several times.",
        show_default=False,
    ),
]
WebSearch = Annotated[
    bool, typer.Option("--web-search", "-w", help="Search the web for the answer.")
]
Mcp = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SERVER",
        help="Offer a tool server: its name, its URL, or name=URL; may be given several times.",
        show_default=False,
    ),
]
DownloadFolder = Annotated[
    Path, typer.Option("--downloads", metavar="FOLDER", help="Where files of answers are saved.")
]
DEFAULT_DOWNLOADS = DEFAULT_FOLDER


def connect(base_url: str | None, model: str | None = None) -> HuggingChat:
    """Make the client of a command."""
    return HuggingChat(base_url, model=model)


def parse_mcp_servers(values: Sequence[str]) -> list[McpServer]:
    """Read tool servers as they are written on the command line.

    Args:
        values: Each the name of one of the server's own, an address, or ``name=address``.
    """
    return [_parse_mcp_server(value) for value in values]


def _parse_mcp_server(value: str) -> McpServer:
    name, equals, url = value.partition("=")
    if equals and url.startswith(("http://", "https://")):
        return McpServerConfig(name=name.strip(), url=url)
    if value.startswith(("http://", "https://")):
        host = value.partition("://")[2].partition("/")[0].rpartition("@")[2]
        return McpServerConfig(name=host, url=value)
    return value
