"""Numbers and names of chat-ui's protocol, each with its source.

(R) was seen in a recording of a real server, (S) was read in the source of chat-ui. No behaviour
lives here. The local server (`hfchat_base/local/`) has its own numbers: it could not judge a client
with which it shared an error.
"""

from __future__ import annotations

from typing import Final, Literal

Generation = Literal["current", "legacy"]
"""`current` is chat-ui 0.20 (JSON API under ``/api/v2``); `legacy` is 0.9.5, without it."""

DEFAULT_BASE_URL: Final = "https://huggingface.co/chat"
BILLING_URL: Final = "https://huggingface.co/settings/billing"
"""Where HuggingChat is, and where its users see what they pay."""

SESSION_COOKIE: Final = "hf-chat"
"""The chat session (R). A self-hosted server may rename it (S: ``COOKIE_NAME``)."""

SITE_COOKIE: Final = "token"
"""The site's own session on huggingface.co; without it the server rejects `hf-chat` there (S)."""

MAX_FILE_BYTES: Final = 10 * 1024 * 1024
"""The largest attachment, decoded (R: ``file_too_large``)."""

MAX_AUDIO_BYTES: Final = 25 * 1024 * 1024
"""The largest recording that is turned into text (S)."""

AUDIO_TYPES: Final = (
    *("audio/webm", "audio/ogg", "audio/wav", "audio/flac", "audio/mpeg", "audio/mp4"),
    "audio/x-wav",
)
"""The MIME types of recordings that a server transcribes (S)."""

AUDIO_ALIASES: Final = {
    **dict.fromkeys(("video/webm", "audio/x-matroska"), "audio/webm"),
    **dict.fromkeys(("audio/mp3", "audio/x-mp3", "audio/mpeg3", "audio/mpga"), "audio/mpeg"),
    **dict.fromkeys(("video/mp4", "audio/m4a", "audio/x-m4a", "audio/mp4a-latm"), "audio/mp4"),
    **dict.fromkeys(("audio/wave", "audio/vnd.wave"), "audio/wav"),
    **dict.fromkeys(("audio/x-flac",), "audio/flac"),
    **dict.fromkeys(("audio/x-ogg", "audio/opus", "audio/oga"), "audio/ogg"),
}
"""Other names of these types. A container is detected as video whatever is in it."""

MAX_BODY_BYTES: Final = 15_728_640
"""The largest request body on HuggingChat (S: ``BODY_SIZE_LIMIT``)."""

MAX_TITLE_CHARACTERS: Final = 100
"""The longest title that PATCH takes (R: ``manage``)."""

CONVERSATIONS_PER_PAGE: Final = 30
"""Page size of the conversation list (S)."""

RATE_LIMIT_WINDOW_SECONDS: Final = 60.0
"""The window of the messages-per-minute limit; every attempt counts (R: ``usage_limits``)."""

RESUME_CAP_SECONDS: Final = 300.0
"""After this long a resume stream closes without an `end`; reconnect (S)."""

RESUME_FLUSH_SECONDS: Final = 0.25
"""How often the resume log merges and stores tokens (R: ``disconnect_and_resume``)."""

STOP_MARKER_SECONDS: Final = 5.0
"""How long a stop that came after the end would still stop the next run (S)."""

SHARE_ID_CHARACTERS: Final = 7
"""A conversation id of this length names a share (R: ``manage``)."""

WEB_SEARCH_SERVER: Final = "Web Search (Exa)"
"""The MCP server that HuggingChat searches the web with (S)."""
