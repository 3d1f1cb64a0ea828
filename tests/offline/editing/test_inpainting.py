"""Text edits end to end, with a real pipeline of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from faces import require_sound
from offline.editing.inpainter import Inpainter
from offline.editing.inpainting import FromText
from offline.editing.look_pictures import own_portrait, source_view
from offline.editing.own_portrait import own_donor
from offline.editing.part_masks import seen_mask, usual_mask
from offline.editing.part_names import PART_SLOTS
from offline.editing.prompts import ANY_WORD, description, instruction_for, prompt_for
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.errors import UserError
from tiny_pipeline import write_tiny_pipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diffusers") / "tiny"
    write_tiny_pipeline(path)
    return path


@pytest.fixture(scope="module")
def inpainter(folder: Path) -> Inpainter:
    return Inpainter(str(folder), local_only=True)


def test_only_the_mask_is_painted_and_the_seed_decides_how(inpainter: Inpainter) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (96, 128, 3)).astype(np.uint8)
    mask = np.zeros((96, 128), np.float32)
    mask[20:70, 30:90] = 1
    mask[70:74, 30:90] = 0.5
    first = inpainter(rgb, mask, "a short boxed beard", seed=1, steps=2)
    assert first.shape == rgb.shape and first.dtype == np.uint8
    assert np.array_equal(first[mask == 0], rgb[mask == 0])
    assert np.abs(first[mask == 1].astype(int) - rgb[mask == 1]).mean() > 20
    assert np.array_equal(first, inpainter(rgb, mask, "a short boxed beard", seed=1, steps=2))
    assert not np.array_equal(first, inpainter(rgb, mask, "a short boxed beard", seed=2, steps=2))
    assert not np.array_equal(first, inpainter(rgb, mask, "a hat", seed=1, steps=2)), "words count"


def test_a_text_becomes_an_attribute(person: Avatar, inpainter: Inpainter) -> None:
    steps: list[str] = []
    edited = FromText("bright red lips", "makeup", inpainter, None, 3, 2)(
        person, progress=lambda step, _: steps.append(step)
    )
    look = edited.teacher.look
    assert look.name == "makeup-bright-red-lips" and look.slot == "make-up" and len(look.ids) > 20
    require_sound(person, look)
    before = own_portrait(person, edited.view)
    assert np.array_equal(edited.rgb[edited.mask == 0], before[edited.mask == 0])
    assert 0.005 < (edited.mask > 0).mean() < 0.3
    assert (
        steps.index("painting another person for the mask")
        < steps.index("painting the part")
        < steps.index("lifting to 3D")
    )


def test_hair_is_painted_short_first_and_the_mask_covers_both(
    person: Avatar, inpainter: Inpainter
) -> None:
    view = source_view(person)
    portrait = own_portrait(person, view)
    steps: list[str] = []
    edit = FromText("curly red hair", "hair", inpainter, None, 0, 1)
    rgb, mask = edit.painted(person, view, portrait, progress=lambda step, _: steps.append(step))
    assert steps[0] == "painting short hair"
    own = seen_mask(own_donor(person, view, portrait, "it"), "hair")
    assert own.sum() > 3000 and (mask >= own).all()
    assert np.array_equal(rgb[mask == 0], portrait[mask == 0])
    assert np.abs(rgb[mask > 0.9].astype(int) - portrait[mask > 0.9]).mean() > 10
    chin = view.camera.project(
        (neutral_landmarks(person) @ view.pose.R_cam_head.T + view.pose.t_cam_head)[[152]]
    )[0].astype(int)
    assert mask[chin[1] - 25, chin[0]] == 0, "the face stays"


@pytest.mark.parametrize("part", list(PART_SLOTS))
def test_every_part_has_a_usual_place(person: Avatar, part: str) -> None:
    view = source_view(person)
    donor = own_donor(person, view, own_portrait(person, view), "it")
    mask = usual_mask(donor, part)
    assert mask.max() > 0.99 and 0.001 < (mask > 0.5).mean() < 0.5
    rows = np.nonzero(mask > 0.5)[0]
    marks = donor.portrait.detection.landmarks
    eyes, chin, top = marks[[33, 263], 1].mean(), marks[152, 1], marks[10, 1]
    if part in ("hair", "hat"):
        assert rows.min() < top - 20
    elif part == "beard":
        assert rows.min() > eyes and rows.max() > chin - 5
    else:
        assert abs(rows.mean() - eyes) < 0.5 * (chin - eyes)


def test_words_come_from_the_user_or_the_seed() -> None:
    assert description("beard", "  a  short\nbeard ", 5) == "a short beard"
    chosen = {part: description(part, ANY_WORD, 7) for part in PART_SLOTS}
    assert chosen == {part: description(part, ANY_WORD, 7) for part in PART_SLOTS}
    assert len({description("hair", ANY_WORD, seed) for seed in range(20)}) > 10
    for text in chosen.values():
        assert "{" not in text
        assert text in prompt_for(text) and text in instruction_for(text)


def test_a_broken_pipeline_is_one_line(folder: Path, tmp_path: Path) -> None:
    def complaint(path: Path) -> str:
        with pytest.raises(UserError) as caught:
            Inpainter(str(path), local_only=True)
        text = str(caught.value)
        assert text.startswith(str(path)) and "\n" not in text and len(text) < 420
        return text

    assert "no model_index.json" in complaint(tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text("{")
    assert "is damaged" in complaint(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert "cannot be loaded" in complaint(tmp_path), "its parts are missing"
    (tmp_path / "model_index.json").write_text(
        json.dumps({**index, "_class_name": "NoSuchPipeline"})
    )
    assert "cannot be loaded" in complaint(tmp_path)


@pytest.mark.parametrize(("major", "dtype"), [(7, "float16"), (8, "bfloat16"), (None, "float32")])
def test_gpus_before_ampere_compute_in_half_precision(
    major: int | None, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turing has no bfloat16; asked with emulation allowed, torch says that it has."""
    import torch

    from offline.editing.diffusion import _precision  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: major is not None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: type("Gpu", (), {"major": major})
    )
    assert str(_precision(torch)) == f"torch.{dtype}"
