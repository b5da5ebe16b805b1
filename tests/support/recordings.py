"""The recordings of real servers, as bytes and as what they mean.

`tests/recordings/README.md` describes their form. This module reads them; what each should lead to
is in the tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation

RECORDINGS: Final = Path(__file__).parent.parent / "recordings"

_SPACES: Final = " " * 4096


@dataclass(frozen=True)
class Recording:
    """What happened in one scenario.

    Attributes:
        generation: Which server.
        scenario: The name.
        exchanges: Requests with their responses, in the order in which they ended.
    """

    generation: Generation
    scenario: str
    exchanges: list[dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.generation}-{self.scenario}"

    @property
    def streams(self) -> list[dict[str, Any]]:
        """The exchanges that were answered with a stream of events."""
        return [
            exchange
            for exchange in self.exchanges
            if "chunks" in exchange["response"]
            and exchange["response"]["headers"].get("content-type") == "application/jsonl"
        ]

    def find(self, method: str, path: str) -> dict[str, Any]:
        """Find the first exchange of a method whose path holds a text."""
        return next(
            e
            for e in self.exchanges
            if e["request"]["method"] == method and path in e["request"]["path"]
        )


def body_of(exchange: dict[str, Any]) -> bytes:
    """The bytes of a recorded response, with the spaces put back."""
    response = exchange["response"]
    text = response.get("text")
    if text is None:
        text = "".join(piece for _, piece in response.get("chunks", []))
    return bytes(text.replace("<4096 spaces>", _SPACES).encode())


@cache
def load(generation: Generation, scenario: str) -> Recording:
    """Read a recording."""
    path = RECORDINGS / generation / f"{scenario}.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Recording(generation, scenario, raw["exchanges"])


def all_with_streams() -> list[Recording]:
    """All recordings in which a message was answered."""
    generations: tuple[Generation, ...] = ("current", "legacy")
    recordings = [
        load(generation, path.stem)
        for generation in generations
        for path in sorted((RECORDINGS / generation).glob("*.json"))
    ]
    return [recording for recording in recordings if recording.streams]


SAID = {
    "branch": ["You said: left", "You said: right"],
    "image_upload": [
        "I see [('image/png', 95)]. You said: look at this",
        "I see [('image/png', 95)]. You said: and again",
    ],
    "login_required": ["You said: hello"],
    "manage": ["You said: hello"],
    "plain_answer": ["You said: hello wonderful world — héllo 世界 🌍"],
    "reasoning": ["After thinking, the answer is 42."],
    "reasoning_events": ["After thinking, the answer is 42."],
    "reasoning_effort": [
        "After thinking: you said: why?",
        "You said: hello",
        "You said: and now?",
    ],
    "retry_and_edit": ["You said: original", "You said: original", "You said: edited"],
    "second_turn": ["You said: first", "You said: second"],
    "share_read": ["You said: hello"],
    "timezone": [
        "Let me check. The tool says: 5.0",
        "No tools here. You said: add 2 and 3",
    ],
    "tool_call": ["Let me check. The tool said: 42 for what is the magic number"],
    "tool_error": [
        "Let me check. The tool said: Error: Error executing tool always_fails: tool exploded"
    ],
    "tool_server_down": ["The tool said: nothing offered"],
    "elicitation_accepted": ["Let me check. The tool said: booked for 4 on 2026-12-24"],
    "elicitation_declined": ["Let me check. The tool said: not booked (decline)"],
    "two_runs_in_one_conversation": [" ".join(f"tok{i}" for i in range(40))] * 2,
    "usage_limits": ["You said: one", "You said: two"],
}
"""What the answers of each recording say, whole."""
