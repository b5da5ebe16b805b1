"""Wrong types in public calls end in one clear error: what, what is wanted, and what was given.

Each case is tried on the synchronous and on the asynchronous client, and where a wrapper takes the
same argument, on the wrapper.
"""

from __future__ import annotations

import http.cookiejar
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import SecretStr

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    HuggingChat,
    InvalidRequestError,
    Retries,
    Timeouts,
    Upload,
)
from tests.support.attempts import MODEL, Operation, Try, begin

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

NOWHERE: Final = "http://127.0.0.1:9"
SECRET: Final = "s3cr3t-v4lue"
MESSAGE: Final = "00000000-0000-4000-8000-000000000000"
ANY: Final[Any] = SECRET
NONE: Final[Any] = None
"""The secret and nothing, where a type checker would rightly complain."""

SETTINGS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "base_url": ({"base_url": 5}, r"base_url should be a text .*, not int\."),
    "cookies": ({"cookies": 5}, r"cookies should be a dict .*, not int\."),
    "list of cookies": ({"cookies": [SECRET]}, r"cookies should be a dict .*, not list\."),
    "bytes as cookies": ({"cookies": SECRET.encode()}, r"cookies .*, not bytes\."),
    "value of a cookie": ({"cookies": {"hf-chat": [SECRET]}}, r"cookies .*dict"),
    "headers": ({"headers": SECRET}, r"headers should be a dict .*, not str\."),
    "value of a header": ({"headers": {"x-key": [SECRET]}}, r"headers\.x-key .*, not list\."),
    "missing value of a header": ({"headers": {"x-key": None}}, r"headers\.x-key .*, not None\."),
    "proxy": ({"proxy": [SECRET]}, r"proxy should be an address .*, not list\."),
    "verify": ({"verify": 5}, r"verify should be True, False or the path .*, not int\."),
}
"""Arguments that the clients and both wrappers have."""

OF_CLIENTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "account": ({"account": 5}, r"account should be a text"),
    "model": ({"model": ["m"]}, r"model should be a text .* or None, not list\."),
    "ephemeral": ({"ephemeral": "yes"}, r"ephemeral should be True or False, not str\."),
    "stops_on_leave": ({"stops_on_leave": None}, r"stops_on_leave .*, not None\."),
    "timeouts": ({"timeouts": 5}, r"timeouts should be a Timeouts, not int\."),
    "retries": ({"retries": 3}, r"retries should be a Retries, not int\."),
    "impersonate": ({"impersonate": 5}, r"impersonate should be a text"),
    "max_body_bytes": ({"max_body_bytes": "1"}, r"max_body_bytes .*, not str\."),
    "on_retry": ({"on_retry": SECRET}, r"on_retry should be a function or None, not str\."),
    "messages_per_minute": ({"messages_per_minute": "1"}, r"messages_per_minute .*, not str\."),
    "timezone": ({"timezone": 5}, r"timezone should be an IANA name .*, not int\."),
    "timezone of no place": ({"timezone": SECRET}, r"timezone should be an IANA name"),
}


def assert_says_nothing(error: BaseException) -> None:
    """Check that an error, and all that it came of, holds no value that was given."""
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(vars(error))
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
        assert SECRET not in str(error)


@pytest.mark.parametrize("client", [HuggingChat, AsyncHuggingChat])
@pytest.mark.parametrize(
    ("settings", "words"),
    [*SETTINGS.values(), *OF_CLIENTS.values()],
    ids=[*SETTINGS, *OF_CLIENTS],
)
def test_wrong_type_in_a_client(client: Any, settings: dict[str, Any], words: str) -> None:
    """A client refuses a wrong type when it is made, and does not show what it was given."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        client(**{"base_url": NOWHERE, **settings})
    assert_says_nothing(caught.value)


@pytest.mark.parametrize(("settings", "words"), SETTINGS.values(), ids=SETTINGS)
def test_wrong_type_in_langchain(settings: dict[str, Any], words: str) -> None:
    """A chat model refuses it when it is made, with the same error, and LangChain's at once."""
    wrapper = pytest.importorskip("langchain_huggingchat")
    core = pytest.importorskip("langchain_core.exceptions")
    argument = words.partition(" ")[0].partition("\\.")[0]
    with pytest.raises(InvalidRequestError, match=argument) as caught:
        wrapper.ChatHuggingChat(**{"base_url": NOWHERE, **settings})
    assert isinstance(caught.value, core.ModelInvalidRequestError)
    assert_says_nothing(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *({"model": [SECRET]}, {"mcp_servers": [5]}, {"stop": 5}, {"timeout": SECRET}),
        *({"max_retries": SECRET}, {"client": SECRET}, {"on_elicitation": SECRET}),
    ],
    ids=str,
)
def test_wrong_type_in_langchain_alone(settings: dict[str, Any]) -> None:
    """So it does with arguments of its own."""
    wrapper = pytest.importorskip("langchain_huggingchat")
    (argument,) = settings
    with pytest.raises(InvalidRequestError, match=argument) as caught:
        wrapper.ChatHuggingChat(**{"base_url": NOWHERE, **settings})
    assert_says_nothing(caught.value)


@pytest.mark.parametrize(("settings", "words"), SETTINGS.values(), ids=SETTINGS)
def test_wrong_type_in_llama_index(settings: dict[str, Any], words: str) -> None:
    """An LLM refuses it when it is made, with the same error."""
    wrapper = pytest.importorskip("llama_index_huggingchat")
    with pytest.raises(InvalidRequestError, match=words) as caught:
        wrapper.HuggingChatLLM(**{"base_url": NOWHERE, **settings})
    assert_says_nothing(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *({"model": [SECRET]}, {"mcp_servers": [5]}, {"context_window": SECRET}),
        *({"client": SECRET}, {"on_elicitation": SECRET}, {"timeouts": 5}),
    ],
    ids=str,
)
def test_wrong_type_in_llama_index_alone(settings: dict[str, Any]) -> None:
    """So it does with arguments of its own."""
    wrapper = pytest.importorskip("llama_index_huggingchat")
    (argument,) = settings
    with pytest.raises(InvalidRequestError, match=argument) as caught:
        wrapper.HuggingChatLLM(**{"base_url": NOWHERE, **settings})
    assert_says_nothing(caught.value)


def tool_server(**changes: Any) -> list[Any]:
    """A tool server with something wrong."""
    return [{"name": "s", "url": "http://127.0.0.1:9/mcp", **changes}]


@pytest.mark.parametrize("name", ["mcp_servers", "tools", "stop", "web_search"])
@pytest.mark.parametrize("value", [5, [5]], ids=str)
def test_wrong_type_in_a_call_of_a_wrapper(server: LocalServer, name: str, value: Any) -> None:
    """What both wrappers take in a call is checked there too, and nothing is sent."""
    langchain = pytest.importorskip("langchain_huggingchat")
    llama_index = pytest.importorskip("llama_index_huggingchat")
    calls: list[Any] = [
        langchain.ChatHuggingChat(base_url=server.base_url).invoke,
        llama_index.HuggingChatLLM(base_url=server.base_url).complete,
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match=name.rstrip("s")):
            call("hi", **{name: value})
    with pytest.raises(InvalidRequestError, match="tool"):
        langchain.ChatHuggingChat(base_url=server.base_url).bind_tools(value)
    assert server.requests == []


OPTIONS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "web_search": ({"web_search": "yes"}, r"web_search should be True or False, not str\."),
    "on_elicitation": ({"on_elicitation": SECRET}, r"on_elicitation should be a function"),
    "mcp_servers": ({"mcp_servers": 5}, r"mcp_servers should be a list .*, not int\."),
    "one mcp server": ({"mcp_servers": SECRET}, r"mcp_servers should be a list .*, not str\."),
    "an mcp server": ({"mcp_servers": ["x", 5]}, r"mcp_servers\[1\] should be a name.*, not int\."),
    "its url": (
        {"mcp_servers": tool_server(url=[SECRET])},
        r"mcp_servers\[0\]\.url .*, not list\.",
    ),
    "its headers": ({"mcp_servers": tool_server(headers=SECRET)}, r"\.headers .*, not str\."),
    "its header": (
        {"mcp_servers": tool_server(headers={"x-key": [SECRET]})},
        r"\.headers\.x-key .*, not list\.",
    ),
}


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_wrong_type_with_a_message(
    attempt: Try, server: LocalServer, options: dict[str, Any], words: str
) -> None:
    """What goes with a message is checked before anything is sent."""
    steps: list[tuple[Operation, ...]] = [
        (lambda c: c.chat("hi", model=MODEL, **options),),
        (begin, lambda c: c.send("hi", **options)),
        (begin, lambda c: c.retry(**options)),
        (begin, lambda c: c.edit("hi", **options)),
    ]
    for step in steps:
        with pytest.raises(InvalidRequestError, match=words) as caught:
            attempt(server.base_url, *step)
        assert_says_nothing(caught.value)
    sent = [request.path for request in server.requests if request.method == "POST"]
    assert [path for path in sent if not path.endswith("/conversation")] == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda c: c.chat(None), r"messages should be a text or a list of ChatMessage, not None\."),
        (lambda c: c.chat(5), r"messages should be a text .*, not int\."),
        (lambda c: c.chat(b"x"), r"messages should be a text .*, not bytes\."),
        (lambda c: c.chat({"role": "user"}), r"messages should be a text .*, not dict\."),
        (lambda c: c.chat([None]), r"messages\[0\] should be a ChatMessage, not None\."),
        (lambda c: c.chat([{"role": "user"}]), r"messages\[0\] should be a ChatMessage, not dict"),
        (lambda c: c.chat([ChatMessage("user", ANY), ChatMessage("user", NONE)]),
         r"messages\[1\]\.content .*, not None\."),
        (lambda c: c.chat([ChatMessage(ANY, "x")]), r"messages\[0\]\.role .* not str\."),
        (lambda c: c.chat([ChatMessage("user", "x", [ANY])]), r"messages\[0\]\.files\[0\] .*str\."),
        (lambda c: c.chat([ChatMessage("user", "x", NONE)]), r"messages\[0\]\.files .*, not None"),
        (lambda c: c.chat("x", model=5), r"model should be a text .* or None, not int\."),
        (lambda c: c.create_conversation(5), r"model should be a text .* or None, not int\."),
        (lambda c: c.create_conversation(None, 5), r"system_prompt should be a text .*, not int\."),
        (lambda c: c.get_conversation(None), r"conversation_id should be a text .*, not None\."),
        (lambda c: c.delete_conversation(5), r"conversation_id should be a text .*, not int\."),
        (lambda c: c.fetch_message_id(b"x"), r"conversation_id should be a text .*, not bytes\."),
        (lambda c: c.import_share(None), r"share should be a text .*, not None\."),
    ],
)  # fmt: skip
def test_wrong_type_in_a_call(
    attempt: Try, server: LocalServer, step: Operation, words: str
) -> None:
    """A client's methods refuse a wrong type, and send nothing."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        attempt(server.base_url, step)
    assert_says_nothing(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("open_stream", [HuggingChat.stream_chat, AsyncHuggingChat.stream_chat])
def test_wrong_type_in_a_stream(open_stream: Any) -> None:
    """A stream refuses it at the call, not at its first event."""
    kind = HuggingChat if open_stream is HuggingChat.stream_chat else AsyncHuggingChat
    with pytest.raises(InvalidRequestError, match="messages should be"):
        open_stream(kind(NOWHERE), None)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda c: c.send(None), r"text should be a text \(str\), not None\."),
        (lambda c: c.send(["x"]), r"text should be a text \(str\), not list\."),
        (lambda c: c.edit(5, MESSAGE), r"text should be a text \(str\), not int\."),
        (lambda c: c.send("x", parent_id=5), r"message_id should be a text .*, not int\."),
        (lambda c: c.retry(5), r"message_id should be a text .*, not int\."),
        (lambda c: c.delete_message(None), r"message_id should be a text .*, not None\."),
        (lambda c: c.rename(None), r"title should be a text .*, not None\."),
        (lambda c: c.download(None), r"file should be an AnswerFile or its sha, not None\."),
        (lambda c: c.send("x", None), r"A file cannot be made of NoneType"),
        (lambda c: c.send("x", [None]), r"A file cannot be made of NoneType"),
    ],
)
def test_wrong_type_in_a_conversation(
    attempt: Try, server: LocalServer, step: Operation, words: str
) -> None:
    """So do a conversation's."""
    with pytest.raises(InvalidRequestError, match=words):
        attempt(server.base_url, begin, step)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((5, b"x"), "name"), (("a", SECRET), "data"), (("a", b"x", 5), "mime")],
)
def test_wrong_type_in_an_upload(arguments: tuple[Any, ...], words: str) -> None:
    """So does an attachment."""
    with pytest.raises(InvalidRequestError, match=f"{words} of an Upload should be") as caught:
        Upload(*arguments)
    assert_says_nothing(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"cookies": {"hf-chat": SecretStr("x")}},
        {"cookies": SecretStr("hf-chat=x")},
        {"cookies": "hf-chat=x"},
        {"headers": {"x-key": SecretStr("x")}, "proxy": SecretStr("http://127.0.0.1:1")},
        {"verify": Path("ca.pem")},
        {"timeouts": Timeouts(connect=1, total=None), "retries": Retries(attempts=1)},
        {"on_retry": print},
    ],
    ids=str,
)
def test_right_types(settings: dict[str, Any]) -> None:
    """What is documented is taken, secrets in pydantic's form included."""
    with HuggingChat(NOWHERE, **settings) as client:
        if "cookies" in settings:
            assert [cookie.value for cookie in client.session.cookies()] == ["x"]


def test_cookie_jars_are_taken() -> None:
    """A jar of the standard library needs no conversion."""
    with pytest.raises(InvalidRequestError, match="no cookie for"):
        HuggingChat(NOWHERE, http.cookiejar.CookieJar())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Timeouts(connect=ANY), r"connect should be a number of seconds, not str\."),
        (lambda: Timeouts(total=-1), r"total should be a number of seconds, not -1\."),
        (lambda: Retries(attempts=ANY), r"attempts should be an integer .*, not str\."),
        (lambda: Retries(first_wait=NONE), r"first_wait should be a number .*, not NoneType\."),
    ],
)
def test_wrong_type_in_a_policy(make: Any, words: str) -> None:
    """Deadlines and numbers of attempts are checked where they are made."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        make()
    assert_says_nothing(caught.value)
