"""The engine of the demo: starts llama.cpp as a child process, and ends it whatever happens.

Not here: the engine's settings (`llama_server.py`, the child process), and the requests that are
sent to it (`model.py`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from hfchat_base.errors import HuggingChatError, MissingRequirementsError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_LLAMA_SERVER: Final = Path(__file__).with_name("llama_server.py")
_STOP_SECONDS: Final = 5.0
_REASON_CHARACTERS: Final = 1500

_WHEELS: Final = {
    "linux": ("x86_64", "aarch64"),
    "darwin": ("x86_64", "arm64"),
    "win32": ("AMD64",),
}
"""The platforms that xllamacpp has wheels for; the ``model`` extra has the same list."""


class DemoEngine:
    """llama.cpp over one model file, as an OpenAI-compatible endpoint on loopback.

    It is a context manager. It also ends when it is garbage-collected, and when this process ends,
    even if that is killed.

    Args:
        gguf: The model file.
        context: Size of the context in tokens; two concurrent answers share it.
        start_timeout: How long loading may take, in seconds.

    Attributes:
        gguf: The model file.
        context: See above.
        api_key: The bearer token of the endpoint; a new one for each engine.

    Example:
        >>> with DemoEngine(find_weights()) as engine:
        ...     print(engine.base_url)
    """

    def __init__(
        self,
        gguf: str | os.PathLike[str],
        *,
        context: int = 8192,
        start_timeout: float = 120.0,
    ) -> None:
        self.gguf = Path(gguf)
        self.api_key = secrets.token_urlsafe(24)
        self.context = context
        self._start_timeout = start_timeout
        self._url: str | None = None
        self._end: weakref.finalize[..., DemoEngine] | None = None

    @property
    def base_url(self) -> str:
        """The URL for OpenAI clients, up to and including the version.

        Raises:
            RuntimeError: The engine is not running.
        """
        if self._url is None:
            raise RuntimeError("the demo engine is not running: use `with`, or start() it")
        return f"{self._url}/v1"

    def start(self) -> Self:
        """Load the model; return when it accepts requests.

        Returns:
            This engine.

        Raises:
            MissingRequirementsError: The ``model`` extra is not installed.
            HuggingChatError: The model cannot be loaded.
        """
        if self._url is None:
            require_engine()
            child = _Child()
            self._end = weakref.finalize(self, child.end)
            try:
                self._url = child.load(
                    {"model": str(self.gguf), "api_key": self.api_key, "context": self.context},
                    timeout=self._start_timeout,
                )
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """End the engine. Running answers break off."""
        end, self._end, self._url = self._end, None, None
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def require_engine() -> None:
    """Check that the engine is installed, without importing it into this process.

    Raises:
        MissingRequirementsError: The ``model`` extra is not installed, or there is no engine for
            this platform.
    """
    if importlib.util.find_spec("xllamacpp") is not None:
        return
    if platform.machine() not in _WHEELS.get(sys.platform, ()):
        raise MissingRequirementsError(
            f"The demo's engine does not exist for {sys.platform} on {platform.machine()}: put "
            "another OpenAI-compatible server, such as Ollama, behind `hfchat serve` instead"
        )
    raise MissingRequirementsError.for_extra("model", what="The demo's engine")


class _Child:
    """The child process and its standard error."""

    def __init__(self) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._process = subprocess.Popen(  # noqa: S603 - nothing in the command is from outside
            [sys.executable, str(_LLAMA_SERVER)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def load(self, settings: dict[str, object], *, timeout: float) -> str:
        """Send the settings; return the URL once the model is loaded.

        The key goes through the pipe, so that no list of processes shows it.
        """
        process = self._process
        # mypy does not know that the constructor asked for both pipes.
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        watchdog = threading.Timer(timeout, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            with contextlib.suppress(OSError):  # it has ended already, as the next line shows
                process.stdin.write(json.dumps(settings).encode() + b"\n")
            line = process.stdout.readline()
            timed_out = watchdog.finished.is_set()
        finally:
            watchdog.cancel()
        if not line:
            why = f"it took more than {timeout:g} s" if timed_out else self._failure_reason()
            raise HuggingChatError(f"the model {settings['model']} cannot be loaded: {why}")
        return str(json.loads(line)["url"]).rstrip("/")

    def end(self) -> None:
        """End the process, and wait until it has ended."""
        process = self._process
        try:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()  # the signal to end
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            self._stderr.close()

    def _failure_reason(self) -> str:
        """Return why the process has ended."""
        code = self._process.wait()
        if sys.platform != "win32" and code == -signal.SIGILL:
            return "this processor lacks instructions that the engine was built for (AVX2)"
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", "replace").strip()
        return said[-_REASON_CHARACTERS:] or f"the engine ended with code {code}"
