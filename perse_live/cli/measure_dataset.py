"""`perse-live attribute measure AVATAR --dataset DIR`: looks against a data set's test split, by PERSE's table (CVPR 2025).

Unseen pose: the avatar in the look, in the poses and expressions of the test frames, against these. In-betweens: fades between
two looks of a category, or from none to one where the data set has one of it only; as PERSE measures, by how evenly pictures
change, and by how far in-betweens lie from the data set's pictures of the category.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from perse_live.cli.console import print_json, printable, step_progress
from perse_live.errors import UserError

if TYPE_CHECKING:
    from offline.dataset.layout import Dataset, DatasetFrame, DatasetLook
    from perse_live.arrays import UInt8Array
    from perse_live.avatar import Avatar
    from perse_live.evaluation.fades import FadeScores
    from perse_live.evaluation.identity import IdentityModel
    from perse_live.evaluation.perceptual import PerceptualDistance
    from perse_live.evaluation.unseen import UnseenScores

PERSE = {
    "psnr": 23.84,
    "ssim": 0.885,
    "lpips": 0.146,
    "id": 0.706,
    "fid_syn": 57.8,
    "kid_syn": 0.042,
    "ppl": 0.331,
    "pdv": 0.248,
}
"""What PERSE (CVPR 2025) publishes; on other data, with other distances: see docs/measures.md."""

_PART = 20  # of 255, of a part's mask, from which a pixel belongs to it
_CHANGED = 4  # of 255, by which a pixel of a fade changes to belong to its part
_MARGIN = 9  # pixels across, by which that is widened
_POSES = 4  # test frames in whose poses fades are drawn
_BETWEEN = (3, 7, 10, 13, 17)  # of the 20 steps of a fade: nearest to PERSE's shares 1/6 to 5/6
_MAX_REAL = 64  # pictures of a category that in-betweens are compared with


@dataclass(frozen=True)
class Models:
    """What is measured with files of the user's."""

    identity: IdentityModel | None
    perceptual: PerceptualDistance | None
    inception: Path | None


@dataclass(frozen=True)
class LookScores:
    """One look in unseen poses."""

    name: str
    category: str
    frames: int
    unseen: UnseenScores
    lpips: float | None
    identity: float | None


@dataclass(frozen=True)
class CategoryScores:
    """The in-betweens of a category, means over its fades and poses."""

    category: str
    fades: int
    sharpness: float
    step_ratio: float
    pdv: float
    path_length: float
    fid: float | None
    kid: float | None


def run_on_dataset(
    path: Path,
    root: Path,
    only: Sequence[str],
    models: Models,
    *,
    as_json: bool,
) -> None:
    """Measure an avatar's looks that a data set shows, and print what was measured.

    Raises UserError, one line, where the data set cannot be read, or shows none of the avatar's looks.
    """
    from offline.dataset.reading import read_dataset
    from perse_live.avatar import load_avatar

    avatar, dataset = load_avatar(path), read_dataset(root)
    looks = _shared_looks(avatar, dataset, only, path)
    with step_progress() as progress:
        scores: list[LookScores] = []
        for number, look in enumerate(looks):
            progress("unseen poses", number / len(looks))
            scores.append(look_scores(avatar, look, models))
        categories = sorted({one.category for one in scores})
        between: list[CategoryScores] = []
        for number, category in enumerate(categories):
            progress("in-betweens", number / len(categories))
            mine = [look for look in looks if _category(look) == category]
            between.append(category_scores(avatar, category, mine, models))
    if as_json:
        print_json(
            {
                "avatar": str(path),
                "dataset": str(root),
                "looks": [asdict(one) for one in scores],
                "in_betweens": [asdict(one) for one in between],
                "mean": _means(scores),
                "perse_published": PERSE,
            }
        )
        return
    _print(scores, between, models)


def look_scores(avatar: Avatar, look: DatasetLook, models: Models) -> LookScores:
    """A look of the avatar against the test split's pictures of it."""
    from offline.dataset.reading import read_grey, read_rgb
    from perse_live.evaluation.unseen import UnseenFrame, unseen_scores

    frames = look.split("test")
    draw = _drawer(avatar, frames[0], {look.name: 1.0})
    pairs: list[UnseenFrame] = []
    for frame in frames:
        shown = read_rgb(frame.files.rgb)
        part = np.ones(shown.shape[:2], np.bool_)
        if frame.files.part is not None:
            part = read_grey(frame.files.part) > _PART
        pairs.append(UnseenFrame(part, shown, draw(frame)))
    lpips = models.perceptual
    alike = [
        value for one in pairs if (value := _likeness(one.taught, one.learnt, models.identity))
    ]
    return LookScores(
        look.name,
        _category(look),
        len(pairs),
        unseen_scores(pairs),
        None if lpips is None else float(np.mean([lpips(p.taught, p.learnt) for p in pairs])),
        float(np.mean(alike)) if alike else None,
    )


def category_scores(
    avatar: Avatar, category: str, looks: Sequence[DatasetLook], models: Models
) -> CategoryScores:
    """Fades between the looks of a category, in poses of the test split."""
    from offline.dataset.reading import read_rgb
    from perse_live.evaluation.distribution import distribution_distances
    from perse_live.evaluation.fades import fade_scores

    pairs = list(itertools.combinations([look.name for look in looks], 2))
    fades: list[tuple[str | None, str]] = [*pairs] if pairs else [(None, looks[0].name)]
    frames = looks[0].split("test")
    poses = [frames[len(frames) * k // _POSES] for k in range(min(_POSES, len(frames)))]
    scores: list[FadeScores] = []
    made: list[UInt8Array] = []
    for first, last in fades:
        for film in fade(avatar, poses, first, last):
            part = _changing(film)
            scores.append(fade_scores(film, part, models.perceptual))
            made += [film[k] for k in _BETWEEN]
    spread = None
    if models.inception is not None:
        paths = [frame.files.rgb for look in looks for frame in look.split("test")]
        real = [read_rgb(one) for one in paths[:: -(-len(paths) // _MAX_REAL)]]
        spread = distribution_distances(real, made, weights=models.inception)

    def mean(pick: Callable[[FadeScores], float]) -> float:
        return float(np.mean([pick(one) for one in scores]))

    return CategoryScores(
        category,
        len(fades),
        mean(lambda one: one.sharpness),
        mean(lambda one: one.step_ratio),
        mean(lambda one: one.pdv),
        mean(lambda one: one.path_length),
        None if spread is None else spread.fid,
        None if spread is None else spread.kid,
    )


def fade(
    avatar: Avatar, poses: Sequence[DatasetFrame], first: str | None, last: str
) -> list[list[UInt8Array]]:
    """Pictures from one look (None: no look) to another at even weights, `STEPS` + 1 in each pose."""
    from perse_live.evaluation.fades import STEPS

    films: list[list[UInt8Array]] = [[] for _ in poses]
    for step in range(STEPS + 1):
        share = step / STEPS
        weights = {last: share} if first is None else {first: 1 - share, last: share}
        draw = _drawer(avatar, poses[0], weights)
        for film, pose in zip(films, poses, strict=True):
            film.append(draw(pose))
    return films


def _drawer(
    avatar: Avatar, like: DatasetFrame, weights: Mapping[str, float]
) -> Callable[[DatasetFrame], UInt8Array]:
    """Draws the avatar with attributes at weights, through a frame's camera and over its background."""
    from offline.dataset.layout import BACKGROUND
    from perse_live.attribute_blending import with_attributes
    from runtime.stage import Motion, Stage

    stage = Stage(with_attributes(avatar, avatar.attributes, weights), like.camera, threads=2)
    red, green, blue = (channel / 255 for channel in like.background or BACKGROUND)

    def draw(frame: DatasetFrame) -> UInt8Array:
        motion = Motion(frame.expression, frame.gaze, frame.pose)
        return stage.draw(motion, background=(red, green, blue)).copy()

    return draw


def _changing(film: Sequence[UInt8Array]) -> np.ndarray:
    """(H, W) the pixels that a fade changes, and a few around them."""
    least, most = np.min(film, 0), np.max(film, 0)
    changed = (most.astype(np.int16) - least).max(2) > _CHANGED
    kernel = np.ones((_MARGIN, _MARGIN), np.uint8)
    return np.asarray(cv2.dilate(changed.astype(np.uint8), kernel) > 0)


def _shared_looks(
    avatar: Avatar, dataset: Dataset, only: Sequence[str], path: Path
) -> list[DatasetLook]:
    names = [one.name for one in avatar.attributes]
    there = {look.name: look for look in dataset.looks if look.split("test")}
    for name in only:
        if name not in names or name not in there:
            raise UserError(
                f"{name[:40]!r} is not an attribute of {path} that the test split of {dataset.root} shows"
            )
    found = [there[name] for name in names if name in there and (not only or name in only)]
    if not found:
        raise UserError(
            f"the test split of {dataset.root} shows none of the attributes of {path}:"
            f" perse-live attribute learn {path} --dataset {dataset.root}"
        )
    return found


def _category(look: DatasetLook) -> str:
    entry = look.entry
    return "other" if entry is None else entry.category or entry.slot or "other"


def _likeness(one: UInt8Array, other: UInt8Array, identity: IdentityModel | None) -> float | None:
    """Cosine of the faces in two pictures; None without a model, or where a face is not found."""
    from perse_live.detect import detect_faces

    if identity is None:
        return None
    vectors: list[np.ndarray] = []
    for picture in (one, other):
        faces = detect_faces(picture)
        if not faces:
            return None
        vectors.append(identity.embed(picture, faces[0]))
    return float(vectors[0] @ vectors[1])


def _means(scores: Sequence[LookScores]) -> dict[str, float | None]:
    """Over all looks."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return {
        "psnr": mean([one.unseen.psnr for one in scores]),
        "ssim": mean([one.unseen.ssim for one in scores]),
        "part_psnr": mean([one.unseen.part_psnr for one in scores]),
        "part_ssim": mean([one.unseen.part_ssim for one in scores]),
        "lpips": mean([one.lpips for one in scores]),
        "id": mean([one.identity for one in scores]),
    }


def _number(value: float | None, digits: int, width: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"


def _print(scores: Sequence[LookScores], between: Sequence[CategoryScores], models: Models) -> None:
    print("unseen pose, test split")
    print(
        f"{'category':<12} {'look':<22} {'frames':>6} {'PSNR':>6} {'SSIM':>6} {'part':>6} {'SSIM':>6} {'LPIPS':>6} {'id':>6}"
    )
    means = _means(scores)
    rows = [
        (one.category, one.name, str(one.frames), asdict(one.unseen), one.lpips, one.identity)
        for one in sorted(scores, key=lambda one: one.category)
    ]
    rows.append(("mean", "", "", means, means["lpips"], means["id"]))
    rows.append(("PERSE", "on its data", "", PERSE, PERSE["lpips"], PERSE["id"]))
    for category, name, frames, figures, lpips, alike in rows:
        print(
            f"{category:<12} {printable(name)[:22]:<22} {frames:>6} {_number(figures.get('psnr'), 2, 6)}"
            f" {_number(figures.get('ssim'), 3, 6)} {_number(figures.get('part_psnr'), 2, 6)}"
            f" {_number(figures.get('part_ssim'), 3, 6)} {_number(lpips, 3, 6)} {_number(alike, 3, 6)}"
        )
    print("in-betweens of a category")
    print(
        f"{'category':<12} {'fades':>6} {'sharp':>6} {'step':>6} {'PDV':>7} {'1e3 path':>8} {'FID':>6} {'KID':>6}"
    )
    for one in between:
        print(
            f"{one.category:<12} {one.fades:>6} {one.sharpness:>6.2f} {one.step_ratio:>6.2f} {one.pdv:>7.3f}"
            f" {1e3 * one.path_length:>8.3f} {_number(one.fid, 1, 6)} {_number(one.kid, 3, 6)}"
        )
    distance = "LPIPS" if models.perceptual is not None else "colours and gradients, not LPIPS"
    print(
        f"PDV and path over a distance of {distance}; PERSE on its data: PDV x 100 {PERSE['pdv']}, PPL {PERSE['ppl']},"
        f" FID {PERSE['fid_syn']}, KID {PERSE['kid_syn']}; what differs: docs/measures.md"
    )
    for missing, what in (
        (models.identity, "id: an identity model"),
        (models.perceptual, "LPIPS: AlexNet's weights"),
        (models.inception, "FID, KID: the Inception network's weights"),
    ):
        if missing is None:
            print(f"not measured, as its files are missing: {what}; see docs/measures.md")
