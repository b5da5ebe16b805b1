"""Every recorded answer over a real socket: the drivers read what the recordings say."""

from __future__ import annotations

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    TextDelta,
)
from tests.support.recordings import SAID, Recording, all_with_streams
from tests.support.replay import RawServer, chat_of

ANSWERED = [recording for recording in all_with_streams() if recording.scenario in SAID]


def conversation_of(recording: Recording) -> str:
    """The id of the conversation that was recorded."""
    path = recording.streams[0]["request"]["path"]
    conversation_id: str = path.rpartition("/")[2]
    return conversation_id


@pytest.mark.parametrize("cut_into", [None, 7], ids=["as-recorded", "sevens"])
@pytest.mark.parametrize("recording", ANSWERED, ids=str)
def test_synchronously(recording: Recording, cut_into: int | None) -> None:
    """The synchronous client reads the recorded answers, as cut as they were and finer."""
    with RawServer(chat_of(recording, cut_into=cut_into)) as server:
        client = HuggingChat(server.base_url)
        conversation = client.get_conversation(conversation_of(recording))
        for text in SAID[recording.scenario]:
            with conversation.stream("hi") as stream:
                streamed = "".join(event.text for event in stream if isinstance(event, TextDelta))
            assert stream.answer.text == streamed.rstrip() == text
        client.close()


@pytest.mark.parametrize("recording", ANSWERED, ids=str)
async def test_asynchronously(recording: Recording) -> None:
    """The asynchronous client reads the recorded answers."""
    with RawServer(chat_of(recording)) as server:
        async with AsyncHuggingChat(server.base_url) as client:
            conversation = await client.get_conversation(conversation_of(recording))
            texts = [(await conversation.send("hi")).text for _ in SAID[recording.scenario]]
    assert texts == SAID[recording.scenario]


@pytest.mark.parametrize(
    "recording",
    [r for r in all_with_streams() if r.scenario.startswith("upstream_")],
    ids=str,
)
def test_failures(recording: Recording) -> None:
    """Recorded failures are raised over a socket as well."""
    with RawServer(chat_of(recording)) as server, HuggingChat(server.base_url) as client:
        conversation = client.get_conversation(conversation_of(recording))
        with pytest.raises(HuggingChatError, match="model behind the server"):
            conversation.send("hi")
