"""Conversations: make, read, list, change, share, delete, and stop what runs in them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import Server, send
from hfchat_base._protocol import encodings, requests, responses
from hfchat_base._protocol.constants import CONVERSATIONS_PER_PAGE, Generation
from hfchat_base._protocol.http import Response
from hfchat_base._protocol.stored import StoredConversation, read_conversation, read_infos
from hfchat_base.errors import HuggingChatError, InvalidRequestError, ProtocolError
from hfchat_base.types import Answer, ConversationInfo, FetchedFile

_log = logging.getLogger("hfchat")


def create(
    server: Server, model: str | None = None, system_prompt: str | None = None
) -> Flow[StoredConversation]:
    """Make a conversation.

    One request on a current server, whose response holds the messages; two on a legacy one, where
    the root has to be read. Which of them it is, is learnt on the way.

    Raises:
        ModelNotFoundError: The server has no such model.
        LoginRequired: The server takes no guests.
        TooManyConversationsError: The account is full.
    """
    identity = yield from _model_id(server, model)
    request = requests.create_conversation(server.endpoint, identity, system_prompt)
    response = yield from send(server, request)
    if response.status == 400:  # noqa: PLR2004 - all that chat-ui says of an unknown model (R)
        resolved = yield from _explain_refused_model(server, identity)
        request = requests.create_conversation(server.endpoint, resolved, system_prompt)
        response = yield from send(server, request)
    responses.check_json(response, request)
    return (yield from _created(server, response))


def read(server: Server, conversation_id: str) -> Flow[StoredConversation]:
    """Read a conversation with all its messages; also a share, by its id (current).

    Raises:
        ConversationNotFoundError: There is none.
        AccessDeniedError: It is somebody else's.
    """
    kind = yield from discovery.generation(server)
    request = requests.read_conversation(kind, conversation_id)
    response = yield from send(server, request)
    what = f"conversation {conversation_id}"
    if kind == "current":
        responses.check_json(response, request)
        raw = encodings.from_superjson(response.body, what)
    else:
        responses.check_data(response, request, what)
        nodes = encodings.from_sveltekit_data(response.body, what)
        raw = next((node for node in reversed(nodes) if "messages" in node), None)
    return read_conversation(raw, conversation_id)


def list_page(server: Server, page: int) -> Flow[tuple[list[ConversationInfo], bool]]:
    """Read one page of the list, counted from 0; tell whether more follow.

    To a session that it does not know, a server answers with an empty list (R: ``login_required``).
    """
    kind = yield from discovery.generation(server)
    request = requests.list_conversations(kind, page)
    response = responses.check_json((yield from send(server, request)), request)
    infos, has_more = _read_page(kind, response)
    if not infos and page == 0 and response.had_session:
        yield from _warn_of_strangers(server)
    # A server that says that more follow is believed while there is something on its pages.
    return infos, has_more and bool(infos) and page + 1 < server.policy.limits.pages


def _read_page(kind: Generation, response: Response) -> tuple[list[ConversationInfo], bool]:
    what = "conversation list"
    if kind == "legacy":
        rows = encodings.parse_json(response.body, what)
        infos = list(read_infos(rows))
        return infos, len(infos) >= CONVERSATIONS_PER_PAGE
    raw = encodings.from_superjson(response.body, what)
    if not isinstance(raw, dict):
        msg = f"The server's {what} is no list."
        raise ProtocolError(msg)
    return list(read_infos(raw.get("conversations"))), raw.get("hasMore") is True


def _warn_of_strangers(server: Server) -> Flow[None]:
    if (yield from discovery.whoami(server)) is None:
        _log.warning(
            "%s does not know this session, so it shows no conversations; to log in: %s",
            server.endpoint.base_url,
            responses.login_command(server.endpoint.base_url),
        )


def update(server: Server, conversation_id: str, changes: Mapping[str, str]) -> Flow[None]:
    """Change the title or the model of a conversation."""
    kind = yield from discovery.generation(server)
    request = requests.update_conversation(kind, server.endpoint, conversation_id, changes)
    responses.check((yield from send(server, request)), request)


def delete(server: Server, conversation_id: str) -> Flow[None]:
    """Delete a conversation."""
    kind = yield from discovery.generation(server)
    request = requests.delete_conversation(kind, server.endpoint, conversation_id)
    responses.check((yield from send(server, request)), request)


def delete_message(server: Server, conversation_id: str, message_id: str) -> Flow[None]:
    """Delete a message and all that follow it."""
    kind = yield from discovery.generation(server)
    request = requests.delete_message(kind, server.endpoint, conversation_id, message_id)
    responses.check((yield from send(server, request)), request)


def share(server: Server, conversation_id: str) -> Flow[str]:
    """Make a public copy of a conversation and return its address."""
    request = requests.share_conversation(server.endpoint, conversation_id)
    response = responses.check_json((yield from send(server, request)), request)
    raw = encodings.parse_json(response.body, "share")
    # Current answers with an id, legacy with the whole address (R: `manage`).
    if isinstance(raw, dict) and isinstance(share_id := raw.get("shareId"), str):
        return f"{server.endpoint.base_url}/r/{share_id}"
    if isinstance(raw, dict) and isinstance(url := raw.get("url"), str):
        return url
    msg = "The server's share has no address."
    raise ProtocolError(msg)


def import_share(server: Server, share_id: str) -> Flow[StoredConversation]:
    """Make a conversation of one's own out of a share.

    Raises:
        ConversationNotFoundError: There is no such share.
    """
    kind = yield from discovery.generation(server)
    if kind == "current":
        request = requests.import_share(server.endpoint, share_id)
        response = responses.check_json((yield from send(server, request)), request)
        raw = encodings.from_superjson(response.body, "imported share")
        conversation_id = raw.get("conversationId") if isinstance(raw, dict) else None
        if not isinstance(conversation_id, str) or not requests.is_conversation_id(conversation_id):
            # Paths are made of it.
            msg = "The server's imported share has no conversation id."
            raise ProtocolError(msg)
        return (yield from read(server, conversation_id))
    model = yield from _model_id(server, None)
    request = requests.create_conversation(server.endpoint, model, None, share_id=share_id)
    response = responses.check_json((yield from send(server, request)), request)
    return (yield from _created(server, response))


def download(server: Server, conversation_id: str, sha: str) -> Flow[bytes]:
    """Fetch a file of a conversation.

    Raises:
        FileNotAvailableError: It is not there.
    """
    request = requests.output_file(conversation_id, sha)
    return responses.check((yield from send(server, request)), request).body


def fetch_files(server: Server, answer: Answer) -> Flow[list[FetchedFile]]:
    """Fetch the files of an answer that has arrived.

    The answer is worth more than any file of it, so a file that cannot be fetched, for whatever
    reason, raises nothing: it is returned without its bytes and logged as a warning.
    """
    fetched = []
    for file in answer.files:
        conversation_id = file.conversation_id or answer.conversation_id
        try:
            data = yield from download(server, conversation_id, file.sha)
        except HuggingChatError as error:
            _log.warning("the file %r of an answer could not be fetched: %s", file.name, error)
            fetched.append(FetchedFile(file, problem=str(error)))
        else:
            fetched.append(FetchedFile(file, data))
    return fetched


def stop(
    server: Server, conversation_id: str, generation_id: str | None, seen_units: int
) -> Flow[None]:
    """Stop a run. Not to be sent after its end: the marker would stop the next one (S)."""
    kind = yield from discovery.generation(server)
    request = requests.stop_generating(
        kind, server.endpoint, conversation_id, generation_id, seen_units
    )
    responses.check((yield from send(server, request)), request)


def _model_id(server: Server, model: str | None) -> Flow[str]:
    if model is None:
        return (yield from discovery.default_model(server)).id
    # Without the list a name is taken at its word; a refusal brings the list.
    return server.catalog.resolve(model).id if server.catalog else model


def _explain_refused_model(server: Server, name: str) -> Flow[str]:
    known = yield from discovery.models(server)
    model = known.find(name)
    if model is None:
        raise known.unknown(name, status=400)
    if model.id == name:
        msg = f"The server refused to begin a conversation with {name!r} (400)."
        raise InvalidRequestError(msg, status=400)
    return model.id


def _created(server: Server, response: Response) -> Flow[StoredConversation]:
    raw = encodings.parse_json(response.body, "new conversation")
    conversation_id = raw.get("conversationId") if isinstance(raw, dict) else None
    if not isinstance(conversation_id, str) or not requests.is_conversation_id(conversation_id):
        # Paths are made of it.
        msg = "The server's new conversation has no id."
        raise ProtocolError(msg)
    content = raw.get("conversation")
    if isinstance(content, str):
        server.generation = "current"
        what = f"conversation {conversation_id}"
        return read_conversation(encodings.from_superjson(content, what), conversation_id)
    server.generation = "legacy"
    return (yield from read(server, conversation_id))
