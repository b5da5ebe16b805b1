"""The environment that tests run in is nobody's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SHOW = """
import json, os
from tests.support import environment
environment.clear()
print(json.dumps([dict(os.environ), environment.CALLER]))
"""


@pytest.mark.parametrize(
    "name",
    [
        *(
            "HUGGINGCHAT_BASE_URL",
            "HUGGINGCHAT_COOKIES",
            "HUGGINGCHAT_KEYRING",
            "HFCHAT_DEMO_MODEL",
        ),
        *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONWARNINGS", "PYTHONPATH", "PYTHONUTF8"),
        *("http_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"),
        *("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "GITHUB_ACTIONS"),
        *("LANG", "LC_ALL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
        *("LANGSMITH_TRACING", "OPENAI_API_KEY", "IPYTHONDIR", "MPLBACKEND"),
    ],
)
def test_variables_of_whoever_runs_the_tests_are_gone(name: str) -> None:
    """A variable that could change an outcome reaches no test; it is kept for installers alone."""
    assert name not in os.environ
    cleared, caller = shown({**os.environ, name: "1"})
    assert name not in cleared
    assert caller[name] == "1"


def test_it_is_utc() -> None:
    """Local times are the same everywhere."""
    assert shown({**os.environ, "TZ": "Asia/Kathmandu"})[0]["TZ"] == os.environ["TZ"] == "UTC"


def test_what_programs_need_is_left() -> None:
    """Programs are found as before."""
    assert shown(dict(os.environ))[0]["PATH"] == os.environ["PATH"]


def shown(variables: dict[str, str]) -> list[dict[str, str]]:
    """The variables of a process that was started with some and cleared them, and its caller's."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _SHOW],
        env=variables,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    result: list[dict[str, str]] = json.loads(done.stdout)
    return result
