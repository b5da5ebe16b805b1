"""Cookie values in the system's keyring, for those who want them there and not in a file.

Off unless ``HUGGINGCHAT_KEYRING`` is set; needs the extra ``keyring``. The keyring may ask its
owner for a password: that is what it is for.
"""

from __future__ import annotations

import json
import os
from types import ModuleType
from typing import Final

from hfchat_base.errors import HuggingChatError, MissingRequirementsError

KEYRING_VARIABLE: Final = "HUGGINGCHAT_KEYRING"

_SERVICE: Final = "hfchat"
_NO: Final = ("", "0", "false", "no", "off")


def is_wanted() -> bool:
    """Whether the user wants the keyring."""
    return os.environ.get(KEYRING_VARIABLE, "").strip().lower() not in _NO


def store(key: str, values: dict[str, str]) -> None:
    """Put values into the keyring.

    Raises:
        MissingRequirementsError: The extra is not installed.
        HuggingChatError: There is no keyring, or it refused.
    """
    keyring = _keyring()
    try:
        keyring.set_password(_SERVICE, key, json.dumps(values))
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None


def load(key: str) -> dict[str, str]:
    """Take values out of the keyring; none if it has none.

    Raises:
        MissingRequirementsError: The extra is not installed.
        HuggingChatError: There is no keyring, or it refused.
    """
    keyring = _keyring()
    try:
        text = keyring.get_password(_SERVICE, key)
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None
    parsed = json.loads(text) if text else {}
    return {str(name): str(value) for name, value in parsed.items()}


def remove(key: str) -> None:
    """Delete values from the keyring; they may be gone already.

    Raises:
        MissingRequirementsError: The extra is not installed.
        HuggingChatError: There is no keyring, or it refused.
    """
    keyring = _keyring()
    try:
        keyring.delete_password(_SERVICE, key)
    except keyring.errors.PasswordDeleteError:
        return
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None


def _keyring() -> ModuleType:
    try:
        import keyring.errors  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise MissingRequirementsError.for_extra(
            "keyring", what="Keeping a session in the system's keyring"
        ) from None
    return keyring


def _refused(error: Exception) -> HuggingChatError:
    return HuggingChatError(
        f"The system's keyring cannot be used ({type(error).__name__}). Unset {KEYRING_VARIABLE} to"
        " keep the session in a file."
    )
