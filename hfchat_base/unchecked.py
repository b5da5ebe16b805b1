"""Pydantic models without validation, for the wrappers, which make some for every token.

hfchat itself does without pydantic, and so does this module.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

__all__ = ["Template"]

_Model = TypeVar("_Model")
_set: Final = object.__setattr__


class Template(Generic[_Model]):
    """Makes models like one that was checked, as pydantic copies a model.

    That costs a third of what validation does, and is for fields that need none.

    Args:
        model: The model, without private attributes and extra fields; it is not changed.
    """

    __slots__ = ("_class", "_containers", "_fields", "_takes_extra")

    def __init__(self, model: _Model) -> None:
        self._class = model.__class__
        self._fields = vars(model)
        # A model that takes fields of anybody, as LangChain's messages do, has a place for them.
        self._takes_extra = getattr(model, "__pydantic_extra__", None) is not None
        # What no two models may share, each with what makes a new one.
        self._containers = [(name, type(v)) for name, v in self._fields.items() if v in ([], {})]

    def filled(self, **given: Any) -> _Model:
        """Make a model.

        Args:
            given: Its fields that are not the template's, in the types that they have to have.
        """
        fields = self._fields.copy()
        for name, new in self._containers:
            fields[name] = new()
        fields.update(given)
        made = object.__new__(self._class)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", set(given))
        _set(made, "__pydantic_extra__", {} if self._takes_extra else None)
        _set(made, "__pydantic_private__", None)
        return made
