"""What a server says while it answers: one frozen class per thing.

These are the objects that a stream yields. Not here: how they are read from bytes
(`_protocol/decoder.py`) and how they add up to an answer (`_protocol/accumulator.py`).

Which event of the wire becomes which class is decided in `_protocol/decoder.py`. The server's types
are data, so every field holds what was sent, with NUL padding already removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Union

__all__ = [
    "Artifact",
    "ArtifactDelta",
    "ArtifactEdit",
    "ArtifactEnded",
    "ArtifactOperation",
    "ArtifactStarted",
    "ArtifactType",
    "ElicitationRequest",
    "ElicitationResolved",
    "Event",
    "File",
    "FinalAnswer",
    "ReasoningDelta",
    "ReasoningStatus",
    "RouterMetadata",
    "Source",
    "Sources",
    "Status",
    "TextDelta",
    "Title",
    "ToolCall",
    "ToolError",
    "ToolEta",
    "ToolProgress",
    "ToolResult",
    "Unknown",
    "WebSearchUpdate",
]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's thinking, without the tags around it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningStatus:
    """A one-line summary of what the model is thinking about (legacy servers)."""

    status: str


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The server's own idea of the finished text. Not the end: a title may follow.

    Attributes:
        text: The text without the thinking. With server-run tools it leaves out what was said
            before the last call, so it may be shorter than what was streamed.
        interrupted: Whether the run was stopped before the model was done.
    """

    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Title:
    """The title that the server gave the conversation."""

    title: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where the run is: ``started``, ``keepAlive``, ``finished``, ``error`` or a newer word.

    Attributes:
        message: What went wrong, with ``error``.
        status_code: HTTP status of the model behind the server, if the server names it.
    """

    status: str
    message: str | None = None
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The server begins to run a tool (over MCP), on the model's request."""

    uuid: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolEta:
    """How long a tool is expected to take, in seconds."""

    uuid: str
    eta: float


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """How far a tool is, in the tool's own unit.

    Attributes:
        progress: Steps done.
        total: Steps in all, or None if the tool did not say.
        message: What the tool is doing, or None.
    """

    uuid: str
    progress: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool is done.

    Attributes:
        output: The text that it gave to the model.
        outputs: The result blocks as the server sent them.
    """

    uuid: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    outputs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ToolError:
    """A tool failed. The run continues, and the model learns of it."""

    uuid: str
    message: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that belongs to the answer, such as a generated image.

    Attributes:
        name: The server's name for it. Data, never a path to write to.
        sha: What the file is fetched by.
        mime: Its MIME type.
    """

    name: str
    sha: str
    mime: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page that the answer leans on."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """The pages that a web search found."""

    sources: tuple[Source, ...]


ArtifactType = Literal["html", "svg", "react", "mermaid", "code", "markdown"]

ArtifactOperation = Literal["create", "rewrite", "update"]

_SUFFIXES: Final = {
    "html": "html", "svg": "svg", "react": "jsx", "mermaid": "mmd", "markdown": "md",
}  # fmt: skip
_CODE_SUFFIXES: Final = {
    "bash": "sh", "c": "c", "c++": "cpp", "cpp": "cpp", "csharp": "cs", "css": "css", "go": "go",
    "html": "html", "java": "java", "javascript": "js", "json": "json", "kotlin": "kt",
    "php": "php", "python": "py", "ruby": "rb", "rust": "rs", "scss": "scss", "shell": "sh",
    "sql": "sql", "swift": "swift", "toml": "toml", "typescript": "ts", "yaml": "yaml",
}  # fmt: skip
_NOT_IN_NAME: Final = re.compile(r"[^\w-]+")
_MOST_OF_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class ArtifactEdit:
    """One change of an update: the first `old` becomes `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of a document that a model has written apart from its text.

    Attributes:
        identifier: What the model calls it; the same for all of its versions.
        type: What it is.
        title: What people read.
        language: The programming language, if the model names one.
        content: All of it.
        version: Counts its versions in the conversation from 1; 0 if it is an update of something
            that the conversation does not hold.
        operation: How this version was made: ``create``, ``rewrite`` (of the whole) or ``update``.
        is_complete: Whether the model was done with it.
        edits: What an update changes.
        failed_edits: How many of them found no place. They are left out of `content`.
    """

    identifier: str
    type: ArtifactType = "code"
    title: str = ""
    language: str | None = None
    content: str = field(default="", repr=False)
    version: int = 1
    operation: ArtifactOperation = "create"
    is_complete: bool = True
    edits: tuple[ArtifactEdit, ...] = field(default=(), repr=False)
    failed_edits: int = 0

    @property
    def file_name(self) -> str:
        """A name for a file with its content, made of letters, digits, dashes and a suffix."""
        name = _NOT_IN_NAME.sub("-", self.identifier)[:_MOST_OF_NAME].strip("-") or "artifact"
        language = (self.language or "").lower()
        suffix = _SUFFIXES.get(self.type) or _CODE_SUFFIXES.get(language, "txt")
        return f"{name}.{suffix}"


@dataclass(frozen=True, slots=True)
class ArtifactStarted:
    """A model begins to write a document. What it is: see `Artifact`.

    Until its `ArtifactEnded`, each piece of the document comes twice: as an `ArtifactDelta`, and in
    a fenced code block as part of the answer's text (`TextDelta`).
    """

    identifier: str
    type: ArtifactType
    title: str
    language: str | None
    version: int
    operation: ArtifactOperation


@dataclass(frozen=True, slots=True)
class ArtifactDelta:
    """The next piece of a document. An update comes as one piece, which is all of the new version.

    Attributes:
        identifier: Whose.
        text: The piece, without the fence.
    """

    identifier: str
    text: str


@dataclass(frozen=True, slots=True)
class ArtifactEnded:
    """A document is written, or the answer has ended in the middle of it."""

    artifact: Artifact


@dataclass(frozen=True, slots=True)
class WebSearchUpdate:
    """A step of a web search (legacy servers)."""

    message: str
    args: tuple[str, ...] = ()
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class RouterMetadata:
    """Which model and provider answered; empty strings where the server left them out."""

    route: str = ""
    model: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class ElicitationRequest:
    """A tool asks the user something. The run waits for the reply.

    Attributes:
        elicitation_id: What the reply is addressed to.
        message: The question.
        fields: One dict a field: ``name``, ``kind``, ``title``, ``required``, ``default``, …
        server: The tool server that asks.
        mode: ``form`` (fill in the fields) or ``url`` (open a page).
        url: The page, with mode ``url``.
        expires_at: When the server stops waiting, in milliseconds since 1970, or None.
        tool_uuid: The tool run that asks, or None.
    """

    elicitation_id: str
    message: str
    fields: tuple[dict[str, Any], ...] = ()
    server: str = ""
    mode: str = "form"
    url: str | None = None
    expires_at: float | None = None
    tool_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class ElicitationResolved:
    """A tool's question was settled.

    Attributes:
        action: ``accept``, ``decline`` or ``cancel``.
        resolution: Who settled it: ``user``, or the server when nobody did.
    """

    elicitation_id: str
    action: str
    resolution: str = ""
    content: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something newer than this package, kept as it came."""

    raw: dict[str, Any]


Event = Union[
    TextDelta,
    ReasoningDelta,
    ReasoningStatus,
    ArtifactStarted,
    ArtifactDelta,
    ArtifactEnded,
    FinalAnswer,
    Title,
    Status,
    ToolCall,
    ToolEta,
    ToolProgress,
    ToolResult,
    ToolError,
    File,
    Sources,
    WebSearchUpdate,
    RouterMetadata,
    ElicitationRequest,
    ElicitationResolved,
    Unknown,
]
