"""What errors carry."""

from __future__ import annotations

import pickle

import pytest

from hfchat_base import (
    Answer,
    GenerationFailed,
    MissingRequirementsError,
    ProtocolError,
    RateLimitError,
    ResponseError,
    StreamTruncated,
    TransportError,
)
from hfchat_base.errors import ConversationFullError, UpstreamRateLimitError


def test_what_errors_carry() -> None:
    """Each family has attributes of its own in addition to the message."""
    assert ResponseError("m", status=500, error_id="e").error_id == "e"
    assert StreamTruncated("m", partial=Answer(text="half")).partial == Answer(text="half")
    assert GenerationFailed("m", upstream_status=500).upstream_status == 500
    assert ProtocolError("m", line_number=3, excerpt="x").line_number == 3
    assert TransportError("m").may_have_arrived
    assert RateLimitError("m", retry_after=60).retry_after == 60
    assert ConversationFullError("m", reason="conversation_full").retry_after is None


def test_busy_model_is_both() -> None:
    """A 429 of the model is a failed run and a rate limit."""
    error = UpstreamRateLimitError("m", partial=Answer(text="half"))
    assert isinstance(error, GenerationFailed)
    assert isinstance(error, RateLimitError)
    assert (error.reason, error.upstream_status, error.status) == ("upstream", 429, None)
    assert error.partial == Answer(text="half")
    assert str(error) == "m"


@pytest.mark.parametrize(
    "error",
    [
        MissingRequirementsError.for_extra("local", what="It"),
        ResponseError("m", status=500, error_id="e"),
        RateLimitError("m", reason="conversations", retry_after=1.0),
        ProtocolError("m", line_number=3, excerpt="x"),
        StreamTruncated("m", partial=Answer(text="half")),
        GenerationFailed("m", partial=Answer(text="half"), upstream_status=500),
        UpstreamRateLimitError("m", partial=Answer(text="half")),
        TransportError("m", may_have_arrived=False),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: Exception) -> None:
    """An error that is pickled, by a pool of processes for one, comes out whole."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
