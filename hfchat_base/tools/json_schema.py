"""JSON schemas that answers are checked against."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from hfchat_base.errors import InvalidRequestError, MissingRequirementsError

__all__ = ["JsonSchema"]

_MOST_ERRORS: Final = 10
_LONGEST_ERROR: Final = 300
_ENDLESS: Final = "The schema is nested too deeply, or refers to itself without end."


class JsonSchema:
    """A JSON schema. It never fetches anything: references to other documents are errors.

    Args:
        schema: The schema.
        extra: The extra whose user needs it, which brings the package `jsonschema`.

    Raises:
        InvalidRequestError: It is not a valid JSON schema, or nested too deeply.
        MissingRequirementsError: The extra is not installed.
    """

    def __init__(self, schema: Mapping[str, Any], *, extra: str) -> None:
        try:
            from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - heavy
            from jsonschema.validators import validator_for  # noqa: PLC0415 - likewise
            from referencing import Registry  # noqa: PLC0415 - likewise
        except ImportError as error:
            what = "Validating against a JSON schema"
            raise MissingRequirementsError.for_extra(extra, what=what) from error

        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise InvalidRequestError(
                f"The schema is not a valid JSON schema: {error.message[:_LONGEST_ERROR]}"
            ) from error
        except RecursionError:
            raise InvalidRequestError(_ENDLESS) from None
        # With an empty registry it does not fetch other documents.
        self._validator = kind(schema, registry=Registry())

    def check(self, value: Any) -> None:
        """Check a value.

        Raises:
            ValueError: It does not fit; the message may be shown to the model.
            InvalidRequestError: The schema refers to another document, or to itself without end.
        """
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - heavy

        try:
            errors = list(islice(self._validator.iter_errors(value), _MOST_ERRORS))
        except Unresolvable as missing:
            raise InvalidRequestError(
                f"The schema refers to another document, which is not read: {missing.ref}"
            ) from None
        except RecursionError:
            raise InvalidRequestError(_ENDLESS) from None
        except OverflowError:  # of an infinite number
            raise ValueError("It holds a number that is too large.") from None
        if errors:
            errors.sort(key=lambda error: str(error.json_path))
            raise ValueError(
                "\n".join(
                    f"{error.json_path}: {_shortened(str(error.message))}" for error in errors
                )
            )


def _shortened(message: str) -> str:
    """An error's message, which begins with the wrong value, and ends with what is wrong."""
    if len(message) <= _LONGEST_ERROR:
        return message
    half = _LONGEST_ERROR // 2
    return f"{message[:half]} … {message[-half:]}"
