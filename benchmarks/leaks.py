"""Ten thousand short answers, a tenth of them left at random points: what is held afterwards.

Run it from the repository's root: ``python -m benchmarks.leaks [answers]``. The local server runs
in a process of its own, so that only the client is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from hfchat_base.local import LocalServer
from tests.faults import leaks

_SERVE = "--serve"
_WARM_UP = 500


def main() -> None:
    """Ask with both clients and print what they held before and after."""
    if _SERVE in sys.argv:
        with LocalServer(token_delay=0.01) as server:
            print(server.base_url, flush=True)
            while sys.stdin.readline():
                server.clear_requests()
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for kind in ("async", "sync"):
        command = [sys.executable, "-m", "benchmarks.leaks", _SERVE]
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None  # noqa: S101 - piped above
            url = server.stdout.readline().strip()
            began = time.monotonic()
            before, after, tally = (
                asyncio.run(leaks.ask_async(url, count, warm_up=_WARM_UP))
                if kind == "async"
                else leaks.ask_sync(url, count, warm_up=_WARM_UP)
            )
            seconds = time.monotonic() - began
            print(f"{kind}: {tally}, {seconds:.0f} s\n  before {before}\n  after  {after}")
            server.terminate()


if __name__ == "__main__":
    main()
