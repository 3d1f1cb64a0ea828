"""Every measure of the battery on heads with one known fault: that measure rises, the others hardly change."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from painted_heads import SKIN, painted_head, photographed, places, recolored

from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.evaluation.portraits.battery import (
    Battery,
    PortraitScores,
    battery_json,
    read_battery,
    score_avatar,
)
from perse_live.evaluation.portraits.comparison import compare
from perse_live.head.expressions import index
from perse_live.regions import Region

pytestmark = pytest.mark.slow  # half a dozen views for every figure

MEASURES = (
    *("specks", "holes", "plane_steps", "border_steps", "drift"),
    *("open_lids", "lid_tone", "lid_steps"),
)
HARDLY = {
    "specks": 0.3,
    "holes": 0.05,
    "plane_steps": 0.2,
    "border_steps": 0.35,
    "drift": 0.3,
    "open_lids": 0.2,
    "lid_tone": 0.3,
    "lid_steps": 0.2,
}
DARK = (0.25, 0.12, 0.10)


def figures(avatar: Avatar) -> dict[str, float]:
    scores = score_avatar(avatar)
    return {name: getattr(scores, name) for name in MEASURES}


def risen(before: dict[str, float], after: dict[str, float]) -> set[str]:
    """The measures that are worse, by more than hardly."""
    for name in MEASURES:
        assert after[name] > before[name] - HARDLY[name], f"{name} is better"
    return {name for name in MEASURES if after[name] > before[name] + HARDLY[name]}


@pytest.fixture(scope="module")
def turned_aside() -> Avatar:
    """A head whose photo shows its left half hardly at all."""
    return photographed(painted_head(), 45.0)


def left_half(avatar: Avatar) -> np.ndarray:
    return places(avatar)[:, 0] > 0


def test_a_head_of_one_colour_has_no_fault_from_wherever_it_was_photographed(
    turned_aside: Avatar,
) -> None:
    for avatar in (painted_head(), turned_aside):
        found = figures(avatar)
        assert (
            found["specks"] == 0
            and found["plane_steps"] < 0.05
            and found["border_steps"] < 0.05
            and found["drift"] < 0.1
        )
        assert found["holes"] < 0.15


def test_figures_repeat_exactly() -> None:
    assert score_avatar(painted_head()) == score_avatar(painted_head())


def test_specks_are_found_where_the_photo_does_not_show_them(turned_aside: Avatar) -> None:
    rng, at = np.random.default_rng(0), places(turned_aside)
    clean = figures(turned_aside)
    # Away from the plane of symmetry, of the hairline and of closing lids, where odd colours are steps too
    away_from_lines = (
        (turned_aside.regions == Region.SKIN)
        & (np.abs(at[:, 0]) > 0.25)
        & (at[:, 1] < -0.4)
        & (at[:, 2] > -1)
    )
    odd = np.zeros(len(turned_aside))
    odd[rng.choice(np.flatnonzero(away_from_lines & (at[:, 0] < 0)), 40, replace=False)] = 1
    seen = figures(recolored(turned_aside, odd, DARK))
    odd[:] = 0
    odd[rng.choice(np.flatnonzero(away_from_lines & (at[:, 0] > 0)), 40, replace=False)] = 1
    unseen = figures(recolored(turned_aside, odd, DARK))
    assert "specks" in risen(clean, unseen)
    assert risen(clean, unseen) <= {"specks", "drift"}, "drift sees the mean colour of a cell"
    few = odd * (rng.random(len(odd)) < 0.5)
    assert seen["specks"] < 0.5 * unseen["specks"]
    assert (
        0.2 * unseen["specks"]
        < figures(recolored(turned_aside, few, DARK))["specks"]
        < 0.8 * unseen["specks"]
    )


def test_a_smooth_change_of_colour_is_no_speck_and_no_step() -> None:
    head = painted_head()
    height = np.clip(places(head)[:, 1] / 2 + 0.5, 0, 1)
    even, graded = figures(head), figures(recolored(head, 0.2 * height, DARK))
    assert risen(even, graded) <= {"lid_tone"}, "which compares with the mean of above and below"
    assert graded["lid_tone"] < 0.8


def test_a_hole_counts_by_its_area(turned_aside: Avatar) -> None:
    at = places(turned_aside)

    def cut(radius: float) -> dict[str, float]:
        away = np.linalg.norm(at - (0.75, -0.7, 0.05), axis=1) < radius
        assert away.any()
        return figures(
            replace(
                turned_aside, opacities=np.where(away, 0, turned_aside.opacities).astype(np.float32)
            )
        )

    clean, small, large = figures(turned_aside), cut(0.25), cut(0.5)
    assert risen(clean, small) == risen(clean, large) == {"holes"}
    assert 3 < (large["holes"] - clean["holes"]) / (small["holes"] - clean["holes"]) < 8, (
        "four times, less a rim"
    )


def test_a_half_of_another_colour_is_a_step_and_where_it_is_invented_a_drift(
    turned_aside: Avatar,
) -> None:
    paler = (SKIN[0] * 0.9, SKIN[1] * 1.1, SKIN[2] * 1.25)  # another hue: no light makes it
    head = painted_head()
    skin = (head.regions != Region.EYE) & left_half(head)
    from_the_front = figures(recolored(head, skin, paler))
    assert from_the_front["plane_steps"] < 0.5, "the photo shows it so"
    invented = figures(recolored(turned_aside, skin, paler))
    assert risen(figures(turned_aside), invented) == {"plane_steps", "drift"}
    assert invented["plane_steps"] > 2 and invented["drift"] > 4


def test_light_from_the_side_is_no_drift() -> None:
    half = photographed(painted_head(), 20.0)
    at = places(half)
    # Darker to the left, evenly
    shade = np.clip(0.5 - 0.35 * at[:, 0] / np.abs(at[:, 0]).max(), 0, 1)[:, None]
    lit = replace(half, colors=(half.colors * (0.55 + 0.45 * shade)).astype(np.float32))
    tinted = recolored(half, (half.regions == Region.SKIN) & (at[:, 0] > 0), (0.65, 0.68, 0.60))
    assert figures(lit)["drift"] < 0.35 * figures(tinted)["drift"]


def test_a_face_that_ends_in_a_step_has_a_border(turned_aside: Avatar) -> None:
    from perse_live.evaluation.portraits.steps import outline_coordinates

    across, _ = outline_coordinates(turned_aside)
    rig, surface = turned_aside.rig, turned_aside.surface
    outside = across[rig.triangles[surface.triangles]].mean(1) < 0
    found = figures(
        recolored(turned_aside, outside & (turned_aside.regions != Region.EYE), (0.72, 0.52, 0.44))
    )
    assert risen(figures(turned_aside), found) == {"border_steps"}
    assert found["border_steps"] > 0.4


def test_lids_that_stay_open_show_the_eyeball() -> None:
    head = painted_head()
    actions = head.rig.actions.copy()
    actions[[index("eyeBlinkLeft"), index("eyeBlinkRight")]] = 0
    staring = figures(replace(head, rig=replace(head.rig, actions=actions)))
    assert risen(figures(head), staring) == {"open_lids"}
    assert staring["open_lids"] > 50


def test_lids_of_another_colour_than_the_skin_around_are_told() -> None:
    head = painted_head()
    triangles = head.rig.triangles[head.surface.triangles]
    moves = np.linalg.norm(
        head.rig.actions[[index("eyeBlinkLeft"), index("eyeBlinkRight")]], axis=2
    )
    moved = (moves / moves.max(1, keepdims=True)).max(0)[triangles].mean(1)
    skin = head.regions == Region.SKIN
    greyer = (SKIN[0] * 0.8, SKIN[1] * 0.9, SKIN[2] * 0.95)
    clean = figures(head)
    assert clean["lid_tone"] < 0.3 and clean["lid_steps"] < 0.2
    plate = figures(recolored(head, skin & (moved > 0.12), greyer))
    assert risen(clean, plate) >= {"lid_tone", "lid_steps"}
    soft = figures(recolored(head, skin * np.clip((moved - 0.05) / 0.8, 0, 1), greyer))
    assert soft["lid_steps"] < 0.4 * plate["lid_steps"], "it comes with no edge"


def test_hair_that_is_smooth_at_the_sides_is_told() -> None:
    head, random = painted_head(), np.random.default_rng(0)
    assert score_avatar(head).hair_detail is None
    at = places(head)
    scalp = (at[:, 1] > 0.2) & ((at[:, 1] > 1.0) | (at[:, 2] < -0.6))
    regions = np.where(scalp, np.uint8(Region.HAIR), head.regions)
    strands = 0.3 * (1 + 0.4 * random.standard_normal(len(head)))[:, None].clip(0.1, 2)
    plain = recolored(replace(head, regions=regions), scalp.astype(np.float64), (0.3, 0.3, 0.3))

    def detail(where: np.ndarray) -> float:
        colors = np.where((scalp & where)[:, None], strands, plain.colors).astype(np.float32)
        found = score_avatar(replace(plain, colors=colors)).hair_detail
        assert found is not None
        return found

    everywhere = np.ones(len(head), np.bool_)
    assert detail(everywhere) > 0.8
    assert detail(at[:, 2] > -1.0) < 0.75


# ----- a set of faces, and two runs


def battery(
    changes: dict[str, float] | None = None, refused: dict[str, str] | None = None
) -> Battery:
    plain = PortraitScores(30.0, None, 2.0, 0.03, 0.2, 0.1, 2.0, 1.5, 3.0, 0.5)
    return Battery(
        {"a.jpg": replace(plain, **(changes or {})), "b.jpg": plain},
        refused or {"dog.jpg": "no face"},
    )


def test_figures_are_written_and_read_again(tmp_path: Path) -> None:
    import json

    path = tmp_path / "before.json"
    path.write_text(json.dumps(battery_json(battery(), "perse-live 0.1.0")))
    assert read_battery(path) == battery()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "perse-live portraits", "version": 99}',
        '{"format": "perse-live portraits", "version": 3, "faces": {"a": {}}, "refused": {}}',
        '{"format": "perse-live portraits", "version": 3, "faces": 3, "refused": {}}',
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"other\.json is not of this version"):
        read_battery(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_battery(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "alike"),
        ({"specks": 2.1}, "alike"),
        ({"specks": 1.0}, "better"),
        ({"specks": 3.0}, "worse"),
        ({"person_psnr": 31.0}, "better"),
        ({"person_psnr": 29.0}, "worse"),
        ({"specks": 1.0, "drift": 4.0}, "mixed"),
    ],
)
def test_runs_are_compared_face_by_face(changes: dict[str, float], verdict: str) -> None:
    found = compare(battery(), battery(changes))
    assert found.verdict == verdict
    assert "face_psnr" not in found.changes, "it was never measured"
    for name, one in found.changes.items():
        assert {*one.better, *one.worse} <= ({"a.jpg"} if name in changes else set())


def test_faces_that_are_missing_or_refused_are_said() -> None:
    before, after = battery(), battery(refused={"b.jpg": "no face was found"})
    del after.faces["b.jpg"]
    found = compare(before, after)
    assert (found.missing, found.verdict) == (("b.jpg",), "worse")
    with pytest.raises(UserError, match="no portrait in common"):
        compare(before, Battery({}, {}))
    assert {one.name for one in fields(PortraitScores)} >= set(MEASURES)
