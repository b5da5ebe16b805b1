"""Who gets in: sessions, the login, guests, tokens, and forms from elsewhere."""

from __future__ import annotations

import base64
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.routing import Mount, Route

from hfchat_base.local import LocalServer
from hfchat_base.local.asgi import build_app
from tests.support.local_chat import Chat, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.routing import BaseRoute

    from hfchat_base._protocol.constants import Generation


@pytest.fixture
def closed() -> Iterator[LocalServer]:
    """A server that requires a login."""
    with LocalServer(require_login=True, base_path="/chat") as server:
        yield server


def _sign_in(chat: Chat, username: str) -> httpx.Response:
    """Go through the login as a browser does; return the answer to the callback."""
    page = httpx.URL(chat.http.get("/login").headers["location"])
    form = chat.http.get(page).text
    assert 'id="username"' in form
    assert '<button id="sign-in" type="submit">Sign in</button>' in form
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    back = chat.http.post(
        page, data={**hidden, "username": username}, headers={"origin": chat.origin}
    )
    return chat.http.get(back.headers["location"])


def test_login_through_the_form(closed: LocalServer) -> None:
    """The form lets anybody in, and sends them back where they came from."""
    with Chat(closed) as chat:
        done = _sign_in(chat, "bob")
        assert (done.status_code, done.headers["location"]) == (302, "/chat/")
        assert chat.http.get("/api/v2/user").json()["json"]["username"] == "bob"
        assert final(chat.ask("hi")) == "You said: hi"


def test_logout_ends_the_session(closed: LocalServer) -> None:
    """After a logout the old cookie is worth nothing."""
    cookies = closed.cookies()
    with Chat(closed, cookies) as chat:
        gone = chat.http.post("/logout", headers={"origin": chat.origin})
        assert gone.status_code == 302
    with Chat(closed, cookies) as chat:
        assert chat.http.get("/api/v2/user").json() == {"json": None}


def test_code_is_good_for_one_login(closed: LocalServer) -> None:
    """A callback without a pending login is redirected to log in once, then rejected."""
    with Chat(closed) as chat:
        first = chat.http.get("/login/callback?code=x&state=y")
        assert (first.status_code, first.headers["location"]) == (302, "/chat/login")
        second = chat.http.get("/login/callback?code=x&state=y")
        assert second.status_code == 403


def test_sign_in_page_wants_a_name(closed: LocalServer) -> None:
    """A form without a name goes nowhere."""
    url = f"{closed.base_url}/_idp/authorize"
    assert httpx.post(url, data={"username": ""}).status_code == 400


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/chat/gr%C3%BCezi", "/chat/gr%C3%BCezi"),
        ("/chat/a%0Dx:%20y", "/chat/a%0Dx%3A%20y"),
        ("/chat/login", "/chat/"),
    ],
)
def test_login_leads_back(closed: LocalServer, path: str, back: str) -> None:
    """Whoever was sent to log in comes back to the path that they asked for."""
    with Chat(closed) as chat:
        page = httpx.URL(chat.http.get(path.removeprefix("/chat")).headers["location"])
        form = {key: page.params[key] for key in ("redirect_uri", "state")}
        origin = {"origin": chat.origin}
        signed = chat.http.post(page, data={**form, "username": "bob"}, headers=origin)
        done = chat.http.get(signed.headers["location"])
    assert (done.status_code, done.headers["location"]) == (302, back)
    assert "x" not in done.headers


def test_login_does_not_lead_elsewhere() -> None:
    """A path that browsers take for another host is not come back to."""
    with LocalServer(require_login=True) as server, Chat(server) as chat:
        page = httpx.URL(chat.http.get(f"{server.base_url}//evil.example/x").headers["location"])
        state = json.loads(base64.b64decode(page.params["state"]))
    assert state["data"]["next"] == "/"


WRITES = ("POST", "PUT", "PATCH", "DELETE")


def _paths(routes: Sequence[BaseRoute], conversation: str) -> Iterator[str]:
    """List the paths of all routes of chat-ui, with a conversation where they have a place."""
    for route in routes:
        if isinstance(route, Mount) and route.path == "/_idp":
            continue
        if isinstance(route, Route):
            yield re.sub(r"\{\w+(:path)?\}", conversation, route.path)
        elif isinstance(route, Mount):
            app: Any = route.app
            yield from _paths(getattr(app, "_app", app).routes, conversation)


def test_anonymous_users_write_nothing(generation: Generation) -> None:
    """No route lets somebody write who has to log in, whoever's conversation it names."""
    with LocalServer(generation=generation, require_login=True) as server:
        with Chat(server, server.cookies()) as alice:
            conversation = alice.create()
            alice.ask("a secret")
            paths = list(_paths(build_app(server._state).routes, conversation))
            before = alice.messages(conversation)
        assert len(paths) > 15
        prompts = len(server.prompts)
        with Chat(server) as chat:
            for path, method in itertools.product(paths, WRITES):
                for body in ({"json": {"model": "echo/base"}}, {"files": {"data": (None, "{}")}}):
                    refused = chat.http.request(
                        method,
                        path,
                        headers={"origin": chat.origin},
                        **body,
                    )
                    # A stranger of a legacy server has settings, which are nobody else's (S).
                    allowed = {401, 302}
                    if path.startswith(("/login", "/settings")):
                        allowed = {302, 404, 405}
                    if path == "/settings" and generation == "legacy":
                        allowed |= {200, 500}
                    assert refused.status_code in allowed, path
        assert len(server.prompts) == prompts
        with Chat(server, server.cookies()) as alice:
            assert alice.messages(conversation) == before
            assert len(alice.http.get("/api/conversations").json()) == 2


def test_anonymous_users_see_nothing_of_others(generation: Generation) -> None:
    """Without a required login, every response is public, empty, or an error."""
    with LocalServer(generation=generation, require_login=True) as server:
        with Chat(server, server.cookies()) as alice:
            conversation = alice.create(preprompt="a secret")
            alice.send(conversation, "a secret")
            paths = list(_paths(build_app(server._state).routes, conversation))
        with Chat(server) as chat:
            for path in paths:
                for accept in ("*/*", "text/html"):
                    shown = chat.http.get(path, headers={"accept": accept})
                    assert "a secret" not in shown.text, path
                    assert "alice" not in shown.text, path


@pytest.mark.parametrize("options", [{"require_login": True}, {"allow_guests": False}])
def test_closed_servers_say_so(options: dict[str, bool]) -> None:
    """Both ways to close a server turn guests away and show that a login is possible."""
    with LocalServer(**options) as server, Chat(server) as chat:  # type: ignore[arg-type]
        refused = chat.http.post("/conversation", json={"model": "echo/base"})
        assert refused.status_code == 302
        assert chat.http.get("/api/v2/feature-flags").json()["json"]["loginEnabled"] is True


def test_legacy_rejects_without_redirect() -> None:
    """The legacy generation answers 401 where the current one redirects."""
    with LocalServer(generation="legacy", require_login=True) as server:
        with Chat(server) as chat:
            refused = chat.http.post("/conversation", json={"model": "echo/base"})
            assert (refused.status_code, refused.json()) == (
                401,
                {"error": "You have to be logged in."},
            )
            assert "loginRequired:true" in chat.http.get("/").text
        with Chat(server, server.cookies()) as chat:
            assert final(chat.ask("hi")) == "You said: hi"


@pytest.mark.parametrize(
    ("headers", "content_type", "text"),
    [
        ({"accept": "*/*"}, "text/plain", "You have to be logged in."),
        (
            {"accept": "application/json"},
            "application/json",
            '{"error":"You have to be logged in."}',
        ),
    ],
)
def test_error_has_the_media_type_of_the_client(
    closed: LocalServer, headers: dict[str, str], content_type: str, text: str
) -> None:
    """The 401 is text, or JSON for those who speak of JSON."""
    with Chat(closed) as chat:
        refused = chat.http.post(
            f"/conversation/{'0' * 24}",
            headers={**headers, "origin": chat.origin},
            files={"data": (None, "{}")},
        )
    assert refused.status_code == 401
    assert (refused.headers["content-type"], refused.text) == (content_type, text)


def test_users_keep_their_conversations_apart(closed: LocalServer) -> None:
    """Two sessions of one user share what they have, two users do not."""
    with Chat(closed, closed.new_session("carol")) as chat:
        conversation = chat.create()
    with Chat(closed, closed.new_session("carol")) as chat:
        assert chat.messages(conversation)
    with Chat(closed, closed.new_session("dave")) as chat:
        refused = chat.http.get(f"/api/v2/conversations/{conversation}")
        assert refused.status_code == 403


def test_ended_session_is_thrown_away(closed: LocalServer) -> None:
    """An ended session has no user, and a POST replaces it with a new one."""
    cookies = closed.cookies()
    closed.end_session(cookies)
    with Chat(closed, cookies) as chat:
        assert chat.http.get("/api/v2/user").json() == {"json": None}
        refused = chat.http.post("/conversation", json={"model": "echo/base"})
        fresh = refused.headers.get_list("set-cookie")[0]
        assert fresh.startswith("hf-chat=")
        assert cookies["hf-chat"] not in fresh


def test_all_sessions_can_be_ended(closed: LocalServer) -> None:
    """All sessions at once, as when a server is set up anew."""
    sessions = [closed.new_session(name) for name in ("a", "b")]
    closed.end_all_sessions()
    for cookies in sessions:
        response = httpx.get(f"{closed.base_url}/api/v2/user", cookies=cookies)
        assert response.json() == {"json": None}


def test_live_session_is_refreshed(closed: LocalServer) -> None:
    """A POST of a known session sets the same cookie again."""
    cookies = closed.cookies()
    with Chat(closed, cookies) as chat:
        made = chat.http.post("/conversation", json={"model": "echo/base"})
    assert made.headers["set-cookie"].startswith(f"hf-chat={cookies['hf-chat']};")


def test_guests_may_bring_their_own_session(either_chat: Chat) -> None:
    """Where guests are let in, any value is a session."""
    with Chat(either_chat.server, {"hf-chat": "made-up"}) as chat:
        conversation = chat.create()
    with Chat(either_chat.server, {"hf-chat": "made-up"}) as chat:
        assert chat.messages(conversation)


def test_get_mints_no_cookie(either_chat: Chat) -> None:
    """Only a POST gives a guest a session."""
    assert "set-cookie" not in either_chat.http.get("/api/models").headers
    made = either_chat.http.post("/conversation", json={"model": "echo/base"})
    assert "set-cookie" in made.headers


def test_bearer_tokens_lead_nowhere(server: LocalServer) -> None:
    """A token instead of a cookie is a 500 below /api, and ignored elsewhere or with a cookie."""
    token = {"authorization": "Bearer hf_x"}
    url = f"{server.base_url}/api/v2/user"
    assert httpx.get(url, headers=token).status_code == 500
    assert httpx.get(url, headers=token, cookies=server.cookies()).status_code == 200
    assert httpx.get(f"{server.base_url}/", headers=token).status_code == 200


def test_empty_post_counts_as_a_form(generation: Generation) -> None:
    """A POST without content type needs an Origin too."""
    with LocalServer(generation=generation) as server, Chat(server) as chat:
        path = f"/conversation/{chat.create()}/share"
        assert chat.http.post(path).status_code == 403
        assert chat.http.post(path, headers={"origin": chat.origin}).status_code == 200
        refused = chat.http.post(path, headers={"accept": "application/json"})
        assert refused.json() == {"error": "Non-JSON form requests need to have an origin"}
