"""What is read after an answer's end never takes the answer away: its files above all."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import Answer, AnswerFile, Timeouts
from tests.support.faults.caller import create, steps
from tests.support.faults.fault_server import READ, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Cut, Instead, Stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults.caller import Caller

OUTPUT: Final = r"GET \S*/output/"
PICTURE: Final = "picture.png"

FAULTS: Final[dict[str, Any]] = {
    "gone": Instead(response(b'{"message":"File not found"}', status="404 Not Found")),
    "limited": Instead(response(b'{"message":"Slow down"}', status="429 Too Many Requests")),
    "logged out": Instead(response(b'{"message":"Who?"}', status="401 Unauthorized")),
    "too large": Instead(response(b"", status="413 Payload Too Large")),
    "failing": Instead(response(b"{}", status="500 Internal Server Error")),
    "a page": Instead(response(b"<html>", status="403 Forbidden", content_type="text/html")),
    "lost": Instead(b""),
    "cut": Cut(2, of_body=True),
}


@pytest.fixture(params=list(FAULTS.values()), ids=list(FAULTS))
def broken(request: pytest.FixtureRequest, proxy: FaultServer) -> FaultServer:
    """A proxy that fails each file of an answer, in every way in turn, on each generation."""
    proxy.on(OUTPUT, request.param, always=True)
    return proxy


@pytest.fixture(params=["gone", "lost"])
def without_files(request: pytest.FixtureRequest, proxy: FaultServer) -> FaultServer:
    """A proxy that fails each file, as the server says or as the network does."""
    proxy.on(OUTPUT, FAULTS[request.param], always=True)
    return proxy


def files_of_a_picture(caller: Caller, url: str, times: int = 1) -> tuple[Answer, Any]:
    """Ask for a picture, and fetch the files of the answer, each so many times."""
    held: list[Any] = []

    def ask(client: Any) -> Any:
        held.append(client)
        return client.chat("a cat", model="image/painter")

    def fetch(answer: Answer) -> Any:
        held.append(answer)
        return held[0].fetch_files(answer.model_copy(update={"files": answer.files * times}))

    fetched = caller.do(url, steps(ask, fetch))
    return held[1], fetched


def test_base_client_says_which_file_is_missing(
    broken: FaultServer, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Fetching the files of an answer raises nothing, and says what is missing and why."""
    caplog.set_level(logging.WARNING, "hfchat")
    answer, (fetched,) = files_of_a_picture(caller, broken.url)
    assert fetched.data is None
    assert (fetched.file,) == answer.files
    assert fetched.problem
    assert f"the file '{PICTURE}' of an answer could not be fetched" in caplog.text


def test_silent_download_is_a_missing_file(proxy: FaultServer, caller: Caller) -> None:
    """A download that never ends is given up at the client's own deadline, and says so."""
    proxy.on(OUTPUT, Stall(0), always=True)
    file = AnswerFile(name=PICTURE, sha="0" * 64, mime="image/png", conversation_id="0" * 24)
    (fetched,) = caller.do(
        proxy.url,
        steps(lambda client: client.fetch_files(Answer(files=(file,)))),
        timeouts=Timeouts(response=0.2),
    )
    assert fetched.data is None
    assert "0.2 s" in fetched.problem


def test_base_client_fetches_what_is_there(proxy: FaultServer, caller: Caller) -> None:
    """One missing file does not cost the others."""
    proxy.on(OUTPUT, FAULTS["gone"])
    _, (missing, there) = files_of_a_picture(caller, proxy.url, times=2)
    assert missing.data is None
    assert there.data.startswith(b"\x89PNG")
    assert not there.problem


def ways_of_langchain(url: str, **settings: Any) -> list[Callable[[], Any]]:
    """A chat model's four ways to answer, each as a whole message."""
    wrapper = pytest.importorskip("langchain_huggingchat")
    settings = {"model": "image/painter", "base_url": url, **settings}

    async def gathered(*, streams: bool) -> Any:
        model = wrapper.ChatHuggingChat(**settings)
        if not streams:
            message = await model.ainvoke("a cat")
        else:
            message = None
            async for chunk in model.astream("a cat"):
                message = chunk if message is None else message + chunk
        await model.aclose()
        return message

    def streamed() -> Any:
        chunks = list(wrapper.ChatHuggingChat(**settings).stream("a cat"))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole

    return [
        lambda: wrapper.ChatHuggingChat(**settings).invoke("a cat"),
        streamed,
        lambda: asyncio.run(gathered(streams=False)),
        lambda: asyncio.run(gathered(streams=True)),
    ]


@pytest.mark.parametrize("way", range(4), ids=["invoke", "stream", "ainvoke", "astream"])
def test_langchain_keeps_the_answer(without_files: FaultServer, way: int) -> None:
    """A file that cannot be fetched is named with the reason; text and conversation are there."""
    message = ways_of_langchain(without_files.url)[way]()
    assert message.response_metadata["conversation_id"]
    (missing,) = message.response_metadata["missing_files"]
    assert missing["name"] == PICTURE
    assert missing["mime"] == "image/png"
    assert missing["sha"]
    assert missing["reason"]
    assert "files" not in message.additional_kwargs


@pytest.mark.parametrize("way", range(4), ids=["invoke", "stream", "ainvoke", "astream"])
def test_langchain_names_nothing_where_nothing_is_missing(proxy: FaultServer, way: int) -> None:
    """An answer with all its files says nothing of missing ones, ephemeral or not."""
    for ephemeral in (False, True):
        message = ways_of_langchain(proxy.url, ephemeral=ephemeral)[way]()
        assert "missing_files" not in message.response_metadata
        (file,) = message.additional_kwargs["files"]
        assert file["base64"]


def ways_of_llama_index(url: str, **settings: Any) -> list[Callable[[], Any]]:
    """An LLM's four ways to chat, each as its last response."""
    wrapper = pytest.importorskip("llama_index_huggingchat")
    types = pytest.importorskip("llama_index.core.llms")
    messages = [types.ChatMessage("a cat")]
    settings = {"base_url": url, **settings}

    def llm() -> Any:
        return wrapper.HuggingChatLLM("image/painter", **settings)

    async def streamed() -> Any:
        return [response async for response in await llm().astream_chat(messages)][-1]

    return [
        lambda: llm().chat(messages),
        lambda: list(llm().stream_chat(messages))[-1],
        lambda: asyncio.run(llm().achat(messages)),
        lambda: asyncio.run(streamed()),
    ]


@pytest.mark.parametrize("way", range(4), ids=["chat", "stream_chat", "achat", "astream_chat"])
def test_llama_index_keeps_the_answer(without_files: FaultServer, way: int) -> None:
    """A file that cannot be fetched is named with the reason; the rest of the answer is there."""
    last = ways_of_llama_index(without_files.url)[way]()
    assert last.additional_kwargs["conversation_id"]
    (missing,) = last.additional_kwargs["missing_files"]
    assert missing["name"] == PICTURE
    assert missing["reason"]
    assert [block.block_type for block in last.message.blocks] == ["text"]


@pytest.mark.parametrize("way", range(4), ids=["chat", "stream_chat", "achat", "astream_chat"])
def test_llama_index_names_nothing_where_nothing_is_missing(proxy: FaultServer, way: int) -> None:
    """An answer with all its files says nothing of missing ones, ephemeral or not."""
    for ephemeral in (False, True):
        last = ways_of_llama_index(proxy.url, ephemeral=ephemeral)[way]()
        assert "missing_files" not in last.additional_kwargs
        assert [block.block_type for block in last.message.blocks] == ["text", "image"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_id_of_an_answer_that_cannot_be_read(
    proxy: FaultServer, caller: Caller, fault: Any
) -> None:
    """The read of the answer's own id, after its end, may fail in any way: the answer is whole."""

    def break_and_send(conversation: Any) -> Any:
        proxy.on(READ, fault, always=True)
        return conversation.send("hello")

    answer = caller.do(proxy.url, steps(create, break_and_send))
    assert answer.text == "You said: hello"
    assert answer.message_id is None
