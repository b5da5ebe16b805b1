"""What a conversation of many turns costs on the wire: requests and bytes, counted by a relay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final, TypeAlias, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from llama_index.core.llms import ChatMessage

from benchmarks.measuring import progress
from benchmarks.peer_clients import Ask, PeerError, peer_process, peers_note
from benchmarks.relay import Relay
from benchmarks.report import Bars, Cell, Table
from benchmarks.settings import Settings
from hfchat_base import HuggingChat
from hfchat_base._protocol.constants import Generation
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from langchain_huggingchat import ChatHuggingChat
from llama_index_huggingchat import HuggingChatLLM

_PATH = "/chat"
_MODEL = "talk/steady"
_QUESTION = "Turn {number}: " + "and what comes after that in the story? "
_ANSWER = "Then the two of them went on through the wood until it grew dark. " * 2

_BASE = "hfchat, Conversation.send"
_LANGCHAIN = "hfchat, ChatHuggingChat.invoke(history)"
_LLAMA_INDEX = "hfchat, HuggingChatLLM.chat(history)"
_OURS: Final = (_BASE, _LANGCHAIN, _LLAMA_INDEX)
_PEERS: Final = {
    "hugchat, its own conversation": "hugchat",
    "g4f, history": "g4f",
    "g4f, history and its conversation": "g4f-on",
}
_NO_FIGURES: Final = (None,) * 6
_SLACK_BYTES: Final = 16
"""Two turns with texts of the same length may differ by so much in their heads."""

_Open: TypeAlias = Callable[[str], AbstractContextManager[Ask]]
"""Makes a client for a server's address without its path."""


@dataclass(frozen=True)
class _Reading:
    """The counters after a turn."""

    requests: int
    sent: int
    received: int


def measure(settings: Settings) -> Table:
    """Count requests and bytes of a long conversation, on servers of both generations."""
    turns = settings.pick(100, 10)
    notes: list[str] = []
    rows = tuple(
        (generation, *row)
        for generation in get_args(Generation)
        for row in _measure_generation(generation, turns, settings, notes)
    )
    return Table(
        name="traffic",
        title=f"Traffic of a conversation of {turns} turns",
        compares=(
            "The same conversation, held by each client in its own way. Frameworks pass the"
            " whole history at every call; hfchat sends only what is new. hugchat takes one"
            " message and keeps a conversation itself. g4f takes the history and sends all"
            " of it, unless its caller passes back the conversation that it returned."
        ),
        aim="What hfchat sends per turn does not grow with the history.",
        columns=(
            "Server",
            "Client",
            "requests a turn",
            "bytes sent, second turn",
            "bytes sent, last turn",
            "bytes received, last turn",
            "kB sent in all",
            "kB received in all",
        ),
        rows=rows,
        notes=(
            _verdict(rows),
            (
                f"Each turn asks {len(_question(0))} characters and is answered with"
                f" {len(_ANSWER)}"
                ", one word per token. Bytes are those of whole requests and responses,"
                " headers included, without TLS. Requests per turn are the average of all"
                " turns, including the requests that create the conversation."
            ),
            (
                "What is received grows with the conversation for every client that"
                " continues one: a server reveals the id of an answer, which the next"
                " message has to name, only together with all messages so far, each with the"
                " ids of all before it. chat-ui 0.20 compresses that to less than a tenth;"
                " the local server does not."
            ),
            *notes,
            peers_note(settings.peers),
        ),
        chart=Bars(
            "kB sent in all",
            "Client",
            f"kB sent in {turns} turns",
            panel="Server",
            ours=_OURS,
        ),
        packages=("curl_cffi", "langchain-core", "llama-index-core"),
    )


def _question(number: int) -> str:
    return _QUESTION.format(number=f"{number:3}")


def _measure_generation(
    generation: Generation, turns: int, settings: Settings, notes: list[str]
) -> Iterator[tuple[Cell, ...]]:
    steady = LocalModel(_MODEL, FunctionBackend(_say_the_same))
    with LocalServer(generation=generation, models=[steady], base_path=_PATH) as server:
        for name, open_client in _clients(settings).items():
            if open_client is None:
                yield f"{name}: not measured", *_NO_FIGURES
                continue
            progress(f"traffic: {generation}, {name}")
            with Relay(server.base_url) as relay, open_client(relay.url) as ask:
                try:
                    yield name, *_figures(_talk(ask, turns, server, relay))
                except PeerError as error:
                    notes.append(f"{name}, asking a {generation} server: `{error}`.")
                    yield f"{name}: fails", *_NO_FIGURES


def _clients(settings: Settings) -> dict[str, _Open | None]:
    clients: dict[str, _Open | None] = {
        _BASE: _base,
        _LANGCHAIN: _langchain,
        _LLAMA_INDEX: _llama_index,
    }
    for name, way in _PEERS.items():
        clients[name] = partial(_peer, settings.peers, way) if settings.peers else None
    return clients


def _say_the_same(_request: ChatRequest) -> str:
    return _ANSWER


def _talk(ask: Ask, turns: int, server: LocalServer, relay: Relay) -> list[_Reading]:
    """Lead a conversation; the counters before it and after each turn.

    Raises:
        RuntimeError: An answer is not what the model said.
    """
    server.clear_requests()
    readings = [_Reading(0, 0, 0)]
    for number in range(turns):
        answer = ask(_question(number))
        if answer.strip() != _ANSWER.strip():
            raise RuntimeError(f"a wrong answer: {answer!r}")
        readings.append(_Reading(len(server.requests), relay.sent, relay.received))
    return readings


def _figures(readings: list[_Reading]) -> tuple[Cell, ...]:
    last = readings[-1]
    sent = [after.sent - before.sent for before, after in pairwise(readings)]
    received = [after.received - before.received for before, after in pairwise(readings)]
    return (
        last.requests / len(sent),
        sent[1],
        sent[-1],
        received[-1],
        last.sent / 1000,
        last.received / 1000,
    )


def _verdict(rows: Iterable[tuple[Cell, ...]]) -> str:
    growth = [
        last - second
        for _server, client, _requests, second, last, *_ in rows
        if client in _OURS and isinstance(second, int) and isinstance(last, int)
    ]
    verdict = "reached" if max(growth) <= _SLACK_BYTES else "not reached"
    return f"From the second turn to the last, hfchat sends {max(growth)} bytes more: {verdict}."


@contextmanager
def _base(url: str) -> Iterator[Ask]:
    with HuggingChat(url + _PATH, model=_MODEL) as client:
        conversation = client.create_conversation()
        yield lambda text: conversation.send(text).text


@contextmanager
def _langchain(url: str) -> Iterator[Ask]:
    model = ChatHuggingChat(base_url=url + _PATH, model=_MODEL)
    history: list[BaseMessage] = []

    def ask(text: str) -> str:
        history.append(HumanMessage(text))
        answer = model.invoke(history)
        history.append(AIMessage(answer.text))
        return answer.text

    yield ask
    model.close()


@contextmanager
def _llama_index(url: str) -> Iterator[Ask]:
    with HuggingChat(url + _PATH, model=_MODEL) as client:
        model = HuggingChatLLM(client=client)
        history: list[ChatMessage] = []

        def ask(text: str) -> str:
            history.append(ChatMessage(role="user", content=text))
            answer = model.chat(history).message
            history.append(answer)
            return answer.content or ""

        yield ask


def _peer(python: str, way: str, url: str) -> AbstractContextManager[Ask]:
    return peer_process(python, way, url, _MODEL)
