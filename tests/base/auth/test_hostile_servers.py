"""Servers that try to send the session elsewhere: no cookie leaves, and errors are typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    MissingAuthError,
    ProtocolError,
)
from hfchat_base.errors import UnexpectedPageError
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Such a server lists no models, and the error says so.
pytestmark = pytest.mark.filterwarnings("ignore:The model list")

COOKIES = {"hf-chat": "secret", "token": "secret too"}
PAGE = "<html><head><title>Sign in</title></head><body>Who are you?</body></html>"


@pytest.fixture
def elsewhere() -> Iterator[RawServer]:
    """The server that the cookies are wanted at."""
    with RawServer(lambda _, wire: wire.send(whole("{}"))) as server:
        yield server


def answers(
    body: str = "{}",
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Callable[[RawRequest, Wire], None]:
    """Answer everything alike."""
    response = whole(body, status=status, content_type=content_type, headers=headers)
    return lambda _, wire: wire.send(response)


def use_everything(client: HuggingChat) -> list[HuggingChatError]:
    """Do all that a client can; return how it failed."""
    failures: list[HuggingChatError] = []
    for work in (
        client.whoami,
        lambda: client.create_conversation("a/b"),
        lambda: client.get_conversation("0" * 24),
        lambda: client.get_conversation("0" * 24).send("hello"),
        lambda: list(client.list_conversations()),
        lambda: client.delete_conversation("0" * 24),
        client.logout,
    ):
        try:
            work()
        except HuggingChatError as error:
            failures.append(error)
    return failures


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_host(status: int, elsewhere: RawServer) -> None:
    """No redirect is followed, for any request."""
    headers = {"location": f"{elsewhere.base_url}/steal?next=/chat"}
    with (
        RawServer(answers("", status=status, headers=headers)) as server,
        HuggingChat(server.base_url, COOKIES) as client,
    ):
        failures = use_everything(client)
    assert failures
    assert all(isinstance(error, (MissingAuthError, InvalidRequestError)) for error in failures)
    assert elsewhere.connections == 0


async def test_redirect_asynchronously(elsewhere: RawServer) -> None:
    """The asynchronous client follows none either."""
    headers = {"location": elsewhere.base_url}
    with RawServer(answers("", status=302, headers=headers)) as server:
        async with AsyncHuggingChat(server.base_url, COOKIES) as client:
            with pytest.raises(MissingAuthError):
                await client.create_conversation("a/b")
    assert elsewhere.connections == 0


def test_endless_redirect() -> None:
    """A server that redirects to itself is asked once for each thing."""

    def around(request: RawRequest, wire: Wire) -> None:
        wire.send(whole("", status=302, headers={"location": request.path}))

    with (
        RawServer(around) as server,
        HuggingChat(server.base_url, COOKIES) as client,
        pytest.raises(HuggingChatError),
    ):
        client.delete_conversation("0" * 24)
    paths = [request.path for request in server.requests]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "cookie",
    [
        "hf-chat=stolen; Domain=example.com; Path=/",
        "token=planted; Domain=evil.127.0.0.1; Path=/",
        "hf-chat=; Domain=example.com; Max-Age=0",
    ],
)
def test_cookies_for_other_domains(cookie: str) -> None:
    """A cookie for somebody else neither replaces ours nor is sent later."""
    with (
        RawServer(answers(headers={"set-cookie": cookie})) as server,
        HuggingChat(server.base_url, COOKIES) as client,
    ):
        use_everything(client)
        pairs = {one.name: one.value for one in client.session.cookies()}
    assert pairs == COOKIES
    assert {request.headers["cookie"] for request in server.requests} == {
        "hf-chat=secret; token=secret too"
    }


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_login_page_where_data_was_due(status: int) -> None:
    """A page in place of data is reported as a page, with its title."""
    with (
        RawServer(answers(PAGE, status=status, content_type="text/html")) as server,
        HuggingChat(server.base_url, COOKIES) as client,
    ):
        failures = use_everything(client)
    assert failures
    assert all(type(error).__module__ == "hfchat_base.errors" for error in failures)
    if status == 200:
        assert any(isinstance(error, (UnexpectedPageError, ProtocolError)) for error in failures)
        assert any("Sign in" in str(error) for error in failures)


def test_other_hosts_in_answers(elsewhere: RawServer) -> None:
    """Addresses that a server writes into its answers are not visited."""
    body = (
        f'{{"location": "{elsewhere.base_url}", "json": {{"avatarUrl": "{elsewhere.base_url}"}}}}'
    )
    with (
        RawServer(answers(body)) as server,
        HuggingChat(server.base_url, COOKIES) as client,
    ):
        use_everything(client)
    assert elsewhere.connections == 0


def test_session_of_another_server(elsewhere: RawServer) -> None:
    """A session is not used with another server than its own."""
    with (
        RawServer(answers()) as server,
        HuggingChat(server.base_url, COOKIES) as client,
        pytest.raises(InvalidRequestError, match="This session is for"),
    ):
        HuggingChat(elsewhere.base_url, client.session)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\nb: c"},
        {"x": "a\nb"},
        {"x": "a\0b"},
        {"x": "\ud800"},
        {"x\r\ny": "a"},
        {"x: y": "a"},
        {"x y": "a"},
        {"": "a"},
        {"Cookie": "a=b"},
    ],
)
@pytest.mark.parametrize("kind", [HuggingChat, AsyncHuggingChat])
def test_headers_stay_headers(
    kind: type[HuggingChat | AsyncHuggingChat], headers: dict[str, str]
) -> None:
    """A custom header stays one header, and never replaces the session."""
    with pytest.raises(InvalidRequestError, match="header"):
        kind("http://127.0.0.1:9", COOKIES, headers=headers)
