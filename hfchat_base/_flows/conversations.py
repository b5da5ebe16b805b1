"""Conversations: make, read, list, change, share, delete, and stop what runs in them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Chunk, Close, Flow, Read, open_stream, read_all
from hfchat_base._flows.context import ServerInfo, after, send
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.dialects import base, parse_created
from hfchat_base._protocol.framing import ServerSentEvents
from hfchat_base._protocol.http import ERROR_BYTES, Response
from hfchat_base._protocol.stored import StoredConversation, read_running
from hfchat_base.errors import HuggingChatError, InvalidRequestError, ProtocolError
from hfchat_base.types import Answer, ConversationInfo, FetchedFile, RunningAnswer

_log = logging.getLogger("hfchat")


def create(
    server: ServerInfo, model: str | None = None, system_prompt: str | None = None
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
    request = base.create_conversation(server.endpoint, identity, system_prompt)
    response = yield from send(server, request)
    if response.status == 400:  # noqa: PLR2004 - all that chat-ui says of an unknown model (R)
        resolved = yield from _explain_refused_model(server, identity)
        request = base.create_conversation(server.endpoint, resolved, system_prompt)
        response = yield from send(server, request)
    responses.check_json(response, request)
    return (yield from _created(server, response))


def read(server: ServerInfo, conversation_id: str) -> Flow[StoredConversation]:
    """Read a conversation with all its messages; also a share, by its id (current).

    Raises:
        ConversationNotFoundError: There is none.
        AccessDeniedError: It is somebody else's.
    """
    dialect = yield from discovery.dialect(server)
    request = dialect.get_conversation(conversation_id)
    response = yield from send(server, request)
    return dialect.parse_conversation(response, request, conversation_id)


def list_page(server: ServerInfo, page: int) -> Flow[tuple[list[ConversationInfo], bool]]:
    """Read one page of the list, counted from 0; return whether more follow.

    To a session that it does not know, a server answers with an empty list (R: ``login_required``).
    """
    dialect = yield from discovery.dialect(server)
    request = dialect.list_conversations(page)
    response = responses.check_json((yield from send(server, request)), request)
    infos, has_more = dialect.parse_conversations(response)
    if not infos and page == 0 and response.had_session:
        yield from _warn_if_unknown(server)
    # A server that says that more follow is believed while there is something on its pages.
    return infos, has_more and bool(infos) and page + 1 < server.policy.limits.pages


def _warn_if_unknown(server: ServerInfo) -> Flow[None]:
    if (yield from discovery.whoami(server)) is None:
        _log.warning(
            "%s does not know this session, so it shows no conversations; to log in: %s",
            server.endpoint.base_url,
            responses.login_command(server.endpoint.base_url),
        )


def update(server: ServerInfo, conversation_id: str, changes: Mapping[str, str]) -> Flow[None]:
    """Change the title or the model of a conversation."""
    dialect = yield from discovery.dialect(server)
    request = dialect.update_conversation(server.endpoint, conversation_id, changes)
    responses.check((yield from send(server, request)), request)


def delete(server: ServerInfo, conversation_id: str) -> Flow[None]:
    """Delete a conversation."""
    dialect = yield from discovery.dialect(server)
    request = dialect.delete_conversation(server.endpoint, conversation_id)
    responses.check((yield from send(server, request)), request)


def delete_all(server: ServerInfo) -> Flow[None]:
    """Delete all conversations of the account."""
    dialect = yield from discovery.dialect(server)
    request = dialect.delete_all_conversations(server.endpoint)
    responses.check((yield from send(server, request)), request)


def read_share(server: ServerInfo, share_id: str) -> Flow[StoredConversation]:
    """Read a share, without making a conversation of it.

    Raises:
        ConversationNotFoundError: There is no such share.
        InvalidRequestError: The server shows shares on its page only.
    """
    (yield from discovery.dialect(server)).require("way to read a share; import it")
    return (yield from read(server, share_id))


def running(server: ServerInfo) -> Flow[list[RunningAnswer]]:
    """The account's answers that are being written now.

    Raises:
        InvalidRequestError: The server does not have that list.
    """
    request = (yield from discovery.dialect(server)).get_running_answers()
    head = yield from open_stream(request)
    until = after(head.at, server.policy.timeouts.response)
    if head.status != 200 or head.content_type != "text/event-stream":  # noqa: PLR2004
        body = yield from read_all(until, ERROR_BYTES)
        responses.check_json(replace(head, body=body), request)
    frames = ServerSentEvents()
    try:
        while isinstance(chunk := (yield Read(until)), Chunk):
            for frame in frames.feed(chunk.data):
                if frame.event == "sync":
                    return read_running(encodings.parse_json(frame.data, "running answers"))
    finally:
        yield Close()
    raise ProtocolError("The server did not say which answers are running.")


def delete_message(server: ServerInfo, conversation_id: str, message_id: str) -> Flow[None]:
    """Delete a message and all that follow it."""
    dialect = yield from discovery.dialect(server)
    request = dialect.delete_message(server.endpoint, conversation_id, message_id)
    responses.check((yield from send(server, request)), request)


def share(server: ServerInfo, conversation_id: str) -> Flow[str]:
    """Make a public copy of a conversation and return its address."""
    request = base.share_conversation(server.endpoint, conversation_id)
    response = responses.check_json((yield from send(server, request)), request)
    return base.parse_share(response, server.endpoint)


def import_share(server: ServerInfo, share_id: str) -> Flow[StoredConversation]:
    """Make a conversation of one's own out of a share.

    Raises:
        ConversationNotFoundError: There is no such share.
    """
    dialect = yield from discovery.dialect(server)
    model = (yield from _model_id(server, None)) if dialect.import_needs_model else ""
    request = dialect.import_share(server.endpoint, share_id, model)
    response = responses.check_json((yield from send(server, request)), request)
    return (yield from read(server, dialect.parse_imported(response)))


def download(server: ServerInfo, conversation_id: str, sha: str) -> Flow[bytes]:
    """Fetch a file of a conversation.

    Raises:
        FileNotAvailableError: It is not there.
    """
    request = base.output_file(conversation_id, sha)
    return responses.check((yield from send(server, request)), request).body


def fetch_files(server: ServerInfo, answer: Answer) -> Flow[list[FetchedFile]]:
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
            fetched.append(FetchedFile(file=file, problem=str(error)))
        else:
            fetched.append(FetchedFile(file=file, data=data))
    return fetched


def stop(
    server: ServerInfo, conversation_id: str, generation_id: str | None, seen_units: int
) -> Flow[None]:
    """Stop a run. Not to be sent after its end: the marker would stop the next one (S)."""
    dialect = yield from discovery.dialect(server)
    request = dialect.stop_generating(server.endpoint, conversation_id, generation_id, seen_units)
    responses.check((yield from send(server, request)), request)


def _model_id(server: ServerInfo, model: str | None) -> Flow[str]:
    if model is None:
        return (yield from discovery.default_model(server)).id
    # Without the list a name is taken at its word; a refusal brings the list.
    return server.catalog.resolve(model).id if server.catalog else model


def _explain_refused_model(server: ServerInfo, name: str) -> Flow[str]:
    known = yield from discovery.models(server)
    model = known.find(name)
    if model is None:
        raise known.unknown(name, status=400)
    if model.id == name:
        msg = f"The server refused to begin a conversation with {name!r} (400)."
        raise InvalidRequestError(msg, status=400)
    return model.id


def _created(server: ServerInfo, response: Response) -> Flow[StoredConversation]:
    created = parse_created(response)
    server.dialect = created.dialect
    return created.stored or (yield from read(server, created.id))
