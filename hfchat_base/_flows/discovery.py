"""What a server is and has: its dialect, its models, its MCP servers; and who we are to it."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from itertools import groupby
from typing import Any, Final

from hfchat_base._flows import commands
from hfchat_base._flows.commands import Flow, Start, collect, has_account
from hfchat_base._flows.context import ServerInfo, is_temporary, send
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base._protocol.dialects import (
    Dialect,
    ModelSource,
    ParsedModels,
    dialect_of,
    model_sources,
)
from hfchat_base._protocol.dialects.base import logout as logout_request
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import (
    FALLBACK_DATE,
    FALLBACK_MODELS,
    Catalog,
    read_details,
    read_mcp_check,
    read_mcp_servers,
)
from hfchat_base._protocol.requests import is_conversation_id
from hfchat_base._protocol.structure import Probe, differences
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base.errors import (
    HuggingChatError,
    InvalidRequestError,
    MissingAuthError,
    ProtocolError,
    ResponseError,
    SessionExpired,
    TransportError,
    UnexpectedPageError,
)
from hfchat_base.secret import reveal, reveal_values
from hfchat_base.types import (
    McpCheck,
    McpServer,
    McpServerInfo,
    Model,
    ModelDetails,
    ProtocolCheck,
    ServerFeatures,
    ServerStatus,
    User,
)

_log = logging.getLogger("hfchat")

_LOGGED_OUT: Final = (200, 302, 303)
"""Current redirects home with 302, legacy with 303, or says so in JSON (S)."""

_MCP_REFUSED: Final = (400, 503)
"""Of an address that the server does not call, and of a server that it cannot reach (S)."""


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
    ``models``), so one request is enough, and its answer is the model list at the same time.

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
        RateLimitError: It asks to wait.
        ServerError: A gateway does not reach it.
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


def _list_models(server: ServerInfo) -> Flow[ParsedModels]:
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
            if error.status is None or is_temporary(error):
                raise  # if nothing was sent, the client's own settings cannot be used
            _log.debug("model list: %s did not work: %s", request.path, error)
        else:
            if found is not None:
                return found
    if refused is not None:
        raise refused
    return ParsedModels(())


def _try_sources(
    server: ServerInfo, request: Request, sources: Sequence[ModelSource]
) -> Flow[ParsedModels | None]:
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
            if is_temporary(error):
                raise
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
    """All that the server says of a model. It is fetched once and cached.

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
    """Ask for a model's details along with what follows, if they are wanted and not known.

    `take_details` has to be called before the next `Start`.
    """
    if not server.wants_details or model in server.details or server.dialect is None:
        return
    request = server.dialect.get_model(model)
    if request is not None:
        run.ask_for_details(model)
        yield Start(request)


def take_details(server: ServerInfo, run: RunState) -> Flow[None]:
    """Keep the details that were asked for. The answer does not need them."""
    model = run.take_details()
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
        InvalidRequestError: The server has no vision model, or the named model is not one.
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


def mcp_servers(server: ServerInfo, *, refresh: bool = False) -> Flow[tuple[McpServerInfo, ...]]:
    """The server's own MCP servers. They are fetched once and cached; legacy servers have none."""
    if server.mcp_servers is None or refresh:
        request = (yield from dialect(server)).get_mcp_servers()
        found: list[McpServerInfo] = []
        if request is not None:
            response = responses.check_json((yield from send(server, request)), request)
            found = read_mcp_servers(encodings.parse_json(response.body, "list of MCP servers"))
        server.mcp_servers = tuple(found)
    return server.mcp_servers


def check_mcp_servers(
    server: ServerInfo, wanted_servers: Sequence[McpServer], *, web_search: bool
) -> Flow[None]:
    """Refuse a tool server that does not exist. The server would leave it out silently.

    Raises:
        InvalidRequestError: The server has none of that name.
    """
    names = [name for name in wanted_servers if isinstance(name, str)]
    wanted = [*names, *([WEB_SEARCH_SERVER] if web_search else [])]
    if not wanted:
        return
    if (yield from dialect(server)).get_mcp_servers() is None:
        return  # what such a server can do is said where the message is made
    own = {item.get("name") for item in wanted_servers if not isinstance(item, str)}
    # A list that was remembered may be old; one that was asked for just now is not.
    for is_again in (False,) if server.mcp_servers is None else (False, True):
        known = [each.name for each in (yield from mcp_servers(server, refresh=is_again))]
        missing = [name for name in wanted if name not in known and name not in own]
        if not missing:
            return
    raise _no_such_mcp_server(missing[0], known, is_search=missing[0] not in names)


def _no_such_mcp_server(name: str, known: list[str], *, is_search: bool) -> InvalidRequestError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:5]
    hint = f"It has {', '.join(near)}." if near else "It has none of its own."
    if is_search:
        return InvalidRequestError(
            f"This server has no web search (an MCP server called {name!r}). {hint}"
        )
    return InvalidRequestError(
        f"The server has no MCP server {name!r}. {hint} mcp_servers() lists them."
    )


def check_mcp_server(server: ServerInfo, url: str, headers: Mapping[str, str]) -> Flow[McpCheck]:
    """Have the server look at an MCP server.

    Raises:
        InvalidRequestError: It is not a web address, or the server cannot do this.
    """
    address = reveal(url) or ""
    WebAddress.parse(address, what="url")
    spoken = yield from dialect(server)
    request = spoken.check_mcp_server(server.endpoint, address, reveal_values(headers))
    response = yield from send(server, request)
    if response.status not in _MCP_REFUSED:
        responses.check_json(response, request)
    return read_mcp_check(encodings.parse_json(response.body, "report"))


def whoami(server: ServerInfo) -> Flow[User | None]:
    """Ask the server who we are: None for a guest."""
    spoken = yield from dialect(server)
    request = spoken.get_user()
    return spoken.parse_user((yield from send(server, request)), request)


def features(server: ServerInfo) -> Flow[ServerFeatures]:
    """What the server has switched on, and its public configuration.

    Raises:
        InvalidRequestError: The server does not publish them.
    """
    found: list[dict[str, Any]] = []
    for request in (yield from dialect(server)).get_features():
        response = responses.check_json((yield from send(server, request)), request)
        raw = encodings.from_superjson(response.body, "configuration")
        found.append(raw if isinstance(raw, dict) else {})
    flags, config = found
    return ServerFeatures(
        name=_text(config.get("PUBLIC_APP_NAME")),
        version=_text(config.get("PUBLIC_VERSION")),
        login=flags.get("loginEnabled") is True,
        transcription=flags.get("transcriptionEnabled") is True,
        router_model=_text(config.get("PUBLIC_LLM_ROUTER_ALIAS_ID")),
        config=config,
    )


def check_protocol(server: ServerInfo) -> Flow[list[ProtocolCheck]]:
    """Compare what the server says with what is known of it, by requests that change nothing."""
    spoken = yield from dialect(server)
    known = yield from models(server)
    checks: list[ProtocolCheck] = []
    for probe in spoken.probes(known.default.id if known.default else ""):
        checks += [(yield from _probe(server, spoken, probe))]
    infos, _ = spoken.parse_conversations((yield from send(server, spoken.list_conversations(0))))
    ids = [info.id for info in infos if is_conversation_id(info.id)]
    for conversation_id in ids[:1]:
        probe = spoken.probe_conversation(conversation_id)
        checks += [(yield from _probe(server, spoken, probe))]
    return checks


def _probe(server: ServerInfo, spoken: Dialect, probe: Probe) -> Flow[ProtocolCheck]:
    status = 0
    try:
        response = yield from send(server, probe.request)
        status = response.status
        if status == probe.refused:
            return ProtocolCheck(route=probe.route, status=status)
        raw = probe.read(responses.check_json(response, probe.request))
    except UnexpectedPageError:
        found: tuple[str, ...] = ("changed: the whole is an HTML page",)
    except ResponseError as error:
        status = error.status or status
        found = ("changed: the whole is a refusal",)
    except (ProtocolError, MissingAuthError):
        found = ("changed: the whole is in another form",)
    else:
        found = differences(raw, probe, spoken.name)
    return ProtocolCheck(route=probe.route, status=status, differences=found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def logout(server: ServerInfo) -> Flow[None]:
    """End the session on the server; a session that has already ended is not an error.

    Raises:
        HuggingChatError: The server refused.
    """
    request = logout_request(server.endpoint)
    try:
        response = yield from commands.send(request)
    except SessionExpired:
        # The answer deletes the session's cookie, which is how any session ends.
        return
    if response.status not in _LOGGED_OUT:
        raise responses.refusal(response, request)
