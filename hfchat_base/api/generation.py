"""One answer from beginning to end: asked for, again if a call has to come, and its pieces.

What both forms of the API are made of. `hfchat_base.tools.ToolSession` knows when an answer is
whole; the base client finds the conversation that has the beginning of the history.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Union

from hfchat_base.api.failures import InvalidJsonError
from hfchat_base.api.history import EFFORT_FIELD, Prompt
from hfchat_base.api.schema_checks import SchemaChecks
from hfchat_base.client import AsyncHuggingChat
from hfchat_base.events import Event, FinalAnswer
from hfchat_base.tools import (
    FunctionCall,
    InvalidToolCall,
    Piece,
    ToolSession,
    assistant_text,
    call_text,
)
from hfchat_base.types import Answer, ChatMessage, FetchedFile, Source, ToolRun

__all__ = ["ApiPiece", "Generation", "compact_json", "fit"]

compact_json: Final = json.JSONEncoder(separators=(",", ":")).encode
"""JSON without spaces, as the events of both forms have it."""

ApiPiece = Union[str, FunctionCall, Event]
"""A str is text, a `FunctionCall` a call; the rest are events as they came."""


async def fit(prompt: Prompt, client: AsyncHuggingChat) -> Prompt:
    """Leave out what was offered or wished for and what the server or the model does not have.

    What was asked for in so many words stays, and is refused by the client if it cannot be had.

    Args:
        prompt: What is asked.
        client: Who answers; its list of models has been read.
    """
    ignored = list(prompt.ignored)
    web_search, effort = prompt.web_search, prompt.effort
    if prompt.offers_web_search and not web_search:
        web_search = await _has_web_search(client)
        if not web_search:
            ignored.append("tools.web_search")
    if effort is not None:
        name = prompt.model or client.default_model
        model_id = client.model_aliases.get(name, name)
        thinkers = {model.id for model in await client.get_models() if model.supports_reasoning}
        if model_id not in thinkers:
            ignored.append(EFFORT_FIELD)
            effort = None
    return replace(prompt, web_search=web_search, effort=effort, ignored=sorted(ignored))


async def _has_web_search(client: AsyncHuggingChat) -> bool:
    if client.generation == "legacy":
        return True
    return any(server.is_web_search for server in await client.mcp_servers(refresh=False))


class Generation:
    """An answer while it is made.

    Args:
        client: Who answers.
        prompt: What is asked.
        checks: What checks the JSON of the answer.

    Attributes:
        answer: What the base client has of the answer so far.
        files: The files of the answer.
        sources: The web pages that it is based on.
        tool_runs: The tools that the server ran for it.
        calls: The calls that the caller has to run.
    """

    def __init__(self, client: AsyncHuggingChat, prompt: Prompt, checks: SchemaChecks) -> None:
        self.prompt: Final = prompt
        self.answer = Answer()
        self.files: list[FetchedFile] = []
        self.sources: list[Source] = []
        self.tool_runs: list[ToolRun] = []
        self.calls: list[FunctionCall] = []
        self._texts: list[str] = []
        self._client = client
        self._checks = checks
        self._is_final = False
        self._session = ToolSession(
            prompt.messages,
            prompt.tools.config,
            stops=prompt.stops,
            response_schema=prompt.schema,
            check_json=None if prompt.schema is None else self._check,
            streams=prompt.streams,
        )

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self._texts)

    @property
    def is_incomplete(self) -> bool:
        """Whether the server ended the answer without its end, mostly because of a filter."""
        return self.answer.finish_reason == "incomplete"

    @property
    def model(self) -> str:
        """The model that answers; the one that was asked for until that is known."""
        return self.answer.model or self.prompt.model or ""

    @property
    def details(self) -> dict[str, Any]:
        """What OpenAI's forms have no place for."""
        answer, details = self.answer, dict[str, Any]()
        if answer.conversation_id and not self._client.ephemeral:
            details["conversation_id"] = answer.conversation_id
            details["conversation_url"] = (
                f"{self._client.base_url}/conversation/{answer.conversation_id}"
            )
            details["message_id"] = answer.message_id
        if answer.title:
            details["title"] = answer.title
        if answer.router:
            details["router"] = dict(answer.router)
        if problem := self._session.json_problem:
            details["json_problem"] = problem
        if self.tool_runs:
            details["tool_runs"] = [run.model_dump(mode="json") for run in self.tool_runs]
        if missing := [file.as_missing() for file in self.files if file.data is None]:
            details["missing_files"] = missing
        return details

    def data_urls(self) -> list[str]:
        """The files of the answer, as far as they could be fetched."""
        return [
            f"data:{one.file.mime};base64,{base64.b64encode(one.data).decode()}"
            for one in self.files
            if one.data is not None
        ]

    def history(self) -> Sequence[ChatMessage]:
        """The answer as the message that a caller sends back."""
        text = assistant_text(self.text, self.calls)
        return [ChatMessage("assistant", text)] if text else []

    async def pieces(self) -> AsyncGenerator[ApiPiece, None]:
        """Ask, and yield the answer as it comes. Leaving early stops the server's run.

        Raises:
            HuggingChatError: The server refused, or the answer did not end well.
            InvalidJsonError: It is not the JSON that it has to be.
        """
        session, stops = self._session, self.prompt.stops
        while session.goes_on:
            async with self._client.stream_chat(
                session.messages,
                model=self.prompt.model,
                web_search=self.prompt.web_search,
                mcp_servers=self.prompt.mcp_servers,
                reasoning_effort=self.prompt.effort,
                as_history=self._as_history,
            ) as stream:
                is_begun = self._is_final = False
                async for event in stream:
                    if not is_begun:
                        is_begun = True
                        self.answer = stream.answer
                    for piece in session.take(event):
                        if piece.__class__ is str:  # nearly all of them are text
                            self._texts.append(piece)
                            yield piece
                        elif (yielded := self._noted(piece)) is not None:
                            yield yielded
                    if stops and session.is_stopped:
                        break
                    if event.__class__ is FinalAnswer:
                        await self._check_final(stream.answer)
                self.answer = answer = stream.answer
                for yielded in self._rest(answer):
                    yield yielded
                self.sources += answer.sources
                self.tool_runs += answer.tool_runs
                self.files += await self._client.fetch_files(answer)
        self._raise_json_problem()

    def _raise_json_problem(self) -> None:
        problem = self._session.json_problem
        if problem and self.prompt.is_strict:
            raise InvalidJsonError(problem)

    def _rest(self, answer: Answer) -> Iterator[ApiPiece]:
        """The pieces that the session held back until the answer was over."""
        for piece in self._session.end(answer):
            yielded = self._noted(piece)
            if yielded is not None:
                yield yielded

    async def _check_final(self, answer: Answer) -> None:
        """Have the session check a JSON answer outside of the event loop, which all clients share.

        Otherwise it would do so when the stream is over, within the loop.
        """
        if self.prompt.schema is not None:
            self._is_final = True
            await self._checks.run(self._session.as_history, answer)

    def _check(self, value: Any) -> None:
        if not self._is_final:
            raise ValueError("It has no end.")
        if self.prompt.schema:
            self._checks.check(self.prompt.schema, value)
        elif not isinstance(value, dict):
            raise ValueError("It is not a JSON object.")

    def _noted(self, piece: Piece) -> ApiPiece | None:
        """Note a piece; None if it says nothing new.

        OpenAI's forms have no place for a call that cannot be used, so it is shown as text, if the
        session has not done so.
        """
        if piece.__class__ is str:
            self._texts.append(piece)
        elif isinstance(piece, FunctionCall):
            self.calls.append(piece)
        elif isinstance(piece, InvalidToolCall):
            return self._shown(piece)
        return piece

    def _shown(self, call: InvalidToolCall) -> str | None:
        if call.text in self.text:
            return None
        text = ("\n" if self._texts else "") + call_text(call)
        self._texts.append(text)
        return text

    def _as_history(self, answer: Answer) -> Sequence[ChatMessage]:
        """The history under which the answer will be continued: with what the caller got of it."""
        known = self._session.as_history(answer)
        if self._session.goes_on:
            return known
        calls = self._session.calls
        text = self._session.text
        for call in calls:
            if isinstance(call, InvalidToolCall) and call.text not in text:
                text += ("\n" if text else "") + call_text(call)
        valid = [call for call in calls if isinstance(call, FunctionCall)]
        return [*known[:-1], ChatMessage("assistant", assistant_text(text, valid))]
