"""What the fuzzers share: how atheris is run."""

from __future__ import annotations

import gc
import importlib
import sys
import types
from collections.abc import Callable


def fuzz(check: Callable[[bytes], None], module: str, package: str) -> None:
    """Fuzz until stopped, with the arguments of the command line.

    Args:
        check: Gets an input; what it raises is a bug.
        module: The module that is run.
        package: Whose code is to be covered.
    """
    atheris = importlib.import_module("atheris")  # untyped, and needed for nothing else
    for found in gc.get_objects():
        if isinstance(found, types.FunctionType) and str(found.__module__).startswith(package):
            atheris.instrument_func(found)
    # To merge, libFuzzer has a shell start the first word again.
    atheris.Setup([f"{sys.executable} -m {module}", *sys.argv[1:]], check)
    atheris.Fuzz()
