"""A request of either form → what the base client is asked: messages, tools, options.

Calls and their results become text in the form that the model was asked for (`hfchat_base.tools`),
so that the history that a client sends back is the one under which its conversation is known.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from hfchat_base.api.schema import (
    AudioData,
    ChatCompletionsRequest,
    ChatMessageParam,
    Content,
    ContentPart,
    Effort,
    InputItem,
    Request,
    ResponsesRequest,
)
from hfchat_base.errors import InvalidRequestError
from hfchat_base.files import Upload, fetch_public_file
from hfchat_base.tools import FunctionCall, InvalidToolCall, assistant_text, result_text
from hfchat_base.tools.openai_form import ToolSet, is_strict, response_schema
from hfchat_base.types import ChatMessage, McpServer, ReasoningEffort, Role
from hfchat_base.validation import check_servers

__all__ = ["EFFORT_FIELD", "Prompt", "prompt_of_chat", "prompt_of_response"]

_ROLES: Final[Mapping[str, Role]] = {"system": "system", "developer": "system", "user": "user"}
_EFFORTS: Final[Mapping[str, ReasoningEffort]] = {
    effort: effort for effort in get_args(ReasoningEffort)
}
"""The efforts that chat-ui knows; OpenAI has a few more."""

EFFORT_FIELD: Final = "reasoning_effort"
_MOST_WEB_FILES: Final = 16
_SERVER_ITEMS: Final = frozenset(
    (
        "reasoning",
        "web_search_call",
        "mcp_call",
        "mcp_list_tools",
        "image_generation_call",
        "compaction",
    )
)
"""Items of earlier answers that are no part of what is sent to a model."""

_CUSTOM_INPUT: Final = "input"
"""The one argument of the function that stands for a tool that takes free text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of the base client.

    Attributes:
        messages: The whole history.
        model: Id or short name of the model, or None for the default.
        tools: The tools that the client or the server runs.
        stops: Stop sequences.
        schema: The JSON schema that the answer has to fit, an empty one for any; None for text.
        is_strict: Whether JSON that does not fit is an error.
        mcp_servers: MCP servers for the server to use.
        web_search: Whether the server is to search the web.
        offers_web_search: Whether it may do so if it can: clients offer a search with every
            request, and do not know what a server has.
        effort: How long the model may think, or None.
        streams: Whether the answer is sent while it comes.
        custom_tools: The names of the tools that take free text in place of JSON.
        namespaces: The tools that belong to a namespace: under which name the model knows each, and
            its namespace and name.
        ignored: The names of the fields that were set and have no effect.
    """

    messages: Sequence[ChatMessage]
    model: str | None
    tools: ToolSet
    stops: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None
    is_strict: bool = False
    mcp_servers: Sequence[McpServer] = ()
    web_search: bool = False
    offers_web_search: bool = False
    effort: ReasoningEffort | None = None
    streams: bool = False
    custom_tools: frozenset[str] = field(default_factory=frozenset)
    namespaces: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ignored: Sequence[str] = ()


async def prompt_of_chat(request: ChatCompletionsRequest) -> Prompt:
    """Read a request of Chat Completions.

    Raises:
        InvalidRequestError: Something in it cannot be sent to a HuggingChat server.
    """
    if request.n not in (None, 1):
        raise InvalidRequestError("A HuggingChat server gives one answer at a time: n has to be 1.")
    if request.functions:
        raise InvalidRequestError("functions is the old form of tools: use tools.")
    reader = _Reader()
    await reader.fetch(message.content for message in request.messages)
    messages = [reader.chat_message(message) for message in request.messages]
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or ()
    return _prompt(
        request,
        messages,
        stops=stops,
        response_format=request.response_format,
        effort=request.reasoning_effort,
        web_search=request.web_search_options is not None,
    )


async def prompt_of_response(
    request: ResponsesRequest,
    previous: Sequence[ChatMessage] = (),
    find_item: Callable[[str], InputItem] | None = None,
) -> tuple[Prompt, Sequence[ChatMessage]]:
    """Read a request of Responses.

    Args:
        request: The request.
        previous: The history of the response that it continues, without instructions.
        find_item: Finds the items of earlier responses that the input names by their id.

    Returns:
        What to ask; and the whole history without the instructions, which belong to one request.

    Raises:
        InvalidRequestError: Something in it cannot be sent to a HuggingChat server.
    """
    if request.background:
        raise InvalidRequestError("Responses cannot be made in the background here.")
    if request.conversation is not None:
        raise InvalidRequestError(
            "There are no conversations of OpenAI's here: use previous_response_id."
        )
    items = request.input
    if isinstance(items, str):
        items = [InputItem(role="user", content=items)]
    if find_item is not None:
        items = [
            find_item(item.id or "") if item.kind == "item_reference" else item for item in items
        ]
    reader = _Reader()
    await reader.fetch(content for item in items for content in (item.content, item.output))
    history = [*previous, *reader.items(items)]
    instructions = (
        [ChatMessage("system", request.instructions)] if request.instructions is not None else []
    )
    prompt = _prompt(
        request,
        [*instructions, *history],
        response_format=request.text.format if request.text else None,
        effort=request.reasoning.effort if request.reasoning else None,
    )
    return prompt, history


def _prompt(
    request: Request,
    messages: Sequence[ChatMessage],
    *,
    stops: Sequence[str] = (),
    response_format: Mapping[str, Any] | None,
    effort: Effort | None,
    web_search: bool = False,
) -> Prompt:
    namespaces: dict[str, tuple[str, str]] = {}
    listed = list(_flat(request.tools or (), namespaces))
    tools = [_as_function(tool) for tool in listed]
    choice = request.tool_choice
    if isinstance(choice, dict) and str(choice.get("type", "")).startswith("web_search"):
        choice, web_search = "auto", True
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        tools, choice = _allowed(tools, choice.get("allowed_tools") or choice)
    tool_set = ToolSet.from_openai(tools, choice, parallel=request.parallel_tool_calls is not False)
    schema = response_schema(response_format)
    return Prompt(
        messages=messages,
        model=request.model or None,
        tools=tool_set,
        stops=stops,
        schema=schema,
        is_strict=is_strict(response_format),
        mcp_servers=(*check_servers(request.mcp_servers), *tool_set.mcp_servers),
        web_search=bool(request.web_search) or web_search,
        offers_web_search=tool_set.web_search and choice != "none",
        effort=_EFFORTS.get(effort or ""),
        streams=bool(request.stream),
        custom_tools=frozenset(
            str(_inner(tool).get("name")) for tool in listed if tool.get("type") == "custom"
        ),
        namespaces=namespaces,
        ignored=[*request.ignored, *([] if effort in (None, *_EFFORTS) else [EFFORT_FIELD])],
    )


def _flat(
    tools: Iterable[Mapping[str, Any]], namespaces: dict[str, tuple[str, str]]
) -> Iterator[Mapping[str, Any]]:
    """Take tools out of their namespaces, under names that tell them apart.

    Args:
        tools: What was sent.
        namespaces: Where to note which tool has which name.
    """
    for tool in tools:
        if tool.get("type") != "namespace":
            yield tool
            continue
        for inner in _objects(tool.get("tools"), "The tools of a namespace"):
            pair = str(tool.get("name")), str(inner.get("name"))
            name = _full_name(*pair)
            if namespaces.setdefault(name, pair) != pair:
                raise InvalidRequestError(f"Two tools would have the name {name!r}.")
            yield {**inner, "name": name}


def _objects(value: Any, what: str) -> Sequence[Mapping[str, Any]]:
    """Check a list of objects; None stands for an empty one."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidRequestError(f"{what} should be a list of objects.")
    return value


def _full_name(namespace: str | None, name: str) -> str:
    """Under which name the model knows a tool; OpenAI's names may hold no dot."""
    return f"{namespace}__{name}" if namespace else name


def _inner(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = tool.get(str(tool.get("type")))
    return inner if isinstance(inner, Mapping) else tool


def _as_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool that takes free text as a function of one argument; any other one as it is."""
    if tool.get("type") != "custom":
        return tool
    inner = _inner(tool)
    description = str(inner.get("description") or "")
    form = inner.get("format")
    if isinstance(form, Mapping) and (definition := form.get("definition")):
        description += f"\n\nThe input has to follow this grammar:\n{definition}"
    return {
        "type": "function",
        "name": inner.get("name"),
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {_CUSTOM_INPUT: {"type": "string"}},
            "required": [_CUSTOM_INPUT],
        },
    }


def _allowed(
    tools: Sequence[Mapping[str, Any]], allowed: Any
) -> tuple[list[Mapping[str, Any]], str]:
    """Keep the tools that a choice allows, and its mode."""
    if not isinstance(allowed, Mapping):
        raise InvalidRequestError("The allowed_tools of a choice should be an object.")
    names = [_inner(tool).get("name") for tool in _objects(allowed.get("tools"), "Allowed tools")]
    kept = [tool for tool in tools if _inner(tool).get("name") in names]
    return kept, str(allowed.get("mode") or "auto")


class _Reader:
    """Turns messages and items into the base client's messages, one by one, in order."""

    def __init__(self) -> None:
        self._tool_names: dict[str, str] = {}
        self._fetched: dict[str, Upload] = {}

    async def fetch(self, contents: Iterable[Content]) -> None:
        """Fetch the files that are given by their web address, from public addresses only."""
        addresses = list(
            dict.fromkeys(
                address
                for content in contents
                if isinstance(content, list)
                for part in content
                if (address := _address(part)) and not address.startswith("data:")
            )
        )
        if len(addresses) > _MOST_WEB_FILES:
            raise InvalidRequestError(
                f"A request may name {_MOST_WEB_FILES} files by their web address, not"
                f" {len(addresses)}: give their bytes as data URLs."
            )
        for address in addresses:
            self._fetched[address] = await asyncio.to_thread(fetch_public_file, address)

    def chat_message(self, message: ChatMessageParam) -> ChatMessage:
        """Turn a message of Chat Completions."""
        text, files = self._content(message.content)
        if message.role == "assistant":
            functions = [(call.id, call.function) for call in message.tool_calls or ()]
            if message.function_call:
                functions.append(("", message.function_call))
            calls = []
            for call_id, function in functions:
                if function is None:
                    raise InvalidRequestError("A tool call needs the function that was called.")
                self._tool_names[call_id] = function.name
                calls.append(_call(function.name, function.arguments))
            return ChatMessage("assistant", assistant_text(text, calls))
        if message.role in ("tool", "function"):
            name = self._tool_names.get(message.tool_call_id or "") or message.name or "tool"
            return ChatMessage("user", result_text(name, text), files)
        return ChatMessage(_ROLES[message.role], text, files)

    def items(self, items: Iterable[InputItem]) -> list[ChatMessage]:
        """Turn the items of Responses; what an assistant said and called becomes one message."""
        messages: list[ChatMessage] = []
        said: list[str] = []
        called: list[FunctionCall | InvalidToolCall] = []

        def end_assistant() -> None:
            if said or called:
                messages.append(ChatMessage("assistant", assistant_text("".join(said), called)))
                said.clear()
                called.clear()

        for item in items:
            kind = item.kind
            if kind in _SERVER_ITEMS:
                continue
            if kind in ("function_call", "custom_tool_call"):
                name = _full_name(item.namespace, item.name or "tool")
                self._tool_names[item.call_id or ""] = name
                custom = kind == "custom_tool_call"
                arguments = (
                    json.dumps({_CUSTOM_INPUT: item.input or ""}) if custom else item.arguments
                )
                called.append(_call(name, arguments or ""))
            elif kind in ("function_call_output", "custom_tool_call_output"):
                end_assistant()
                text, files = self._content(item.output)
                name = self._tool_names.get(item.call_id or "") or "tool"
                messages.append(ChatMessage("user", result_text(name, text), files))
            elif kind == "message" and item.role == "assistant":
                said.append(self._content(item.content)[0])
            elif kind == "message" and item.role is not None:
                end_assistant()
                messages.append(ChatMessage(_ROLES[item.role], *self._content(item.content)))
            else:
                raise InvalidRequestError(f"An item of type {kind!r} cannot be sent.")
        end_assistant()
        return messages

    def _content(self, content: Content) -> tuple[str, tuple[Upload, ...]]:
        if not isinstance(content, list):
            return content or "", ()
        texts: list[str] = []
        files: list[Upload] = []
        for part in content:
            if part.type in ("text", "input_text", "output_text"):
                texts.append(part.text or "")
            elif part.type == "refusal":
                texts.append(part.refusal or "")
            elif part.type in ("image_url", "input_image", "file", "input_file"):
                upload = self._upload(part)
                if upload.is_text:
                    texts.append(upload.as_document())
                else:
                    files.append(upload)  # the client reads it
            elif part.type == "input_audio":
                files.append(_recording(part.input_audio))
            else:
                raise InvalidRequestError(
                    f"A HuggingChat server takes no {part.type} content, only text, images,"
                    " recordings and documents."
                )
        return "\n\n".join(text for text in texts if text), tuple(files)

    def _upload(self, part: ContentPart) -> Upload:
        name = part.filename or (part.file.filename if part.file else None)
        address = _address(part)
        if not address:
            raise InvalidRequestError(
                "A file given by an ID cannot be sent: give its bytes as a data URL, or its web"
                " address."
            )
        if not address.startswith("data:"):
            return self._fetched[address]
        return Upload.from_source(address, name=name)


def _address(part: ContentPart) -> str | None:
    """Where a file is: a web address or a data URL; None if the part says neither."""
    if part.type in ("image_url", "input_image"):
        return (
            part.image_url
            if isinstance(part.image_url, str) or part.image_url is None
            else (part.image_url.url)
        )
    if part.type not in ("file", "input_file"):
        return None
    data = part.file_data or (part.file.file_data if part.file else None)
    if data and not data.startswith("data:"):
        return f"data:;base64,{data}"
    return data or part.file_url


def _recording(audio: AudioData | None) -> Upload:
    if audio is None:
        raise InvalidRequestError("A part of type input_audio needs the field input_audio.")
    mime = f"audio/{audio.format}" if audio.format else None
    return Upload.from_source(f"data:;base64,{audio.data}", mime=mime).as_audio()


def _call(name: str, arguments: str) -> FunctionCall | InvalidToolCall:
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return FunctionCall(name, value)
    written = f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
    return InvalidToolCall(written, "The arguments are not a JSON object.", name)
