"""JSON schemas that answers are checked against."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hfchat_base.errors import InvalidRequestError, MissingRequirementsError
from hfchat_base.tools.json_schema import JsonSchema

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


def test_a_value_that_fits() -> None:
    """It passes."""
    JsonSchema(CITY, extra="api").check({"name": "Paris", "people": 2_100_000})


def test_what_does_not_fit_is_told_by_its_place() -> None:
    """The model reads where something is wrong, and what."""
    with pytest.raises(ValueError, match=r"\$\.people: 'many' is not of type 'integer'"):
        JsonSchema(CITY, extra="api").check({"name": "Paris", "people": "many"})


def test_long_errors_are_cut() -> None:
    """What a model is told stays short, however wrong its answer is."""
    schema = {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(ValueError, match="is not of type") as found:
        JsonSchema(schema, extra="api").check(["x" * 10_000] * 1000)
    assert len(str(found.value)) < 4000


def test_an_invalid_schema_is_refused() -> None:
    """A schema that is none is the caller's mistake."""
    with pytest.raises(InvalidRequestError, match="not a valid JSON schema"):
        JsonSchema({"type": "thing"}, extra="api")


def test_other_documents_are_not_fetched() -> None:
    """A reference to another document is the caller's mistake, and never a request."""
    schema = JsonSchema({"$ref": "http://127.0.0.1:9/schema.json"}, extra="api")
    with pytest.raises(InvalidRequestError, match="another document"):
        schema.check({})


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(MissingRequirementsError, match="api"):
        JsonSchema(CITY, extra="api")


ENDLESS: list[dict[str, Any]] = [
    {"$ref": "#"},
    {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
]


@pytest.mark.parametrize("schema", ENDLESS, ids=["itself", "a part"])
def test_a_schema_without_an_end(schema: dict[str, Any]) -> None:
    """A schema that refers to itself on the way to nothing is a wrong schema."""
    with pytest.raises(InvalidRequestError, match="without end"):
        JsonSchema(schema, extra="api").check(1)


def test_a_schema_nested_too_deeply() -> None:
    """A schema that is nested too deeply to be checked is a wrong schema."""
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"not": schema}
    with pytest.raises(InvalidRequestError, match="too deeply"):
        JsonSchema(schema, extra="api")


def test_a_number_without_an_end() -> None:
    """An infinite number, which Python reads from JSON, fits no multiple."""
    with pytest.raises(ValueError, match="number"):
        JsonSchema({"multipleOf": 0.1}, extra="api").check(float("inf"))
