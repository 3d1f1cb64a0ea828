"""Every built-in attribute that adds something to the head."""

from __future__ import annotations

from collections.abc import Callable

from offline.attributes import earrings, facial_hair, glasses, hair_pieces, hats, headphones
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
    "hat-cap": hats.baseball_cap,
    "hat-beanie": hats.beanie,
    "hat-wide": hats.wide_hat,
    "headphones": headphones.headphones,
    "earrings-pearl": earrings.studs,
    "earrings-hoop": earrings.hoops,
    "hair-fringe": hair_pieces.fringe,
    "hair-bun": hair_pieces.bun,
}
"""By name, in the order in which they are shown."""
