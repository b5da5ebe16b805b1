"""The source of a program that was just run, as it stands in its file."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["source_of"]

_FOR_LINTERS: Final = re.compile(r" +# (?:type: ignore|noqa).*$", re.MULTILINE)
_SHOWN_IMPORTS: Final = ("langchain_huggingchat", "llama_index_huggingchat")


def source_of(module: ModuleType) -> str:
    """Take the lines out of a program that a user would write.

    Args:
        module: A module with a function ``run``.

    Returns:
        The import of the wrapper, and the body of ``run`` without its docstring.
    """
    source = inspect.getsource(module)
    imports, body = [], ""
    for node in ast.parse(source).body:
        segment = ast.get_source_segment(source, node) or ""
        if isinstance(node, ast.ImportFrom) and node.module in _SHOWN_IMPORTS:
            imports.append(segment)
        elif isinstance(node, ast.FunctionDef) and node.name == "run":
            first, last = node.body[1], node.body[-1]
            lines = source.splitlines()[first.lineno - 1 : last.end_lineno]
            body = textwrap.dedent("\n".join(lines))
    return "\n".join([*imports, "", _FOR_LINTERS.sub("", body)])
