from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from offline.build_state import BuildConfig, BuildInputs, BuildState, Consent
from offline.pipeline import STAGES, detect, lift, load, run_stages
from perse_live.errors import UserError
from perse_live.photo import Photo
from perse_live.regions import Region

NOBODY = Consent("", "")


def test_each_stage_fills_one_group_of_fields_and_says_which() -> None:
    groups = [one.name for one in fields(BuildState) if one.name not in ("inputs", "rng")]
    assert len(groups) == len(STAGES)
    empty = BuildState(BuildInputs(Path("nobody.png"), NOBODY))
    for stage, group in zip(STAGES, groups, strict=True):
        with pytest.raises(AttributeError, match=f"only after the stage '{stage.key}'"):
            getattr(empty, group).anything  # noqa: B018


def test_every_stage_says_what_it_does() -> None:
    for stage in STAGES:
        assert stage.run.__doc__ and stage.name, stage.key


@pytest.mark.slow
def test_stages_run_in_order_and_stop_where_a_photo_is_of_nobody() -> None:
    grey = Photo(np.full((300, 300, 3), 128, np.uint8), "", "grey.png")
    told: list[str] = []
    done: list[str] = []
    with pytest.raises(UserError, match=r"grey\.png: no human face found"):
        run_stages(
            BuildState(BuildInputs(grey, NOBODY)),
            STAGES,
            BuildConfig(),
            progress=lambda name, _: told.append(name),
            done=lambda stage, _: done.append(stage.key),
        )
    assert told == [STAGES[0].name, STAGES[1].name]
    assert done == ["load"]
    assert [stage.run for stage in STAGES[:2]] == [load, detect]


@pytest.mark.slow
def test_a_bald_head_is_lifted_without_hair(astronaut_photo: Path) -> None:
    before = [stage.key for stage in STAGES].index("lift")
    state = run_stages(
        BuildState(BuildInputs(astronaut_photo, NOBODY)),
        STAGES[:before],
        BuildConfig(),
        progress=lambda *_: None,
    )
    regions = lift(state, BuildConfig()).lifted.regions
    assert np.isin(regions, (Region.HAIR, Region.HAIR_BACK)).sum() > 4000
    bare = replace(state.observation, hair=np.zeros_like(state.observation.hair))
    regions = lift(replace(state, observation=bare), BuildConfig()).lifted.regions
    assert not np.isin(regions, (Region.HAIR, Region.HAIR_BACK)).any()
    assert (regions == Region.CLOTHES).sum() > 1000
