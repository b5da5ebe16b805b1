"""Which dialect a server speaks, which models it has, and who we are to it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from itertools import groupby

from hfchat_base._flows import commands
from hfchat_base._flows.commands import Flow, Start, collect, has_account
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.dialects import (
    Dialect,
    ModelList,
    ModelSource,
    dialect_of,
    model_sources,
)
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import (
    FALLBACK_DATE,
    FALLBACK_MODELS,
    Catalog,
    read_details,
)
from hfchat_base.errors import (
    HuggingChatError,
    InvalidRequestError,
    MissingAuthError,
    ProtocolError,
    ResponseError,
    TransportError,
)
from hfchat_base.types import Model, ModelDetails, ServerStatus

_log = logging.getLogger("hfchat")


def check_server() -> Flow[ServerStatus]:
    """Send the first request of a new client once, and say what the response's head holds."""
    response = yield from commands.send(model_sources(None)[0].request)
    try:
        date = parsedate_to_datetime(response.headers.get("date", ""))
    except (TypeError, ValueError):
        date = None
    return ServerStatus(status=response.status, date=date)


def dialect(server: ServerInfo) -> Flow[Dialect]:
    """Find out which protocol a server speaks; no request if it is known.

    Both generations answer the current route for models with 200, legacy with a page (R:
    ``models``), so one request tells, and its answer is the model list at the same time.

    Raises:
        HuggingChatError: It could not be found out.
    """
    if server.dialect is None:
        yield from models(server, refresh=True)  # a dated list says nothing of the dialect
    if server.dialect is None:
        raise ProtocolError(
            f"{server.endpoint.base_url} does not answer as a chat-ui server. Is base_url complete?"
        )
    return server.dialect


def models(server: ServerInfo, *, refresh: bool = False) -> Flow[Catalog]:
    """Find out which models a server has: the JSON routes, then the page, then a dated list.

    Raises:
        TransportError: The server cannot be reached.
        MissingAuthError: It shows nothing to people who are not logged in.
    """
    if server.catalog is not None and not refresh:
        return server.catalog
    found = yield from _list_models(server)
    active = found.active
    if found.models and active is None and (yield from has_account()):
        active = yield from _active_model(server)
    if not found.models:
        warnings.warn(
            f"The model list of {server.endpoint.base_url} cannot be read; using the models that"
            f" HuggingChat had on {FALLBACK_DATE}.",
            UserWarning,
            stacklevel=2,
        )
    server.catalog = (
        Catalog(found.models, active=active)
        if found.models
        else Catalog(FALLBACK_MODELS, is_fallback=True)
    )
    return server.catalog


def _list_models(server: ServerInfo) -> Flow[ModelList]:
    refused: MissingAuthError | None = None
    by_request = groupby(model_sources(server.dialect), key=lambda source: source.request)
    for request, sources in [(request, list(sources)) for request, sources in by_request]:
        try:
            found = yield from _try_sources(server, request, sources)
        except TransportError:
            raise
        except MissingAuthError as error:
            refused = error
        except InvalidRequestError as error:
            if error.status is None:
                raise  # nothing was sent: the client's own settings cannot be used
            _log.debug("model list: %s did not work: %s", request.path, error)
        else:
            if found is not None:
                return found
    if refused is not None:
        raise refused
    return ModelList(())


def _try_sources(
    server: ServerInfo, request: Request, sources: Sequence[ModelSource]
) -> Flow[ModelList | None]:
    """Send one request and read it as each generation would; None if it lists no model."""
    response: Response = yield from send(server, request)
    for source in sources:
        if server.dialect is not None and source not in model_sources(server.dialect):
            continue  # the one before was this server's, and listed nothing
        try:
            found = source.read(response)
        except (MissingAuthError, InvalidRequestError):
            raise
        except HuggingChatError as error:
            _log.debug("model list: %s did not work: %s", request.path, error)
            continue
        if found is None:
            continue
        if server.dialect is None:
            server.dialect = dialect_of(source)
        if found.models:
            return found
    return None


def _active_model(server: ServerInfo) -> Flow[str | None]:
    """The model that the account has chosen; a preference, so a failure to read it is ignored."""
    try:
        spoken = yield from dialect(server)
        request = spoken.get_settings()
        return spoken.parse_active_model((yield from send(server, request)), request)
    except (ResponseError, ProtocolError, MissingAuthError) as error:
        _log.debug("the account's active model could not be read: %s", error)
        return None


def model_details(server: ServerInfo, name: str) -> Flow[ModelDetails]:
    """All that the server says of a model. Asked once and remembered.

    Raises:
        ModelNotFoundError: There is no model of that name.
    """
    model = (yield from models(server)).resolve(name)
    if model.id not in server.details:
        request = (yield from dialect(server)).get_model(model.id)
        if request is None:
            return _with_efforts(server, ModelDetails(**dict(model)))
        response = yield from send(server, request)
        server.details[model.id] = _read_details(server, response, request)
    return server.details[model.id]


def known_model(server: ServerInfo, name: str | None) -> ModelDetails | None:
    """What is known of a model without a request: its details, what the list says, or nothing.

    Args:
        server: The server.
        name: Its id or short name, or None for the default model.
    """
    catalog = server.catalog
    model = None if catalog is None else catalog.find(name) if name else catalog.default
    if model is None:
        return None
    return server.details.get(model.id) or _with_efforts(server, ModelDetails(**dict(model)))


def _read_details(server: ServerInfo, response: Response, request: Request) -> ModelDetails:
    raw = encodings.from_superjson(responses.check_json(response, request).body, "model")
    return _with_efforts(server, read_details(raw))


def _with_efforts(server: ServerInfo, details: ModelDetails) -> ModelDetails:
    if server.dialect is None or not details.supports_reasoning:
        return details
    return details.model_copy(update={"reasoning_efforts": server.dialect.reasoning_efforts})


def start_details(server: ServerInfo, run: RunState, model: str) -> Flow[None]:
    """Ask for a model's details beside what follows, if somebody wants them and has none.

    `take_details` has to be called before anything else is started beside the run's stream.
    """
    if not server.wants_details or model in server.details or server.dialect is None:
        return
    request = server.dialect.get_model(model)
    if request is not None:
        run.details_of = model
        yield Start(request)


def take_details(server: ServerInfo, run: RunState) -> Flow[None]:
    """Remember the details that were asked for; without them the answer is as good."""
    model, run.details_of = run.details_of, None
    if model is None:
        return
    try:
        response = yield from collect(server.policy.limits.details_wait)
        if response is not None and server.dialect is not None:
            request = server.dialect.get_model(model)
            assert request is not None  # noqa: S101 - it was sent
            server.details[model] = _read_details(server, response, request)
    except HuggingChatError as error:
        _log.debug("the details of %s could not be read: %s", model, error)


def default_model(server: ServerInfo) -> Flow[Model]:
    """The model to use when none is named.

    Raises:
        InvalidRequestError: The server has no model.
    """
    found = (yield from models(server)).default
    if found is None:
        raise InvalidRequestError("The server lists no model; name one with model=…")
    return found


def vision_model(server: ServerInfo, name: str | None, *, may_switch: bool = True) -> Flow[Model]:
    """The named model if it accepts images, or else the server's default for images.

    Args:
        server: The server.
        name: A model's id or short name, or None for the server's default model.
        may_switch: Whether another model may take the place of a named one.

    Raises:
        InvalidRequestError: The server has no vision model, or the named one is none.
        ModelNotFoundError: There is no model of that name.
    """
    known = yield from models(server)
    wanted = known.resolve(name) if name else known.default
    if wanted is not None and (wanted.accepts_images or wanted.is_router):
        return wanted
    other = known.default_vision
    if other is None:
        raise InvalidRequestError("This server has no vision model.")
    if name and not may_switch:
        raise InvalidRequestError(
            f"{wanted or name} does not accept images. Use a model that does, such as {other}."
        )
    if name:
        _log.info("%s does not accept images; using %s", name, other.id)
    return other
