"""Files of answers, saved under names of our own making.

What the server calls a file is data and never part of a path. The ending comes from a short list,
by what the server says the file is.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    from hfchat_base.conversation import Conversation
    from hfchat_base.types import AnswerFile

__all__ = ["DEFAULT_FOLDER", "Downloads"]

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


class Downloads:
    """A folder for files of answers; made when the first one is saved.

    Args:
        folder: Where; a leading ``~`` is the home folder.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self._folder = folder.expanduser()

    def save(self, conversation: Conversation, file: AnswerFile) -> Path:
        """Fetch a file and write it; an existing file is never overwritten.

        Args:
            conversation: Where it belongs.
            file: Which one.

        Returns:
            Where it is now.

        Raises:
            FileNotAvailableError: The server does not have it.
            InvalidRequestError: The folder cannot be written to.
        """
        data = conversation.download(file)
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
