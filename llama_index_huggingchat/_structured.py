"""Structured output: an answer that is an object of a pydantic class.

chat-ui has no such mode, so an object is requested as a forced tool call or, without function
calling, as JSON in the text. LlamaIndex's own programs do the same; `StructuredProgram` differs in
what it accepts:

* An object is validated as a whole. JSON that breaks off is never completed: while an answer is
  streamed, objects are previews of another class (`FlexibleModel`), and only the last one, which
  was validated, is of the requested class.
* An answer that is not valid is sent back once, with what is wrong with it.
* In text, anything may stand before and after the JSON, such as a sentence or a code fence. The
  JSON itself is read strictly: see `hfchat_base.tools.read_json`.
* The class need not be an object in JSON: ``RootModel[list[int]]`` works.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, Final, Generic, NoReturn

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.bridge.pydantic import ValidationError
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BasePydanticProgram, Model

from hfchat_base.tools import JsonAnswer, read_json, repair_request
from llama_index_huggingchat._convert import tool_calls

__all__ = ["StructuredProgram"]

_VALUE: Final = "value"
"""The argument that holds a value which is not a JSON object."""

_OWN_OPTIONS: Final = frozenset(
    ("tools", "tool_choice", "tool_required", "allow_parallel_tool_calls")
)
"""Options of a call that the program sets itself."""


class StructuredProgram(BasePydanticProgram[Model], Generic[Model]):
    """A prompt whose answer is an object.

    Args:
        llm: The LLM.
        output_cls: The class of the object.
        prompt: The prompt.
        by_call: Whether the object is requested as a tool call; if not, as JSON in the text.
    """

    def __init__(
        self,
        llm: FunctionCallingLLM,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        *,
        by_call: bool,
    ) -> None:
        self._llm = llm
        self._output_cls = output_cls
        self._prompt = prompt
        self._by_call = by_call
        self._schema = output_cls.model_json_schema()
        self._is_object = self._schema.get("type") == "object" or "$ref" in self._schema

    @property
    def output_cls(self) -> type[Model]:
        """The class of the object."""
        return self._output_cls

    def __call__(
        self, *_: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Model:
        """Request the object.

        Args:
            llm_kwargs: Options of `HuggingChatLLM.chat`.
            prompt_args: Variables of the prompt.

        Raises:
            ValueError: The answer was not valid, and not when it was requested again either.
        """
        messages, options = self._messages(prompt_args), self._options(llm_kwargs)
        response = self._llm.chat(messages, **options)
        try:
            return self._read(response)
        except ValueError as error:
            messages = _repair(messages, response, error)
        return self._read_again(self._llm.chat(messages, **options))

    async def acall(
        self, *_: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Model:
        """Request the object; see the call."""
        messages, options = self._messages(prompt_args), self._options(llm_kwargs)
        response = await self._llm.achat(messages, **options)
        try:
            return self._read(response)
        except ValueError as error:
            messages = _repair(messages, response, error)
        return self._read_again(await self._llm.achat(messages, **options))

    def stream_call(
        self, *_: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Generator[Model | FlexibleModel, None, None]:
        """Request the object, and preview it while the answer is streamed; the last one counts."""
        messages, options = self._messages(prompt_args), self._options(llm_kwargs)
        preview = self._preview()
        with closing(self._llm.stream_chat(messages, **options)) as responses:
            for response in responses:
                if (partial := preview(response)) is not None:
                    yield partial
        try:
            whole = self._read(response)
        except ValueError as error:
            messages = _repair(messages, response, error)
            whole = self._read_again(self._llm.chat(messages, **options))
        yield whole

    async def astream_call(
        self, *_: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """Request the object and preview it; see `stream_call`."""
        return self._astream(self._messages(prompt_args), self._options(llm_kwargs))

    async def _astream(
        self, messages: list[ChatMessage], options: dict[str, Any]
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        preview = self._preview()
        async with aclosing(await self._llm.astream_chat(messages, **options)) as responses:
            async for response in responses:
                if (partial := preview(response)) is not None:
                    yield partial
        try:
            whole = self._read(response)
        except ValueError as error:
            messages = _repair(messages, response, error)
            whole = self._read_again(await self._llm.achat(messages, **options))
        yield whole

    # --- the request ------------------------------------------------------------------------------

    def _messages(self, prompt_args: dict[str, Any]) -> list[ChatMessage]:
        messages = self._prompt.format_messages(llm=self._llm, **prompt_args)
        if not self._by_call:
            messages = _SchemaInText(self._output_cls).format_messages(messages)
        return self._llm._extend_messages(messages)  # noqa: SLF001 - as LlamaIndex's programs do

    def _options(self, llm_kwargs: dict[str, Any] | None) -> dict[str, Any]:
        given = {name: v for name, v in (llm_kwargs or {}).items() if name not in _OWN_OPTIONS}
        if not self._by_call:
            return given
        return {
            **given,
            "tools": [self._tool()],
            "tool_choice": "required",
            "allow_parallel_tool_calls": False,
        }

    @property
    def _tool_name(self) -> str:
        return str(self._schema.get("title", self._output_cls.__name__))

    def _tool(self) -> dict[str, Any]:
        parameters = self._schema
        if not self._is_object:
            inner = {name: part for name, part in parameters.items() if name != "$defs"}
            definitions = {"$defs": parameters["$defs"]} if "$defs" in parameters else {}
            parameters = {
                "type": "object",
                "properties": {_VALUE: inner},
                "required": [_VALUE],
                **definitions,
            }
        function = {
            "name": self._tool_name,
            "description": self._schema.get("description"),
            "parameters": parameters,
        }
        return {"type": "function", "function": function}

    # --- the answer -------------------------------------------------------------------------------

    def _read(self, response: ChatResponse) -> Model:
        """Make the object of a whole answer.

        Raises:
            ValueError: It holds none; the message may be shown to the model.
        """
        value = self._called(response) if self._by_call else _written(response)
        try:
            # In JSON mode dates, tuples and the like are read from what JSON has for them.
            return self._output_cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            found = "\n".join(
                f"{'.'.join(map(str, each['loc'])) or 'It'}: {each['msg']}"
                for each in error.errors(include_url=False, include_context=False)
            )
            raise ValueError(found) from error

    def _read_again(self, response: ChatResponse) -> Model:
        try:
            return self._read(response)
        except ValueError as error:
            _fail(self._output_cls, response, error)

    def _called(self, response: ChatResponse) -> Any:
        for call in tool_calls(response.message):
            if self._is_object or set(call.arguments) != {_VALUE}:
                return call.arguments
            return call.arguments[_VALUE]
        raise ValueError(f"There is no call of {self._tool_name} in it.")

    def _preview(self) -> Callable[[ChatResponse], FlexibleModel | None]:
        """Make a function that shows a growing answer, where there is more of it than before."""
        flexible = create_flexible_model(self._output_cls)
        shown: dict[str, Any] = {}

        def preview(response: ChatResponse) -> FlexibleModel | None:
            nonlocal shown
            partial = self._partial(response) if self._is_object else {}
            if not partial or partial == shown:
                return None
            shown = partial
            return flexible.model_validate(partial)

        return preview

    def _partial(self, response: ChatResponse) -> dict[str, Any]:
        if self._by_call:
            calls = tool_calls(response.message)
            return calls[0].arguments if calls else {}
        text = response.message.content or ""
        start = text.find("{")
        if start < 0:
            return {}
        try:
            partial: Any = parse_partial_json(JsonAnswer().feed(text[start:]))
        except ValueError:
            return {}
        return partial if isinstance(partial, dict) else {}


class _SchemaInText(PydanticOutputParser[Model]):
    """Puts the schema after the prompt; LlamaIndex doubles its braces, as for a template."""

    def format(self, query: str) -> str:
        return f"{query}\n\n{self.get_format_string(escape_json=False)}"


def _written(response: ChatResponse) -> Any:
    """The first JSON object or array in a text.

    Raises:
        ValueError: There is none, or it is not valid.
    """
    answer = JsonAnswer()
    text = answer.feed(response.message.content or "")
    if not text:
        raise ValueError("There is no JSON in it.")
    try:
        return read_json(text)
    except ValueError as error:
        raise ValueError(f"It is not valid JSON: {error}") from error


def _repair(
    messages: Sequence[ChatMessage], response: ChatResponse, error: ValueError
) -> list[ChatMessage]:
    """The messages, the answer, and what is wrong with it."""
    request = ChatMessage(role=MessageRole.USER, content=repair_request(str(error)))
    return [*messages, response.message, request]


def _fail(output_cls: type[Any], response: ChatResponse, error: ValueError) -> NoReturn:
    raise ValueError(
        f"The answer does not fit {output_cls.__name__}, also after a second request: {error}\n"
        f"The answer was: {response.message.content!r}"
    ) from error
