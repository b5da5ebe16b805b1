"""``hfchat ask``: one question, one answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfchat_base.cli.commands.options import (
    DEFAULT_DOWNLOADS,
    BaseUrl,
    DownloadFolder,
    Files,
    Mcp,
    ModelName,
    System,
    WebSearch,
    connect,
    parse_mcp_servers,
)
from hfchat_base.cli.downloads import Downloads
from hfchat_base.cli.terminal import Terminal
from hfchat_base.files import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfchat_base.cli.downloads import SavedFile
    from hfchat_base.conversation import Conversation
    from hfchat_base.streams import AnswerStream
    from hfchat_base.types import Answer, OnElicitation

__all__ = ["ask"]


def ask(
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTION",
            help="What to ask. Text that is piped in follows it, or stands in its place.",
            show_default=False,
        ),
    ] = None,
    model: ModelName = None,
    system: System = None,
    file: Files = None,
    web_search: WebSearch = False,
    mcp: Mcp = None,
    downloads: DownloadFolder = DEFAULT_DOWNLOADS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON once it is there.")
    ] = False,
    base_url: BaseUrl = None,
) -> None:
    """Ask one question; the answer streams.

    In a pipe only the answer's text goes to standard output.
    """
    from hfchat_base.cli.turn import TurnRunner  # noqa: PLC0415 - heavy

    text = _whole_question(question)
    terminal = Terminal.detect()
    uploads = [Upload.from_source(path.expanduser()) for path in file or ()]
    servers = parse_mcp_servers(mcp or ())
    folder = Downloads(downloads)
    with connect(base_url) as client:
        if as_json:
            conversation = client.create_conversation(model, system)
            answer = conversation.send(text, uploads, web_search=web_search, mcp_servers=servers)
            saved = folder.save_all(conversation, answer)
            terminal.print_json(_as_json(answer, saved))
            _end(saved)
            return

        def open_stream(on_elicitation: OnElicitation) -> tuple[Conversation, AnswerStream]:
            conversation = client.create_conversation(model, system)
            return conversation, conversation.stream(
                text,
                uploads,
                web_search=web_search,
                mcp_servers=servers,
                on_elicitation=on_elicitation,
            )

        _end(TurnRunner(terminal, folder, input).run(open_stream))


def _whole_question(question: str | None) -> str:
    """Put the argument and what is piped in together.

    Raises:
        typer.BadParameter: There is neither.
    """
    piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    text = "\n\n".join(part for part in (question, piped) if part)
    if not text.strip():
        raise typer.BadParameter('Give a question: hfchat ask "Why is the sky blue?"')
    return text


def _end(saved: Sequence[SavedFile]) -> None:
    """End with code 1 if a file of the answer is missing, once all else has been shown."""
    if any(one.problem for one in saved):
        raise typer.Exit(1)


def _as_json(answer: Answer, saved: Sequence[SavedFile]) -> dict[str, Any]:
    fields = answer.model_dump(mode="json")
    for file, one in zip(fields["files"], saved, strict=True):
        file["path"] = str(one.path) if one.path else None
        if one.problem:
            file["problem"] = one.problem
    return fields
