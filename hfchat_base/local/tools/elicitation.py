"""A tool asks the user something: the questions that are open, and the check of an answer.

Not here: the events that show a question (`hfchat_base/local/generation/tool_rounds.py`).
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hfchat_base.local.encoding.values import UNDEFINED, JsonObject
from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfchat_base.local.limits import Retention

__all__ = [
    "Elicitation",
    "ElicitationAction",
    "ElicitationAnswer",
    "ElicitationField",
    "ElicitationRefused",
    "Elicitations",
]

ElicitationAction: TypeAlias = Literal["accept", "decline", "cancel"]

_OPEN_SECONDS: Final = 3600
"""An unanswered question closes after an hour (R: ``elicitation_accepted``, ``expiresAt``)."""


@dataclass(frozen=True)
class ElicitationField:
    """One field of the form that the user is shown.

    Attributes:
        kind: What it takes.
        name: Its key in the answer.
        title: Its label, or None.
        description: A line of help, or None.
        required: Whether it must be filled in.
        integer: For numbers, whether they must be whole.
        minimum: For numbers, the smallest.
        maximum: For numbers, the largest.
        options: For selects, the values on offer.
        multiple: For selects, whether several may be picked.
        default: What is filled in beforehand, or None.
    """

    kind: Literal["string", "number", "boolean", "select"]
    name: str
    title: str | None = None
    description: str | None = None
    required: bool = False
    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    options: tuple[str, ...] = ()
    multiple: bool = False
    default: str | float | bool | list[str] | None = None

    def shown(self) -> JsonObject:
        """Write it as the event does (R: ``elicitation_accepted``)."""
        shown: JsonObject = {
            "kind": self.kind,
            "name": self.name,
            "title": UNDEFINED if self.title is None else self.title,
            "description": UNDEFINED if self.description is None else self.description,
            "required": self.required,
        }
        if self.kind == "number":
            shown["integer"] = self.integer
            for key in ("minimum", "maximum"):
                if getattr(self, key) is not None:
                    shown[key] = getattr(self, key)
        if self.kind == "select":
            shown["multiple"] = self.multiple
            shown["options"] = [{"value": option, "label": option} for option in self.options]
        if self.default is not None:
            shown["default"] = self.default
        return shown

    def problem(self, value: object) -> str | None:
        """Check a value.

        Args:
            value: What was filled in.

        Returns:
            What is wrong with it, as the server words it, or None.
        """
        check = {
            "string": self._string_problem,
            "number": self._number_problem,
            "boolean": self._boolean_problem,
            "select": self._select_problem,
        }[self.kind]
        problem = check(value)
        return f'"{self.name}" {problem}' if problem else None

    def _string_problem(self, value: object) -> str | None:
        return None if isinstance(value, str) else "must be a string."

    def _boolean_problem(self, value: object) -> str | None:
        return None if isinstance(value, bool) else "must be a boolean."

    def _number_problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number."
        if not -math.inf < value < math.inf:
            return "must be a number."
        if self.integer and value != int(value):
            return "must be a whole number."
        if self.minimum is not None and value < self.minimum:
            return "is below the minimum."
        if self.maximum is not None and value > self.maximum:
            return "is above the maximum."
        return None

    def _select_problem(self, value: object) -> str | None:
        if self.multiple and not isinstance(value, list):
            return "must be a list of strings."
        picked = value if isinstance(value, list) else [value]
        return None if all(one in self.options for one in picked) else "has an unknown option."


@dataclass(frozen=True)
class ElicitationAnswer:
    """What the user did with the question.

    Attributes:
        action: Accepted, declined, or closed without either.
        content: The filled-in form if it was accepted, else empty.
        by_user: False if nobody answered in time.
    """

    action: ElicitationAction
    content: Mapping[str, Any] = field(default_factory=dict)
    by_user: bool = True


class ElicitationRefused(Exception):  # noqa: N818 - says what happened
    """An answer does not fit an open question.

    Attributes:
        status: HTTP status to refuse with.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Elicitation:
    """A question.

    Attributes:
        conversation_id: Where it is asked.
        fields: The form.
        id: Its UUID.
        expires_at: When it closes, in seconds since the epoch.
    """

    conversation_id: str
    fields: tuple[ElicitationField, ...]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    expires_at: float = field(default_factory=lambda: time.time() + _OPEN_SECONDS)
    _answer: asyncio.Future[ElicitationAnswer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def answered(self) -> ElicitationAnswer:
        """Wait for the user, at most until it closes."""
        try:
            return await asyncio.wait_for(self._answer, self.expires_at - time.time())
        except asyncio.TimeoutError:
            return ElicitationAnswer("cancel", by_user=False)

    def answer(self, action: ElicitationAction, content: object) -> None:
        """Hand the answer to the waiting tool.

        Args:
            action: What the user did.
            content: The filled-in form; looked at only if it was accepted.

        Raises:
            ElicitationRefused: It is answered already, or the form is filled in wrongly.
        """
        if self._answer.done():
            raise ElicitationRefused(409, "Already answered.")
        checked = self._checked(content) if action == "accept" else {}
        self._answer.set_result(ElicitationAnswer(action, checked))

    def _checked(self, content: object) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise ElicitationRefused(400, "Answer must be an object.")
        names = {one.name for one in self.fields}
        for name in content:
            if name not in names:
                raise ElicitationRefused(400, f'Unknown field "{name}".')
        checked = {}
        for one in self.fields:
            value = content.get(one.name)
            if value is None or value == "":
                if one.required:
                    raise ElicitationRefused(400, f'"{one.name}" is required.')
                continue
            problem = one.problem(value)
            if problem:
                raise ElicitationRefused(400, problem)
            checked[one.name] = value
        return checked


class Elicitations:
    """All questions of a server.

    Args:
        retention: How many are kept.
    """

    def __init__(self, retention: Retention) -> None:
        self._asked: Recent[str, Elicitation] = Recent(retention.sessions)

    def ask(self, conversation_id: str, fields: tuple[ElicitationField, ...]) -> Elicitation:
        """Open a question.

        Args:
            conversation_id: Where it is asked.
            fields: The form.
        """
        elicitation = Elicitation(conversation_id, fields)
        self._asked[elicitation.id] = elicitation
        return elicitation

    def find(self, conversation_id: str, elicitation_id: str) -> Elicitation:
        """Return a question.

        Args:
            conversation_id: Where it must have been asked.
            elicitation_id: Its UUID.

        Raises:
            ElicitationRefused: There is no such question here.
        """
        found = self._asked.get(elicitation_id)
        if found is None or found.conversation_id != conversation_id:
            raise ElicitationRefused(404, "Unknown elicitation.")
        return found
