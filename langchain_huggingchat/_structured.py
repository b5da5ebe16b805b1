"""Structured output: an answer that fits a schema, or an error; never a made-up object.

chat-ui has no such mode, so all three methods are prompts: a forced tool call, a JSON schema, or
any JSON object. `hfchat_base.tools` has the prompts; here is how an answer is read and validated.

JSON is read strictly: see `hfchat_base.tools.read_json`. If an answer cannot be read, or its values
do not fit the schema, the model is asked once more, with the reason.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.utils import convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import patch_config
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.json_schema import dereference_refs
from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

from hfchat_base.tools import read_json, repair_request
from hfchat_base.tools.json_schema import JsonSchema

__all__ = ["METHODS", "Method", "OutputSchema", "StructuredOutput"]

Method = Literal["function_calling", "json_schema", "json_mode"]
METHODS: Final = ("function_calling", "json_schema", "json_mode")

_VALUE: Final = "value"
"""The only field of the object that holds a value which is not an object itself."""

_PREVIEW_GROWTH: Final = 50
"""JSON that is being written is parsed again once it has grown by one part in so many."""


class OutputSchema:
    """A schema in any form that LangChain knows: what the model is shown, and what validates.

    Tool calls and JSON answers are objects. A schema of another type (a pydantic ``RootModel`` of a
    list) is therefore shown inside of an object with one field.

    Args:
        schema: A pydantic class of either version, a TypedDict class, or a JSON schema.

    Raises:
        ValueError: The JSON schema is invalid.

    Attributes:
        name: A name for it, of letters, digits and underscores.
        json_schema: The JSON schema of the answer.
        tool: The tool whose arguments are the answer, in OpenAI's form.
        traced: What tracers are given, which core converts on its own.
    """

    def __init__(self, schema: Any) -> None:
        self.traced = schema
        if is_typeddict(schema):
            adapter = TypeAdapter(_for_pydantic(schema))
            self._validate: Callable[[Any], Any] = adapter.validate_python
            schema = _shown_typed_dict(schema, adapter)
            if not _core_converts(self.traced):
                self.traced = schema
            shown: Mapping[str, Any] = schema
        else:
            shown = convert_to_json_schema(schema)
            self._validate = _validator(schema, shown)
        self._is_class = hasattr(schema, "model_validate") or hasattr(schema, "parse_obj")
        self._is_wrapped = not _describes_object(shown)
        self.name = re.sub(r"\W+", "_", str(shown.get("title") or "answer")).strip("_")
        self.json_schema = _wrapped(shown) if self._is_wrapped else dict(shown)
        self.tool = convert_to_openai_tool(
            {"title": self.name, "description": self.name, **self.json_schema}
            if self._is_wrapped
            else schema
        )

    @property
    def tool_name(self) -> str:
        """The name of the tool whose arguments are the answer."""
        name: str = self.tool["function"]["name"]
        return name

    def validate(self, value: Any) -> Any:
        """Make the object that the schema describes.

        Raises:
            ValueError: The value does not fit.
        """
        if self._is_wrapped:
            return self._validate(_unwrapped(value))
        if not isinstance(value, dict):
            raise OutputParserException("It is not a JSON object.")
        return self._validate(value)

    def preview(self, value: Any) -> Any:
        """Make what can be made of an answer that is still being written; None if that is nothing.

        For a class that is an instance as soon as one validates; otherwise the plain value.
        """
        if self._is_wrapped:
            value = _unwrapped(value)
        elif not isinstance(value, dict):
            return None
        if not self._is_class:
            return value
        try:
            return self._validate(value)
        except ValueError:
            return None


class StructuredOutput(Runnable[LanguageModelInput, Any]):
    """A chat model that answers with objects.

    If an answer cannot be read or does not fit the schema, the model is asked once more, with the
    reason.

    Args:
        model: The model, with the arguments bound to it that make it answer in this form.
        schema: The schema; None, with ``json_mode`` only, for any JSON object.
        method: How the answer is asked for.
        include_raw: Whether the output also has the model's message and a remaining error.
    """

    def __init__(
        self,
        model: Runnable[LanguageModelInput, AIMessage],
        schema: OutputSchema | None,
        method: Method,
        *,
        include_raw: bool,
    ) -> None:
        self._model = model
        self._schema = schema
        self._method = method
        self._include_raw = include_raw

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Get an object."""
        return self._call_with_config(self._ask, input, config, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Get an object."""
        return await self._acall_with_config(self._aask, input, config, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Get an object while it is being written; the last one is the whole, valid object.

        JSON answers (``json_schema``, ``json_mode``) stream. A tool call arrives whole.
        """
        yield from self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Get an object while it is being written; see `stream`."""

        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for output in self._atransform_stream_with_config(
            inputs(), self._astream, config, **kwargs
        ):
            yield output

    def _ask(
        self, question: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        child = patch_config(config, callbacks=run_manager.get_child())
        answer = self._model.invoke(question, child, **kwargs)
        try:
            return self._output(answer, self._read(answer))
        except ValueError as error:
            question = _repair(question, answer, error)
        return self._last_output(self._model.invoke(question, child, **kwargs))

    async def _aask(
        self, question: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        child = patch_config(config, callbacks=run_manager.get_child())
        answer = await self._model.ainvoke(question, child, **kwargs)
        try:
            return self._output(answer, self._read(answer))
        except ValueError as error:
            question = _repair(question, answer, error)
        return self._last_output(await self._model.ainvoke(question, child, **kwargs))

    def _stream(
        self,
        questions: Iterator[LanguageModelInput],
        run_manager: Any,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        child = patch_config(config, callbacks=run_manager.get_child())
        question = next(questions)
        preview = self._new_preview()
        for chunk in self._model.stream(question, child, **kwargs):
            yield from preview.take(chunk)
        answer = preview.message
        try:
            parsed = self._read(answer)
        except ValueError as error:
            question = _repair(question, answer, error)
        else:
            yield from preview.last(self._output(answer, parsed))
            return
        preview = self._new_preview()
        for chunk in self._model.stream(question, child, **kwargs):
            yield from preview.take(chunk)
        yield from preview.last(self._last_output(preview.message))

    async def _astream(
        self,
        questions: AsyncIterator[LanguageModelInput],
        run_manager: Any,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        child = patch_config(config, callbacks=run_manager.get_child())
        question = await anext(questions)
        preview = self._new_preview()
        async for chunk in self._model.astream(question, child, **kwargs):
            for output in preview.take(chunk):
                yield output
        answer = preview.message
        try:
            parsed = self._read(answer)
        except ValueError as error:
            question = _repair(question, answer, error)
        else:
            for output in preview.last(self._output(answer, parsed)):
                yield output
            return
        preview = self._new_preview()
        async for chunk in self._model.astream(question, child, **kwargs):
            for output in preview.take(chunk):
                yield output
        for output in preview.last(self._last_output(preview.message)):
            yield output

    def _new_preview(self) -> _Preview:
        is_shown = self._method != "function_calling" and not self._include_raw
        return _Preview(self._schema, is_shown=is_shown)

    def _read(self, answer: AIMessage) -> Any:
        """Read the object of an answer.

        Raises:
            ValueError: There is none, or it does not fit.
        """
        if self._method == "function_calling" and self._schema is not None:
            value: Any = _arguments(answer, self._schema.tool_name)
        else:
            value = _json(answer)
        if self._schema is not None:
            return self._schema.validate(value)
        if not isinstance(value, dict):
            raise OutputParserException("It is not a JSON object.", llm_output=answer.text)
        return value

    def _last_output(self, answer: AIMessage) -> Any:
        """The output for the answer that no other request follows."""
        try:
            return self._output(answer, self._read(answer))
        except ValueError as error:
            if self._include_raw:
                return self._output(answer, None, error)
            if isinstance(error, OutputParserException):
                raise
            raise OutputParserException(str(error), llm_output=answer.text) from error

    def _output(self, answer: AIMessage, parsed: Any, error: ValueError | None = None) -> Any:
        if not self._include_raw:
            return parsed
        return {"raw": answer, "parsed": parsed, "parsing_error": error}


def _repair(
    question: LanguageModelInput, answer: AIMessage, error: ValueError
) -> LanguageModelInput:
    """The question, the answer, and what is wrong with it."""
    messages: list[BaseMessage]
    if isinstance(question, PromptValue):
        messages = question.to_messages()
    elif isinstance(question, str):
        messages = [HumanMessage(question)]
    else:
        messages = convert_to_messages(question)
    return [*messages, answer, HumanMessage(repair_request(str(error)))]


class _Preview:
    """An answer that arrives in chunks, and the objects that can be shown of it meanwhile.

    Args:
        schema: The schema, or None for any JSON object.
        is_shown: Whether to show any.
    """

    def __init__(self, schema: OutputSchema | None, *, is_shown: bool) -> None:
        self._schema = schema
        self._is_shown = is_shown
        self._chunks: list[AIMessageChunk] = []
        self._text = ""
        self._next_size = 1
        self._shown: Any = None

    @property
    def message(self) -> AIMessage:
        """The message that the chunks add up to."""
        first, *others = self._chunks
        message = first + others
        assert isinstance(message, AIMessage)  # noqa: S101 - chunks of one kind
        return message

    def take(self, chunk: BaseMessage) -> Iterator[Any]:
        """Take the next chunk; yield an object if more of it is known now."""
        assert isinstance(chunk, AIMessageChunk)  # noqa: S101 - a chat model streams nothing else
        self._chunks.append(chunk)
        self._text += chunk.text
        if not self._is_shown or len(self._text) < self._next_size:
            return
        # Each preview parses the whole text, so long answers are parsed more rarely.
        self._next_size = len(self._text) + 1 + len(self._text) // _PREVIEW_GROWTH
        try:
            value = parse_partial_json(self._text)
        except ValueError:
            return
        if self._schema is not None:
            value = self._schema.preview(value)
        elif not isinstance(value, dict):
            return
        if value is not None and value != self._shown:
            self._shown = value
            yield value

    def last(self, output: Any) -> Iterator[Any]:
        """Yield the whole output, unless the last object was it already."""
        if self._shown is None or output != self._shown:
            yield output


def _arguments(answer: AIMessage, name: str) -> dict[str, Any]:
    for call in answer.tool_calls:
        if call["name"] == name:
            return call["args"]
    for invalid in answer.invalid_tool_calls:
        raise OutputParserException(
            f"The call of {name} cannot be read: {invalid['error'] or 'it is not valid JSON.'}",
            llm_output=invalid["args"] or "",
        )
    raise OutputParserException(f"There is no call of {name} in it.", llm_output=answer.text)


def _json(answer: AIMessage) -> Any:
    try:
        return read_json(answer.text)
    except ValueError as error:
        raise OutputParserException(
            f"It is not valid JSON: {error}", llm_output=answer.text
        ) from error


def _describes_object(schema: Mapping[str, Any]) -> bool:
    """Whether the values of a JSON schema are objects."""
    reference = str(schema.get("$ref", ""))
    if reference.startswith("#/$defs/"):
        return _describes_object(
            schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        )
    if "type" in schema:
        return bool(schema["type"] == "object")
    others = {"anyOf", "oneOf", "allOf", "enum", "const", "items", "prefixItems"}
    return "properties" in schema or others.isdisjoint(schema)


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of an object whose only field has the given schema."""
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    wrapped = {"type": "object", "properties": {_VALUE: inner}, "required": [_VALUE]}
    return {**wrapped, "$defs": schema["$defs"]} if "$defs" in schema else wrapped


def _unwrapped(value: Any) -> Any:
    return value[_VALUE] if isinstance(value, dict) and value.keys() == {_VALUE} else value


def _validator(schema: Any, json_schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A function that makes an object of a JSON value, or raises ValueError."""
    if hasattr(schema, "model_validate"):
        validate: Callable[[Any], Any] = schema.model_validate
        return validate
    if hasattr(schema, "parse_obj"):  # pydantic's first version
        parse: Callable[[Any], Any] = schema.parse_obj
        return parse
    return _json_schema_validator(json_schema)


def _json_schema_validator(schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    checked = JsonSchema(schema, extra="langchain")

    def validate(value: Any) -> Any:
        checked.check(value)
        return value

    return validate


def _core_converts(schema: Any) -> bool:
    """Whether core can convert a TypedDict, which it cannot with ``NotRequired`` in it."""
    try:
        convert_to_json_schema(schema)
    except TypeError:
        return False
    return True


def _shown_typed_dict(schema: Any, adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON schema of a TypedDict. Core's own conversion knows neither None nor NotRequired."""
    shown = dereference_refs(adapter.json_schema())
    shown.pop("$defs", None)
    described = inspect.getdoc(schema) if schema.__doc__ != dict.__doc__ else None
    return {**shown, "title": schema.__name__, "description": described or schema.__name__}


def _for_pydantic(annotation: Any) -> Any:
    """An annotation with its TypedDicts in the form that pydantic takes on every Python.

    LangChain writes a field as ``Annotated[type, default, description]``; one that has a default
    may be missing.
    """
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        required = annotation.__required_keys__
        fields = {name: _field(hint, is_required=name in required) for name, hint in hints.items()}
        return TypedDict(annotation.__name__, fields)  # type: ignore[operator]  # at run time
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _for_pydantic(arguments[0])
    if origin is Literal or not arguments:
        return annotation
    converted = tuple(_for_pydantic(argument) for argument in arguments)
    if converted == arguments or not isinstance(arguments, tuple):
        return annotation
    return Union[converted] if origin in (Union, UnionType) else origin[converted]


def _field(hint: Any, *, is_required: bool) -> Any:
    while get_origin(hint) in (Required, NotRequired):
        is_required = get_origin(hint) is Required
        (hint,) = get_args(hint)
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        description = extras[1] if len(extras) > 1 and isinstance(extras[1], str) else None
        is_required = is_required and (extras[0] is ... or description is None)
        constraints = [extra for extra in extras if isinstance(extra, (FieldInfo, BaseMetadata))]
        annotated = (_for_pydantic(kind), Field(description=description), *constraints)
        hint = Annotated[annotated]
    else:
        hint = _for_pydantic(hint)
    return hint if is_required else NotRequired[hint]
