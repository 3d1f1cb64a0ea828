from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from corrective_toys import with_toy_correctives
from perse_live.avatar import (
    load_avatar,
    neutral_landmarks,
    personal_landmark_model,
    save_avatar,
    spread_offsets,
)
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, index
from perse_live.head.landmarks import IRIS, load_landmark_model
from toys import toy_avatar

Arrays = dict[str, np.ndarray]
Manifest = dict[str, Any]


@pytest.fixture
def sound_file(tmp_path: Path) -> Path:
    save_avatar(tmp_path / "toy.perse", with_toy_correctives(toy_avatar(gaussians=300)))
    return tmp_path / "toy.perse"


def altered(path: Path, change: Callable[[Arrays, Manifest], object]) -> Path:
    """The same file with something changed behind the back of `save_avatar`."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    manifest = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["manifest"])
    arrays = {name: array.copy() for name, array in safetensors.numpy.load(content).items()}
    change(arrays, manifest)
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"manifest": json.dumps(manifest)}))
    return path


def test_what_is_saved_is_loaded(sound_file: Path) -> None:
    avatar, again = toy_avatar(gaussians=300), load_avatar(sound_file)
    assert len(again) == len(avatar)
    assert again.provenance == avatar.provenance
    assert again.source.camera == avatar.source.camera
    np.testing.assert_allclose(again.rig.actions, avatar.rig.actions, atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(
        again.landmarks.spread, avatar.landmarks.spread, atol=1e-4, rtol=1e-3
    )
    halved = {"actions", "spread"}
    for first, second in (
        (avatar.rig, again.rig),
        (avatar.surface, again.surface),
        (avatar.rigid, again.rigid),
        (avatar.landmarks, again.landmarks),
        (avatar.source, again.source),
    ):
        for name, value in vars(first).items():
            if name not in halved and isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(second, name), value, err_msg=name)
                assert getattr(second, name).dtype == value.dtype, name
    for name in ("opacities", "colors", "regions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(avatar, name))
    assert again.rig.eye_radius == pytest.approx(avatar.rig.eye_radius)


def test_saving_twice_gives_the_same_bytes(sound_file: Path) -> None:
    again = sound_file.with_name("again.perse")
    save_avatar(again, load_avatar(sound_file))
    assert again.read_bytes() == sound_file.read_bytes()


def put(name: str, value: float, index: Any = 0) -> Callable[[Arrays, Manifest], None]:
    def change(arrays: Arrays, _: Manifest) -> None:
        arrays[name][index] = value

    return change


def shorten(name: str) -> Callable[[Arrays, Manifest], None]:
    def change(arrays: Arrays, _: Manifest) -> None:
        arrays[name] = np.ascontiguousarray(arrays[name][:-1])

    return change


def say(
    key: str, value: object, *, inside: str | None = None
) -> Callable[[Arrays, Manifest], None]:
    def change(_: Arrays, manifest: Manifest) -> None:
        (manifest if inside is None else manifest[inside])[key] = value

    return change


def forget(key: str, *, inside: str | None = None) -> Callable[[Arrays, Manifest], None]:
    def change(_: Arrays, manifest: Manifest) -> None:
        del (manifest if inside is None else manifest[inside])[key]

    return change


def without_correctives(arrays: Arrays, manifest: Manifest) -> None:
    for name in [name for name in arrays if name.startswith("correctives.")]:
        del arrays[name]
    del manifest["correctives"]


def fewer_gaussians(arrays: Arrays, manifest: Manifest) -> None:
    without_correctives(arrays, manifest)
    for name in ("opacities", "colors", "regions"):
        arrays[name] = np.ascontiguousarray(arrays[name][:-1])


def mirrored_pose(arrays: Arrays, _: Manifest) -> None:
    arrays["source.R_cam_head"][0] *= -1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (fewer_gaussians, "differ in number"),
        (shorten("colors"), "colors"),
        (shorten("rig.parts"), "rig.parts"),
        (shorten("rigid.quats"), "rigid.quats"),
        (lambda arrays, _: arrays.pop("rig.neck_pivot"), "rig.neck_pivot"),
        (lambda arrays, _: arrays.update(extra=np.zeros(3, np.float32)), "unknown array"),
        (
            lambda arrays, _: arrays.update(opacities=arrays["opacities"].astype(np.float64)),
            "opacities",
        ),
        (put("rig.triangles", 10**6), "index 1000000"),
        (put("rig.triangles", -1), "index -1"),
        (put("surface.triangles", 10**6), "surface.triangles"),
        (put("landmarks.vertex_ids", 10**6), "landmarks.vertex_ids"),
        (put("landmarks.spread_ids", -5), "landmarks.spread_ids"),
        (put("rig.vertices", np.nan), "not finite"),
        (put("rig.actions", np.inf), "not finite"),
        (put("colors", 2.0), "above 1"),
        (put("opacities", -0.1), "below 0"),
        (put("rigid.scales", 0.0), "rigid.scales"),
        (put("rigid.quats", 0.0), "unit length"),
        (put("rig.eye_radius", 0.0), "rig.eye_radius"),
        (put("source.expression", 7.0), "source.expression"),
        (put("source.R_cam_head", 0.0), "not a rotation"),
        (lambda arrays, _: arrays["source.t_cam_head"].fill(0), "not in front of the camera"),
        (lambda arrays, _: arrays["source.t_cam_head"].fill(-1), "not in front of the camera"),
        (mirrored_pose, "not a rotation"),
        (say("expressions", list(EXPRESSION_NAMES[::-1])), "52"),
        (say("expressions", []), "52"),
        (say("expressions", "jawOpen"), "expressions"),
        (say("format_version", 999), "update perse-live"),
        (forget("camera"), "camera"),
        (say("camera", {}), "camera is incomplete"),
        (say("width", 0, inside="camera"), "camera is out of range"),
        (say("height", 10**9, inside="camera"), "camera is out of range"),
        (say("height", 8161, inside="camera"), "camera is out of range"),
        (say("width", 10**400, inside="camera"), "a number of 401 characters"),
        (say("fx", -1000.0, inside="camera"), "camera is out of range"),
        (say("fy", 1e30, inside="camera"), "camera is out of range"),
        (say("cx", -1e7, inside="camera"), "camera is out of range"),
        (say("fx", [1], inside="camera"), "camera is incomplete"),
        (say("fx", "wide", inside="camera"), "camera is incomplete"),
        (forget("provenance"), "provenance"),
        (say("provenance", {}), "provenance is incomplete"),
        (forget("consent_by", inside="provenance"), "provenance is incomplete"),
        (say("licences", 3, inside="provenance"), "provenance is incomplete"),
        (say("person_psnr", "high", inside="provenance"), "provenance is incomplete"),
        (say("face_psnr", -1.0, inside="provenance"), "provenance is incomplete"),
        (say("format_version", 1), "old format version 1"),
        (forget("correctives"), "names 0 components, its arrays hold 6"),
        (say("correctives", {}), "not a list"),
        (say("correctives", [{}] * 25), "not a list of up to 24"),
        (say("correctives", [{}] * 6), "no name"),
        (say("correctives", [{"name": "lid", "curves": [3]}] * 6), "no input"),
        (
            say(
                "correctives",
                [{"name": "lid", "curves": [{"input": "jawOpen", "knots": [[0, "x"], [1, 1]]}]}]
                * 6,
            ),
            "not two numbers",
        ),
        (
            say(
                "correctives",
                [{"name": "lid", "curves": [{"input": "jawOpen", "knots": [[0, 0], [1, 1]]}]}] * 6,
            ),
            "the same name",
        ),
        (
            say(
                "correctives",
                [
                    {
                        "name": "\u001b[31m",
                        "curves": [{"input": "jawOpen", "knots": [[0, 0], [1, 1]]}],
                    }
                ],
            ),
            "name is",
        ),
        (lambda arrays, _: arrays.pop("correctives.offsets"), "no array 'correctives.offsets'"),
        (put("correctives.ids", 10**6), "index 1000000"),
        (put("correctives.ids", 461), "do not rise"),
        (put("correctives.counts", 0), "another number"),
        (put("correctives.counts", 2**32 - 1), "another number"),
        (put("correctives.colors", 1.5), "above 1"),
        (put("correctives.opacities", np.nan), "not finite"),
        (put("correctives.offsets", np.inf), "not finite"),
    ],
)
def test_a_hostile_file_is_one_clear_error(
    sound_file: Path, change: Callable[[Arrays, Manifest], object], what: str
) -> None:
    altered(sound_file, change)
    with pytest.raises(UserError) as caught:
        load_avatar(sound_file)
    message = str(caught.value)
    assert what in message
    assert "toy.perse" in message
    assert "\n" not in message


def test_a_file_of_version_2_is_read_as_it_was(sound_file: Path) -> None:
    def older(arrays: Arrays, manifest: Manifest) -> None:
        without_correctives(arrays, manifest)
        manifest["format_version"] = 2

    avatar, first = load_avatar(altered(sound_file, older)), toy_avatar(gaussians=300)
    assert not len(avatar.correctives)
    np.testing.assert_array_equal(avatar.colors, first.colors)
    save_avatar(sound_file, avatar)
    assert len(load_avatar(sound_file)) == len(first)


def test_a_file_altered_in_nothing_is_still_sound(sound_file: Path) -> None:
    load_avatar(altered(sound_file, lambda *_: None))


def test_an_avatar_that_does_not_fit_is_not_saved(tmp_path: Path) -> None:
    avatar = toy_avatar(gaussians=300)
    broken = replace(avatar, colors=np.full_like(avatar.colors, np.nan))
    with pytest.raises(ValueError, match="colors"):
        save_avatar(tmp_path / "broken.perse", broken)
    assert list(tmp_path.iterdir()) == []


def test_landmarks_lie_on_the_rig_and_move_its_vertices() -> None:
    avatar = toy_avatar(gaussians=300)
    corners = avatar.rig.vertices[avatar.landmarks.vertex_ids]
    # The toy's barycentrics are all 1/3
    np.testing.assert_allclose(neutral_landmarks(avatar), corners.mean(1), atol=1e-6)
    spread = np.zeros((2, 478), np.float32)
    spread[0, 3], spread[1, 3] = 1.0, 0.5
    avatar = replace(
        avatar,
        landmarks=replace(avatar.landmarks, spread_ids=np.array([7, 2], np.int32), spread=spread),
    )
    residual = np.zeros((478, 3), np.float32)
    residual[3] = [0.001, -0.002, 0.003]
    offsets = spread_offsets(avatar, residual)
    np.testing.assert_allclose(offsets[7], residual[3])
    np.testing.assert_allclose(offsets[2], residual[3] / 2)
    assert np.count_nonzero(offsets.any(1)) == 2


def test_landmarks_move_by_the_avatar_s_own_actions() -> None:
    avatar = toy_avatar(gaussians=300)
    actions = np.zeros_like(avatar.rig.actions)
    actions[index("mouthSmileLeft"), avatar.landmarks.vertex_ids[61]] = [0.001, 0.002, 0.003]
    model = personal_landmark_model(replace(avatar, rig=replace(avatar.rig, actions=actions)))
    np.testing.assert_allclose(
        model.actions[index("mouthSmileLeft"), 61], [0.001, 0.002, 0.003], rtol=1e-5
    )
    np.testing.assert_array_equal(
        model.actions[:, list(IRIS)], load_landmark_model().actions[:, list(IRIS)]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_an_avatar_is_its_owners_and_stays_as_open_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "me.perse"
    save_avatar(path, toy_avatar(gaussians=50))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    save_avatar(path, toy_avatar(gaussians=60))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
