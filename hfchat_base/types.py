"""What callers pass in and get back, apart from events and errors.

Plain data with no behaviour of its own; what needs a server is in `conversation.py` and
`client.py`. What clients hand out are pydantic models (`Value`), which can be written as JSON and
read back. `Upload` lives in `files.py`, because making one means reading files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from typing_extensions import TypedDict  # pydantic wants it before Python 3.12

from hfchat_base._display import answer_html, file_html, models_html
from hfchat_base.events import Artifact, ElicitationRequest, Source

__all__ = [
    "ASSUMED_CONTEXT_WINDOW",
    "Answer",
    "AnswerFile",
    "AnswerReference",
    "Artifact",
    "ArtifactsOption",
    "AsHistory",
    "Attachment",
    "ChatMessage",
    "ConversationInfo",
    "FetchedFile",
    "FinishReason",
    "FullConversation",
    "McpCheck",
    "McpServer",
    "McpServerConfig",
    "McpServerInfo",
    "McpTool",
    "Message",
    "MessageFile",
    "MessageOptions",
    "MessageState",
    "Model",
    "ModelDetails",
    "ModelList",
    "ModelProvider",
    "OnElicitation",
    "PromptExample",
    "ProtocolCheck",
    "ReasoningEffort",
    "Retry",
    "RetryReason",
    "Role",
    "RunningAnswer",
    "ServerFeatures",
    "ServerStatus",
    "Settings",
    "SettingsChanges",
    "SharedConversation",
    "Source",
    "ToolRun",
    "User",
    "Value",
    "branch_to",
]


class Attachment(Protocol):
    """What is attached to a message; `hfchat_base.Upload` is one.

    Attributes:
        name: What the server stores it as.
        data: Its bytes.
        mime: Its MIME type.
        is_image: Whether only a vision model can read it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class
    @property
    def data(self) -> bytes: ...  # noqa: D102 - see the class
    @property
    def mime(self) -> str: ...  # noqa: D102 - see the class
    @property
    def is_image(self) -> bool: ...  # noqa: D102 - see the class


Role = Literal["system", "user", "assistant"]

MessageState = Literal["running", "complete", "interrupted", "failed"]

FinishReason = Literal["stop", "interrupted", "incomplete"]
"""``stop``: the model was done. ``interrupted``: this client stopped it. ``incomplete``: the server
ended the answer without a final text, which it does where the model neither was done nor had
reached its length limit: mostly a content filter, or a model that gave no reason (S; it does not
say which). chat-ui does not tell a length limit from a natural end: the model's own
``finish_reason`` is not passed on."""


class McpServerConfig(TypedDict, total=False):
    """A tool server of one's own: ``name`` and ``url``, and ``headers`` if it wants any."""

    name: str
    url: str
    headers: Mapping[str, str]


ArtifactsOption = Union[Literal["text", "raw"], bool]
"""What to do about artifacts, the documents that models write in tags of their own.

``text`` (the default) puts a fenced code block in the place of each, ``raw`` leaves the tags in the
text. True and False also switch the account's setting for the model: whether it is told to write
artifacts at all.
"""

ASSUMED_CONTEXT_WINDOW: Final = 32_768
"""Tokens that a model is assumed to see where the server does not say, as on self-hosted servers.
The models on HuggingChat see at least as many."""

ReasoningEffort = Literal["low", "medium", "high"]
"""How long a model may think before it answers."""

McpServer = Union[str, McpServerConfig]
"""The name of one of the server's own MCP servers, or the address of another."""

OnElicitation = Callable[
    [ElicitationRequest],
    Union[Mapping[str, Any], None, Awaitable[Union[Mapping[str, Any], None]]],
]
"""Gets a tool's question; returns the content to accept with, or None to decline.

The asynchronous client also takes a coroutine function.
"""


class MessageOptions(TypedDict, total=False):
    """What can go with a message.

    Attributes:
        web_search: Whether to search the web for it.
        mcp_servers: Tool servers to offer: names of the server's own, or ``{"name", "url",
            "headers"}``. By default none.
        on_elicitation: Gets a tool's question; returns the content to accept with, or None to
            decline. By default questions are declined at once, so that no run waits for an hour.
        artifacts: What to do about artifacts; see `~hfchat_base.types.ArtifactsOption`.
        reasoning_effort: How long the model may think: ``low``, ``medium`` or ``high``.
        provider: Who runs the model: ``auto``, ``fastest``, ``cheapest`` or a provider's name
            (HuggingChat only).
        bill_to: The organisation that pays for the answer (HuggingChat only).
        restores_settings: Whether the account gets its former settings back once the answer has
            begun. By default it keeps the new ones.
        timezone: Name of the time zone that models with tools are told, such as ``Europe/Berlin``;
            False tells none.

    `reasoning_effort`, `provider`, `bill_to`, and `artifacts` as True or False, are settings of the
    account: they are written before the message is sent, so that the user's browser shows them,
    too, and they stay. Messages of one process that want different ones wait for each other until
    their answers begin. A message that wants none is answered with what the account has then.
    """

    web_search: bool
    mcp_servers: Sequence[McpServer]
    on_elicitation: OnElicitation | None
    artifacts: ArtifactsOption | None
    reasoning_effort: ReasoningEffort | None
    provider: str | None
    bill_to: str | None
    restores_settings: bool | None
    timezone: str | Literal[False] | None


class Value(BaseModel):
    """What a client returns. It is frozen, and its JSON can be read back.

    ``model_dump_json()`` writes JSON and ``model_validate_json(…)`` reads it, also that of a newer
    version with more fields. chat-ui cuts text at UTF-16 units, so a text may hold a lone surrogate
    (S), which JSON in UTF-8 cannot: there it becomes U+FFFD.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        ser_json_inf_nan="constants",
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    @model_serializer(mode="wrap")
    def _without_lone_surrogates(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> Any:
        data = handler(self)
        return _without_surrogates(data) if info.mode == "json" else data


def _without_surrogates(data: Any) -> Any:
    if isinstance(data, str):
        return (
            data
            if data.isascii()
            else data.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(data, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in data.items()}
    return [_without_surrogates(item) for item in data] if isinstance(data, list) else data


class Model(Value):
    """A model of the server.

    Attributes:
        id: What requests name it by.
        name: What people read.
        description: A sentence, or empty.
        accepts_images: Whether it sees images.
        accepted_mime_types: MIME patterns of attachments that it sees, such as ``image/*``.
        supports_tools: Whether the server offers it MCP tools.
        supports_reasoning: Whether the server knows it as a thinking model.
        generates_images: Whether its answers are images.
        is_router: Whether it picks another model for each message.
        unlisted: Whether the server hides it from its own list.
        preprompt: The server's own system prompt for it, or empty.
    """

    id: str
    name: str = ""
    description: str = ""
    accepts_images: bool = False
    accepted_mime_types: tuple[str, ...] = ()
    supports_tools: bool = False
    supports_reasoning: bool = False
    generates_images: bool = False
    is_router: bool = False
    unlisted: bool = False
    preprompt: str = ""

    def __str__(self) -> str:
        return self.id


class ModelList(list[Model]):
    """A list of models that a notebook shows as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return models_html(self)


class ModelProvider(Value):
    """Who runs a model for HuggingChat.

    Attributes:
        name: What `provider` takes.
        status: Such as ``live``; empty if the server does not say.
        context_length: Tokens that the model sees there, or None.
        input_price: Dollars for a million tokens of the prompt, or None.
        output_price: Dollars for a million tokens of the answer, or None.
        supports_tools: Whether it takes tools.
        supports_structured_output: Whether it holds an answer to a schema.
    """

    name: str
    status: str = ""
    context_length: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    supports_tools: bool = False
    supports_structured_output: bool = False


class PromptExample(Value):
    """A prompt that the page offers for a model."""

    title: str
    prompt: str


class ModelDetails(Model):
    """All that a server says of one model. Legacy servers say no more than in their list.

    Attributes:
        supports_artifacts: Whether it is told to write artifacts, if no setting says otherwise.
        context_length: Tokens that it sees at most, at the provider that gives it most, or None.
        max_output_tokens: Tokens of an answer at most, or None if the server sets no limit.
        stop_sequences: What ends its answers, by the server's own settings.
        providers: Who runs it; empty on self-hosted servers.
        prompt_examples: Prompts that the page offers.
        logo_url: Its picture, or empty.
        website_url: Its page, or empty.
        reasoning_efforts: What `reasoning_effort` takes for it; empty if it takes none.
    """

    supports_artifacts: bool = False
    context_length: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    providers: tuple[ModelProvider, ...] = ()
    prompt_examples: tuple[PromptExample, ...] = ()
    logo_url: str = ""
    website_url: str = ""
    reasoning_efforts: tuple[ReasoningEffort, ...] = ()

    def context_window(self, provider: str | None = None) -> int | None:
        """Tokens that surely fit, prompt and answer together; None if the server does not say.

        Args:
            provider: Who runs the model. If that is not chosen by name, any provider may answer, so
                the smallest window counts.
        """
        windows = {each.name: each.context_length for each in self.providers if each.context_length}
        return windows.get(provider or "") or min(windows.values(), default=self.context_length)


class McpServerInfo(Value):
    """One of the server's own MCP servers; `mcp_servers` takes its name.

    Attributes:
        name: Its name.
        url: Its address.
        is_web_search: Whether `web_search` uses it.
    """

    name: str
    url: str = ""
    is_web_search: bool = False


class McpTool(Value):
    """A tool of an MCP server."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = Field(default_factory=dict)


class McpCheck(Value):
    """What a server has found out about an MCP server.

    Attributes:
        is_ready: Whether its tools can be used.
        tools: Its tools.
        needs_login: Whether it wants credentials, or others.
        problem: Why it is not ready; empty if it is.
    """

    is_ready: bool
    tools: tuple[McpTool, ...] = ()
    needs_login: bool = False
    problem: str = ""


class RunningAnswer(Value):
    """An answer that is being written, in any of the account's conversations."""

    conversation_id: str
    title: str = ""


class ProtocolCheck(Value):
    """How one route of a server differs from what this version knows of it.

    Attributes:
        route: Method and path, the dynamic parts of which are in braces.
        status: The HTTP status that came.
        differences: Such as ``new: messages[].mood``. They hold names of fields, and no values.
    """

    route: str
    status: int
    differences: tuple[str, ...] = ()


class ServerFeatures(Value):
    """What a server has switched on, and how it is configured for everybody.

    Attributes:
        name: What it calls itself, such as ``HuggingChat``.
        version: The version of chat-ui, or empty.
        login: Whether people can log in.
        transcription: Whether it turns speech into text.
        router_model: The id of its router model, or empty.
        config: Its public configuration as it sends it.
    """

    name: str = ""
    version: str = ""
    login: bool = False
    transcription: bool = False
    router_model: str = ""
    config: Mapping[str, Any] = Field(default_factory=dict)


class Settings(Value):
    """The settings of an account, or of a guest. The page shows and changes the same ones.

    A setting that the server does not have keeps its default here. Those with a value for each
    model have the model's id as the key.

    Attributes:
        active_model: The model of new conversations on the page, and `default_model` here.
        reasoning_effort_overrides: How long a model may think: ``low``, ``medium`` or ``high``.
        artifacts_overrides: Whether a model is told to write artifacts.
        provider_overrides: Who runs a model: ``auto``, ``fastest``, ``cheapest`` or a provider's
            name (HuggingChat only).
        billing_organization: The organisation that pays for answers, or None (HuggingChat only).
        custom_prompts: System prompts of the page's new conversations.
        custom_prompts_enabled: Whether they are used.
        multimodal_overrides: Whether a model is shown images (self-hosted servers only).
        tools_overrides: Whether a model is offered tools (self-hosted servers only).
        reasoning_overrides: Whether a model counts as one that can reason (self-hosted servers
            only).
        hide_prompt_examples: Whether the page shows no examples.
        share_conversations_with_model_authors: Whether authors of models may read conversations.
            Servers have it on unless it is switched off.
        streaming_mode: How the page shows an answer that comes: ``smooth`` or ``raw``.
        direct_paste: Whether the page pastes long texts as text.
        haptics_enabled: Whether the page vibrates.
        disable_stream: Whether the page waits for whole answers (legacy servers).
        hide_emoji_on_sidebar: Whether the page leaves emoji out (legacy servers).
    """

    active_model: str = ""
    reasoning_effort_overrides: Mapping[str, ReasoningEffort] = Field(default_factory=dict)
    artifacts_overrides: Mapping[str, bool] = Field(default_factory=dict)
    provider_overrides: Mapping[str, str] = Field(default_factory=dict)
    billing_organization: str | None = None
    custom_prompts: Mapping[str, str] = Field(default_factory=dict)
    custom_prompts_enabled: Mapping[str, bool] = Field(default_factory=dict)
    multimodal_overrides: Mapping[str, bool] = Field(default_factory=dict)
    tools_overrides: Mapping[str, bool] = Field(default_factory=dict)
    reasoning_overrides: Mapping[str, bool] = Field(default_factory=dict)
    hide_prompt_examples: Mapping[str, bool] = Field(default_factory=dict)
    share_conversations_with_model_authors: bool = True
    streaming_mode: Literal["raw", "smooth"] = "smooth"
    direct_paste: bool = False
    haptics_enabled: bool = True
    disable_stream: bool = False
    hide_emoji_on_sidebar: bool = False


class SettingsChanges(TypedDict, total=False):
    """What of the settings can be changed; see `Settings`.

    Where a setting has a value for each model, a change names some models and leaves the others as
    they are; None takes a model's value away.
    """

    active_model: str
    reasoning_effort_overrides: Mapping[str, ReasoningEffort | None]
    artifacts_overrides: Mapping[str, bool | None]
    provider_overrides: Mapping[str, str | None]
    billing_organization: str | None
    custom_prompts: Mapping[str, str | None]
    custom_prompts_enabled: Mapping[str, bool | None]
    multimodal_overrides: Mapping[str, bool | None]
    tools_overrides: Mapping[str, bool | None]
    reasoning_overrides: Mapping[str, bool | None]
    hide_prompt_examples: Mapping[str, bool | None]
    share_conversations_with_model_authors: bool
    streaming_mode: Literal["raw", "smooth"]
    direct_paste: bool
    haptics_enabled: bool
    disable_stream: bool
    hide_emoji_on_sidebar: bool


class User(Value):
    """Who the server thinks we are."""

    id: str
    username: str
    email: str = ""
    avatar_url: str = ""


class ServerStatus(Value):
    """What one response of a server says about the server.

    Attributes:
        status: HTTP status code.
        date: The server's clock, or None if the response does not hold it.
    """

    status: int
    date: datetime | None = None


class MessageFile(Value):
    """A file that is stored with a message; `sha` is what it is fetched by."""

    name: str
    sha: str
    mime: str


class Message(Value):
    """A stored message, one node of the conversation's tree.

    Attributes:
        id: The server's id.
        role: ``system``, ``user`` or ``assistant``.
        content: The text without the thinking. Where artifacts are shown as text, fenced code
            blocks stand in the place of their tags, as in `Answer.text`.
        parent_id: The message that this one answers or follows; None for the root.
        children: Ids of the messages that follow, oldest first; siblings are branches.
        reasoning: The thinking of an assistant's message.
        files: What was attached or produced.
        created_at: When it was stored, or None if the server did not say.
        generation_id: The run that wrote it (current servers), or None.
        state: How that run ended, or ``running``; ``complete`` for messages that no run wrote.
        router: The route and model that answered, where a router did.
        artifacts: The documents in an assistant's message, each in the version of this message.
    """

    id: str
    role: Role
    content: str
    parent_id: str | None = None
    children: tuple[str, ...] = ()
    reasoning: str = ""
    files: tuple[MessageFile, ...] = ()
    created_at: datetime | None = None
    generation_id: str | None = None
    state: MessageState = "complete"
    router: Mapping[str, str] = Field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will be written to it."""
        return self.state != "running"

    @property
    def interrupted(self) -> bool:
        """Whether its run was stopped before the model was done."""
        return self.state == "interrupted"


def branch_to(messages: Iterable[Message], message_id: str | None) -> list[Message]:
    """The messages of a branch, from its first down to one of them; none if that is not there.

    A branch that leads back to itself, which only a faulty server sends, ends where it repeats.
    """
    left = {message.id: message for message in messages}
    branch = []
    while message_id is not None and (message := left.pop(message_id, None)) is not None:
        branch.append(message)
        message_id = message.parent_id
    return branch[::-1]


class FullConversation(Value):
    """A conversation with all its messages, a tree by their `parent_id`."""

    id: str
    title: str = ""
    model: str = ""
    system_prompt: str = ""
    messages: tuple[Message, ...] = ()


class SharedConversation(FullConversation):
    """A conversation that somebody has shared."""


class ConversationInfo(Value):
    """A row of the conversation list."""

    id: str
    title: str
    model: str
    updated_at: datetime | None = None


class ToolRun(Value):
    """A tool that the server ran for the answer.

    Attributes:
        uuid: The server's id of this run.
        name: The tool's name.
        arguments: What the model called it with.
        output: The text that it gave to the model, or None if it did not end well.
        error: What went wrong, or None.
    """

    uuid: str
    name: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    output: str | None = None
    error: str | None = None


class AnswerFile(Value):
    """A file of an answer. `Conversation.download` fetches its bytes.

    Attributes:
        name: The server's name for it. Data, never a path to write to.
        sha: What the file is fetched by.
        mime: Its MIME type.
        conversation_id: Where it is stored.
    """

    name: str
    sha: str
    mime: str
    conversation_id: str = ""


class FetchedFile(Value):
    """A file of an answer with its bytes, or with the reason why they are missing.

    Attributes:
        file: Which one.
        data: Its bytes; None if they could not be fetched.
        problem: Why not; empty if they could.
    """

    file: AnswerFile
    data: bytes | None = Field(default=None, repr=False)
    problem: str = ""

    def _repr_html_(self) -> str:
        return file_html(self)

    def as_missing(self) -> dict[str, str]:
        """Say as plain data which file is missing and why, for the metadata of an answer."""
        return {
            "name": self.file.name,
            "sha": self.file.sha,
            "mime": self.file.mime,
            "reason": self.problem,
        }


class Answer(Value):
    """A whole answer, or with an error what had arrived of it.

    Attributes:
        text: The text without the thinking. Fenced code blocks stand in the place of artifacts'
            tags, unless it was asked for as ``artifacts="raw"``.
        reasoning: The thinking.
        artifacts: The documents in the text, in the order in which they were written; an update is
            a new version of one, applied to the latest that the conversation holds.
        files: Files of the answer, such as generated images.
        sources: Pages that it leans on.
        tool_runs: Tools that the server ran for it.
        title: The conversation's title, if the server gave one during this run.
        finish_reason: ``stop``, ``interrupted``, ``incomplete`` (the server sent no end, mostly
            because of a content filter), or None while it is not finished.
        model: The model that was asked.
        conversation_id: Where it is stored.
        message_id: Its own id, what a next message continues from; None if it is not known.
        generation_id: The run that wrote it (current servers), or None.
        router: ``route``, ``model`` and ``provider`` that served it, as far as the server said.
        history_id: Identifies the history that ends with this answer, in every process; None if its
            conversation is not to be continued. See `AnswerReference`.
    """

    text: str = ""
    reasoning: str = ""
    artifacts: tuple[Artifact, ...] = ()
    files: tuple[AnswerFile, ...] = ()
    sources: tuple[Source, ...] = ()
    tool_runs: tuple[ToolRun, ...] = ()
    title: str | None = None
    finish_reason: FinishReason | None = None
    model: str = ""
    conversation_id: str = ""
    message_id: str | None = None
    generation_id: str | None = None
    router: Mapping[str, str] = Field(default_factory=dict)
    history_id: str | None = None

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return answer_html(self)

    @property
    def reference(self) -> AnswerReference | None:
        """Where the server keeps this answer, for the message that holds it; None if unknown."""
        if self.message_id is None or self.history_id is None:
            return None
        return AnswerReference(self.conversation_id, self.message_id, self.history_id)


@dataclass(frozen=True, slots=True)
class AnswerReference:
    """Where the server keeps an answer, so that any process can continue its conversation.

    A reference is a hint: it is used only for the very history whose answer it was given with, and
    only if the server has that message. Otherwise the history starts a new conversation.

    Attributes:
        conversation_id: The conversation.
        message_id: The answer's message in it.
        history_id: Identifies the history that ends with the answer. None for a history that was
            read from this conversation itself, and needs no check.
    """

    conversation_id: str
    message_id: str
    history_id: str | None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a history that a caller keeps, as `HuggingChat.chat` takes it.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        content: Its text.
        files: What is attached to it.
        reference: Where the server keeps it, for an answer of the server (`Answer.reference`).
        is_preamble: Whether it is what the model has to know before the user's first words. It is
            then sent at the beginning of the first message, and never inside a transcript.
    """

    role: Role
    content: str
    files: Sequence[Attachment] = ()
    reference: AnswerReference | None = None
    is_preamble: bool = False


RetryReason = Literal["connection", "overloaded", "limit", "pace"]


@dataclass(frozen=True, slots=True)
class Retry:
    """A pause before something is tried again, as `on_retry` gets it.

    Attributes:
        reason: ``connection`` (none came about), ``overloaded`` (502, 503, 504), ``limit`` (a 429
            that says when to come back), or ``pace`` (the server's limit of messages per minute).
        attempt: How many attempts have failed.
        wait: How long the pause is, in seconds.
    """

    reason: RetryReason
    attempt: int
    wait: float


AsHistory = Callable[[Answer], Sequence[ChatMessage]]
"""From an answer to the history, answer included, that the caller will pass next time."""
