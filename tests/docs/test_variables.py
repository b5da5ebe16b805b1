"""The table of environment variables."""

from __future__ import annotations

import re

from tests.support.pages import REPOSITORY, pages

PACKAGES = ("hfchat_base", "langchain_huggingchat", "llama_index_huggingchat")
VARIABLE = re.compile(r"_VARIABLE: Final = \"(\w+)\"|environ(?:\.get\(|\[)\"(\w+)\"")
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)


def test_all_variables_are_in_the_table() -> None:
    """Every variable that the code reads has a row in the documentation."""
    sources = [path for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py")]
    read = {
        name.upper()
        for path in sources
        for names in VARIABLE.findall(path.read_text(encoding="utf-8"))
        for name in names
        if name
    }
    rows = [row for page in pages() for row in ROW.findall(page.read_text(encoding="utf-8"))]
    documented = set(re.findall(r"\w+", " ".join(rows).upper()))
    assert {"HUGGINGCHAT_BASE_URL", "HUGGINGCHAT_ACCOUNT", "OPENAI_API_KEY"} <= read
    of_the_system = {"DISPLAY", "WAYLAND_DISPLAY", "VIRTUAL_ENV", "CONDA_PREFIX", "UV", "TZ"}
    assert read - documented <= of_the_system, "read, and not in a table"
