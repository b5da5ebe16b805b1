"""Any sequence of calls with histories gives each call the context that it asked for.

Every message holds a word of its own, so what a model was really sent can be read off the prompts
of the local server: the words of the history, in order, each once, and none of another history's.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from hfchat_base import AsyncHuggingChat, ChatMessage, GenerationFailed, HuggingChat
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer, UpstreamError
from tests.support.faults.fault_server import SEND, FaultServer
from tests.support.faults.kinds import Cut, Instead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hypothesis.strategies import DataObject

    from hfchat_base._protocol.constants import Generation
    from hfchat_base.types import Role

History = tuple[ChatMessage, ...]

_WORD: Final = re.compile(r"\b[sua]\d+\b")


class Side(Protocol):
    """One of the two clients, asked in the same way."""

    def __init__(self, url: str) -> None: ...

    def answer(self, histories: Sequence[History]) -> list[str]:
        """Answer histories, all at the same time."""
        ...

    def leave(self, history: History, events: int) -> None:
        """Leave an answer after so many events."""
        ...

    def close(self) -> None:
        """Close the client."""
        ...


class SyncSide:
    """`HuggingChat`, in as many threads as there are answers at a time."""

    def __init__(self, url: str) -> None:
        self._client = HuggingChat(url)

    def answer(self, histories: Sequence[History]) -> list[str]:
        """Answer histories; see `Side`."""
        with ThreadPoolExecutor(len(histories)) as pool:
            return [answer.text for answer in pool.map(self._client.chat, histories)]

    def leave(self, history: History, events: int) -> None:
        """Leave an answer; see `Side`."""
        with self._client.stream_chat(history) as stream:
            for number, _ in enumerate(stream):
                if number == events:
                    break

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class AsyncSide:
    """`AsyncHuggingChat`, in an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._client = AsyncHuggingChat(url)
        self._loop = asyncio.new_event_loop()

    def answer(self, histories: Sequence[History]) -> list[str]:
        """Answer histories; see `Side`."""

        async def answer() -> list[str]:
            answers = await asyncio.gather(*map(self._client.chat, histories))
            return [answer.text for answer in answers]

        return self._loop.run_until_complete(answer())

    def leave(self, history: History, events: int) -> None:
        """Leave an answer; see `Side`."""

        async def leave() -> None:
            async with self._client.stream_chat(history) as stream:
                number = 0
                async for _ in stream:
                    if number == events:
                        break
                    number += 1

        self._loop.run_until_complete(leave())

    def close(self) -> None:
        """Close the client and the loop."""
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class Words:
    """Makes up words, none twice, and answers with them.

    Attributes:
        replies: What was answered, by the last word of the prompt.
    """

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def new(self, kind: str) -> str:
        """Make up a word for a message of a kind."""
        with self._lock:
            return f"{kind}{next(self._numbers)}"

    def reply(self, request: ChatRequest) -> str:
        """Answer a prompt, or fail if it says so."""
        if request.last_user_text.endswith("FAIL"):
            raise UpstreamError("told to")
        reply = f"{self.new('a')} is the answer."
        self.replies[_WORD.findall(request.last_user_text)[-1]] = reply
        return reply


class Histories(RuleBasedStateMachine):
    """Calls with histories that grow, branch, are edited, fail, and continue at the same time.

    Args:
        server: Whose prompts are looked at.
        proxy: Stands before it.
        words: What its model says.
        side: Makes the client.
    """

    histories = Bundle("histories")

    def __init__(
        self, server: LocalServer, proxy: FaultServer, words: Words, side: type[Side]
    ) -> None:
        super().__init__()
        self._server = server
        self._proxy = proxy
        self._words = words
        self._side = side(proxy.url)
        server.clear_requests()
        proxy.reset()

    def teardown(self) -> None:
        """Close the client."""
        self._side.close()

    @initialize(target=histories, systems=st.integers(min_value=0, max_value=2))
    def begin(self, systems: int) -> History:
        """Nothing was said yet but what the system says."""
        return tuple(ChatMessage("system", self._words.new("s")) for _ in range(systems))

    @rule(target=histories, history=histories)
    def go_on(self, history: History) -> History:
        """Say one thing more."""
        return self._ask((*history, self._said()))

    @rule(target=histories, history=histories, data=st.data())
    def edit(self, history: History, data: DataObject) -> History:
        """Say something else in place of an earlier message, and leave out what followed."""
        own = [index for index, message in enumerate(history) if message.role == "user"]
        if not own:
            return history
        index = data.draw(st.sampled_from(own))
        return self._ask((*history[:index], self._said()))

    @rule(target=histories, history=histories)
    def tell_of_others(self, history: History) -> History:
        """Hand over messages that the server has never seen."""
        told = self._said(), ChatMessage("assistant", self._words.new("a"))
        return self._ask((*history, *told, self._said()))

    @rule(history=histories)
    def fail(self, history: History) -> None:
        """Say something that the model fails on."""
        asked = (*history, ChatMessage("user", f"{self._words.new('u')} FAIL"))
        with pytest.raises(GenerationFailed):
            self._side.answer([asked])
        # A current server itself asks again when a model fails.
        assert self._prompts(asked) in ([self._wanted(asked)], [self._wanted(asked)] * 2)

    @rule(history=histories, events=st.integers(min_value=0, max_value=4))
    def leave(self, history: History, events: int) -> None:
        """Leave an answer before its end."""
        self._side.leave((*history, self._said()), events)

    @rule(target=histories, history=histories, after=st.integers(min_value=0, max_value=900))
    def lose(self, history: History, after: int) -> History:
        """Lose the connection during an answer, without the server's noticing."""
        self._proxy.on(SEND, Cut(after, keeps_behind=True))
        return self._ask((*history, self._said()))

    @rule(target=histories, histories=st.lists(histories, min_size=2, max_size=4))
    def at_once(self, histories: list[History]) -> object:
        """Go on with several histories, or several times with one, at the same time."""
        return multiple(*self._ask_all([(*history, self._said()) for history in histories]))

    @rule()
    def delete(self) -> None:
        """Somebody deletes all conversations."""
        sent = next((asked.header("cookie") for asked in self._proxy.requests), None)
        if sent is None:
            return
        with HuggingChat(self._proxy.url, cookies=sent) as other:
            for info in list(other.list_conversations()):
                other.delete_conversation(info.id)

    def _said(self) -> ChatMessage:
        return ChatMessage("user", self._words.new("u"))

    def _ask(self, asked: History) -> History:
        return self._ask_all([asked])[0]

    def _ask_all(self, asked: list[History]) -> list[History]:
        """Ask, and hold what the model was sent and what it said to what was asked and answered."""
        answers = self._side.answer(asked)
        for history, answer in zip(asked, answers, strict=True):
            assert self._prompts(history) == [self._wanted(history)]
            assert answer == self._words.replies[history[-1].content]
        return [
            (*history, ChatMessage("assistant", answer))
            for history, answer in zip(asked, answers, strict=True)
        ]

    def _wanted(self, asked: History) -> list[str]:
        """The words that the model should be sent."""
        return [word for message in asked for word in _WORD.findall(message.content)]

    def _prompts(self, asked: History) -> list[list[str]]:
        """The words of each prompt that ends as a history does."""
        prompts = [
            [word for message in prompt.messages for word in _WORD.findall(str(message["content"]))]
            for prompt in self._server.prompts
        ]
        return [words for words in prompts if words[-1:] == self._wanted(asked)[-1:]]


@pytest.mark.parametrize("side", [SyncSide, AsyncSide], ids=["sync", "async"])
def test_histories(generation: Generation, side: type[Side]) -> None:
    """Each call gets the context that it asked for, once, and the answer to it."""
    words = Words()
    model = LocalModel("my/model", FunctionBackend(words.reply))
    with (
        LocalServer(generation=generation, models=[model]) as server,
        FaultServer(server.base_url) as proxy,
    ):
        run_state_machine_as_test(
            lambda: Histories(server, proxy, words, side),  # type: ignore[arg-type]  # it is called
            settings=settings(
                max_examples=8,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_answer_lost_on_an_older_branch(proxy: FaultServer, server: LocalServer) -> None:
    """The rest of an answer is looked for where it was asked, not on the branch written to last."""
    with HuggingChat(proxy.url, model="echo/base") as client:

        def ask(*texts: str) -> str:
            """Go on after texts and the echoes of them."""
            roles: Iterator[Role] = itertools.cycle(("user", "assistant"))
            told = [part for text in texts for part in (text, f"You said: {text}")][:-1]
            messages = [ChatMessage(role, part) for role, part in zip(roles, told, strict=False)]
            return client.chat(messages).text

        ask("one")
        ask("one", "two")
        ask("one", "three")
        proxy.on(SEND, Cut(321, keeps_behind=True))
        assert ask("one", "two", "four") == "You said: four"
        assert ask("one", "two", "four", "five") == "You said: five"
        said = [message["content"] for message in server.prompts[-1].messages]
        assert said[::2] == ["one", "two", "four", "five"]


def test_message_that_never_arrived_beside_another(proxy: FaultServer) -> None:
    """The answer to another message at the same place is not taken for the one that was lost."""
    with HuggingChat(proxy.url, model="echo/base") as client:
        first = ChatMessage("user", "one"), ChatMessage("assistant", client.chat("one").text)
        client.chat([*first, ChatMessage("user", "two")])
        proxy.on(SEND, Instead(b""))
        assert client.chat([*first, ChatMessage("user", "three")]).text == "You said: three"
