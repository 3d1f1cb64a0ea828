from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perse_live.animate import HeadPose, RigidBinding, bind_surface, pose_gaussians, pose_vertices
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar, LandmarkBinding, spread_offsets
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part, expressed
from perse_live.rotations import from_axis_angle, from_euler_degrees, to_quat
from slow_animate import covariances, posed_points, posed_rigid, posed_surface
from toys import toy_avatar

FACING = np.diag([1.0, -1.0, -1.0])
GAZE = np.array([[0.2, -0.1], [0.25, 0.05]], np.float32)


def lively_avatar() -> Avatar:
    """The toy with weights between head and shoulders, eyeballs, two-sided Gaussians and a spread of landmark offsets."""
    random = np.random.default_rng(3)
    avatar = toy_avatar(gaussians=1500)
    rig = avatar.rig
    parts = rig.parts.copy()
    parts[:40], parts[-40:] = Part.EYE_LEFT, Part.EYE_RIGHT
    rig = replace(
        rig, parts=parts, head_weights=random.random(len(rig.vertices)).astype(np.float32)
    )
    surface = replace(
        avatar.surface,
        two_sided=(random.random(len(avatar.surface.triangles)) < 0.2).astype(np.uint8),
    )
    rigid = replace(
        avatar.rigid, head_weights=random.random(len(avatar.rigid.means)).astype(np.float32)
    )
    moved = np.arange(0, len(rig.vertices), 3, dtype=np.int32)
    spread = random.normal(0, 0.05, (len(moved), 478)).astype(np.float32)
    landmarks = LandmarkBinding(
        avatar.landmarks.vertex_ids, avatar.landmarks.barycentrics, moved, spread
    )
    return replace(avatar, rig=rig, surface=surface, rigid=rigid, landmarks=landmarks)


def a_pose(yaw: float = 25, *, body: float = 5) -> HeadPose:
    return HeadPose(
        (FACING @ from_euler_degrees(yaw, -8, 12)).astype(np.float32),
        np.array([0.02, -0.01, 0.7], np.float32),
        (FACING @ from_euler_degrees(body, 2, 0)).astype(np.float32),
    )


def an_expression(seed: int = 0) -> Float32Array:
    random = np.random.default_rng(seed)
    return (random.random(52) * (random.random(52) < 0.5)).astype(np.float32)


def posed(avatar: Avatar, pose: HeadPose, *, threads: int = 1) -> tuple[Float32Array, Gaussians]:
    vertices = pose_vertices(avatar.rig, an_expression(), GAZE, pose)
    return vertices, pose_gaussians(
        vertices,
        avatar.rig,
        avatar.surface,
        avatar.rigid,
        avatar.opacities,
        avatar.colors,
        pose,
        threads=threads,
    )


def assert_alike(first: Gaussians, second: Gaussians) -> None:
    np.testing.assert_array_equal(first.means, second.means)
    np.testing.assert_array_equal(first.quats, second.quats)
    np.testing.assert_array_equal(first.scales, second.scales)
    np.testing.assert_array_equal(first.opacities, second.opacities)


def close_covariances(actual: FloatArray, expected: FloatArray) -> bool:
    # A Gaussian's own size is what its error is measured against
    size = np.sqrt(np.trace(expected, axis1=1, axis2=2))
    return bool((np.abs(actual - expected).max((1, 2)) < 2e-4 * size**2 + 1e-12).all())


@pytest.mark.parametrize("yaw", [-60.0, 0.0, 25.0])
def test_vertices_are_those_of_the_slow_twin(yaw: float) -> None:
    avatar, pose = lively_avatar(), a_pose(yaw)
    offsets = (
        np.random.default_rng(1).normal(0, 0.002, avatar.rig.vertices.shape).astype(np.float32)
    )
    still = expressed(avatar.rig, an_expression(), gaze=GAZE) + offsets
    expected = posed_points(still, avatar.rig.head_weights, avatar.rig, pose)
    np.testing.assert_allclose(
        pose_vertices(avatar.rig, an_expression(), GAZE, pose, offsets=offsets), expected, atol=2e-6
    )


@pytest.mark.parametrize("yaw", [-60.0, 0.0, 25.0])
def test_gaussians_are_those_of_the_slow_twin(yaw: float) -> None:
    avatar, pose = lively_avatar(), a_pose(yaw)
    vertices, fast = posed(avatar, pose)
    bound = len(avatar.surface.triangles)
    means, covs, seen = posed_surface(
        vertices, avatar.rig, avatar.surface, avatar.opacities[:bound]
    )
    free_means, free_covs = posed_rigid(avatar.rig, avatar.rigid, pose)
    np.testing.assert_allclose(fast.means, np.concatenate([means, free_means]), atol=3e-6)
    assert close_covariances(covariances(fast), np.concatenate([covs, free_covs]))
    # A normal may lie within rounding of the limit
    assert (fast.opacities[:bound] != seen).mean() < 0.002
    np.testing.assert_array_equal(fast.opacities[bound:], avatar.opacities[bound:])
    assert fast.colors is avatar.colors


def test_the_far_side_is_not_drawn_but_two_sided_gaussians_are() -> None:
    avatar = lively_avatar()
    bound = len(avatar.surface.triangles)
    _, front = posed(avatar, a_pose(0, body=0))
    _, back = posed(avatar, a_pose(180, body=180))
    hidden_in_front, hidden_behind = front.opacities[:bound] == 0, back.opacities[:bound] == 0
    two_sided = avatar.surface.two_sided == 1
    assert not hidden_in_front[two_sided].any() and not hidden_behind[two_sided].any()
    assert 0.3 < hidden_in_front[~two_sided].mean() < 0.6
    assert not (hidden_in_front & hidden_behind).any()
    assert (hidden_in_front | hidden_behind)[~two_sided].mean() > 0.6


def test_any_number_of_threads_gives_the_same() -> None:
    avatar = toy_avatar(gaussians=30_000)  # several shares of the work
    _, alone = posed(avatar, a_pose())
    for threads in (2, 3):
        assert_alike(alone, posed(avatar, a_pose(), threads=threads)[1])


def test_turning_and_moving_everything_turns_and_moves_every_gaussian() -> None:
    avatar, pose = lively_avatar(), a_pose()
    turn, shift = from_axis_angle(np.array([0.1, -0.3, 0.4])), np.array([0.03, 0.02, 0.1])
    moved = HeadPose(
        (turn @ pose.R_cam_head).astype(np.float32),
        (turn @ pose.t_cam_head + shift).astype(np.float32),
        (turn @ pose.R_cam_body).astype(np.float32),
    )
    _, before = posed(avatar, pose)
    _, after = posed(avatar, moved)
    np.testing.assert_allclose(after.means, before.means @ turn.T + shift, atol=3e-6)
    assert close_covariances(covariances(after), turn @ covariances(before) @ turn.T)


def test_binding_undoes_posing() -> None:
    """Gaussians bound to a posed mesh come back from it, flat ones in any direction in the plane and at any height."""
    avatar, pose = lively_avatar(), a_pose()
    rig = avatar.rig
    vertices = pose_vertices(rig, an_expression(), GAZE, pose)
    random = np.random.default_rng(5)
    triangles = random.integers(0, len(rig.triangles), 400).astype(np.int32)
    corners = vertices[rig.triangles[triangles]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    keep = areas > 0.1 * np.median(areas)  # the poles of the synthetic head are slivers
    triangles, corners, normals = triangles[keep], corners[keep], normals[keep] / areas[keep, None]
    edges = corners[:, 1] - corners[:, 0]
    edges /= np.linalg.norm(edges, axis=1, keepdims=True)
    angle = random.uniform(0, 2 * np.pi, len(edges))[:, None]
    along = np.cos(angle) * edges + np.sin(angle) * np.cross(normals, edges)
    frames = np.stack([along, np.cross(normals, along), normals], 2)
    shares = random.dirichlet([1, 1, 1], len(edges))
    count = len(edges)
    gaussians = Gaussians(
        (
            (corners * shares[..., None]).sum(1) + normals * random.normal(0, 0.002, (count, 1))
        ).astype(np.float32),
        to_quat(frames).astype(np.float32),
        random.uniform(5e-4, 3e-3, (count, 3)).astype(np.float32),
        np.ones(count, np.float32),
        np.ones((count, 3), np.float32),
    )
    surface = bind_surface(
        gaussians, triangles, vertices, rig.triangles, two_sided=np.ones(count, np.uint8)
    )
    none = np.zeros((0, 3), np.float32)
    nothing = RigidBinding(none, np.zeros((0, 4), np.float32), none, np.zeros(0, np.float32))
    again = pose_gaussians(
        vertices, rig, surface, nothing, gaussians.opacities, gaussians.colors, pose
    )
    np.testing.assert_allclose(again.means, gaussians.means, atol=2e-6)
    assert close_covariances(covariances(again), covariances(gaussians))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_animator_is_as_good_as_posing_from_nothing(threads: int) -> None:
    avatar = lively_avatar()
    animator = Animator(avatar, threads=threads)
    random = np.random.default_rng(2)
    for seed in range(3):  # what an earlier frame leaves in the buffers must not show
        expression, pose = an_expression(seed), a_pose(40.0 * seed - 40)
        gaze = random.uniform(-0.4, 0.4, (2, 2)).astype(np.float32)
        residual = random.normal(0, 0.001, (478, 3)).astype(np.float32) if seed != 1 else None
        offsets = None if residual is None else spread_offsets(avatar, residual)
        vertices = pose_vertices(avatar.rig, expression, gaze, pose, offsets=offsets)
        np.testing.assert_allclose(
            animator.vertices(expression, gaze, pose, residual=residual), vertices, atol=2e-6
        )
        expected = pose_gaussians(
            vertices,
            avatar.rig,
            avatar.surface,
            avatar.rigid,
            avatar.opacities,
            avatar.colors,
            pose,
        )
        actual = animator.pose(expression, gaze, pose, residual=residual)
        np.testing.assert_allclose(actual.means, expected.means, atol=3e-6)
        assert close_covariances(covariances(actual), covariances(expected))
        assert (actual.opacities != expected.opacities).mean() < 0.002
