"""What models put around calls: the special tokens and tags of the families.

A mark is never content. Which marks belong together does not matter: small models mix them up, or
forget the closing ones. So there are only three kinds: what opens a call, what may stand between
and after calls, and what begins a result that the model has made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hfchat_base.tools.source import Marks

__all__ = [
    "CLOSING",
    "ENDING",
    "INNER",
    "OPENING",
    "RESULTS",
]


def _tags(names: Iterable[str]) -> list[str]:
    return [f"<{name}>" for name in names]


_PLAIN: Final = (  # <x>…</x>
    "tool_call",
    "tool_calls",
    "function_call",
    "function_calls",
    "TOOLCALL",
    "minimax:tool_call",
    "seed:tool_call",
    "longcat_tool_call",
    "antml:function_calls",
    "｜DSML｜function_calls",
    "｜DSML｜tool_calls",
    "tool_use",
    "functioncall",
    "tools",
)
_PAIRS: Final = {
    "<|tool_call|>": "<|/tool_call|>",  # Granite, Phi
    "<|tool_calls|>": "<|/tool_calls|>",
    "<|tool_call>": "<tool_call|>",  # Gemma 4
    "<|tool_call_start|>": "<|tool_call_end|>",  # LFM2
    "<|tool_call_begin|>": "<|tool_call_end|>",  # Kimi K2
    "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",
    "<|tools_prefix|>": "<|tools_suffix|>",  # Apertus
    "<|START_ACTION|>": "<|END_ACTION|>",  # Command R7B, Command A
    "<|action_start|>": "<|action_end|>",  # InternLM
    "<start_function_call>": "<end_function_call>",  # FunctionGemma
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",  # DeepSeek V3, R1, V3.1
    "<｜tool▁call▁begin｜>": "<｜tool▁call▁end｜>",
    "<｜tool_calls_begin｜>": "<｜tool_calls_end｜>",  # Step 3
    "<｜tool_call_begin｜>": "<｜tool_call_end｜>",
    "[TOOL_CALLS]": "[/TOOL_CALLS]",  # Mistral
    "<|python_tag|>": "<|eom_id|>",  # Llama 3
    "<|python_start|>": "<|python_end|>",  # Llama 4
    "[unused11]": "[unused12]",  # Pangu
}

OPENING: Final = Marks(*_tags(_PLAIN), *_PAIRS)
"""What opens a call."""

ENDING: Final = Marks(
    "<|im_end|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|eot|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_role|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|END_RESPONSE|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "<turn|>",
    "<eos>",
    "</s>",
    "<|user|>",
    "<|observation|>",
    "[e~[",
)
"""What ends a model's turn; after a call it is noise."""

CLOSING: Final = (
    Marks(*(f"</{name}>" for name in _PLAIN), *_PAIRS.values(), "</tool_response>", "</answer>")
    | Marks("</function>", "</invoke>")
    | ENDING
)
"""What may follow a call."""

INNER: Final = Marks(
    "<|plugin|>",
    "<|interpreter|>",
    "<|tool_call_argument_begin|>",
    "function<｜tool▁sep｜>",
    "<｜tool▁sep｜>",
    "function<｜tool_sep｜>",
    "<｜tool_sep｜>",
    "<tool_sep>",
    "[ARGS]",
)
"""What stands within a call, before its name or its arguments."""

RESULTS: Final = Marks(
    "<tool_response>",
    "<|tool_response|>",
    "<|tool_response>",
    "<tool_result>",
    "<function_results>",
    "<function_result>",
    "<start_function_response>",
    "<｜tool▁outputs▁begin｜>",
    "<｜tool▁output▁begin｜>",
    "[TOOL_RESULTS]",
)
"""What opens the result of a call, which only a model that makes it up writes."""
