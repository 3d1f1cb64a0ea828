"""Every built-in attribute that adds something to the head."""

from __future__ import annotations

from collections.abc import Callable

from offline.attributes import beanie, cap, earrings, facial_hair, felt_hat, glasses, hair_pieces, headphones
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar

BUILT_IN: dict[str, Callable[[Avatar], Attribute]] = {
    "beard-stubble": facial_hair.stubble,
    "beard-moustache": facial_hair.moustache,
    "beard-goatee": facial_hair.goatee,
    "beard-full": facial_hair.full_beard,
    "glasses-round": glasses.round_metal,
    "glasses-black": glasses.acetate,
    "glasses-rimless": glasses.rimless,
    "sunglasses": glasses.sunglasses,
    "hat-cap": cap.baseball_cap,
    "hat-beanie": beanie.beanie,
    "hat-wide": felt_hat.wide_hat,
    "headphones": headphones.headphones,
    "earrings-pearl": earrings.studs,
    "earrings-hoop": earrings.hoops,
    "hair-fringe": hair_pieces.fringe,
    "hair-bun": hair_pieces.bun,
}
"""By name, in the order in which they are shown."""
