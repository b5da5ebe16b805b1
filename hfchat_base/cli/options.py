"""What the commands share: their options, the client that is made of them, and what is remembered.

`connect` decides which server a command talks to: ``--base-url``, ``HUGGINGCHAT_BASE_URL``, the
server of the last ``hfchat login``, or HuggingChat itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from pydantic import BaseModel, Field, ValidationError
from typer.core import TyperCommand, TyperGroup

from hfchat_base import HuggingChat, HuggingChatError, InvalidRequestError, McpServerConfig
from hfchat_base.auth.store import data_folder, make_private, replace_file
from hfchat_base.client import BASE_URL_VARIABLE, BILLING_URL, DEFAULT_BASE_URL
from hfchat_base.safe_text import clean_line
from hfchat_base.types import McpServer, Retry

__all__ = [
    "DEFAULT_FOLDER",
    "Account",
    "Artifacts",
    "BaseUrl",
    "BillTo",
    "FileFolder",
    "Files",
    "Mcp",
    "ModelName",
    "NoReasoning",
    "PlainCommand",
    "PlainGroup",
    "Provider",
    "ReasoningEffort",
    "Remembered",
    "RestoreSettings",
    "System",
    "WebSearch",
    "WrongUsage",
    "client_options",
    "complete_model",
    "connect",
    "last_conversation",
    "parse_mcp_servers",
    "payment_of",
    "private_folder",
    "server_address",
]

DEFAULT_FOLDER: Final = Path("~/Downloads/hfchat")


class _PlainFlags:
    def get_params(self, ctx: Any) -> list[Any]:  # a Context of click, or of Typer's own copy
        """The parameters; flags and arguments show no type next to their names."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
            elif param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # noqa: ARG005 - called by name
        return params


class WrongUsage(typer.BadParameter):
    """A call that no single option is to blame for; it ends the command with code 2."""

    def format_message(self) -> str:
        """The message alone, without the "Invalid value" of a bad option."""
        return self.message


class PlainCommand(_PlainFlags, TyperCommand):
    """A command whose help shows no ``<bool>`` and ``<list[str]>``."""


class PlainGroup(_PlainFlags, TyperGroup):
    """Commands under one name; see `PlainCommand`."""


class Remembered(BaseModel):
    """What one command remembers for the next, in ``cli.json`` in the data folder.

    Attributes:
        base_url: The server of the last login, or None for HuggingChat.
        conversations: The last conversation at each server, by the server's address.
    """

    base_url: str | None = None
    conversations: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def load(cls) -> Remembered:
        """Read the file; one that is missing or broken counts as empty."""
        try:
            return cls.model_validate_json(_memory_file().read_bytes())
        except (OSError, ValidationError):
            return cls()

    @classmethod
    def keep_conversation(cls, client: HuggingChat, conversation_id: str) -> None:
        """Remember the last conversation at a client's server."""
        remembered = cls.load()
        remembered.conversations[client.base_url] = conversation_id
        remembered.save()

    def save(self) -> None:
        """Write the file. A folder that cannot be written to costs only the memory."""
        with suppress(OSError, HuggingChatError):
            make_private(_memory_file().parent)
            replace_file(_memory_file(), self.model_dump_json(indent=1).encode())


def _memory_file() -> Path:
    return private_folder() / "cli.json"


def private_folder() -> Path:
    """The folder for what the command line keeps."""
    return data_folder() / "cli"


def complete_model(begun: str) -> list[str]:
    """The ids of models that begin like what was typed; nothing if the server does not say."""
    with suppress(HuggingChatError), connect(None) as client:
        return [model.id for model in client.get_models() if model.id.startswith(begun)]
    return []


BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the server.",
        show_default="$HUGGINGCHAT_BASE_URL, or the last login's, or HuggingChat",
    ),
]
Account = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which saved session to use, if there are several.",
        show_default="$HUGGINGCHAT_ACCOUNT, or the newest login",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Model to ask.",
        show_default="$HUGGINGCHAT_MODEL, or the server's default",
        autocompletion=complete_model,
    ),
]
System = Annotated[
    str | None,
    typer.Option("--system", "-s", metavar="TEXT", help="System prompt.", show_default=False),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="Attach a file; may be repeated.",
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
        help="Offer the tools of an MCP server: its name, its URL, or name=URL; may be repeated.",
        show_default=False,
    ),
]
NoReasoning = Annotated[
    bool, typer.Option("--no-reasoning", help="Do not show the model's reasoning.")
]
ReasoningEffort = Annotated[
    Literal["low", "medium", "high"] | None,
    typer.Option(
        help="How long the model may think; the account keeps it.",
        show_default="what the account has",
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who runs the model: auto, fastest, cheapest, or a provider that hfchat models NAME"
        " shows (HuggingChat only); the account keeps it.",
        show_default="what the account has",
        autocompletion=lambda: ["auto", "fastest", "cheapest"],
    ),
]
BillTo = Annotated[
    str | None,
    typer.Option(
        metavar="ORGANISATION",
        help="Who pays for the answer (HuggingChat only); the account keeps it.",
        show_default="what the account has",
    ),
]
Artifacts = Annotated[
    Literal["text", "raw", "on", "off"] | None,
    typer.Option(
        help="Show documents that models write in tags of their own as code blocks (text), or the"
        " tags (raw). on and off tell the model whether to write such documents; the account keeps"
        " it.",
        show_default="text",
    ),
]
RestoreSettings = Annotated[
    bool,
    typer.Option(
        "--restore-settings",
        help="Give the account its former settings back once the answer has begun.",
    ),
]
FileFolder = Annotated[
    Path,
    typer.Option(
        "--save", "--downloads", metavar="FOLDER", help="Where to save the answer's files."
    ),
]


def server_address(base_url: str | None) -> str | None:
    """The address that a command uses, or None for HuggingChat."""
    return base_url or os.environ.get(BASE_URL_VARIABLE) or Remembered.load().base_url


def connect(
    base_url: str | None,
    account: str | None = None,
    *,
    on_retry: Callable[[Retry], None] | None = None,
    **options: Any,
) -> HuggingChat:
    """Make the client of a command.

    Args:
        base_url: The address of a server, or None; see `server_address`.
        account: Which saved session to use, or None.
        on_retry: Called before every wait for another attempt.
        **options: What `client_options` returns.
    """
    return HuggingChat(server_address(base_url), account=account, on_retry=on_retry, **options)


def client_options(
    artifacts: str | None,
    reasoning_effort: str | None,
    provider: str | None,
    bill_to: str | None,
    restores_settings: bool,
) -> dict[str, Any]:
    """Convert the options for answers into arguments of the client."""
    switches = {"on": True, "off": False}
    return {
        "artifacts": switches.get(artifacts or "", artifacts),
        "reasoning_effort": reasoning_effort,
        "provider": provider,
        "bill_to": bill_to,
        "restores_settings": restores_settings or None,
    }


def payment_of(client: HuggingChat) -> tuple[str, str] | tuple[()]:
    """Who pays for an account's answers, and where to see what is left; empty if nobody does.

    Only HuggingChat bills accounts. It does not say how much is left.
    """
    if client.base_url != DEFAULT_BASE_URL:
        return ()
    who = client.settings().billing_organization or "the account's own inference credits"
    return f"answers are paid by {clean_line(who)}", f"What is left: {BILLING_URL}"


def last_conversation(client: HuggingChat) -> str:
    """The id of the last conversation that a command had at this server.

    Raises:
        InvalidRequestError: There is none.
    """
    conversation_id = Remembered.load().conversations.get(client.base_url)
    if conversation_id is None:
        raise InvalidRequestError(
            f"There is no last conversation at {client.base_url} to continue. hfchat conversations"
            " lists those of your account; a guest's conversation ends with the command."
        )
    return conversation_id


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
