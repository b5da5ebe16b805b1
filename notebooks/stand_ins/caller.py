"""A model for the notebook of OpenAI's client: it talks, calls one tool and writes one object.

It knows the questions of the notebook and little else.
"""

from __future__ import annotations

import json
import re
from typing import Final

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel

__all__ = ["models"]

_ANSWERS: Final = {
    "river": "The Tagus flows through Lisbon. It is the longest river of the Iberian Peninsula.",
    "Where does it end": "In the Atlantic, a few kilometres west of the city.",
    "tram": "Number 28 climbs from the river to the castle, and squeaks in every bend.",
    "one word": "Hilly.",
}
_BOOK: Final = {"title": "The Book of Disquiet", "author": "Fernando Pessoa", "year": 1982}
_RESULT: Final = re.compile(r'"content": "(\d+) °C"')


def models() -> list[LocalModel]:
    """The model, as a server lists it."""
    return [LocalModel("stand-in/caller", FunctionBackend(_answer))]


def _answer(request: ChatRequest) -> str:
    question, first = request.last_user_text, str(request.messages[0]["content"])
    if result := _RESULT.search(question):
        return f"It is {result[1]} °C in Lisbon: no coat needed."
    if "<tools>" in first:
        call = {"name": "get_temperature", "arguments": {"city": "Lisbon"}}
        return f"<tool_call>{json.dumps(call)}</tool_call>"
    if "JSON" in first:
        return f"Here it is:\n```json\n{json.dumps(_BOOK)}\n```"
    known = (answer for topic, answer in _ANSWERS.items() if topic in question)
    return next(known, "I am a stand-in and know only what this notebook asks. Log in for more!")
