"""Models for a tour of chat: one talks, looks and calls tools, one thinks, one draws.

They know the questions of the notebook and little else.
"""

from __future__ import annotations

import base64
import io
import json
import re
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageDraw

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel
from hfchat_base.local.backends import OutputFile, Piece, Reasoning, words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["models"]

_ANSWERS: Final = {
    "sky blue": "Air scatters blue light far more than red light, so blue comes from everywhere.",
    "grass green": "Its chlorophyll takes in red and blue light and sends the green back.",
    "snow white": "The many small faces of its crystals scatter all colours alike.",
    "coal black": "It takes in nearly all of the light that falls on it.",
    "sunset red": "Its light has come a long way through the air and has lost its blue there.",
    "sea blue": "Water takes in the red light first, and what is left is blue.",
    "blood red": "The iron in its haemoglobin gives it the colour.",
    "milk white": "Its drops of fat scatter all colours alike.",
}
_CALLS: Final = {
    "Saturn": ("Planet", {"name": "Saturn", "moons": 274, "has_rings": True}),
    "Oslo": ("get_temperature", {"city": "Oslo"}),
    "Bergen": ("get_temperature", {"city": "Bergen"}),
}
_THOUGHT: Final = (
    "If the ball cost 0.10, the bat would cost 1.10, and both 1.20: too much. Let the ball cost b."
    " Then b + (b + 1.00) = 1.10, so b = 0.05. "
)
_COLOURS: Final = {
    "white": (255, 255, 255),
    "red": (214, 40, 40),
    "yellow": (250, 200, 50),
    "blue": (60, 120, 200),
    "green": (60, 150, 80),
    "black": (0, 0, 0),
}
_RESULT: Final = re.compile(r'"content": "(\w+): (-?\d+) °C"')


def models() -> list[LocalModel]:
    """The models, as a server lists them; the first is its default."""
    return [
        LocalModel("stand-in/chat", FunctionBackend(_answer), multimodal=True),
        LocalModel("stand-in/thinker", FunctionBackend(_think), supports_reasoning=True),
        LocalModel("stand-in/painter", FunctionBackend(_paint)),
    ]


def _answer(request: ChatRequest) -> str:
    question = request.last_user_text
    if pictures := _pictures(request):
        return _describe(pictures[-1])
    if results := _RESULT.findall(question):
        city, degrees = max(results, key=lambda result: int(result[1]))
        return f"It is warmer in {city}, with {degrees} °C."
    if "<tools>" in str(request.messages[0]["content"]):
        return "\n".join(
            f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"
            for topic, (name, arguments) in _CALLS.items()
            if topic in question
        )
    if question.startswith("Day "):
        days = sum(str(message["content"]).startswith("Day ") for message in request.messages)
        return f"Noted. Your log has {days} entries now." if days > 1 else "Noted. The log begins."
    known = (answer for topic, answer in _ANSWERS.items() if topic in question)
    return next(known, "I am a stand-in and know only what this notebook asks. Log in for more!")


def _think(_request: ChatRequest) -> Iterator[Piece | str]:
    yield from map(Reasoning, words(_THOUGHT))
    yield from words("The ball costs 0.05.")


def _paint(request: ChatRequest) -> Iterator[Piece | str]:
    sun, sea = (name for name in re.findall(r"\w+", request.last_user_text) if name in _COLOURS)
    picture = Image.new("RGB", (320, 180), (250, 225, 190))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((115, 45, 205, 135), fill=_COLOURS[sun])
    draw.rectangle((0, 100, 320, 180), fill=_COLOURS[sea])
    for row in range(8):
        half = 42 - 4 * row
        draw.line((160 - half, 106 + 9 * row, 160 + half, 106 + 9 * row), _COLOURS[sun], width=3)
    png = io.BytesIO()
    picture.save(png, "png")
    yield OutputFile("sunset.png", "image/png", png.getvalue())
    yield from words("Here is your picture.")


def _pictures(request: ChatRequest) -> list[Image.Image]:
    parts: list[Any] = [
        part
        for message in request.messages
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def _describe(picture: Image.Image) -> str:
    """Name what is not white in a picture, from left to right."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in _COLOURS.values() for value in colour])
    indices = picture.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    found: list[tuple[int, str]] = []
    for index, name in enumerate(_COLOURS):
        mask = indices.point(lambda value, index=index: 255 * (value == index), "L")
        box = mask.getbbox()
        if box and name != "white":
            share = mask.histogram()[255] / ((box[2] - box[0]) * (box[3] - box[1]))
            shape = "square" if share > 0.9 else "circle" if share > 0.7 else "triangle"
            found.append((box[0], f"a {name} {shape}"))
    *most, last = [text for _, text in sorted(found)]
    return f"I see {', '.join(most)} and {last}, side by side on white."
