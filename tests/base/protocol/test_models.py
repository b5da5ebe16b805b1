"""Model lists, and choosing from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import Model, ModelNotFoundError
from hfchat_base._protocol.encodings import from_superjson
from hfchat_base._protocol.models import FALLBACK_MODELS, Catalog, read_models
from tests.support.recordings import body_of, load

MODELS = (
    Model(id="acme/hidden", name="hidden", unlisted=True),
    Model(id="acme/Writer-7B", name="The Writer"),
    Model(id="acme/seer", name="Seer", accepts_images=True),
    Model(id="other/Seer", name="Other", accepts_images=True),
    Model(id="acme/flux-painter", name="Painter", generates_images=True),
)


def test_recorded_lists_agree() -> None:
    """Both generations' recorded lists hold the models with what they can do."""
    body = body_of(load("current", "models").find("GET", "/api/v2/models"))
    current = {model.id: model for model in read_models(from_superjson(body, "models"))}
    legacy_body = body_of(load("legacy", "models").find("GET", "/api/models"))
    legacy = {model.id: model for model in read_models(json.loads(legacy_body))}
    for models in (current, legacy):
        assert models["echo/vision"].accepts_images
        assert not models["echo/base"].accepts_images
        assert models["tools/agent"].supports_tools


@pytest.mark.parametrize("raw", [None, {}, "x", [], [1, None, {}, {"id": 3}, {"id": ""}]])
def test_no_models(raw: Any) -> None:
    """What is not a list of models holds none; entries without an id are left out."""
    assert read_models(raw) == ()


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "id",
                "displayName",
                "description",
                "multimodal",
                "multimodalAcceptedMimetypes",
                "supportsTools",
                "tools",
                "isRouter",
                "unlisted",
                "preprompt",
            ]
        ),
        st.none() | st.booleans() | st.text() | st.lists(st.integers() | st.text()),
    )
)
def test_any_entry(raw: dict[str, Any]) -> None:
    """Whatever an entry holds, it is a model or is left out."""
    assert len(read_models([raw])) <= 1


@pytest.mark.parametrize(
    ("active", "default", "vision"),
    [
        (None, "acme/Writer-7B", "acme/seer"),
        ("other/Seer", "other/Seer", "other/Seer"),
        ("gone/model", "acme/Writer-7B", "acme/seer"),
    ],
)
def test_defaults(active: str | None, default: str, vision: str) -> None:
    """The account's choice comes first, then the first that is listed."""
    catalog = Catalog(MODELS, active=active)
    assert catalog.default is not None
    assert catalog.default.id == default
    assert catalog.default_vision is not None
    assert catalog.default_vision.id == vision


def test_kinds() -> None:
    """Models are distinguished by what they take and give."""
    catalog = Catalog(MODELS)
    assert [model.id for model in catalog.vision_models] == ["acme/seer", "other/Seer"]
    assert [model.id for model in catalog.image_models] == ["acme/flux-painter"]
    assert "acme/flux-painter" not in [model.id for model in catalog.text_models]


def test_empty_catalog() -> None:
    """A server without models has no default."""
    assert Catalog(()).default is None
    assert Catalog(()).default_vision is None


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("acme/Writer-7B", "acme/Writer-7B"),
        ("writer-7b", "acme/Writer-7B"),
        ("the writer", "acme/Writer-7B"),
        ("ACME/WRITER-7B", "acme/Writer-7B"),
        ("other", "other/Seer"),
    ],
)
def test_short_names(name: str, model: str) -> None:
    """A model's name, and what follows the slash in its id, are short names in any case."""
    assert Catalog(MODELS).resolve(name).id == model


def test_shared_short_name_is_nobodys() -> None:
    """A short name that two models share leads to neither, and the error names both."""
    with pytest.raises(ModelNotFoundError, match=r"acme/seer|other/Seer"):
        Catalog(MODELS).resolve("seer")


def test_unknown_name_names_the_nearest() -> None:
    """An unknown name is answered with what is near, or with what there is."""
    catalog = Catalog(MODELS)
    with pytest.raises(ModelNotFoundError, match=r"'writer-70b'.* Did you mean acme/Writer-7B"):
        catalog.resolve("writer-70b")
    with pytest.raises(ModelNotFoundError, match="It has, for example, acme/hidden"):
        catalog.resolve("zzzz")


def test_dated_list_takes_any_name() -> None:
    """The built-in list is a guess, so a name that it lacks is taken at its word."""
    catalog = Catalog(FALLBACK_MODELS, is_fallback=True)
    assert catalog.resolve("new/model").id == "new/model"
    assert catalog.default == FALLBACK_MODELS[0]


def test_aliases_are_no_ids() -> None:
    """Each short name leads to a model and is not a model's id."""
    catalog = Catalog(MODELS)
    ids = {model.id for model in MODELS}
    assert set(catalog.aliases.values()) <= ids
    assert not ids & set(catalog.aliases)
