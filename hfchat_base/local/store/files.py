"""Attachments and pictures, kept by conversation and digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.limits import Retention

__all__ = ["Files", "StoredFile"]


@dataclass(frozen=True)
class StoredFile:
    """A file of a conversation.

    Attributes:
        name: The name it came with.
        mime: Media type.
        data: The bytes.
    """

    name: str
    mime: str
    data: bytes

    @property
    def sha(self) -> str:
        """The name of its content: SHA-256, in hexadecimal, of the bytes *read as text*.

        That is what chat-ui takes it of, also for images (R: ``image_upload``).
        """
        text = self.data.decode("utf-8-sig", "replace")
        return hashlib.sha256(text.encode()).hexdigest()

    def reference(self) -> JsonObject:
        """Describe it as a message's ``files`` do (R: ``image_upload``)."""
        return {"type": "hash", "value": self.sha, "mime": self.mime, "name": self.name}


class Files:
    """All files of a server.

    Args:
        retention: How much is kept.
    """

    def __init__(self, retention: Retention) -> None:
        self._files: Recent[tuple[str, str], StoredFile] = Recent(
            retention.files, retention.total_bytes, size=lambda file: len(file.data)
        )

    def keep(self, conversation_id: str, file: StoredFile) -> None:
        """Store a file.

        Args:
            conversation_id: The conversation it belongs to.
            file: The file.
        """
        self._files[conversation_id, file.sha] = file

    def get(self, conversation_id: str, sha: str) -> StoredFile | None:
        """Return a file, or None.

        Args:
            conversation_id: The conversation, or share, it must belong to.
            sha: Its digest (`StoredFile.sha`).
        """
        return self._files.get((conversation_id, sha))

    def copy(self, source_id: str, target_id: str) -> None:
        """Give all files of a conversation to another.

        Args:
            source_id: Whose files.
            target_id: Who gets them too.
        """
        for (conversation_id, _), file in self._files.items():
            if conversation_id == source_id:
                self.keep(target_id, file)
