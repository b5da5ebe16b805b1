"""The environment of tests: of the user's variables only those that say where programs are.

`tests/conftest.py` clears it before anything is imported that reads it, so in every process of a
parallel run, and for all programs that tests start. What speaks to the world outside on behalf of
whoever runs the tests (an installer, the live tests) asks for `CALLER` by name.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLER: Final = dict(os.environ)
"""The variables as they were before they were cleared; a parallel run hands them to its workers."""

_PREFIXES: Final = (
    *("HUGGINGCHAT_", "HFCHAT_"),  # whom to talk to, as whom
    *("PYTEST_", "PYTHON", "HYPOTHESIS_"),  # options of another Python or test run
    *("XDG_", "LC_", "IPYTHON", "JUPYTER", "MPL"),  # folders, languages, settings of other programs
    *("LANGCHAIN_", "LANGSMITH_", "LLAMA_", "OPENAI_", "HF_", "HUGGING_FACE_"),  # tracing, keys
    *("SSL_CERT_", "TYPER_", "_TYPER_", "NETRC"),
)
_NAMES: Final = frozenset(
    (
        *("LANG", "LANGUAGE", "TZ"),
        *("TERM", "COLORTERM", "COLUMNS", "LINES", "TERMINAL_WIDTH"),
        *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS"),
        *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "BROWSER", "EDITOR", "VISUAL"),
    )
)
_OF_PYTEST: Final = frozenset(
    (
        *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"),
        *("PYTEST_VERSION", "PYTEST_CURRENT_TEST"),
    )
)
"""What the running pytest itself set, and still needs."""

_UMASK: Final = 0o022


def clear() -> None:
    """Take out of this process whatever could change the outcome of a test."""
    for name in list(os.environ):
        upper = name.upper()
        ours = upper in _NAMES or upper.startswith(_PREFIXES) or upper.endswith("_PROXY")
        if ours and upper not in _OF_PYTEST:
            del os.environ[name]
    os.environ["TZ"] = "UTC"
    if hasattr(time, "tzset"):
        time.tzset()
    os.umask(_UMASK)


@contextmanager
def of_caller() -> Iterator[None]:
    """Have the user's own variables for a while, to use their network."""
    cleared = dict(os.environ)
    os.environ.update(CALLER)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(cleared)
