"""What one call of an LLM asks for, read from its messages and keyword arguments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hfchat_base
from hfchat_base.tools import ToolConfig
from hfchat_base.types import McpServer
from hfchat_base.validation import STOPS, TOOLS, check, check_servers
from llama_index_huggingchat.responses import Reply
from llama_index_huggingchat.tools import offer_of

__all__ = ["Ask", "named_servers", "warn_of_dropped"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call.

    Attributes:
        history: The messages.
        offer: The tools that may be called.
        stops: Stop sequences.
        options: The keyword arguments of `HuggingChat.stream_chat`.
    """

    history: Sequence[hfchat_base.ChatMessage]
    offer: ToolConfig
    stops: Sequence[str]
    options: Mapping[str, Any]

    @classmethod
    def take(
        cls,
        history: Sequence[hfchat_base.ChatMessage],
        arguments: dict[str, Any],
        defaults: Mapping[str, Any],
    ) -> Ask:
        """Take what is known out of a call's arguments; what is left there is not.

        Args:
            history: The messages.
            arguments: The call's keyword arguments.
            defaults: The options where the call names none.

        Raises:
            InvalidRequestError: A tool, or the choice of one, makes no sense.
        """
        stop = check("stop", arguments.pop("stop", None), STOPS) or ()
        offer = offer_of(
            check("tools", arguments.pop("tools", None), TOOLS),
            arguments.pop("tool_choice", None),
            parallel=arguments.pop("allow_parallel_tool_calls", True),
        )
        named = {name: arguments.pop(name) for name in defaults if name in arguments}
        given = {name: value for name, value in named.items() if value is not None}
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        return cls(history, offer, stops, {**defaults, **given})

    def reply(self, *, streams: bool) -> Reply:
        """Begin to answer."""
        return Reply(self.history, self.offer, stops=self.stops, streams=streams)


def named_servers(
    servers: Sequence[McpServer] | None, known: Sequence[McpServer]
) -> list[McpServer]:
    """Find the tool servers of a call among those that the LLM was made with.

    Args:
        servers: Names, or servers of the call's own.
        known: What the LLM was made with.
    """
    by_name = {server["name"]: server for server in known if not isinstance(server, str)}
    return [
        by_name.get(server, server) if isinstance(server, str) else server
        for server in check_servers(servers)
    ]


def warn_of_dropped(arguments: Mapping[str, Any], warned: set[str], *, stacklevel: int) -> None:
    """Warn, once for each name, about arguments that a server cannot honour.

    Args:
        arguments: What is not known.
        warned: The names that were warned about; new ones are added.
        stacklevel: As `warnings.warn` has it.
    """
    names = {name for name, value in arguments.items() if value is not None} - warned
    if names:
        warned |= names
        listed = ", ".join(sorted(names))
        msg = f"HuggingChat has no setting for {listed}; the server's own values apply."
        warnings.warn(msg, UserWarning, stacklevel=stacklevel + 1)
