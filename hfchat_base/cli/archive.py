"""``hfchat conversations export`` and ``search``: an archive of the account on this machine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from hfchat_base import InvalidRequestError
from hfchat_base.auth.sources import resolve_endpoint
from hfchat_base.cli.options import Account, BaseUrl, WrongUsage, connect, server_address
from hfchat_base.cli.terminal import Terminal, clean, clean_line, in_commands, note

if TYPE_CHECKING:
    from hfchat_base.archive import Archive, SearchHit, UpdateStep

__all__ = ["export", "search"]

_DEFAULT_LIMIT: Final = 20
_TITLE_WIDTH: Final = 40
_BAR_WIDTH: Final = 24
_NARROW: Final = 60
_DURATION: Final = re.compile(
    r"([0-9]{1,6}) ?"
    r"(?:(h)(?:ours?)?|(d)(?:ays?)?|(w)(?:eeks?)?|(mo)(?:nths?)?|(y)(?:ears?)?)(?: ago)?"
)
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24, "mo": 31 * 24, "y": 366 * 24}
_DAYS: Final = {"today": 0, "yesterday": 1}
_YEAR_OR_MONTH: Final = re.compile(r"[0-9]{4}(?:-[0-9]{2})?")


def export(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|DURATION",
            help="Only conversations used since then: 2026-08-01, yesterday, or 12h, 30d, 4w, 6mo,"
            " 1y ago.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["sqlite", "md", "json"],
        typer.Option(
            "--format",
            help="What to write: the SQLite file alone, or a Markdown or JSON file for each"
            " conversation as well.",
        ),
    ] = "sqlite",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the archive is.",
            show_default="a private folder for each account",
        ),
    ] = None,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Save all conversations on this machine, with branches, reasoning, files and artifacts.

    Run it again to fetch what has changed since, or to continue after an interruption.
    """
    from hfchat_base.archive import DATABASE_NAME, Archive, default_folder  # noqa: PLC0415 - SQLite

    after = _moment(since) if since is not None else None
    terminal = Terminal.detect()
    with connect(base_url, account) as client:
        if output is None:
            user = client.whoami()
            output = default_folder(client.base_url, user.id if user else "")
        with Archive(output) as archive:
            try:
                outcomes = _follow(terminal, archive.update(client, since=after))
            except KeyboardInterrupt:
                terminal.notes.print(note("Interrupted. The same command continues from here."))
                raise
            written = _write(archive, form)
            place = archive.folder / {"md": "markdown", "json": "json"}.get(form, DATABASE_NAME)
    _summarise(terminal, outcomes, written, place, is_part=after is not None)
    if outcomes["failed"]:
        raise typer.Exit(1)


def _follow(terminal: Terminal, steps: Iterable[UpdateStep]) -> Counter[str]:
    """Go through an update and show how far it is; count the outcomes."""
    outcomes: Counter[str] = Counter()
    console = terminal.notes
    progress = Progress(
        BarColumn(bar_width=_BAR_WIDTH if console.width >= _NARROW else _BAR_WIDTH // 3),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        console=console,
        transient=True,
        expand=True,
        disable=not console.is_interactive,
    )
    # What is printed past the bar would leave a copy of it behind.
    notes = console if console.is_interactive else terminal.err
    with progress:
        task = progress.add_task("reading the list", total=None)
        for step in steps:
            outcomes[step.outcome] += 1
            identity, title = (step.info.id, step.info.title) if step.info else ("", "")
            shown = clean_line(title, _TITLE_WIDTH)
            is_waiting = step.outcome == "waiting"
            if is_waiting:
                shown = f"paused {step.wait:.0f} s by the limit"
                if not console.is_interactive:
                    notes.print(note(f"The server asks for a pause of {step.wait:.0f} s."))
            elif step.outcome == "failed":
                problem = f"✗ {clean_line(identity)}: {in_commands(clean_line(step.problem))}"
                notes.print(Text(problem, style="hfchat.bad"), soft_wrap=True)
            done = max(step.done - is_waiting, 0)
            progress.update(task, description=shown, completed=done, total=step.total or None)
    return outcomes


def _write(archive: Archive, form: str) -> int | None:
    if form == "md":
        return archive.write_markdown()
    return archive.write_json() if form == "json" else None


def _summarise(
    terminal: Terminal,
    outcomes: Counter[str],
    written: int | None,
    place: Path,
    *,
    is_part: bool,
) -> None:
    known = ("new", "changed", "unchanged", "gone", "failed")
    counted = [f"{outcomes[name]} {name}" for name in known if outcomes[name]]
    if written is not None:
        counted.append("1 file written" if written == 1 else f"{written} files written")
    mark = ("✗ ", "hfchat.bad") if outcomes["failed"] else ("✓ ", "hfchat.good")
    if counted:
        summary = Text.assemble(mark, ", ".join(counted))
    elif is_part:
        summary = note("No conversation was used since then.")
    else:
        summary = note("This session has no conversations.")
    terminal.notes.print(summary, soft_wrap=True)
    terminal.out.print(Text(clean(str(place)), style="hfchat.link"), soft_wrap=True)


def _moment(text: str) -> datetime:
    """Read a date, or how long ago something is.

    Raises:
        WrongUsage: It is neither.
    """
    wanted = " ".join(text.lower().split())
    now = datetime.now().astimezone()
    try:
        if found := _DURATION.fullmatch(wanted):
            number, unit = filter(None, found.groups())
            return now - timedelta(hours=int(number) * _HOURS[unit])
        if wanted in _DAYS:
            day = now.date() - timedelta(days=_DAYS[wanted])
            return datetime(day.year, day.month, day.day).astimezone()
        if _YEAR_OR_MONTH.fullmatch(wanted):
            wanted = f"{wanted}-01-01"[:10]
        # Python 3.10 knows no Z.
        return datetime.fromisoformat(re.sub("z$", "+00:00", wanted)).astimezone()
    except (ValueError, OverflowError):
        raise WrongUsage(
            f"{clean_line(text)!r} is not a date: write 2026-08-01, yesterday, or 12h, 30d, 4w, 6mo"
            " or 1y."
        ) from None


def search(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORDS",
            help="Words that a text has to contain; several in quotation marks follow each other,"
            " and one that ends in * stands for all that begin like it.",
            show_default=False,
        ),
    ],
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Which archive.",
            show_default="what hfchat conversations export has saved of this server",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many texts at most.")
    ] = _DEFAULT_LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    base_url: BaseUrl = None,
) -> None:
    """Search the archive of your conversations, without a network."""
    from hfchat_base.archive import Archive, default_archives  # noqa: PLC0415 - SQLite

    if archive is not None:
        folders = [archive]
    else:
        folders = default_archives(resolve_endpoint(server_address(base_url)).base_url)
    if not folders:
        raise InvalidRequestError(
            "There is no archive yet. To make one: hfchat conversations export"
        )
    hits: list[SearchHit] = []
    for folder in folders:
        with Archive(folder, create=False) as opened:
            hits += opened.search(words, limit=limit - len(hits))
        if len(hits) >= limit:
            break
    terminal = Terminal.detect()
    if as_json:
        terminal.print_json([_as_json(hit) for hit in hits])
    elif terminal.is_rich:
        _print_hits(terminal, hits)
    else:
        for hit in hits:
            fields = (hit.conversation_id, _when(hit), hit.kind, hit.title, hit.snippet)
            typer.echo("\t".join(map(clean_line, fields)))
    if not hits:
        if not as_json:
            terminal.notes.print(note("Nothing in the archive contains all of that."))
        raise typer.Exit(1)


def _print_hits(terminal: Terminal, hits: Sequence[SearchHit]) -> None:
    """Print what was found, by conversation."""
    for identity in dict.fromkeys(hit.conversation_id for hit in hits):
        found = [hit for hit in hits if hit.conversation_id == identity]
        title = Text(clean_line(found[0].title) or "(no title)", style="hfchat.name")
        about = note("  ".join(filter(None, (_when(found[0]), clean_line(identity)))))
        fits = title.cell_len + about.cell_len + 2 <= terminal.out.width
        terminal.out.print(title.append("  " if fits else "\n  ").append_text(about))
        for hit in found:
            if hit.kind == "title":
                continue
            pieces = [
                (" ".join(clean(text).split("\n")), "hfchat.accent" if is_match else "")
                for text, is_match in hit.pieces
            ]
            line = Text.assemble(note(f"{hit.kind}: "), *pieces)
            terminal.out.print(Padding(line, (0, 0, 0, 2)))
    if hits:
        terminal.out.print()
        terminal.out.print(note("hfchat conversations show ID shows one"))


def _when(hit: SearchHit) -> str:
    return f"{hit.updated_at.astimezone():%Y-%m-%d}" if hit.updated_at else ""


def _as_json(hit: SearchHit) -> dict[str, Any]:
    return {
        "conversation_id": hit.conversation_id,
        "message_id": hit.message_id,
        "updated_at": hit.updated_at.isoformat() if hit.updated_at else None,
        "kind": hit.kind,
        "title": hit.title,
        "snippet": hit.snippet,
    }
