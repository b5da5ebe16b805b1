"""The ASGI application: its routes, who may use it, and how an answer is sent.

From the outside in: the host guard refuses foreign hosts and origins, the key is checked, a route
reads the request, and an `_AnswerResponse` makes and sends the answer. If the client goes away
meanwhile, the task that makes the answer is cancelled, which stops the server's run.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import PurePath
from typing import Any, Final, Protocol, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hfchat_base.api.chat_completions import ChatCompletion
from hfchat_base.api.failures import TOO_LARGE, ApiError, Failure, RequestError
from hfchat_base.api.generation import Generation, fit
from hfchat_base.api.history import Prompt, prompt_of_chat, prompt_of_response
from hfchat_base.api.responses_api import ResponseObject
from hfchat_base.api.schema import ChatCompletionsRequest, Request, ResponsesRequest
from hfchat_base.api.schema_checks import SchemaChecks
from hfchat_base.api.stored_responses import StoredResponses
from hfchat_base.client import AsyncHuggingChat
from hfchat_base.errors import HuggingChatError
from hfchat_base.hosts import HostGuard, is_host
from hfchat_base.types import ChatMessage, Model

__all__ = ["create_app", "new_key"]

_log = logging.getLogger("hfchat")

DEFAULT_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""The largest body of a request: images are a third larger in it than on their way to the server,
which takes 15 MB."""

_DISCARDED_BODIES: Final = 4
"""How many times the largest body is still read, so that its sender learns why it is refused."""

_BUFFERED_BYTES: Final = 64 * 1024
"""How much of an answer waits for a slow client before reading from the server waits, too."""

DEFAULT_KEEP_ALIVE: Final = 15.0
"""Seconds; proxies and clients give up a silent connection after 30 or more."""

_KEEP_ALIVE: Final = b": keep-alive\n\n"
_EPHEMERAL_HEADER: Final = "hfchat-ephemeral"
_IGNORED_HEADER: Final = "hfchat-ignored"
_USAGE_HEADERS: Final = {"hfchat-usage": "unknown"}

AnyRequest = TypeVar("AnyRequest", bound=Request)


def new_key() -> str:
    """Make a key that cannot be guessed."""
    return f"hfchat-{secrets.token_urlsafe(24)}"


def create_app(
    client: AsyncHuggingChat,
    *,
    key: str | None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    keep_alive: float = DEFAULT_KEEP_ALIVE,
) -> Starlette:
    """Make the application, to serve or to mount.

    The client stays yours: close it when the application has ended.

    Args:
        client: The account and the server that answer. If it is ephemeral, no conversation is kept.
        key: What clients have to send as their API key; None lets everybody in who reaches the
            application.
        hosts: The hosts that it answers to besides ``localhost``, loopback addresses and the
            address that a connection comes in at; one without a port stands for all ports.
        origins: The origins whose web pages may use it, such as ``https://chat.example``; by
            default none.
        max_body_bytes: The largest body of a request.
        keep_alive: Seconds of silence after which a stream sends a comment. From then on its status
            is 200, and an error is an event of it.

    Raises:
        ValueError: One of `hosts` is not a host, `key` is empty, or `keep_alive` is not positive.
    """
    if key is not None and not key.strip():
        raise ValueError("key is empty: give a text, or None for no key")
    for host in hosts:
        if not is_host(host):
            raise ValueError(f"{host!r} is not a host (expected a name or an address, and a port)")
    if not keep_alive > 0:
        raise ValueError("keep_alive is a number of seconds above 0")
    routes = _Routes(client, max_body_bytes, keep_alive)
    middleware = [
        Middleware(_ErrorMiddleware),
        Middleware(_HostMiddleware, guard=HostGuard(hosts, origins)),
        Middleware(_KeyMiddleware, key=key),
    ]
    if origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", _EPHEMERAL_HEADER],
            expose_headers=[_IGNORED_HEADER, *_USAGE_HEADERS],
        )
        middleware.insert(2, cors)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await routes.close()

    return Starlette(
        routes=[
            Route("/health", routes.health),
            Route("/v1/models", routes.models),
            Route("/v1/models/{model:path}", routes.model),
            Route("/v1/chat/completions", routes.chat_completions, methods=["POST"]),
            Route("/v1/responses", routes.responses, methods=["POST"]),
        ],
        middleware=middleware,
        exception_handlers={
            HuggingChatError: _error_response,
            ApiError: _error_response,
            HTTPException: _http_error_response,
        },
        lifespan=lifespan,
    )


class _JSONResponse(JSONResponse):
    """JSON. Halves of characters, which clients and models may send, are escaped, as in streams."""

    def render(self, content: Any) -> bytes:
        """Write a value."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content).encode()


class _ErrorMiddleware:
    """Answers unexpected errors, and logs them without their message.

    A server would log them as they are, and their text may hold a prompt.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            if scope["type"] != "http":
                raise
            _log_unexpected(error)
            if not has_started:
                await _failure_response(Failure.from_error(error))(scope, receive, send)


class _HostMiddleware:
    """Refuses what is sent to another host, or by a page of another origin."""

    def __init__(self, app: ASGIApp, guard: HostGuard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rejection = self._guard.check(scope) if scope["type"] == "http" else None
        if rejection is None:
            await self._app(scope, receive, send)
            return
        malformed = rejection in ("malformed_path", "no_host")
        message = (
            "The request is malformed."
            if malformed
            else "This server does not answer to that host or to pages of that origin. Name them"
            " with create_app(hosts=…, origins=…) or hfchat api --host-name, --origin."
        )
        failure = Failure(400 if malformed else 403, message, "invalid_request_error", rejection)
        await _failure_response(failure)(scope, receive, send)


class _KeyMiddleware:
    """Lets only those through who have the key."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_health(scope) or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        failure = Failure(
            401,
            "The API key is missing or wrong: send the one that hfchat api has printed at its"
            " start.",
            "authentication_error",
            "invalid_api_key",
        )
        await _failure_response(failure)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        if self._key is None:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, key = given[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(key.strip(), self._key)


def _is_health(scope: Scope) -> bool:
    return bool(scope["path"] == f"{scope.get('root_path', '')}/health")


class _Form(Protocol):
    """An answer in the form of one of the two APIs.

    Attributes:
        breaks_off: Whether a stream that did not end well is broken off after its last event,
            because clients that read over the event would take the part for the whole.
    """

    breaks_off: bool

    async def whole(self) -> dict[str, Any]:
        """Wait for the whole answer."""

    def events(self) -> AsyncGenerator[bytes, None]:
        """The events of a stream."""

    def failed(self, failure: Failure) -> bytes:
        """The event that ends a stream which did not end well."""


class _Routes:
    """What is done at each path.

    Args:
        client: Who answers.
        max_body_bytes: The largest body of a request.
        keep_alive: Seconds of silence after which a stream sends a comment.
    """

    def __init__(self, client: AsyncHuggingChat, max_body_bytes: int, keep_alive: float) -> None:
        self._client = client
        self._ephemeral_client: AsyncHuggingChat | None = None
        self._max_body_bytes = max_body_bytes
        self._keep_alive = keep_alive
        self._stored = StoredResponses()
        self._checks = SchemaChecks()

    async def close(self) -> None:
        """Close what was opened besides the client."""
        if self._ephemeral_client is not None:
            await self._ephemeral_client.close()
        await asyncio.to_thread(self._checks.close)

    async def health(self, _request: HttpRequest) -> Response:
        """Say that the application runs; needs no key."""
        return _JSONResponse({"status": "ok"})

    async def models(self, _request: HttpRequest) -> Response:
        """List the models."""
        models = await self._client.get_models()
        listed = [_model_object(model) for model in models if not model.unlisted]
        return _JSONResponse({"object": "list", "data": listed})

    async def model(self, request: HttpRequest) -> Response:
        """Show one model, by its id or a short name."""
        models = await self._client.get_models()
        name = request.path_params["model"]
        model_id = self._client.model_aliases.get(name, name)
        for model in models:
            if model.id == model_id:
                return _JSONResponse(_model_object(model))
        raise RequestError(
            f"The model {name!r} does not exist on this server; GET /v1/models lists its models.",
            status=404,
            code="model_not_found",
            param="model",
        )

    async def chat_completions(self, request: HttpRequest) -> Response:
        """Answer in the form of Chat Completions."""
        body = await self._read(request, ChatCompletionsRequest)
        client = await self._client_of(request)
        generation = await self._generation(await prompt_of_chat(body), client)
        includes_usage = bool(body.stream_options and body.stream_options.include_usage)
        form = ChatCompletion(generation, includes_usage=includes_usage)
        return self._answer(form, body, generation)

    async def responses(self, request: HttpRequest) -> Response:
        """Answer in the form of Responses."""
        body = await self._read(request, ResponsesRequest)
        previous: Sequence[ChatMessage] = ()
        client = await self._client_of(request)
        if body.previous_response_id is not None:
            previous = await self._stored.history(body.previous_response_id, client)
        prompt, history = await prompt_of_response(body, previous, self._stored.item)
        generation = await self._generation(prompt, client)

        def remember(response_id: str, items: Sequence[Mapping[str, Any]]) -> None:
            self._stored.add(response_id, [*history, *generation.history()], items)

        form = ResponseObject(generation, body, remember=None if body.store is False else remember)
        return self._answer(form, body, generation)

    async def _generation(self, prompt: Prompt, client: AsyncHuggingChat) -> Generation:
        if prompt.schema:
            await self._checks.run(self._checks.check_schema, prompt.schema)
        return Generation(client, await fit(prompt, client), self._checks)

    def _answer(self, form: _Form, body: Request, generation: Generation) -> Response:
        keep_alive = self._keep_alive if body.stream else None
        return _AnswerResponse(form, keep_alive=keep_alive, headers=_headers_of(generation))

    async def _client_of(self, request: HttpRequest) -> AsyncHuggingChat:
        """The client for a request, with the list of models read, so that names can be checked."""
        client = self._client
        if request.headers.get(_EPHEMERAL_HEADER, "").lower() in ("1", "true", "yes"):
            if self._ephemeral_client is None:
                self._ephemeral_client = client.to_async()
                self._ephemeral_client.ephemeral = True
            client = self._ephemeral_client
        await client.get_models()
        return client

    async def _read(self, request: HttpRequest, kind: type[AnyRequest]) -> AnyRequest:
        """Read the body of a request.

        Raises:
            RequestError: It is too large, no JSON, or holds wrong values.
        """
        kept = bytearray()
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received <= self._max_body_bytes:
                kept += chunk
            elif received > _DISCARDED_BODIES * self._max_body_bytes:
                break
        if received > self._max_body_bytes:
            raise RequestError(
                f"The request is larger than {self._max_body_bytes:,} bytes.",
                status=413,
                code=TOO_LARGE,
            )
        failure: Failure
        try:
            return kind.model_validate(json.loads(kept))
        except ValidationError as error:
            failure = Failure.from_validation(error)
        except (ValueError, RecursionError):
            failure = Failure(400, "The body is not valid JSON.", "invalid_request_error")
        # Outside of the handler: the values of the request would be in the error's context.
        raise RequestError(failure.message, status=failure.status, param=failure.param)


class _AnswerResponse(Response):
    """Makes an answer while it is sent, and stops when the client goes away.

    Args:
        form: The answer in the form that is wanted.
        keep_alive: To send it while it comes: the seconds of silence after which to send a comment;
            None to send it whole.
        headers: Headers of the response.
    """

    def __init__(
        self, form: _Form, *, keep_alive: float | None, headers: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._form = form
        self._keep_alive = keep_alive
        self._answer_headers = {**headers, "cache-control": "no-store"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._keep_alive is None:
            await _while_connected(receive, self._send_whole(scope, receive, send))
        else:
            await _while_connected(receive, self._stream(send, self._keep_alive))

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _JSONResponse(await self._form.whole(), headers=self._answer_headers)
        await response(scope, receive, send)

    async def _stream(self, send: Send, keep_alive: float) -> None:
        writer = _EventWriter(send, self._answer_headers, keep_alive)
        is_broken = False
        try:
            async with aclosing(self._form.events()) as events:
                async for event in events:
                    writer.write(event)
                    if writer.is_full:
                        await writer.wait_for_room()
        except Exception as error:
            if not writer.has_started:
                writer.cancel()
                raise
            is_broken = self._form.breaks_off
            failure = Failure.from_error(error)
            _log.warning("a stream broke off: %s (%s)", type(error).__name__, failure.code)
            _log_unexpected(error)
            writer.write(self._form.failed(failure))
        except BaseException:
            writer.cancel()
            raise
        await writer.close(is_broken=is_broken)


class _EventWriter:
    """Sends the events of a stream; those that come together are sent together.

    The answer is read in one task and sent by another, which gets its turn whenever the first one
    waits for the server.

    Args:
        send: ASGI send.
        headers: Headers of the response.
        keep_alive: Seconds of silence after which to send a comment.
    """

    def __init__(self, send: Send, headers: Mapping[str, str], keep_alive: float) -> None:
        self._send = send
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._last_sent = self._loop.time()
        self._timer = self._loop.call_later(keep_alive, self._keep_alive_if_silent)
        self._headers = headers
        self._parts: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._is_over = False
        self._task: asyncio.Task[None] | None = None

    @property
    def has_started(self) -> bool:
        """Whether anything was written."""
        return self._task is not None

    @property
    def is_full(self) -> bool:
        """Whether more waits to be sent than is good."""
        return self._size > _BUFFERED_BYTES

    def write(self, event: bytes) -> None:
        """Queue an event."""
        self._parts.append(event)
        self._size += len(event)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._pump())

    async def wait_for_room(self) -> None:
        """Wait until the client has taken what was written."""
        while self.is_full and self._task is not None and not self._task.done():
            self._room.clear()
            await self._room.wait()

    async def close(self, *, is_broken: bool) -> None:
        """Send the rest, and end the response properly, unless it is to be broken off."""
        self._timer.cancel()
        self._is_over = True
        self._wake.set()
        if self._task is not None:
            await self._task
        if not is_broken:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def cancel(self) -> None:
        """Send nothing more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _keep_alive_if_silent(self) -> None:
        now = self._loop.time()
        due = self._last_sent + self._keep_alive
        if due <= now:
            if not self._parts:  # else it is the client that is slow
                self.write(_KEEP_ALIVE)
            due = now + self._keep_alive
        self._timer = self._loop.call_at(due, self._keep_alive_if_silent)

    async def _pump(self) -> None:
        try:
            headers = {**self._headers, "content-type": "text/event-stream; charset=utf-8"}
            await self._send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers.items()],
                }
            )
            while self._parts or not self._is_over:
                await self._wake.wait()
                self._wake.clear()
                data, self._parts, self._size = b"".join(self._parts), [], 0
                if data:
                    await self._send(
                        {"type": "http.response.body", "body": data, "more_body": True}
                    )
                    self._last_sent = self._loop.time()
                self._room.set()
        finally:
            self._room.set()


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do something as long as the client is there."""
    working = asyncio.ensure_future(work)
    disconnecting = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, disconnecting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        else:
            _log.info("the client went away; its answer is stopped")
    finally:
        for task in (working, disconnecting):
            task.cancel()
        await asyncio.gather(working, disconnecting, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers_of(generation: Generation) -> dict[str, str]:
    headers = dict(_USAGE_HEADERS)
    if ignored := generation.prompt.ignored:
        headers[_IGNORED_HEADER] = ", ".join(ignored)
    return headers


def _log_unexpected(error: Exception) -> None:
    """Log an unexpected error by its kind and place: its message may hold a prompt."""
    if isinstance(error, (HuggingChatError, ApiError)):
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (
        f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    )
    _log.error("internal error: %s at %s", type(error).__name__, place)


def _model_object(model: Model) -> dict[str, Any]:
    """A model in OpenAI's form; servers do not say when it was made."""
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.id.partition("/")[0],
        "hfchat": model.model_dump(mode="json", exclude={"id", "preprompt"}),
    }


def _failure_response(failure: Failure) -> Response:
    return _JSONResponse(failure.body, status_code=failure.status, headers=failure.headers)


def _error_response(_request: HttpRequest, error: Exception) -> Response:
    return _failure_response(Failure.from_error(error))


def _http_error_response(_request: HttpRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = {404: "There is no such path.", 405: "The path takes another method."}.get(
        status, "The request cannot be answered."
    )
    return _failure_response(Failure(status, message, "invalid_request_error"))
