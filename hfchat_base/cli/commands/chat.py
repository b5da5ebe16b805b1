"""``hfchat chat``: the way into the interactive chat (`hfchat_base/cli/repl/`)."""

from __future__ import annotations

from typing import Annotated

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

__all__ = ["chat"]


def chat(
    model: ModelName = None,
    system: System = None,
    file: Files = None,
    web_search: WebSearch = False,
    mcp: Mcp = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            "-c",
            metavar="ID",
            help="Go on with a conversation; hfchat conversations lists them.",
            show_default=False,
        ),
    ] = None,
    downloads: DownloadFolder = DEFAULT_DOWNLOADS,
    base_url: BaseUrl = None,
) -> None:
    """Chat, with Markdown, thinking, tools, sources and pictures.

    Ctrl-C stops an answer, /help lists the commands, Ctrl-D leaves.
    """
    from hfchat_base.cli.repl.lines import LineReader  # noqa: PLC0415 - heavy
    from hfchat_base.cli.repl.loop import Repl, Settings  # noqa: PLC0415 - likewise

    settings = Settings(
        model=model,
        system_prompt=system,
        web_search=web_search,
        mcp_servers=parse_mcp_servers(mcp or ()),
        files=[Upload.from_source(path.expanduser()) for path in file or ()],
    )
    with connect(base_url) as client:
        terminal = Terminal.detect()
        reader = LineReader(is_coloured=terminal.is_coloured)
        repl = Repl(client, terminal, settings, reader, Downloads(downloads))
        if conversation:
            repl.take_up(client.get_conversation(conversation))
        repl.run()
