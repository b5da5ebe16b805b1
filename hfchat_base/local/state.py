"""Everything one local server has: its settings, its memory and the runs under way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfchat_base._protocol.constants import RESUME_FLUSH_SECONDS, Generation
from hfchat_base.local.limits import Limits, Retention
from hfchat_base.local.records import Records
from hfchat_base.local.store.conversations import Conversations
from hfchat_base.local.store.files import Files
from hfchat_base.local.store.recent import Recent
from hfchat_base.local.store.sessions import Sessions
from hfchat_base.local.store.settings import Settings
from hfchat_base.local.tools.elicitation import Elicitations

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from hfchat_base.local.generation.log import RunLog
    from hfchat_base.local.generation.run import Run
    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.tools import ToolServer

__all__ = ["ServerState"]


@dataclass
class ServerState:
    """One server's settings and memory.

    Attributes:
        generation: Which chat-ui it speaks as.
        models: Its models; the first is the default.
        login_required: Whether guests are turned away.
        limits: What it refuses.
        tool_servers: Its stand-ins for MCP servers.
        base_path: What every path begins with: empty, or such as ``/chat``.
        flush_seconds: How long the resume log gathers tokens, in seconds.
        retention: How much it keeps.
        hosts: The hosts that it answers to besides its own.
        logs: The logs of its runs, by conversation and name of the run; the newest run last.
    """

    generation: Generation
    models: Sequence[LocalModel]
    login_required: bool = False
    limits: Limits = field(default_factory=Limits)
    tool_servers: Sequence[ToolServer] = ()
    base_path: str = ""
    flush_seconds: float = RESUME_FLUSH_SECONDS
    retention: Retention = field(default_factory=Retention)
    hosts: Sequence[str] = ()
    active_runs: list[Run] = field(default_factory=list)
    cuts: deque[int] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _messages: deque[tuple[float, str]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        kept = self.retention
        self.conversations = Conversations(kept)
        self.sessions = Sessions(kept)
        self.settings = Settings(self.models[0].id, kept)
        self.files = Files(kept)
        self.elicitations = Elicitations(kept)
        self.records = Records(kept)
        self.logs: Recent[tuple[str, str], RunLog] = Recent(
            kept.logs, kept.total_bytes, size=lambda log: log.size
        )

    def model(self, model_id: str) -> LocalModel | None:
        """Return a model, or None if there is none of that id.

        Args:
            model_id: Its id.
        """
        return next((model for model in self.models if model.id == model_id), None)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start work that outlives the request it came with.

        Args:
            work: What to do.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandon all runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def count_message(self, *who: str) -> bool:
        """Count an attempt to send a message against the limit per minute.

        Args:
            who: The names it counts for: the owner, and the address.

        Returns:
            Whether it is within the limit.
        """
        limit = self.limits.messages_per_minute
        if limit is None:
            return True
        moment = time.monotonic()
        while self._messages and self._messages[0][0] < moment - self.limits.window_seconds:
            self._messages.popleft()
        self._messages += [(moment, name) for name in who]
        return all(sum(name == counted for _, counted in self._messages) <= limit for name in who)
