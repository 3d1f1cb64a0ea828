from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from perse_live.head.rig import Part
from runtime.bench import drawing as bench


def test_the_made_up_head_is_a_head() -> None:
    avatar = bench.synthetic_avatar(4000, np.random.default_rng(0))
    rig, surface, rigid = avatar.rig, avatar.surface, avatar.rigid
    assert set(np.unique(rig.parts)) == {Part.SKIN}
    corners = rig.vertices[rig.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = (normals * (corners.mean(1) - rig.vertices.mean(0))).sum(1)
    assert (outwards > 0).all()
    assert surface.triangles.max() < len(rig.triangles)
    assert len(rigid.means) == 1000


@pytest.mark.slow
def test_it_measures_every_stage_for_every_size_and_thread_count() -> None:
    steps: dict[str, float] = {}
    results = bench.bench(progress=steps.__setitem__)
    assert set(steps.values()) == {1.0}
    assert len(steps) == len(results)
    for result, wanted in zip(results[:: len(results) // 3], bench.VISIBLE, strict=True):
        assert result.visible == pytest.approx(wanted, rel=0.1)
    for result in results:
        assert {"animate", "blend", "total"} <= set(result.stages)
        parts = [timing.median_ms for name, timing in result.stages.items() if name != "total"]
        assert sum(parts) < 1.5 * result.stages["total"].median_ms
        assert all(0 <= timing.median_ms <= timing.p95_ms for timing in result.stages.values())
    json.dumps([asdict(result) for result in results] + [bench.machine()], allow_nan=False)
