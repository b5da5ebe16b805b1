"""Today's protocol: chat-ui 0.20, with a JSON API under ``/api/v2`` in superjson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from hfchat_base._protocol import encodings, http
from hfchat_base._protocol.constants import WEB_SEARCH_SERVER, Generation
from hfchat_base._protocol.dialects.base import (
    Dialect,
    ModelSource,
    OutgoingMessage,
    ParsedModels,
    active_model_in,
    conversation_id_in,
    home_page,
    plain_models,
    unwrapped,
)
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import MCP_SERVERS, MODEL_LIST, MODEL_PAGE, read_models
from hfchat_base._protocol.requests import (
    ACCEPT_JSON,
    Endpoint,
    empty_request,
    json_request,
)
from hfchat_base._protocol.responses import check, check_json, is_page
from hfchat_base._protocol.stored import (
    CONVERSATION,
    CONVERSATION_LIST,
    FLAGS,
    SETTINGS,
    USER,
    StoredConversation,
    read_conversation,
    read_infos,
    read_user,
    unknown_events,
)
from hfchat_base._protocol.structure import Probe
from hfchat_base.errors import InvalidRequestError, ProtocolError
from hfchat_base.secret import reveal
from hfchat_base.types import ConversationInfo, Message, User

_NOT_WRITTEN: Final = ("welcomeModalSeen", "welcomeModalSeenAt")
"""What comes with the settings and is not one of them: writing it back would change it (S)."""

_PAYER: Final = "billingOrganization"


class CurrentDialect(Dialect):
    """chat-ui 0.20."""

    name: ClassVar[Generation] = "current"
    names_runs = True
    shows_text_files = True
    reasoning_efforts = ("low", "medium", "high")
    import_needs_model = False
    login_path = "/login"

    def get_user(self) -> Request:
        """Ask who we are."""
        return Request("GET", "/api/v2/user", ACCEPT_JSON)

    def parse_user(self, response: Response, request: Request) -> User | None:
        """Read who we are; a guest gets 200 and ``{"json":null}`` (R: ``login_required``)."""
        check_json(response, request)
        return read_user(encodings.from_superjson(response.body, "user"))

    def get_settings(self) -> Request:
        """Ask for the account's settings."""
        return Request("GET", "/api/v2/user/settings", ACCEPT_JSON)

    def parse_active_model(self, response: Response, request: Request) -> str | None:
        """Read the model that the account has chosen, out of its settings."""
        check_json(response, request)
        return active_model_in(encodings.from_superjson(response.body, "settings"))

    def parse_settings(self, response: Response, request: Request) -> dict[str, Any]:
        """Read those of the account's settings that can be changed."""
        check_json(response, request)
        raw = encodings.from_superjson(response.body, "settings")
        if not isinstance(raw, dict):
            raise ProtocolError("The server's settings cannot be read.")
        found = {key: value for key, value in raw.items() if key not in _NOT_WRITTEN}
        return {**found, _PAYER: found[_PAYER] or None} if _PAYER in found else found

    def change_settings(self, endpoint: Endpoint, settings: Mapping[str, Any]) -> Request:
        """Write all settings; one without a value is left out: null is refused (R: ``settings``).

        Who pays would then stay who it was. The page writes an empty text for nobody.
        """
        body = {key: value for key, value in settings.items() if value is not None}
        if _PAYER in settings:
            body.setdefault(_PAYER, "")
        return json_request("POST", "/api/v2/user/settings", endpoint, body)

    def get_billing_organizations(self) -> Request | None:
        """Ask who may pay for the account's answers."""
        return Request("GET", "/api/v2/user/billing-orgs", ACCEPT_JSON)

    def get_model(self, model: str) -> Request | None:
        """Ask for all that is known of one model."""
        path = f"/api/v2/models/{quote(model)}"
        return Request("GET", path, ACCEPT_JSON, max_bytes=http.MODEL_LIST_BYTES)

    @property
    def conversations_path(self) -> str:
        """Where all conversations of an account are deleted."""
        return "/api/v2/conversations"

    def get_mcp_servers(self) -> Request | None:
        """Ask for the server's own MCP servers."""
        return Request("GET", "/api/mcp/servers", ACCEPT_JSON)

    def require(self, what: str) -> None:
        """All of it is there."""

    def probes(self, model: str) -> list[Probe]:
        """What can be asked without changing anything."""
        superjson, plain = unwrapped(encodings.from_superjson), unwrapped(encodings.parse_json)
        flags, _ = self.get_features()
        known = [
            Probe("GET /api/v2/models", _MODELS, superjson, MODEL_LIST),
            Probe("GET /api/models", plain_models(), plain, MODEL_LIST),
            Probe("GET /api/v2/user", self.get_user(), superjson, USER),
            Probe("GET /api/v2/user/settings", self.get_settings(), superjson, SETTINGS),
            Probe("GET /api/v2/feature-flags", flags, superjson, FLAGS),
            Probe(
                "GET /api/v2/conversations",
                self.list_conversations(0),
                superjson,
                CONVERSATION_LIST,
            ),
        ]
        if (page := self.get_model(model)) is not None:
            known.append(Probe("GET /api/v2/models/{model}", page, superjson, MODEL_PAGE))
        if (servers := self.get_mcp_servers()) is not None:
            known.append(Probe("GET /api/mcp/servers", servers, plain, MCP_SERVERS))
        return known

    def probe_conversation(self, conversation_id: str) -> Probe:
        """A conversation with the events that are stored with its messages."""
        return Probe(
            "GET /api/v2/conversations/{id}",
            self.get_conversation(conversation_id),
            unwrapped(encodings.from_superjson),
            CONVERSATION,
            further=unknown_events,
        )

    def conversation_path(self, conversation_id: str) -> str:
        """Where a conversation is changed and deleted."""
        return f"/api/v2/conversations/{conversation_id}"

    def message_path(self, conversation_id: str, message_id: str) -> str:
        """Where a message is deleted."""
        return f"/api/v2/conversations/{conversation_id}/message/{message_id}"

    def get_conversation(self, conversation_id: str) -> Request:
        """Ask for a conversation, or for a share by its id."""
        path = f"/api/v2/conversations/{conversation_id}"
        return Request("GET", path, ACCEPT_JSON, max_bytes=http.CONVERSATION_BYTES)

    def parse_conversation(
        self, response: Response, request: Request, conversation_id: str
    ) -> StoredConversation:
        """Read a conversation with its messages."""
        check_json(response, request)
        return parse_stored(response.body, conversation_id)

    def list_conversations(self, page: int) -> Request:
        """Ask for one page of the conversation list, counted from 0."""
        path = f"/api/v2/conversations?{urlencode({'p': page})}"
        return Request("GET", path, ACCEPT_JSON, max_bytes=http.CONVERSATION_LIST_BYTES)

    def parse_conversations(self, response: Response) -> tuple[list[ConversationInfo], bool]:
        """Read one page of the conversation list, and whether more follow."""
        raw = encodings.from_superjson(response.body, "conversation list")
        if not isinstance(raw, dict):
            raise ProtocolError("The server's conversation list is not a list.")
        return list(read_infos(raw.get("conversations"))), raw.get("hasMore") is True

    def import_share(self, endpoint: Endpoint, share_id: str, model: str) -> Request:  # noqa: ARG002 - see `import_needs_model`
        """Make a conversation out of a share."""
        path = "/api/v2/conversations/import-share"
        return json_request("POST", path, endpoint, {"shareId": share_id})

    def parse_imported(self, response: Response) -> str:
        """Read the id of a conversation that was made out of a share."""
        what = "imported share"
        return conversation_id_in(encodings.from_superjson(response.body, what), what)

    def message_fields(self, message: OutgoingMessage) -> dict[str, Any]:
        """The fields of a message's JSON that only this generation has."""
        named = [server for server in message.mcp_servers if isinstance(server, str)]
        if message.web_search and WEB_SEARCH_SERVER not in named:
            named.append(WEB_SEARCH_SERVER)
        addressed = []
        for server in message.mcp_servers:
            if isinstance(server, str):
                continue
            if not server.get("name") or not server.get("url"):
                raise InvalidRequestError(
                    'A tool server is a name, or {"name": …, "url": …, "headers": {…}}.'
                )
            url = reveal(server["url"])
            if url is None:
                raise InvalidRequestError(
                    f"The address of the tool server {server['name']!r} held a secret, which a"
                    " pickle leaves out: pass it again."
                )
            values = {name: reveal(value) for name, value in (server.get("headers") or {}).items()}
            headers = [{"key": k, "value": v} for k, v in values.items() if v is not None]
            addressed.append({"name": server["name"], "url": url, "headers": headers})
            # The names choose among the client's own servers, too.
            named.append(server["name"])
        fields: dict[str, Any] = {
            "generationId": message.generation_id,
            # Left out, it would switch on all of the server's own MCP servers (S).
            "selectedMcpServerNames": named,
        }
        if addressed:
            fields["selectedMcpServers"] = addressed
        if message.timezone:
            fields["timezone"] = message.timezone
        if message.resume_elicitation_id:
            fields["resumeElicitationId"] = message.resume_elicitation_id
        return fields

    def stop_generating(
        self, endpoint: Endpoint, conversation_id: str, generation_id: str | None, seen_units: int
    ) -> Request:
        """Stop a run, at what the client has seen of it."""
        path = f"/conversation/{conversation_id}/stop-generating"
        if generation_id is None:
            return empty_request("POST", path, endpoint)
        body = {"generationId": generation_id, "seenContentLength": seen_units}
        return json_request("POST", path, endpoint, body)

    def is_cut_off(self, *, has_final_answer: bool, stop_requested: bool) -> bool:  # noqa: ARG002 - a run always says when it has finished
        """Every run says when it has finished; a title may follow its final answer."""
        return True

    def find_answer(
        self, stored: StoredConversation, message: OutgoingMessage, generation_id: str | None
    ) -> Message | None:
        """The answer is named after its run."""
        return stored.written_by(generation_id or message.generation_id)


def parse_stored(body: bytes | str, conversation_id: str) -> StoredConversation:
    """Read a conversation in superjson.

    Raises:
        ProtocolError: It cannot be read.
    """
    raw = encodings.from_superjson(body, f"conversation {conversation_id}")
    return read_conversation(raw, conversation_id)


CURRENT: Final = CurrentDialect()


def _read_models(response: Response) -> ParsedModels | None:
    """Read the model list; legacy answers this route with 200 and a page (R: ``models``)."""
    check(response, _MODELS)
    if is_page(response):
        return None
    return ParsedModels(read_models(encodings.from_superjson(response.body, "model list")))


def _read_page(response: Response) -> ParsedModels | None:
    """Read the model list in the page's own data (R: ``home_page_html``)."""
    check(response, home_page())
    for path, body in encodings.fetched_responses(response.body.decode(errors="replace")).items():
        if path.endswith("/api/v2/models"):
            return ParsedModels(read_models(encodings.from_superjson(body, "model list")))
    return None


_MODELS: Final = Request("GET", "/api/v2/models", ACCEPT_JSON, max_bytes=http.MODEL_LIST_BYTES)

JSON_MODELS: Final = ModelSource(_MODELS, _read_models, CURRENT)
PAGE_MODELS: Final = ModelSource(home_page(), _read_page, CURRENT)
