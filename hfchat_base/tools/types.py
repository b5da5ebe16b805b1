"""The tools that a model may call, and the calls that it writes: plain data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Union

from hfchat_base.errors import InvalidRequestError

__all__ = [
    "FunctionCall",
    "InvalidToolCall",
    "Tool",
    "ToolChoice",
    "ToolConfig",
    "new_call_id",
]

ToolChoice = Union[str, bool, Mapping[str, Any], None]
"""Whether a tool has to be called, in any of the usual forms.

None and ``"auto"`` leave it to the model, ``"none"`` and False forbid it, ``"any"``,
``"required"`` and True want a call of any tool, a tool's name or a dict of OpenAI's or Anthropic's
form wants that tool.
"""

_AUTO: Final = (None, "auto")
_NONE: Final = (False, "none")
_ANY: Final = (True, "any", "required")


def new_call_id() -> str:
    """Make up an id for a call."""
    return f"call_{uuid.uuid4().hex[:24]}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the caller runs.

    Attributes:
        name: What the model calls it by.
        description: What it does, for the model.
        parameters: JSON schema of its arguments, of type ``object``.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the arguments that must be given."""
        return tuple(self.parameters.get("required", ()))

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of all its arguments."""
        return tuple(self.parameters.get("properties", ()))


@dataclass(frozen=True, slots=True)
class ToolConfig:
    """The tools that a model may call in one answer, and whether it has to.

    Attributes:
        tools: The tools.
        is_forced: Whether an answer without a call is not an answer.
        is_parallel: Whether one answer may hold several calls.
    """

    tools: tuple[Tool, ...] = ()
    is_forced: bool = False
    is_parallel: bool = True

    @classmethod
    def from_choice(
        cls, tools: Sequence[Tool], choice: ToolChoice = None, *, parallel: bool = True
    ) -> ToolConfig:
        """Make the configuration out of a framework's arguments.

        A choice of one tool offers only this tool, which small models follow best.

        Args:
            tools: All tools; of those that share a name the last one counts.
            choice: Whether one of them has to be called.
            parallel: Whether one answer may hold several calls.

        Raises:
            InvalidRequestError: The choice names a tool that is not there.
        """
        tools = list({tool.name: tool for tool in tools}.values())
        if not tools or choice in _NONE:
            return cls()
        if choice in _AUTO:
            return cls(tuple(tools), is_parallel=parallel)
        if choice in _ANY:
            return cls(tuple(tools), is_forced=True, is_parallel=parallel)
        if isinstance(choice, Mapping):
            return cls._from_mapping(tools, choice, parallel=parallel)
        chosen = tuple(tool for tool in tools if tool.name == choice)
        if not chosen:
            names = ", ".join(tool.name for tool in tools)
            raise InvalidRequestError(f"tool_choice is {choice!r}, but the tools are: {names}.")
        return cls(chosen, is_forced=True, is_parallel=parallel)

    @classmethod
    def _from_mapping(
        cls, tools: Sequence[Tool], choice: Mapping[str, Any], *, parallel: bool
    ) -> ToolConfig:
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        return cls.from_choice(tools, name or choice.get("type"), parallel=parallel)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools."""
        return tuple(tool.name for tool in self.tools)

    def __bool__(self) -> bool:
        return bool(self.tools)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A tool call that a model has written, whole and valid.

    Attributes:
        name: The tool.
        arguments: Its arguments, a JSON object.
        id: Unique; made here.
    """

    name: str
    arguments: dict[str, Any]
    id: str = field(default_factory=new_call_id)


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """Text that the model meant as a call and that cannot be used as one.

    Attributes:
        text: What the model wrote, without the tags around it.
        error: What is wrong with it, in words that may be shown to the model.
        name: The tool, if it is known.
        id: Unique; made here.
    """

    text: str
    error: str
    name: str | None = None
    id: str = field(default_factory=new_call_id)
