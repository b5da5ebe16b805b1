"""The public surface: what is exported, and that both clients are alike."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import hfchat_base
from hfchat_base import (
    AnswerStream,
    AsyncAnswerStream,
    AsyncConversation,
    AsyncHuggingChat,
    Conversation,
    HuggingChat,
    HuggingChatError,
    errors,
)

EXPORTED = {
    # clients
    "AsyncConversation", "AsyncHuggingChat", "Conversation", "HuggingChat",
    "AnswerStream", "AsyncAnswerStream",
    # logging in
    "login", "login_async",
    # data
    "Answer", "AnswerFile", "Artifact", "ChatMessage", "ConversationInfo",
    "FetchedFile", "McpServerConfig", "Message", "Model",
    "Retries", "Timeouts", "ToolRun", "Upload", "User",
    # events
    "ElicitationRequest", "ElicitationResolved", "Event", "File", "FinalAnswer", "ReasoningDelta",
    "RouterMetadata", "Source", "Sources", "Status", "TextDelta", "Title",
    "ToolCall", "ToolError", "ToolProgress", "ToolResult", "Unknown",
    # errors
    "ConversationBusyError",
    "ConversationNotFoundError", "FileTooLargeError", "GenerationFailed",
    "GenerationInterrupted", "HuggingChatError", "InvalidRequestError", "LoginRequired",
    "MessageNotFoundError", "MissingAuthError", "MissingRequirementsError",
    "ModelNotFoundError", "OutOfCreditsError", "ProtocolError",
    "RateLimitError", "ResponseError", "ServerError", "SessionExpired", "StreamError",
    "StreamStalled", "StreamTruncated", "TransportError",
    "__version__",
}  # fmt: skip

PAIRS = [
    (HuggingChat, AsyncHuggingChat),
    (Conversation, AsyncConversation),
    (AnswerStream, AsyncAnswerStream),
]

SPELT_OTHERWISE = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
"""What Python itself spells otherwise in asynchronous classes."""


def test_exported_names() -> None:
    """The names that can be imported are these; a new one is added here on purpose."""
    assert set(hfchat_base.__all__) == EXPORTED
    assert len(hfchat_base.__all__) == len(EXPORTED)
    assert all(hasattr(hfchat_base, name) for name in EXPORTED)


def public_members(kind: type) -> dict[str, object]:
    """The public methods and properties of a class, and how it is entered and iterated."""
    wanted = {*SPELT_OTHERWISE, *SPELT_OTHERWISE.values()}
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") or (name in wanted and name in vars(kind))
    }


@pytest.mark.parametrize(("plain", "asynchronous"), PAIRS)
def test_same_names(plain: type, asynchronous: type) -> None:
    """Both have the same methods and properties."""
    names = {SPELT_OTHERWISE.get(name, name) for name in public_members(plain)}
    assert names == set(public_members(asynchronous))


@pytest.mark.parametrize(("plain", "asynchronous"), PAIRS)
def test_same_signatures(plain: type, asynchronous: type) -> None:
    """Both take the same parameters with the same defaults, and return the same but awaited."""
    others = public_members(asynchronous)
    for name, member in public_members(plain).items():
        other = others[SPELT_OTHERWISE.get(name, name)]
        if not inspect.isfunction(member):
            assert type(member) is type(other)
            continue
        assert inspect.isfunction(other)
        mine, theirs = inspect.signature(member), inspect.signature(other)
        assert list(mine.parameters.values()) == list(theirs.parameters.values()), name
        if name in ("to_sync", "to_async"):
            continue
        returned = str(theirs.return_annotation).replace("Async", "").replace(", None]", "]")
        returned = re.sub(r"^Awaitable\[(.*)\]$", r"\1", returned)
        assert str(mine.return_annotation).replace(", None, None]", "]") == returned, name


@pytest.mark.parametrize(("plain", "asynchronous"), PAIRS)
def test_everything_is_documented(plain: type, asynchronous: type) -> None:
    """Each public method and property says what it does."""
    for kind in (plain, asynchronous):
        for name, member in public_members(kind).items():
            if not name.startswith("_"):
                assert inspect.getdoc(member), f"{kind.__name__}.{name}"


def test_clients_are_made_alike() -> None:
    """Both are made with the same arguments."""
    assert inspect.signature(HuggingChat) == inspect.signature(AsyncHuggingChat)


def test_error_tree_is_the_one_that_is_drawn() -> None:
    """The tree in the docstring of `errors.py` is the one of the classes."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"( *)\* (\w+)", line):
            depth = len(match[1]) // 2
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else ""
    assert set(drawn) == set(errors.__all__)
    for name, parent in drawn.items():
        if parent:
            assert issubclass(getattr(errors, name), getattr(errors, parent)), name
    assert issubclass(errors.UpstreamRateLimitError, errors.RateLimitError)
    assert issubclass(errors.MissingRequirementsError, ImportError)
    assert issubclass(errors.InvalidRequestError, ValueError)


def test_all_errors_have_one_root() -> None:
    """Whoever catches `HuggingChatError` catches all of them."""
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), HuggingChatError)


def imported_by(statement: str) -> set[str]:
    """The modules that a statement brings in, in a fresh interpreter."""
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_import_is_light() -> None:
    """Importing the base client brings in little that curl_cffi does not: no other package."""
    curl = imported_by("import curl_cffi")
    brought = imported_by("import hfchat_base") - curl
    packages = {name.partition(".")[0] for name in brought} - sys.stdlib_module_names
    packages = {name for name in packages if not name.startswith("_sysconfigdata")}
    pydantic = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection"}
    assert packages <= {"hfchat_base", "typing_extensions", "certifi", *pydantic}
    assert not any(name.startswith("hfchat_base.local") for name in brought)
    assert not {"asyncio", "email", "http.cookiejar", "sqlite3"} & (brought - curl)


@pytest.mark.parametrize("package", ["langchain_huggingchat", "llama_index_huggingchat"])
def test_wrappers_do_not_import_each_other(package: str) -> None:
    """Neither wrapper brings the other's framework in, nor the local server."""
    brought = imported_by(f"import {package}")
    other = "llama_index" if package.startswith("langchain") else "langchain_core"
    assert not {other, "starlette", "typer"} & brought
