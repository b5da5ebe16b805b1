"""What notebooks show of values: what is in them, and nothing that could run or fetch anything."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from hfchat_base import (
    Answer,
    AnswerFile,
    Artifact,
    AsyncHuggingChat,
    FetchedFile,
    HuggingChat,
    Model,
    Source,
    ToolRun,
    _display,
)
from hfchat_base.local import LocalServer
from hfchat_base.types import ModelList
from tests.support import extras

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<a href='javascript:alert(1)'>a</a>",
    "</div></details><style>*{display:none}</style><script>alert(1)</script>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](vbscript:x) [b](command:workbench.action.quit) [c](file:///etc/passwd) [d](/api/shutdown)",
    "<javascript:alert(1)>",
    "![a](javascript:alert(1)) ![b](data:image/svg+xml;base64,PHN2Zy8+)",
    "![secret](https://127.0.0.1/?stolen=conversation)",
    "[![a](https://127.0.0.1/a.png)](javascript:alert(1))",
    '[a](https://127.0.0.1/"onmouseover="alert(1) "title\\" onclick=\\"alert(1)")',
    '[a]: javascript:alert(1)\n\n[a] ![x" onerror="alert(1)](https://127.0.0.1)',
    '```html onload=alert(1) "><script>alert(1)</script>\n<script>alert(1)</script>\n```',
    "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
    "$\\href{javascript:alert(1)}{x}$",
)
"""What a model might write because a page that it has read says so."""

_ALLOWED: Final = {
    "a", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "hr", "img", "li", "ol",
    "p", "pre", "s", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES: Final = {"alt", "class", "href", "open", "rel", "src", "style", "target", "title"}
_VOID: Final = {"br", "hr", "img"}


class _Page(HTMLParser):
    """Reads HTML as a browser does, and notes what could run or be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.dangers: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        if tag not in _ALLOWED:
            self.dangers.append(tag)
        for name, value in attrs:
            if name not in _ATTRIBUTES:
                self.dangers.append(name)
            if name == "href" and not re.match("https?://|mailto:", value or ""):
                self.dangers.append(value or "")
            if name == "src" and not re.match("data:image/(png|jpeg|gif|webp);", value or ""):
                self.dangers.append(value or "")
            if name == "style" and value != "white-space: pre-wrap":
                self.dangers += re.sub(r"^margin-left: \d+em$", "", value or "").split()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.dangers.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> _Page:
    """Read what would be shown, which must be balanced and harmless."""
    page = _Page(html)
    assert page.dangers == []
    assert page.open == []
    return page


ARTIFACT: Final = Artifact("p", "html", 'A <b onclick="alert(1)">page</b>', content="<h1>x</h1>")


def test_artifact_has_its_title() -> None:
    """The code block of an artifact has its title above it, and is code, whatever is in it."""
    extras.require("notebook")
    page = "<script>alert(1)</script>"
    changed = replace(ARTIFACT, content=page, version=2, failed_edits=1)
    text = f"First:\n```html\n<h1>x</h1>\n```\nThen:\n```html\n{page}\n```\n```py\nother\n```"
    html = Answer(text=text, artifacts=(ARTIFACT, changed))._repr_html_()
    title = "<p><strong>A &lt;b onclick=&quot;alert(1)&quot;&gt;page&lt;/b&gt;</strong> (html"
    assert f"{title})</p><pre>" in html
    assert f"{title}, version 2, changes that could not be made: 1)</p><pre>" in html
    assert html.count("<strong>") == 2
    assert page not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_an_answer_shows_itself() -> None:
    """Text, folded reasoning, tool runs, files and sources of an answer are all there."""
    extras.require("notebook")
    answer = Answer(
        text="**Bread** & `cheese`",
        reasoning="Hm, *lunch*.",
        files=(AnswerFile(name="a.png", sha="1", mime="image/png"),),
        sources=(Source("https://127.0.0.1/a?b=1&c=2", "A page"), Source("https://127.0.0.1/")),
        tool_runs=(ToolRun(uuid="1", name="bake", arguments={"n": 2}, output="two loaves"),),
        finish_reason="interrupted",
    )
    html = _html(answer)
    assert "<strong>Bread</strong> &amp; <code>cheese</code>" in html
    assert "<details><summary>Reasoning</summary><p>Hm, <em>lunch</em>.</p>" in html
    text = read(html).text
    for part in ("a.png", "A page", "https://127.0.0.1/", "bake", "n=2", "two loaves", "Stopped"):
        assert part in text


def test_an_incomplete_answer_says_so() -> None:
    """An answer without its end is not shown as if it were whole."""
    assert "may be cut off" in read(_html(Answer(text="Bread", finish_reason="incomplete"))).text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("has_markdown", [True, False], ids=["markdown", "plain"])
def test_nothing_of_an_answer_runs(
    text: str, has_markdown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a model writes, in whichever field, is shown and neither runs nor fetches."""
    if has_markdown:
        extras.require("notebook")
    else:
        monkeypatch.setitem(sys.modules, "markdown_it", None)
    _display._renderer.cache_clear()
    file = AnswerFile(name=text, sha=text, mime=text)
    answer = Answer(
        text=text,
        reasoning=text,
        files=(file,),
        sources=(Source(text, text), Source("javascript:alert(1)"), Source(f"https://{text}")),
        tool_runs=(
            ToolRun(uuid="1", name=text, arguments={text: text}, output=text),
            ToolRun(uuid="2", name=text, error=text),
        ),
    )
    model = Model(id=text, name=text, description=text)
    message = _Message(id=text, role=text, content=text)
    try:
        read(_html(answer))
        read(_display.answer_html(answer, [FetchedFile(file=file, data=text.encode())]))
        read(_html(FetchedFile(file=file, problem=text)))
        read(_html(ModelList([model])))
        read(_display.conversation_html(_Conversation(text)))
        read(_display.tree_html([message, _Message("2", text, f"{text}\n{text}", text)]))
    finally:
        _display._renderer.cache_clear()


def test_formulas_are_left_alone() -> None:
    """MathJax skips an answer: TeX can hold links that run scripts."""
    assert 'class="hfchat tex2jax_ignore mathjax_ignore"' in _html(Answer(text="$x$"))


def test_a_picture_in_markdown_is_a_link() -> None:
    """A page would fetch a picture at once, and reveal with its address what was said."""
    extras.require("notebook")
    html = _html(Answer(text="![a cat](https://127.0.0.1/cat.png)"))
    assert "<img" not in html
    assert '<a href="https://127.0.0.1/cat.png"' in html
    assert "a cat" in read(html).text


def test_without_markdown_the_text_is_shown() -> None:
    """Without markdown-it an answer is shown as it was written."""
    _display._renderer.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "markdown_it", None)
        html = _html(Answer(text="**a** < b"))
    _display._renderer.cache_clear()
    assert "**a** &lt; b" in html


def test_a_fetched_image_is_shown() -> None:
    """The bytes of a raster image are in the page; an SVG is only named."""
    png, svg = (
        FetchedFile(file=AnswerFile(name=name, sha=name, mime=mime), data=b"bytes")
        for name, mime in (("a.png", "image/png"), ("a.svg", "image/svg+xml"))
    )
    assert '<img src="data:image/png;base64,Ynl0ZXM=" alt="a.png">' in _html(png)
    assert "<img" not in _html(svg)
    answer = Answer(text="Here.", files=(png.file, svg.file))
    assert "<img" not in _html(answer)
    assert _display.answer_html(answer, [png, svg]).count("<img") == 1


def test_lone_surrogates_are_shown() -> None:
    """What UTF-8 cannot hold is replaced, because notebooks are sent and saved in it."""
    assert _html(Answer(text="a\ud83d")).encode()


def test_models_are_a_list(server: LocalServer) -> None:
    """What `get_models` returns is a list like any other, and a table in a notebook."""
    with HuggingChat(server.base_url) as client:
        models = client.get_models()
    assert isinstance(models, list)
    assert models == list(models)
    assert "echo/vision" in read(_html(models)).text


async def test_models_of_the_asynchronous_client(server: LocalServer) -> None:
    """The asynchronous client's list shows itself, too."""
    async with AsyncHuggingChat(server.base_url) as client:
        assert "echo/vision" in _html(await client.get_models())


def test_a_conversation_shows_what_it_knows(server: LocalServer) -> None:
    """Showing a conversation asks the server nothing."""
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("echo/base", "Be <b>terse</b>.")
        server.clear_requests()
        text = read(_html(conversation)).text
        assert server.requests == []
    for part in (conversation.id, "echo/base", "Be <b>terse</b>."):
        assert part in text


def test_circles_in_a_tree_end() -> None:
    """Messages that name each other as parents do not keep the display from ending."""
    circle = [_Message("1", "user", "a", "2"), _Message("2", "user", "b", "1")]
    root = _Message("3", "user", "c", "gone")
    assert _display.tree_text([*circle, root]) == "User: c"


class _Message:
    def __init__(self, id: str, role: str, content: str, parent_id: str | None = None) -> None:  # noqa: A002 - the name of the field
        self.id, self.role, self.content, self.parent_id = id, role, content, parent_id


class _Conversation:
    def __init__(self, text: str) -> None:
        self.id = self.model = self.title = self.system_prompt = text


def _html(value: Any) -> str:
    html: str = value._repr_html_()
    return html
