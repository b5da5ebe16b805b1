"""A model that reads and knows nothing: it answers with the sentence of its prompt that fits best.

It also does what else a retrieval pipeline asks of a model: it makes a follow-up question stand
alone, and it judges whether a text supports a statement.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel

__all__ = ["models"]

_DONT_KNOW: Final = "I don't know; the texts that I was given do not say."

_PASSAGE: Final = re.compile(r"^ *country: ", re.MULTILINE)
_FACT: Final = re.compile(r"(?<=[.;])\s+|\n+")
_CONDENSE: Final = re.compile(
    r"Chat History:(?P<history>.*)Follow Up Input:(?P<input>.*)Standalone", re.DOTALL
)
_TRANSCRIPT: Final = re.compile(
    r"<transcript>\n(?P<history>.*)\n</transcript>\s*(?P<input>.*)", re.DOTALL
)
_JUDGE: Final = re.compile(
    r".*Information: (?P<statement>.*?)\nContext: (?P<context>.*)\nAnswer:", re.DOTALL
)
_NAME: Final = re.compile(r"\b[A-Z]\w+(?: Islands)?")
_STOP_WORDS: Final = frozenset(
    re.findall(r"\w+", "a an and are at by did do does for from has have how in is it of on the to")
) | frozenset(re.findall(r"\w+", "was were what when where which who why with country"))


def models() -> list[LocalModel]:
    """The model, as a server lists it."""
    return [LocalModel("stand-in/reader", FunctionBackend(_answer))]


def _answer(request: ChatRequest) -> str:
    prompt = request.last_user_text
    if task := _CONDENSE.search(prompt):
        return _condense(task["history"], task["input"].strip())
    if task := _JUDGE.match(prompt):
        return "YES" if _is_supported(task["statement"], task["context"]) else "NO"
    text = "\n".join(str(message["content"]) for message in request.messages)
    if task := _TRANSCRIPT.search(prompt):
        question = _condense(task["history"], task["input"])
    else:
        question = (re.findall(r"Query: (.*)", prompt) or prompt.splitlines())[-1]
    return _find(question, text.partition("\n---------------------\nGiven")[0])


def _find(question: str, text: str) -> str:
    """Answer with the fact that shares the rarest words with the question."""
    passages = _PASSAGE.split(text)[1:]
    spread = Counter(word for passage in passages for word in _words(passage))
    wanted = _words(question)
    best, answer = 0.0, _DONT_KNOW
    for passage in passages:
        head, _, body = passage.partition("\n\n##")
        heading, _, body = body.partition("\n")
        body = body.partition("\n\n  Instruction:")[0].partition("\n---")[0]
        for fact in filter(None, _FACT.split(body)):
            shared = wanted & _words(f"{head} {heading} {fact}")
            score = sum(1 / spread[word] for word in shared)
            if score > best and shared - _words(head):
                best, answer = score, fact
    return f"{answer[0].upper()}{answer[1:].rstrip(';.')}."


def _condense(history: str, follow_up: str) -> str:
    """Ask the last question again, about what the follow-up names."""
    question = re.findall(r"[Uu]ser: (.*\?)", history)[-1]
    old, new = (_NAME.findall(text) for text in (question, follow_up))
    topic = [name for name in old if name.lower() not in _STOP_WORDS]
    names = [name for name in new if name.lower() not in _STOP_WORDS]
    if topic and names:
        return str(question.replace(topic[-1], names[-1]))
    return re.sub(r"\bits\b", f"{topic[-1]}'s", follow_up) if topic else follow_up


def _is_supported(statement: str, context: str) -> bool:
    return _words(statement) <= _words(context)


def _words(text: str) -> set[str]:
    found = re.findall(r"\w+", text.lower())
    return {re.sub(r"(?<=\w\w\w)(?:ing|ed|e)?s?$", "", w) for w in found if w not in _STOP_WORDS}
