"""The built-in attributes by name: what they are called, and who makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError

Builder = Callable[[Avatar], Attribute]

TITLES: dict[str, tuple[str, str]] = {
    "hair-black": ("Black hair", "hair"),
    "hair-brown": ("Dark brown hair", "hair"),
    "hair-chestnut": ("Chestnut hair", "hair"),
    "hair-copper": ("Copper hair", "hair"),
    "hair-blond": ("Blond hair", "hair"),
    "hair-platinum": ("Platinum hair", "hair"),
    "hair-grey": ("Grey hair", "hair"),
    "hair-blue": ("Blue hair", "hair"),
    "hair-pink": ("Pink hair", "hair"),
    "eyes-blue": ("Blue eyes", "eyes"),
    "eyes-green": ("Green eyes", "eyes"),
    "eyes-amber": ("Amber eyes", "eyes"),
    "eyes-brown": ("Brown eyes", "eyes"),
    "eyes-grey": ("Grey eyes", "eyes"),
    "brows-thick": ("Thick eyebrows", "eyebrows"),
    "brows-dark": ("Darker eyebrows", "eyebrows"),
    "brows-fair": ("Fair, thin eyebrows", "eyebrows"),
    "lipstick-red": ("Red lipstick", "mouth"),
    "lipstick-nude": ("Nude lipstick", "mouth"),
    "lipstick-plum": ("Plum lipstick", "mouth"),
    "make-up-natural": ("Natural make-up", "make-up"),
    "make-up-smoky": ("Smoky eyes", "make-up"),
    "make-up-evening": ("Evening make-up", "make-up"),
    "skin-freckles": ("Freckles", "skin"),
    "skin-tan": ("Sun-tanned skin", "skin"),
    "skin-pale": ("Pale skin", "skin"),
    "skin-rosy": ("Rosy cheeks", "skin"),
    "nose-small": ("Smaller nose", "nose"),
    "nose-large": ("Larger nose", "nose"),
    "nose-narrow": ("Narrower nose", "nose"),
    "chin-long": ("Longer chin", "face"),
    "chin-short": ("Shorter chin", "face"),
    "jaw-wide": ("Wider jaw", "face"),
    "jaw-narrow": ("Narrower jaw", "face"),
    "lips-full": ("Fuller lips", "face"),
    "eyes-large": ("Larger eyes", "face"),
    "age-older": ("Older", "face"),
    "age-younger": ("Younger", "face"),
    "beard-stubble": ("Stubble", "beard"),
    "beard-moustache": ("Moustache", "beard"),
    "beard-goatee": ("Goatee", "beard"),
    "beard-full": ("Full beard", "beard"),
    "glasses-round": ("Round metal glasses", "glasses"),
    "glasses-black": ("Black glasses", "glasses"),
    "glasses-rimless": ("Rimless glasses", "glasses"),
    "sunglasses": ("Sunglasses", "glasses"),
    "hat-cap": ("Baseball cap", "hat"),
    "hat-beanie": ("Beanie", "hat"),
    "hat-wide": ("Wide-brimmed hat", "hat"),
    "headphones": ("Headphones", "headphones"),
    "earrings-pearl": ("Pearl earrings", "earrings"),
    "earrings-hoop": ("Gold hoops", "earrings"),
    "hair-fringe": ("Fringe", "hair"),
    "hair-bun": ("Bun", "hair"),
    "hair-long": ("Long hair", "hair"),
    "hair-wavy": ("Wavy hair", "hair"),
    "hair-curly": ("Curly hair", "hair"),
    "hair-side-part": ("Side parting", "hair"),
    "hair-undercut": ("Undercut", "hair"),
    "hair-short": ("Short hair", "hair"),
    "hair-buzz": ("Buzz cut", "hair"),
    "hair-shaved": ("Shaved head", "hair"),
}
"""Label and slot by name, in the order of display; listing them needs neither builders nor torch."""

DEFAULT = (
    "hair-copper",
    "hair-blue",
    "eyes-green",
    "lipstick-red",
    "beard-full",
    "glasses-black",
    "sunglasses",
    "hat-beanie",
    "headphones",
)
"""The default selection: at most one for each digit key of a live session."""

ALL_WORD, DEFAULT_WORD, NONE_WORD = "all", "default", "none"

ATTRIBUTES_STEP = "attributes"
"""Name of the progress step while attributes are made and learned."""
SECONDS_PER_ATTRIBUTE = 3.0
"""Wall time, for estimates of the time left: nine attributes of the sample portrait on two cores."""


def builders() -> dict[str, Builder]:
    """The maker of each attribute; the first call imports them (1 s)."""
    from offline.looks import with_geometry, without_geometry
    from offline.looks.hair import hair_length

    made = {**without_geometry.BUILT_IN, **with_geometry.BUILT_IN, **hair_length.BUILT_IN}
    return {name: made[name] for name in TITLES if name in made}


def named(words: Sequence[str]) -> tuple[str, ...]:
    """The built-in attributes selected by words, without duplicates: names, "default", "all".

    Raises UserError for an unknown word, listing the known ones.
    """
    names: dict[str, None] = {}
    for word in words:
        if word not in TITLES and word not in (ALL_WORD, DEFAULT_WORD):
            raise UserError(
                f"unknown attribute {word[:40]!r}: there are {ALL_WORD}, {DEFAULT_WORD}, {', '.join(TITLES)}"
            )
        names.update(
            dict.fromkeys(
                TITLES if word == ALL_WORD else DEFAULT if word == DEFAULT_WORD else (word,)
            )
        )
    return tuple(names)
