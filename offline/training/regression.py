"""Learning an adapter from Gaussians that are known: its own way from 0 to 1, and how it grows into others of its slot."""

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
_ABSENT = 0.03  # how far below 0 the opacity of what is not there is pushed, so that it is cut off to exactly 0
_OPAQUE = 0.9  # opacity from which more is as good: it is cut off at 1
_LATENT = 1e-5  # weight of |code|^2 against errors squared: 1e-3 of PERSE, whose loss is of the size of a colour
_NEAREST = 8
_EDGE = 0.2  # share of the way within which a change is an edge, which takes more looking at than what comes slowly
_TRAVELS_COUNT = 0.3  # displacements of a morph are of centimetres and need not be exact; they must not drown colours
_DRAWN_COUNTS = 0.2  # a picture's loss against mean squares of rows
_PAIRS_COUNT = 0.2  # what a look is by itself matters more than how it turns into another
_COLORS_COUNT = 5.0  # times as much as opacities: a part may be late, but not of another hue


@dataclass(frozen=True)
class RegressionConfig:
    """How long and how fast."""

    steps: int = 520
    """Of Adam, under a one-cycle schedule."""
    steps_in_place: int = 160
    """Instead, for what adds nothing: colours are learnt sooner than ways."""
    steps_among_mates: int = 560
    """Instead, where there are others that it can grow into."""
    drawn_steps: int = 20
    """The last of them, which also look at pictures."""
    rate: float = 2e-2
    """Of the adapter's factors."""
    code_rate: float = 3e-2
    """Of the codes, which start nearly right."""
    batch: int = 1024
    """Rows of a step. Nine looks of the sample portrait on one thread: 59 s at 3072 rows, 45 s at 1024; mean squared error of a
    row 2.0e-3 and 1.7e-3, pictures on the way 36.5 and 36.4 dB."""
    seed: int = 3


def hair_samples(avatar: Avatar, rows: Rows, ids: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows without codes (n, FEATURES) and colour changes (n, 3) at full weight that teach how any hair is coloured.

    Colours are those of the avatar's own hair, lighter and darker too, each changed as the own Gaussians nearest to it in colour
    are; places are anywhere on the head, so that they do not matter. Empty where the attribute changes no hair.
    """
    own = np.isin(avatar.regions[ids], (Region.HAIR, Region.HAIR_BACK)) & (
        avatar.opacities[ids] > 0.4
    )
    change = rows.ends[: len(ids), COLOR].numpy()
    strength = np.abs(change).sum(1)
    if own.any():
        # Not at the hairline, where only part of the tint is meant
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
    optimizer = torch.optim.Adam([{"params": network.parameters(name)}, {"params": [codes]}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [config.rate, config.code_rate], total_steps=steps, pct_start=0.15
    )
    for step in range(steps):
        told(step / steps)
        chosen = torch.cat(
            [_some(part, config.batch // 2, generator) for part in (torch.arange(rows.own), added)]
        )
        weights = torch.rand(len(chosen), 1, generator=generator)
        weights = _at_its_edge(rows, chosen, weights)
        weights[::3] = 1
        out = (
            network(network.rows(rows.features[chosen], codes[chosen], name), {name: weights})
            - rows_base[chosen]
        )
        loss = (
            _error(out, rows.at(weights, chosen), rows.before[chosen])
            + _LATENT * codes[chosen].square().mean()
        )
        if pairs:
            pair = pairs[int(torch.randint(len(pairs), (1,), generator=generator))]
            loss = loss + _PAIRS_COUNT * _pair_loss(
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
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.adapter(name), codes.detach().clamp(-90, 90).numpy().copy()


def _pair_loss(
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
    """Both attributes active, weights sharing up to 1: what each adds travels to where the other's is, and fades on the way."""
    mate, loss = pair.mate, codes.new_zeros(())
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
        loss = loss + _error(out, goal, rows.before[chosen], places=_TRAVELS_COUNT)
    if len(mate.features):
        chosen = _some(torch.arange(len(mate.features)), batch, generator)
        goal = mate.alone(its if pair.back is None else whole)[chosen]
        if pair.back is not None:
            goal = pair.back.applied(goal, chosen, 1 - share)
        out = (
            network(network.rows(mate.features[chosen], mate.codes[chosen], mate.name), weights)
            - mate_base[chosen]
        )
        loss = loss + _error(out, goal, torch.zeros(len(chosen), 1), places=_TRAVELS_COUNT)
    return loss


def _error(
    out: torch.Tensor, goal: torch.Tensor, before: torch.Tensor, *, places: float = 1.0
) -> torch.Tensor:
    """Mean square; opacities of what is to be absent only count where they are above 0, of what has become opaque only below
    what they should be: they are cut off at 0 and 1, so a steep rise need not end there. places: how much displacements count.
    """
    shown, wanted = before + out[:, OPACITY : OPACITY + 1], before + goal[:, OPACITY : OPACITY + 1]
    opacity = torch.where(wanted < 1e-3, (shown + _ABSENT).clamp(min=0), shown - wanted)
    opacity = torch.where((wanted > _OPAQUE) & (before == 0), opacity.clamp(max=0), opacity)
    differs = torch.cat(
        [
            _COLORS_COUNT * (out[:, COLOR] - goal[:, COLOR]),
            opacity,
            places * (out[:, PLACE] - goal[:, PLACE]),
            out[:, SIZE : SIZE + 1] - goal[:, SIZE : SIZE + 1],
        ],
        1,
    )
    return differs.square().mean()


def _at_its_edge(rows: Rows, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weights (n, 1) of which a half are moved to when rows (n,) change, for those that do so at once."""
    appear, lasts = rows.appear[chosen], rows.lasts[chosen]
    near = (appear + lasts * (4 * weights - 1.5)).clamp(0, 1)
    half = (torch.arange(len(chosen)) % 2 == 0)[:, None]
    return torch.where(half & (lasts < _EDGE), near, weights)


def _some(numbers: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    if len(numbers) <= count:
        return numbers
    return numbers[torch.randint(len(numbers), (count,), generator=generator)]


def _idle(decoder: Decoder, name: str) -> Adapter:
    """For attributes that only move vertices."""
    network = Network(decoder, {name: 1})
    with torch.no_grad():
        for factor in network.parameters(name)[1::2]:
            factor.zero_()
    return network.adapter(name)
