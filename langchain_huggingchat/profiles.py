"""What LangChain may count on with a model, as far as that is known without asking anybody."""

from __future__ import annotations

from langchain_core.language_models.model_profile import ModelProfile

from hfchat_base import Model

__all__ = ["profile_of"]


def profile_of(model: Model | None) -> ModelProfile:
    """The profile of a model.

    Context windows are not told by chat-ui; give `profile={"max_input_tokens": …}` to middleware
    that needs one. `structured_output` is left unset: agents then ask for it with a tool, which is
    checked and repaired.

    Args:
        model: The model as the server lists it, or None while the list has not been read.
    """
    profile = ModelProfile(
        text_inputs=True,
        text_outputs=True,
        audio_inputs=False,
        video_inputs=False,
        pdf_inputs=False,
        tool_calling=True,
        tool_choice=True,
    )
    if model is not None:
        profile["name"] = model.name or model.id
        profile["image_inputs"] = model.accepts_images
        profile["image_url_inputs"] = model.accepts_images
        profile["image_tool_message"] = model.accepts_images
        profile["reasoning_output"] = model.supports_reasoning
        profile["image_outputs"] = model.generates_images
    return profile
