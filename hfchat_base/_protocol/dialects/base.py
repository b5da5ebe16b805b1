"""The interface of a dialect: all that differs between the generations of chat-ui's protocol.

A dialect turns what a flow wants into requests, and responses into values. It sends nothing. What
both generations have in common stands here; each of the other modules is one generation. Nothing
outside of this package asks which one it talks to: code that would ask gets a method here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from pydantic.alias_generators import to_camel

from hfchat_base._protocol import encodings, http
from hfchat_base._protocol.constants import MAX_BODY_BYTES, Generation
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import read_models
from hfchat_base._protocol.requests import (
    ACCEPT_ANY,
    ACCEPT_HTML,
    ACCEPT_JSON,
    Endpoint,
    empty_request,
    is_conversation_id,
    json_request,
    message_form,
)
from hfchat_base._protocol.responses import check_json
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base._protocol.structure import Probe
from hfchat_base.errors import FileNotAvailableError, FileTooLargeError, ProtocolError
from hfchat_base.types import (
    Attachment,
    ConversationInfo,
    McpServer,
    Message,
    Model,
    ReasoningEffort,
    User,
)

_NOT_FOUND: Final = 404


def setting_key(name: str) -> str:
    """A setting's name as servers spell it."""
    return to_camel(name)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """What is sent to get one answer.

    Attributes:
        conversation_id: The conversation that it goes to.
        message_id: The parent; with `is_retry` the message to answer again or to edit.
        text: The user's text; None when an assistant's message is answered again.
        files: The attachments.
        is_retry: Answer again as a sibling; with a user's message and a text: an edit.
        generation_id: The run's own id, a fresh UUID for every run (current).
        web_search: Whether to search the web first.
        mcp_servers: The tool servers to offer.
        timezone: Where the user is, as an IANA name, or None (current).
        resume_elicitation_id: The question whose reply lets a waiting run continue (current).
    """

    conversation_id: str
    message_id: str
    text: str | None
    generation_id: str
    files: Sequence[Attachment] = ()
    is_retry: bool = False
    web_search: bool = False
    mcp_servers: Sequence[McpServer] = ()
    timezone: str | None = None
    resume_elicitation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedModels:
    """What one response says of a server's models.

    Attributes:
        models: The models; empty if the server lists none.
        active: The id of the model that the account has chosen, if the response holds it.
    """

    models: tuple[Model, ...]
    active: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One way to get a server's model list.

    Attributes:
        request: What to send.
        read: Reads the list; None if the response is the other generation's. Raises a
            `HuggingChatError` if the response is a failure or cannot be read.
        dialect: The generation that answers it, or None if both do.
    """

    request: Request
    read: Callable[[Response], ParsedModels | None]
    dialect: Dialect | None = None


class Dialect(ABC):
    """One generation of the protocol.

    Attributes:
        name: ``current`` or ``legacy``.
        names_runs: Whether the client names each run with a UUID, and the server keeps a log of the
            run that a lost connection is resumed from.
        shows_text_files: Whether models are shown attached text files (R: ``text_file_upload``).
        reasoning_efforts: What effort a model that reasons can be set to.
        import_needs_model: Whether importing a share needs the id of a model.
        login_path: Where a login begins, below the base URL.
    """

    name: ClassVar[Generation]
    names_runs: ClassVar[bool]
    shows_text_files: ClassVar[bool]
    reasoning_efforts: ClassVar[tuple[ReasoningEffort, ...]]
    import_needs_model: ClassVar[bool]
    login_path: ClassVar[str]

    def __repr__(self) -> str:
        return f"<dialect {self.name}>"

    # --- the account ------------------------------------------------------------------------------

    @abstractmethod
    def get_user(self) -> Request:
        """Ask who we are."""

    @abstractmethod
    def parse_user(self, response: Response, request: Request) -> User | None:
        """Read who we are; None for a guest.

        Raises:
            HuggingChatError: The server refused, or what it sent cannot be read.
        """

    @abstractmethod
    def get_settings(self) -> Request:
        """Ask for the account's settings."""

    @abstractmethod
    def parse_active_model(self, response: Response, request: Request) -> str | None:
        """Read the model that the account has chosen, out of its settings.

        Raises:
            HuggingChatError: The server refused, or what it sent cannot be read.
        """

    @abstractmethod
    def parse_settings(self, response: Response, request: Request) -> dict[str, Any]:
        """Read those of the account's settings that can be changed, under the server's own names.

        Raises:
            HuggingChatError: The server refused, or what it sent cannot be read.
        """

    @abstractmethod
    def change_settings(self, endpoint: Endpoint, settings: Mapping[str, Any]) -> Request:
        """Write all settings. Those that are left out go back to their defaults (S)."""

    @abstractmethod
    def get_billing_organizations(self) -> Request | None:
        """Ask who may pay for the account's answers; None if this generation has no such thing."""

    def parse_billing_organizations(self, response: Response, request: Request) -> list[str]:
        """Read who may pay; nobody else outside of HuggingChat, which answers with 404 (S)."""
        if response.status == _NOT_FOUND:
            return []
        check_json(response, request)
        raw = encodings.from_superjson(response.body, "organisations")
        found = raw.get("organizations") if isinstance(raw, dict) else None
        items = found if isinstance(found, list) else []
        names = [item.get("preferred_username") for item in items if isinstance(item, dict)]
        return [name for name in names if isinstance(name, str) and name]

    # --- what the server has ----------------------------------------------------------------------

    @abstractmethod
    def get_model(self, model: str) -> Request | None:
        """Ask for all that is known of one model; None if this generation only has the list."""

    @property
    @abstractmethod
    def conversations_path(self) -> str:
        """Where all conversations of an account are deleted."""

    @abstractmethod
    def get_mcp_servers(self) -> Request | None:
        """Ask for the server's own MCP servers; None if this generation has none."""

    @abstractmethod
    def require(self, what: str) -> None:
        """Refuse what only current servers have.

        Raises:
            InvalidRequestError: This generation does not have it.
        """

    def get_features(self) -> tuple[Request, Request]:
        """Ask for what the server has switched on, and for its public configuration.

        Raises:
            InvalidRequestError: This generation does not have that.
        """
        self.require("public configuration")
        return (
            Request("GET", "/api/v2/feature-flags", ACCEPT_JSON),
            Request("GET", "/api/v2/public-config", ACCEPT_JSON),
        )

    def check_mcp_server(self, endpoint: Endpoint, url: str, headers: Mapping[str, str]) -> Request:
        """Have the server look at an MCP server.

        Raises:
            InvalidRequestError: This generation has no MCP servers.
        """
        self.require("MCP servers")
        pairs = [{"key": key, "value": value} for key, value in headers.items()]
        body = {"url": url, "headers": pairs}
        return json_request("POST", "/api/mcp/health", endpoint, body)

    def transcribe(self, endpoint: Endpoint, mime: str, audio: bytes) -> Request:
        """Turn a recording into text.

        Raises:
            InvalidRequestError: This generation cannot.
        """
        self.require("transcription")
        headers = {**ACCEPT_JSON, "origin": endpoint.origin, "content-type": mime}
        return Request("POST", "/api/transcribe", headers, audio)

    def get_running_answers(self) -> Request:
        """Ask which answers are being written, as a stream of events.

        Raises:
            InvalidRequestError: This generation does not have that.
        """
        self.require("list of running answers")
        return Request("GET", "/api/v2/generations/live", {"accept": "text/event-stream"})

    @abstractmethod
    def probes(self, model: str) -> list[Probe]:
        """Requests that change nothing, with the structure of what the server should say.

        Args:
            model: The id of one of its models.
        """

    @abstractmethod
    def probe_conversation(self, conversation_id: str) -> Probe:
        """The same for a conversation."""

    # --- conversations ----------------------------------------------------------------------------

    @abstractmethod
    def conversation_path(self, conversation_id: str) -> str:
        """Where a conversation is changed and deleted."""

    @abstractmethod
    def message_path(self, conversation_id: str, message_id: str) -> str:
        """Where a message is deleted."""

    @abstractmethod
    def get_conversation(self, conversation_id: str) -> Request:
        """Ask for a conversation with its messages."""

    @abstractmethod
    def parse_conversation(
        self, response: Response, request: Request, conversation_id: str
    ) -> StoredConversation:
        """Read a conversation with its messages.

        Raises:
            HuggingChatError: The server refused, or what it sent cannot be read.
        """

    @abstractmethod
    def list_conversations(self, page: int) -> Request:
        """Ask for one page of the conversation list, counted from 0."""

    @abstractmethod
    def parse_conversations(self, response: Response) -> tuple[list[ConversationInfo], bool]:
        """Read one page of the conversation list, and whether more follow.

        Raises:
            ProtocolError: It cannot be read.
        """

    @abstractmethod
    def import_share(self, endpoint: Endpoint, share_id: str, model: str) -> Request:
        """Make a conversation out of a share.

        Args:
            endpoint: The server.
            share_id: The share's id.
            model: The id of a model, if `import_needs_model`.
        """

    @abstractmethod
    def parse_imported(self, response: Response) -> str:
        """Read the id of a conversation that was made out of a share.

        Raises:
            ProtocolError: There is none.
        """

    def update_conversation(
        self, endpoint: Endpoint, conversation_id: str, changes: Mapping[str, str]
    ) -> Request:
        """Change a conversation's title or model."""
        return json_request("PATCH", self.conversation_path(conversation_id), endpoint, changes)

    def delete_conversation(self, endpoint: Endpoint, conversation_id: str) -> Request:
        """Delete a conversation."""
        return empty_request("DELETE", self.conversation_path(conversation_id), endpoint)

    def delete_all_conversations(self, endpoint: Endpoint) -> Request:
        """Delete all conversations of the account."""
        return empty_request("DELETE", self.conversations_path, endpoint)

    def delete_message(self, endpoint: Endpoint, conversation_id: str, message_id: str) -> Request:
        """Delete a message and all that follow it."""
        return empty_request("DELETE", self.message_path(conversation_id, message_id), endpoint)

    # --- runs -------------------------------------------------------------------------------------

    @abstractmethod
    def message_fields(self, message: OutgoingMessage) -> dict[str, Any]:
        """The fields of a message's JSON that only this generation has.

        Raises:
            InvalidRequestError: This generation cannot do what is asked.
        """

    def send_message(
        self, endpoint: Endpoint, message: OutgoingMessage, *, max_body_bytes: int = MAX_BODY_BYTES
    ) -> Request:
        """Send a message, or have one answered again.

        Raises:
            FileTooLargeError: The whole body, with the attachments in base64, is over the limit.
            InvalidRequestError: A tool server has no name or no address, or the server takes none.
        """
        data: dict[str, Any] = {"id": message.message_id, "is_retry": message.is_retry}
        if message.text is not None:
            data = {"inputs": message.text, **data}
        body, content_type = message_form(message.files, data | self.message_fields(message))
        if len(body) > max_body_bytes:
            raise FileTooLargeError(
                f"The message has {len(body):,} bytes with its attachments in base64; the server"
                f" takes at most {max_body_bytes:,}. Send fewer or smaller files at once."
            )
        headers = {**ACCEPT_ANY, "origin": endpoint.origin, "content-type": content_type}
        path = f"/conversation/{message.conversation_id}"
        return Request("POST", path, headers, body, max_bytes=http.STREAM_BYTES)

    @abstractmethod
    def stop_generating(
        self, endpoint: Endpoint, conversation_id: str, generation_id: str | None, seen_units: int
    ) -> Request:
        """Stop a run. `seen_units` are the UTF-16 units of text that have arrived (S)."""

    @abstractmethod
    def is_cut_off(self, *, has_final_answer: bool, stop_requested: bool) -> bool:
        """Whether the stream of a run that did not say that it has finished was cut off."""

    @abstractmethod
    def find_answer(
        self, stored: StoredConversation, message: OutgoingMessage, generation_id: str | None
    ) -> Message | None:
        """Find the stored answer to a message, or None if there is none yet."""


def unwrapped(unwrap: Callable[[bytes, str], Any]) -> Callable[[Response], Any]:
    """Make the reader of a probe: what a response carries, without reading it."""
    return lambda response: unwrap(response.body, "answer")


# --- the same on both generations -----------------------------------------------------------------


def home_page() -> Request:
    """The page, for its data. The only request that asks for HTML."""
    return Request("GET", "/", ACCEPT_HTML, max_bytes=http.PAGE_BYTES)


def plain_models() -> Request:
    """The model list as plain JSON."""
    return Request("GET", "/api/models", ACCEPT_JSON, max_bytes=http.MODEL_LIST_BYTES)


def read_plain_models(response: Response) -> ParsedModels:
    """Read a model list in plain JSON.

    Raises:
        HuggingChatError: The server refused, or what it sent cannot be read.
    """
    check_json(response, plain_models())
    return ParsedModels(read_models(encodings.parse_json(response.body, "model list")))


def logout(endpoint: Endpoint) -> Request:
    """End the session; an empty form, on both generations (S)."""
    headers = {
        **ACCEPT_HTML,
        "content-type": "application/x-www-form-urlencoded",
        "origin": endpoint.origin,
    }
    return Request("POST", "/logout", headers)


def create_conversation(
    endpoint: Endpoint, model: str, system_prompt: str | None, *, share_id: str | None = None
) -> Request:
    """Make a conversation, empty or out of a share."""
    body: dict[str, Any] = {"model": model} if model else {}
    if system_prompt:
        body["preprompt"] = system_prompt
    if share_id:
        body["fromShare"] = share_id
    return json_request("POST", "/conversation", endpoint, body)


def share_conversation(endpoint: Endpoint, conversation_id: str) -> Request:
    """Make a public copy of a conversation."""
    return empty_request("POST", f"/conversation/{conversation_id}/share", endpoint)


def parse_share(response: Response, endpoint: Endpoint) -> str:
    """Read the address of a share: current sends an id, legacy the whole address (R: ``manage``).

    Raises:
        ProtocolError: There is none.
    """
    raw = encodings.parse_json(response.body, "share")
    if isinstance(raw, dict) and isinstance(share_id := raw.get("shareId"), str):
        return f"{endpoint.base_url}/r/{share_id}"
    if isinstance(raw, dict) and isinstance(url := raw.get("url"), str):
        return url
    raise ProtocolError("The server's share has no address.")


def output_file(conversation_id: str, sha: str) -> Request:
    """Fetch a file of a conversation.

    Raises:
        FileNotAvailableError: No address can be made of what the server calls it.
    """
    try:
        name = quote(sha, safe="")
    except UnicodeEncodeError:  # a lone surrogate
        name = ""
    if name in ("", ".", ".."):  # the latter two are steps in a path
        raise FileNotAvailableError(
            "The server has no file of this name: no address can be made of it."
        )
    path = f"/conversation/{conversation_id}/output/{name}"
    return Request("GET", path, ACCEPT_ANY, max_bytes=http.FILE_BYTES)


def resume(conversation_id: str, generation_id: str) -> Request:
    """The log of a run, from its start (current)."""
    query = urlencode({"generationId": generation_id, "fromSeq": 0})
    path = f"/conversation/{conversation_id}/stream?{query}"
    accept = {"accept": "text/event-stream"}
    return Request("GET", path, accept, max_bytes=http.STREAM_BYTES)


def answer_elicitation(
    endpoint: Endpoint,
    conversation_id: str,
    elicitation_id: str,
    content: Mapping[str, Any] | None,
) -> Request:
    """Answer a tool's question: accept with a content, or decline."""
    body: dict[str, Any] = {
        "elicitationId": elicitation_id,
        "action": "decline" if content is None else "accept",
    }
    if content is not None:
        body["content"] = dict(content)
    return json_request("POST", f"/conversation/{conversation_id}/elicitation", endpoint, body)


def conversation_id_in(raw: Any, what: str) -> str:
    """The id of a conversation that was just made. Paths are made of it, so its form is checked.

    Raises:
        ProtocolError: There is none.
    """
    conversation_id = raw.get("conversationId") if isinstance(raw, dict) else None
    if not isinstance(conversation_id, str) or not is_conversation_id(conversation_id):
        raise ProtocolError(f"The server's {what} has no conversation ID.")
    return conversation_id


def active_model_in(settings: Any) -> str | None:
    """The model that the account has chosen, in its settings."""
    active = settings.get("activeModel") if isinstance(settings, dict) else None
    return active if isinstance(active, str) else None
