"""What makes an LLM one that LlamaIndex's agents and programs give tools to.

What lives here: the methods that LlamaIndex asks of a `FunctionCallingLLM`. Tools and calls are
translated in `tools.py`, and offered and found by `hfchat_base.tools`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import BasePydanticProgram, Model, PydanticProgramMode

from hfchat_base.tools import ToolChoice
from llama_index_huggingchat.tools import selections_of, tool_specs

__all__ = ["PromptCallingLLM"]


class PromptCallingLLM(FunctionCallingLLM):
    """An LLM whose `chat` methods take ``tools``, ``tool_choice`` and the like as keywords."""

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **_: Any
    ) -> list[ToolSelection]:
        """List the calls of a response.

        Args:
            response: What `chat_with_tools` and its siblings return.
            error_on_no_tool_call: Whether there has to be one.

        Raises:
            ValueError: There is none, and there has to be one.
        """
        selections = selections_of(response)
        if error_on_no_tool_call and not selections:
            msg = f"The model called no tool. It said: {response.message.content!r}"
            raise ValueError(msg)
        return selections

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - LlamaIndex's signature
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: ToolChoice = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        return {
            "messages": messages,
            "tools": tool_specs(tools),
            "tool_choice": tool_choice or ("required" if tool_required else None),
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = self._structured_program(output_cls, prompt)
        return program.stream_call(llm_kwargs=llm_kwargs, **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = self._structured_program(output_cls, prompt)
        return await program.astream_call(llm_kwargs=llm_kwargs, **prompt_args)

    def _structured_program(
        self, output_cls: type[Model], prompt: PromptTemplate
    ) -> BasePydanticProgram[Model]:
        """Make LlamaIndex's program, told that a call has to come; streaming, it says so not."""
        mode = self.pydantic_program_mode
        calls = mode is PydanticProgramMode.FUNCTION or (
            mode is PydanticProgramMode.DEFAULT and self.metadata.is_function_calling_model
        )
        forced = {"tool_choice": "required"} if calls else {}
        return get_program_for_llm(output_cls, prompt, self, mode, **forced)
