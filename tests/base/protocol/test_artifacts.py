"""Artifacts are taken out of the text, however the text was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfchat_base import Artifact, Event, FinalAnswer, Message, TextDelta, ToolCall
from hfchat_base._protocol.accumulator import Accumulator
from hfchat_base._protocol.artifacts import NOTHING, ArtifactHistory, render, render_messages
from hfchat_base.events import ArtifactDelta, ArtifactEdit, ArtifactEnded, ArtifactStarted

PAGE = '<artifact identifier="page" type="html" title="A page">\n<h1>Hi</h1>\n</artifact>'
UPDATE = (
    '<artifact identifier="page" type="update">\n'
    "<old_str>Hi</old_str>\n<new_str>Ho</new_str>\n</artifact>"
)


def open_tag(attributes: str = 'type="code"') -> str:
    """The opening tag of an artifact called ``a``."""
    return f'<artifact identifier="a" {attributes}>'


def take(
    pieces: list[str], history: ArtifactHistory | None = NOTHING
) -> tuple[Accumulator, list[Event]]:
    """Add a text up that comes in pieces; return what a caller sees of it."""
    accumulator = Accumulator(history=history)
    events = [event for piece in pieces if piece for event in accumulator.take(TextDelta(piece))]
    return accumulator, events + accumulator.end()


def said(events: list[Event]) -> str:
    """The text that was streamed."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        ("plain", "plain"),
        ("a < b << c <", "a < b << c <"),
        (f"Look:\n\n{PAGE}\n\nDone.", "Look:\n\n```html\n<h1>Hi</h1>\n```\n\nDone."),
        (f"Look: {PAGE} Done.", "Look: \n```html\n<h1>Hi</h1>\n```\n Done."),
        (f"  {PAGE}", "  ```html\n<h1>Hi</h1>\n```"),
        (f"- one\n     {PAGE}", "- one\n     \n```html\n<h1>Hi</h1>\n```"),
        (f"{PAGE}{PAGE}", "```html\n<h1>Hi</h1>\n```\n```html\n<h1>Hi</h1>\n```"),
        (f"{open_tag()}x</artifact>", "```\nx\n```"),
        (f"{open_tag()}</artifact>", "```\n```"),
        (f"{open_tag()}\n\n\n</artifact>", "```\n\n```"),
        (f"{open_tag()}\r\nx\r\n</artifact>", "```\nx\n```"),
        (f"{open_tag()}\nx\n  \t</artifact>", "```\nx\n```"),
        (f"{open_tag()}\nx\n\n</artifact>", "```\nx\n```"),
        (f"<<{PAGE[1:-11]}<</artifact>", "```html\n<h1>Hi</h1>\n```"),
        (f"{open_tag()}\n<<svg>\n<<b</artifact>", "```\n<svg>\n<<b\n```"),
        (PAGE.upper(), "```html\n<H1>HI</H1>\n```"),
        (f"```html\n{PAGE}\n```\nok", "```html\n<h1>Hi</h1>\n```\nok"),
        (f"```\nx\n```\n{PAGE}", "```\nx\n```\n```html\n<h1>Hi</h1>\n```"),
        # no artifacts
        ("Use the <artifact> tag.", "Use the <artifact> tag."),
        ("<artifactId>x</artifactId>", "<artifactId>x</artifactId>"),
        ('<artifact type="jar" ext="x"/> in Ivy', '<artifact type="jar" ext="x"/> in Ivy'),
        ("</artifact>", "</artifact>"),
        ("the end <artifac", "the end <artifac"),
        ("the <artifact and so on", "the <artifact and so on"),
        ("<artifact " + "x" * 3000 + ' id="a">', "<artifact " + "x" * 3000 + ' id="a">'),
        # cut off by the end
        (f"{open_tag()}\nx\n", "```\nx\n```"),
        (f"{open_tag()}\nx</artif", "```\nx\n```"),
        (f"{open_tag()}\nx <", "```\nx \n```"),
        ('ok\n<artifact identifier="a', 'ok\n<artifact identifier="a'),
        ('ok\n<artifact identifier="a" ti', "ok\n"),
    ],
)
def test_text(whole: str, text: str) -> None:
    """A fenced code block replaces the tags; anything else is text."""
    assert render(whole)[0] == text
    accumulator, events = take(list(whole))
    assert said(events) == accumulator.answer().text == text


@pytest.mark.parametrize(
    ("attributes", "content", "text"),
    [
        ('type="code" language="python"', "x", "```python\nx\n```"),
        ('type="code" language="c++ `x`"', "x", "```c++x\nx\n```"),
        ('type="react"', "x", "```jsx\nx\n```"),
        ('type="md"', "x", "````markdown\nx\n````"),
        ('type="md"', "```py\nx\n```", "````markdown\n```py\nx\n```\n````"),
        ('type="md"', "````md\nx\n````", "`````markdown\n````md\nx\n````\n`````"),
        ('type="code"', "```\nx\n```", "````\n```\nx\n```\n````"),
        ('type="code"', "a\n```\nb\n```", "```\na\n```\n\n````\n```\nb\n```\n````"),
        ('type="code"', "a\n    ```\nb", "```\na\n    ```\nb\n```"),
        ('type="code"', "a ```\nb", "```\na ```\nb\n```"),
    ],
)
def test_fence(attributes: str, content: str, text: str) -> None:
    """The fence names the language, and is longer than any fence inside of its block."""
    whole = f"{open_tag(attributes)}\n{content}\n</artifact>"
    assert render(whole)[0] == text
    _, events = take(list(whole))
    assert said(events) == text
    (artifact,) = render(whole)[1]
    assert artifact.content == content


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("html", "html"),
        ("text/html", "html"),
        ("image/svg+xml", "svg"),
        ("application/vnd.ant.code", "code"),
        (" Markdown ", "markdown"),
        ("tsx", "react"),
        ("application/vnd.ant.react", "react"),
        ("application/vnd.ant.mermaid", "mermaid"),
        ("text/x-python", "code"),
    ],
)
def test_types(written: str, meant: str) -> None:
    """A type has several names; one that nobody knows is code."""
    (artifact,) = render(f'<artifact id="a" type="{written}">x</artifact>')[1]
    assert artifact.type == meant


def test_attributes() -> None:
    """An artifact has what its tag says; without a title it is called what the model calls it."""
    whole = (
        '<artifact ID="a" type="code" language="py">x</artifact><artifact title="T">y</artifact>'
    )
    assert render(whole)[1] == (
        Artifact("a", "code", "a", "py", "x"),
        Artifact("untitled-artifact", "code", "T", None, "y"),
    )


def test_events() -> None:
    """An artifact begins, comes in pieces, and ends; its text comes as text, too."""
    _, events = take(["Look:\n", PAGE[:60], PAGE[60:], "\nDone."])
    artifact = Artifact("page", "html", "A page", None, "<h1>Hi</h1>")
    kinds = [event for event in events if not isinstance(event, TextDelta)]
    assert kinds[0] == ArtifactStarted("page", "html", "A page", None, 1, "create")
    assert kinds[-1] == ArtifactEnded(artifact)
    deltas = [event for event in kinds if isinstance(event, ArtifactDelta)]
    assert len(deltas) == len(kinds) - 2 == 2
    assert "".join(delta.text for delta in deltas) == artifact.content


def test_artifact_that_is_being_written() -> None:
    """What has arrived of an artifact is part of what has arrived of the answer."""
    accumulator = Accumulator(history=NOTHING)
    accumulator.take(TextDelta(f"{open_tag()}\nhalf"))
    (artifact,) = accumulator.answer().artifacts
    assert (artifact.content, artifact.is_complete) == ("half", False)


def test_artifact_without_end() -> None:
    """An artifact that the answer ends in is kept as it is, and is not complete."""
    (artifact,) = render(f"{open_tag()}\nhalf\n")[1]
    assert (artifact.content, artifact.is_complete) == ("half\n", False)


PARTS = [
    *("<artifact", ' id="a"', ' type="update"', ' type="md"', ">", "</artifact>", "<", "/"),
    *("<old_str>", "</old_str>", "<new_str>", "</new_str>", "a", "\n", "\r\n", " ", "`", "```"),
    *(PAGE, UPDATE, "\t", "svg", "\r"),
]
MARKUP = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)


@given(MARKUP, st.lists(st.integers(0, 1000), max_size=10))
@example('<artifact id="a">\n<</artifact>', [18, 19, 20, 21])
@example('<artifact id="a">\n```\nb', [18, 19, 20, 21])
def test_cuts_do_not_matter(whole: str, cuts: list[int]) -> None:
    """The result is a function of the text alone."""
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    accumulator, events = take([whole[a:b] for a, b in pairwise(places)])
    one, events_of_one = take(list(whole))
    answer = accumulator.answer()
    assert said(events) == answer.text == said(events_of_one)
    assert answer.artifacts == one.answer().artifacts
    contents = "".join(event.text for event in events if isinstance(event, ArtifactDelta))
    assert contents == "".join(artifact.content for artifact in answer.artifacts)


@given(MARKUP, st.lists(st.integers(0, 1000), max_size=4), st.integers(0, 24))
def test_waiting_for_the_history_does_not_matter(whole: str, cuts: list[int], late: int) -> None:
    """The result is the same if the artifacts before the text become known later."""
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    accumulator = Accumulator()
    events: list[Event] = []
    for number, (a, b) in enumerate(pairwise(places)):
        events += accumulator.take(TextDelta(whole[a:b])) if a < b else []
        if accumulator.wants_history and number >= late:
            events += accumulator.take_history(NOTHING)
    events += accumulator.end()
    expected, expected_events = take(list(whole))
    assert said(events) == said(expected_events)
    assert accumulator.answer() == expected.answer()


# --- versions -------------------------------------------------------------------------------------


def test_update() -> None:
    """An update is a new version of the whole, and so is its text."""
    text, artifacts, _ = render(f"{PAGE}\n{UPDATE}")
    assert text == "```html\n<h1>Hi</h1>\n```\n```html\n<h1>Ho</h1>\n```"
    assert [(a.version, a.operation, a.content) for a in artifacts] == [
        (1, "create", "<h1>Hi</h1>"),
        (2, "update", "<h1>Ho</h1>"),
    ]
    assert (artifacts[1].type, artifacts[1].title) == ("html", "A page")
    assert artifacts[1].edits == (ArtifactEdit("Hi", "Ho"),)


def test_rewrite() -> None:
    """An artifact that is written again is a new version of it."""
    assert [(a.version, a.operation) for a in render(PAGE * 2)[1]] == [
        (1, "create"),
        (2, "rewrite"),
    ]


@pytest.mark.parametrize(
    ("content", "edits", "result", "failed"),
    [
        ("aXbX", "<old_str>X</old_str><new_str>Y</new_str>", "aYbX", 0),
        ("aXb", "<<old_str>X</new_str>\n<<new_str>Y</old_str>", "aYb", 0),
        ("aXb", "<old_str>X</old_str><new_str></new_str>", "ab", 0),
        ("a  b\n c", "<old_str>a b c</old_str><new_str>Y</new_str>", "Y", 0),
        ("say \u201chi\u201d", '<old_str>"hi"</old_str><new_str>Y</new_str>', "say Y", 0),
        ("<svg>", "<old_str><<svg></old_str><new_str>Y</new_str>", "Y", 0),
        ("aXb", "<old_str>Z</old_str><new_str>Y</new_str>", "aXb", 1),
        ("aXb", "<old_str></old_str><new_str>Y</new_str>", "aXb", 1),
        ("aXb", "", "aXb", 1),
        ("aXb", "<old_str>X</old_str>", "aXb", 1),
        (
            "aXbX",
            "<old_str>Z</old_str><new_str>Y</new_str><old_str>X</old_str><new_str>Y</new_str>",
            "aYbX",
            1,
        ),
        ("<a></old_str></a>", "<old_str><a></old_str></a></old_str><new_str>Y</new_str>", "Y", 0),
    ],
)
def test_edits(content: str, edits: str, result: str, failed: int) -> None:
    """Each change is made at its first place; one without a place is left out and counted."""
    history = ArtifactHistory().add(Artifact("a", content=content))
    (artifact,) = render(f'<artifact id="a" type="update">{edits}</artifact>', history)[1]
    assert (artifact.content, artifact.failed_edits, artifact.version) == (result, failed, 2)


@pytest.mark.parametrize(
    ("identifier", "found"), [("A ", "a"), ("b", "b"), ("other", "b")], ids=str
)
def test_update_under_another_name(identifier: str, found: str) -> None:
    """An update under a name that nobody has changes the nearest, or the newest artifact."""
    history = ArtifactHistory().add(Artifact("a", content="X")).add(Artifact("b", content="X"))
    whole = f'<artifact id="{identifier}" type="update"><old_str>X</old_str><new_str>Y</new_str>'
    (artifact,) = render(whole, history)[1]
    assert (artifact.identifier, artifact.content, artifact.version) == (found, "Y", 2)


def test_update_of_nothing() -> None:
    """An update of an unknown artifact makes no version; its text is what it would do."""
    text, (artifact,), history = render(UPDATE)
    assert text == "```diff\n-Hi\n+Ho\n```"
    assert (artifact.version, artifact.content, artifact.failed_edits) == (0, "", 1)
    assert history.find("page") is None


def test_text_of_an_update_that_failed() -> None:
    """The text of an update that changes nothing is what it was meant to change."""
    history = ArtifactHistory().add(Artifact("page", "html", content="other"))
    assert render(UPDATE, history)[0] == "```diff\n-Hi\n+Ho\n```"


def test_file_name() -> None:
    """An artifact has a file name that can be used as it is."""
    assert Artifact("a-page", "html").file_name == "a-page.html"
    assert Artifact("../../etc/passwd", "code", language="Python").file_name == "etc-passwd.py"
    assert Artifact("", "code").file_name == "artifact.txt"


# --- what the server says at the end --------------------------------------------------------------


@pytest.mark.parametrize(
    ("streamed", "final", "text"),
    [
        (f"a\n{PAGE}", f"a\n{PAGE}", "a\n```html\n<h1>Hi</h1>\n```"),
        (f"a\n{PAGE[:70]}", f"a\n{PAGE}\nb", "a\n```html\n<h1>Hi</h1>\n```\nb"),
        ("a\n<artif", f"a\n{PAGE}", "a\n```html\n<h1>Hi</h1>\n```"),
        ("", PAGE, "```html\n<h1>Hi</h1>\n```"),
        (PAGE, "other", "other"),
        ("other", PAGE, "```html\n<h1>Hi</h1>\n```"),
    ],
)
def test_final_text(streamed: str, final: str, text: str) -> None:
    """What was streamed and the final text are compared as the server has them."""
    accumulator = Accumulator(history=NOTHING)
    for letter in streamed:
        accumulator.take(TextDelta(letter))
    events = accumulator.take(FinalAnswer(final))
    answer = accumulator.answer()
    assert answer.text == text
    assert events[-1] == FinalAnswer(text)
    assert answer.artifacts == render(final)[1]


def test_artifact_goes_on_behind_a_tool() -> None:
    """A tool in the middle of an artifact does not end it, as the text is one for the page."""
    accumulator = Accumulator(history=NOTHING)
    accumulator.take(TextDelta(PAGE[:60]))
    accumulator.take(ToolCall("u", "search", {}))
    accumulator.take(TextDelta(PAGE[60:]))
    accumulator.take(FinalAnswer(PAGE[60:]))
    assert accumulator.answer().artifacts == render(PAGE)[1]


def test_raw() -> None:
    """Artifacts that are to stay in the text do."""
    accumulator = Accumulator(raw_artifacts=True)
    events = accumulator.take(TextDelta(PAGE)) + accumulator.take(FinalAnswer(PAGE))
    assert events == [TextDelta(PAGE), FinalAnswer(PAGE)]
    assert accumulator.answer().text == PAGE


def test_branches_have_their_own_versions() -> None:
    """A stored message's versions follow those of its own branch."""
    messages = [
        Message(id="1", role="user", content="Go."),
        Message(id="2", role="assistant", content=PAGE, parent_id="1"),
        Message(id="3", role="user", content=f"{PAGE}?", parent_id="2"),
        Message(id="4", role="assistant", content=UPDATE, parent_id="3"),
        Message(id="5", role="assistant", content=UPDATE.replace("Ho", "He"), parent_id="3"),
    ]
    shown = render_messages(messages)
    assert shown[2].content == f"{PAGE}?"
    assert [message.artifacts[0].content for message in shown if message.artifacts] == [
        "<h1>Hi</h1>",
        "<h1>Ho</h1>",
        "<h1>He</h1>",
    ]
    assert [m.artifacts[0].version for m in shown if m.artifacts] == [1, 2, 2]
