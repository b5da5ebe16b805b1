"""What is owed to the server when a caller leaves a run, finished or not."""

from __future__ import annotations

import logging

from hfchat_base.errors import HuggingChatError
from hfchat_base.protocol.flow import Flow
from hfchat_base.protocol.flows import conversations
from hfchat_base.protocol.flows.run import Run
from hfchat_base.protocol.server import Server

_log = logging.getLogger("hfchat")


def stop(server: Server, run: Run) -> Flow[bool]:
    """Ask the server to stop a run that is going on; tell whether there was one."""
    if not run.can_be_stopped:
        return False
    run.stop_requested = True
    yield from conversations.stop(
        server, run.conversation_id, run.generation_id, run.transcript.streamed_units
    )
    return True


def leave(server: Server, run: Run, *, stops: bool) -> Flow[None]:
    """Stop what is still running, so that no quota burns unseen, and delete what was ephemeral.

    Nothing of this may hide the error, or the success, with which the caller leaves.
    """
    if stops:
        try:
            yield from stop(server, run)
        except HuggingChatError as error:
            _log.debug("run %s could not be stopped: %s", run.generation_id, error)
    if run.to_delete is not None:
        conversation_id, run.to_delete = run.to_delete, None
        try:
            yield from conversations.delete(server, conversation_id)
        except HuggingChatError as error:
            _log.warning("conversation %s could not be deleted: %s", conversation_id, error)
