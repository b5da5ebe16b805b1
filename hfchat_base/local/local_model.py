"""The models of a local server: how each is described, and which backend answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import httpx

from hfchat_base.local.backends import CONNECT_SECONDS, OpenAIBackend, bearer_headers
from hfchat_base.local.wire import UNDEFINED, JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfchat_base.local.backends import ModelBackend

Generation: TypeAlias = Literal["current", "legacy"]
"""Which chat-ui a server speaks as: 0.20 (``current``) or 0.9.5 (``legacy``)."""

TitleFunction: TypeAlias = "Callable[[str, Generation], str]"
"""Returns the title of a conversation for its first message and the server's generation."""

_HUB = "https://huggingface.co"
_TITLE_WORDS = 5


def first_five_words(prompt: str, _generation: Generation) -> str:
    """Return the title that a server without a model for titles makes (S).

    Args:
        prompt: The first message.
    """
    return " ".join(prompt.split()[:_TITLE_WORDS])


@dataclass(frozen=True)
class LocalModel:
    """A model of the local server.

    Attributes:
        id: Its id, ``owner/name``.
        backend: What answers for it.
        display_name: Name to show; the id if None.
        description: One sentence about it, or None.
        preprompt: System prompt of conversations that are created without one, or None.
        multimodal: Whether it gets images.
        supports_tools: Whether it gets tools.
        supports_reasoning: Whether the current generation marks it as reasoning, and passes the
            effort on that a user has set for it.
        supports_artifacts: Whether the current generation tells it how to write artifacts, unless
            the user has set something else.
        providers: Who can run it, as an inference router lists them; None if nobody says.
        max_tokens: How many tokens an answer may have (current), or None for no limit.
        unlisted: Whether no conversation may be started with it.
        is_router: Whether it chooses another model for each message.
        legacy_reasoning: Whether the legacy generation turns its ``<think>`` text into reasoning
            events.
        title: Returns the title of a conversation.
    """

    id: str
    backend: ModelBackend
    display_name: str | None = None
    description: str | None = None
    preprompt: str | None = None
    multimodal: bool = False
    supports_tools: bool = False
    supports_reasoning: bool = False
    supports_artifacts: bool = False
    providers: Sequence[JsonObject] | None = None
    max_tokens: int | None = None
    unlisted: bool = False
    is_router: bool = False
    legacy_reasoning: bool = False
    title: TitleFunction = first_five_words

    @property
    def _name(self) -> str:
        return self.display_name or self.id

    def v2_entry(self) -> JsonObject:
        """Describe it as ``/api/v2/models`` does (R: ``models``)."""
        return {
            "id": self.id,
            "name": self.id,
            "websiteUrl": UNDEFINED,
            "modelUrl": UNDEFINED,
            "datasetName": UNDEFINED,
            "datasetUrl": UNDEFINED,
            "displayName": self._name,
            "description": _or_undefined(self.description),
            "logoUrl": UNDEFINED,
            "promptExamples": UNDEFINED,
            "preprompt": _or_undefined(self.preprompt),
            "multimodal": self.multimodal,
            "multimodalAcceptedMimetypes": ["image/*"] if self.multimodal else UNDEFINED,
            "supportsTools": self.supports_tools,
            "supportsReasoning": self.supports_reasoning,
            "supportsArtifacts": self.supports_artifacts,
            "unlisted": self.unlisted,
            "hasInferenceAPI": False,
            "isRouter": self.is_router,
        }

    def v2_details(self) -> JsonObject:
        """Describe it as ``/api/v2/models/{id}`` does (R: ``model_details``)."""
        providers = UNDEFINED if self.providers is None else list(self.providers)
        parameters: JsonObject = {"stop_sequences": UNDEFINED}
        if self.max_tokens is not None:
            parameters["max_tokens"] = self.max_tokens
        return {**self.v2_entry(), "providers": providers, "parameters": parameters}

    def v1_entry(self, generation: Generation) -> JsonObject:
        """Describe it as ``/api/models`` does (R: ``models``).

        Args:
            generation: Which form; the two differ after ``multimodal``.
        """
        if generation == "current":
            abilities: JsonObject = {
                "supportsTools": self.supports_tools,
                "supportsReasoning": self.supports_reasoning,
                "supportsArtifacts": self.supports_artifacts,
                "unlisted": self.unlisted,
            }
        else:
            abilities = {"unlisted": self.unlisted, "tools": self.supports_tools}
        return {
            "id": self.id,
            "name": self.id,
            "websiteUrl": _HUB,
            "modelUrl": _HUB,
            "displayName": self._name,
            "description": self.description or "",
            "promptExamples": [],
            "preprompt": self.preprompt or "",
            "multimodal": self.multimodal,
            **abilities,
            "hasInferenceAPI": False,
        }

    def page_entry(self) -> JsonObject:
        """Describe it as the data of the legacy pages does (R: ``home_page_html``)."""
        return {
            "id": self.id,
            "name": self.id,
            "websiteUrl": UNDEFINED,
            "modelUrl": UNDEFINED,
            "tokenizer": UNDEFINED,
            "datasetName": UNDEFINED,
            "datasetUrl": UNDEFINED,
            "displayName": self._name,
            "description": _or_undefined(self.description),
            "reasoning": self.legacy_reasoning,
            "logoUrl": UNDEFINED,
            "promptExamples": UNDEFINED,
            "parameters": {"stop_sequences": UNDEFINED},
            "preprompt": self.preprompt or "",
            "multimodal": self.multimodal,
            "multimodalAcceptedMimetypes": UNDEFINED,
            "tools": self.supports_tools,
            "unlisted": self.unlisted,
            "hasInferenceAPI": False,
        }


def openai_models(
    base_url: str, api_key: str | None = None, *, supports_tools: bool = False
) -> list[LocalModel]:
    """Make a local model of each model that an OpenAI-compatible endpoint lists.

    Args:
        base_url: URL up to and with the version, such as ``http://127.0.0.1:11434/v1``.
        api_key: Key to send, or None.
        supports_tools: Whether the models get tools; the list does not say.

    Returns:
        The models, in the order of the list.

    Raises:
        httpx.HTTPError: The list cannot be fetched.
    """
    response = httpx.get(
        f"{base_url.rstrip('/')}/models",
        headers=bearer_headers(api_key),
        timeout=CONNECT_SECONDS,
    )
    response.raise_for_status()
    return [
        LocalModel(
            entry["id"],
            OpenAIBackend(base_url, entry["id"], api_key),
            supports_tools=supports_tools,
        )
        for entry in response.json()["data"]
    ]


def _or_undefined(value: str | None) -> object:
    return UNDEFINED if value is None else value
