"""Prompts of text models: for each part lists of phrases with slots for adjectives, as PERSE generates its data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ANY_WORD = "any"
"""The text that stands for a description from the lists below, chosen by the seed."""

_COLORS = (
    "black",
    "dark brown",
    "chestnut",
    "copper red",
    "blond",
    "platinum blond",
    "silver grey",
)
_LISTS: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "hair": (
        "{texture} {color} hair, {cut}",
        {
            "texture": ("straight", "wavy", "curly", "tightly coiled"),
            "color": _COLORS,
            "cut": (
                "in a chin-length bob",
                "falling over the shoulders",
                "in a pixie cut",
                "with a side parting",
                "swept back",
                "with a fringe",
                "in an undercut",
            ),
        },
    ),
    "beard": (
        "a {length} {color} {form}",
        {
            "length": ("short", "neatly trimmed", "dense", "long"),
            "color": _COLORS,
            "form": (
                "full beard",
                "boxed beard",
                "goatee",
                "van dyke beard",
                "moustache",
                "stubble",
            ),
        },
    ),
    "brows": (
        "{thickness} {color} eyebrows, {form}",
        {
            "thickness": ("thick", "thin", "bushy", "feathery"),
            "color": _COLORS,
            "form": ("softly arched", "straight", "sharply arched", "rounded"),
        },
    ),
    "glasses": (
        "{color} {form} glasses",
        {
            "color": ("black", "tortoise-shell", "transparent", "gold", "silver", "red"),
            "form": ("round", "rectangular", "cat-eye", "aviator", "thick-rimmed"),
        },
    ),
    "hat": (
        "a {color} {form}",
        {
            "color": ("black", "navy", "beige", "red", "olive green", "white"),
            "form": ("knitted beanie", "baseball cap", "fedora", "bucket hat", "beret", "flat cap"),
        },
    ),
    "makeup": (
        "{lips} lipstick and {eyes}",
        {
            "lips": ("red", "nude", "plum", "coral", "pink"),
            "eyes": (
                "smoky eyes",
                "winged eyeliner",
                "natural eye shadow",
                "gold eye shadow",
                "soft pink blush",
            ),
        },
    ),
    "eyes": (
        "{color} eyes",
        {"color": ("light blue", "green", "hazel", "amber", "dark brown", "grey")},
    ),
}
NEGATIVE = "blurry, deformed, drawing, text, watermark, extra people, cropped"
"""The negative prompt."""
SHORT_HAIR = "a person with very short buzz-cut hair, hardly any hair, the shape of the head is visible, natural photo"
"""The first prompt where hair is replaced: long hair would show at the new mask's edges."""


def description(part: str, text: str, seed: int) -> str:
    """The user's text, or for "any" the seed's choice from the lists."""
    if text.strip().lower() != ANY_WORD:
        return " ".join(text.split())
    form, slots = _LISTS[part]
    rng = np.random.default_rng(seed)
    return form.format(
        **{slot: words[int(rng.integers(len(words)))] for slot, words in slots.items()}
    )


def prompt_for(described: str) -> str:
    """The prompt of an inpainting model."""
    return f"a portrait photo of a person with {described}, looking at the camera, sharp, natural light"


def instruction_for(described: str) -> str:
    """The prompt of an instruction-based editing model."""
    return f"Give this person {described}. Keep the face, the pose, the light and the background exactly as they are."
