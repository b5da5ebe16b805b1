"""Watching an answer in a notebook, and showing answers with their files, and trees."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ConversationNotFoundError,
    GenerationFailed,
    HuggingChat,
    MissingRequirementsError,
)
from hfchat_base.local import LocalModel, LocalServer
from hfchat_base.local.backends import FunctionBackend
from hfchat_base.notebook import show, show_tree, watch
from tests.support import extras

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.attempts import Try


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """IPython, as a notebook's kernel has it."""
    extras.require("notebook")
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415 - of an extra
    from traitlets.config import Config  # noqa: PLC0415 - likewise

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    hooks = sys.excepthook, sys.displayhook
    InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    yield
    InteractiveShell.clear_instance()
    sys.excepthook, sys.displayhook = hooks


@pytest.fixture
def page(shell: None) -> Iterator[list[Any]]:  # noqa: ARG001 - it has to be there
    """What the kernel sends to the page; one entry per display and per update."""
    from IPython.utils.capture import capture_output  # noqa: PLC0415 - of an extra

    with capture_output() as captured:
        yield captured._outputs


@pytest.mark.usefixtures("page")
def test_watching_returns_the_answer(attempt: Try, server: LocalServer) -> None:
    """Watching a stream returns its whole answer, from either client."""
    answer = attempt(
        server.base_url,
        lambda client: client.create_conversation("echo/base"),
        lambda conversation: watch(conversation.stream("hello")),
    )
    assert (answer.text, answer.finish_reason) == ("You said: hello", "stop")


def test_an_answer_grows_in_one_place(attempt: Try, server: LocalServer, page: list[Any]) -> None:
    """The first event makes a display, and all that follows updates it, up to the whole answer."""
    attempt(server.base_url, lambda client: watch(client.stream_chat("hello", model="echo/base")))
    first, *later = page
    assert "update" not in first or not first["update"]
    assert later
    assert all(output["update"] for output in later)
    ids = {output["transient"]["display_id"] for output in page}
    assert len(ids) == 1
    assert "<p>You said: hello</p>" in later[-1]["data"]["text/html"]
    assert "…" in first["data"]["text/html"]
    assert "…" not in later[-1]["data"]["text/html"]
    assert later[-1]["data"]["text/plain"] == "You said: hello"


def test_what_had_arrived_stays_on_the_page(attempt: Try, page: list[Any]) -> None:
    """When a run fails, the error is raised, and the page keeps what had arrived."""

    async def fail(_: object) -> AsyncIterator[str]:
        yield "Once upon a time"
        raise RuntimeError

    model = LocalModel("story/teller", FunctionBackend(fail))
    with LocalServer(models=[model]) as server, pytest.raises(GenerationFailed):
        attempt(server.base_url, lambda client: watch(client.stream_chat("A story")))
    assert "Once upon a time" in page[-1]["data"]["text/html"]


def test_a_plain_program_gets_the_text(server: LocalServer) -> None:
    """Outside of IPython the answer is printed once, when it is whole."""
    extras.require("notebook")
    program = (
        "import sys; from hfchat_base import HuggingChat; from hfchat_base.notebook import watch\n"
        "with HuggingChat(sys.argv[1], model='echo/base') as client:\n"
        "    watch(client.stream_chat('hello'))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program, server.base_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "You said: hello\n"), done.stderr


def test_without_ipython(
    attempt: Try, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without IPython the error names the extra, before anything is sent."""
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(MissingRequirementsError, match=r"\[notebook\]"):
        attempt(server.base_url, lambda client: watch(client.stream_chat("hello")))
    assert server.prompts == []


def test_an_answer_with_its_images(server: LocalServer) -> None:
    """An image that was fetched is shown in its answer."""
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("image/painter")
        answer = conversation.send("A square")
        shown = show(answer, conversation.fetch_files(answer))
    assert '<img src="data:image/png;base64,' in shown._repr_html_()
    assert repr(shown) == answer.text


def test_a_tree_of_branches(server: LocalServer) -> None:
    """A tree shows every branch, indented and numbered; without branches all is at the margin."""
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("echo/base")
        conversation.send("a")
        conversation.send("b")
        conversation.retry()
        conversation.edit("c")
        shown = show_tree(conversation)
    assert repr(shown).splitlines() == [
        "User: a",
        "Assistant: You said: a",
        "    [1/2] User: b",
        "        [1/2] Assistant: You said: b",
        "        [2/2] Assistant: You said: b",
        "    [2/2] User: c",
        "    Assistant: You said: c",
    ]
    assert "[2/2] User: c" in shown._repr_html_()


def test_a_long_message_in_a_tree_is_folded(server: LocalServer) -> None:
    """Of a message of several lines the first is shown, and the rest on a click."""
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("echo/base")
        conversation.send("one\ntwo")
        shown = show_tree(conversation)
    assert repr(shown).splitlines()[0] == "User: one …"
    assert "<summary>User: one …</summary>" in shown._repr_html_()


async def test_the_tree_of_messages(server: LocalServer) -> None:
    """Messages that were read already, as by an asynchronous client, are shown as they are."""
    async with AsyncHuggingChat(server.base_url) as client:
        conversation = await client.create_conversation("echo/base")
        await conversation.send("a")
        messages = await conversation.messages()
    assert repr(show_tree(messages)) == "User: a\nAssistant: You said: a"


def test_a_conversation_that_is_gone(server: LocalServer) -> None:
    """The tree of a conversation that was deleted is an error."""
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("echo/base")
        conversation.delete()
        with pytest.raises(ConversationNotFoundError):
            show_tree(conversation)
