"""Structured output: every method and kind of schema, strict reading, and one more request."""

from __future__ import annotations

import json
import sys
import typing
from typing import Annotated, Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, Field, RootModel
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import NotRequired, TypedDict

from hfchat_base import MissingRequirementsError
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from langchain_huggingchat._structured import METHODS, Method
from tests.support.local_requests import messages_sent, script


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0)


class PersonV1(BaseModelV1):
    """A person, with pydantic's first version."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person, as a dict."""

    name: str
    age: int


ASKED = "Who is 'Ada', who is 36?"
ADA: dict[str, Any] = {"name": "Ada", "age": 36}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (Person, Person(**ADA)),
        (PersonV1, PersonV1(**ADA)),
        (PersonDict, ADA),
        (Person.model_json_schema(), ADA),
    ],
    ids=["pydantic", "pydantic v1", "TypedDict", "JSON schema"],
)
async def test_methods_and_schemas(
    model: ChatHuggingChat, method: Method, schema: Any, expected: Any
) -> None:
    """Each method gives an object of each kind of schema, four ways."""
    structured = model.with_structured_output(schema, method=method)
    assert structured.invoke(ASKED) == expected
    assert await structured.ainvoke(ASKED) == expected
    assert list(structured.stream(ASKED))[-1] == expected
    assert [item async for item in structured.astream(ASKED)][-1] == expected
    await model.aclose()


def test_json_mode_without_schema(model: ChatHuggingChat) -> None:
    """Any object will do where there is no schema."""
    structured = model.with_structured_output(method="json_mode")
    assert structured.invoke("An object with 'a' and 'b', please.").keys() == {"a", "b"}


def test_include_raw(model: ChatHuggingChat) -> None:
    """The message comes with the object."""
    found = model.with_structured_output(Person, include_raw=True).invoke(ASKED)
    assert isinstance(found["raw"], AIMessage)
    assert found["parsed"] == Person(name="Ada", age=36)
    assert found["parsing_error"] is None


@pytest.mark.parametrize(
    ("method", "bad", "good"),
    [
        (
            "function_calling",
            '<tool_call>{"name": "Person", "arguments": {"name": "Ada", "age": -1}}</tool_call>',
            '<tool_call>{"name": "Person", "arguments": {"name": "Ada", "age": 36}}</tool_call>',
        ),
        ("json_schema", '{"name": "Ada"}', 'Sorry!\n```json\n{"name": "Ada", "age": 36}\n```'),
        ("json_mode", "I cannot.", '{"name": "Ada", "age": 36}'),
    ],
)
async def test_repair(server: LocalServer, method: Method, bad: str, good: str) -> None:
    """An answer that does not fit goes back with what is wrong; the next one counts."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent")
    structured = model.with_structured_output(Person, method=method)
    assert structured.invoke([HumanMessage(script(bad, good))]) == Person(name="Ada", age=36)
    last = messages_sent(server)[-1].body
    assert b"Your answer is not valid" in last
    assert b"SCRIPT" not in last
    assert await structured.ainvoke(script(bad, good)) == Person(name="Ada", age=36)
    await model.aclose()


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_repair_is_bounded(server: LocalServer, method: Method) -> None:
    """An answer that does not fit twice is an error, told or raised."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent")
    with pytest.raises(OutputParserException):
        model.with_structured_output(Person, method=method).invoke(script('{"age": 1}'))
    assert len(messages_sent(server)) == 2
    found = model.with_structured_output(Person, method=method, include_raw=True).invoke(
        script('{"age": 1}')
    )
    assert found["parsed"] is None
    assert "name" in str(found["parsing_error"])
    model.close()


def test_forced_call_that_never_comes(server: LocalServer) -> None:
    """A model that never calls is an error that says so."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent", max_tool_asks=1)
    with pytest.raises(OutputParserException, match="no call of Person"):
        model.with_structured_output(Person).invoke(script("No."))
    model.close()


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_schema", "json_schema": {"name": "p", "schema": Person.model_json_schema()}},
        {"type": "json_object"},
        Person,
    ],
)
def test_response_format(server: LocalServer, response_format: Any) -> None:
    """With a response format, the content is the JSON alone, also as it streams."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent")
    asked = script('Here you are:\n```json\n{"name": "Ada", "age": 36}\n```\nAnything else?')
    bound = model.bind(response_format=response_format)
    assert bound.invoke(asked).text == '{"name": "Ada", "age": 36}'
    assert "".join(chunk.text for chunk in bound.stream(asked)) == '{"name": "Ada", "age": 36}'
    assert "one JSON object" in server.prompts[-1].messages[0]["content"]
    model.close()


def test_wrong_arguments(model: ChatHuggingChat) -> None:
    """A method that there is not, and a schema that is missing, are refused at once."""
    with pytest.raises(ValueError, match="function_calling, json_schema, json_mode"):
        model.with_structured_output(Person, method="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a schema"):
        model.with_structured_output()


class Order(BaseModel):
    """An order."""

    item: str
    quantity: int = 1
    paid: bool = False


ORDER: dict[str, Any] = {"item": "screws", "quantity": 500, "paid": True}

NOT_JSON = {
    "cut off in a string": '{"item": "screws and nai',
    "cut off after a value": '{"item": "screws"',
    "Python's words": '{"item": "screws", "paid": True, "quantity": 500}',
    "single quotes": "{'item': 'screws'}",
    "a comment": '{"item": "screws" /* and nails */}',
    "not a number": '{"item": "screws", "quantity": NaN}',
    "a name that occurs twice": '{"item": "screws", "item": "nails"}',
    "no comma": '{"item": "screws" "quantity": 500}',
}


@pytest.fixture
def scripted(server: LocalServer) -> typing.Iterator[ChatHuggingChat]:
    """A model that answers word for word as told."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent")
    yield model
    model.close()


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("text", NOT_JSON.values(), ids=NOT_JSON)
async def test_half_read_json_is_never_an_answer(
    server: LocalServer, scripted: ChatHuggingChat, method: Method, text: str
) -> None:
    """JSON that is cut off or ambiguous is not an object; the model is asked once more."""
    structured = scripted.with_structured_output(Order, method=method)
    asked = script(text, json.dumps(ORDER))
    assert structured.invoke(asked) == Order(**ORDER)
    assert len(messages_sent(server)) == 2
    assert await structured.ainvoke(asked) == Order(**ORDER)
    assert list(structured.stream(asked))[-1] == Order(**ORDER)
    with pytest.raises(OutputParserException):
        structured.invoke(script(text))
    with pytest.raises(OutputParserException):
        list(structured.stream(script(text)))
    await scripted.aclose()


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"item": "a, }", "quantity": 2}\n```',
        'Here you are: {"item": "a, }", "quantity": 2}. Anything else?',
        '{"item": "a, }", "quantity": 2,\n}',
    ],
    ids=["a fence", "text around it", "a comma before a bracket"],
)
def test_what_is_tolerated(server: LocalServer, scripted: ChatHuggingChat, text: str) -> None:
    """JSON that can mean only one thing is read at the first attempt."""
    structured = scripted.with_structured_output(Order, method="json_schema")
    assert structured.invoke(script(text)) == Order(item="a, }", quantity=2)
    assert len(messages_sent(server)) == 1


def test_raw_line_breaks_in_strings(scripted: ChatHuggingChat) -> None:
    """A line break that a model did not escape is part of the string."""
    structured = scripted.with_structured_output(Order, method="json_schema")
    assert structured.invoke(script('{"item": "one\ntwo"}')) == Order(item="one\ntwo")


class Inner(typing.TypedDict):
    """A part."""

    size: int


class Choice(TypedDict):
    """A choice."""

    kind: Annotated[Literal["a", "b"], ..., "The kind"]
    note: NotRequired[str]
    count: Annotated[int | None, None, "How many"]
    parts: list[Inner]


CHOICE_SCHEMA: dict[str, Any] = {
    "title": "Choice",
    "description": "A choice.",
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": ["integer", "null"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Inner"}},
    },
    "required": ["kind", "parts"],
    "$defs": {
        "Inner": {
            "type": "object",
            "properties": {"size": {"type": "integer"}},
            "required": ["size"],
        }
    },
}


def as_answer(method: Method, name: str, value: Any) -> str:
    """A value as a model writes it that was asked by a method."""
    text = json.dumps({"name": name, "arguments": value})
    return f"<tool_call>{text}</tool_call>" if method == "function_calling" else json.dumps(value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", [Choice, CHOICE_SCHEMA], ids=["TypedDict", "JSON schema"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "zzz", "parts": []},
        {"kind": "a", "parts": [{"size": "large"}]},
        {"kind": "a", "parts": [{}]},
        {"kind": "a", "count": "x", "parts": []},
        {"parts": []},
    ],
    ids=str,
)
def test_every_schema_is_validated(
    server: LocalServer, scripted: ChatHuggingChat, method: Method, schema: Any, wrong: Any
) -> None:
    """A TypedDict and a JSON schema are as strict about values as a pydantic class."""
    structured = scripted.with_structured_output(schema, method=method)
    right = {"kind": "a", "count": None, "parts": [{"size": 3}]}
    texts = [as_answer(method, "Choice", value) for value in (wrong, right)]
    assert structured.invoke(script(*texts)) == right
    assert len(messages_sent(server)) == 2


@pytest.mark.parametrize("schema", [Choice, CHOICE_SCHEMA], ids=["TypedDict", "JSON schema"])
def test_fields_with_a_default_may_be_missing(scripted: ChatHuggingChat, schema: Any) -> None:
    """A field that is not required is not asked for."""
    structured = scripted.with_structured_output(schema, method="json_schema")
    assert structured.invoke(script('{"kind": "b", "parts": []}')) == {"kind": "b", "parts": []}


class People(RootModel[list[Person]]):
    """Some people."""


@pytest.mark.parametrize(
    ("method", "is_wrapped"),
    [
        ("function_calling", True),
        ("json_schema", True),
        ("json_schema", False),
        ("json_mode", True),
        ("json_mode", False),
    ],
)
def test_lists(
    server: LocalServer, scripted: ChatHuggingChat, method: Method, is_wrapped: bool
) -> None:
    """A schema that is a list works, whether the model wraps it as requested or not."""
    value = {"value": [ADA]} if is_wrapped else [ADA]
    structured = scripted.with_structured_output(People, method=method)
    answer = as_answer(method, "People", value)
    assert structured.invoke(script(answer)) == People([Person(**ADA)])
    assert len(messages_sent(server)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_obedient_model_gives_lists(model: ChatHuggingChat, method: Method) -> None:
    """A model that follows its instructions gives a list."""
    structured = model.with_structured_output(People, method=method)
    assert structured.invoke(ASKED) == People([Person(**ADA)])


def test_typed_dict_as_it_is_shown(server: LocalServer, model: ChatHuggingChat) -> None:
    """A TypedDict is shown with its descriptions, with None where it may stand."""
    model.with_structured_output(Choice, method="json_schema").invoke("Choose.")
    shown = json.loads(str(server.prompts[-1].messages[0]["content"]).split("\n")[1])
    assert shown["properties"]["kind"] == {
        "description": "The kind",
        "enum": ["a", "b"],
        "type": "string",
    }
    assert {"type": "null"} in shown["properties"]["count"]["anyOf"]
    assert shown["properties"]["parts"]["items"]["properties"] == {"size": {"type": "integer"}}
    assert shown["required"] == ["kind", "parts"]


def test_json_schema_without_its_validator(
    model: ChatHuggingChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where jsonschema is not installed, a class works, and a JSON schema names the extra."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert model.with_structured_output(Person).invoke(ASKED) == Person(**ADA)
    with pytest.raises(MissingRequirementsError, match=r"\[langchain\]"):
        model.with_structured_output(Person.model_json_schema())


def test_invalid_json_schema(model: ChatHuggingChat) -> None:
    """A JSON schema that is none is refused at once."""
    wrong = {"title": "X", "type": "object", "properties": {"a": {"type": "text"}}}
    with pytest.raises(ValueError, match="not a valid JSON schema"):
        model.with_structured_output(wrong)


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Order, Order.model_json_schema()], ids=["class", "dict"])
async def test_partial_objects(scripted: ChatHuggingChat, method: Method, schema: Any) -> None:
    """An object streams while it is being written, and the last one is whole."""
    words = " ".join(f"word{number}" for number in range(30))
    structured = scripted.with_structured_output(schema, method=method)
    asked = script(json.dumps({"item": words, "quantity": 7}))
    outputs = list(structured.stream(asked))
    items = [output.item if schema is Order else output.get("item", "") for output in outputs]
    assert len(outputs) > 5
    assert all(words.startswith(item) for item in items)
    assert items == sorted(items, key=len)
    expected = Order(item=words, quantity=7)
    assert outputs[-1] == (expected if schema is Order else {"item": words, "quantity": 7})
    assert [output async for output in structured.astream(asked)] == outputs
    await scripted.aclose()
