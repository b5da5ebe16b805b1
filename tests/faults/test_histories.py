"""Any sequence of calls with histories gives each call the context that it asked for.

Every message holds a word of its own, so what a model was really sent can be read off the prompts
of the local server: the words of the history, in order, each once, and none of another history's.
"""

from __future__ import annotations

import itertools
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from hfchat_base import ChatMessage, GenerationFailed, HuggingChat, StreamError
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer, UpstreamError
from hfchat_base.testing import no_pauses
from tests.support.faults.kinds import Cut
from tests.support.faults.server import SEND, FaultServer

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

History = tuple[ChatMessage, ...]

_WORD = re.compile(r"\b[sua]\d+\b")


class Histories(RuleBasedStateMachine):
    """Calls with histories that grow, branch, are edited, fail, and go on at the same time."""

    histories = Bundle("histories")

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        model = LocalModel("my/model", FunctionBackend(self._reply))
        self._server = LocalServer(models=[model]).start()
        self._proxy = FaultServer(self._server.base_url).__enter__()
        self._client = HuggingChat(self._proxy.url)
        self._pauses = no_pauses()
        self._pauses.__enter__()

    def teardown(self) -> None:
        """Stop the servers."""
        self._pauses.__exit__(None, None, None)
        self._client.close()
        self._proxy.__exit__(None, None, None)
        self._server.stop()

    @initialize(target=histories, systems=st.integers(min_value=0, max_value=2))
    def begin(self, systems: int) -> History:
        """Nothing was said yet but what the system says."""
        return tuple(ChatMessage("system", self._word("s")) for _ in range(systems))

    @rule(target=histories, history=histories)
    def go_on(self, history: History) -> History:
        """Say one thing more."""
        return self._ask((*history, ChatMessage("user", self._word("u"))))

    @rule(target=histories, history=histories, data=st.data())
    def edit(self, history: History, data: DataObject) -> History:
        """Say something else in place of an earlier message, and leave out what followed."""
        own = [index for index, message in enumerate(history) if message.role == "user"]
        if not own:
            return history
        index = data.draw(st.sampled_from(own))
        return self._ask((*history[:index], ChatMessage("user", self._word("u"))))

    @rule(target=histories, history=histories)
    def tell_of_others(self, history: History) -> History:
        """Hand over messages that the server has never seen."""
        told = [ChatMessage("user", self._word("u")), ChatMessage("assistant", self._word("a"))]
        return self._ask((*history, *told, ChatMessage("user", self._word("u"))))

    @rule(history=histories)
    def fail(self, history: History) -> None:
        """Say something that the model fails on."""
        message = ChatMessage("user", f"{self._word('u')} FAIL")
        try:
            self._client.chat([*history, message])
        except GenerationFailed:
            return
        raise AssertionError(message)

    @rule(history=histories, events=st.integers(min_value=0, max_value=4))
    def leave(self, history: History, events: int) -> None:
        """Leave an answer before its end."""
        asked = [*history, ChatMessage("user", self._word("u"))]
        with self._client.stream_chat(asked) as stream:
            for number, _ in enumerate(stream):
                if number == events:
                    break

    @rule(target=histories, history=histories, after=st.integers(min_value=0, max_value=900))
    def lose(self, history: History, after: int) -> History:
        """Lose the connection during an answer."""
        self._proxy.on(SEND, Cut(after))
        return self._ask((*history, ChatMessage("user", self._word("u"))))

    @rule(target=histories, histories=st.lists(histories, min_size=2, max_size=4))
    def at_once(self, histories: list[History]) -> object:
        """Go on with several histories, or several times with one, at the same time."""
        asked = [(*history, ChatMessage("user", self._word("u"))) for history in histories]
        with ThreadPoolExecutor(len(asked)) as pool:
            return multiple(*pool.map(self._ask, asked))

    @rule(history=histories)
    def delete(self, history: History) -> None:
        """Somebody deletes all conversations."""
        del history
        sent = next((asked.header("cookie") for asked in self._proxy.requests), None)
        if sent is None:
            return
        with HuggingChat(self._proxy.url, cookies=sent) as other:
            for info in list(other.list_conversations()):
                other.delete_conversation(info.id)

    def _word(self, kind: str) -> str:
        with self._lock:
            return f"{kind}{next(self._numbers)}"

    def _reply(self, request: ChatRequest) -> str:
        if request.last_user_text.endswith("FAIL"):
            raise UpstreamError("told to")
        return f"{self._word('a')} is the answer."

    def _ask(self, asked: History) -> History:
        """Ask, and hold what the model was sent to what was asked."""
        try:
            answer = self._client.chat(asked)
        except StreamError as error:
            raise AssertionError(asked) from error
        wanted = [word for message in asked for word in _WORD.findall(message.content)]
        prompts = [
            [word for message in prompt.messages for word in _WORD.findall(str(message["content"]))]
            for prompt in self._server.prompts
        ]
        assert wanted in prompts, (wanted, [words for words in prompts if wanted[-1] in words])
        return (*asked, ChatMessage("assistant", answer.text))


Histories.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistories = Histories.TestCase
