"""Opening mouths: what a closed one draws along its lips' line goes as the lips part.

A photo of a closed mouth shows the line between the lips, and its corners' shadow, on the Gaussians that lie there. It belongs to
the gap, not to the skin: on lips that part and stretch it would be dark patches and a dotted outline. So lips and corners have
their photographed colour while they touch, and the colour of the surrounding lip and skin when they do not; a rim of lip goes
round the corners.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.correctives.wrinkles import surface_normals
from offline.looks.face.rest_positions import (
    along_line,
    landmarks_on,
    on_part,
    places_at_rest,
    surface_places,
)
from offline.numeric import ramp
from offline.priors import DARKEST, ENOUGH
from offline.texture.completion import complete_colors
from perse_live.avatar import Avatar
from perse_live.correctives import Component, join, sparse
from perse_live.correctives import ramp as curve
from perse_live.head.expressions import expression, index
from perse_live.head.landmarks import INNER_LIP_CORNERS, INNER_LIP_RING, OUTER_LIP_CORNERS
from perse_live.head.rig import Part, expressed
from perse_live.regions import Region

# Metres from the line, and from the corners, within which colours are the gap's, and beyond which they are not
_LINE, _CORNER = ((0.0012, 0.0035), (0.0035, 0.0075))
# Darkness over the neighbours' of what is the gap's too, as far from the line as the corners' shadow
_FLECK = (0.05, 0.2)
_AROUND = 0.045  # metres from the mouth's middle: lips and skin that are looked at
_SHOWN = 0.3  # opacity of a Gaussian that counts
_OPENS, _OPEN = 0.04, 0.16  # jawOpen over which the line goes
_PARTED = 0.45  # jawOpen in the photo from which it shows no line


def with_open_mouth(avatar: Avatar) -> Avatar:
    """The avatar with a component for the lips' line, which goes as the jaw opens."""
    own = float(avatar.source.expression[index("jawOpen")])
    places = places_at_rest(avatar)
    marks = landmarks_on(avatar, avatar.rig.vertices)
    ring = marks[[*INNER_LIP_RING, INNER_LIP_RING[0]]].astype(np.float64)
    near = np.linalg.norm(places - ring.mean(0), axis=1) < _AROUND
    near &= np.isin(avatar.regions, (Region.SKIN, Region.LIPS)) & on_part(avatar, Part.SKIN)
    rows = np.flatnonzero(near & (avatar.opacities > _SHOWN))
    if len(rows) < ENOUGH or own > _PARTED:
        return avatar
    from_line = along_line(places[rows].astype(np.float64), ring)[0]
    corners = marks[[*INNER_LIP_CORNERS, *OUTER_LIP_CORNERS]]
    from_corner = np.linalg.norm(places[rows, None] - corners, axis=2).min(1)
    at_corner = 1 - ramp(from_corner, *_CORNER)
    line = 1 - ramp(from_line, *_LINE)
    grey = avatar.colors[rows].mean(1)
    usual = np.median(grey[KDTree(places[rows]).query(places[rows], k=ENOUGH)[1]], 1)
    fleck = ramp(1 - grey / np.maximum(usual, DARKEST), *_FLECK) * (from_line < _CORNER[1])
    gap = np.maximum.reduce([line, at_corner, fleck])
    half_open = surface_places(avatar, expressed(avatar.rig, expression(jawOpen=0.35)))
    clean = complete_colors(
        avatar.colors[rows],
        1 - gap,
        half_open[rows],
        places[rows],
        surface_normals(avatar)[rows],
        np.maximum(avatar.regions[rows] == Region.LIPS, line)[:, None],
        rng=np.random.default_rng(0),
    )
    colors = np.zeros((1, len(avatar), 3))
    colors[0, rows] = gap[:, None] * (clean - avatar.colors[rows])
    start = max(_OPENS, own + 0.05)
    component = Component("lips-part", (curve("jawOpen", start, start + _OPEN - _OPENS),))
    made = sparse([component], colors, np.zeros((1, len(avatar))))
    return replace(avatar, correctives=join(avatar.correctives, made))
