"""hugchat and g4f, used as their users do, against a server of ours.

They are nobody's dependency, so they live in a Python of their own: run as a command, this module
is that Python's side (it reads questions and writes answers, one JSON text a line; without
arguments it prints the versions), and `peer_process` is ours. It imports the standard library and
the peers, nothing else.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, TypeAlias

Ask: TypeAlias = Callable[[str], str]
"""Says something in a conversation that goes on, and returns the answer."""

COOKIES = {"hf-chat": "guest", "token": "guest"}
"""A guest's session that stays the same."""

_HOME = "https://huggingface.co"


class PeerError(Exception):
    """A peer failed; what it said."""


class Hugchat:
    """One of hugchat's bots, with the conversation that it begins with.

    Its address is fixed, so that it is changed on the way.

    Args:
        url: The server's address without the path ``/chat``.
        model: The model's name.
    """

    def __init__(self, url: str, model: str) -> None:
        module: Any = import_module("hugchat.hugchat")
        session: Any = import_module("requests").Session

        def request(self: Any, method: str, address: str, *args: Any, **kwargs: Any) -> Any:
            headers = dict(kwargs.get("headers") or {})
            kwargs["headers"] = {
                name: value.replace(_HOME, url)
                for name, value in headers.items()
                if name != "Host"  # it names huggingface.co, too
            }
            return session.request(self, method, address.replace(_HOME, url), *args, **kwargs)

        module.Session = type("Redirected", (session,), {"request": request})
        # Without a system prompt it sends the model's own, and fails where a model has none.
        self.bot: Any = module.ChatBot(COOKIES, default_llm=model, system_prompt="Be brief.")

    def ask(self, text: str) -> str:
        """Say something in the bot's conversation, which the bot itself keeps."""
        return str(self.bot.chat(text).wait_until_done())


class G4f:
    """g4f's `HuggingChat` provider, called as g4f's client calls it once it has a session.

    Args:
        url: The server's address without the path ``/chat``.
        model: The model's id.
    """

    def __init__(self, url: str, model: str) -> None:
        provider: Any = import_module("g4f.Provider").HuggingChat
        settings = {"origin": url, "url": f"{url}/chat", "default_model": model}
        self._provider: Any = type("HuggingChat", (provider,), settings)
        self._module: Any = sys.modules[provider.__module__]
        headers = {**import_module("g4f.requests").DEFAULT_HEADERS, "accept": "*/*"}
        results = import_module("g4f.providers.response")
        self._session = results.AuthResult(cookies=COOKIES, headers=headers)
        self._kinds = results.JsonConversation
        self._model = model
        self._history: list[dict[str, str]] = []
        self._conversation: Any = None

    def new_conversation(self) -> Any:
        """Make a conversation to hand over, as the provider does in the first turn."""
        session = import_module("curl_cffi.requests").Session(**self._session.get_dict())
        created = self._provider.create_conversation(session, self._model)
        return self._module.Conversation({self._model: {"conversationId": created}})

    async def pieces(
        self, messages: list[dict[str, str]], conversation: Any = None
    ) -> AsyncIterator[Any]:
        """Answer a history; yields texts, and other things that the provider yields."""
        answer = self._provider.create_authed(
            self._model, messages, self._session, conversation=conversation
        )
        async for piece in answer:
            yield piece

    def ask(self, text: str) -> str:
        """Say something by handing over the whole history, as g4f's client does by itself."""
        return asyncio.run(self._ask(text, None))

    def ask_on(self, text: str) -> str:
        """Say something, and hand over the conversation that the provider gave back before."""
        return asyncio.run(self._ask(text, self._conversation))

    async def _ask(self, text: str, conversation: Any) -> str:
        self._history.append({"role": "user", "content": text})
        answer = ""
        async for piece in self.pieces(self._history, conversation):
            if isinstance(piece, str):
                answer += piece
            elif isinstance(piece, self._kinds):
                self._conversation = piece
        self._history.append({"role": "assistant", "content": answer})
        return answer


WAYS: dict[str, Callable[[str, str], Ask]] = {
    "hugchat": lambda url, model: Hugchat(url, model).ask,
    "g4f": lambda url, model: G4f(url, model).ask,
    "g4f-on": lambda url, model: G4f(url, model).ask_on,
}
"""How the peers are asked, by name: each makes a client for a server's address and a model."""


@contextmanager
def peer_process(python: str, way: str, url: str, model: str) -> Iterator[Ask]:
    """A peer in a process of its own.

    Args:
        python: An interpreter that has it.
        way: One of `WAYS`.
        url: The server's address without the path ``/chat``.
        model: The model's id.

    Yields:
        What asks it; raises `PeerError` if the peer fails.
    """
    command = [python, "-m", "benchmarks.peer_clients", way, url, model]
    with subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the peer's input and output are not piped")

        def ask(text: str) -> str:
            stdin.write(json.dumps(text) + "\n")
            stdin.flush()
            line = stdout.readline()
            if not line:
                raise PeerError("it ended without a word")
            outcome: dict[str, str] = json.loads(line)
            if "error" in outcome:
                raise PeerError(outcome["error"])
            return outcome["text"]

        try:
            yield ask
        finally:
            process.communicate()


def peer_versions(python: str) -> dict[str, str]:
    """The versions of the peers that an interpreter has, by their names.

    Raises:
        CalledProcessError: It lacks one.
    """
    command = [python, "-m", "benchmarks.peer_clients"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def peers_note(python: str | None) -> str:
    """Say which peers were measured.

    Args:
        python: An interpreter that has them, if one was given.
    """
    if python is None:
        return "hugchat and g4f are measured only where a Python that has them is given."
    said = " and ".join(f"{name} {number}" for name, number in peer_versions(python).items())
    return f"Beside {said}."


def error_text(error: Exception) -> str:
    """An error's name and the beginning of what it says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:60]}"


def _answer_questions(way: str, url: str, model: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the peers print, too
    ask: Ask | None = None
    for question in sys.stdin:
        outcome: dict[str, str]
        try:
            ask = ask or WAYS[way](url, model)
            outcome = {"text": ask(json.loads(question))}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            outcome = {"error": error_text(error)}
        print(json.dumps(outcome), file=answers, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _answer_questions(*sys.argv[1:])
    else:
        print(json.dumps({name: version(name) for name in ("hugchat", "g4f")}))
