"""Structured output: objects of the right class, whole and as they grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, RootModel

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index.corpus import town_tools

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own


class Bridge(BaseModel):
    """A bridge."""

    town: str
    arches: int
    material: Literal["stone", "wood"]


class Trip(BaseModel):
    """A trip, with an object and a list in it."""

    first: Bridge
    towns: list[str]


PROMPT = PromptTemplate("There is a {material} bridge in Orvelin with 9 arches.")
BRIDGE = Bridge(town="Orvelin", arches=9, material="stone")


def test_structured_predict(reader: HuggingChatLLM) -> None:
    """An object is read out of a text."""
    assert reader.structured_predict(Bridge, PROMPT, material="stone") == BRIDGE


async def test_astructured_predict(reader: HuggingChatLLM) -> None:
    """It is asynchronously."""
    assert await reader.astructured_predict(Bridge, PROMPT, material="stone") == BRIDGE


def test_nested_object(reader: HuggingChatLLM) -> None:
    """Objects and lists within the object are filled in as well."""
    prompt = PromptTemplate("From Orvelin, with a wood bridge of 9 arches, we went on to Tamsk.")
    trip = reader.structured_predict(Trip, prompt)
    assert trip.first.material == "wood"
    assert trip.towns == ["Tamsk"]


def test_stream_structured_predict(reader: HuggingChatLLM) -> None:
    """Objects grow field by field, and the last is whole and of the right class."""
    grown = list(reader.stream_structured_predict(Bridge, PROMPT, material="stone"))
    assert grown[-1] == BRIDGE
    fields = [object_.model_dump(exclude_none=True) for object_ in grown]
    assert {"town": "Orvelin"} in fields
    assert fields == sorted(fields, key=len)


async def test_astream_structured_predict(reader: HuggingChatLLM) -> None:
    """They do asynchronously."""
    stream = await reader.astream_structured_predict(Bridge, PROMPT, material="stone")
    grown = [object_ async for object_ in stream]
    assert grown[-1] == BRIDGE
    assert len(grown) > 1


def test_as_structured_llm(reader: HuggingChatLLM) -> None:
    """A structured LLM's answers are objects."""
    response = reader.as_structured_llm(Bridge).chat([ChatMessage(PROMPT.format(material="stone"))])
    assert response.raw == BRIDGE


def test_as_structured_llm_streaming(reader: HuggingChatLLM) -> None:
    """Streamed, they grow as well."""
    messages = [ChatMessage(PROMPT.format(material="stone"))]
    responses = list(reader.as_structured_llm(Bridge).stream_chat(messages))
    assert responses[-1].raw == BRIDGE


async def test_as_structured_llm_async(reader: HuggingChatLLM) -> None:
    """A structured LLM completes prompts asynchronously."""
    llm = reader.as_structured_llm(Bridge)
    assert (await llm.acomplete(PROMPT.format(material="stone"))).raw == BRIDGE


def test_text_program(reader_server: LocalServer) -> None:
    """Without function calling the schema goes into the prompt, and the text is parsed."""
    llm = HuggingChatLLM(
        base_url=reader_server.base_url, pydantic_program_mode=PydanticProgramMode.LLM
    )
    assert llm.structured_predict(Bridge, PROMPT, material="stone") == BRIDGE
    assert "<tools>" not in str(reader_server.prompts[-1].messages)


def test_router_with_function_calling(reader: HuggingChatLLM) -> None:
    """A router lets a function-calling model pick by an object."""
    engine = RouterQueryEngine.from_defaults(town_tools(), llm=reader)
    answer = engine.query("How many arches has the bridge of Orvelin?")
    assert answer.metadata is not None
    assert answer.metadata["selector_result"].selections


class Order(BaseModel):
    """An order, most fields of which may be left out."""

    item: str
    quantity: int = 1
    paid: bool = False


Numbers = RootModel[list[int]]
ORDER = PromptTemplate("Order {number} screws and nails.")


class Scripted:
    """A model that gives one answer after the other, and the prompts that it got."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def answer(self, _request: ChatRequest) -> str:
        """Give the next answer; the last one again and again."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def scripted(*answers: str, **settings: Any) -> Iterator[tuple[HuggingChatLLM, LocalServer]]:
    """An LLM whose model gives these answers, and its server."""
    model = LocalModel("test/scripted", FunctionBackend(Scripted(*answers).answer))
    with LocalServer(models=[model]) as server:
        yield HuggingChatLLM(base_url=server.base_url, **settings), server


def called(arguments: str) -> str:
    """A call of the tool that makes an order."""
    return f'<tool_call>\n{{"name": "Order", "arguments": {arguments}}}\n</tool_call>'


MODES: Final[dict[str, tuple[Callable[[str], str], dict[str, Any]]]] = {
    "function": (called, {}),
    "text": (str, {"pydantic_program_mode": PydanticProgramMode.LLM}),
}
GOOD = '{"item": "screws and nails", "quantity": 500, "paid": true}'
WHOLE = Order(item="screws and nails", quantity=500, paid=True)
NOT_VALID: Final[dict[str, Callable[[Callable[[str], str]], str]]] = {
    "breaks off in a text": lambda form: form(GOOD).partition("ls")[0],
    "breaks off between fields": lambda form: form(GOOD).partition(', "paid"')[0],
    "a field missing": lambda form: form('{"quantity": 500}'),
    "a wrong type": lambda form: form('{"item": "screws", "quantity": "many"}'),
    "a constant that is none": lambda form: form('{"item": "screws", "quantity": NaN}'),
    "a name that occurs twice": lambda form: form('{"item": "a", "item": "b", "quantity": "c"}'),
    "no JSON": lambda _form: "I would rather not.",
}
"""Answers that are not valid, in the form of each mode."""


def last(objects: Iterable[Any]) -> Any:
    """The last of a stream's objects."""
    return list(objects)[-1]


async def last_async(objects: AsyncIterator[Any]) -> Any:
    """The last of an asynchronous stream's objects."""
    return [object_ async for object_ in objects][-1]


Way = Callable[[HuggingChatLLM], Awaitable[Any]]


async def _predict(llm: HuggingChatLLM) -> Any:
    return await asyncio.to_thread(llm.structured_predict, Order, ORDER, number=500)


async def _apredict(llm: HuggingChatLLM) -> Any:
    return await llm.astructured_predict(Order, ORDER, number=500)


async def _stream(llm: HuggingChatLLM) -> Any:
    return await asyncio.to_thread(
        lambda: last(llm.stream_structured_predict(Order, ORDER, number=500))
    )


async def _astream(llm: HuggingChatLLM) -> Any:
    return await last_async(await llm.astream_structured_predict(Order, ORDER, number=500))


WAYS: dict[str, Way] = {
    "predict": _predict,
    "apredict": _apredict,
    "stream": _stream,
    "astream": _astream,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", NOT_VALID)
async def test_answer_that_is_not_valid_is_sent_back_once(wrong: str, mode: str, way: str) -> None:
    """What breaks off or does not fit is not an answer: the model learns of it, and corrects it."""
    form, settings = MODES[mode]
    with scripted(NOT_VALID[wrong](form), form(GOOD), **settings) as (llm, server):
        assert await WAYS[way](llm) == WHOLE
        assert len(server.prompts) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_python_in_place_of_json(way: str) -> None:
    """In text, Python's literals are not JSON, and are not guessed at."""
    wrong = '{"item": "screws", "paid": True, "quantity": 500}'
    with scripted(wrong, GOOD, **MODES["text"][1]) as (llm, server):
        assert await WAYS[way](llm) == WHOLE
        assert "not valid" in str(server.prompts[-1].messages[-1])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
async def test_answer_that_stays_invalid_is_an_error(mode: str, way: str) -> None:
    """An answer that is still not valid is an error with the reason, and no object."""
    form, settings = MODES[mode]
    with scripted(form('{"item": "screws", "quantity": "many"}'), **settings) as (llm, server):
        with pytest.raises(ValueError, match=r"not fit Order.*quantity"):
            await WAYS[way](llm)
        assert len(server.prompts) == 2


@pytest.mark.parametrize("mode", MODES)
def test_previews_are_not_answers(mode: str) -> None:
    """While an answer is streamed nothing is of the class that was asked for, but the last."""
    form, settings = MODES[mode]
    with scripted(form(GOOD), **settings) as (llm, _):
        *previews, whole = llm.stream_structured_predict(Order, ORDER, number=500)
    assert whole == WHOLE
    assert previews
    assert not [preview for preview in previews if isinstance(preview, Order)]


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is:\n```json\n{GOOD}\n```\nAnything else?",
        GOOD.replace("}", ",}"),
        GOOD,
    ],
)
def test_text_around_json(text: str) -> None:
    """In text, a sentence and a code fence may stand around the JSON, and a comma at its end."""
    with scripted(text, **MODES["text"][1]) as (llm, server):
        assert llm.structured_predict(Order, ORDER, number=500) == WHOLE
        assert '"quantity"' in str(server.prompts[-1].messages)
        assert "{{" not in str(server.prompts[-1].messages)


def test_list() -> None:
    """A class that is a list in JSON works in both modes, streamed as well."""
    call = '<tool_call>\n{"name": "RootModel_list_int__", "arguments": {"value": [1, 2]}}\n'
    prompt = PromptTemplate("Count.")
    with scripted(call.replace("RootModel_list_int__", "RootModel[list[int]]")) as (llm, _):
        assert llm.structured_predict(Numbers, prompt) == Numbers([1, 2])
        assert last(llm.stream_structured_predict(Numbers, prompt)) == Numbers([1, 2])
    with scripted("It is [1, 2].", **MODES["text"][1]) as (llm, _):
        assert llm.structured_predict(Numbers, prompt) == Numbers([1, 2])


def test_system_prompt_and_options() -> None:
    """The object's system prompt and the options of the call take part."""
    with scripted(called(GOOD), system_prompt="Be exact.") as (llm, server):
        llm.structured_predict(Order, ORDER, {"model": "scripted"}, number=500)
        assert "Be exact." in str(server.prompts[-1].messages[0])
