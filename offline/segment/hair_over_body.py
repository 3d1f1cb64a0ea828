"""Hair that hangs over shoulders and chest, told from the clothes and the skin there.

Colours alone do not tell dark roots from a dark jacket, and what lies below the chin is clothes and hair alike. So the hair's
colours are learnt beside the jaw, near its ends, together with how fine its lines are; the body's are learnt where no hair can
hang; and both again from what they explain (expectation maximisation). A random walk with priors (Grady, Multilabel random walker
image segmentation using prior models, CVPR 2005) joins pixels to the head's hair; it goes along strands rather than across them.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from offline.images import blur, dilate, erode, strand_direction
from offline.numeric import ramp
from offline.priors import PART
from offline.segment.color_mixture import color_mixture, log_likelihood
from offline.segment.contract import OPAQUE, SURE, PartMaps
from perse_live.arrays import BoolArray, Float32Array, FloatArray

_ROUNDS = 3
_LOWEST_BESIDE, _HIGHEST_BESIDE = (
    -0.05,
    0.45,
)  # face heights above the chin: hair beside jaw and cheeks
_LOW = 0.05  # face heights above the chin, below which hair may hang over the body
_SPREAD = 0.3  # face heights by which hair spreads to either side for each face height that it hangs below the chin
_BEYOND = 0.12  # face heights, standard deviation, over which hair farther out becomes unlikely
_LIKELY, _UNLIKELY = 0.5, 0.02  # probability of hair where it may hang, and elsewhere
# Share of the pixels where hair may hang from which the body's colours are learnt too, and log likelihood under the hair's
# colours below which all of them are taken
_SOME, _UNLIKE = 0.15, -10.0
_COMPONENTS = 5  # of each mixture
_CERTAIN = (
    6.0  # log odds that one pixel's colour gives at most: neighbours are no independent evidence
)
_FINE, _FINENESS = (
    6.0,
    2.5,
)  # units of Lab for each doubling of the lines' contrast; pixels, their width
_STEP = 2  # pixels between the walk's nodes
_CONTRAST = 12.0  # units of Lab that stop the walk
_ACROSS = 0.15  # weight of a step across strands; one along them has 1
_DECIDED = (0.3, 0.7)  # probabilities up to which nothing is hair, and from which all is
_OWN = 0.08  # weight of a pixel's own colour; that of a head's hair is certain


def with_hair_over_body(
    parts: PartMaps,
    image: Float32Array,  # (H, W, 3) sRGB in [0, 1]
    alpha: Float32Array,  # (H, W) the person's matte
    height: FloatArray,  # (H, W) face heights above the chin
    across: FloatArray,  # (H, W) likewise, to the picture's right of the face's axis
    oval: BoolArray,  # (H, W) the face
    unit: float,  # pixels: eye distance / 115
) -> PartMaps:
    """Parts with the hair that hangs over the body; as they are where no hair hangs beside the jaw."""
    inside = alpha > OPAQUE
    head = (parts.hair > SURE) & inside & ~dilate(oval, 3 * unit)
    beside = head & (height > _LOWEST_BESIDE) & (height < _HIGHEST_BESIDE)
    low = (alpha > 0.5) & (height < _LOW) & ~oval
    prior = _prior(beside, height, across, unit)
    if not ((prior == _LIKELY) & low).any():
        return parts
    features, face = _features(image), erode(oval, 8 * unit) & (parts.skin > SURE) & inside
    walk = _Walk(low, head, features, strand_direction(image, 3 * unit))
    nodes = features[walk.at]
    skin = log_likelihood(color_mixture(features[face], 3), nodes)
    sure, bare = (inside & low)[walk.at], parts.skin[walk.at] > SURE
    near, hair = prior[walk.at], log_likelihood(color_mixture(features[beside], _COMPONENTS), nodes)
    random = np.random.default_rng(0).random(len(near))
    of_body = (random > (1 - _SOME) * near / _LIKELY) | (hair < _UNLIKE)
    share = near
    for step in range(_ROUNDS):
        if step:
            of_body, of_hair = share < 0.5, sure & (share > SURE)
            known = np.concatenate([features[beside], nodes[of_hair]])
            hair = log_likelihood(color_mixture(known, _COMPONENTS), nodes)
        clothes = color_mixture(nodes[sure & of_body & ~bare], _COMPONENTS)
        odds = hair - np.logaddexp(log_likelihood(clothes, nodes), skin)
        own = 1 / (1 + np.exp(-np.clip(odds, -_CERTAIN, _CERTAIN)) * (1 - near) / near)
        share = walk.to_hair(own)
    hanging = _connected(walk.picture(share) * low, head)
    of_hair = parts.hair + ramp(-height, -_LOW, 0.0) * low * (hanging - parts.hair)
    rest = np.maximum(parts.skin + parts.clothes, 1e-6)
    # what was hair, and is none, is clothes
    of_skin = np.where(rest > 0.05, parts.skin / rest, 0)
    shares = ((1 - of_hair) * of_skin, of_hair, (1 - of_hair) * (1 - of_skin))
    return PartMaps(*(np.asarray(values, np.float32) for values in shares))


def _prior(beside: BoolArray, height: FloatArray, across: FloatArray, unit: float) -> FloatArray:
    """Probability (H, W) of hair by its place: below that beside the jaw (H, W), and wider the lower it hangs."""
    prior = np.full(height.shape, _UNLIKELY)
    spread = _SPREAD * np.clip(-height, 0, 1)
    for side in (-1, 1):
        outwards = across * side
        own = beside & (outwards > 0)
        if own.sum() < PART * unit**2:
            continue
        inner, outer = np.percentile(outwards[own], [3, 97])
        off = np.maximum(np.maximum(outwards - outer, inner - outwards) - spread, 0)
        likely = _LIKELY * np.exp(-0.5 * (off / _BEYOND) ** 2)
        prior = np.where(outwards > 0, np.maximum(prior, likely), prior)
    return prior


def _features(image: Float32Array) -> Float32Array:
    """(H, W, 4) Lab, and how much contrast fine lines have."""
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)
    lines = lab[..., 0] - blur(lab[..., 0], _FINENESS)
    contrast = np.sqrt(blur(lines * lines, _FINENESS))
    fineness = np.log2(contrast + np.float32(0.7))[..., None]
    return np.concatenate([lab, np.float32(_FINE) * fineness], -1, dtype=np.float32)


class _Walk:
    """A walk over pixels of head and body that goes along strands and stops at edges."""

    def __init__(
        self, low: BoolArray, head: BoolArray, features: Float32Array, flow: Float32Array
    ) -> None:
        """low, head: (H, W) the body, and the head's hair; features: (H, W, 4); flow: (H, W, 2) the strands' direction."""
        self._shape = low.shape
        lab = blur(features[..., :3], _STEP / 2)[::_STEP, ::_STEP]
        head, flow = head[::_STEP, ::_STEP], flow[::_STEP, ::_STEP]
        self._on = low[::_STEP, ::_STEP] | head
        rows, columns = np.nonzero(self._on)
        self.at = rows * _STEP, columns * _STEP
        """Rows and columns of the N nodes."""
        self._head = head[self._on]
        number = np.where(self._on, np.cumsum(self._on).reshape(self._on.shape) - 1, -1)
        height, width = number.shape
        links: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = np.s_[: height - down, max(0, -right) : width - max(0, right)]
            b = np.s_[down:, max(0, right) : width + min(0, right)]
            both = self._on[a] & self._on[b]
            along = np.abs(flow[a] @ (np.array([right, down]) / np.hypot(right, down))) ** 4
            apart = ((lab[a] - lab[b]) ** 2).sum(-1) / _CONTRAST**2
            weight = np.exp(-apart) * (_ACROSS + (1 - _ACROSS) * along) + 1e-3
            links.append((number[a][both], number[b][both], weight[both]))
        i, j, weight = (np.concatenate(values) for values in zip(*links, strict=True))
        self._own = np.where(self._head, 1.0, _OWN)
        count = len(self._own)
        walks = coo_array((np.r_[weight, weight], (np.r_[i, j], np.r_[j, i])), (count, count))
        self._solve = splu((diags_array(walks.sum(1) + self._own) - walks).tocsc()).solve

    def to_hair(self, own: FloatArray) -> FloatArray:
        """Probabilities (N,) that it ends at hair, of which the head's is certain and the body's has probability `own` (N,)."""
        return self._solve(self._own * np.where(self._head, 1.0, own))

    def picture(self, values: FloatArray) -> Float32Array:
        """Values (N,) at the nodes as a picture (H, W), 0 elsewhere."""
        out = np.zeros(self._on.shape, np.float32)
        out[self._on] = values
        return np.asarray(cv2.resize(out, self._shape[::-1]), np.float32)


def _connected(share: FloatArray, head: BoolArray) -> FloatArray:
    """Probabilities (H, W) of hair, made decided, without what is not connected to the head's hair (H, W)."""
    share = ramp(share, *_DECIDED)
    _, pieces = cv2.connectedComponents(((share > 0.5) | head).astype(np.uint8))
    hanging = np.isin(pieces, np.unique(pieces[head]))
    return np.where((share > 0.5) & ~hanging, 0, share)
