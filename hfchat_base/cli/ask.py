"""``hfchat ask``: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hfchat_base import (
    Answer,
    AnswerStream,
    Conversation,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    Upload,
)
from hfchat_base.cli.answer import AnswerRunner, Downloads, SavedFile, note_end
from hfchat_base.cli.options import (
    DEFAULT_FOLDER,
    Account,
    Artifacts,
    BaseUrl,
    BillTo,
    FileFolder,
    Files,
    Mcp,
    ModelName,
    NoReasoning,
    Provider,
    ReasoningEffort,
    Remembered,
    RestoreSettings,
    System,
    WebSearch,
    WrongUsage,
    client_options,
    connect,
    last_conversation,
    parse_mcp_servers,
)
from hfchat_base.cli.render import first_code_block
from hfchat_base.cli.schema import AnswerSchema
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.types import OnElicitation

__all__ = ["ask"]

_STDIN: Final = "-"
_STDIN_FILE: Final = Path(_STDIN)


def ask(
    question: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help="What to ask, in one or more words. Piped text follows it, or replaces it;"
            " - reads standard input.",
            show_default=False,
        ),
    ] = None,
    model: ModelName = None,
    system: System = None,
    file: Files = None,
    web_search: WebSearch = False,
    mcp: Mcp = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Ask what is said in a recording, where the server turns speech into text.",
            show_default=False,
        ),
    ] = None,
    reasoning_effort: ReasoningEffort = None,
    provider: Provider = None,
    bill_to: BillTo = None,
    artifacts: Artifacts = None,
    restore_settings: RestoreSettings = False,
    resume: Annotated[
        bool, typer.Option("--continue", "-c", help="Continue the last conversation.")
    ] = False,
    conversation: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Continue this conversation.", show_default=False),
    ] = None,
    no_keep: Annotated[
        bool, typer.Option("--no-keep", help="Delete the conversation after the answer.")
    ] = False,
    no_reasoning: NoReasoning = False,
    extract: Annotated[
        bool, typer.Option("--extract", "-x", help="Print only the first code block.")
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FIELDS",
            help="Print JSON that fits the JSON schema in this file, or has these fields, as in:"
            " 'name, age int, tall bool'.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON when it is complete.")
    ] = False,
    save: FileFolder = DEFAULT_FOLDER,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Ask one question; the answer streams.

    In a pipe only the answer's text goes to standard output.
    """
    if sum((extract, schema is not None, as_json)) > 1:
        raise WrongUsage("Choose one of --extract, --schema and --json.")
    _check_conversation(resume, conversation, for_new_ones=no_keep or bool(model or system))
    recordings = [audio.expanduser()] if audio is not None else []
    pipes_file = _STDIN_FILE in (file or ())
    text = _whole_question(question or (), may_be_empty=bool(recordings), pipes_file=pipes_file)
    form = AnswerSchema.load(schema) if schema is not None else None
    uploads = _uploads(file or ())
    servers = parse_mcp_servers(mcp or ())
    terminal = Terminal.detect()
    folder = Downloads(save)
    runner = AnswerRunner(terminal, folder, shows_reasoning=not no_reasoning)
    options = client_options(artifacts, reasoning_effort, provider, bill_to, restore_settings)
    with (
        connect(base_url, account, on_retry=runner.on_retry, **options) as client,
        ExitStack() as stack,
    ):
        text = _with_recordings(terminal, client, text, recordings)
        keeps = not no_keep and not client.session.is_guest

        def begin() -> Conversation:
            wanted = last_conversation(client) if resume else conversation
            opened = stack.enter_context(_open(client, wanted, model, system, keep=not no_keep))
            if keeps:
                Remembered.keep_conversation(client, opened.id)
            return opened

        def send(text: str) -> tuple[Conversation, Answer]:
            with terminal.err.status(note("Waiting for the answer …")):
                opened = begin()
                answer = opened.send(text, uploads, web_search=web_search, mcp_servers=servers)
            note_end(terminal.err, answer)
            return opened, answer

        def stream(on_elicitation: OnElicitation) -> tuple[Conversation, AnswerStream]:
            opened = begin()
            return opened, opened.stream(
                text,
                uploads,
                web_search=web_search,
                mcp_servers=servers,
                on_elicitation=on_elicitation,
            )

        saved: list[SavedFile] = []
        if form is not None:
            opened, answer = send(form.ask_for(text))
            terminal.print_json(form.read(opened, answer))
        elif extract:
            _print_code(terminal, send(text)[1])
        elif as_json:
            opened, answer = send(text)
            saved = folder.save_all(opened, answer)
            terminal.print_json(_as_json(answer, saved, can_continue=keeps))
        else:
            saved = runner.run(stream)
        if any(one.problem for one in saved):
            raise typer.Exit(1)


def _check_conversation(resume: bool, conversation: str | None, *, for_new_ones: bool) -> None:
    """Refuse options that exclude each other.

    Raises:
        WrongUsage: Two of them are given.
    """
    if resume and conversation is not None:
        raise WrongUsage("Choose one of --continue and --conversation.")
    if for_new_ones and (resume or conversation is not None):
        raise WrongUsage("--no-keep, --model and --system are for new conversations.")


def _whole_question(words: Sequence[str], *, may_be_empty: bool, pipes_file: bool) -> str:
    """Put the arguments and what is piped in together.

    Args:
        words: The arguments.
        may_be_empty: Whether something else is asked.
        pipes_file: Whether a file is piped in, and no text.

    Raises:
        WrongUsage: There is no question, or both it and a file are to be piped in.
    """
    typed = " ".join(word for word in words if word != _STDIN)
    if pipes_file and _STDIN in words:
        raise WrongUsage("Standard input is either the question or a file.")
    reads = not pipes_file and (_STDIN in words or not sys.stdin.isatty())
    piped = sys.stdin.read().strip() if reads else ""
    text = "\n\n".join(part for part in (typed, piped) if part)
    if not text.strip() and not may_be_empty:
        raise WrongUsage("Give a question: hfchat ask Why is the sky blue?")
    return text


def _uploads(paths: Iterable[Path]) -> list[Upload]:
    """Read files, or standard input for ``-``."""
    return [
        Upload.from_source(
            sys.stdin.buffer.read() if path == _STDIN_FILE else path.expanduser(),
        )
        for path in paths
    ]


def _with_recordings(
    terminal: Terminal, client: HuggingChat, text: str, recordings: Iterable[Path]
) -> str:
    """The question with what is said in recordings, which is shown as well.

    Raises:
        HuggingChatError: The server does not turn a recording into text, or nothing is said.
    """
    for audio in recordings:
        with terminal.err.status(note("Listening …")):
            said = client.transcribe(audio).strip()
        if not said:
            raise InvalidRequestError(f"The server hears nothing in {audio.name}.")
        terminal.notes.print(note(f"Heard: {clean_line(said)}"), soft_wrap=True)
        text = "\n\n".join(filter(None, (text, said)))
    return text


@contextmanager
def _open(
    client: HuggingChat,
    conversation_id: str | None,
    model: str | None,
    system: str | None,
    *,
    keep: bool,
) -> Iterator[Conversation]:
    """Open a conversation, and delete it at the end unless it is kept."""
    if conversation_id is not None:
        yield client.get_conversation(conversation_id)
        return
    conversation = client.create_conversation(model, system)
    try:
        yield conversation
    finally:
        if not keep:
            conversation.delete()


def _print_code(terminal: Terminal, answer: Answer) -> None:
    """Print the first code block alone; an answer without one is an error, so no prose is piped."""
    code = first_code_block(answer.text)
    if code is None:
        terminal.err.print(note(clean(answer.text)), soft_wrap=True)
        raise HuggingChatError("The answer has no code block; it is printed above.")
    typer.echo(clean(code), nl=not code.endswith("\n"))


def _as_json(answer: Answer, saved: Sequence[SavedFile], *, can_continue: bool) -> dict[str, Any]:
    fields = answer.model_dump(mode="json")
    for file, one in zip(fields["files"], saved, strict=True):
        file["path"] = str(one.path) if one.path else None
        if one.problem:
            file["problem"] = one.problem
    fields["can_continue"] = can_continue
    return fields
