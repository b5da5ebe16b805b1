"""The protocol of mid-2025: chat-ui 0.9.5, without ``/api/v2``.

Much of its data comes as SvelteKit's ``__data.json``, in devalue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from hfchat_base._protocol import encodings, http
from hfchat_base._protocol.constants import CONVERSATIONS_PER_PAGE, Generation
from hfchat_base._protocol.dialects.base import (
    Dialect,
    ModelSource,
    OutgoingMessage,
    ParsedModels,
    active_model_in,
    conversation_id_in,
    create_conversation,
    home_page,
    plain_models,
    unwrapped,
)
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import MODEL_LIST, read_models
from hfchat_base._protocol.requests import (
    ACCEPT_ANY,
    ACCEPT_JSON,
    Endpoint,
    empty_request,
    json_request,
)
from hfchat_base._protocol.responses import check, check_data, check_json
from hfchat_base._protocol.stored import (
    CONVERSATION,
    CONVERSATION_ROWS,
    USER,
    StoredConversation,
    read_conversation,
    read_infos,
    read_user,
    unknown_events,
)
from hfchat_base._protocol.structure import Probe
from hfchat_base.errors import InvalidRequestError, ProtocolError
from hfchat_base.types import ConversationInfo, Message, User

_UNAUTHORIZED: Final = 401

_SETTINGS: Final = frozenset(
    (
        "activeModel",
        "customPrompts",
        "directPaste",
        "disableStream",
        "hideEmojiOnSidebar",
        "shareConversationsWithModelAuthors",
        "tools",
    )
)
"""The settings that can be written (S)."""


class LegacyDialect(Dialect):
    """chat-ui 0.9.5."""

    name: ClassVar[Generation] = "legacy"
    names_runs = False
    shows_text_files = False
    reasoning_efforts = ()
    import_needs_model = True
    login_path = "/"

    def get_user(self) -> Request:
        """Ask who we are."""
        return Request("GET", "/api/user", ACCEPT_JSON)

    def parse_user(self, response: Response, request: Request) -> User | None:
        """Read who we are; a guest gets 401 (R: ``login_required``)."""
        if response.status == _UNAUTHORIZED:
            return None
        check_json(response, request)
        return read_user(encodings.parse_json(response.body, "user"))

    def get_settings(self) -> Request:
        """Ask for the account's settings, which are in the page's data."""
        return _HOME_DATA

    def parse_active_model(self, response: Response, request: Request) -> str | None:
        """Read the model that the account has chosen, out of its settings."""
        check_data(response, request, _PAGE_DATA)
        nodes = encodings.from_sveltekit_data(response.body, _PAGE_DATA)
        return next((m for node in nodes if (m := active_model_in(node.get("settings")))), None)

    def parse_settings(self, response: Response, request: Request) -> dict[str, Any]:
        """Read those of the account's settings that can be changed."""
        check_data(response, request, _PAGE_DATA)
        nodes = encodings.from_sveltekit_data(response.body, _PAGE_DATA)
        found = next((s for node in nodes if isinstance(s := node.get("settings"), dict)), None)
        if found is None:
            raise ProtocolError("The server's settings cannot be read.")
        return {key: value for key, value in found.items() if key in _SETTINGS}

    def change_settings(self, endpoint: Endpoint, settings: Mapping[str, Any]) -> Request:
        """Write all settings; one without a value is left out, as null is refused (S)."""
        body = {key: value for key, value in settings.items() if value is not None}
        return json_request("POST", "/settings", endpoint, body)

    def get_billing_organizations(self) -> Request | None:
        """There are none."""
        return None

    def get_model(self, model: str) -> Request | None:  # noqa: ARG002 - there is only the list
        """There is only the list."""
        return None

    @property
    def conversations_path(self) -> str:
        """Where all conversations of an account are deleted."""
        return "/api/conversations"

    def get_mcp_servers(self) -> Request | None:
        """There are none."""
        return None

    def require(self, what: str) -> None:
        """Refuse what only current servers have."""
        raise InvalidRequestError(
            f"This server speaks the protocol of mid-2025, which has no {what}."
        )

    def probes(self, model: str) -> list[Probe]:  # noqa: ARG002 - there is only the list
        """What can be asked without changing anything."""
        plain = unwrapped(encodings.parse_json)
        listed = self.list_conversations(0)
        return [
            Probe("GET /__data.json", _HOME_DATA, _home_models, MODEL_LIST),
            Probe("GET /api/models", plain_models(), plain, MODEL_LIST),
            Probe("GET /api/user", self.get_user(), plain, USER, refused=_UNAUTHORIZED),
            Probe("GET /api/conversations", listed, plain, CONVERSATION_ROWS),
        ]

    def probe_conversation(self, conversation_id: str) -> Probe:
        """A conversation with the events that are stored with its messages."""
        return Probe(
            "GET /conversation/{id}/__data.json",
            self.get_conversation(conversation_id),
            _conversation_data,
            CONVERSATION,
            further=unknown_events,
        )

    def conversation_path(self, conversation_id: str) -> str:
        """Where a conversation is changed and deleted."""
        return f"/conversation/{conversation_id}"

    def message_path(self, conversation_id: str, message_id: str) -> str:
        """Where a message is deleted: the only route of a conversation's under ``/api`` (S)."""
        return f"/api/conversation/{conversation_id}/message/{message_id}"

    def get_conversation(self, conversation_id: str) -> Request:
        """Ask for a conversation with its messages."""
        path = f"/conversation/{conversation_id}/__data.json?x-sveltekit-invalidated=01"
        return Request("GET", path, ACCEPT_ANY, max_bytes=http.CONVERSATION_BYTES)

    def parse_conversation(
        self, response: Response, request: Request, conversation_id: str
    ) -> StoredConversation:
        """Read a conversation with its messages."""
        check_data(response, request, f"conversation {conversation_id}")
        return read_conversation(_conversation_data(response), conversation_id)

    def list_conversations(self, page: int) -> Request:
        """Ask for one page of the conversation list, counted from 0."""
        path = f"/api/conversations?{urlencode({'p': page})}"
        return Request("GET", path, ACCEPT_JSON, max_bytes=http.CONVERSATION_LIST_BYTES)

    def parse_conversations(self, response: Response) -> tuple[list[ConversationInfo], bool]:
        """Read one page of the conversation list; a full page may have a next one."""
        infos = list(read_infos(encodings.parse_json(response.body, "conversation list")))
        return infos, len(infos) >= CONVERSATIONS_PER_PAGE

    def import_share(self, endpoint: Endpoint, share_id: str, model: str) -> Request:
        """Make a conversation out of a share."""
        return create_conversation(endpoint, model, None, share_id=share_id)

    def parse_imported(self, response: Response) -> str:
        """Read the id of a conversation that was made out of a share."""
        what = "imported share"
        return conversation_id_in(encodings.parse_json(response.body, what), what)

    def message_fields(self, message: OutgoingMessage) -> dict[str, Any]:
        """The fields of a message's JSON that only this generation has."""
        if message.mcp_servers:
            raise InvalidRequestError(
                "This server speaks the protocol of mid-2025, which has no MCP servers."
            )
        return {"is_continue": False, "web_search": message.web_search, "tools": []}

    def stop_generating(
        self,
        endpoint: Endpoint,
        conversation_id: str,
        generation_id: str | None,  # noqa: ARG002 - runs have no names
        seen_units: int,  # noqa: ARG002 - the server stops where it is
    ) -> Request:
        """Stop the run of a conversation."""
        return empty_request("POST", f"/conversation/{conversation_id}/stop-generating", endpoint)

    def is_cut_off(self, *, has_final_answer: bool, stop_requested: bool) -> bool:
        """Nothing follows a final answer; a stopped run just ends (R: ``stop_generating``)."""
        return not has_final_answer and not stop_requested

    def find_answer(
        self,
        stored: StoredConversation,
        message: OutgoingMessage,
        generation_id: str | None,  # noqa: ARG002 - runs have no names
    ) -> Message | None:
        """Find the newest answer that stands where the message was sent.

        Stored messages do not name their run. The answer is the one to the same text below the same
        parent, or the newest sibling of the answer that is done again. chat-ui may show another
        branch.
        """
        by_id = {other.id: other for other in stored.messages}
        redone = by_id.get(message.message_id)
        for answer in reversed(stored.messages):
            asked = by_id.get(answer.parent_id or "")
            if answer.role != "assistant" or answer.id == message.message_id or asked is None:
                continue
            if message.text is None:
                is_ours = redone is not None and answer.parent_id == redone.parent_id
            else:
                is_edit = message.is_retry and redone is not None
                above = redone.parent_id if is_edit and redone else message.message_id
                is_ours = asked.parent_id == above and _is_same(asked.content, message.text)
            if is_ours:
                return answer
        return None


def _conversation_data(response: Response) -> Any:
    nodes = encodings.from_sveltekit_data(response.body, "conversation")
    return next((node for node in reversed(nodes) if "messages" in node), None)


def _home_models(response: Response) -> Any:
    nodes = encodings.from_sveltekit_data(response.body, _PAGE_DATA)
    return next((node["models"] for node in nodes if "models" in node), None)


def _is_same(stored: str, sent: str) -> bool:
    # The server makes one line break of CR and LF (S).
    return stored.replace("\r\n", "\n").strip() == sent.replace("\r\n", "\n").strip()


LEGACY: Final = LegacyDialect()

_PAGE_DATA: Final = "page data"
_HOME_DATA: Final = Request("GET", "/__data.json", ACCEPT_ANY, max_bytes=http.PAGE_BYTES)


def _read_page(response: Response) -> ParsedModels | None:
    """Read the model list in the page's start-up script (R: ``home_page_html``)."""
    check(response, home_page())
    html = response.body.decode(errors="replace")
    raw = encodings.legacy_models(html)
    if raw is None:
        return None
    return ParsedModels(read_models(raw), encodings.legacy_active_model(html))


def _read_data(response: Response) -> ParsedModels | None:
    """Read the model list in the page's data."""
    check_data(response, _HOME_DATA, _PAGE_DATA)
    for node in encodings.from_sveltekit_data(response.body, _PAGE_DATA):
        if found := read_models(node.get("models")):
            return ParsedModels(found, active_model_in(node.get("settings")))
    return None


PAGE_MODELS: Final = ModelSource(home_page(), _read_page, LEGACY)
DATA_MODELS: Final = ModelSource(_HOME_DATA, _read_data, LEGACY)
