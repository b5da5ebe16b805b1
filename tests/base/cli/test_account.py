"""`hfchat login`, `logout` and `whoami`: from no session to one, and back."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import HuggingChat, LoginRequired
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.login import AuthResult, RequestLogin
from hfchat_base.auth.store import SessionStore
from hfchat_base.cli.options import Remembered
from hfchat_base.local import LocalServer
from hfchat_base.types import User
from tests.support.sessions import save_session, write_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result


def test_from_one_machine_to_another(
    hfchat: Callable[..., Result],
    closed: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A session is exported here, imported there, and works there."""
    save_session(closed)
    file = tmp_path / "session.json"
    exported = hfchat("login", "--export", str(file))
    assert exported.exit_code == 0, exported.output
    assert "anyone who has it is logged in as you" in exported.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    monkeypatch.setenv("HUGGINGCHAT_DATA_DIR", str(tmp_path / "other machine"))
    assert hfchat("whoami").exit_code == 1
    imported = hfchat("login", "--import", str(file))
    assert imported.exit_code == 0, imported.output
    assert "Logged in as alice" in imported.stderr
    assert hfchat("whoami").stdout == "alice <alice@example.com>\n"


@pytest.mark.parametrize("form", ["{value}", "hf-chat={value}", '{{"hf-chat": "{value}"}}'])
def test_pasting(hfchat: Callable[..., Result], closed: LocalServer, form: str) -> None:
    """What is copied out of a browser is taken, and not shown."""
    (value,) = closed.new_session("bob").values()
    result = hfchat("login", "--paste", stdin=form.format(value=value) + "\n")
    assert result.exit_code == 0, result.output
    assert "Logged in as bob" in result.stderr
    assert value not in result.output


def test_a_pipe_is_read_quietly(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """Nobody reads instructions in a pipe, so --paste prints none there."""
    (value,) = closed.new_session("bob").values()
    result = hfchat("login", "--paste", stdin=f"{value}\n")
    assert result.output == f"✓ Logged in as bob  {closed.base_url}\n"


def test_a_hidden_browser_cannot_be_typed_into(
    hfchat: Callable[..., Result], closed: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--headless waits for seconds, not minutes, and then says why nobody could log in."""
    asked: dict[str, Any] = {}

    def login(base_url: str | None, **options: Any) -> Iterator[RequestLogin]:
        asked.update(options, base_url=base_url)
        yield RequestLogin(f"{closed.base_url}/login")
        raise LoginRequired("Nobody logged in.")

    monkeypatch.setattr("hfchat_base.auth.login.login", login)
    result = hfchat("login", "--headless")
    assert asked["timeout"] == 15.0
    assert result.exit_code == 1
    assert "Nobody can type into a hidden browser" in result.stderr
    assert "--paste" in result.stderr


def test_the_server_of_the_last_login_is_used(
    hfchat: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a login at a server the other commands use it by default, until logout."""
    with LocalServer(require_login=True) as server, LocalServer() as other:
        (value,) = server.new_session("bob").values()
        login = hfchat("login", "--paste", "--base-url", server.base_url, stdin=f"{value}\n")
        assert login.exit_code == 0, login.output
        assert hfchat("whoami").stdout == "bob <bob@example.com>\n"
        assert hfchat("ask", "x").stdout == "You said: x\n"
        assert other.base_url in hfchat("whoami", "--base-url", other.base_url).stderr
        monkeypatch.setenv("HUGGINGCHAT_BASE_URL", other.base_url)
        assert other.base_url in hfchat("whoami").stderr
        monkeypatch.delenv("HUGGINGCHAT_BASE_URL")
        assert hfchat("logout").exit_code == 0
    assert Remembered.load().base_url is None


def test_an_account_is_chosen(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """--account takes one of several saved sessions."""
    save_session(closed, "alice")
    save_session(closed, "bob")
    for name in ("alice", "bob"):
        assert hfchat("whoami", "--account", name).stdout.startswith(name)
        assert hfchat("ask", "x", "--account", name).exit_code == 0


def test_an_expired_session_is_called_that(
    hfchat: Callable[..., Result], closed: LocalServer
) -> None:
    """`whoami` names the saved session that the server no longer knows, now and later."""
    save_session(closed)
    closed.end_all_sessions()
    for _ in range(2):
        result = hfchat("whoami")
        assert result.exit_code == 1
        assert f"The saved session of alice at {closed.base_url} has expired." in result.stderr
        assert f"Log in again: hfchat login --base-url {closed.base_url}" in result.stderr


def test_taking_over_a_browsers_login(
    hfchat: Callable[..., Result],
    closed: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The login that a browser has is saved as one's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write_profile(tmp_path, list(closed.new_session("carol").items()), host="127.0.0.1")
    result = hfchat("login", "--from-browser", "Firefox")
    assert result.exit_code == 0, result.output
    assert "Logged in as carol" in result.stderr
    missing = hfchat("login", "--from-browser", "vivaldi")
    assert missing.exit_code == 1
    assert "Vivaldi gives no session: it is not on this machine" in missing.stderr


def test_ways_exclude_each_other(hfchat: Callable[..., Result]) -> None:
    """Two ways at once are wrong usage."""
    result = hfchat("login", "--paste", "--from-browser", "firefox")
    assert result.exit_code == 2
    assert "Choose one" in result.stderr


def test_login_with_a_browser(
    hfchat: Callable[..., Result], closed: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login page is printed, then who has logged in."""
    asked: dict[str, Any] = {}

    def login(base_url: str | None, **options: Any) -> Iterator[RequestLogin | AuthResult]:
        asked.update(options, base_url=base_url)
        yield RequestLogin(f"{closed.base_url}/login")
        yield AuthResult(closed.base_url, User(id="1", username="dave"), {"hf-chat": "secret"})

    monkeypatch.setattr("hfchat_base.auth.login.login", login)
    result = hfchat("login", "--browser", "firefox", "--timeout", "0.5", "--headless")
    assert result.exit_code == 0, result.output
    assert f"Log in at {closed.base_url}/login" in result.stderr
    assert "Logged in as dave" in result.stderr
    assert asked == {
        "base_url": None,
        "browser": "firefox",
        "headless": True,
        "timeout": 30.0,
        "browser_args": (),
    }


def test_logout(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """The session is over on the server, the other account's is not, and nothing is left here."""
    save_session(closed, "alice")
    save_session(closed, "bob")
    found = SessionStore().find(closed.base_url, "alice")
    assert found is not None
    result = hfchat("logout", "--account", "alice")
    assert result.exit_code == 0, result.output
    assert "Logged out alice" in result.stderr
    assert hfchat("whoami").stdout.startswith("bob")
    with HuggingChat(cookies={"hf-chat": found.cookies[0].value}) as client:
        assert client.whoami() is None
    assert hfchat("logout", "--account", "alice").exit_code == 1


def test_logout_without_the_server(hfchat: Callable[..., Result]) -> None:
    """If the server cannot be reached, the session is still deleted here."""
    url = "http://127.0.0.1:9"
    SessionStore().save(url, "alice", [Cookie("hf-chat", "value")])
    result = hfchat("logout", "--base-url", url)
    assert result.exit_code == 1
    assert "could not be ended on the server" in result.stderr
    assert "deleted here" in result.stderr
    assert SessionStore().find(url, None) is None


def test_exported_file_is_a_cookie_file(
    hfchat: Callable[..., Result], closed: LocalServer, tmp_path: Path
) -> None:
    """What is exported can be passed as `cookies` as well."""
    save_session(closed)
    file = tmp_path / "session.json"
    hfchat("login", "--export", str(file))
    assert json.loads(file.read_text(encoding="utf-8"))["account"] == "alice"
    with HuggingChat(cookies=file) as client:
        assert client.whoami() is not None


def test_lost_session_is_not_exported(
    hfchat: Callable[..., Result], closed: LocalServer, tmp_path: Path
) -> None:
    """Before a session is handed on, the server is asked whether it is one."""
    save_session(closed)
    closed.end_all_sessions()
    file = tmp_path / "session.json"
    result = hfchat("login", "--export", str(file), "--browser", "netscape")
    assert result.exit_code == 1
    assert not file.exists()


@pytest.mark.usefixtures("closed")
def test_nothing_is_pasted(hfchat: Callable[..., Result]) -> None:
    """Without any cookies --paste says so, and asks no server."""
    result = hfchat("login", "--paste", stdin="\n")
    assert result.exit_code == 1
    assert "No cookies were pasted." in result.stderr


def test_variable_that_comes_first_is_told(
    hfchat: Callable[..., Result], closed: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that a variable hides is of no use, so that is said."""
    monkeypatch.setenv("HUGGINGCHAT_COOKIES", "hf-chat=old")
    (value,) = closed.new_session("bob").values()
    result = hfchat("login", "--paste", stdin=f"{value}\n")
    assert "HUGGINGCHAT_COOKIES takes precedence" in result.stderr


def test_whoami(hfchat: Callable[..., Result], account: dict[str, str]) -> None:
    """`whoami` names the account, and no cookie."""
    result = hfchat("whoami")
    assert result.stdout.startswith("cleo")
    assert account["HUGGINGCHAT_COOKIES"].partition("=")[2] not in result.output


def test_whoami_as_a_guest(hfchat: Callable[..., Result], server: LocalServer) -> None:
    """`whoami` says that a guest is one, with exit code 1."""
    result = hfchat("whoami", "--base-url", server.base_url)
    assert result.exit_code == 1
    assert "You are a guest at" in result.stderr
