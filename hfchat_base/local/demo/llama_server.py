"""The child process of the engine: llama.cpp's HTTP server over one GGUF file.

It is run by its path, and imports nothing from hfchat or the working directory. It reads one line
of JSON (written by `engine.py`), loads the model, writes one line of JSON with its URL, and serves
until its standard input ends. It is a process of its own because loading holds the interpreter's
lock, a crash of native code must not end the parent, and the memory is freed at the end.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
from typing import Any

_WATCH_SECONDS = 1.0
_MOST_THREADS = 4


def main() -> None:
    """Serve until the parent closes the pipe or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    parent = os.getppid()
    settings = json.loads(sys.stdin.buffer.readline())
    xllamacpp = importlib.import_module("xllamacpp")  # ships no types
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, settings))
    except RuntimeError:
        sys.exit(1)  # the reason is on standard error already
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    _wait_for_the_end(parent)
    os._exit(0)  # no destructors: a thread that still generates would crash in them


def _parameters(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.api_keys = [settings["api_key"]]  # web pages can send requests to loopback, too
    parameters.n_ctx = settings["context"]
    parameters.n_parallel = 2
    parameters.kv_unified = True  # both share the context, instead of one half each
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = _threads()
        threads.poll = 0  # busy waiting is seven times slower on a machine with other work
    # It checks only between batches of the prompt whether the client has disconnected.
    parameters.n_batch = parameters.n_ubatch = 128
    parameters.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.verbosity = 1  # errors only, on standard error
    return parameters


def _threads() -> int:
    """Return how many threads to use: half of the processors.

    The threads wait for the slowest one at every step: on two busy processors, two threads made
    1 to 3 tokens per second, and one made 16 to 28.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return min(max(usable // 2, 1), _MOST_THREADS)


def _wait_for_the_end(parent: int) -> None:
    """Return when standard input or the parent ends.

    The pipe alone does not show that the parent has ended if the parent had forked: then another
    process holds the other end as well.
    """
    if sys.platform == "win32":
        sys.stdin.buffer.read()
    else:  # select does not support pipes on Windows
        while os.getppid() == parent:
            if select.select([sys.stdin.buffer], [], [], _WATCH_SECONDS)[0]:
                return


if __name__ == "__main__":
    main()
