"""Counting the bytecode instructions that some work executes: the same each time, on any machine.

What C functions do within a call is not seen, only that they are called.
"""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

_WARM_UP = 5
"""Specialized instructions count as one, and code is specialized once it has run some times."""


def count_instructions(
    work: Callable[[], object], *, before: Callable[[], object] = lambda: None
) -> int:
    """Count what some work executes in this thread.

    Args:
        work: The work; it is done several times, of which the last counts.
        before: Done before each time, and not counted.
    """
    for _ in range(_WARM_UP):
        before()
        work()
    before()
    gc.disable()  # finalizers of somebody else's garbage are not part of the work
    try:
        return _count(work)
    finally:
        gc.enable()


if sys.version_info >= (3, 12):

    def _count(work: Callable[[], object]) -> int:
        monitoring = sys.monitoring
        instruction = monitoring.events.INSTRUCTION
        tool = next(number for number in range(6) if monitoring.get_tool(number) is None)
        thread = threading.get_ident()
        count = 0

        def note(_code: CodeType, _offset: int) -> None:
            nonlocal count
            if threading.get_ident() == thread:
                count += 1

        monitoring.use_tool_id(tool, "instructions")
        monitoring.register_callback(tool, instruction, note)
        monitoring.set_events(tool, instruction)
        try:
            work()
        finally:
            monitoring.set_events(tool, monitoring.events.NO_EVENTS)
            monitoring.register_callback(tool, instruction, None)
            monitoring.free_tool_id(tool)
        return count

else:

    def _count(work: Callable[[], object]) -> int:
        count = 0

        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal count
            if event == "opcode":
                count += 1
            else:
                frame.f_trace_opcodes = True
                frame.f_trace_lines = False
            return trace

        earlier = sys.gettrace()
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(earlier)
        return count
