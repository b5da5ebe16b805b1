"""Tool servers that run inside the local server, in place of real MCP servers.

Which tools they have, how a tool runs, and how a tool asks the user for input (elicitation). Not
here: the events of all that (`answers.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hfchat_base.local.database import BoundedStore
from hfchat_base.local.wire import UNDEFINED, JsonObject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence


_QUERY_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}


class ToolError(Exception):
    """A tool failed. The model and the user are shown the message."""


@dataclass(frozen=True)
class ToolContext:
    """What a tool can do while it runs. A tool gets one by having a parameter named ``ctx``.

    Attributes:
        server: Name of the tool's server.
    """

    server: str
    _progress: Callable[[JsonObject], None]
    _ask: Callable[[str, tuple[ElicitationField, ...]], Awaitable[ElicitationAnswer]]

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Show the user how far the tool has got.

        Args:
            progress: How much is done.
            total: How much there is to do, in the same unit.
            message: One line.
        """
        event: JsonObject = {"progress": progress}
        if total is not None:
            event["total"] = total
        if message is not None:
            event["message"] = message
        self._progress(event)
        await asyncio.sleep(0)

    async def elicit(self, message: str, fields: Sequence[ElicitationField]) -> ElicitationAnswer:
        """Ask the user something, and wait for the answer.

        Args:
            message: The question.
            fields: The form to fill in.
        """
        return await self._ask(message, tuple(fields))


@dataclass(frozen=True)
class LocalTool:
    """A tool.

    Attributes:
        name: Its name.
        function: Called with the model's arguments as keywords. It may be sync (it then runs in a
            thread) or async, may raise, and returns a text or an object. An async function with a
            parameter named ``ctx`` gets a `ToolContext`.
        description: What it does, for the model.
        parameters: JSON Schema of the arguments; one required text ``query`` by default.
    """

    name: str
    function: Callable[..., Any]
    description: str = ""
    parameters: JsonObject = field(default_factory=lambda: _QUERY_SCHEMA)

    def definition(self) -> JsonObject:
        """Describe it in OpenAI's form."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    async def run(self, arguments: JsonObject, context: ToolContext) -> JsonObject:
        """Run the tool.

        Args:
            arguments: The arguments that the model passes.
            context: What the tool may use while it runs.

        Returns:
            Its output as in the result event: ``text``, ``structured`` and ``content``.

        Raises:
            ToolError: The function raised.
        """
        wanted = inspect.signature(self.function).parameters
        extra = {"ctx": context} if "ctx" in wanted else {}
        try:
            if inspect.iscoroutinefunction(self.function):
                value = await self.function(**arguments, **extra)
            else:
                value = await asyncio.to_thread(self.function, **arguments, **extra)
        except Exception as error:
            raise ToolError(f"Error executing tool {self.name}: {error}") from error
        structured = value if isinstance(value, dict) else {"result": value}
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        return {
            "text": text,
            "structured": structured,
            "content": [{"type": "text", "text": text}],
        }


@dataclass(frozen=True)
class ToolServer:
    """A stand-in for an MCP server.

    Attributes:
        name: Its name.
        url: The URL that messages select it by. Nothing is ever sent there.
        tools: Its tools.
        base: Whether it is one of the server's own, which are on unless a message says otherwise.
    """

    name: str
    url: str
    tools: Sequence[LocalTool]
    base: bool = False

    def entry(self) -> JsonObject:
        """Describe it as ``/api/mcp/servers`` does (S)."""
        return {
            "id": f"base-{self.name}",
            "name": self.name,
            "url": self.url,
            "type": "base",
            "isLocked": False,
        }


def selected_servers(
    servers: Sequence[ToolServer],
    *,
    base_names: Sequence[str] | None,
    own: Sequence[tuple[str, str]],
) -> list[ToolServer]:
    """Return the tool servers that a message has switched on.

    Args:
        servers: All tool servers.
        base_names: ``selectedMcpServerNames``; None stands for all.
        own: Name and URL of each of ``selectedMcpServers``. A server with an unknown URL counts as
            unreachable and is skipped.

    Returns:
        The servers, under the names that the message gives them. Each name occurs once; of two with
        the same name, the message's own server is used.
    """
    by_url = {server.url: server for server in servers}
    by_name = {server.name: server for server in servers if server.base}
    for name, url in own:
        server = by_url.get(url)
        by_name.pop(name, None)
        if server is not None:
            by_name[name] = ToolServer(name, url, server.tools)
    return [server for name, server in by_name.items() if base_names is None or name in base_names]


ElicitationAction: TypeAlias = Literal["accept", "decline", "cancel"]

_OPEN_SECONDS: Final = 3600
"""A question expires after an hour (R: ``elicitation_accepted``, ``expiresAt``)."""


@dataclass(frozen=True)
class ElicitationField:
    """One field of the form that the user is shown.

    Attributes:
        kind: The type of its value.
        name: Its key in the answer.
        title: Its label, or None.
        description: A line of help, or None.
        required: Whether it must be filled in.
        integer: For numbers, whether they must be whole.
        minimum: For numbers, the smallest.
        maximum: For numbers, the largest.
        options: For selects, the values to choose from.
        multiple: For selects, whether several may be chosen.
        default: The initial value, or None.
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

    def to_json(self) -> JsonObject:
        """Describe it as the event does (R: ``elicitation_accepted``)."""
        document: JsonObject = {
            "kind": self.kind,
            "name": self.name,
            "title": UNDEFINED if self.title is None else self.title,
            "description": UNDEFINED if self.description is None else self.description,
            "required": self.required,
        }
        if self.kind == "number":
            document["integer"] = self.integer
            for key in ("minimum", "maximum"):
                if getattr(self, key) is not None:
                    document[key] = getattr(self, key)
        if self.kind == "select":
            document["multiple"] = self.multiple
            document["options"] = [{"value": option, "label": option} for option in self.options]
        if self.default is not None:
            document["default"] = self.default
        return document

    def problem(self, value: object) -> str | None:
        """Check a value.

        Args:
            value: The value that the user entered.

        Returns:
            What is wrong with it, in the server's words, or None.
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
        chosen = value if isinstance(value, list) else [value]
        return None if all(item in self.options for item in chosen) else "has an unknown option."


@dataclass(frozen=True)
class ElicitationAnswer:
    """The user's answer to a question.

    Attributes:
        action: Whether the user accepted, declined or cancelled.
        content: The form's values if the user accepted, else empty.
        by_user: False if nobody answered in time.
    """

    action: ElicitationAction
    content: Mapping[str, Any] = field(default_factory=dict)
    by_user: bool = True


class ElicitationError(Exception):
    """An answer does not fit an open question.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Elicitation:
    """A question of a tool to the user.

    Attributes:
        conversation_id: The conversation.
        fields: The form.
        id: Its UUID.
        expires_at: When it expires, in seconds since the epoch.
    """

    conversation_id: str
    fields: tuple[ElicitationField, ...]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    expires_at: float = field(default_factory=lambda: time.time() + _OPEN_SECONDS)
    _answer: asyncio.Future[ElicitationAnswer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def answered(self) -> ElicitationAnswer:
        """Wait for the answer, at most until the question expires."""
        try:
            return await asyncio.wait_for(self._answer, self.expires_at - time.time())
        except asyncio.TimeoutError:
            return ElicitationAnswer("cancel", by_user=False)

    def answer(self, action: ElicitationAction, content: object) -> None:
        """Pass the answer to the waiting tool.

        Args:
            action: Whether the user accepted, declined or cancelled.
            content: The form's values; ignored unless the user accepted.

        Raises:
            ElicitationError: It is answered already, or a value is not valid.
        """
        if self._answer.done():
            raise ElicitationError(409, "Already answered.")
        checked = self._checked(content) if action == "accept" else {}
        self._answer.set_result(ElicitationAnswer(action, checked))

    def _checked(self, content: object) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise ElicitationError(400, "Answer must be an object.")
        names = {item.name for item in self.fields}
        for name in content:
            if name not in names:
                raise ElicitationError(400, f'Unknown field "{name}".')
        checked = {}
        for item in self.fields:
            value = content.get(item.name)
            if value is None or value == "":
                if item.required:
                    raise ElicitationError(400, f'"{item.name}" is required.')
                continue
            problem = item.problem(value)
            if problem:
                raise ElicitationError(400, problem)
            checked[item.name] = value
        return checked


class Elicitations:
    """All questions of the tools of a server.

    Args:
        max_entries: How many are kept.
    """

    def __init__(self, max_entries: int) -> None:
        self._elicitations: BoundedStore[str, Elicitation] = BoundedStore(max_entries)

    def create(self, conversation_id: str, fields: tuple[ElicitationField, ...]) -> Elicitation:
        """Create a question.

        Args:
            conversation_id: The conversation.
            fields: The form.
        """
        elicitation = Elicitation(conversation_id, fields)
        self._elicitations[elicitation.id] = elicitation
        return elicitation

    def find(self, conversation_id: str, elicitation_id: str) -> Elicitation:
        """Return a question.

        Args:
            conversation_id: The conversation that it must belong to.
            elicitation_id: Its UUID.

        Raises:
            ElicitationError: The conversation has no such question.
        """
        found = self._elicitations.get(elicitation_id)
        if found is None or found.conversation_id != conversation_id:
            raise ElicitationError(404, "Unknown elicitation.")
        return found
