"""One way to ask both clients, and what came of it in a form that can be compared."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from hfchat_base import (
    Answer,
    AsyncConversation,
    AsyncHuggingChat,
    Conversation,
    Event,
    HuggingChat,
    HuggingChatError,
    ReasoningDelta,
    Status,
    TextDelta,
)
from hfchat_base._flows.context import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass
class Outcome:
    """What came of a message.

    Attributes:
        events: What was handed out, in order.
        answer: What it added up to in the end.
        error: What was raised, or None. Only our own errors are caught, so that any other fails
            the test.
    """

    events: list[Event] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    error: HuggingChatError | None = None

    @property
    def text(self) -> str:
        """The text that the caller received piece by piece."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        """The thinking that the caller received piece by piece."""
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def comparable(self) -> tuple[list[Event], str, str, str | None]:
        """All of it in a form that does not depend on how the bytes came."""
        answer = self.answer
        return merged(self.events), answer.text, answer.reasoning, answer.finish_reason


def merged(events: list[Event]) -> list[Event]:
    """Join neighbouring pieces of text, and leave out what only keeps the connection alive."""
    result: list[Event] = []
    for event in events:
        if isinstance(event, Status) and event.status == "keepAlive":
            continue
        last = result[-1] if result else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            result[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            result[-1] = ReasoningDelta(last.text + event.text)
        else:
            result.append(event)
    return result


class Caller(Protocol):
    """Asks with one of the two clients."""

    def ask(
        self, url: str, text: str = "hello", *, model: str = "echo/base", **options: Any
    ) -> Outcome:
        """Send the first message of a new conversation and read the answer to its end.

        Args:
            url: Address of the server.
            text: What to say.
            model: The model to ask.
            options: ``mcp_servers`` and ``on_elicitation`` go with the message, the rest to the
                client.
        """
        ...

    def do(self, url: str, work: Callable[[Any], Any], **options: Any) -> Any:
        """Do something with a client.

        Args:
            url: Address of the server.
            work: Gets the client; its result, awaited if need be, is returned.
            options: Of the client.
        """
        ...


_OF_MESSAGE = ("mcp_servers", "on_elicitation", "web_search", "files")


def _parted(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    message = {name: value for name, value in options.items() if name in _OF_MESSAGE}
    return message, {name: value for name, value in options.items() if name not in message}


class SyncCaller:
    """Asks with `HuggingChat`."""

    def ask(
        self, url: str, text: str = "hello", *, model: str = "echo/base", **options: Any
    ) -> Outcome:
        """Send a message; see `Caller`."""
        of_message, of_client = _parted(options)
        outcome = Outcome()
        with HuggingChat(url, **of_client) as client:
            try:
                conversation = client.create_conversation(model)
                read(conversation, text, outcome, **of_message)
            except HuggingChatError as error:
                outcome.error = error
        return outcome

    def do(self, url: str, work: Callable[[Any], Any], **options: Any) -> Any:
        """Do something with a client; see `Caller`."""
        with HuggingChat(url, **options) as client:
            return work(client)


class AsyncCaller:
    """Asks with `AsyncHuggingChat`, in an event loop of its own."""

    def ask(
        self, url: str, text: str = "hello", *, model: str = "echo/base", **options: Any
    ) -> Outcome:
        """Send a message; see `Caller`."""
        of_message, of_client = _parted(options)

        async def ask() -> Outcome:
            outcome = Outcome()
            async with AsyncHuggingChat(url, **of_client) as client:
                try:
                    conversation = await client.create_conversation(model)
                    await aread(conversation, text, outcome, **of_message)
                except HuggingChatError as error:
                    outcome.error = error
            return outcome

        return asyncio.run(ask())

    def do(self, url: str, work: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        """Do something with a client; see `Caller`."""

        async def do() -> Any:
            async with AsyncHuggingChat(url, **options) as client:
                return await work(client)

        return asyncio.run(do())


def read(conversation: Conversation, text: str, outcome: Outcome, **options: Any) -> None:
    """Send a message and note what comes."""
    with conversation.stream(text, **options) as stream:
        try:
            for event in stream:
                outcome.events.append(event)
        finally:
            outcome.answer = stream.answer


async def aread(
    conversation: AsyncConversation, text: str, outcome: Outcome, **options: Any
) -> None:
    """Send a message and note what comes."""
    async with conversation.stream(text, **options) as stream:
        try:
            async for event in stream:
                outcome.events.append(event)
        finally:
            outcome.answer = stream.answer


WINDOW_SECONDS = 0.1
"""Length of the server's "minute" where it is waited for."""


def refused(caller: Caller, url: str, work: Callable[[Any], Any], **options: Any) -> Any:
    """Do something with a client that is refused, and return the error."""
    with pytest.raises(HuggingChatError) as caught:
        caller.do(url, work, **options)
    return caught.value


def steps(*functions: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Call functions one after another on what the one before returned, awaiting it if need be."""

    def work(client: Any) -> Any:
        value = client
        for index, function in enumerate(functions):
            value = function(value)
            if inspect.isawaitable(value):
                return _go_on(value, functions[index + 1 :])
        return value

    return work


async def _go_on(value: Any, functions: tuple[Callable[[Any], Any], ...]) -> Any:
    value = await value
    for function in functions:
        value = function(value)
        if inspect.isawaitable(value):
            value = await value
    return value


def create(client: Any) -> Any:
    """Begin a conversation."""
    return client.create_conversation("echo/base")


def send(conversation: Any) -> Any:
    """Send a message."""
    return conversation.send("hello")


def short_window(client: Any) -> Any:
    """Let a client believe that the server's minute is a short one."""
    client.server.rate_limiter = RateLimiter(window=WINDOW_SECONDS)
    return client


def asking(client: Any) -> Any:
    """Begin a conversation and send a message."""
    return steps(create, send)(client)
