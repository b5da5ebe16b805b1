"""Checks against clients' JSON schemas, in processes that are killed if they take too long.

A schema is a small program that a client wrote: one pattern, or a few references, can keep a check
busy for years. Python cannot interrupt that, so it must not happen in the process that serves all
clients.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, Final, TypeVar, cast

from hfchat_base.errors import InvalidRequestError, MissingRequirementsError
from hfchat_base.tools.json_schema import JsonSchema

__all__ = ["SchemaChecks", "serve"]

MAX_SECONDS: Final = 5.0
"""Of CPU time for one check; nearly all take a millisecond."""

_WALL_FACTOR: Final = 12.0
"""How much longer a check may take by the clock: on a busy machine, and on Windows, which cannot
bound its CPU time."""

_MAX_START_SECONDS: Final = 120.0
_MAX_PROCESSES: Final = 4
_READY: Final = b"ready\n"
_EXTRA: Final = "api"

Result = TypeVar("Result")


class SchemaChecks:
    """Makes checks, a few at a time; the processes start when they are needed, and stay."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_PROCESSES, thread_name_prefix="hfchat-schema")
        self._idle: list[_Process] = []
        self._processes: set[_Process] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Run something that calls `check` or `check_schema`, which wait, outside of the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def check_schema(self, schema: Mapping[str, Any]) -> None:
        """Check a schema itself.

        Raises:
            InvalidRequestError: It is no valid JSON schema, or takes too long.
            MissingRequirementsError: The package that checks it is not installed.
        """
        self._ask({"schema": json.dumps(schema)})

    def check(self, schema: Mapping[str, Any], value: Any) -> None:
        """Check a value against a schema.

        Raises:
            ValueError: It does not fit; the message may be shown to the model.
            InvalidRequestError: It cannot be checked: see `JsonSchema`; or it takes too long.
            MissingRequirementsError: The package that checks it is not installed.
        """
        self._ask({"schema": json.dumps(schema), "value": value})

    def close(self) -> None:
        """End the processes; checks that are under way fail."""
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown()
        for process in self._idle:
            process.close()

    def _ask(self, question: Mapping[str, Any]) -> None:
        process = self._take()
        try:
            answer = process.ask({**question, "seconds": MAX_SECONDS})
        except BaseException:
            with self._lock:
                self._processes.discard(process)
            process.close()
            raise
        self._idle.append(process)
        _raise_error(answer)

    def _take(self) -> _Process:
        try:
            return self._idle.pop()
        except IndexError:
            process = _Process()
        with self._lock:
            self._processes.add(process)
            if self._is_closed:
                process.kill()
        return process


class _Process:
    """A process that makes one check at a time."""

    def __init__(self) -> None:
        code = (
            f"import sys; sys.path[:] = {sys.path!r};"
            f" from {__name__} import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback may hold what somebody asked
        )
        self._is_ready = False

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a question and wait for its answer.

        Raises:
            InvalidRequestError: It took too long.
            RuntimeError: The process does not start.
        """
        if not self._is_ready:
            if self._exchange(b"", _MAX_START_SECONDS) != _READY:
                raise RuntimeError("The process that checks JSON schemas does not start.")
            self._is_ready = True
        line = json.dumps(question).encode() + b"\n"
        seconds = question["seconds"]
        answer = self._exchange(line, _WALL_FACTOR * seconds)
        if not answer:
            raise InvalidRequestError(
                f"It takes more than {seconds:g} seconds to check this JSON schema or an answer"
                " against it; mostly a pattern is to blame. Simplify the schema."
            )
        return cast("Mapping[str, Any]", json.loads(answer))

    def kill(self) -> None:
        """End it, whatever it does; `close` has to follow."""
        self._process.kill()

    def close(self) -> None:
        """End it and wait for that."""
        self._process.kill()
        with self._process:  # closes the pipes
            pass

    def _exchange(self, question: bytes, seconds: float) -> bytes:
        """Send a line and read one; nothing if that takes longer than it may."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None  # noqa: S101 - it is a pipe
        assert back is not None  # noqa: S101 - likewise
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            to.write(question)
            to.flush()
            return back.readline()
        except OSError:  # it was ended while the question was written
            return b""
        finally:
            timer.cancel()


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Be such a process: read a question from each line, and write a line with its answer.

    Args:
        questions: The questions, to their end.
        answers: Where to write.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers.write(_READY)
    answers.flush()
    for question in questions:
        answers.write(json.dumps(_answer(question)).encode() + b"\n")
        answers.flush()


def _answer(question: bytes) -> dict[str, str]:
    asked = json.loads(question)
    try:
        with _cpu_time(asked["seconds"]):
            schema = _schema(asked["schema"])
            if "value" in asked:
                schema.check(asked["value"])
    except InvalidRequestError as error:
        return {"refused": str(error)}
    except MissingRequirementsError as error:
        return {"missing": str(error)}
    except ValueError as error:
        return {"wrong": str(error)}
    return {}


@lru_cache(8)
def _schema(written: str) -> JsonSchema:
    return JsonSchema(json.loads(written), extra=_EXTRA)


@contextmanager
def _cpu_time(seconds: float) -> Iterator[None]:
    """End this process if the block takes more CPU time; no Python has to run for that."""
    if sys.platform == "win32":
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _raise_error(answer: Mapping[str, str]) -> None:
    for kind, error in _ERRORS.items():
        if kind in answer:
            raise error(answer[kind])


_ERRORS: Final[Mapping[str, type[Exception]]] = {
    "refused": InvalidRequestError,
    "missing": MissingRequirementsError,
    "wrong": ValueError,
}
