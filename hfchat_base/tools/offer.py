"""What is offered to a model, and what it asks for: plain data, nothing that models read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Union

from hfchat_base.errors import InvalidRequestError

__all__ = ["BrokenCall", "Call", "Offer", "Tool", "ToolChoice", "new_call_id"]

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
        """The names of the arguments that it cannot do without."""
        return tuple(self.parameters.get("required", ()))

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of all its arguments."""
        return tuple(self.parameters.get("properties", ()))


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that a model may call in one answer, and whether it has to.

    Attributes:
        tools: The tools.
        is_forced: Whether an answer without a call is no answer.
        is_parallel: Whether several calls at once are welcome.
    """

    tools: tuple[Tool, ...] = ()
    is_forced: bool = False
    is_parallel: bool = True

    @classmethod
    def of(
        cls, tools: Sequence[Tool], choice: ToolChoice = None, *, parallel: bool = True
    ) -> Offer:
        """Make an offer out of a framework's arguments.

        A choice of one tool offers this tool alone, which small models follow best.

        Args:
            tools: All tools; of those that share a name the last one counts.
            choice: Whether one of them has to be called.
            parallel: Whether several calls at once are welcome.

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
            return cls._of_mapping(tools, choice, parallel=parallel)
        chosen = tuple(tool for tool in tools if tool.name == choice)
        if not chosen:
            names = ", ".join(tool.name for tool in tools)
            raise InvalidRequestError(f"tool_choice is {choice!r}, but the tools are: {names}.")
        return cls(chosen, is_forced=True, is_parallel=parallel)

    @classmethod
    def _of_mapping(
        cls, tools: Sequence[Tool], choice: Mapping[str, Any], *, parallel: bool
    ) -> Offer:
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        return cls.of(tools, name or choice.get("type"), parallel=parallel)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools."""
        return tuple(tool.name for tool in self.tools)

    def __bool__(self) -> bool:
        return bool(self.tools)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that a model has written, whole and valid.

    Attributes:
        name: The tool.
        arguments: Its arguments, a JSON object.
        id: Ours, unique.
    """

    name: str
    arguments: dict[str, Any]
    id: str = field(default_factory=new_call_id)


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """Something that was meant as a call and cannot be read.

    Attributes:
        text: What the model wrote, without the tags around it.
        error: What is wrong with it, in words that may be shown to the model.
        name: The tool, if that can be told.
        id: Ours, unique.
    """

    text: str
    error: str
    name: str | None = None
    id: str = field(default_factory=new_call_id)
