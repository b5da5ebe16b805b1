"""Texts that are sent as they are and shown to nobody."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from hfchat_base.secret import SecretText, fingerprint, hide_arguments, hide_servers, reveal

SECRET = "s3cr3t-v4lue"


class Holder(BaseModel):
    """Holds anything, as the frameworks' events do."""

    value: Any


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        lambda text: f"{text} {text!r} {text:>20}",
        lambda text: "%s" % text,  # noqa: UP031 - as logging does it
        lambda text: json.dumps([text]),
        lambda text: str(Holder(value={"k": text})),
        lambda text: str(Holder(value={"k": text}).model_dump()),
        lambda text: Holder(value={"k": text}).model_dump_json(),
        lambda text: pickle.dumps({"k": text}).decode("latin-1"),
        lambda text: pickle.dumps(text, protocol=0).decode("latin-1"),
        lambda text: text + text[0:5],
        lambda text: text.encode().decode(),
    ],
)
def test_nothing_shows_it(show: Any) -> None:
    """A secret is a mask wherever text can be written out."""
    shown = show(SecretText(SECRET))
    assert SECRET not in shown
    assert "****" in shown


def test_it_can_be_revealed() -> None:
    """Copies keep the secret, a pickle drops it, and other texts are returned as they are."""
    secret = SecretText(SECRET)
    assert reveal(secret) == SECRET
    assert reveal(copy.copy(secret)) == SECRET
    assert reveal(copy.deepcopy([secret])[0]) == SECRET
    assert reveal(pickle.loads(pickle.dumps(secret))) is None  # noqa: S301 - our own
    assert reveal(SecretStr(SECRET)) == SECRET
    assert reveal("plain") == "plain"
    assert reveal(None) is None


def test_secrets_are_compared_by_what_they_hide() -> None:
    """Two secrets that look alike are not equal."""
    assert SecretText("a") == SecretText("a")
    assert SecretText("a") != SecretText("b")
    assert SecretText("a") != str(SecretText("a"))
    assert len({SecretText("a"), SecretText("a"), SecretText("b")}) == 2


def test_tool_servers_show_names_alone() -> None:
    """Values of headers and keys in addresses are hidden; names and plain addresses are not."""
    servers = hide_servers(
        [
            "built-in",
            {"name": "plain", "url": "https://a.b/mcp", "headers": {"x-key": SECRET}},
            {"name": "keyed", "url": f"https://u:{SECRET}@a.b:8/mcp?key={SECRET}#x"},
        ]
    )
    assert SECRET not in repr(servers)
    assert servers[0] == "built-in"
    assert servers[1]["url"] == "https://a.b/mcp"
    assert reveal(servers[1]["headers"]["x-key"]) == SECRET
    assert str(servers[2]["url"]) == "https://a.b:8/mcp?**********"
    assert reveal(servers[2]["url"]) == f"https://u:{SECRET}@a.b:8/mcp?key={SECRET}#x"


def test_secret_arguments_are_hidden() -> None:
    """Cookies, headers, proxies and keys of a call are hidden, in whichever form they come."""
    arguments = {
        "headers": {"a": SECRET, "b": SecretStr(SECRET), "c": SECRET.encode()},
        "cookies": [{"name": "hf-chat", "value": SECRET}],
        "proxy": SECRET,
        "api_key": SecretStr(SECRET),
        "mcp_servers": [{"name": "s", "url": "http://a/", "headers": {"k": SECRET}}],
        "tools": [
            {"type": "mcp", "server_url": f"https://a/?k={SECRET}", "authorization": SECRET},
            {"type": "mcp", "server_label": "s", "headers": {"k": SECRET}},
        ],
        "llm_kwargs": {"headers": {"k": SECRET}},
    }
    hidden = hide_arguments(arguments)
    assert SECRET not in repr(hidden) + json.dumps(hidden)
    assert list(hidden) == list(arguments)


def test_other_arguments_are_left_alone() -> None:
    """A caller's own tool may have a parameter named as a secret is."""
    parameters = {"properties": {"token": {"type": "string"}}, "headers": {"x": "y"}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert hide_arguments({"tools": tools, "model": "m", "stop": ["x"]}) == {
        "tools": tools,
        "model": "m",
        "stop": ["x"],
    }


def test_fingerprints_tell_secrets_apart() -> None:
    """Equal secrets have equal fingerprints, no secrets have none, and none shows a secret."""
    one = hide_arguments({"headers": {"a": "1", "b": "2"}})
    assert fingerprint(one) == fingerprint(copy.deepcopy(one)) != ""
    assert fingerprint(one) != fingerprint(hide_arguments({"headers": {"a": "12", "b": ""}}))
    assert fingerprint({"model": "x"}, ["y"]) == ""
