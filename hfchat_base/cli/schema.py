"""The JSON schema of ``hfchat ask --schema``: read, shown to the model, and checked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from hfchat_base import Answer, Conversation, HuggingChatError, InvalidRequestError
from hfchat_base.cli.options import WrongUsage
from hfchat_base.cli.terminal import clean_line

__all__ = ["AnswerSchema"]

_SCHEMA_ATTEMPTS: Final = 3
"""How often the model is asked for JSON that fits a schema."""

_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD: Final = rf"\s*[^\W\d]\w*(?:\s+(?:{'|'.join(_TYPES)}))?\s*"
_FIELDS: Final = re.compile(rf"(?:{_FIELD},)+{_FIELD}|\s*[^\W\d]\w*\s+(?:{'|'.join(_TYPES)})\s*")
"""Several fields, or one with its type: a single word is a file that is missing."""


class AnswerSchema:
    """A JSON schema that an answer has to fit.

    Args:
        schema: The schema.

    Raises:
        WrongUsage: It is not a valid JSON schema.
    """

    def __init__(self, schema: Any) -> None:
        from hfchat_base.tools.json_schema import JsonSchema  # noqa: PLC0415 - seldom needed

        self._schema = schema
        try:
            self._checked = JsonSchema(schema, extra="cli")
        except InvalidRequestError as error:
            raise WrongUsage(clean_line(str(error), 300)) from None

    @classmethod
    def load(cls, source: str) -> AnswerSchema:
        """Read a schema from a file, or make one of fields.

        Args:
            source: The file's path, or fields as in ``name, age int``: names with their types,
                separated by commas; a name alone is a string.

        Raises:
            InvalidRequestError: The file cannot be read.
            WrongUsage: It does not hold a JSON schema.
        """
        path = Path(source).expanduser()
        if _FIELDS.fullmatch(source) and not path.exists():
            return cls(_schema_of_fields(source))
        try:
            return cls(json.loads(path.read_bytes()))
        except OSError as error:
            raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise WrongUsage(f"{path} does not hold JSON.") from None

    def ask_for(self, question: str) -> str:
        """The question with what the model needs to know about the schema."""
        from hfchat_base.tools import schema_instructions  # noqa: PLC0415 - seldom needed

        return f"{question}\n\n{schema_instructions(self._schema)}"

    def read(self, conversation: Conversation, answer: Answer) -> Any:
        """Take the JSON from an answer; ask again where it does not fit.

        Raises:
            HuggingChatError: It does not fit after the last attempt either.
        """
        for attempt in range(1, _SCHEMA_ATTEMPTS + 1):
            value, problem = self._check(answer.text)
            if not problem:
                return value
            if attempt < _SCHEMA_ATTEMPTS:
                answer = conversation.send(
                    f"That does not fit the schema: {problem} Answer again with the JSON alone."
                )
        raise HuggingChatError(f"The answer does not fit the schema: {clean_line(problem, 300)}")

    def _check(self, text: str) -> tuple[Any, str]:
        """Read the JSON in a text; the second value says what is wrong with it, or is empty."""
        from hfchat_base.tools import JsonAnswer  # noqa: PLC0415 - seldom needed

        scanner = JsonAnswer()
        found = scanner.feed(text) + scanner.end()
        try:
            value = json.loads(found)
        except ValueError as error:
            return None, f"it is not JSON ({error})."
        try:
            self._checked.check(value)
        except InvalidRequestError:
            raise
        except ValueError as error:
            return value, str(error)
        return value, ""


def _schema_of_fields(text: str) -> dict[str, Any]:
    fields = [field.split() for field in text.split(",")]
    kinds = {name: _TYPES[kind[0] if kind else "str"] for name, *kind in fields}
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
        "required": list(kinds),
        "additionalProperties": False,
    }
