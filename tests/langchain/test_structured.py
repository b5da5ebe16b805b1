"""Structured output: every method and kind of schema, and one turn to repair."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

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
    """The message is told with the object."""
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
