from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attribute_toys import toy_attribute
from offline.looks.edit import taught
from offline.secondary_motion import with_secondary_motion
from offline.training.base_decoder import with_decoder
from offline.training.contract import TeacherAttribute, TrainingFrame
from offline.training.fit_to_pictures import LiftConfig, free_shapes, lifted, reshaped
from offline.training.gaussian_rows import rows_of
from offline.training.learning import FitConfig, fit_attribute
from offline.training.pace import pace_of
from offline.training.rasterizers import ON_CPU, Drawing, drawing_on
from offline.training.regression import RegressionConfig
from offline.training.shots import shots_of, similarity, views_of
from offline.training.target import Taught
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Attribute, LearnedAttribute, nothing_added
from perse_live.avatar import Avatar, load_avatar, save_avatar
from perse_live.camera import Camera
from perse_live.decoder.attribute_change import UNSEEN
from perse_live.decoder.features import places_at_rest
from perse_live.decoder.network import OPACITY
from perse_live.errors import UserError
from perse_live.head.expressions import expression
from perse_live.poses import facing_pose
from perse_live.splatting import cuda
from perse_live.splatting.cpu import CpuRasterizer
from runtime.stage import Motion, Stage
from stand_in_gsplat import StandInForGsplat
from toys import toy_avatar

SHORT = FitConfig(
    RegressionConfig(steps=120, steps_in_place=100, steps_among_mates=320, drawn_steps=6),
    LiftConfig(steps=30),
)
BACK = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def bare() -> Avatar:
    return with_decoder(toy_avatar(gaussians=600))


def beard(avatar: Avatar, name: str = "beard", *, seed: int = 0) -> Attribute:
    """Near enough to its start that the toys' wild triangles do not matter."""
    look = toy_attribute(avatar, name, "beard", seed=seed, moved=0)
    near = look.added.surface_start + 0.1 * (
        look.added.surface.positions - look.added.surface_start
    )
    close = look.added.rigid_start + 0.1 * (look.added.rigid.means - look.added.rigid_start)
    return replace(
        look,
        added=replace(
            look.added,
            surface=replace(look.added.surface, positions=near),
            rigid=replace(look.added.rigid, means=close),
        ),
    )


def fitted(avatar: Avatar, look: Attribute) -> Avatar:
    return fit_attribute(avatar, taught(look), (), progress=lambda *_: None, config=SHORT)


def drawn(avatar: Avatar, size: int = 96, yaw: float = 0) -> np.ndarray:
    motion = Motion(expression(), np.zeros((2, 2), np.float32), facing_pose(avatar, yaw=yaw))
    return (
        Stage(avatar, avatar.source.camera.resized(size, size), threads=1)
        .draw(motion, background=BACK)
        .copy()
    )


def test_the_decoder_knows_what_the_avatar_looks_like_and_is_the_same_every_time(
    bare: Avatar,
) -> None:
    from offline.training.base_decoder import own_features
    from perse_live.decoder.network import decode, fold

    assert bare.decoder is not None
    again = with_decoder(replace(bare, decoder=None)).decoder
    assert again is not None
    np.testing.assert_array_equal(again.w2, bare.decoder.w2)
    out = decode(fold(bare.decoder, [], reader=None), own_features(bare), None)
    spread = np.square(bare.colors - bare.colors.mean(0)).mean()
    assert np.square(out[:, :3] - bare.colors).mean() < 0.2 * spread
    assert with_decoder(bare) is bare


def test_what_is_learnt_looks_as_the_teacher_at_full_weight_and_is_absent_at_none(
    bare: Avatar,
) -> None:
    look = beard(bare)
    learned = fitted(bare, look)
    assert with_attributes(learned, learned.attributes, {"beard": 0.0}) is learned
    taught_so, decoded = (
        with_attributes(bare, (look,), {"beard": 1.0}),
        with_attributes(learned, learned.attributes, {"beard": 1.0}),
    )
    np.testing.assert_allclose(decoded.rigid.means, taught_so.rigid.means, atol=3e-4)
    assert np.abs(decoded.colors - taught_so.colors).mean() < 0.01
    assert np.abs(decoded.opacities - taught_so.opacities).mean() < 0.03
    part = (drawn(taught_so) != drawn(bare)).any(2)
    error = (drawn(decoded).astype(float) - drawn(taught_so))[part] / 255
    assert part.sum() > 50 and -10 * np.log10(np.square(error).mean()) > 30


@pytest.mark.slow
def test_others_stay_bit_for_bit_and_one_of_the_same_name_takes_its_place(bare: Avatar) -> None:
    first = fitted(bare, beard(bare))
    second = fitted(first, beard(bare, "stubble", seed=1))
    assert [one.name for one in second.attributes] == ["beard", "stubble"]
    assert second.attributes[0] is first.attributes[0] and second.decoder is first.decoder
    again = fitted(second, beard(bare, seed=2))
    assert [one.name for one in again.attributes] == ["beard", "stubble"]
    assert (
        again.attributes[1] is second.attributes[1]
        and again.attributes[0] is not second.attributes[0]
    )
    halfway = with_attributes(second, second.attributes, {"beard": 0.5, "stubble": 0.5})
    count = len(bare.rigid.means)
    before, after = (
        with_attributes(second, second.attributes, {name: 1.0}).rigid.means[count:]
        for name in ("beard", "stubble")
    )
    mine = halfway.rigid.means[count : count + len(before)]
    # on its way to the other part, not where it was
    assert np.linalg.norm(mine.mean(0) - after.mean(0)) < np.linalg.norm(
        before.mean(0) - after.mean(0)
    )


def test_an_avatar_keeps_what_it_learnt_in_its_file(bare: Avatar, tmp_path: Path) -> None:
    look = beard(bare)
    hidden = np.arange(len(look.ids)) % 2 == 0
    learned = fitted(
        with_secondary_motion(bare),
        replace(look, opacities=np.where(hidden, 0, 1).astype(np.float32)),
    )
    save_avatar(tmp_path / "me.perse", learned)
    again = load_avatar(tmp_path / "me.perse")
    assert again.attributes[0].correctives is not None
    np.testing.assert_array_equal(again.attributes[0].correctives.kept, np.where(hidden, 0, 1))
    one, two = (
        with_attributes(avatar, avatar.attributes, {"beard": 0.7}) for avatar in (learned, again)
    )
    for name in ("colors", "opacities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(one.surface.positions, two.surface.positions)


def test_shapes_of_the_face_are_linear_and_need_no_rows(bare: Avatar) -> None:
    look = replace(toy_attribute(bare, "chin", "face", changed=0), added=nothing_added())
    learned = fitted(bare, look)
    half = with_attributes(learned, learned.attributes, {"chin": 0.5})
    moved = half.rig.vertices - bare.rig.vertices
    np.testing.assert_allclose(moved[look.vertex_ids], 0.5 * look.vertex_offsets, atol=1e-5)
    np.testing.assert_array_equal(half.colors, bare.colors)


@pytest.mark.slow
def test_tints_reach_the_hair_of_a_beard(bare: Avatar) -> None:
    from perse_live.regions import Region

    hairy = replace(
        bare,
        regions=np.where(np.arange(len(bare)) % 2 == 0, Region.HAIR, bare.regions).astype(np.uint8),
        opacities=np.full_like(bare.opacities, 0.9),
        decoder=None,
        attributes=(),
    )
    hairy = with_decoder(hairy)
    ids = np.nonzero(hairy.regions == Region.HAIR)[0].astype(np.int32)
    red = np.tile(np.array([0.8, 0.1, 0.1], np.float32), (len(ids), 1))
    nothing = toy_attribute(hairy, "hair-red", "hair", changed=0, moved=0)
    look = replace(
        nothing, ids=ids, colors=red, opacities=hairy.opacities[ids], added=nothing_added()
    )
    avatar = fitted(fitted(hairy, look), beard(hairy))
    assert isinstance(avatar.attributes[0], LearnedAttribute) and avatar.attributes[0].tints_hair
    shown = [
        with_attributes(avatar, avatar.attributes, {"beard": 1.0, "hair-red": weight}).colors[-20:]
        for weight in (0.0, 1.0)
    ]
    assert np.abs(shown[1] - red[0]).mean() < 0.35 * np.abs(shown[0] - red[0]).mean()


# ----- known from pictures only


def pictures(
    avatar: Avatar, look: Attribute, yaws: tuple[float, ...] = (0, 20, -20)
) -> list[TrainingFrame]:
    camera, frames = avatar.source.camera.resized(96, 96), []
    for yaw in yaws:
        bare, shown = (
            drawn(with_attributes(avatar, (look,), {look.name: weight}), yaw=yaw).astype(np.float32)
            for weight in (0.0, 1.0)
        )
        mask = (np.abs(shown - bare).max(2) > 1).astype(np.float32)
        frames.append(
            TrainingFrame(
                (shown / 255).astype(np.float32),
                mask,
                camera,
                facing_pose(avatar, yaw=yaw),
                expression(),
                np.zeros((2, 2), np.float32),
            )
        )
    return frames


def test_pictures_alone_teach_a_look(bare: Avatar) -> None:
    ids = np.arange(0, len(bare.surface.triangles), 2, dtype=np.int32)
    truth = replace(
        toy_attribute(bare, "paint", "make-up", changed=0, moved=0),
        added=nothing_added(),
        ids=ids,
        colors=np.clip(bare.colors[ids] + np.array([0.4, -0.2, 0.1], np.float32), 0, 1),
        opacities=bare.opacities[ids],
    )
    start = replace(truth, colors=bare.colors[ids])
    teacher = TeacherAttribute(start, known=False)
    avatar = fit_attribute(
        bare, teacher, pictures(bare, truth), progress=lambda *_: None, config=SHORT
    )
    goal, before, after = (
        drawn(one).astype(float)
        for one in (
            with_attributes(bare, (truth,), {"paint": 1.0}),
            bare,
            with_attributes(avatar, avatar.attributes, {"paint": 1.0}),
        )
    )
    assert np.square(after - goal).mean() < 0.15 * np.square(before - goal).mean()
    shown = with_attributes(avatar, avatar.attributes, {"paint": 1.0})
    # Own Gaussians only move where they may
    np.testing.assert_array_equal(shown.surface.positions, bare.surface.positions)


def test_what_was_fitted_to_pictures_is_drawn_once_more_as_it_was_fitted(bare: Avatar) -> None:
    """Colours and sizes of what is added are in the look then, and must not count twice."""
    truth = beard(bare)
    grey = np.full_like(truth.added.colors, 0.5)
    start = replace(truth, added=replace(truth.added, colors=grey))
    look, rows, shots = lifted(
        bare,
        start,
        pictures(bare, truth),
        ON_CPU,
        moves_base=False,
        config=SHORT.lift,
        told=lambda _: None,
    )
    assert np.abs(look.added.colors - grey).max() > 0.05
    motion = Motion(expression(), np.zeros((2, 2), np.float32), facing_pose(bare))
    stage = Stage(with_attributes(bare, (look,), {"beard": 1.0}), shots[0].camera, threads=1)
    expected = CpuRasterizer(shots[0].camera.width, shots[0].camera.height, threads=1).render(
        stage.pose(motion), shots[0].camera, background=shots[0].backdrop
    )
    drawn_again = shots[0].draw(rows.ends, rows.before).detach().numpy()
    np.testing.assert_allclose(drawn_again, expected / 255, atol=0.02)


def test_rotations_and_scales_of_a_fit_are_the_look_s_own_afterwards(bare: Avatar) -> None:
    """In the plane of their triangle for those on the surface, any for rigid ones; base Gaussians keep their shape."""
    truth = beard(bare)
    added = truth.added
    generator = np.random.default_rng(5)
    wide = replace(added.rigid, scales=added.rigid.scales * np.array([3, 1, 1], np.float32))
    long = added.surface.axes * np.array([3, 3, 1, 1], np.float32)
    start = replace(
        truth, added=replace(added, rigid=wide, surface=replace(added.surface, axes=long))
    )
    rows, frames = rows_of(bare, start), pictures(bare, truth)[:1]
    shapes = torch.from_numpy(generator.uniform(-0.5, 0.5, (len(rows), 6)).astype(np.float32))
    shapes = shapes * free_shapes(rows, start, (1.0, 1.0))
    assert not shapes[: rows.own].any() and shapes[rows.own :].any()
    look = replace(start, added=reshaped(bare, start.added, shapes[rows.own :]))
    expected, plain, found = (
        shots_of(bare, one, frames, ON_CPU)[0].draw(rows.ends, rows.before, change).numpy()
        for one, change in ((start, shapes), (start, None), (look, None))
    )
    assert np.abs(expected - plain).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_similarity_is_as_torch_averages_it_and_so_is_its_gradient() -> None:
    one, other = (torch.rand(21, 17, 3, generator=torch.Generator().manual_seed(k)) for k in (1, 2))

    def reference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        def mean(x: torch.Tensor) -> torch.Tensor:
            planes = x.permute(2, 0, 1)[None]
            averaged = torch.nn.functional.avg_pool2d(planes, 7, 1, 3, count_include_pad=False)
            return averaged[0].permute(1, 2, 0)

        ma, mb = mean(a), mean(b)
        va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
        above = (2 * ma * mb + 1e-4) * (2 * both + 9e-4)
        return above / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))

    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    for index in (similarity, reference):
        picture = one.clone().requires_grad_()
        value = index(picture, other)
        value.square().sum().backward()
        assert picture.grad is not None
        results.append((value.detach(), picture.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_shot_draws_what_the_wardrobe_has(bare: Avatar) -> None:
    from offline.training.contract import BACKDROP
    from offline.training.shots import shots_along

    look = beard(bare)
    rows = rows_of(bare, look)
    shot = shots_along(rows, views_of(bare, look))[0]
    motion = Motion(expression(), np.zeros((2, 2), np.float32), facing_pose(bare))
    gaussians = Stage(with_attributes(bare, (look,), {"beard": 1.0}), shot.camera, threads=1).pose(
        motion
    )
    expected = CpuRasterizer(shot.camera.width, shot.camera.height, threads=1).render(
        gaussians, shot.camera, background=BACKDROP
    )
    np.testing.assert_allclose(shot.target.numpy(), expected / 255, atol=0.02)


@pytest.mark.parametrize(
    ("change", "frames", "what"),
    [
        ({}, 0, "pictures only, and there are none"),
        (
            {
                "ids": np.array([10**6], np.int32),
                "colors": np.zeros((1, 3), np.float32),
                "opacities": np.zeros(1, np.float32),
            },
            1,
            "made for another avatar",
        ),
    ],
)
def test_what_cannot_be_learnt_is_one_clear_line(
    bare: Avatar, change: dict[str, np.ndarray], frames: int, what: str
) -> None:
    look = replace(beard(bare), **change)
    given = pictures(bare, beard(bare))[:frames]
    with pytest.raises(UserError, match=what):
        fit_attribute(
            bare, TeacherAttribute(look, known=False), given, progress=lambda *_: None, config=SHORT
        )


# ----- how it comes in


def test_a_solid_thing_comes_piece_by_piece_and_what_is_under_a_piece_goes_with_it(
    bare: Avatar,
) -> None:
    import torch

    look = toy_attribute(bare, "hat", "hat", moved=0, on_surface=0, free=60)
    times = np.linspace(0, 0.9, 60, dtype=np.float32)
    hat = replace(
        look,
        added=replace(
            look.added,
            appear=times,
            opacities=np.ones(60, np.float32),
            least_size=1.0,
            solid=True,
            rigid_start=look.added.rigid.means,
        ),
    )
    rows = rows_of(bare, hat)
    shown = rows.at(torch.full((len(rows), 1), 0.5))[rows.own :, OPACITY].numpy()
    assert (shown[times < 0.39] == 1).all() and (shown[times > 0.51] == 0).all()
    near = np.linalg.norm(
        places_at_rest(bare.rig, bare.surface, bare.rigid)[hat.ids][:, None]
        - hat.added.rigid.means[None],
        axis=2,
    ).argmin(1)
    later = rows.appear[: rows.own, 0].numpy() - times[near]
    assert (later >= 0).all() and (later < 0.1).all()


def test_hair_that_is_taken_away_goes_from_below(bare: Avatar) -> None:
    ids = np.arange(len(bare.surface.triangles), dtype=np.int32)
    nothing = replace(toy_attribute(bare, "hair-shaved", "hair", moved=0), added=nothing_added())
    rows = rows_of(
        bare,
        replace(
            nothing, ids=ids, colors=bare.colors[ids], opacities=np.zeros(len(ids), np.float32)
        ),
    )
    heights = places_at_rest(bare.rig, bare.surface, bare.rigid)[ids, 1]
    order = np.argsort(heights)
    begins = rows.appear[:, 0].numpy()[order]
    assert (np.diff(begins) >= 0).all() and begins[0] == 0
    np.testing.assert_allclose((rows.appear + rows.lasts).max(), 1, atol=1e-6)


def test_the_taught_and_the_learnt_end_alike_and_begin_with_nothing(bare: Avatar) -> None:
    look = beard(bare)
    taught_so = Taught(bare, look)
    full = with_attributes(bare, (look,), {"beard": 1.0})
    for name in ("colors", "opacities"):
        np.testing.assert_allclose(
            getattr(taught_so.at(1.0), name), getattr(full, name), atol=UNSEEN
        )
    np.testing.assert_allclose(
        taught_so.at(1.0).surface.positions, full.surface.positions, rtol=1e-3, atol=2e-3
    )
    np.testing.assert_allclose(taught_so.at(1.0).rigid.means, full.rigid.means, atol=1e-5)
    begun = taught_so.at(0.0)
    np.testing.assert_array_equal(drawn(begun), drawn(bare))


def test_a_pace_evens_out_what_the_way_does_not() -> None:
    changes = np.array([[k + 1.0 for k in range(40)], [k + 2.0 for k in range(40)]])
    pace = pace_of(changes)
    assert pace is not None and pace[0] == 0 and pace[-1] == 1 and (np.diff(pace) > 0).all()
    gone = np.interp(
        pace, np.linspace(0, 1, 41), np.concatenate([[0], np.cumsum(changes[0])]) / changes[0].sum()
    )
    assert np.diff(gone).max() < 1.1 / 40 < 1.9 / 40 < (changes[0].max() / changes[0].sum())
    assert pace_of(np.zeros((3, 40))) is None


def test_shots_are_drawn_by_gsplat_as_they_are_here(
    bare: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a stand-in for gsplat, on the CPU: what is handed over has the right shapes, and gradients come back."""
    import torch

    monkeypatch.setitem(sys.modules, "gsplat", StandInForGsplat("gsplat"))

    def by_gsplat(
        means: torch.Tensor,
        quats: torch.Tensor,
        scales: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        camera: Camera,
        /,
        *,
        background: tuple[float, float, float],
        threads: int,
    ) -> torch.Tensor:
        screen = cuda.screen_of(camera, background, torch.device("cpu"))
        return torch.cat(cuda.draw(screen, means, quats, scales, opacities, colors), -1)

    small = replace(bare, source=replace(bare.source, camera=bare.source.camera.resized(40, 40)))
    look = beard(small)
    rows = rows_of(small, look)
    shot = replace(views_of(small, look)[0])
    camera = shot.camera.resized(24, 24)
    gradients: list[torch.Tensor] = []
    pictures: list[torch.Tensor] = []
    for drawing in (ON_CPU, Drawing(torch.device("cpu"), by_gsplat)):
        out = rows.at(torch.full((len(rows), 1), 0.7)).requires_grad_()
        picture = replace(shot, drawing=drawing, camera=camera).draw(out, rows.before)
        picture.square().sum().backward()
        assert out.grad is not None
        gradients.append(out.grad)
        pictures.append(picture.detach())
    assert (pictures[0] - pictures[1]).abs().max() < 1 / 255
    assert (gradients[0] - gradients[1]).norm() < 0.02 * gradients[0].norm()


def test_a_shot_is_uploaded_once_and_not_for_every_step(
    bare: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    look = beard(bare)
    rows, shot = rows_of(bare, look), views_of(bare, look)[0]
    uploads: list[int] = []
    real = torch.from_numpy
    monkeypatch.setattr(
        torch, "from_numpy", lambda array: (uploads.append(len(array)), real(array))[1]
    )
    shot = replace(shot, camera=shot.camera.resized(24, 24))
    first, again = (
        shot.draw(rows.at(torch.full((len(rows), 1), 0.7)), rows.before) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert uploads.count(len(shot.start)) == len(vars(shot.start))


def test_cuda_that_is_not_there_is_one_line() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert drawing_on("auto") is ON_CPU
    with pytest.raises(UserError, match=r"cannot learn on CUDA: .*choose the device cpu"):
        drawing_on("cuda")
