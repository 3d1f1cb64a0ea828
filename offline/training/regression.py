"""Fit an adapter to known Gaussians: its transition from 0 to 1, and the morphs into other attributes of its slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import nn

from offline.training.adapters import Network
from offline.training.gaussian_rows import Rows
from offline.training.pairs import Pair
from offline.training.shots import Shot
from offline.training.soap import Soap
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar
from perse_live.decoder.features import features_of
from perse_live.decoder.network import (
    COLOR,
    OPACITY,
    PLACE,
    SIZE,
    Adapter,
    Decoder,
)
from perse_live.regions import Region

RANK = 16
# margin below 0 for the opacity of absent Gaussians, so that it is clipped to exactly 0
_ABSENT = 0.03
_OPAQUE = 0.9  # opacity from which more is no error: it is clipped at 1
_LATENT = 1e-5  # weight of |code|^2 relative to squared errors; PERSE has 1e-3, for a loss in units of colour
_NEAREST = 8
_EDGE = 0.2  # duration, as a fraction of the transition, up to which a change counts as abrupt and is sampled more often
_TRAVELS_COUNT = 0.3  # weight of a morph's displacements: centimetres that need not be exact, and must not outweigh colours
_DRAWN_COUNTS = 0.2  # weight of a picture's loss, relative to the rows' mean squared error
_COLORS_COUNT = 5.0  # weight of colours, relative to opacities: a wrong colour is more visible than a late appearance
_STILL_COUNTS = (
    8.0  # weight of displacements of skin under a hairstyle, which must not follow the hair
)
_HIDDEN_COUNTS = (
    0.1  # weight of colour, place and size of hair that is hidden at that point of the transition
)
_HIDDEN_SHOWN_COUNTS = (
    3.0  # weight of the opacity of hidden hair: shown by mistake, it is far from its place
)
_HAIR_INTERPOLATION = (
    3.0  # factor of the interpolation's weight: a small share must carry hair as far as a large one
)


@dataclass(frozen=True)
class RegressionConfig:
    """Steps and learning rates."""

    steps: int = 260
    """Steps of SOAP for factors and of Adam for codes, with a one-cycle schedule. Mean squared errors over the transition of
    full beard, black glasses, beanie and fringe, with 520 steps of Adam alone: .00085, .00065, .00342, .00042; with these:
    .00025, .00052, .00314, .00016."""
    steps_in_place: int = 160
    """The same for attributes that add no Gaussians: colours converge sooner than displacements."""
    steps_among_mates: int = 300
    """The same where the slot has other attributes to morph into."""
    steps_of_hair: int = 450
    """The same for another hairstyle, whose transition is not linear. At 260, 450 and 650 steps the median distance of visible
    hair from its target (long hair, a painted girl) is 4.2, 3.3 and 2.9 mm at 1/4 of the transition, 2.1, 1.5 and 1.1 at 3/4."""
    drawn_steps: int = 20
    """The last of the steps, which also have a loss on pictures."""
    interpolation: float = 0.2
    """Weight of the interpolation regularisation (PERSE, CVPR 2025, section 4.3), relative to the attribute alone; 0: without."""
    rate: float = 2e-2
    """Learning rate of the adapter's factors."""
    code_rate: float = 3e-2
    """Learning rate of the codes, whose initial values are close to the final ones."""
    code_rate_of_hair: float = 6e-2
    """The same for another hairstyle: of its many rows, each is in few batches."""
    batch: int = 1024
    """Rows of a step. Nine looks of the sample portrait on one thread: 59 s at 3072 rows, 45 s at 1024; mean squared error of a
    row 2.0e-3 and 1.7e-3, pictures during the transition 36.5 and 36.4 dB."""
    seed: int = 3


def hair_samples(avatar: Avatar, rows: Rows, ids: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows without codes (n, FEATURES) and colour changes (n, 3) at weight 1: samples of how the attribute tints any hair.

    Colours are those of the avatar's hair, also lighter and darker, each with the change of the base Gaussians nearest in colour;
    positions are random on the head, so that the result does not depend on them. Empty where the attribute changes no hair.
    """
    own = np.isin(avatar.regions[ids], (Region.HAIR, Region.HAIR_BACK)) & (
        avatar.opacities[ids] > 0.4
    )
    change = rows.ends[: len(ids), COLOR].numpy()
    strength = np.abs(change).sum(1)
    if own.any():
        # Not at the hairline, which is tinted only in part
        own &= strength > 0.5 * np.percentile(strength[own], 75)
    if own.sum() < 4 * _NEAREST:
        return torch.zeros(0, rows.features.shape[1]), torch.zeros(0, 3)
    rng = np.random.default_rng(11)
    colors = avatar.colors[ids][own]
    picked = colors[rng.integers(0, len(colors), 4000)]
    wanted = np.clip(
        picked * rng.uniform(0.6, 1.5, (len(picked), 1)) + 0.02 * rng.standard_normal(picked.shape),
        0,
        1,
    )
    nearest = KDTree(colors).query(wanted, k=_NEAREST)[1]
    places = rng.uniform((-0.11, -0.16, -0.2), (0.11, 0.14, 0.06), (len(wanted), 3))
    goal = colors[nearest].mean(1) + change[own][nearest].mean(1)
    features = features_of(
        places.astype(np.float32),
        wanted.astype(np.float32),
        np.full(len(wanted), int(Region.HAIR), np.uint8),
    )
    return torch.from_numpy(features), torch.from_numpy((goal - wanted).astype(np.float32))


def regress(
    decoder: Decoder,
    name: str,
    rows: Rows,
    *,
    pairs: Sequence[Pair],
    hair: torch.Tensor,
    tint: tuple[torch.Tensor, torch.Tensor] | None,
    shots: Sequence[Shot],
    config: RegressionConfig,
    told: Callable[[float], None],
) -> tuple[Adapter, Float32Array]:
    """A new adapter and the codes of its rows.

    pairs: with the others of its slot; hair: (S + R, 1) 1 where what is added is hair; tint: `hair_samples`, for attributes that
    tint hair; shots: pictures that the last steps match too.
    """
    if not len(rows):
        return _idle(decoder, name), rows.first_codes().numpy()
    generator = torch.Generator().manual_seed(config.seed)
    network = Network(
        decoder,
        {name: RANK, **{pair.mate.name: pair.mate.adapter for pair in pairs}},
        seed=config.seed,
    )
    base = Network(decoder, {name: RANK})
    codes = nn.Parameter(rows.first_codes())

    def plain(features: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return base(base.rows(features, None, name), {})

    rows_base, count = plain(rows.features), len(rows)
    added = torch.arange(rows.own, count)
    plain_of_mates = {pair.mate.name: plain(pair.mate.features) for pair in pairs}
    pairs = [pair for pair in pairs if len(added) or len(pair.mate.features)]
    steps = (
        config.steps_among_mates if pairs else config.steps if len(added) else config.steps_in_place
    )
    if rows.known is not None:
        steps = max(steps, config.steps_of_hair)
    code_rate = config.code_rate if rows.known is None else config.code_rate_of_hair
    optimizers = (
        Soap(network.parameters(name), config.rate),
        torch.optim.Adam([codes], code_rate),
    )
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=steps, pct_start=0.15, cycle_momentum=False
        )
        for optimizer, rate in zip(optimizers, (config.rate, code_rate), strict=True)
    ]
    hidden = 1.0 if rows.known is None else _HIDDEN_COUNTS
    places = torch.ones(count, 1)
    if rows.known is not None:
        places[_still(rows)] = _STILL_COUNTS
    samples = _samples(rows, added, config.batch)
    for step in range(steps):
        told(step / steps)
        chosen = torch.cat([_some(part, size, generator) for part, size in samples])
        weights = torch.rand(len(chosen), 1, generator=generator)
        weights = _at_its_edge(rows, chosen, weights)
        weights[::3] = 1
        out = (
            network(network.rows(rows.features[chosen], codes[chosen], name), {name: weights})
            - rows_base[chosen]
        )
        loss = (
            _error(
                out,
                rows.at(weights, chosen),
                rows.before[chosen],
                places=places[chosen],
                hidden=hidden,
            )
            + _LATENT * codes[chosen].square().mean()
        )
        if pairs and config.interpolation:
            pair = pairs[int(torch.randint(len(pairs), (1,), generator=generator))]
            factor = 1.0 if rows.known is None else _HAIR_INTERPOLATION
            loss = loss + factor * config.interpolation * _interpolation_loss(
                network,
                name,
                rows,
                rows_base,
                codes,
                added,
                hair,
                pair,
                plain_of_mates[pair.mate.name],
                config.batch // 2,
                generator,
            )
        if tint is not None and len(tint[0]):
            picked = _some(torch.arange(len(tint[0])), config.batch // 2, generator)
            weights = torch.rand(len(picked), 1, generator=generator).sqrt()
            features = tint[0][picked]
            out = network(network.rows(features, None, name), {name: weights}) - plain(features)
            loss = loss + (out[:, COLOR] - weights * tint[1][picked]).square().mean()
        if shots and step >= steps - config.drawn_steps:
            shot = shots[step % len(shots)]
            out = network(network.rows(rows.features, codes, name), {name: shot.weight}) - rows_base
            loss = loss + _DRAWN_COUNTS * shot.loss(out, rows.before)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for one in (*optimizers, *schedules):
            one.step()
    return network.adapter(name), codes.detach().clamp(-90, 90).numpy().copy()


def _interpolation_loss(
    network: Network,
    name: str,
    rows: Rows,
    rows_base: torch.Tensor,
    codes: torch.Tensor,
    added: torch.Tensor,
    hair: torch.Tensor,
    pair: Pair,
    mate_base: torch.Tensor,
    batch: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Interpolation regularisation: both attributes active with weights that sum to at most 1.

    PERSE compares pictures of two mixed looks, at shares of 1/6 to 5/6, with a picture morpher's (DiffMorpher). Here the
    in-betweens are known in 3D: the Gaussians of each attribute move onto the other's, by optimal transport, and fade out.
    """
    mate, loss = pair.mate, codes.new_zeros(())
    hidden = 1.0 if rows.known is None else _HIDDEN_COUNTS
    whole = (
        1.0
        if torch.rand((), generator=generator) < 0.6
        else float(torch.rand((), generator=generator))
    )
    share = float(torch.rand((), generator=generator))
    mine, its = max(whole * share, 1e-3), max(whole * (1 - share), 1e-3)
    weights = {name: mine, mate.name: its}
    if len(added):
        chosen = _some(added, batch, generator)
        at = chosen - rows.own
        together = torch.full((len(chosen), 1), mine if pair.there is None else whole)
        goal = rows.at(together, chosen)
        if pair.there is not None:
            goal = pair.there.applied(goal, at, share)
        if mate.tints_hair:
            goal[:, COLOR] += hair[at] * mate.tint(rows.features[chosen], its)
        out = (
            network(network.rows(rows.features[chosen], codes[chosen], name), weights)
            - rows_base[chosen]
        )
        loss = loss + _error(out, goal, rows.before[chosen], places=_TRAVELS_COUNT, hidden=hidden)
    if len(mate.features):
        chosen = _some(torch.arange(len(mate.features)), batch, generator)
        goal = mate.alone(its if pair.back is None else whole)[chosen]
        if pair.back is not None:
            goal = pair.back.applied(goal, chosen, 1 - share)
        out = (
            network(network.rows(mate.features[chosen], mate.codes[chosen], mate.name), weights)
            - mate_base[chosen]
        )
        loss = loss + _error(
            out, goal, torch.zeros(len(chosen), 1), places=_TRAVELS_COUNT, hidden=hidden
        )
    return loss


def _error(
    out: torch.Tensor,
    goal: torch.Tensor,
    before: torch.Tensor,
    *,
    places: torch.Tensor | float = 1.0,
    hidden: float = 1.0,
) -> torch.Tensor:
    """Mean squared error. Opacities of absent Gaussians count only above 0, those of opaque ones only below the target: they are
    clipped to [0, 1], so that overshoot is no error. places: weight of displacements; hidden: weight of colour, place and size
    of absent Gaussians.
    """
    shown, wanted = before + out[:, OPACITY : OPACITY + 1], before + goal[:, OPACITY : OPACITY + 1]
    absent = (shown - wanted.clamp(max=-_ABSENT)).clamp(min=0)
    if hidden < 1:
        absent = _HIDDEN_SHOWN_COUNTS * absent
    opacity = torch.where(wanted < 1e-3, absent, shown - wanted)
    opacity = torch.where((wanted > _OPAQUE) & (before == 0), opacity.clamp(max=0), opacity)
    seen = wanted.clamp(hidden, 1)
    differs = torch.cat(
        [
            _COLORS_COUNT * seen * (out[:, COLOR] - goal[:, COLOR]),
            opacity,
            places * seen * (out[:, PLACE] - goal[:, PLACE]),
            seen * (out[:, SIZE : SIZE + 1] - goal[:, SIZE : SIZE + 1]),
        ],
        1,
    )
    return differs.square().mean()


def _at_its_edge(rows: Rows, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weights (n, 1), half of which are moved to the stage where rows (n,) change, for rows that change abruptly."""
    appear, lasts = rows.appear[chosen], rows.lasts[chosen]
    near = (appear + lasts * (4 * weights - 1.5)).clamp(0, 1)
    half = (torch.arange(len(chosen)) % 2 == 0)[:, None]
    return torch.where(half & (lasts < _EDGE), near, weights)


def _samples(rows: Rows, added: torch.Tensor, batch: int) -> list[tuple[torch.Tensor, int]]:
    """Kinds of rows and how many of each a step looks at: as many own ones as added ones; of a hairstyle's own rows, those that
    move are less easily learnt than the skin's.
    """
    if rows.known is None:
        return [(torch.arange(rows.own), batch // 2), (added, batch // 2)]
    still = _still(rows)
    own = torch.arange(rows.own)
    moving = own[~torch.isin(own, still)]
    return [(moving, batch * 3 // 8), (still, batch // 8), (added, batch // 2)]


def _still(rows: Rows) -> torch.Tensor:
    """Own rows that do not move on the way to a hairstyle: skin."""
    assert rows.known is not None
    return torch.nonzero((rows.known[-1, : rows.own, PLACE] == 0).all(1))[:, 0]


def _some(numbers: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    if len(numbers) <= count:
        return numbers
    return numbers[torch.randint(len(numbers), (count,), generator=generator)]


def _idle(decoder: Decoder, name: str) -> Adapter:
    """An adapter without effect, for attributes that only move vertices."""
    network = Network(decoder, {name: 1})
    with torch.no_grad():
        for factor in network.parameters(name)[1::2]:
            factor.zero_()
    return network.adapter(name)
