"""The documentation is built without a complaint, and every link within it leads somewhere.

Links to elsewhere are followed if HFCHAT_CHECK_LINKS is set, because that needs a network.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

import hfchat_base.local
from tests.support import environment, extras
from tests.support.pages import DOCS, REPOSITORY

pytestmark = pytest.mark.slow

BUILD = (sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b")


class Page(HTMLParser):
    """What a page links to, and what can be linked to on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's address and its name."""
        del tag
        given = dict(attrs)
        if name := given.get("id"):
            self.anchors.add(name)
        if (link := given.get("href") or given.get("src")) and given.get("rel") != "canonical":
            self.links.append(link)


@pytest.fixture(scope="session")
def site(shared_tmp: Path) -> Path:
    """The built site, built in one process of a parallel run alone."""
    extras.require("docs")
    folder = shared_tmp / "site"
    with FileLock(shared_tmp / "site.lock"):
        if not (folder / "done").exists():
            _build(folder)
            (folder / "done").touch()
    return folder / "html"


def _build(folder: Path) -> None:
    command = [*BUILD, "html", "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    done = subprocess.run(  # noqa: S603 - our own documentation
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(360)
def test_every_link_leads_somewhere(site: Path) -> None:
    """The site is built with no warning; its pages, anchors and pictures are where links say."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    broken = set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            is_there = target.exists()
            if is_there and target in pages and parts.fragment:
                is_there = unquote(parts.fragment) in pages[target].anchors
            if not is_there:
                broken.add((path.relative_to(site.resolve()).as_posix(), link))
    assert broken == set()


@pytest.mark.timeout(360)
def test_what_is_public_is_in_the_reference(site: Path) -> None:
    """Every public name has its place in the API reference."""
    documented = set()
    for path in (site / "api").glob("*.html"):
        documented |= Page(path.read_text(encoding="utf-8")).anchors
    public = {f"hfchat_base.{name}" for name in hfchat_base.__all__}
    public |= {f"hfchat_base.local.{name}" for name in hfchat_base.local.__all__}
    left_out = {"hfchat_base.Event", "hfchat_base.__version__"}
    assert public - documented == left_out


@pytest.mark.timeout(360)
def test_no_summary_of_a_command_is_cut_off(site: Path) -> None:
    """The list of commands has whole sentences, which Typer shortens."""
    page = (site / "command-line.html").read_text(encoding="utf-8")
    assert "Usage" in page
    assert re.findall(r"</code>: [^<]*(?:\.\.\.|…)<", page) == []


@pytest.mark.timeout(900)
def test_links_to_elsewhere(tmp_path: Path) -> None:
    """Every address on the web that a page names answers."""
    if "HFCHAT_CHECK_LINKS" not in environment.CALLER:
        pytest.skip("HFCHAT_CHECK_LINKS is not set")
    command = [*BUILD, "linkcheck", "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path)]
    done = subprocess.run(  # noqa: S603 - our own documentation
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
