"""A model that can read, and knows nothing else: the local server's model in these tests.

It sees what any model sees, the chat messages that really arrive, and does what they ask for as
well as word counting goes: it answers a question with the sentence of the prompt that fits best,
picks from lists, splits and rephrases questions, finds keywords. It shares no code with the client.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel
from tests.support.llama_index.tool_user import fill, use_tools

UNKNOWN: Final = "I don't know."

_STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """a about an and are as at be by do does for from has have how in information is it its of
        on or the this to what when where which who why with""",
    )
)
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]?")
_TOOLS: Final = re.compile(
    r"<Tools>\s*```json\s*(.*?)```\s*<User Question>\s*(.*?)\s*\n", re.DOTALL
)
_FOLLOW_UP: Final = re.compile(
    r"(?:<?Chat History[:>]|<?Follow Up (?:Input|Message)[:>]|<?Standalone question[:>])"
)
_QUERY: Final = "My query:\n\n"
_TRANSCRIPT: Final = re.compile(r"<transcript>\n(.*)\n</transcript>", re.DOTALL)
_TURN: Final = re.compile(
    r"^(User|Assistant|System): (.*?)(?=^(?:User|Assistant|System): |\Z)", re.DOTALL | re.MULTILINE
)
_LABEL: Final = re.compile(r"^[A-Z][a-z]+(?: [A-Z][a-z]+)?: ")


def reader_model() -> LocalModel:
    """The model as a server lists it."""
    return LocalModel("test/reader", FunctionBackend(answer))


def answer(request: ChatRequest) -> str:
    """Do what the last message asks for."""
    messages = [turn for message in request.messages for turn in _turns(message)]
    told = (_text(m).rpartition(_QUERY)[0] for m in request.messages if m["role"] == "user")
    if (used := use_tools("\n".join(told), messages)) is not None:
        return used
    task = request.last_user_text
    tasks: dict[str, Callable[[str], str]] = {
        "list of relevant sub-questions": _split_question,
        "standalone question": _rephrase,
        "in a numbered list": _choose,
        "json schema to follow": _fill_in,
        "unique keywords": _keywords,
    }
    for mark, do in tasks.items():
        if mark in task.lower():
            return do(task)
    return _find(request)


def _find(request: ChatRequest) -> str:
    """Answer with the sentence of the whole prompt that shares most words with the question."""
    texts = [_text(message) for message in request.messages]
    question = _question(texts[-1])
    wanted = set(_words(question))
    sentences = [
        _LABEL.sub("", sentence.strip())
        for text in texts
        for sentence in _SENTENCE.findall(text)
        if "?" not in sentence and sentence.strip() != question
    ]
    best = max(sentences, key=lambda s: len(wanted & set(_words(s))), default="")
    return best if wanted & set(_words(best)) else UNKNOWN


def _question(text: str) -> str:
    labelled = re.findall(r"(?:Query|query is as follows): (.+)", text)
    asked = labelled or re.findall(r"[^.!?\n]+\?", text)
    return str((asked or text.strip().splitlines())[-1]).strip()


def _keywords(task: str) -> str:
    counted = Counter(_words(task.partition(". Give")[0]))
    return ", ".join(word for word, _ in counted.most_common(3))


def _fill_in(task: str) -> str:
    text, _, schema = task.partition("Here's a JSON schema to follow:")
    schema = schema.strip()
    if schema.startswith("{{"):  # LlamaIndex's own programs leave the braces doubled
        schema = schema.replace("{{", "{").replace("}}", "}")
    return json.dumps(fill(json.JSONDecoder().raw_decode(schema)[0], text))


def _choose(task: str) -> str:
    choices = re.findall(r"^\((\d+)\) (.+)$", task, re.MULTILINE)
    wanted = set(_words(task.rpartition("question: '")[2].split("'")[0]))
    number, summary = max(choices, key=lambda choice: len(wanted & set(_words(choice[1]))))
    return json.dumps([{"choice": int(number), "reason": f"It is about {summary}"}])


def _split_question(task: str) -> str:
    tools, question = _TOOLS.findall(task)[-1]
    items = [
        {"sub_question": f"{question.rstrip('?')} {name}?", "tool_name": name}
        for name in json.loads(tools)
    ]
    return f"```json\n{json.dumps({'items': items})}\n```"


def _rephrase(task: str) -> str:
    _, history, follow_up, _ = _FOLLOW_UP.split(task)
    names = re.findall(r"\b[A-Z][a-z]+\b", history)
    topic = next((name for name in reversed(names) if name.lower() not in _STOP_WORDS), "it")
    return re.sub(r"\bit\b", topic, follow_up.strip())


def _turns(message: dict[str, Any]) -> list[tuple[str, str]]:
    """The message, or if it holds a transcript of a conversation, what was said in it."""
    text = _text(message).rpartition(_QUERY)[2]
    found = _TRANSCRIPT.search(text)
    if found is None:
        return [(message["role"], text)]
    said = [(role.lower(), words.strip()) for role, words in _TURN.findall(found[1])]
    return [*said, (message["role"], text[found.end() :].strip())]


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return [word.removesuffix("s") for word in words if word not in _STOP_WORDS]
