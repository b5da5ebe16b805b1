"""What notebooks show of answers, conversations and models, as HTML.

Types call this from their `_repr_html_`. It reads what it is given and nothing else: no request,
no file, no IPython. `notebook.py` has what a user calls.

**What a model or a server wrote never runs in the notebook's page.** Every text is escaped.
Markdown becomes HTML by markdown-it with raw HTML switched off, so tags are shown as text. Links
are kept only for ``http``, ``https`` and ``mailto``. An image in Markdown becomes a link, because a
page would fetch it at once, and its address can carry away what the conversation holds. Only bytes
that were fetched already are shown as images, and only raster formats, which hold no script.
MathJax leaves the result alone, because TeX can hold links of its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final, Protocol

from hfchat_base.events import Source

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = [
    "answer_html",
    "conversation_html",
    "file_html",
    "models_html",
    "tree_html",
    "tree_text",
]

_SAFE_LINK: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_RASTER: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
_BOX: Final = '<div class="hfchat tex2jax_ignore mathjax_ignore">{}</div>'
_FOLDED: Final = "<details{}><summary>{}</summary>{}</details>"
_LINE_CHARS: Final = 72
_MAX_INDENT: Final = 20


class _File(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def sha(self) -> str: ...
    @property
    def mime(self) -> str: ...


class _Fetched(Protocol):
    @property
    def file(self) -> _File: ...
    @property
    def data(self) -> bytes | None: ...
    @property
    def problem(self) -> str: ...


class _ToolRun(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def output(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...


class _Artifact(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def failed_edits(self) -> int: ...


class _Answer(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def artifacts(self) -> Sequence[_Artifact]: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def files(self) -> Sequence[_File]: ...
    @property
    def sources(self) -> Sequence[Source]: ...
    @property
    def tool_runs(self) -> Sequence[_ToolRun]: ...
    @property
    def finish_reason(self) -> str | None: ...


class _Model(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def accepts_images(self) -> bool: ...
    @property
    def supports_tools(self) -> bool: ...
    @property
    def supports_reasoning(self) -> bool: ...
    @property
    def generates_images(self) -> bool: ...
    @property
    def is_router(self) -> bool: ...


class _Conversation(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def system_prompt(self) -> str: ...


class _Message(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...


def answer_html(
    answer: _Answer, fetched: Iterable[_Fetched] = (), *, is_complete: bool = True
) -> str:
    """Show an answer: reasoning and tool runs folded, then the text, its files and its sources.

    The code block of an artifact has its title above it; it is shown as code and never run.

    Args:
        answer: The answer.
        fetched: Those of its files whose bytes are there; images among them are shown.
        is_complete: Whether nothing more comes. Until there is text, the reasoning is unfolded.
    """
    parts = []
    if answer.reasoning:
        is_open = " open" if not (is_complete or answer.text) else ""
        parts.append(_FOLDED.format(is_open, "Reasoning", _markdown(answer.reasoning)))
    parts += map(_tool_run, answer.tool_runs)
    titles = {_code(artifact.content): _artifact_title(artifact) for artifact in answer.artifacts}
    parts.append(_markdown(answer.text, titles))
    if not is_complete:
        parts.append("<p>…</p>")
    elif answer.finish_reason == "interrupted":
        parts.append("<p><em>Stopped before the model was done.</em></p>")
    elif answer.finish_reason == "incomplete":
        parts.append("<p><em>This answer may be cut off: the server sent no end of it.</em></p>")
    by_sha = {file.file.sha: file for file in fetched}
    for file in answer.files:
        parts.append(_file(by_sha[file.sha]) if file.sha in by_sha else _file_name(file))
    if answer.sources:
        items = "".join(f"<li>{_link(it.url, it.title or it.url)}</li>" for it in answer.sources)
        parts.append(f"<p><strong>Sources</strong></p><ol>{items}</ol>")
    return _boxed("".join(parts))


def file_html(fetched: _Fetched) -> str:
    """Show a fetched file: an image as one, anything else by its name."""
    return _boxed(_file(fetched))


def models_html(models: Iterable[_Model]) -> str:
    """Show models as a table: what each is called, and what it can do."""
    abilities: tuple[tuple[str, Callable[[_Model], bool]], ...] = (
        ("Images in", lambda model: model.accepts_images),
        ("Images out", lambda model: model.generates_images),
        ("Reasoning", lambda model: model.supports_reasoning),
        ("Tools of the server", lambda model: model.supports_tools),
        ("Router", lambda model: model.is_router),
    )
    rows = [
        [
            f"<code>{escape(model.id)}</code>",
            *("✓" if has(model) else "" for _, has in abilities),
            escape(model.description),
        ]
        for model in models
    ]
    return _boxed(_table(["Model", *(title for title, _ in abilities), "Description"], rows))


def conversation_html(conversation: _Conversation) -> str:
    """Show what is known of a conversation without asking the server."""
    known = {
        "Model": f"<code>{escape(conversation.model)}</code>",
        "ID": f"<code>{escape(conversation.id)}</code>",
    }
    if conversation.system_prompt:
        known["System prompt"] = _plain(conversation.system_prompt)
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in known.items())
    title = escape(conversation.title or "Conversation")
    return _boxed(f"<p><strong>{title}</strong></p><table><tbody>{rows}</tbody></table>")


def tree_html(messages: Sequence[_Message]) -> str:
    """Show the messages of a conversation as a tree; each branch is indented and numbered."""
    rows = []
    for depth, branch, message in _walk(messages):
        line = escape(f"{branch}{_speaker(message)}: {_first_line(message.content)}")
        if _first_line(message.content) != message.content:
            line = _FOLDED.format("", line, _markdown(message.content))
        indent = 2 * min(depth, _MAX_INDENT)
        rows.append(f'<div style="margin-left: {indent}em">{line}</div>')
    return _boxed("".join(rows))


def tree_text(messages: Sequence[_Message]) -> str:
    """Write the same tree as plain text, one line per message."""
    return "\n".join(
        f"{'    ' * min(depth, _MAX_INDENT)}{branch}{_speaker(message)}:"
        f" {_first_line(message.content)}"
        for depth, branch, message in _walk(messages)
    )


def _walk(messages: Sequence[_Message]) -> Iterator[tuple[int, str, _Message]]:
    """Visit a tree from its root: depth, number of the branch that begins here, message.

    A message is one step deeper than its parent only where there are several answers to choose
    from, so a long conversation without branches stays at the margin.
    """
    ids = {message.id for message in messages}
    children: dict[str | None, list[_Message]] = {}
    for message in messages:
        parent = message.parent_id if message.parent_id in ids else None
        children.setdefault(parent, []).append(message)
    waiting = [(0, "", message) for message in reversed(children.get(None, []))]
    while waiting:
        depth, branch, message = waiting.pop()
        if message.content or message.role != "system":  # the root of a conversation is often empty
            yield depth, branch, message
        following = children.pop(message.id, [])
        count = len(following)
        waiting += (
            (depth + (count > 1), f"[{number}/{count}] " if count > 1 else "", child)
            for number, child in reversed(list(enumerate(following, start=1)))
        )


def _speaker(message: _Message) -> str:
    return message.role.capitalize()


def _first_line(text: str) -> str:
    line, *more = text.strip().splitlines() or [""]
    if len(line) > _LINE_CHARS:
        return line[: _LINE_CHARS - 1].rstrip() + "…"
    return f"{line} …" if more else line


def _tool_run(run: _ToolRun) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in run.arguments.items())
    said = f"Failed: {run.error}" if run.error is not None else run.output or ""
    return _FOLDED.format("", f"Tool: {escape(run.name)}", _plain(f"{arguments}\n{said}".strip()))


def _artifact_title(artifact: _Artifact) -> str:
    details = artifact.type
    if artifact.version > 1:
        details += f", version {artifact.version}"
    if artifact.failed_edits:
        details += f", changes that could not be made: {artifact.failed_edits}"
    return f"<p><strong>{escape(artifact.title)}</strong> ({escape(details)})</p>"


def _code(content: str) -> str:
    """The content of a code block, by which an artifact is known in the text."""
    return content.strip("\n")


def _file(fetched: _Fetched) -> str:
    file = fetched.file
    if fetched.data is None:
        return f"{_file_name(file)}<p>{escape(fetched.problem)}</p>"
    if file.mime not in _RASTER:
        return _file_name(file)
    content = b64encode(fetched.data).decode()
    return f'<p><img src="data:{file.mime};base64,{content}" alt="{escape(file.name)}"></p>'


def _file_name(file: _File) -> str:
    return f"<p>File: <code>{escape(file.name)}</code> ({escape(file.mime)})</p>"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _link(url: str, text: str) -> str:
    if not _SAFE_LINK.match(url):
        return escape(text if text == url else f"{text} ({url})")
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def _boxed(content: str) -> str:
    """Put content into the box that MathJax ignores, in a form that UTF-8 can hold."""
    return _BOX.format(content).encode("utf-8", "replace").decode()


def _plain(text: str) -> str:
    return f'<div style="white-space: pre-wrap">{escape(text)}</div>'


def _markdown(text: str, titles: Mapping[str, str] | None = None) -> str:
    """Render Markdown, or show it as it is where markdown-it is not installed.

    Args:
        text: The Markdown.
        titles: What stands above code blocks, as HTML, by their content.
    """
    renderer = _renderer()
    if renderer is None:
        return _plain(text)
    rendered: str = renderer.render(text, {"titles": titles or {}})
    return rendered


@lru_cache(maxsize=1)
def _renderer() -> MarkdownIt | None:
    try:
        from markdown_it import MarkdownIt  # noqa: PLC0415 - an extra, and only for display
    except ImportError:
        return None
    renderer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    renderer.validateLink = _is_safe_link  # type: ignore[method-assign]
    renderer.add_render_rule("image", _image_as_link)
    renderer.add_render_rule("link_open", _link_open)
    renderer.add_render_rule("fence", _fence)
    return renderer


def _is_safe_link(url: str) -> bool:
    return _SAFE_LINK.match(url) is not None


def _image_as_link(_: Any, tokens: Sequence[Any], index: int, *__: Any) -> str:
    url = str(tokens[index].attrs["src"])
    return _link(url, tokens[index].content or url)


def _fence(renderer: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    block: str = renderer.fence(tokens, index, options, env)
    return f"{env['titles'].get(_code(tokens[index].content), '')}{block}"


def _link_open(renderer: Any, tokens: Sequence[Any], index: int, options: Any, _: Any) -> str:
    tokens[index].attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
    html: str = renderer.renderToken(tokens, index, options, {})
    return html
