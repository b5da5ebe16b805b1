"""`hfchat demo`: what it says, what it runs, and the real thing where its model is available."""

from __future__ import annotations

import sys
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from hfchat_base.cli import demo as command
from hfchat_base.cli.demo import (
    TEXT,
    Demonstration,
    best_sentence_retriever,
    langchain_program,
    llama_index_program,
    source_of,
)
from hfchat_base.cli.terminal import THEME, Terminal, load_model
from hfchat_base.installation import install_command
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel
from hfchat_base.local.demo.weights import DEMO_MODEL_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


def repeat(request: ChatRequest) -> str:
    """Say what was asked."""
    return f"Asked: {request.last_user_text}"


def test_both_programs_run_and_are_shown() -> None:
    """Both programs answer through the server, below the source that was run."""
    out = StringIO()
    console = Console(file=out, width=100, theme=THEME)
    show = Demonstration(Terminal(console, console))
    show.introduce()
    show.run(LocalModel("say/again", FunctionBackend(repeat)))
    said = out.getvalue()
    assert "chain = prompt | ChatHuggingChat(base_url=base_url) | StrOutputParser()" in said
    assert "Asked: What is photosynthesis?" in said
    assert "llm=HuggingChatLLM(base_url=base_url)" in said
    found = "The lighthouse of Brell was built in 1904 by the engineer Ada Morrow."
    assert f"Asked: Use this text to answer.\n\n{found}\n\nWho built the lighthouse?" in said
    assert "hfchat serve --demo" in said
    assert "\x1b" not in said


def test_a_narrow_terminal_shows_all_of_it() -> None:
    """At 40 columns sentences wrap between words, and no end of a line of code is cut off."""
    out = StringIO()
    console = Console(file=out, width=40, theme=THEME, force_terminal=True, color_system=None)
    show = Demonstration(Terminal(console, console))
    show.introduce()
    show._code(source_of(langchain_program))
    show._suggest()
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 40
    said = " ".join(" ".join(lines).replace("│", " ").split())
    assert "A HuggingChat server with a real small model" in said
    assert "nothing leaves this computer." in said
    assert "StrOutputParser()" in said
    assert "hfchat serve --demo" in said
    (login,) = (number for number, line in enumerate(lines) if "hfchat login" in line)
    assert lines[login + 1].startswith(" " * 20), "the second column stays a column"


@pytest.mark.parametrize("program", [langchain_program, llama_index_program])
def test_the_source_is_what_a_user_writes(program: Callable[..., None]) -> None:
    """The source that is shown compiles, and holds no docstring and no word to linters."""
    source = source_of(program)
    compile(source, "shown", "exec")
    assert source.startswith("from ")
    assert '"""' not in source
    assert "noqa" not in source
    assert "type:" not in source


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Who built the lighthouse?", "Ada Morrow"),
        ("When does the ferry leave?", "Tuesday"),
        ("What is the cat called?", "Pilot"),
        ("What is the bakery famous for?", "cinnamon"),
    ],
)
def test_the_sentence_that_answers_is_found(question: str, found: str) -> None:
    """The retriever finds the right sentence of the demo's text."""
    (hit,) = best_sentence_retriever(TEXT).retrieve(question)
    assert found in hit.node.get_content()


def test_what_is_missing_is_said_before_anything_is_downloaded(
    hfchat: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of its packages the demo says what to install, at once."""
    monkeypatch.setattr(command, "_NEEDED", ("no_such_package",))
    result = hfchat("demo")
    assert result.exit_code == 1
    assert result.stderr == f"Error: The demo needs an extra: {install_command('demo')}\n"


def test_a_download_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe one line says that the model is downloaded, however often progress is reported."""

    def download(gguf: Path | None, report: Callable[[int, int], None]) -> LocalModel:
        del gguf
        for done in (0, 0, 93_000_000):
            report(done, 93_000_000)
        return LocalModel("say/again", FunctionBackend(repeat))

    monkeypatch.setattr("hfchat_base.local.demo.demo_model", download)
    out = StringIO()
    console = Console(file=out, width=100, theme=THEME)
    load_model(Terminal(console, console))
    assert out.getvalue().count("Downloading the model, 93 MB, only once …") == 1
    assert "downloaded (93 MB) and loaded" in out.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.timeout(300)
def test_the_real_model_answers(weights: Path) -> None:
    """On a terminal, the whole demo with the real model ends well and knows the builder."""
    from tests.support.terminal_session import TerminalSession  # noqa: PLC0415 - not on Windows

    with TerminalSession("demo", environment={DEMO_MODEL_VARIABLE: str(weights)}) as session:
        session.expect("loaded in", seconds=240)
        session.expect("first token in", seconds=120)
        session.expect("Ada Morrow.", seconds=60)
        session.expect("hfchat serve --demo", seconds=60)
        assert session.wait() == 0
        assert "otosynthesis" in session.text
