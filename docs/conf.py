"""How Sphinx builds the documentation.

    sphinx-build -n -W --keep-going -b html docs docs/_build/html

The pages are Markdown (MyST). Nothing is written twice: parts of the README, the changelog,
CONTRIBUTING and SECURITY are included, the notebooks are copied to where Sphinx finds them, Typer
generates the list of commands, and the API reference comes from the docstrings.
"""

# ruff: noqa: INP001 - Sphinx reads this file by its path
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sphinx.util.nodes import make_refnode

# Imported here, because autodoc imports as type checkers do, which fails with LlamaIndex.
import hfchat_base.local
import langchain_huggingchat
import llama_index_huggingchat

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

DOCS: Final = Path(__file__).parent
REPOSITORY: Final = DOCS.parent

project = "hfchat"
author = "The hfchat developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
version = release = hfchat_base.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated", "benchmarks/**", "notebooks/*/*/**"]
default_role = "py:obj"  # single backticks in a docstring are a name

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their outputs, and run by the tests

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
napoleon_attr_annotations = False  # the signature has the types already
napoleon_custom_sections = [
    "Setup",
    ("Key init args for answers", "params_style"),
    ("Key init args for the client", "params_style"),
    "Instantiate",
    "Invoke",
    "Stream",
    "Async",
    "Tool calling",
    "Structured output",
    "Image input",
    "Response metadata",
]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "hfchat"
html_static_path = ["_static"]
html_css_files = ["hfchat.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"

OUR_PACKAGES: Final = ("hfchat_base.", "langchain_huggingchat.", "llama_index_huggingchat.")
PUBLIC: Final = {
    *hfchat_base.__all__,
    *hfchat_base.local.__all__,
    *langchain_huggingchat.__all__,
    *llama_index_huggingchat.__all__,
}

nitpick_ignore_regex = [
    # Other packages' names: their documentation is not fetched while this one is built.
    ("py:.*", r"(collections|typing|typing_extensions|datetime|os|http|pathlib|httpx)\..*"),
    ("py:.*", r"(pydantic|starlette|langchain_core|llama_index|workflows)\..*"),
    ("py:class", r"datetime|CookieJar|SecretStr|Starlette|Self|Unpack|annotated_types\..*"),
    ("py:exc", r"WorkflowRuntimeError"),
    # Types in signatures whose names say enough.
    ("py:class", r"Role|MessageState|ElicitationAction|Generation"),
    ("py:class", r"JsonObject|Piece|TitleFunction|Transcribe"),
]

_FILE_OR_ARGUMENT: Final = re.compile(r".*/.*|.*\.py|[a-z_ ]+(\.[a-z_]+)?|[A-Z_]+")
"""Also written in single backticks, without an entry in the reference."""

_COLON: Final = "\N{RATIO}"


def setup(app: Sphinx) -> None:
    """Connect the functions below."""
    app.connect("builder-inited", _gather)
    # Before napoleon, which reads the sections of a docstring.
    app.connect("autodoc-process-docstring", _hide_colons, priority=400)
    app.connect("autodoc-process-docstring", _read_as_markdown, priority=400)
    app.connect("autodoc-process-docstring", _show_colons, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", _shorten)
    app.connect("missing-reference", _find)


def _gather(_app: Sphinx) -> None:
    """Copy and generate what Sphinx has to find in its folder; git ignores both folders."""
    notebooks = DOCS / "notebooks"
    shutil.rmtree(notebooks, ignore_errors=True)
    shutil.copytree(
        REPOSITORY / "notebooks", notebooks, ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    for path in notebooks.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"  # knows !commands
        path.write_text(json.dumps(notebook), encoding="utf-8")
    generated = DOCS / "_generated"
    generated.mkdir(exist_ok=True)
    command = (sys.executable, "-m", "typer", "hfchat_base.cli.app", "utils", "docs")
    commands = subprocess.run(  # noqa: S603 - our own command
        [*command, "--name", "hfchat"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    (generated / "commands.md").write_text(_with_whole_summaries(commands), encoding="utf-8")


def _with_whole_summaries(commands: str) -> str:
    """Replace the summaries in lists of commands, which Typer shortens, with whole sentences."""
    summaries = {}
    for section in re.split(r"^#{2,3} (?=`)", commands, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        summaries[title.strip("`").rpartition(" ")[2]] = text.strip().partition("\n\n")[0]
    return re.sub(
        r"^\* `(\w+)`: .*\.\.\.$",
        lambda found: f"* `{found[1]}`: {' '.join(summaries[found[1]].split())}",
        commands,
        flags=re.MULTILINE,
    )


def _read_as_markdown(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Treat code in docstrings as Markdown does: fenced, or indented below a paragraph."""
    read: list[str] = []
    in_fence = False
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith("```"):
            if not in_fence:
                indent = line[: -len(line.lstrip())]
                read += [f"{indent}.. code-block:: {text[3:]}", ""]
            in_fence = not in_fence
        elif in_fence:
            read.append(f"    {line}")
        else:
            if line.startswith("    ") and number > 1 and not lines[number - 1].strip():
                above = lines[number - 2]
                if above and not above.startswith((" ", "*")) and not above.endswith("::"):
                    read += ["::", ""]
            read.append(line)
    lines[:] = read


def _hide_colons(
    _app: Sphinx, kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading a value's first words before a colon as its type."""
    if kind in ("property", "attribute", "data") and lines:
        lines[0] = lines[0].replace(":", _COLON)


def _show_colons(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Undo what `_hide_colons` did."""
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _shorten(
    _app: Sphinx,
    kind: str,
    _name: str,
    _object: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Omit the parameters of errors, which users never create, and what Sphinx cannot read."""
    if not signature:
        return None
    return "" if kind == "exception" else signature.replace("<factory>", "..."), returns


def _find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.Element
) -> nodes.Element | None:
    """Find names where the reference documents them.

    `Answer` and ``hfchat_base.types.Answer`` are both ``hfchat_base.Answer`` there. Arguments and
    files in docstrings, and internal types in signatures, stay text. If a public name is not found,
    Sphinx warns about it.
    """
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    is_ours = target.startswith(OUR_PACKAGES)
    name = target.rpartition(".")[2] if is_ours else target
    if node["reftype"] == "obj" and _FILE_OR_ARGUMENT.fullmatch(name):
        return contents
    domain = env.domains.python_domain
    found = [
        (full_name, entry)
        for full_name, entry in domain.find_obj(env, "", "", name, None, 1)
        if not entry.aliased
    ]
    here = str(node.get("py:module") or "")
    found = [pair for pair in found if here and pair[0].startswith(f"{here}.")] or found
    if len(found) == 1:
        full_name, entry = found[0]
        return make_refnode(
            app.builder, node["refdoc"], entry.docname, entry.node_id, contents, full_name
        )
    return contents if is_ours and name not in PUBLIC else None
