"""A whole conversation as Markdown and as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from hfchat_base.safe_text import clean
from hfchat_base.transcripts import files_of, markdown_line, to_json, to_markdown
from hfchat_base.types import FullConversation, Message, MessageFile

WHEN = datetime(2026, 8, 1, 12, 30, tzinfo=timezone.utc)
PICTURE = MessageFile(name="a [cat].png", sha="1", mime="image/png")
NOTES = MessageFile(name="notes.txt", sha="2", mime="text/plain")
CONVERSATION = FullConversation(
    id="0" * 24,
    title="Ferries \x1b[31mand `tides`\nof the north",
    model="org/model",
    messages=(
        Message(id="root", role="system", content="", children=("u1",)),
        Message(
            id="u1",
            role="user",
            content="Hello",
            parent_id="root",
            children=("a1", "a2"),
            files=(PICTURE, NOTES),
        ),
        Message(id="a1", role="assistant", content="First", parent_id="u1", reasoning="Hm."),
        Message(id="a2", role="assistant", content="Second", parent_id="u1", state="interrupted"),
    ),
)


def test_markdown_has_all_branches() -> None:
    """Messages are numbered; versions, branches, reasoning, files and states are shown."""
    assert (
        to_markdown(CONVERSATION, WHEN, {"1": "files/1.png"})
        == """\
# Ferries and \\`tides\\` of the north

org/model · 2026-08-01 12:30 UTC · 000000000000000000000000

## 1. User

Hello

![a \\[cat\\].png](files/1.png)

notes.txt (its bytes are not here)

## 2. Assistant (version 1 of 2)

<details><summary>Reasoning</summary>

Hm.

</details>

First

## 3. Assistant (version 2 of 2, follows 1, interrupted)

Second
"""
    )


def test_json_is_read_back() -> None:
    """JSON is the conversation itself, with the paths of files, and safe to show."""
    text = to_json(CONVERSATION, WHEN, {"1": "files/1.png"})
    assert FullConversation.model_validate_json(text) == CONVERSATION
    assert clean(text) == text
    document = json.loads(text)
    assert document["updated_at"] == "2026-08-01T12:30:00+00:00"
    assert [file["path"] for file in document["messages"][1]["files"]] == ["files/1.png", None]


def test_a_conversation_without_a_title() -> None:
    """One without title, model and date is named by its id."""
    assert to_markdown(FullConversation(id="1")) == "# 1\n\n1\n"


def test_files_of_all_messages() -> None:
    """Files are those of all messages; one without a sha cannot be fetched, and is left out."""
    nameless = MessageFile(name="x", sha="", mime="")
    message = CONVERSATION.messages[1].model_copy(update={"files": (PICTURE, nameless)})
    conversation = CONVERSATION.model_copy(update={"messages": (message, message)})
    assert list(files_of(conversation)) == [PICTURE, PICTURE]


def test_a_line_of_markdown_is_text() -> None:
    """What a name or a title holds is neither a link, nor an element, nor another line."""
    assert markdown_line("[a](b)\n<i>*x*</i>\x07") == r"\[a\](b) \<i\>\*x\*\</i\>"
