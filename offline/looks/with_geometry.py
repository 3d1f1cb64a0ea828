"""The built-in attributes that add Gaussians."""

from __future__ import annotations

from collections.abc import Callable

from offline.looks.eyewear import glasses
from offline.looks.hair import bun, facial_hair, fringe
from offline.looks.headwear import beanie, cap, earrings, felt_hat, headphones
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
    "hair-fringe": fringe.fringe,
    "hair-bun": bun.bun,
}
"""By name, in the order in which they are shown."""
