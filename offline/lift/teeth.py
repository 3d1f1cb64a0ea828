"""Two rows of teeth: crowns side by side along a dental arch, drawn on the mean head and carried into a person's mouth.

The rig's rows are plain troughs. On these, cutting edges were ragged, and gaps between the teeth as wide as the Gaussians. Here
each crown has a separate outline, and is covered in front by upright Gaussians half a millimetre wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from offline.gaussian_layer import COVERAGE, Layer, surface_layer
from offline.images import sample
from offline.numeric import normalized, ramp
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.head.rig import Part, vertices_of
from perse_live.regions import Region

# Widths and heights of crowns in millimetres, from the midline backwards (Wheeler's Dental Anatomy, chapter 1); how far the
# cutting edge stands back from the row's; how far it is rounded at the tooth's sides.
_UPPER = (
    (8.5, 10.5, 0.0, 1.0),
    (6.6, 9.2, 0.7, 1.2),
    (7.6, 10.2, 0.2, 1.5),
    (7.0, 8.6, 0.9, 1.2),
    (6.8, 8.0, 1.2, 1.0),
    (10.0, 7.4, 1.5, 0.7),
    (9.5, 7.0, 1.7, 0.7),
)
_LOWER = (
    (5.4, 8.8, 0.0, 0.5),
    (6.0, 9.0, 0.0, 0.6),
    (6.9, 9.6, -0.2, 1.2),
    (7.0, 8.4, 0.3, 1.1),
    (7.0, 8.0, 0.6, 0.9),
    (11.0, 7.4, 0.8, 0.6),
    (10.5, 7.0, 1.0, 0.6),
)
ENAMEL = np.array([0.86, 0.82, 0.75])
_GUM = np.array([0.70, 0.42, 0.40])
_NECK = np.array([0.95, 0.88, 0.76])  # enamel is thin at the gum, and dentine shines through
_FRONT, _BACK = 0.55, 1.2  # millimetres between strokes, at the incisors and at the molars
# Their heights over the cutting edge, millimetres
_STROKES = (0.25, 0.8, 1.5, 2.5, 3.8, 5.3, 7.0, 8.8, 10.6, 12.8, 16.0)
_LEDGE = (0.8, 2.2, 4.6)  # how far behind the cutting edge the rest of the tooth is painted
_ROUND = 0.9  # millimetres by which a crown's middle stands out before its sides
_SEAM, _SEAM_WIDTH = 0.18, 0.45  # darkness between two teeth, and its half width in millimetres
_SCALLOP = 2.2  # millimetres that the gum reaches farther between teeth
# Light at the last molars over that at the front: corners lie in the cheeks' shade
_CORNER = np.array([0.17, 0.10, 0.085])
# Millimetres along the arch over which it falls to that: on film (d0, d13, single_face) premolars are nearly as light as incisors
_SHADED = (14.0, 36.0)
# Metres from the midline from which upper teeth take the photo's colours
_ASIDE = (0.011, 0.017)
_UNDER_LIP = 0.22  # darkness at the gum, where the lip's shade lies
_LONGER = 1.0  # millimetres by which a person's upper teeth may be longer than the average's
# Standard deviations between people, at the lower end of what dental anatomy gives, since neighbours agree: of sizes, as a share;
# of how far an edge stands back, millimetres; of brightness.
_VARIED, _MISPLACED, _SHADES_VARY = 0.03, 0.15, 0.025
# Darkness of the cutting edge, which lets light through; millimetres
_EDGE, _EDGE_HEIGHT = (np.array([0.15, 0.11, 0.07]), 1.2)


@dataclass(frozen=True)
class Row:
    """One row of teeth on the mean head."""

    part: Part
    edge: float
    """Height of the cutting edges, metres, head frame of the mean head."""
    front: float
    """Depth of the foremost point, metres."""
    up: float
    """Which way the crowns go from the cutting edge: 1 or -1."""
    crowns: tuple[tuple[float, float, float, float], ...]
    light: FloatArray
    """(3,) of the row: the lower one lies in its lip's shade and takes its tint."""
    shades: FloatArray = field(default_factory=lambda: np.ones((7, 2)))
    """(7, 2) brightness of each crown, from the midline backwards; on the side of -x and of +x."""


UPPER = Row(Part.TEETH_UPPER, -0.0696, 0.0192, 1.0, _UPPER, np.array([1.0, 1.0, 1.0]))
LOWER = Row(Part.TEETH_LOWER, -0.0712, 0.0182, -1.0, _LOWER, np.array([0.92, 0.87, 0.83]))
ROWS = (UPPER, LOWER)


def individual_row(row: Row, rng: np.random.Generator) -> Row:
    """A row of one person: crowns of somewhat other sizes, places and shades than the average's."""
    widths, heights, back, rounded = np.array(row.crowns).T
    count = len(widths)
    crowns = np.stack(
        [
            widths * rng.normal(1, _VARIED, count),
            heights * rng.normal(1, _VARIED, count),
            back + rng.normal(0, _MISPLACED, count),
            np.clip(rounded * rng.normal(1, 4 * _VARIED, count), 0.2, 2),
        ],
        1,
    )
    return replace(
        row,
        crowns=tuple(tuple(crown) for crown in crowns.tolist()),
        shades=rng.normal(1, _SHADES_VARY, (count, 2)),
    )


def longer_row(row: Row) -> Row:
    """A row that reaches as far as teeth of a photo may (`row_mesh`), so that it stands behind them without a gap."""
    return replace(row, edge=row.edge - _longer(row) * 1e-3)


def _longer(row: Row) -> float:
    """Millimetres."""
    return _LONGER if row.part is Part.TEETH_UPPER else 0.0


@dataclass(frozen=True)
class Strokes:
    """N upright strokes that paint a row, on the mean head."""

    places: FloatArray
    """(N, 3) metres."""
    normals: FloatArray
    """(N, 3) unit, outwards; those of the cutting edge look along the row's height."""
    across: FloatArray
    """(N, 3) unit, along the arch."""
    sigma: FloatArray
    """(N, 2) metres along the arch and along the tooth."""
    colors: FloatArray
    """(N, 3) in white light."""


def strokes(row: Row) -> Strokes:
    """A row of teeth."""
    along, across = _columns(row)
    heights = np.array(_STROKES)
    spans = np.gradient(heights)
    distance, height = (grid.ravel() for grid in np.meshgrid(along, heights, indexing="ij"))
    wide, tall = (grid.ravel() for grid in np.meshgrid(across, spans, indexing="ij"))
    near = _nearest_crown(row, distance)
    keep = height < near.length + np.where(np.abs(distance) < 30, 5.0, 2.0)  # and some gum above
    distance, height, wide, tall = distance[keep], height[keep], wide[keep], tall[keep]
    places, normals = _face_of(row, distance, height)
    face = Strokes(
        places,
        normals,
        _along(normals),
        np.c_[wide, tall] * COVERAGE * 1e-3,
        crown_color(row, distance, height),
    )

    back = np.array(_LEDGE)
    distance, behind = (grid.ravel() for grid in np.meshgrid(along[::2], back, indexing="ij"))
    wide, deep = (
        grid.ravel() for grid in np.meshgrid(2 * across[::2], np.gradient(back), indexing="ij")
    )
    places, normals = _face_of(row, distance, np.full(len(distance), 0.5))
    ledge = Strokes(
        places - 1e-3 * behind[:, None] * normals,
        np.tile([0.0, -row.up, 0.0], (len(places), 1)),
        _along(normals),
        np.c_[wide, deep] * COVERAGE * 1e-3,
        crown_color(row, distance, np.full(len(distance), 2.0)) * (0.95 - 0.04 * behind)[:, None],
    )
    return Strokes(
        *(np.concatenate(pair) for pair in zip(_fields(face), _fields(ledge), strict=True))
    )


def crown_color(row: Row, along: FloatArray, height: FloatArray) -> FloatArray:
    """Colour of points on a row in white light: enamel, shaded between teeth, warm at the neck, then gum; darker at the sides.

    along: (N,) millimetres from the midline along the arch, signed; height: (N,) millimetres from the cutting edge. (N, 3).
    """
    crown = _nearest_crown(row, along)
    between = np.exp(-((crown.to_side / _SEAM_WIDTH) ** 2))
    length = crown.length - _SCALLOP * np.abs(crown.place) ** 3
    share = np.clip(height / length, 0, 1.2)[:, None]
    tooth = ENAMEL * (1 - _SEAM * between)[:, None] * (1 - (1 - _NECK) * ramp(share, 0.35, 1.0))
    tooth = tooth * (1 - _EDGE * np.exp(-((np.clip(height, 0, None) / _EDGE_HEIGHT) ** 2))[:, None])
    tooth = tooth * row.shades[crown.number, (along > 0).astype(int)][:, None]
    gum = ramp(height - length, -0.5, 0.7)[:, None]
    color = (tooth * (1 - gum) + _GUM * gum) * (1 - _UNDER_LIP * ramp(share, 0.3, 1.1))
    aside = ramp(np.abs(along), *_SHADED)[:, None]
    return color * (1 - aside * (1 - _CORNER)) * row.light


def painted_row(
    geometry: PhotoGeometry, row: Row, light: FloatArray, seen: Float32Array | None = None
) -> Layer:
    """A row of teeth in a person's mouth.

    light: (3,) over white; seen: (H, W) in [0, 1], confidence that the photo shows the inside of the mouth. There
    refinement may change lower teeth, and upper ones at the sides: the corners of a smile are dark, and so is the gap between
    the rows. Upper front teeth would take the dark between the photographed ones.
    """
    drawn = strokes(row)
    carry = _to_person(geometry, row.part)
    means = np.c_[drawn.places, np.ones(len(drawn.places))] @ carry
    normals, across = (
        normalized(directions @ carry[:3]) for directions in (drawn.normals, drawn.across)
    )
    triangles = (
        carriers(geometry, row.part, means, normals) if row.part is Part.TEETH_LOWER else None
    )
    taken = np.zeros(len(means))
    if seen is not None:
        dark = ramp(np.abs(drawn.places[:, 0]), *_ASIDE) if row.part is Part.TEETH_UPPER else 1.0
        taken = dark * sample(seen, geometry.camera.project(means))
    return surface_layer(
        means,
        normals,
        drawn.sigma,
        drawn.colors * light,
        Region.TEETH,
        along=across,
        triangles=triangles,
        thickness=0.5,
        freedom=0.0,
        color_freedom=taken,
        least_opacity=0.9,
    )


def row_mesh(geometry: PhotoGeometry, row: Row) -> tuple[Float32Array, Int32Array]:
    """The front of a row as a mesh in the person's mouth: vertices (V, 3) metres, camera frame, and triangles (T, 3).

    The upper row reaches `_LONGER` past its edge, for people whose teeth are longer than the average's.
    """
    along = np.linspace(-34, 34, 69)
    heights = np.array([-_longer(row), 3.0, 6.0, 9.0, 12.0])
    distance, height = (grid.ravel() for grid in np.meshgrid(along, heights, indexing="ij"))
    vertices = np.c_[_face_of(row, distance, height)[0], np.ones(len(distance))] @ _to_person(
        geometry, row.part
    )
    corner = (
        np.arange(len(along) - 1)[:, None] * len(heights) + np.arange(len(heights) - 1)
    ).ravel()
    a, b, c, d = corner, corner + 1, corner + len(heights), corner + len(heights) + 1
    return vertices.astype(np.float32), np.r_[np.c_[a, c, b], np.c_[b, c, d]].astype(np.int32)


def carriers(
    geometry: PhotoGeometry, part: Part, means: FloatArray, normals: FloatArray
) -> Int32Array:
    """(N,) triangles of a row that lie as the strokes do; a jaw is stiff, so it matters little how near they are."""
    rows = np.nonzero(geometry.rig.parts == part)[0]
    corners = geometry.vertices[geometry.rig.triangles[rows]].astype(np.float64)
    facing = normalized(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    cost = np.linalg.norm(corners.mean(1)[None] - means[:, None], axis=2) + 0.05 * (
        1 - np.abs(normals @ facing.T)
    )
    return rows[np.argmin(cost, axis=1)].astype(np.int32)


def _fields(drawn: Strokes) -> tuple[FloatArray, ...]:
    return drawn.places, drawn.normals, drawn.across, drawn.sigma, drawn.colors


def _along(normals: FloatArray) -> FloatArray:
    """Unit directions (N, 3) along the arch, of outward normals (N, 3) of its front."""
    return normalized(np.cross([[0.0, 1.0, 0.0]], normals))


@dataclass(frozen=True)
class _Crowns:
    """The crown at each of N places of a row."""

    number: Int32Array  # (N,) from the midline
    place: FloatArray  # (N,) across it, -1 .. 1
    to_side: FloatArray  # (N,) millimetres to the nearest border between two
    length: FloatArray  # (N,) millimetres
    set_back: FloatArray  # (N,) millimetres of the cutting edge
    rounded: FloatArray  # (N,) likewise at its sides


def _nearest_crown(row: Row, along: FloatArray) -> _Crowns:
    widths, lengths, back, rounded = np.array(row.crowns).T
    borders = np.r_[0.0, np.cumsum(widths)]
    which = np.clip(np.searchsorted(borders, np.abs(along), side="right") - 1, 0, len(widths) - 1)
    place = np.clip(2 * (np.abs(along) - borders[which]) / widths[which] - 1, -1, 1)
    return _Crowns(
        which.astype(np.int32),
        place,
        (1 - np.abs(place)) * widths[which] / 2,
        lengths[which],
        back[which],
        rounded[which],
    )


def _columns(row: Row) -> tuple[FloatArray, FloatArray]:
    """Where columns of strokes stand along the arch, and how far apart; the same number on both sides of every border."""
    places: list[float] = []
    steps: list[float] = []
    start = 0.0
    for number, (width, *_) in enumerate(row.crowns):
        count = round(width / (_FRONT if number < 3 else _BACK))
        places += [start + width * (k + 0.5) / count for k in range(count)]
        steps += [width / count] * count
        start += width
    one = np.array(places)
    return np.r_[-one[::-1], one], np.r_[steps[::-1], steps]


def _face_of(row: Row, along: FloatArray, height: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places (N, 3) and outward normals (N, 3) of a row's front on the mean head."""
    x = np.linspace(0, 40.0, 801)
    z = -0.020 * x**2 - 1.1e-5 * x**4
    arch = np.r_[0.0, np.cumsum(np.hypot(np.diff(x), np.diff(z)))]
    across, back = np.interp(np.abs(along), arch, x), np.interp(np.abs(along), arch, z)
    slope = 0.040 * across + 4.4e-5 * across**3
    normals = normalized(np.c_[np.sign(along) * slope, np.zeros(len(along)), np.ones(len(along))])
    crown = _nearest_crown(row, along)
    edge = crown.set_back + crown.rounded * np.abs(crown.place) ** 3
    points = np.c_[np.sign(along) * across, row.up * (height + edge), back]
    points -= (
        normals * (_ROUND * crown.place**2 + 0.02 * (np.clip(height, 0, 9) - 3.5) ** 2)[:, None]
    )
    return points * 1e-3 + [0.0, row.edge, row.front], normals


def _to_person(geometry: PhotoGeometry, part: Part) -> FloatArray:
    """(4, 3) from the mean head to the person's, camera frame: the best affine map of a row's vertices; they fit to 0.1 mm."""
    of_row = vertices_of(geometry.rig, part)
    template = geometry.template[of_row].astype(np.float64)
    return np.linalg.lstsq(
        np.c_[template, np.ones(len(template))],
        geometry.vertices[of_row].astype(np.float64),
        rcond=None,
    )[0]
