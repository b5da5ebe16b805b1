"""What a server says is compared with what is known, by names alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base._protocol.dialects import dialect_named
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import MODEL_LIST
from hfchat_base._protocol.stored import CONVERSATION, unknown_events
from hfchat_base._protocol.structure import Probe, differences, shown_name
from hfchat_base.errors import HuggingChatError
from tests.support.recordings import RECORDINGS, body_of, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import TypeAdapter

    from hfchat_base._protocol.constants import Generation

ID = "0" * 24
MODEL = {
    "id": "org/model",
    "displayName": "Model",
    "multimodal": False,
    "supportsTools": False,
    "supportsReasoning": False,
    "unlisted": False,
}


def probe(known: TypeAdapter[Any], **more: Any) -> Probe:
    """A probe that is not sent."""
    return Probe("GET /", Request("GET", "/", {}), lambda _: None, known, **more)


def recorded(generation: Generation) -> Iterator[tuple[Probe, Response]]:
    """Each recorded response to a request that is a probe, with the probe."""
    dialect = dialect_named(generation)
    for path in sorted((RECORDINGS / generation).glob("*.json")):
        for exchange in load(generation, path.stem).exchanges:
            asked, answered = exchange["request"], exchange["response"]
            if asked["method"] != "GET" or answered["status"] != 200:
                continue
            route = asked["path"].partition("?")[0]
            model = re.fullmatch(r"/api/v2/models/(?!old$)(.+)", route)
            conversation = re.search(r"/conversations?/([0-9a-f]{24})(?:$|/__data)", route)
            probes = dialect.probes(model[1] if model else "no/model")
            if conversation:
                probes.append(dialect.probe_conversation(conversation[1]))
            for each in probes:
                if each.request.path.partition("?")[0] == route:
                    headers = answered["headers"]
                    yield each, Response(200, headers, body_of(exchange), base_url="")


@pytest.mark.parametrize("generation", ["current", "legacy"])
def test_the_recordings_are_what_is_known(generation: Generation) -> None:
    """No response of the two real servers differs, for any route that is compared."""
    routes = set()
    found: dict[str, tuple[str, ...]] = {}
    for each, answer in recorded(generation):
        try:
            raw = each.read(answer)
        except HuggingChatError:
            continue  # a legacy server's page, or a recording that was cut
        routes.add(each.route)
        if names := differences(raw, each, generation):
            found[each.route] = names
    assert found == {}
    named = {each.route for each in dialect_named(generation).probes("no/model")}
    not_recorded = {"GET /api/v2/feature-flags", "GET /api/user"}
    assert named - not_recorded <= routes


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (MODEL, ()),
        ({**MODEL, "logoUrl": "x", "description": None}, ()),
        ({**MODEL, "mood": "good"}, ("new: [].mood",)),
        ({k: v for k, v in MODEL.items() if k != "unlisted"}, ("missing: [].unlisted",)),
        ({**MODEL, "multimodal": "yes"}, ("changed: [].multimodal is string, not boolean",)),
        ({**MODEL, "preprompt": 3}, ("changed: [].preprompt is integer, not string",)),
        ("a model", ("changed: [] is string, not object",)),
    ],
)
def test_differences_of_a_list(entry: object, found: tuple[str, ...]) -> None:
    """New and missing names and other types are reported, each once; null defines no type."""
    assert differences([entry, entry], probe(MODEL_LIST), "current") == found


def test_the_whole_is_something_else() -> None:
    """So is a response that is not even a list."""
    found = differences({"models": []}, probe(MODEL_LIST), "current")
    assert found == ("changed: the whole is object, not array",)


def test_what_is_always_sent_depends_on_the_generation() -> None:
    """A name that only the other generation sends is not missed."""
    legacy = {"id": "a", "displayName": "A", "multimodal": False, "tools": False, "unlisted": True}
    assert differences([legacy], probe(MODEL_LIST), "legacy") == ()
    assert differences([legacy], probe(MODEL_LIST), "current") == (
        "missing: [].supportsReasoning",
        "missing: [].supportsTools",
    )


def test_events_and_roles_in_a_conversation() -> None:
    """New roles, and new types, subtypes, fields and forms of stored events are named."""
    updates = [
        {"type": "stream", "token": "x"},
        {"type": "mood", "value": "secret"},
        {"type": "status", "status": "paused"},
        {"type": "tool", "subtype": "undo", "uuid": "secret"},
        {"type": "title", "title": "secret", "colour": "secret"},
        {"type": "title"},
        {},
    ]
    message = {
        "id": "secret",
        "from": "tool",
        "content": "secret",
        "ancestors": [],
        "children": [],
        "createdAt": "2026-08-01T00:00:00Z",
        "updates": updates,
    }
    conversation = {
        "messages": [message],
        "title": "secret",
        "model": "secret",
        "preprompt": "secret",
        "rootMessageId": "secret",
    }
    found = differences(conversation, probe(CONVERSATION, further=unknown_events), "current")
    assert found == (
        "changed: messages[].from has a value that is not known",
        "new: messages[].updates[] type 'mood'",
        "new: messages[].updates[] in status, status 'paused'",
        "new: messages[].updates[] in tool, subtype 'undo'",
        "new: messages[].updates[] in title, field 'colour'",
        "new: messages[].updates[] in title, another form",
        "new: messages[].updates[] type without a plain name",
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mood", "mood"),
        ("is_new2", "is_new2"),
        ("a" * 60, "(not a plain name)"),
        ("6b028ddb3d0be4961fc86690", "(not a plain name)"),
        ("b028ddb3d0be4961fc866900", "(not a plain name)"),
        ("me@example.com", "(not a plain name)"),
        ("\x1b[31m", "(not a plain name)"),
        ("", "(not a plain name)"),
        (3, "(not a plain name)"),
    ],
)
def test_only_names_are_shown(name: object, shown: str) -> None:
    """A key that may be an id, an address or anything else is not shown."""
    assert shown_name(name) == shown
