"""The wheel in clean environments: what each extra gives works, and what is missing is named.

The server is in the process of the tests, wants a login, and is told to the environments as it is
to anybody: by variables.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from hfchat_base import __version__
from hfchat_base.local import LocalServer
from tests.support.sessions import write_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.building import Environment

pytestmark = pytest.mark.slow

_ANSWER = "You said: hello\n"

_BASE = """
from hfchat_base import HuggingChat
with HuggingChat() as client:
    print(client.chat("hello").text)
"""

_LANGCHAIN = """
from langchain_huggingchat import ChatHuggingChat
print(ChatHuggingChat().invoke("hello").text)
"""

_LLAMA_INDEX = """
from llama_index_huggingchat import HuggingChatLLM
print(HuggingChatLLM().complete("hello"))
"""

_NAMESPACE = """
from llama_index.llms.huggingchat import HuggingChatLLM
import llama_index, llama_index.llms, llama_index_huggingchat
from llama_index.core.llms import LLM
assert HuggingChatLLM is llama_index_huggingchat.HuggingChatLLM
assert issubclass(HuggingChatLLM, LLM)
assert llama_index.__file__ is None and llama_index.llms.__file__ is None
print(HuggingChatLLM().complete("hello"))
"""

_LOCAL = """
from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
with LocalServer() as server, HuggingChat(server.base_url, "hf-chat=guest") as client:
    print(client.chat("hello").text)
"""

_API = """
import asyncio, json
from hfchat_base import AsyncHuggingChat
from hfchat_base.api import create_app
import uvicorn
sent = []
async def receive():
    if not sent:
        sent.append(True)
        body = {"messages": [{"role": "user", "content": "hello"}]}
        return {"type": "http.request", "body": json.dumps(body).encode()}
    await asyncio.Event().wait()
async def ask():
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
        "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80),
    }
    answer = bytearray()
    async def send(message):
        answer.extend(message.get("body", b""))
    async with AsyncHuggingChat() as client:
        await create_app(client, key=None)(scope, receive, send)
    print(json.loads(answer)["choices"][0]["message"]["content"])
asyncio.run(ask())
"""

_MODEL = """
import os
from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
from hfchat_base.local.demo import demo_model
del os.environ["HUGGINGCHAT_MODEL"]
model = demo_model()
with LocalServer(models=[model]) as server, HuggingChat(server.base_url, "hf-chat=guest") as client:
    assert "Paris" in client.chat("What is the capital of France?").text
print("You said: hello")
"""

_BROWSER = """
import os
import playwright.async_api
from hfchat_base import HuggingChat
del os.environ["HUGGINGCHAT_COOKIES"]
os.environ["HUGGINGCHAT_BROWSERS"] = "firefox"
with HuggingChat() as client:
    print(client.chat("hello").text)
"""

_KEYRING = """
import keyring, keyring.backend, os
from hfchat_base import HuggingChat
from hfchat_base.auth.login import login_with_cookies
class Ring(keyring.backend.KeyringBackend):
    priority = 1
    passwords = {}
    def set_password(self, service, name, password):
        self.passwords[name] = password
    def get_password(self, service, name):
        return self.passwords[name]
keyring.set_keyring(Ring())
os.environ["HUGGINGCHAT_KEYRING"] = "1"
login_with_cookies(os.environ.pop("HUGGINGCHAT_COOKIES"))
assert Ring.passwords
with HuggingChat() as client:
    print(client.chat("hello").text)
"""

_NOTEBOOK = """
from hfchat_base import HuggingChat
from hfchat_base.notebook import watch
with HuggingChat() as client:
    watch(client.stream_chat("hello"))
"""

_DOCUMENTS = """
import io, docx
from hfchat_base import HuggingChat, Upload
document, file = docx.Document(), io.BytesIO()
document.add_paragraph("hello")
document.save(file)
with HuggingChat() as client:
    answer = client.create_conversation().send("look", Upload("a.docx", file.getvalue()))
    assert "hello" in answer.text
print("You said: hello")
"""

USES: Final[Mapping[str, str]] = {
    "": _BASE,
    "langchain": _LANGCHAIN,
    "llama-index": _LLAMA_INDEX,
    "local": _LOCAL,
    "api": _API,
    "model": _MODEL,
    "browser": _BROWSER,
    "keyring": _KEYRING,
    "documents": _DOCUMENTS,
    "notebook": _NOTEBOOK,
}
"""A use of what each extra gives, which prints an answer; the first is always there."""

NEEDS: Final[Mapping[str, str]] = {
    "langchain": "import langchain_huggingchat",
    "llama-index": "import llama_index.llms.huggingchat",
    "local": "import hfchat_base.local",
    "api": "import hfchat_base.api",
    "model": "import hfchat_base.local.demo as demo; demo.demo_model()",
    "browser": """
import hfchat_base, sys
list(hfchat_base.login(browser=sys.executable, headless=True))
""",
    "keyring": """
import hfchat_base, os
os.environ["HUGGINGCHAT_KEYRING"] = "1"
hfchat_base.auth.login.login_with_cookies(os.environ["HUGGINGCHAT_COOKIES"])
""",
    "documents": """
from hfchat_base.documents import document_text
document_text("a.pdf", b"%PDF-1.7", "application/pdf")
""",
    "notebook": "import hfchat_base.notebook; hfchat_base.notebook._View()",
}
"""A use of each extra that fails without it."""

_TRY_EACH = """
import contextlib, io, json, os, sys
from hfchat_base import MissingRequirementsError, __version__
variables = dict(os.environ)
said = {"version": __version__}
for extra, code in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            exec(code, {})
        except MissingRequirementsError as error:
            print(error)
    said[extra] = output.getvalue()
    os.environ.clear()
    os.environ.update(variables)
print(json.dumps(said))
"""

each_extra = pytest.mark.parametrize(
    "environment", [*USES, "cli", "demo", "all"], ids=lambda extra: extra or "base", indirect=True
)
with_cli = pytest.mark.parametrize("environment", ["cli"], indirect=True)


@pytest.fixture(scope="module")
def login_server() -> Iterator[LocalServer]:
    """A server that answers nobody who has not logged in."""
    with LocalServer(require_login=True) as server:
        yield server


@pytest.fixture
def user(
    login_server: LocalServer, tmp_path: Path, request: pytest.FixtureRequest
) -> dict[str, str]:
    """The variables of somebody who has logged in there, also in their Firefox."""
    cookies = login_server.cookies()
    write_profile(tmp_path, list(cookies.items()), host="127.0.0.1")
    variables = {
        "HOME": str(tmp_path),
        "HUGGINGCHAT_BASE_URL": login_server.base_url,
        "HUGGINGCHAT_COOKIES": json.dumps(cookies),
        "HUGGINGCHAT_MODEL": "echo/base",
    }
    if provides(request.getfixturevalue("environment"), "model"):
        variables["HFCHAT_DEMO_MODEL"] = str(request.getfixturevalue("weights"))
    return variables


def provides(environment: Environment, extra: str) -> bool:
    """Whether an extra is in an environment."""
    model = ["model", "local", "api"]
    implied = {
        "local": ["local", "api"],
        "model": model,
        "demo": [*model, "cli", "langchain", "llama-index"],
        "all": [*USES, "cli"],
    }
    return extra in ("", *implied.get(environment.extra, [environment.extra]))


@each_extra
def test_extra(environment: Environment, user: dict[str, str]) -> None:
    """All that an extra gives answers; what it does not give says how to install it."""
    uses = {extra: code for extra, code in USES.items() if provides(environment, extra)}
    missing = {extra: code for extra, code in NEEDS.items() if extra not in uses}
    if "local" in missing:
        # Its model is one of the local server, which then is what is missing first.
        del missing["model"]
    program = ["python", "-W", "error", "-c", _TRY_EACH, json.dumps({**uses, **missing})]
    done = environment.run(program, user)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("version") == __version__
    assert {extra: said.pop(extra) for extra in uses} == dict.fromkeys(uses, _ANSWER)
    commands = {extra: text.partition(": ")[2] for extra, text in said.items()}
    assert commands == {extra: f"{environment.install_command(extra)}\n" for extra in missing}


@pytest.mark.parametrize("environment", ["llama-index"], indirect=True)
def test_namespace_of_llama_index(environment: Environment, user: dict[str, str]) -> None:
    """The LLM is where LlamaIndex's others are, and hides nothing of LlamaIndex."""
    done = environment.run(["python", "-W", "error", "-c", _NAMESPACE], user)
    assert (done.returncode, done.stdout) == (0, _ANSWER), done.stderr


@each_extra
def test_command(environment: Environment, user: dict[str, str]) -> None:
    """The command is there: it answers, or says how to install it."""
    done = environment.run(["hfchat", "ask", "hello"], user)
    if provides(environment, "cli"):
        assert (done.returncode, done.stdout) == (0, _ANSWER), done.stderr
    else:
        assert done.returncode == 1
        assert done.stderr.endswith(f": {environment.install_command('cli')}\n")


@with_cli
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("serve", "local"),
        ("serve --demo", "local"),
        ("api", "api"),
        ("demo", "demo"),
        ("login --from-browser firefox", "browser"),
    ],
)
def test_command_of_another_extra(
    environment: Environment, user: dict[str, str], command: str, extra: str
) -> None:
    """A command that needs more than the extra `cli` says so, without a traceback."""
    done = environment.run(["hfchat", *command.split()], user)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f": {environment.install_command(extra)}\n")
    assert "Traceback" not in done.stderr
