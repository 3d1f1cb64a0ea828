"""`perse-live attribute measure`: metrics of an avatar's attributes and their fades."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from tyro.conf import Positional, arg

from perse_live.cli.console import print_json, printable, step_progress
from perse_live.cli.measure_dataset import PERSE, Models, run_on_dataset
from perse_live.cli.options import JsonSwitch
from perse_live.errors import UserError

if TYPE_CHECKING:
    from perse_live.arrays import UInt8Array
    from perse_live.avatar import Avatar
    from perse_live.evaluation.distribution import DistributionDistances
    from perse_live.evaluation.fades import FadeScores
    from perse_live.evaluation.hair_fades import HairFadeScores
    from perse_live.evaluation.identity import IdentityModel
    from perse_live.evaluation.unseen import UnseenScores
    from runtime.stage import Motion, Stage

_TURN = 25.0  # degrees
_BACKDROP = (0.5, 0.5, 0.5)
_UNSEEN_SHARES = (0.4, 0.6, 0.85, 1.0)


@dataclass(frozen=True)
class AttributeMeasure:
    """Measure fades of attributes: evenness, sharpness, and changes outside of their part of the picture."""

    avatars: Annotated[Positional[tuple[Path, ...]], arg(metavar="AVATAR")]
    """Avatar files (.perse)."""
    dataset: Annotated[Path | None, arg(metavar="DIR")] = None
    """Measure an avatar against the test split of a data set, by PERSE's table, instead of its fades."""
    only: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Measure only these attributes."""
    identity_model: Annotated[Path | None, arg(metavar="FILE")] = None
    """A face-embedding model that you supply, in ONNX; see perse-live eval --help."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Measured:
    """One attribute of one avatar."""

    avatar: str
    name: str
    slot: str
    views: dict[str, FadeScores]
    identity: float | None
    unseen: UnseenScores | None
    hair: dict[str, HairFadeScores] | None
    """By view; None for what neither adds nor hides hair."""

    def worst(
        self, pick: Callable[[FadeScores], float], choose: Callable[[Sequence[float]], float]
    ) -> float:
        """Of the views."""
        return choose([pick(view) for view in self.views.values()])


def run(command: AttributeMeasure) -> None:
    """Measure, and print what was measured."""
    from perse_live.avatar import load_avatar
    from perse_live.evaluation.distribution import distribution_distances, find_inception_weights
    from perse_live.evaluation.identity import find_identity_model
    from perse_live.evaluation.perceptual import PerceptualDistance, find_alexnet_weights

    if not command.avatars:
        raise UserError(
            "no avatar is named: give a .perse file; see perse-live attribute measure --help"
        )
    identity, weights = find_identity_model(command.identity_model), find_inception_weights()
    if command.dataset is not None:
        path, *others = command.avatars
        if others:
            raise UserError("--dataset is about one avatar's looks: name one avatar")
        perceptual = find_alexnet_weights()
        models = Models(
            identity, None if perceptual is None else PerceptualDistance(perceptual), weights
        )
        run_on_dataset(path, command.dataset, command.only, models, as_json=command.json)
        return
    results: list[Measured] = []
    ends: list[UInt8Array] = []
    between: list[UInt8Array] = []
    with step_progress() as progress:
        for path in command.avatars:
            avatar = load_avatar(path)
            names = _chosen(avatar, command.only, path)
            for k, name in enumerate(names):
                progress(f"{path.name}: measuring {len(names)} attributes", k / len(names))
                result, pictures = measured(avatar, path.stem, name, identity)
                results.append(result)
                if weights is not None:
                    ends += [pictures[0], pictures[-1]]
                    between += [pictures[k] for k in (5, 10, 15)]
        spread = None
        if weights is not None:
            progress("FID and KID", 0.0)
            spread = distribution_distances(ends, between, weights=weights)
    summary = _summary(results)
    if command.json:
        print_json(
            {
                "attributes": [asdict(one) for one in results],
                "summary": summary,
                "identity_model": None if identity is None else identity.name,
                "fid_kid": None if spread is None else asdict(spread),
                "perse_published": PERSE,
            }
        )
        return
    _print(results, summary, spread, identity)


def _chosen(avatar: Avatar, only: Sequence[str], path: Path) -> list[str]:
    there = [one.name for one in avatar.attributes]
    if not there:
        raise UserError(f"{path} has no attributes: perse-live attribute add {path} default")
    for name in only:
        if name not in there:
            raise UserError(f"{path} has no attribute {name}: it has {', '.join(there)}")
    return [name for name in there if not only or name in only]


def measured(
    avatar: Avatar, file: str, name: str, identity: IdentityModel | None
) -> tuple[Measured, list[UInt8Array]]:
    """Fade one attribute in, seen from three sides. Returns the figures, and the fade seen from the front."""
    from perse_live.attribute_blending import with_attributes
    from perse_live.avatar import painted
    from perse_live.evaluation.fades import STEPS, belonging, fade_scores, part_of
    from runtime.stage import Stage

    views = _views(avatar)
    stage = Stage(avatar, avatar.source.camera, threads=2)
    films: dict[str, list[UInt8Array]] = {view: [] for view in views}
    for k in range(STEPS + 1):
        stage.set_avatar(with_attributes(avatar, avatar.attributes, {name: k / STEPS}))
        for view, motion in views.items():
            films[view].append(stage.draw(motion, background=_BACKDROP).copy())
    blended = with_attributes(avatar, avatar.attributes, {name: 1.0})
    ours = belonging(avatar, blended)
    on, free = len(avatar.surface.triangles), len(avatar.rigid.means)
    own = np.concatenate(
        [ours[:on], ours[len(blended.surface.triangles) : len(blended.surface.triangles) + free]]
    )
    scores: dict[str, FadeScores] = {}
    marked = {view: [] for view in views}
    for shown, mask in ((avatar, own), (blended, ours)):
        stage.set_avatar(painted(shown, mask))
        for view, motion in views.items():
            marked[view].append(stage.draw(motion, background=(0.0, 0.0, 0.0)).copy())
    for view, film in films.items():
        scores[view] = fade_scores(film, part_of(marked[view]))
    slot = next(one.slot for one in avatar.attributes if one.name == name)
    front = films["front"]
    return Measured(
        file,
        name,
        slot,
        scores,
        _likeness(front[0], front[-1], identity),
        _unseen(avatar, name, stage),
        _hair(avatar, name, stage, views) if slot == "hair" else None,
    ), front


def _hair(
    avatar: Avatar, name: str, stage: Stage, views: Mapping[str, Motion]
) -> dict[str, HairFadeScores] | None:
    """Masks of hair and skin on the way to a look of another hairstyle."""
    from perse_live.attribute_blending import with_attributes
    from perse_live.avatar import painted
    from perse_live.evaluation.hair_fades import WEIGHTS, hair_fade_scores, is_hair, is_skin

    way = [
        with_attributes(avatar, avatar.attributes, {name: weight}) for weight in (0, *WEIGHTS, 1)
    ]
    if len(way[-1]) == len(avatar) and not (way[-1].opacities == 0)[is_hair(avatar)].any():
        return None
    films: dict[str, tuple[list[UInt8Array], list[UInt8Array]]] = {view: ([], []) for view in views}
    for blended in way:
        for k, mask in enumerate((is_hair(blended), is_skin(blended))):
            stage.set_avatar(painted(blended, mask))
            for view, motion in views.items():
                films[view][k].append(stage.draw(motion, background=(0.0, 0.0, 0.0)).copy())
    return {view: hair_fade_scores(*film) for view, film in films.items()}


def _unseen(avatar: Avatar, name: str, stage: Stage) -> UnseenScores | None:
    """The network's pictures against the teacher's, as far on its way, in poses and expressions that training does not draw.

    None for looks that are not built in, whose teacher nobody kept, and where the builder's packages are missing.
    """
    from perse_live.attribute_blending import with_attributes
    from perse_live.attributes import LearnedAttribute
    from perse_live.evaluation.unseen import UnseenFrame, changed_part, unseen_scores
    from perse_live.head.expressions import expression
    from runtime.stage import Motion, facing_pose

    try:
        from offline.looks.registry import builders
        from offline.training.target import Taught
    except ModuleNotFoundError:
        return None
    bare = replace(avatar, attributes=())
    try:
        taught = Taught(bare, builders()[name](bare))
    except (KeyError, UserError):
        return None
    learned = next(
        replace(one, pace=None)
        for one in avatar.attributes
        if isinstance(one, LearnedAttribute) and one.name == name
    )
    still = np.zeros((2, 2), np.float32)
    motions = [
        Motion(
            expression(mouthSmileLeft=0.5, mouthSmileRight=0.5, browInnerUp=0.6),
            still,
            facing_pose(avatar, yaw=12),
        ),
        Motion(expression(jawOpen=0.25, mouthPucker=0.5), still, facing_pose(avatar, yaw=-17)),
        Motion(expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), still, facing_pose(avatar, yaw=4)),
    ]
    frames: list[UnseenFrame] = []
    for weight in _UNSEEN_SHARES:
        pictures: list[list[UInt8Array]] = []
        for look in (
            avatar,
            taught.at(weight),
            with_attributes(avatar, (learned,), {name: weight}),
        ):
            stage.set_avatar(look)
            pictures.append([stage.draw(motion, background=_BACKDROP).copy() for motion in motions])
        frames += [
            UnseenFrame(changed_part(bare_so, taught_so), taught_so, learnt_so)
            for bare_so, taught_so, learnt_so in zip(*pictures, strict=True)
        ]
    return unseen_scores(frames)


def _views(avatar: Avatar) -> Mapping[str, Motion]:
    from perse_live.head.expressions import expression
    from runtime.stage import Motion, facing_pose

    resting, still = expression(), np.zeros((2, 2), np.float32)
    talking = expression(
        jawOpen=0.45,
        mouthSmileLeft=0.7,
        mouthSmileRight=0.7,
        cheekSquintLeft=0.3,
        cheekSquintRight=0.3,
    )
    front, turned = facing_pose(avatar), facing_pose(avatar, yaw=_TURN)
    return {
        "front": Motion(resting, still, front),
        "turned": Motion(resting, still, turned),
        "talking": Motion(talking, still, front),
    }


def _likeness(off: UInt8Array, on: UInt8Array, identity: IdentityModel | None) -> float | None:
    """Cosine of the faces without and with an attribute; None without a model, or where a face is not found."""
    from perse_live.detect import detect_faces

    if identity is None:
        return None
    vectors: list[np.ndarray] = []
    for picture in (off, on):
        faces = detect_faces(picture)
        if not faces:
            return None
        vectors.append(identity.embed(picture, faces[0]))
    return float(vectors[0] @ vectors[1])


def _summary(results: Sequence[Measured]) -> dict[str, float | None]:
    """Over all attributes and views: the worst where the aim is a bound, means elsewhere."""
    views = [view for one in results for view in one.views.values()]
    likeness = [one.identity for one in results if one.identity is not None]
    unseen = [one.unseen for one in results if one.unseen is not None]
    hair = [view for one in results if one.hair is not None for view in one.hair.values()]
    return {
        "outside_psnr_least": min(view.outside_psnr for view in views),
        "step_ratio_largest": max(view.step_ratio for view in views),
        "step_ratio_mean": float(np.mean([view.step_ratio for view in views])),
        "sharpness_mean": float(np.mean([view.sharpness for view in views])),
        "crossfade_sharpness_mean": float(np.mean([view.crossfade_sharpness for view in views])),
        "pdv_mean": float(np.mean([view.pdv for view in views])),
        "path_length_mean": float(np.mean([view.path_length for view in views])),
        "detour_mean": float(np.mean([view.detour for view in views])),
        "identity_least": min(likeness) if likeness else None,
        "hair_bared_largest": max(one.bared for one in hair) if hair else None,
        "hair_strayed_largest": max(one.strayed for one in hair) if hair else None,
        "hair_pieces_most": max(one.pieces for one in hair) if hair else None,
        "unseen_psnr_mean": float(np.mean([one.psnr for one in unseen])) if unseen else None,
        "unseen_ssim_mean": float(np.mean([one.ssim for one in unseen])) if unseen else None,
        "unseen_part_psnr_mean": float(np.mean([one.part_psnr for one in unseen]))
        if unseen
        else None,
        "unseen_part_ssim_mean": float(np.mean([one.part_ssim for one in unseen]))
        if unseen
        else None,
    }


def _print(
    results: Sequence[Measured],
    summary: Mapping[str, float | None],
    spread: DistributionDistances | None,
    identity: IdentityModel | None,
) -> None:
    print(
        f"{'avatar':<16} {'attribute':<20} {'outside dB':>10} {'part %':>7} {'step':>6} {'sharp':>6} {'faded':>6} {'PDV':>7}"
        f" {'1e3 path':>8} {'detour':>6} {'id':>6} {'unseen':>6} {'ssim':>5} {'part':>5} {'ssim':>5}"
        f" {'bared %':>7} {'stray %':>7} {'pieces':>6}"
    )
    for one in results:
        print(
            f"{printable(one.avatar)[:16]:<16} {one.name[:20]:<20}"
            f" {one.worst(lambda v: v.outside_psnr, min):>10.1f} {100 * one.worst(lambda v: v.part_share, max):>7.1f}"
            f" {one.worst(lambda v: v.step_ratio, max):>6.2f} {one.worst(lambda v: v.sharpness, min):>6.2f}"
            f" {one.worst(lambda v: v.crossfade_sharpness, min):>6.2f} {one.worst(lambda v: v.pdv, max):>7.2f}"
            f" {1e3 * one.worst(lambda v: v.path_length, max):>8.3f} {one.worst(lambda v: v.detour, max):>6.2f}"
            f" {'-' if one.identity is None else f'{one.identity:.3f}':>6} {_unseen_columns(one.unseen)}"
            f" {_hair_columns(one.hair)}"
        )
    print(
        "; ".join(
            f"{name.replace('_', ' ')} {value:.3f}"
            for name, value in summary.items()
            if value is not None
        )
    )
    print(
        "worst of front, turned by 25 degrees and talking; step: largest over mean of 20; sharp, faded: in-betweens of ours and"
        " of a plain cross-fade, 1 is as sharp as the ends"
    )
    print(
        "PDV, path: PERSE's PDV x 100 and PPL in form, with a distance of colours and gradients in LPIPS' place: not comparable"
        f" with its {PERSE['pdv']} and {PERSE['ppl']}; see docs/measures.md"
    )
    print(
        "unseen: PSNR and SSIM of the network's pictures against the teacher's, whole and only what the look changes, at poses"
        f" and expressions that training does not draw (PERSE, on its data: {PERSE['psnr']}, {PERSE['ssim']})"
    )
    print(
        "bared, stray, pieces: of other hairstyles at 1/4, 1/2 and 3/4, skin where neither end shows any and hair where both show"
        " skin, over the hair's pixels, and connected parts of the hair beyond those of the ends"
    )
    if identity is None:
        print("id: not measured without an identity model")
    if spread is None:
        print(
            "FID, KID: not measured without the Inception network's weights; see docs/measures.md"
        )
    else:
        print(
            f"FID {spread.fid:.1f}, KID {spread.kid:.4f} of in-betweens against both ends (PERSE: {PERSE['fid_syn']},"
            f" {PERSE['kid_syn']}, on its data)"
        )


def _unseen_columns(unseen: UnseenScores | None) -> str:
    if unseen is None:
        return f"{'-':>6} {'-':>5} {'-':>5} {'-':>5}"
    return (
        f"{unseen.psnr:>6.1f} {unseen.ssim:>5.3f} {unseen.part_psnr:>5.1f} {unseen.part_ssim:>5.3f}"
    )


def _hair_columns(hair: Mapping[str, HairFadeScores] | None) -> str:
    if hair is None:
        return f"{'-':>7} {'-':>7} {'-':>6}"
    bared, strayed = (
        max(getattr(view, name) for view in hair.values()) for name in ("bared", "strayed")
    )
    return (
        f"{100 * bared:>7.2f} {100 * strayed:>7.2f} {max(view.pieces for view in hair.values()):>6}"
    )
