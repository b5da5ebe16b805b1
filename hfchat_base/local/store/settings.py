"""A user's settings, with chat-ui's habit of resetting every key that a change leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfchat_base.local.encoding.values import UNDEFINED, JsonObject, now, text_size
from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from hfchat_base.local.limits import Retention

__all__ = ["Settings", "SettingsRefused"]

_DEFAULTS: dict[str, Any] = {
    "activeModel": None,
    "streamingMode": "smooth",
    "directPaste": False,
    "hapticsEnabled": True,
    "hidePromptExamples": {},
    "shareConversationsWithModelAuthors": True,
    "customPrompts": {},
    "customPromptsEnabled": {},
    "multimodalOverrides": {},
    "toolsOverrides": {},
    "artifactsOverrides": {},
    "providerOverrides": {},
    "reasoningEffortOverrides": {},
    "reasoningOverrides": {},
    "billingOrganization": UNDEFINED,
}
_TYPES: dict[str, type] = {
    key: str if key in {"activeModel", "streamingMode", "billingOrganization"} else type(default)
    for key, default in _DEFAULTS.items()
}
_TEXTS = {"customPrompts", "providerOverrides", "reasoningEffortOverrides"}
"""What is a text for each model; the others that have a value for each are true or false."""


class SettingsRefused(Exception):  # noqa: N818 - says what happened
    """A value has a type that the server's schema does not take."""


class Settings:
    """The settings of all users of a server.

    Args:
        default_model: Id of the model that is active until somebody picks another.
        retention: How much is kept.
    """

    def __init__(self, default_model: str, retention: Retention) -> None:
        self._defaults = {**_DEFAULTS, "activeModel": default_model}
        self._stored: Recent[str, JsonObject] = Recent(
            retention.sessions, retention.total_bytes, size=text_size
        )

    def read(self, owner: str) -> JsonObject:
        """Return somebody's settings, as ``/api/v2/user/settings`` writes them (R: ``manage``).

        Args:
            owner: Whose.
        """
        mine = self._stored.get(owner) or {}
        seen_at = mine.get("welcomeModalSeenAt")
        return {
            "welcomeModalSeen": seen_at is not None,
            "welcomeModalSeenAt": seen_at,
            **{key: mine.get(key, default) for key, default in self._defaults.items()},
        }

    def write(self, owner: str, body: JsonObject) -> None:
        """Store somebody's settings. What the body leaves out goes back to its default.

        Args:
            owner: Whose.
            body: The new values; unknown keys are dropped.

        Raises:
            SettingsRefused: A value has the wrong type.
        """
        for key, value in body.items():
            if key in _TYPES and not _is_of_type(key, value):
                raise SettingsRefused(key)
        kept = {"welcomeModalSeenAt": (self._stored.get(owner) or {}).get("welcomeModalSeenAt")}
        if body.get("welcomeModalSeen"):
            kept["welcomeModalSeenAt"] = now()
        mine = {key: body.get(key, default) for key, default in self._defaults.items()}
        self._stored[owner] = {**mine, **kept}


def _is_of_type(key: str, value: Any) -> bool:
    kind = str if key in _TEXTS else bool
    items = value.values() if isinstance(value, dict) else ()
    return isinstance(value, _TYPES[key]) and all(isinstance(item, kind) for item in items)
