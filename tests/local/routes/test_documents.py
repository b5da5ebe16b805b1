"""Pages, and the data in them and behind them."""

from __future__ import annotations

import json
import re

import pytest

from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support.local_chat import Chat

HTML = {"accept": "text/html"}


def _fetched(page: str) -> dict[str, str]:
    """Read the script elements of a current page: path to body."""
    found = re.findall(r'data-url="([^"]+)"[^>]*>(.*?)</script>', page)
    return {url: json.loads(text)["body"] for url, text in found}


def test_page_carries_what_the_api_says(chat: Chat) -> None:
    """The data in a current page is, byte for byte, what the API answers."""
    conversation = chat.create()
    chat.send(conversation, "a < b")
    page = chat.http.get(f"/conversation/{conversation}", headers=HTML)
    assert page.headers["vary"] == "Accept, Accept-Encoding"
    fetched = _fetched(page.text)
    assert f"/api/v2/conversations/{conversation}" in fetched
    for path, body in fetched.items():
        assert chat.http.get(path).text == body


def test_script_cannot_be_broken_out_of() -> None:
    """A description with a closing tag stays inside of its script, in both generations."""
    echo = FunctionBackend(lambda request: request.last_user_text)
    model = LocalModel("my/model", echo, description="</script><b>\u2028")
    for server in (LocalServer(models=[model]), LocalServer(models=[model], generation="legacy")):
        with server, Chat(server) as chat:
            page = chat.http.get("/").text
            assert "</script><b>" not in page
            assert "\u2028" not in page
            assert "\\u003C/script" in page


def test_page_of_nothing_is_an_error_page(either_chat: Chat) -> None:
    """For an unknown path a browser gets a page that says so."""
    refused = either_chat.http.get(f"/conversation/{'0' * 24}", headers=HTML)
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "text/html"
    assert "Conversation not found." in refused.text


def test_share_has_a_page(either_chat: Chat) -> None:
    """A share can be looked at."""
    conversation = either_chat.create()
    share = either_chat.http.post(
        f"/conversation/{conversation}/share", headers={"origin": either_chat.origin}
    ).json()
    name = share.get("shareId") or share["url"].rpartition("/")[2]
    assert either_chat.http.get(f"/r/{name}", headers=HTML).status_code == 200


def test_browser_is_sent_home(either_chat: Chat) -> None:
    """GET /conversation leads to the home page."""
    redirect = either_chat.http.get("/conversation")
    assert (redirect.status_code, redirect.headers["location"]) == (302, "/")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 404),
        ("application/json", 404),
        ("text/event-stream", 404),
        ("nonsense", 404),
        ("text/html", 405),
        ("text/*", 405),
        ("application/json, text/html;q=0.1", 405),
        ("text/html;q=0.9, */*", 404),
        ("text/html;q=1.2.3, */*", 404),
        ("*/*, text/html", 405),
    ],
)
def test_accept_decides_between_page_and_data(chat: Chat, accept: str, status: int) -> None:
    """A client that mentions HTML, and not everything before it, is answered with a page."""
    answer = chat.http.post(
        f"/conversation/{'0' * 24}",
        headers={"accept": accept, "origin": chat.origin},
        files={"data": (None, "{}")},
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/json, text/html", "application/json"),
        ("text/html, application/json", "text/html"),
        ("text/event-stream", "text/html"),
    ],
)
def test_accept_decides_on_the_form_of_errors(chat: Chat, accept: str, media: str) -> None:
    """Errors are JSON only for clients that accept JSON at least as much as HTML."""
    refused = chat.http.get(f"/api/v2/conversations/{'0' * 24}", headers={"accept": accept})
    assert refused.status_code == 404
    assert refused.headers["content-type"] == media


@pytest.mark.parametrize("path", ["/settings", f"/conversation/{'0' * 24}"])
def test_pages_with_data_beside_them(either_chat: Chat, path: str) -> None:
    """Where other methods have data, a GET that does not accept HTML is rejected."""
    refused = either_chat.http.get(path)
    assert (refused.status_code, refused.text) == (405, "GET method not allowed")
    assert refused.headers["allow"].startswith("POST")


def test_legacy_layout_has_two_lines(legacy_chat: Chat) -> None:
    """With the layout asked for, a second line resolves its promise."""
    conversation = legacy_chat.create()
    path = f"/conversation/{conversation}/__data.json"
    lines = legacy_chat.http.get(path).text.splitlines()
    assert len(lines) == 2
    layout, page = json.loads(lines[0])["nodes"]
    assert (layout["type"], page["type"]) == ("data", "data")
    data = layout["data"]
    promise = data[data[0]["assistants"]]
    assert (promise[0], data[promise[1]]) == ("Promise", 1)
    assert json.loads(lines[1]) == {"type": "chunk", "id": 1, "data": [[]]}
    only_layout = legacy_chat.http.get(f"{path}?x-sveltekit-invalidated=10").text
    assert json.loads(only_layout.splitlines()[0])["nodes"][1] == {"type": "skip"}


def test_legacy_home_data(legacy_chat: Chat) -> None:
    """The home page's data is the layout, and nothing of the page."""
    legacy_chat.create()
    layout, page = json.loads(legacy_chat.http.get("/__data.json").text.splitlines()[0])["nodes"]
    assert page is None
    data = layout["data"]
    assert data[data[0]["nConversations"]] == 1


@pytest.mark.parametrize(
    ("conversation", "error"),
    [
        (
            "0" * 24,
            {"type": "error", "error": {"message": "Conversation not found."}, "status": 404},
        ),
        ("x", {"type": "error", "error": {"message": "An error occurred"}}),
    ],
)
def test_legacy_data_of_nothing(legacy_chat: Chat, conversation: str, error: object) -> None:
    """What cannot be read is an error inside of a 200."""
    path = f"/conversation/{conversation}/__data.json?x-sveltekit-invalidated=01"
    answer = legacy_chat.http.get(path)
    assert (answer.status_code, answer.json()["nodes"][1]) == (200, error)


def test_legacy_api_of_nothing(legacy_chat: Chat) -> None:
    """The plain API has a 404 of its own."""
    answer = legacy_chat.http.get(f"/api/conversation/{'0' * 24}")
    assert (answer.status_code, answer.json()) == (404, {"message": "Conversation not found"})


def test_user_is_described_in_both_forms(chat: Chat) -> None:
    """A logged-in user is described by the older path too."""
    with Chat(chat.server, chat.server.new_session("bob")) as other:
        assert other.http.get("/api/user").json()["username"] == "bob"
        assert other.http.get("/healthcheck").text == "OK"
