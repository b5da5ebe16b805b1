"""The models and MCP servers of a server: reading their lists, choosing a model, short names.

How the lists are fetched, and which routes are tried in which order, is in `_flows/discovery.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError

from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base._protocol.encodings import Items, Wire, structure
from hfchat_base.errors import ModelNotFoundError, ProtocolError
from hfchat_base.types import (
    McpCheck,
    McpServerInfo,
    McpTool,
    Model,
    ModelDetails,
    ModelProvider,
    PromptExample,
)

FALLBACK_DATE: Final = "2026-08-15"
"""When the fallback list was true (S: the settings that HuggingChat was deployed with)."""

FALLBACK_MODELS: Final = (
    Model(id="omni", name="Omni", is_router=True),
    Model(id="deepseek-ai/DeepSeek-V4-Pro-0813", supports_reasoning=True),
    Model(id="moonshotai/Kimi-K3", accepts_images=True, supports_reasoning=True),
    Model(id="Qwen/Qwen3.8-2.4T-A95B", supports_reasoning=True),
    Model(id="zai-org/GLM-5.2", supports_reasoning=True),
    Model(id="openai/gpt-oss-120b", supports_reasoning=True),
    Model(id="Qwen/Qwen3-VL-235B-A22B-Instruct", accepts_images=True),
    Model(id="meta-llama/Llama-3.3-70B-Instruct"),
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
        """Short names → ids: the display name and the part after the slash, in lower case.

        A name that two models share is not an alias.
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
            return Model(id=name)
        raise self.unknown(name)

    def unknown(self, name: str, *, status: int | None = None) -> ModelNotFoundError:
        """The error for a name that no model has; it lists the nearest names, or the first."""
        near = difflib.get_close_matches(name, [*self._by_id, *self.aliases], n=3, cutoff=0.5)
        names = list(dict.fromkeys(self.aliases.get(n, n) for n in near))
        if names:
            hint = f" Did you mean {' or '.join(names)}?"
        elif self._by_id:
            hint = f" It has, for example, {', '.join(list(self._by_id)[:5])}."
        else:
            hint = ""
        return ModelNotFoundError(
            f"The server has no model {name!r}.{hint} get_models() lists them all.", status=status
        )


class _ModelEntry(Wire):
    """An entry of a model list; of two spellings the first is the current one (R: ``models``)."""

    model_config = structure(
        "name websiteUrl modelUrl datasetName datasetUrl logoUrl promptExamples supportsArtifacts"
        " hasInferenceAPI tokenizer parameters",
        current="id displayName multimodal supportsTools supportsReasoning unlisted",
        legacy="id displayName multimodal tools unlisted",
    )

    id: str = Field(min_length=1)
    display_name: str = ""
    description: str = ""
    multimodal: bool = False
    multimodal_accepted_mimetypes: Items[str] | None = None
    supports_tools: bool = False
    tools: bool = False
    supports_reasoning: bool = False
    reasoning: bool = False
    is_router: bool = False
    unlisted: bool = False
    preprompt: str = ""

    def to_model(self) -> Model:
        mimes = self.multimodal_accepted_mimetypes
        if mimes is None:
            mimes = ["image/*"] if self.multimodal else []
        return Model(
            id=self.id,
            name=self.display_name or self.id,
            description=self.description,
            accepts_images=self.multimodal,
            accepted_mime_types=tuple(mimes),
            supports_tools=self.supports_tools or self.tools,
            supports_reasoning=self.supports_reasoning or self.reasoning,
            generates_images=bool(_DRAWS.search(self.id)),
            is_router=self.is_router,
            unlisted=self.unlisted,
            preprompt=self.preprompt,
        )


class _Example(Wire):
    """A prompt that the page offers."""

    title: str = ""
    prompt: str = ""


class _Price(Wire):
    """What a million tokens cost, in dollars; a router writes whole numbers at times."""

    input: Annotated[float, Strict(strict=False)] | None = None
    output: Annotated[float, Strict(strict=False)] | None = None


class _Provider(Wire):
    """Who runs a model; in snake case, as the inference router sends it, and chat-ui passes on (S).

    It may hold anything else.
    """

    model_config = ConfigDict(alias_generator=None, json_schema_extra={"opaque": True})

    provider: str = Field(min_length=1)
    status: str = ""
    context_length: int | None = None
    pricing: _Price | None = None
    supports_tools: bool = False
    supports_structured_output: bool = False

    def to_provider(self) -> ModelProvider:
        price = self.pricing or _Price()
        return ModelProvider(
            name=self.provider,
            status=self.status,
            context_length=self.context_length,
            input_price=price.input,
            output_price=price.output,
            supports_tools=self.supports_tools,
            supports_structured_output=self.supports_structured_output,
        )


class _Parameters(Wire):
    """What a server sets for a model; in snake case (R)."""

    model_config = ConfigDict(alias_generator=None) | structure(
        "temperature truncate stop top_p top_k frequency_penalty presence_penalty"
    )

    max_tokens: int | None = None
    stop_sequences: Items[str] | None = None


class _ModelPage(_ModelEntry):
    """All that is known of one model."""

    supports_artifacts: bool = False
    logo_url: str = ""
    website_url: str = ""
    prompt_examples: Items[_Example] | None = None
    providers: Items[_Provider] | None = None
    parameters: _Parameters | None = None

    def to_details(self) -> ModelDetails:
        providers = tuple(provider.to_provider() for provider in self.providers or [])
        lengths = [provider.context_length for provider in providers if provider.context_length]
        parameters = self.parameters or _Parameters()
        return ModelDetails(
            **dict(self.to_model()),
            supports_artifacts=self.supports_artifacts,
            context_length=max(lengths, default=None),
            max_output_tokens=parameters.max_tokens,
            stop_sequences=tuple(parameters.stop_sequences or ()),
            providers=providers,
            prompt_examples=tuple(
                PromptExample(title=example.title, prompt=example.prompt)
                for example in self.prompt_examples or []
            ),
            logo_url=self.logo_url,
            website_url=self.website_url,
        )


class _McpServer(Wire):
    """One of the server's own MCP servers."""

    model_config = structure("id type isLocked", current="name url")

    name: str = Field(min_length=1)
    url: str = ""


class _McpTool(Wire):
    """A tool of an MCP server."""

    name: str = Field(min_length=1)
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class _McpHealth(Wire):
    """What a server says of an MCP server that it was asked to look at."""

    ready: bool
    tools: Items[_McpTool] | None = None
    error: str = ""
    auth_required: bool = False


MCP_SERVERS: Final = TypeAdapter(list[_McpServer])
"""The structure of the list of the server's own MCP servers."""
_MCP_ENTRIES: Final = TypeAdapter(Items[_McpServer])
_MODEL_ENTRIES: Final = TypeAdapter(Items[_ModelEntry])
MODEL_LIST: Final = TypeAdapter(list[_ModelEntry])
"""The structure of a model list."""
MODEL_PAGE: Final = TypeAdapter(_ModelPage)
"""The structure of all that is known of one model."""


def read_details(raw: Any) -> ModelDetails:
    """Read all that is known of one model.

    Raises:
        ProtocolError: It is not a model.
    """
    try:
        return _ModelPage.model_validate(raw).to_details()
    except ValidationError:
        raise ProtocolError("The server's description of a model cannot be read.") from None


def read_models(raw: Any) -> tuple[Model, ...]:
    """Read a model list of either generation; entries without an id are left out."""
    if not isinstance(raw, list):
        return ()
    return tuple(entry.to_model() for entry in _MODEL_ENTRIES.validate_python(raw))


def read_mcp_servers(raw: Any) -> list[McpServerInfo]:
    """Read the list of the server's own MCP servers; entries without a name are left out."""
    found = _MCP_ENTRIES.validate_python(raw) if isinstance(raw, list) else []
    return [
        McpServerInfo(name=each.name, url=each.url, is_web_search=each.name == WEB_SEARCH_SERVER)
        for each in found
    ]


def read_mcp_check(raw: Any) -> McpCheck:
    """Read what the server found out about an MCP server; tools without a name are left out.

    Raises:
        ProtocolError: It is not such a report.
    """
    try:
        health = _McpHealth.model_validate(raw)
    except ValidationError:
        raise ProtocolError("The server's report on an MCP server cannot be read.") from None
    return McpCheck(
        is_ready=health.ready,
        tools=tuple(
            McpTool(name=tool.name, description=tool.description, input_schema=tool.input_schema)
            for tool in health.tools or []
        ),
        needs_login=health.auth_required,
        problem=health.error,
    )
