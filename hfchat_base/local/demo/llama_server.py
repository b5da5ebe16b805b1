"""The child process: llama.cpp's own HTTP server over one GGUF, until its standard input ends.

It is run by its path, so that it imports neither the package nor anything from the working
directory, and so it imports nothing of hfchat. It reads one line of JSON (`engine.py` writes it),
loads the model, writes one line of JSON with its URL, and then waits. A process of its own, because
loading holds the interpreter's lock, a crash of native code stays here, and the memory comes back.
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
    """Serve until the parent closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
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
    parameters.api_keys = [settings["api_key"]]  # web pages may call a loopback port, too
    parameters.n_ctx = settings["context"]
    parameters.n_parallel = 2
    parameters.kv_unified = True  # the two share the context, instead of half for each
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = _threads()
        threads.poll = 0  # busy waiting is seven times slower on a machine that has other work
    # It looks whether the client has gone after each batch of the prompt, and only then.
    parameters.n_batch = parameters.n_ubatch = 128
    parameters.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.verbosity = 1  # errors only, on standard error
    return parameters


def _threads() -> int:
    """Leave half of the processors alone, for the asker.

    All threads wait for the slowest one all the time: on two busy processors two of them wrote 1
    to 3 tokens a second, one wrote 16 to 28.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return min(max(usable // 2, 1), _MOST_THREADS)


def _wait_for_the_end(parent: int) -> None:
    """Return when standard input ends, or the parent does.

    The pipe alone does not tell of the parent's death if the parent had forked: then a sibling
    holds the other end as well.
    """
    if sys.platform == "win32":
        sys.stdin.buffer.read()
    else:  # select cannot wait for a pipe on Windows
        while os.getppid() == parent:
            if select.select([sys.stdin.buffer], [], [], _WATCH_SECONDS)[0]:
                return


if __name__ == "__main__":
    main()
