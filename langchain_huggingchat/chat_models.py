"""`ChatHuggingChat`, the chat model: what a caller sees of it, its tools and structured output.

Its settings are in `settings.py`, the four ways to ask in `asking.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from hfchat_base.validation import TOOLS, check
from langchain_huggingchat.asking import AskingChatModel
from langchain_huggingchat.binding import ChatModelBinding
from langchain_huggingchat.errors import model_errors
from langchain_huggingchat.structured import METHODS, Method, StructuredOutput, reader_of
from langchain_huggingchat.tools import ToolSet, as_openai_tool

__all__ = ["ChatHuggingChat"]


class ChatHuggingChat(AskingChatModel):
    """HuggingChat, or any self-hosted chat-ui, as a LangChain chat model.

    Setup:
        ```bash
        pip install "hfchat[langchain]"
        ```

        Without cookies the server is asked as a guest, which HuggingChat allows to a small extent.
        ``hfchat login`` or the variable ``HUGGINGCHAT_COOKIES`` gives it your own session.

    Key init args for what is asked:
        model: Id or short name; the server's default if left out.
        web_search: Whether the server searches the web for every answer.
        mcp_servers: Tool servers for it to use, by name or as ``{"name", "url", "headers"}``.
        stop: Stop sequences.

    Key init args for the server:
        base_url: Address of a server of your own.
        cookies: The session.
        ephemeral: Whether to delete every conversation after its answer.
        timeout: Seconds without progress after which to give up.
        max_retries: How often to try again what is safe to repeat.

    What a server cannot honour (``temperature``, ``max_tokens``, …) is taken with a warning.

    Instantiate:
        ```python
        from langchain_huggingchat import ChatHuggingChat

        llm = ChatHuggingChat()
        ```

    Invoke:
        ```python
        messages = [
            ("system", "You are a helpful translator. Translate to French."),
            ("human", "I love programming."),
        ]
        answer = llm.invoke(messages)
        print(answer.text)
        ```

        A history that begins as an earlier one did goes on in the same conversation of the server;
        only what is new is sent.

        ```python
        llm.invoke([*messages, answer, ("human", "And in Italian?")])
        ```

    Stream:
        ```python
        for chunk in llm.stream(messages):
            print(chunk.text, end="")
        ```

        Thinking streams as well, as reasoning blocks; see `chunk.content_blocks`.

    Async:
        ```python
        import asyncio


        async def ask():
            async for chunk in llm.astream(messages):
                print(chunk.text, end="")
            await llm.aclose()


        asyncio.run(ask())
        ```

    Tool calling:
        Tools of your own are offered by prompt, so any model that follows its prompt can call them.

        ```python
        from pydantic import BaseModel, Field


        class GetWeather(BaseModel):
            '''Get the current weather in a given location.'''

            location: str = Field(description="The city, such as Paris")


        llm_with_tools = llm.bind_tools([GetWeather], tool_choice="any")
        llm_with_tools.invoke("What is the weather in 'Paris'?").tool_calls
        ```

        Tools of the server stand beside them; what they did is in the answer's content blocks.

        ```python
        searching = llm.bind_tools([GetWeather, {"type": "web_search"}])
        ```

    Structured output:
        ```python
        from typing import Optional


        class Joke(BaseModel):
            '''Joke to tell user.'''

            setup: str = Field(description="The setup of the joke")
            punchline: str = Field(description="The punchline to the joke")
            rating: Optional[int] = Field(default=None, description="From 1 to 10")


        structured_llm = llm.with_structured_output(Joke)
        structured_llm.invoke("Tell me a joke about cats")
        ```

    Image input:
        ```python
        import base64
        from pathlib import Path

        from langchain_core.messages import HumanMessage

        image = base64.b64encode(Path("image.png").read_bytes()).decode()
        message = HumanMessage(
            content=[
                {"type": "text", "text": "Describe the weather in this image."},
                {"type": "image", "base64": image, "mime_type": "image/png"},
            ]
        )
        llm.invoke([message])
        ```

    Response metadata:
        ```python
        answer.response_metadata["model_name"]
        answer.response_metadata["conversation_url"]  # where to read on in a browser
        ```

        The conversation itself can be taken up with the base client.

        ```python
        conversation_id = answer.response_metadata["conversation_id"]
        llm.client.sync.get_conversation(conversation_id).send("Thank you!").text
        ```

        Servers send no token counts, so `usage_metadata` is None.
    """

    def bind(self, **kwargs: Any) -> ChatModelBinding:
        """Bind arguments to calls of this model; secrets among them are shown nowhere.

        Args:
            **kwargs: Of the call: ``mcp_servers``, ``web_search``, ``model``, ``stop``, ….
        """
        return ChatModelBinding(bound=self, kwargs=kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: Tools in any form that LangChain knows. ``{"type": "web_search"}`` and
                ``{"type": "mcp", "server_label": …, "server_url": …}`` are run by the server, with
                ``headers`` and ``authorization`` (a bearer token) as in OpenAI's form.
            tool_choice: ``"auto"`` or None leaves calls to the model, ``"none"`` forbids them,
                ``"any"``, ``"required"`` or True wants one, a name or a dict wants that one.
            parallel_tool_calls: Whether several calls at once are welcome; by default they are.
            **kwargs: Further arguments of the call.

        Raises:
            InvalidRequestError: The choice names no tool, or the server has no such tool.
        """
        parallel = parallel_tool_calls is not False
        with model_errors():
            converted = [as_openai_tool(tool) for tool in check("tools", tools, TOOLS)]
            ToolSet.of(converted, tool_choice, parallel=parallel)
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=converted, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Method = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Make a model that answers with objects.

        An answer that does not fit is sent back once, with what is wrong with it.

        Args:
            schema: A pydantic class of either version, a TypedDict class, or a JSON schema. May
                only be left out with ``json_mode``.
            include_raw: Whether the output is a dict of ``raw`` (the message), ``parsed`` and
                ``parsing_error``, and errors are not raised.
            method: ``function_calling`` forces a tool call, ``json_schema`` shows the model the
                schema, ``json_mode`` does so too or asks for any JSON object.
            strict: Taken for compatibility; a prompt cannot enforce more than it does anyway.
            **kwargs: Further arguments of the call.

        Raises:
            ValueError: There is no such method, or no schema.
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, but has to be one of {', '.join(METHODS)}.")
        if schema is None and method != "json_mode":
            raise ValueError(f"The method {method} needs a schema.")
        if schema is not None:
            kwargs["ls_structured_output_format"] = {
                "kwargs": {"method": method, "strict": strict},
                "schema": schema,
            }
        model: Runnable[LanguageModelInput, AIMessage]
        if method == "function_calling":
            name = convert_to_openai_tool(schema or {})["function"]["name"]
            model = self.bind_tools([schema or {}], tool_choice=name, **kwargs)
        else:
            wanted = {"type": "json_object"} if schema is None else _json_format(schema)
            model = self.bind(response_format=wanted, **kwargs)
        return StructuredOutput(model, reader_of(schema, method), include_raw=include_raw)


def _json_format(schema: dict[str, Any] | type) -> dict[str, Any]:
    json_schema = convert_to_json_schema(schema)
    named = {"name": json_schema.get("title", "answer"), "schema": json_schema}
    return {"type": "json_schema", "json_schema": named}
