"""Structured output: an answer that fits a schema, asked for once more if it does not.

chat-ui has no such mode, so all three methods are prompts: a forced tool call, a JSON schema, or
any JSON object. What a method asks for and how its answer is read stands here; the wording is in
`hfchat_base.tools`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import patch_config
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.json import parse_json_markdown

from hfchat_base.tools import repair_request

__all__ = ["METHODS", "Method", "StructuredOutput", "reader_of"]

Method = Literal["function_calling", "json_schema", "json_mode"]
METHODS: Final = ("function_calling", "json_schema", "json_mode")

Schema = Any
"""A pydantic class of either version, a TypedDict class, or a JSON schema."""


class StructuredOutput(Runnable[LanguageModelInput, Any]):
    """A chat model that answers with objects.

    An answer that cannot be read, or does not fit the schema, is sent back once with what is wrong
    with it.

    Args:
        model: The model, with what makes it answer in this form bound to it.
        read: Makes an object of an answer; raises ValueError with the reason if it cannot.
        include_raw: Whether the output tells the model's message and a remaining error as well.
    """

    def __init__(
        self,
        model: Runnable[LanguageModelInput, AIMessage],
        read: Callable[[AIMessage], Any],
        *,
        include_raw: bool,
    ) -> None:
        self._model = model
        self._read = read
        self._include_raw = include_raw

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Ask for an object, once more if need be."""
        return self._call_with_config(self._ask, input, config, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - the name is core's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Ask for an object, once more if need be."""
        return await self._acall_with_config(self._aask, input, config, **kwargs)

    def _ask(
        self, question: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        child = patch_config(config, callbacks=run_manager.get_child())
        answer = self._model.invoke(question, child, **kwargs)
        try:
            return self._output(answer, self._read(answer))
        except ValueError as error:
            again = _repair(question, answer, error)
        answer = self._model.invoke(again, child, **kwargs)
        return self._second(answer)

    async def _aask(
        self, question: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        child = patch_config(config, callbacks=run_manager.get_child())
        answer = await self._model.ainvoke(question, child, **kwargs)
        try:
            return self._output(answer, self._read(answer))
        except ValueError as error:
            again = _repair(question, answer, error)
        answer = await self._model.ainvoke(again, child, **kwargs)
        return self._second(answer)

    def _second(self, answer: AIMessage) -> Any:
        """Read the answer that there is no further one after."""
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


def reader_of(schema: Schema, method: Method) -> Callable[[AIMessage], Any]:
    """What makes an object of an answer.

    Args:
        schema: The schema; None, with ``json_mode`` only, for any JSON object.
        method: How it was asked for.
    """
    if method == "function_calling":
        name = convert_to_openai_tool(schema)["function"]["name"]
        return lambda answer: _fitting(_arguments(answer, name), schema)
    return lambda answer: _fitting(_json(answer), schema)


def _arguments(answer: AIMessage, name: str) -> dict[str, Any]:
    for call in answer.tool_calls:
        if call["name"] == name:
            return call["args"]
    for broken in answer.invalid_tool_calls:
        raise OutputParserException(
            f"The call of {name} cannot be read: {broken['error'] or 'it is no valid JSON.'}",
            llm_output=broken["args"] or "",
        )
    raise OutputParserException(f"There is no call of {name} in it.", llm_output=answer.text)


def _json(answer: AIMessage) -> dict[str, Any]:
    try:
        value = parse_json_markdown(answer.text)
    except ValueError as error:
        raise OutputParserException(
            f"It is no valid JSON: {error}", llm_output=answer.text
        ) from error
    if not isinstance(value, dict):
        raise OutputParserException("It is no JSON object.", llm_output=answer.text)
    return value


def _fitting(value: dict[str, Any], schema: Schema) -> Any:
    """Make the object that a schema describes."""
    if hasattr(schema, "model_validate"):
        return schema.model_validate(value)
    if hasattr(schema, "parse_obj"):  # pydantic's first version
        return schema.parse_obj(value)
    required = convert_to_json_schema(schema).get("required", ()) if schema is not None else ()
    if missing := [name for name in required if name not in value]:
        raise OutputParserException(f"These fields are missing: {', '.join(missing)}.")
    return value


def _repair(question: LanguageModelInput, answer: AIMessage, error: ValueError) -> Any:
    """The question, the answer, and what is wrong with it."""
    messages: list[BaseMessage]
    if isinstance(question, PromptValue):
        messages = question.to_messages()
    elif isinstance(question, str):
        messages = [HumanMessage(question)]
    else:
        messages = convert_to_messages(question)
    return [*messages, answer, HumanMessage(repair_request(str(error)))]
