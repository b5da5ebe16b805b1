"""What clients of OpenAI's API send: lenient about what is unknown, strict about what is used.

Fields that nothing here has a use for are dropped; `Request.ignored` names those that a client
would expect an effect of.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "AudioData",
    "ChatCompletionsRequest",
    "ChatMessageParam",
    "ContentPart",
    "Effort",
    "InputItem",
    "Request",
    "ResponsesRequest",
]

_WITHOUT_EFFECT_ON_ANSWERS: Final = frozenset(
    (
        "background",
        "client_metadata",
        "include",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "truncation",
        "user",
    )
)
"""Fields whose effect would not show in an answer."""

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How long a model may think, in OpenAI's words; chat-ui knows the middle three."""

_NEUTRAL: Final[dict[str, Any]] = {"modalities": ["text"]}
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MOST_NAMES: Final = 30


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, protected_namespaces=())


class Source(_Lenient):
    """Where an image is: its address, or a data URL."""

    url: str


class FileData(_Lenient):
    """A file, as Chat Completions has it."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class AudioData(_Lenient):
    """A recording, as base64, and its format, such as ``wav``."""

    data: str
    format: str | None = None


class ContentPart(_Lenient):
    """A part of a message's content, in the form of either API."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Union[Source, str, None] = None
    input_audio: AudioData | None = None
    file: FileData | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


Content = Union[str, list[ContentPart], None]


class FunctionParam(_Lenient):
    """A function and the arguments that it was called with, as JSON."""

    name: str
    arguments: str = ""


class ToolCallParam(_Lenient):
    """A call that the model made earlier."""

    id: str = ""
    function: FunctionParam | None = None


class ChatMessageParam(_Lenient):
    """A message of Chat Completions."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    name: str | None = None
    tool_calls: list[ToolCallParam] | None = None
    tool_call_id: str | None = None
    function_call: FunctionParam | None = None


class StreamOptions(_Lenient):
    """What to stream besides the answer."""

    include_usage: bool | None = None


class Request(_Lenient):
    """What both forms have.

    Attributes:
        web_search: Whether the server is to search the web. Not a field of OpenAI's.
        mcp_servers: MCP servers for the server to use. Not a field of OpenAI's.
        ignored: The names of the fields that were set and have no effect; found out here.
    """

    model: str | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Union[str, dict[str, Any], None] = None
    parallel_tool_calls: bool | None = None
    web_search: bool | None = None
    mcp_servers: list[Any] | None = None
    ignored: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _name_ignored(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        names = [
            name
            for name, value in body.items()
            if name not in cls.model_fields
            and name not in _WITHOUT_EFFECT_ON_ANSWERS
            and value not in (None, False, [], {}, _NEUTRAL.get(name))
            and _FIELD_NAME.fullmatch(name)
        ]
        return {**body, "ignored": sorted(names)[:_MOST_NAMES]}


class ChatCompletionsRequest(Request):
    """The body of ``POST /v1/chat/completions``."""

    messages: list[ChatMessageParam] = Field(min_length=1)
    n: int | None = None
    stop: Union[str, list[str], None] = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: Effort | None = None
    web_search_options: dict[str, Any] | None = None
    functions: list[Any] | None = None


class InputItem(_Lenient):
    """An item of Responses: a message, a call, what a call gave, or the id of an earlier one."""

    type: str | None = None
    id: str | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Content = None

    @property
    def kind(self) -> str:
        """Its type, which messages and references may leave out."""
        return self.type or ("item_reference" if self.role is None and self.id else "message")


class TextOptions(_Lenient):
    """How the text of an answer is to look."""

    format: dict[str, Any] | None = None


class ReasoningOptions(_Lenient):
    """How the model is to think, and whether a summary of its thinking is wanted."""

    effort: Effort | None = None
    summary: str | None = None


class ResponsesRequest(Request):
    """The body of ``POST /v1/responses``."""

    input: Union[str, list[InputItem]]
    instructions: str | None = None
    previous_response_id: str | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    conversation: Any = None
    background: bool | None = None
