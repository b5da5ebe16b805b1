"""Checks against clients' schemas, in processes of their own."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base.api import schema_checks
from hfchat_base.api.schema_checks import SchemaChecks
from hfchat_base.errors import InvalidRequestError
from tests.support.waiting import until_async

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
FIT = {"name": "Ada"}


def doubled(depth: int) -> dict[str, Any]:
    """A schema whose parts are applied 2 ** depth times."""
    parts: dict[str, Any] = {
        f"part{number}": {"allOf": [{"$ref": f"#/$defs/part{number + 1}"}] * 2}
        for number in range(depth)
    }
    return {"$defs": {**parts, f"part{depth}": {}}, "$ref": "#/$defs/part0"}


LONG: dict[str, tuple[dict[str, Any], Any]] = {
    "pattern": ({"pattern": "^(a+)+$"}, "a" * 80 + "!"),
    "names": ({"patternProperties": {"^(a+)+$": {}}}, {"a" * 80 + "!": 1}),
    "references": (doubled(60), 1),
    "unique items": ({"uniqueItems": True}, [{"n": number} for number in range(20_000)]),
}


@contextmanager
def opened() -> Iterator[SchemaChecks]:
    """Checks whose processes end with the block."""
    checks = SchemaChecks()
    try:
        yield checks
    finally:
        checks.close()


def test_one_process_makes_one_check_after_another() -> None:
    """It is started with the first check; what is wrong and what fits goes through the same one."""
    with opened() as checks:
        checks.check_schema(NAME)
        (process,) = checks._idle
        checks.check(NAME, FIT)
        with pytest.raises(ValueError, match=r"\$\.name: 7 is not of type 'string'"):
            checks.check(NAME, {"name": 7})
        with pytest.raises(InvalidRequestError, match="not a valid JSON schema"):
            checks.check_schema({"type": "thing"})
        assert checks._idle == [process]


@pytest.mark.parametrize(("schema", "value"), LONG.values(), ids=list(LONG))
def test_what_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], value: Any
) -> None:
    """Whatever part of a schema it is that takes long; the next check gets another process."""
    with opened() as checks:
        checks.check_schema(schema)
        with monkeypatch.context() as patch:
            patch.setattr(schema_checks, "MAX_SECONDS", 0.5)
            with pytest.raises(InvalidRequestError, match="takes more than"):
                checks.check(schema, value)
        checks.check(NAME, FIT)


async def test_closing_ends_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that ends does not wait for a check that does not."""
    monkeypatch.setattr(schema_checks, "MAX_SECONDS", 10_000.0)
    checks = SchemaChecks()
    await checks.run(checks.check_schema, NAME)
    endless = asyncio.create_task(checks.run(checks.check, *LONG["pattern"]))
    await until_async(lambda: not checks._idle)  # until the process has its question
    await asyncio.to_thread(checks.close)
    with pytest.raises(InvalidRequestError):
        await endless


def test_halves_of_characters_pass_through() -> None:
    """Models and clients may send them, and JSON has an escape for them."""
    with opened() as checks:
        checks.check({"const": "\ud800"}, "\ud800")
        with pytest.raises(ValueError, match="was expected"):
            checks.check({"const": "\ud800"}, "\udc00")


def test_a_program_that_is_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python is part of another program, the error says what does not start."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with opened() as checks, pytest.raises(RuntimeError, match="does not start"):
        checks.check_schema(NAME)
