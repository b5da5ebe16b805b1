"""Tool servers that run inside of the local server, in place of real MCP servers."""

from hfchat_base.local.tools.elicitation import ElicitationAnswer, ElicitationField, Elicitations
from hfchat_base.local.tools.server import LocalTool, ToolContext, ToolServer, selected_servers

__all__ = [
    "ElicitationAnswer",
    "ElicitationField",
    "Elicitations",
    "LocalTool",
    "ToolContext",
    "ToolServer",
    "selected_servers",
]
