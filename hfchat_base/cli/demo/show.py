"""What the demo says, and the order in which it runs things."""

from __future__ import annotations

import textwrap
import time
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from hfchat_base.cli.demo.source import source_of
from hfchat_base.cli.terminal import Terminal, note
from hfchat_base.cli.view import view_for
from hfchat_base.events import TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from hfchat_base.local import LocalModel

__all__ = ["TEXT", "Demonstration"]

TOPIC: Final = "photosynthesis"
TEXT: Final = (
    "The ferry to Brell leaves Norhaven every Tuesday and Friday at nine in the morning. "
    "The lighthouse of Brell was built in 1904 by the engineer Ada Morrow. "
    "The keeper of the lighthouse has a grey cat called Pilot. "
    "The bakery of Brell is famous for its cinnamon bread."
)
QUESTION: Final = "Who built the lighthouse?"

_WIDTH: Final = 92


class Demonstration:
    """Runs the demo and says what happens.

    Args:
        terminal: Where to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._out = terminal.out

    def introduce(self) -> None:
        """Say what is about to happen."""
        self._out.print(
            Text.assemble(
                ("hfchat demo", "hfchat.accent"),
                "  A HuggingChat server with a real small model, on this machine.",
            ),
            soft_wrap=True,
        )
        self._out.print(
            note("No account and no key; no word of it leaves this computer."), soft_wrap=True
        )
        self._step(1, "The server", "starts, with SmolLM2-135M-Instruct behind it")

    def run(self, model: LocalModel) -> None:
        """Start the server and run the programs against it.

        Args:
            model: What answers.
        """
        from hfchat_base.local import LocalServer  # noqa: PLC0415 - heavy

        with LocalServer(models=[model]) as server:
            where = (server.base_url, "hfchat.link")
            self._out.print(Text.assemble(("✓ ", "hfchat.good"), "HuggingChat at ", where))
            self._langchain(server.base_url)
            self._llama_index(server.base_url)
        self._suggest()

    def _langchain(self, base_url: str) -> None:
        self._step(2, "LangChain", "streams an answer through prompt | model | parser")
        with self._busy("importing LangChain"):
            program = import_module("hfchat_base.cli.demo.langchain_chain")
        self._code(source_of(program))
        self._ask(f"What is {TOPIC}?", lambda write: program.run(base_url, TOPIC, write))

    def _llama_index(self, base_url: str) -> None:
        self._step(3, "LlamaIndex", "answers a question out of a text, which no model can know")
        self._out.print(Padding(Text(TEXT, style="italic"), (1, 2, 0, 2)), width=_WIDTH)
        with self._busy("importing LlamaIndex"):
            program = import_module("hfchat_base.cli.demo.llama_index_query")
        self._code(source_of(program))
        self._ask(QUESTION, lambda write: program.run(base_url, TEXT, QUESTION, write))

    def _ask(self, question: str, run: Callable[[Callable[[str], None]], None]) -> None:
        """Show a question, the answer as it comes, and how long it took."""
        self._out.print(Text.assemble(("> ", "hfchat.prompt"), question))
        self._out.print()
        begun = time.monotonic()
        pieces: list[tuple[float, str]] = []
        with view_for(self._terminal) as view:

            def write(piece: str) -> None:
                if piece:
                    pieces.append((time.monotonic() - begun, piece))
                    view.show(TextDelta(piece))

            run(write)
        seconds = time.monotonic() - begun
        words = len("".join(piece for _, piece in pieces).split())
        first = f"first word after {pieces[0][0]:.1f} s · " if pieces else ""
        self._out.print()
        self._out.print(note(f"{first}{words} words in {seconds:.1f} s"))

    def _step(self, number: int, name: str, what: str) -> None:
        self._out.print()
        self._out.print(
            Text.assemble((f"{number}  {name}", "hfchat.accent"), f" {what}"), soft_wrap=True
        )

    def _code(self, source: str) -> None:
        if not self._terminal.is_rich:
            self._out.print(Text(textwrap.indent(source, "    ")), soft_wrap=True)
            self._out.print()
            return
        code = Syntax(source, "python", theme="ansi_dark", background_color="default")
        panel = Panel(code, border_style="dim", padding=(0, 1), width=min(_WIDTH, self._out.width))
        self._out.print(panel)

    @contextmanager
    def _busy(self, what: str) -> Iterator[None]:
        status = self._out.status(note(f"{what} …")) if self._out.is_interactive else nullcontext()
        with status:
            yield

    def _suggest(self) -> None:
        lines: list[RenderableType] = [
            _suggestion("hfchat serve --demo", "keep this server, for your own programs"),
            _suggestion("hfchat chat", "chat with HuggingChat, or any HUGGINGCHAT_BASE_URL"),
            _suggestion("ChatHuggingChat()", "in Python, where ChatOpenAI() stood"),
        ]
        self._step(4, "Your turn", "")
        self._out.print(Group(*lines))


def _suggestion(what: str, why: str) -> Text:
    return Text.assemble("   ", (f"{what:<22}", "hfchat.link"), why)
