"""How many tool tasks and structured-output tasks a small real model gets right, by prompt.

    python benchmarks/small_model_tasks.py model.gguf

The model runs behind the local server, and is asked through `ChatHuggingChat` as any other. It
answers at temperature 0, so two runs with the same wording give the same table. Needs the extras
``langchain`` and ``demo``.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from hfchat_base import HuggingChatError
from hfchat_base.local import LocalModel, LocalServer
from hfchat_base.local.demo import DemoEngine
from hfchat_base.local.demo.model import DemoBackend
from langchain_huggingchat import ChatHuggingChat
from langchain_huggingchat._structured import Method

MAX_TOKENS: Final = 200
"""Where an answer that goes round in circles is cut off."""


@tool
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather in a city."""
    return f"21 degrees {unit} in {city}"


@tool
def calculate(expression: str) -> str:
    """Calculate the value of an arithmetic expression, such as "3 * (4 + 5)"."""
    return expression


@tool
def search_contacts(name: str) -> str:
    """Look up the phone number and email address of a person by name."""
    return f"{name}: 555-0100"


@tool
def current_time() -> str:
    """Get the current date and time."""
    return "2026-11-22 10:00"


TOOLS: Final = [get_weather, calculate, search_contacts, current_time]


class ToolTask(NamedTuple):
    """A question, and the calls that answer it: the tool's name and a pattern for its arguments."""

    question: str
    calls: dict[str, str]


TOOL_TASKS: Final = (
    ToolTask("What is the weather in Paris?", {"get_weather": "Paris"}),
    ToolTask("How warm is it in Tokyo right now?", {"get_weather": "Tokyo"}),
    ToolTask("Is it raining in São Paulo?", {"get_weather": "S.o Paulo"}),
    ToolTask("Tell me the temperature in Boston in fahrenheit.", {"get_weather": "Boston.*fahr"}),
    ToolTask("Do I need an umbrella in London today?", {"get_weather": "London"}),
    ToolTask("What's the weather like in 北京?", {"get_weather": "北京|Beijing"}),
    ToolTask("What is 1234 * 5678?", {"calculate": "1234.*5678"}),
    ToolTask("Calculate the square root of 1764.", {"calculate": "1764"}),
    ToolTask("How much is 15% of 80?", {"calculate": "80"}),
    ToolTask("Add 99 and 101 with the calculator.", {"calculate": "99.*101"}),
    ToolTask("What is (3 + 4) * 12?", {"calculate": r"3 ?\+ ?4.*12"}),
    ToolTask("What is Ada Lovelace's phone number?", {"search_contacts": "Ada Lovelace"}),
    ToolTask("Find the email address of John Smith.", {"search_contacts": "John Smith"}),
    ToolTask("I want to call Maria. Look up her number.", {"search_contacts": "Maria"}),
    ToolTask("What time is it?", {"current_time": ""}),
    ToolTask("What's today's date?", {"current_time": ""}),
    ToolTask("Hello! How are you?", {}),
    ToolTask("Thank you very much for your help.", {}),
    ToolTask("Write a short greeting for my friend.", {}),
    ToolTask("Say the word banana.", {}),
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(description="age in years")


class Event(BaseModel):
    """An event in a calendar."""

    title: str
    day: Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    participants: list[str]


class Review(BaseModel):
    """What a review says."""

    sentiment: Literal["positive", "negative", "neutral"]
    product: str


class Order(BaseModel):
    """An order in a shop."""

    item: str
    quantity: int
    express: bool = Field(description="whether express delivery was asked for")


class ObjectTask(NamedTuple):
    """A text, the schema to put it in, and what has to come out."""

    text: str
    schema: type[BaseModel]
    holds: Callable[[Any], bool]


OBJECT_TASKS: Final = (
    ObjectTask("Anna is 34 years old.", Person, lambda p: p.name == "Anna" and p.age == 34),
    ObjectTask(
        "Bob Miller turned 71 last week.", Person, lambda p: "Bob" in p.name and p.age == 71
    ),
    ObjectTask("My little brother Tim is five.", Person, lambda p: "Tim" in p.name and p.age == 5),
    ObjectTask(
        "Team lunch on Friday with Ada and Grace.",
        Event,
        lambda e: e.day == "Friday" and set(e.participants) == {"Ada", "Grace"},
    ),
    ObjectTask(
        "Dentist on Monday, just me, Carl.",
        Event,
        lambda e: e.day == "Monday" and e.participants == ["Carl"],
    ),
    ObjectTask(
        "The headphones broke after one day. Terrible!",
        Review,
        lambda r: r.sentiment == "negative" and "headphone" in r.product.lower(),
    ),
    ObjectTask(
        "I love this coffee machine, best purchase ever.",
        Review,
        lambda r: r.sentiment == "positive" and "coffee" in r.product.lower(),
    ),
    ObjectTask("The lamp is okay, nothing special.", Review, lambda r: "lamp" in r.product.lower()),
    ObjectTask(
        "I'd like 12 red pencils, and please hurry: express delivery.",
        Order,
        lambda o: o.quantity == 12 and "pencil" in o.item.lower() and o.express,
    ),
    ObjectTask(
        "Send me three notebooks, standard delivery is fine.",
        Order,
        lambda o: o.quantity == 3 and "notebook" in o.item.lower() and not o.express,
    ),
)


def tool_results(model: ChatHuggingChat) -> Iterator[tuple[str, bool, str]]:
    """Do the tool tasks: the task, whether it was solved, and what came."""
    bound = model.bind_tools(TOOLS)
    for task in TOOL_TASKS:
        message = bound.invoke(task.question)
        yield task.question, _is_solved(message, task), _shown(message)


def _is_solved(message: AIMessage, task: ToolTask) -> bool:
    if not task.calls and message.text.lstrip().startswith(("{", "<")):
        return False  # an attempt at a call, and no answer
    called = {call["name"]: str(call["args"]) for call in message.tool_calls}
    return called.keys() == task.calls.keys() and all(
        re.search(pattern, called[name], re.DOTALL) for name, pattern in task.calls.items()
    )


def _shown(message: AIMessage) -> str:
    calls = [f"{call['name']}({call['args']})" for call in message.tool_calls]
    return " ".join([message.text[:80], *calls]).strip()


def object_results(model: ChatHuggingChat, method: Method) -> Iterator[tuple[str, bool, str]]:
    """Do the structured-output tasks in one way."""
    for task in OBJECT_TASKS:
        try:
            found = model.with_structured_output(task.schema, method=method).invoke(task.text)
        except (ValueError, HuggingChatError) as error:
            yield task.text, False, str(error)[:120]
        else:
            yield task.text, task.holds(found), repr(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    gguf: Path = parser.parse_args().gguf
    with DemoEngine(gguf) as engine:
        backend = DemoBackend(engine, system_prompt=None, max_tokens=MAX_TOKENS)
        with LocalServer(models=[LocalModel(f"local/{gguf.stem}", backend)]) as server:
            model = ChatHuggingChat(base_url=server.base_url)
            tables = {
                "tools": tool_results(model),
                "objects, function_calling": object_results(model, "function_calling"),
                "objects, json_schema": object_results(model, "json_schema"),
            }
            for name, results in tables.items():
                started = time.monotonic()
                rows = list(results)
                for task, solved, came in rows:
                    print(f"{'ok ' if solved else 'BAD'} {task:55.55} {came}")
                count = sum(row[1] for row in rows)
                print(f"{name}: {count} of {len(rows)} in {time.monotonic() - started:.0f} s\n")
            model.close()


if __name__ == "__main__":
    main()
