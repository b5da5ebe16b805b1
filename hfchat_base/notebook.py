"""HuggingChat in notebooks: watch a streamed answer, show an answer with its files, show a tree.

An `Answer`, a `Conversation` and the list of models show themselves when a cell ends with one; the
HTML for that is made in `_display.py`. Here is what needs a call of its own. The extra ``notebook``
brings IPython, and markdown-it for the Markdown of answers; without markdown-it their text is shown
as it is.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any, Final, overload

from hfchat_base._display import answer_html, tree_html, tree_text
from hfchat_base.conversation import Conversation
from hfchat_base.errors import MissingRequirementsError
from hfchat_base.streams import AnswerStream, AsyncAnswerStream
from hfchat_base.types import Answer, FetchedFile, Message

__all__ = ["Display", "show", "show_tree", "watch"]

_SECONDS_BETWEEN_UPDATES: Final = 0.1
"""Each update sends the whole answer to the page, so a long answer is not sent for every token."""


class Display:
    """Something to look at: a notebook shows its HTML, everything else its text."""

    def __init__(self, html: str, text: str) -> None:
        self._html = html
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


def show(answer: Answer, files: Iterable[FetchedFile] = ()) -> Display:
    """Show an answer together with its images.

        show(answer, conversation.fetch_files(answer))

    Args:
        answer: The answer.
        files: Its files, as `fetch_files` of a conversation or of a client returns them.
    """
    return Display(answer_html(answer, files), answer.text)


def show_tree(conversation: Conversation | Sequence[Message]) -> Display:
    """Show the messages of a conversation as a tree with its branches.

    Args:
        conversation: The conversation, whose messages are read with one request; or its messages,
            such as ``await conversation.messages()`` of an `AsyncConversation`.

    Raises:
        ConversationNotFoundError: The conversation is gone.
    """
    if isinstance(conversation, Conversation):
        messages: Sequence[Message] = conversation.messages()
    else:
        messages = conversation
    return Display(tree_html(messages), tree_text(messages))


@overload
def watch(stream: AnswerStream) -> Answer: ...
@overload
def watch(stream: AsyncAnswerStream) -> Coroutine[Any, Any, Answer]: ...
def watch(stream: AnswerStream | AsyncAnswerStream) -> Answer | Coroutine[Any, Any, Answer]:
    """Show a streamed answer in the notebook while it comes.

        answer = watch(conversation.stream("Tell me a story"))
        answer = await watch(async_conversation.stream("Tell me a story"))

    Interrupting the cell closes the stream and leaves what has arrived on the page.

    Args:
        stream: What `stream` of a conversation or `stream_chat` of a client returns.

    Returns:
        The whole answer; of an asynchronous stream, a coroutine that returns it.

    Raises:
        MissingRequirementsError: IPython is not installed.
        HuggingChatError: The answer did not end well, as with ``stream.result()``.
    """
    view = _View()
    return _watch(stream, view) if isinstance(stream, AnswerStream) else _watch_async(stream, view)


def _watch(stream: AnswerStream, view: _View) -> Answer:
    with stream:
        try:
            for _ in stream:
                view.update(stream.answer)
        finally:
            view.finish(stream.answer)
        return stream.answer


async def _watch_async(stream: AsyncAnswerStream, view: _View) -> Answer:
    async with stream:
        try:
            async for _ in stream:
                view.update(stream.answer)
        finally:
            view.finish(stream.answer)
        return stream.answer


class _View:
    """The place on the page where an answer grows."""

    def __init__(self) -> None:
        try:
            from IPython import get_ipython  # noqa: PLC0415 - only a notebook has it
            from IPython.display import display  # noqa: PLC0415 - likewise
        except ImportError:
            what = "Watching an answer in a notebook"
            raise MissingRequirementsError.for_extra("notebook", what=what) from None
        self._display: Any = display
        self._is_live = get_ipython() is not None
        self._handle: Any = None
        self._next_update = 0.0

    def update(self, answer: Answer) -> None:
        """Show what has arrived, unless that was done a moment ago, or this is a plain program."""
        if self._is_live and monotonic() >= self._next_update:
            self._show(answer, is_complete=False)
            self._next_update = monotonic() + _SECONDS_BETWEEN_UPDATES

    def finish(self, answer: Answer) -> None:
        """Show the answer as it will stay."""
        self._show(answer, is_complete=True)

    def _show(self, answer: Answer, *, is_complete: bool) -> None:
        shown = Display(answer_html(answer, is_complete=is_complete), answer.text)
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)
