"""Comments in a stream while the server is silent, so that nobody takes it for dead."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from hfchat_base.api import create_app
from hfchat_base.client import AsyncHuggingChat
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer, UpstreamError
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hfchat_base.local import ChatRequest

COMMENT = ": keep-alive"
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"input": "Hello"},
}


class Silent:
    """A model that says a word, is silent until it is let go on, and ends well or badly.

    Args:
        first: What it says before; None for nothing.
        error: What it fails with in the end; None for a good end.
    """

    def __init__(self, first: str | None = None, error: str | None = None) -> None:
        self._first = first
        self._error = error
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self, _request: ChatRequest) -> AsyncIterator[str]:
        """Answer."""
        self.begun.set()
        try:
            if self._first is not None:
                yield self._first
            while not self.may_go_on.is_set():  # noqa: ASYNC110 - it is set by another thread
                await asyncio.sleep(0.01)
            if self._error is not None:
                raise UpstreamError(self._error)
            yield "the end"
        finally:
            self.stopped.set()


@pytest.fixture
def silent() -> Silent:
    """A model that is silent before its answer."""
    return Silent()


@pytest.fixture
def http(silent: Silent) -> Iterator[httpx.Client]:
    """A client of an API that soon sends comments, in front of that model."""
    model = LocalModel("silent", FunctionBackend(silent))
    with (
        LocalServer(models=[model]) as server,
        ApiServer(server.base_url, keep_alive=0.01) as api,
        httpx.Client(
            base_url=api.address, headers={"authorization": f"Bearer {KEY}"}, timeout=60
        ) as http,
    ):
        yield http


@pytest.mark.parametrize("silent", [Silent(), Silent("First, ")], ids=["before", "within"])
@pytest.mark.parametrize("path", list(BODIES))
def test_silence_is_filled_with_comments(http: httpx.Client, silent: Silent, path: str) -> None:
    """While the model thinks, comments come again and again; then the rest of the answer."""
    silent.may_go_on.clear()
    body = {"model": "silent", "stream": True, **BODIES[path]}
    comments = 0
    rest = []
    with http.stream("POST", path, json=body) as answer:
        for line in answer.iter_lines():
            comments += line == COMMENT
            rest.append(line)
            if comments == 3:
                silent.may_go_on.set()
    assert comments >= 3
    events = [line for line in rest if line not in (COMMENT, "")]
    assert "the end" in "".join(events)
    assert all(line.startswith(("data: ", "event: ")) for line in events)


def test_openais_client_reads_over_comments(http: httpx.Client, silent: Silent) -> None:
    """What comes between comments is the answer, as ever."""
    with openai.OpenAI(base_url=f"{http.base_url}/v1", api_key=KEY) as client:
        stream = client.chat.completions.create(
            model="silent", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        # It returns with the first comment, since that begins the response.
        silent.may_go_on.set()
        assert "".join(c.choices[0].delta.content or "" for c in stream) == "the end"


@pytest.mark.parametrize("silent", [Silent(error="exploded")], ids=["fails"])
def test_an_error_after_a_comment_is_an_event(http: httpx.Client, silent: Silent) -> None:
    """The status has been sent by then: the error ends the stream, which is broken off."""
    body = {"model": "silent", "stream": True, **BODIES["/v1/chat/completions"]}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        silent.may_go_on.set()
        lines = answer.iter_lines()
        event = next(line for line in lines if line.startswith("data: "))
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert json.loads(event[6:])["error"]["code"] == "generation_failed"


def test_a_client_that_leaves_during_silence_stops_the_run(
    http: httpx.Client, silent: Silent
) -> None:
    """Comments do not keep a run alive that nobody waits for."""
    body = {"model": "silent", "stream": True, **BODIES["/v1/chat/completions"]}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()  # the connection is closed as soon as nobody holds this
        assert COMMENT in lines
        assert silent.begun.wait(60)  # the comment may have come before
    assert silent.stopped.wait(60)


def test_a_whole_answer_has_no_comments(http: httpx.Client, silent: Silent) -> None:
    """Without a stream the body is JSON and nothing else."""
    silent.may_go_on.set()
    body = {"model": "silent", **BODIES["/v1/chat/completions"]}
    answer = http.post("/v1/chat/completions", json=body)
    assert json.loads(answer.content)["choices"][0]["message"]["content"] == "the end"


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_an_interval_of_no_length_is_refused(seconds: float) -> None:
    """Comments without a pause would be all that is sent."""
    with pytest.raises(ValueError, match="keep_alive"):
        create_app(AsyncHuggingChat("http://127.0.0.1:9"), key=KEY, keep_alive=seconds)
