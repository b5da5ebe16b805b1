"""Makes the pictures of the terminal in ``docs/images``, with the program itself.

    python docs/screenshots.py [NAME …]

The chat talks to a scripted model on a local server, the demo to its real one. What is drawn is
what a terminal would show at the end: the parts that move while an answer comes are left out.
"""

# ruff: noqa: INP001 - a script, no package
from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text as Line

from hfchat_base import HuggingChat
from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base.cli.answer import AnswerRunner, Downloads
from hfchat_base.cli.chat import Repl, Settings
from hfchat_base.cli.demo import Demonstration
from hfchat_base.cli.terminal import THEME, Terminal, load_model
from hfchat_base.local import (
    ChatRequest,
    FunctionBackend,
    LocalModel,
    LocalServer,
    LocalTool,
    ToolContext,
    ToolServer,
)
from hfchat_base.local.backends import Piece, Reasoning, Text, ToolCall

IMAGES: Final = Path(__file__).parent / "images"
WIDTH: Final = 92
COLOURS: Final = TerminalTheme(
    (30, 31, 41),
    (223, 225, 232),
    [
        (62, 64, 80),
        (255, 107, 107),
        (126, 211, 133),
        (255, 210, 30),
        (116, 159, 255),
        (214, 140, 255),
        (99, 205, 218),
        (223, 225, 232),
    ],
    [
        (110, 113, 135),
        (255, 138, 138),
        (158, 230, 164),
        (255, 224, 102),
        (150, 184, 255),
        (228, 174, 255),
        (140, 225, 235),
        (255, 255, 255),
    ],
)

FIRST: Final = "How do I stream an answer in LangChain?"
SECOND: Final = "Which server is behind HuggingChat?"
THOUGHT: Final = (
    "They want code. A chain is short enough: the prompt, the model, the parser, and a loop over"
    " stream()."
)
ANSWER: Final = """\
Put `ChatHuggingChat` into a chain and loop over **stream**:

```python
chain = prompt | ChatHuggingChat() | StrOutputParser()
for piece in chain.stream({"topic": "lighthouses"}):
    print(piece, end="", flush=True)
```

- It takes *no argument*: server, session and model come from the environment.
- Leave the loop early, and the run on the server is stopped, too.
"""
RESULTS: Final = (
    "Title: huggingface/chat-ui: the open source codebase powering HuggingChat\n"
    "URL: https://github.com/huggingface/chat-ui\nText: A chat interface for open models.\n\n"
    "Title: HuggingChat\nURL: https://huggingface.co/chat\nText: The best open models."
)
FOUND: Final = (
    "It is **chat-ui**. It is open source, so you can host it yourself, and `hfchat` talks to any"
    " of them."
)


async def _answer(request: ChatRequest) -> AsyncIterator[Piece]:
    """Say what the picture is to show."""
    if request.messages[-1]["role"] == "tool":
        yield Text(FOUND)
    elif request.tools:
        yield ToolCall("web_search_exa", '{"query": "server behind HuggingChat"}', "call_1")
    else:
        yield Reasoning(THOUGHT)
        yield Text(ANSWER)


async def _search(query: str, ctx: ToolContext) -> str:  # noqa: ARG001 - the model passes it
    await ctx.progress(1, 1, "found 2 pages")
    return RESULTS


class _Typist:
    """Types lines into a recorded chat."""

    def __init__(self, console: Console, lines: Sequence[str]) -> None:
        self._console = console
        self._lines = list(lines)

    def __call__(self, prompt: str, default: str = "") -> str:
        """Type the next line, instead of what is filled in."""
        del default
        if not self._lines:
            raise EOFError
        line = self._lines.pop(0)
        self._console.print(Line.assemble((prompt, "hfchat.prompt"), line))
        return line


def chat() -> Console:
    """A chat with thinking, Markdown, a tool and sources."""
    console = _recorder()
    model = LocalModel(
        "scripted/guide", FunctionBackend(_answer), supports_tools=True, supports_reasoning=True
    )
    tool = LocalTool("web_search_exa", _search)
    search = ToolServer(WEB_SEARCH_SERVER, "https://mcp.exa.ai/mcp", [tool], base=True)
    with (
        LocalServer(models=[model], tool_servers=[search], port=8090) as server,
        HuggingChat(server.base_url) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        Repl(
            client,
            Settings(),
            _Typist(console, [FIRST, "/web", SECOND]),
            AnswerRunner(Terminal(console, console), Downloads(Path(folder))),
        ).run()
    return console


def demo() -> Console:
    """The whole demo."""
    console = _recorder()
    terminal = Terminal(console, console)
    show = Demonstration(terminal)
    show.introduce()
    show.run(load_model(terminal))
    return console


def command_help() -> Console:
    """What ``hfchat --help`` prints."""
    return _command("--help")


def models() -> Console:
    """What ``hfchat models`` prints."""
    with LocalServer(port=8090) as server:
        return _command("models", "--base-url", server.base_url)


def conversations() -> Console:
    """What ``hfchat conversations`` prints."""
    titles = ("A trip to the lighthouse", "Bread without kneading", "Why leaves turn red")
    with LocalServer(port=8090) as server:
        cookies = server.cookies()
        with HuggingChat(server.base_url, cookies) as client:
            for title in titles:
                conversation = client.create_conversation()
                conversation.send(title)
                conversation.rename(title)
        session = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return _command("conversations", "--base-url", server.base_url, HUGGINGCHAT_COOKIES=session)


def _command(*arguments: str, **environment: str) -> Console:
    """Run the command as on a terminal, and draw what it prints."""
    done = subprocess.run(  # noqa: S603 - the command is ours
        [sys.executable, "-c", "from hfchat_base.cli import main; main()", *arguments],
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    console = _recorder()
    console.print(Line.from_ansi(done.stdout.strip("\n")))
    return console


def _recorder() -> Console:
    return Console(
        record=True,
        file=StringIO(),
        width=WIDTH,
        force_terminal=True,
        force_interactive=False,
        color_system="truecolor",
        theme=THEME,
        highlight=False,
        emoji=False,
    )


def _svg(console: Console, name: str, title: str) -> str:
    """Draw a recorded console with the reader's own fonts: a picture should fetch nothing."""
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    fonts = "ui-monospace, 'Fira Code', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    svg = console.export_svg(
        title=title, theme=COLOURS, code_format=form, unique_id=name, font_aspect_ratio=0.6
    )
    return svg.replace("Fira Code, monospace", fonts)


PICTURES: Final[dict[str, tuple[str, Callable[[], Console]]]] = {
    "chat": ("hfchat chat", chat),
    "demo": ("hfchat demo", demo),
    "help": ("hfchat --help", command_help),
    "models": ("hfchat models", models),
    "conversations": ("hfchat conversations", conversations),
}


def main() -> None:
    """Make the pictures that are named, or all of them."""
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        title, draw = PICTURES[name]
        (IMAGES / f"{name}.svg").write_text(_svg(draw(), name, title), encoding="utf-8")


if __name__ == "__main__":
    main()
