"""Unknown fields of newer servers: reported once, by their names alone."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from hfchat_base._protocol import decoder
from hfchat_base._protocol.decoder import decode_line
from tests.support.recordings import Recording, all_with_streams, body_of


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does."""
    monkeypatch.setattr(decoder, "_warned", set())


def decode(**raw: Any) -> None:
    """Decode an event."""
    decode_line(json.dumps(raw).encode())


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"type": "brandNew", "x": 1}, "type 'brandNew'"),
        ({"type": "tool", "subtype": "paused", "uuid": "u"}, "in tool, subtype 'paused'"),
        ({"type": "webSearch"}, "in webSearch, subtype without a plain name"),
        ({"type": "status", "status": "pondering"}, "in status, status 'pondering'"),
        ({"type": "title", "title": "T", "b": 1, "a": 2}, "in title, field 'a', field 'b'"),
        ({"type": "stream", "token": "T", "mood": "good"}, "in stream, field 'mood'"),
        (
            {"type": "status", "status": "new", "at": 1},
            "in status, status 'new', field 'at'",
        ),
    ],
)
def test_names_are_told(raw: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is new is reported by name, in one warning."""
    decode(**raw)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"({told})" in record.getMessage()


def test_a_set_of_names_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same names are not reported again, by any thread; others are."""
    together = threading.Barrier(8)

    def decode_many() -> None:
        together.wait()
        for _ in range(20):
            decode(type="title", title="T", mood="good")

    threads = [threading.Thread(target=decode_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) == 1
    decode(type="title", title="T", depth=3)
    assert len(caplog.records) == 2


def test_content_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Neither what follows a name is logged, nor a name that is not one."""
    decode(type="brandNew", text="secret")
    decode(type="\x1b[31msecret")
    decode(type="my secret is 42")
    decode(type="title", title="secret", **{"secret: a whole sentence of it": 1})
    decode(type="status", status="secret\nstatus")
    assert len(caplog.records) == 4
    assert "secret" not in caplog.text
    assert "\x1b" not in caplog.text


def test_made_up_names_do_not_flood(caplog: pytest.LogCaptureFixture) -> None:
    """A server that makes names up fills neither the log nor the memory."""
    for number in range(1000):
        decode(type=f"made_up_{number}")
    assert len(caplog.records) == len(decoder._warned) == decoder._MAX_WARNINGS


@pytest.mark.parametrize("recording", all_with_streams(), ids=str)
def test_recorded_servers_are_known(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that real servers said is new."""
    for exchange in recording.streams:
        for line in body_of(exchange).split(b"\n")[:-1]:
            decode_line(line)
    assert caplog.records == []
