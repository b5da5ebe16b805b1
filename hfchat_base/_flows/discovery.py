"""Which generation a server is, which models it has, and who we are to it."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Final

from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import Server, send
from hfchat_base._protocol import encodings, pages, requests, responses
from hfchat_base._protocol.constants import Generation
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import FALLBACK_DATE, FALLBACK_MODELS, Catalog, read_models
from hfchat_base.errors import (
    HuggingChatError,
    InvalidRequestError,
    MissingAuthError,
    ProtocolError,
    ResponseError,
    TransportError,
)
from hfchat_base.types import Model, User

_log = logging.getLogger("hfchat")

_UNAUTHORIZED: Final = 401


def generation(server: Server) -> Flow[Generation]:
    """Find out which protocol a server speaks; no request if it is known.

    Both answer the current route for models with 200, legacy with a page (R: ``models``), so one
    request tells, and its answer is the model list at the same time.

    Raises:
        HuggingChatError: It could not be found out.
    """
    if server.generation is None:
        yield from models(server)
    if server.generation is None:
        msg = (
            f"{server.endpoint.base_url} does not answer as a chat-ui server. Is base_url complete?"
        )
        raise ProtocolError(msg)
    return server.generation


def models(server: Server, *, refresh: bool = False) -> Flow[Catalog]:
    """Find out which models a server has: the JSON routes, then the page, then a dated list.

    Raises:
        TransportError: The server cannot be reached.
        MissingAuthError: It shows nothing to people who are not logged in.
    """
    if server.catalog is not None and not refresh:
        return server.catalog
    found, active = yield from _list_models(server)
    if found and active is None and server.has_account():
        active = yield from _active_model(server)
    if not found:
        warnings.warn(
            f"The model list of {server.endpoint.base_url} cannot be read; using the models that"
            f" HuggingChat had on {FALLBACK_DATE}.",
            UserWarning,
            stacklevel=2,
        )
    server.catalog = (
        Catalog(found, active=active) if found else Catalog(FALLBACK_MODELS, is_fallback=True)
    )
    return server.catalog


def whoami(server: Server) -> Flow[User | None]:
    """Ask the server who we are: None for a guest (R: ``login_required``)."""
    kind = yield from generation(server)
    request = requests.user(kind)
    response = yield from send(server, request)
    if kind == "legacy" and response.status == _UNAUTHORIZED:
        return None
    responses.check_json(response, request)
    what = "user"
    raw = (
        encodings.from_superjson(response.body, what)
        if kind == "current"
        else encodings.parse_json(response.body, what)
    )
    if not isinstance(raw, dict):
        return None
    return User(
        id=str(raw.get("id", "")),
        username=str(raw.get("username") or ""),
        email=str(raw.get("email") or ""),
        avatar_url=str(raw.get("avatarUrl") or ""),
    )


def _list_models(server: Server) -> Flow[tuple[tuple[Model, ...], str | None]]:
    refused: MissingAuthError | None = None
    for way in (_from_current_route, _from_legacy_route, _from_page, _from_page_data):
        try:
            found, active = yield from way(server)
        except TransportError:
            raise
        except MissingAuthError as error:
            refused = error
        except HuggingChatError as error:
            if isinstance(error, InvalidRequestError) and error.status is None:
                raise  # nothing was sent: the client's own settings cannot be used
            _log.debug("model list: %s did not work: %s", way.__name__, error)
        else:
            if found:
                return found, active
    if refused is not None:
        raise refused
    return (), None


Found = tuple[tuple[Model, ...], str | None]


def _from_current_route(server: Server) -> Flow[Found]:
    if server.generation == "legacy":
        return (), None
    request = requests.models("current")
    response = yield from send(server, request)
    responses.check(response, request)
    if responses.is_page(response):
        return (), None
    found = read_models(encodings.from_superjson(response.body, "model list"))
    server.generation = "current"
    return found, None


def _from_legacy_route(server: Server) -> Flow[Found]:
    request = requests.models("legacy")
    response = yield from send(server, request)
    responses.check_json(response, request)
    found = read_models(encodings.parse_json(response.body, "model list"))
    _note_generation(server, "legacy")
    return found, None


def _from_page(server: Server) -> Flow[Found]:
    request = requests.home_page()
    response = yield from send(server, request)
    responses.check(response, request)
    html = response.body.decode(errors="replace")
    for path, body in pages.fetched_responses(html).items():
        if path.endswith("/api/v2/models"):
            _note_generation(server, "current")
            return read_models(encodings.from_superjson(body, "model list")), None
    raw = pages.legacy_models(html)
    if raw is None:
        return (), None
    _note_generation(server, "legacy")
    return read_models(raw), pages.legacy_active_model(html)


def _from_page_data(server: Server) -> Flow[Found]:
    if server.generation == "current":
        return (), None
    for node in (yield from _home_nodes(server)):
        if found := read_models(node.get("models")):
            _note_generation(server, "legacy")
            return found, _active_in(node.get("settings"))
    return (), None


def _note_generation(server: Server, kind: Generation) -> None:
    # `/api/models` exists on both, so it only settles what the current route left open.
    if server.generation is None:
        server.generation = kind


def _active_model(server: Server) -> Flow[str | None]:
    """The model that the account has chosen; it is a preference, so a failure is none of ours."""
    try:
        if server.generation == "legacy":
            nodes = yield from _home_nodes(server)
            return next((m for node in nodes if (m := _active_in(node.get("settings")))), None)
        request = requests.settings()
        response = responses.check_json((yield from send(server, request)), request)
        return _active_in(encodings.from_superjson(response.body, "settings"))
    except (ResponseError, ProtocolError, MissingAuthError) as error:
        _log.debug("the account's active model could not be read: %s", error)
        return None


def _active_in(settings: Any) -> str | None:
    active = settings.get("activeModel") if isinstance(settings, dict) else None
    return active if isinstance(active, str) else None


def _home_nodes(server: Server) -> Flow[list[dict[str, Any]]]:
    request: Request = requests.home_data()
    what = "page data"
    response: Response = responses.check_data((yield from send(server, request)), request, what)
    return encodings.from_sveltekit_data(response.body, what)


def default_model(server: Server) -> Flow[Model]:
    """The model to use when none is named.

    Raises:
        InvalidRequestError: The server has no model.
    """
    found = (yield from models(server)).default
    if found is None:
        msg = "The server lists no model; name one with model=…"
        raise InvalidRequestError(msg)
    return found


def vision_model(server: Server, name: str | None) -> Flow[Model]:
    """The named model if it sees images, or else the server's default for images.

    Raises:
        InvalidRequestError: No model of the server sees images.
        ModelNotFoundError: There is no model of that name.
    """
    known = yield from models(server)
    wanted = known.resolve(name) if name else known.default
    if wanted is not None and (wanted.accepts_images or wanted.is_router):
        return wanted
    other = known.default_vision
    if other is None:
        msg = "No model of this server sees images."
        raise InvalidRequestError(msg)
    if name:
        _log.info("%s does not see images; using %s", name, other.id)
    return other
