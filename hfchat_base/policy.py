"""How long, how often and how much: every number that bounds what flows do, with its default.

One `Policy` belongs to a client, and every loop that sends, waits or looks again reads its bound
from it. What counts as what:

* A *sending* is a request that asks for something to be done: a message, a new conversation, the
  reply to a tool's question. `Retries` bounds those, and reading. One budget covers all reasons for
  which one message is sent again, so that reasons do not multiply.
* A *look* reads the conversation, or replays a run's log, to learn what became of a message whose
  connection was lost. It asks a model for nothing, so `Retries(attempts=1)` leaves it alone;
  `Resuming` bounds it.
* A *wait* ends at a deadline (`Timeouts`), or after a number of pauses that is bounded here.

Constants of the server are in `_protocol/constants.py`, and what one response may weigh in
`_protocol/http.py`. How long closing a stream may take is the drivers' matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from hfchat_base._protocol.constants import RATE_LIMIT_WINDOW_SECONDS, RESUME_CAP_SECONDS
from hfchat_base.errors import InvalidRequestError

__all__ = [
    "Limits",
    "Pacing",
    "Policy",
    "Resuming",
    "Retries",
    "SettingsWait",
    "Settling",
    "Timeouts",
]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to try again what is safe to repeat.

    ``Retries(attempts=1)`` sends every request once, each message among them. What became of a
    message whose connection was lost is looked up all the same, and the rest of its answer is read:
    that sends nothing.

    Attributes:
        attempts: Attempts in all at a request, or at a message, whatever the reasons; 1 for none
            again.
        rate_limit_attempts: Attempts in all at a message that a limit refuses (429). By default 5,
            or 1 if `attempts` is 1.
        first_wait: The longest first pause, in seconds; it doubles each time.
        longest_wait: The longest pause, in seconds.
        longest_retry_after: The longest pause that a ``Retry-After`` may ask for, in seconds. If
            it asks for more, the error is raised at once, with the seconds in `retry_after`.
        longest_limit_wait: How long a message may wait where the server's limit of messages per
            minute is known, in seconds; 0 for not at all. If it would have to wait longer, the
            error is raised at once, likewise.

    Raises:
        InvalidRequestError: A number of attempts is below 1, or a pause is not a duration.
    """

    attempts: int = 3
    rate_limit_attempts: int | None = None
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_retry_after: float = 120.0
    longest_limit_wait: float = 3600.0

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts)
        if self.rate_limit_attempts is not None:
            check_count("rate_limit_attempts", self.rate_limit_attempts)
        for name in ("first_wait", "longest_wait", "longest_retry_after", "longest_limit_wait"):
            _check_seconds(name, getattr(self, name))

    @property
    def attempts_at_limit(self) -> int:
        """How often a message is sent in all that a limit refuses."""
        if self.rate_limit_attempts is not None:
            return self.rate_limit_attempts
        return 1 if self.attempts == 1 else 5

    def longest_pause(self, attempt: int) -> float:
        """The longest pause after so many attempts that have failed, in seconds."""
        # A float holds powers of two up to 2.0**1023.
        return min(self.first_wait * 2.0 ** min(attempt - 1, 1000), self.longest_wait)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, all in seconds; None waits for ever.

    They are deadlines of our own: the ``keepAlive`` lines that a server sends ten times a second
    are not progress.

    Attributes:
        connect: For a connection.
        response: For the whole of a short request, and for the headers of a stream.
        first_event: From sending a message to the first event that is progress.
        progress: Between two events that are progress.
        total: For a whole answer.

    Raises:
        InvalidRequestError: One of them is not a duration.
    """

    connect: float | None = 15.0
    response: float | None = 60.0
    first_event: float | None = 180.0
    progress: float | None = 120.0
    total: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            seconds = getattr(self, each.name)
            if seconds is not None:
                _check_seconds(each.name, seconds)


@dataclass(frozen=True, slots=True)
class Resuming:
    """How to look for the rest of an answer whose connection was lost.

    Attributes:
        looks_without_news: Looks in a row that bring nothing new.
        looks_in_all: Looks at one answer, whatever they bring. The log is closed by the server
            every five minutes, so this many are more than three days.
        looks_after_final: Looks for what follows a final answer, which is a title at most.
        absent_looks: Looks without a trace after which a run counts as never begun. The server
            stores it before the first token, but not before it has read the request (R, S).
        first_pause: The first pause between two looks, in seconds; it doubles each time.
        longest_pause: The longest one.
        patience: How long to wait for a stored message to be complete if no total deadline is set,
            in seconds: without a log nothing of it can be seen before.
        log_cap: A log that was open for so many seconds was closed by the server's clock, which is
            no failure.
        end_of_response: After the server has said that it is done: how long to wait for it to end
            the response properly, in seconds.
    """

    looks_without_news: int = 8
    looks_in_all: int = 1000
    looks_after_final: int = 6
    absent_looks: int = 6
    first_pause: float = 0.1
    longest_pause: float = 5.0
    patience: float = 600.0
    log_cap: float = 0.9 * RESUME_CAP_SECONDS
    end_of_response: float = 2.0

    def allows(self, looks: int, without_news: int) -> bool:
        """Whether to look again after so many looks, the last ones of which brought nothing new."""
        return looks < self.looks_in_all and without_news < self.looks_without_news


@dataclass(frozen=True, slots=True)
class Settling:
    """How to wait for a run that was left or stopped before the next message is sent.

    Attributes:
        looks: How often to read the conversation.
        pause: Between two looks, in seconds.
    """

    looks: int = 240
    pause: float = 0.25


@dataclass(frozen=True, slots=True)
class SettingsWait:
    """How to wait for another message that holds the account's settings.

    Attributes:
        looks: How often to look.
        pause: Between two looks, in seconds.
    """

    looks: int = 36_000
    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class Pacing:
    """How to keep to a limit of messages per minute.

    Attributes:
        window: The server's window, in seconds.
        margin: The server's window begins when a message reaches it, ours when it is sent: how much
            longer ours is, in seconds.
    """

    window: float = RATE_LIMIT_WINDOW_SECONDS
    margin: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of something one server may make us do.

    Attributes:
        questions: Questions of tools in one answer, each of which wants a reply to be sent.
        beginnings: Beginnings of histories that a client remembers.
        pages: Pages of the list of conversations, of thirty each.
        attachment_texts: Texts of attachments that a client remembers.
        bytes_per_token: More bytes of text than any token has on average, so that what is over a
            context window by this is over it by any count.
        small_text: Bytes of attached text that fit into any context window.
        details_wait: How long the text of an answer waits for a model's details, which were asked
            for before the message was sent, in seconds.
        quiet_pause: Pauses before another attempt that are longer, in seconds, are logged as a
            warning.
    """

    questions: int = 100
    beginnings: int = 4096
    pages: int = 10_000
    attachment_texts: int = 32
    bytes_per_token: int = 8
    small_text: int = 32_768
    details_wait: float = 2.0
    quiet_pause: float = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it, for one client.

    Attributes:
        retries: How often to try again; a caller's own setting.
        timeouts: How long to wait; a caller's own setting.
        resuming: How to look for a lost answer.
        settling: How to wait for a run that was left.
        settings: How to wait for the account's settings.
        pacing: How to keep to a limit of messages.
        limits: How much of something there may be.
    """

    retries: Retries = field(default_factory=Retries)
    timeouts: Timeouts = field(default_factory=Timeouts)
    resuming: Resuming = field(default_factory=Resuming)
    settling: Settling = field(default_factory=Settling)
    settings: SettingsWait = field(default_factory=SettingsWait)
    pacing: Pacing = field(default_factory=Pacing)
    limits: Limits = field(default_factory=Limits)


def check_count(name: str, count: object) -> None:
    """Refuse what is not a positive integer.

    Raises:
        InvalidRequestError: It is not an integer, or less than 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        msg = f"{name} should be an integer of at least 1, not {_shown(count)}."
        raise InvalidRequestError(msg)


def _check_seconds(name: str, seconds: object) -> None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or seconds < 0:  # type: ignore[arg-type, operator]
        msg = f"{name} should be a number of seconds, not {_shown(seconds)}."
        raise InvalidRequestError(msg)


def _shown(value: object) -> str:
    """A number as it is, and the type alone of anything else, which may be a secret."""
    return repr(value) if isinstance(value, (int, float)) else type(value).__name__
