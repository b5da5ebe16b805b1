"""The models of a server: reading the list, choosing from it, and the short names.

How the list is asked for, and in which order of ways, is known in `flows/discovery.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from hfchat_base.errors import ModelNotFoundError
from hfchat_base.types import Model

FALLBACK_DATE: Final = "2026-08-15"
"""When the fallback list was true (S: the settings that HuggingChat was deployed with)."""

FALLBACK_MODELS: Final = (
    Model("omni", "Omni", is_router=True),
    Model("deepseek-ai/DeepSeek-V4-Pro-0813", supports_reasoning=True),
    Model("moonshotai/Kimi-K3", accepts_images=True, supports_reasoning=True),
    Model("Qwen/Qwen3.8-2.4T-A95B", supports_reasoning=True),
    Model("zai-org/GLM-5.2", supports_reasoning=True),
    Model("openai/gpt-oss-120b", supports_reasoning=True),
    Model("Qwen/Qwen3-VL-235B-A22B-Instruct", accepts_images=True),
    Model("meta-llama/Llama-3.3-70B-Instruct"),
)
"""What is offered when a server answers but its model list cannot be read."""

# chat-ui does not say that a model draws; the families that do are known by their names.
_DRAWS: Final = re.compile(
    r"flux|stable-diffusion|sdxl|sd3|text-to-image|qwen-image|hidream|kandinsky|pixart|painter",
    re.IGNORECASE,
)


class Catalog:
    """The models of one server.

    Args:
        models: As the server lists them; the first is its default.
        active: The model that the account has chosen, or None.
        is_fallback: Whether the list is the built-in one.
    """

    def __init__(
        self, models: Iterable[Model], *, active: str | None = None, is_fallback: bool = False
    ) -> None:
        self.models = tuple(models)
        self.is_fallback = is_fallback
        self._by_id = {model.id: model for model in self.models}
        self._active = active if active in self._by_id else None

    @property
    def default(self) -> Model | None:
        """The account's own choice, or the server's first listed model; None if there is none."""
        if self._active:
            return self._by_id[self._active]
        return next((m for m in self.models if not m.unlisted), next(iter(self.models), None))

    @property
    def default_vision(self) -> Model | None:
        """The default model if it sees images, or the first that does; None if there is none."""
        default = self.default
        if default and default.accepts_images:
            return default
        return next((m for m in self.vision_models if not m.unlisted), None)

    @cached_property
    def vision_models(self) -> tuple[Model, ...]:
        """Models that see images."""
        return tuple(model for model in self.models if model.accepts_images)

    @cached_property
    def image_models(self) -> tuple[Model, ...]:
        """Models that draw images."""
        return tuple(model for model in self.models if model.generates_images)

    @cached_property
    def text_models(self) -> tuple[Model, ...]:
        """Models that answer with text."""
        return tuple(model for model in self.models if not model.generates_images)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Short names → ids: the display name and the part behind the slash, in lower case.

        A name that two models share is nobody's alias.
        """
        owners: dict[str, set[str]] = {}
        for model in self.models:
            for name in {model.name.lower(), model.id.rpartition("/")[2].lower(), model.id.lower()}:
                owners.setdefault(name, set()).add(model.id)
        return {
            name: next(iter(ids))
            for name, ids in owners.items()
            if name and len(ids) == 1 and name not in self._by_id
        }

    def find(self, name: str) -> Model | None:
        """Find a model by its id or a short name."""
        return self._by_id.get(name) or self._by_id.get(self.aliases.get(name.lower(), ""))

    def resolve(self, name: str) -> Model:
        """Find a model by its id or a short name.

        Raises:
            ModelNotFoundError: There is none; the message names the nearest.
        """
        if model := self.find(name):
            return model
        if self.is_fallback:
            return Model(name)
        raise self.unknown(name)

    def unknown(self, name: str, *, status: int | None = None) -> ModelNotFoundError:
        """Say that there is no such model, and which ones there are."""
        near = difflib.get_close_matches(name, [*self._by_id, *self.aliases], n=3, cutoff=0.5)
        names = list(dict.fromkeys(self.aliases.get(n, n) for n in near)) or list(self._by_id)[:5]
        hint = f" It has {', '.join(names)}." if names else ""
        return ModelNotFoundError(
            f"The server has no model {name!r}.{hint} get_models() lists them all.", status=status
        )


def read_models(raw: Any) -> tuple[Model, ...]:
    """Read a model list of either generation; entries without an id are left out."""
    if not isinstance(raw, list):
        return ()
    return tuple(
        _read_model(entry)
        for entry in raw
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]
    )


def _read_model(raw: dict[str, Any]) -> Model:
    mimes = raw.get("multimodalAcceptedMimetypes")
    description = raw.get("description")
    identity: str = raw["id"]
    accepts_images = raw.get("multimodal") is True
    return Model(
        id=identity,
        name=raw["displayName"] if isinstance(raw.get("displayName"), str) else identity,
        description=description if isinstance(description, str) else "",
        accepts_images=accepts_images,
        accepted_mime_types=tuple(m for m in mimes if isinstance(m, str))
        if isinstance(mimes, list)
        else (("image/*",) if accepts_images else ()),
        # The first spelling is the current one, the second legacy (R: `models`).
        supports_tools=raw.get("supportsTools") is True or raw.get("tools") is True,
        supports_reasoning=raw.get("supportsReasoning") is True or raw.get("reasoning") is True,
        generates_images=bool(_DRAWS.search(identity)),
        is_router=raw.get("isRouter") is True,
        unlisted=raw.get("unlisted") is True,
        preprompt=raw["preprompt"] if isinstance(raw.get("preprompt"), str) else "",
    )
