from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from perse_live import assets
from perse_live.errors import UserError
from runtime.doctor.trial import Trial, judge, trial
from toys import toy_avatar

RESULT = Trial(
    machine={"processor": "a processor", "cores": 2},
    avatar="a synthetic head of 30,000 Gaussians",
    camera="a portrait",
    size=512,
    codec="vp8",
    seconds=3.0,
    start_seconds=1.0,
    frames=90,
    cpu_ms=30.0,
    stages={"detect": 12.0, "fit": 3.0, "animate": 2.0, "render": 6.0, "encode": 3.0},
)


@pytest.mark.slow
def test_a_real_face_goes_through_every_stage() -> None:
    try:
        for name in ("sample_portrait", "face_landmarker"):
            assets.asset_path(name)
    except UserError as error:
        pytest.skip(f"no portrait or no face model: {error}")
    steps: dict[str, float] = {}
    result = trial(seconds=0.5, size=256, progress=steps.__setitem__)
    assert list(result.stages) == ["detect", "fit", "animate", "render", "encode"]
    assert all(milliseconds > 0 for milliseconds in result.stages.values())
    assert result.frames >= 3
    assert result.cpu_ms > 0
    assert result.start_seconds > 0
    assert "sample portrait" in result.camera
    assert "synthetic head of 30," in result.avatar
    assert steps == {"warming up": 1.0, "measuring": 1.0}
    assert judge(result).name == "trial"
    json.dumps(asdict(result), allow_nan=False)


@pytest.mark.slow
def test_without_a_portrait_the_rest_is_measured_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.delenv(assets.FOLDER_VARIABLE, raising=False)
    result = trial(toy_avatar(), seconds=0.3, size=128, codec="h264", offline=True)
    assert list(result.stages) == ["animate", "render", "encode"]
    assert "nothing was tracked" in result.camera
    assert "astronaut.png" in result.camera
    assert "the avatar of" in result.avatar
    assert "nothing was tracked" in judge(result).found


@pytest.mark.parametrize(("seconds", "size"), [(0.0, 512), (60.0, 512), (3.0, 511), (3.0, 0)])
def test_impossible_trials(seconds: float, size: int) -> None:
    with pytest.raises(UserError, match="give"):
        trial(seconds=seconds, size=size)


def test_a_machine_that_keeps_up() -> None:
    found = judge(RESULT, cores=2)
    assert found.status == "ok"
    assert not found.advice
    for words in (
        "detect 12.0",
        "render 6.0",
        "together 26.0",
        "slowest detect",
        "at most 67",
        "90 pictures",
        "512x512",
    ):
        assert words in found.found


def test_the_slowest_thread_sets_the_rate_or_the_work_of_all() -> None:
    assert RESULT.most_fps(4) == pytest.approx(1000 / 15)  # detect and fit are one thread
    assert RESULT.most_fps(1) == pytest.approx(1000 / 30)
    assert judge(RESULT, cores=0.5).status == "warning"


@pytest.mark.parametrize(
    ("stage", "option"),
    [
        ("detect", "--camera vmc"),
        ("fit", "--camera vmc"),
        ("animate", "--max-gaussians"),
        ("render", "--size 384"),
        ("encode", "--codec"),
    ],
)
def test_the_slow_stage_is_named_with_what_to_do(stage: str, option: str) -> None:
    slow = replace(RESULT, stages={**RESULT.stages, stage: 50.0})
    assert slow.slow_stage == stage
    found = judge(slow, cores=8)
    assert found.status == "warning"
    assert option in found.advice
