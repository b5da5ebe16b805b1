"""Files of answers, saved under names of our own making.

What the server calls a file is data and never part of a path. The ending comes from a short list,
by what the server says the file is.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    from hfchat_base.conversation import Conversation
    from hfchat_base.types import Answer, AnswerFile

__all__ = ["DEFAULT_FOLDER", "Downloads", "SavedFile"]

DEFAULT_FOLDER: Final = Path("~/Downloads/hfchat")

_ENDINGS: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "video/mp4": ".mp4",
}
_MAX_ATTEMPTS: Final = 1000

_log = logging.getLogger("hfchat")


@dataclass(frozen=True)
class SavedFile:
    """What became of a file of an answer.

    Attributes:
        file: Which one.
        path: Where it is now, or None.
        problem: Why it is nowhere; empty if it is.
    """

    file: AnswerFile
    path: Path | None = None
    problem: str = ""


class Downloads:
    """A folder for files of answers; made when the first one is saved.

    Args:
        folder: Where; a leading ``~`` is the home folder.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self._folder = folder.expanduser()

    def save_all(self, conversation: Conversation, answer: Answer) -> list[SavedFile]:
        """Fetch the files of an answer and write them; the answer itself never depends on that.

        What cannot be fetched or written is logged as a warning.

        Args:
            conversation: Where they belong.
            answer: Whose files.

        Returns:
            For each where it is now, or why it is not.
        """
        saved = []
        for one in conversation.fetch_files(answer):
            if one.data is None:
                saved.append(SavedFile(one.file, problem=one.problem))
                continue
            try:
                saved.append(SavedFile(one.file, self._save(one.file, one.data)))
            except InvalidRequestError as error:
                _log.warning(
                    "the file %r of an answer could not be saved: %s", one.file.name, error
                )
                saved.append(SavedFile(one.file, problem=str(error)))
        return saved

    def _save(self, file: AnswerFile, data: bytes) -> Path:
        """Write a file; an existing one is never overwritten.

        Raises:
            InvalidRequestError: The folder cannot be written to.
        """
        ending = _ENDINGS.get(file.mime.partition(";")[0].strip().lower(), ".bin")
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub('[^0-9a-f]', '', file.sha.lower())[:8]}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._write(stem, ending, data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidRequestError(
                f"The file cannot be saved in {str(self._folder)!r}: {reason}. Choose another"
                " folder with --downloads."
            ) from error

    def _write(self, stem: str, ending: str, data: bytes) -> Path:
        for number in range(1, _MAX_ATTEMPTS):
            path = self._folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
            try:
                with path.open("xb") as target:
                    target.write(data)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(f"all names beginning with {stem} are taken")
