"""OpenAI's API in front of HuggingChat or any self-hosted chat-ui.

`create_app` makes an ASGI application out of an `AsyncHuggingChat`, to serve or to mount; ``hfchat
api`` serves it. One process serves one account.

* `endpoint.py`: the application, its routes, who may use it, and how an answer is sent.
* `schema.py`: what clients send, as pydantic models.
* `history.py`: a request of either form → the base client's messages, tools and options.
* `schema_checks.py`: checks against clients' JSON schemas, which must not hold up other clients.
* `generation.py`: one answer from beginning to end, as the pieces that both forms are made of.
* `chat_completions.py` and `responses_api.py`: those pieces in the one form and in the other.
* `failures.py`: the base client's errors as OpenAI's, with their status.
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import starlette as _starlette  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("api", what="The OpenAI-compatible API") from error

from hfchat_base.api.endpoint import create_app, new_key

__all__ = ["create_app", "new_key"]
