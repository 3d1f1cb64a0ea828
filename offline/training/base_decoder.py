"""W0: the base decoder that all attributes of an avatar share, fitted once to the avatar without attributes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar
from perse_live.decoder.features import features_of, places_at_rest
from perse_live.decoder.network import COLOR, FEATURES, OPACITY, OUTPUTS, WIDTH, Decoder

_STEPS, _BATCH, _RATE, _SEED = 300, 2048, 1e-2, 5


def with_decoder(avatar: Avatar) -> Avatar:
    """The avatar with a decoder; the same object where it has one."""
    return avatar if avatar.decoder is not None else replace(avatar, decoder=learn_decoder(avatar))


def own_features(avatar: Avatar) -> Float32Array:
    """The (G, FEATURES) features of the avatar's base Gaussians."""
    return features_of(
        places_at_rest(avatar.rig, avatar.surface, avatar.rigid), avatar.colors, avatar.regions
    )


def learn_decoder(avatar: Avatar) -> Decoder:
    """Fit a decoder from features to colour and opacity of each Gaussian (1 s). Deterministic."""
    features = torch.from_numpy(own_features(avatar))
    goal = torch.zeros(len(features), OUTPUTS)
    goal[:, COLOR], goal[:, OPACITY] = (
        torch.from_numpy(avatar.colors),
        torch.from_numpy(avatar.opacities),
    )
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        net = nn.Sequential(
            nn.Linear(FEATURES, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, OUTPUTS),
        )
        optimizer = torch.optim.Adam(net.parameters(), _RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS)
        for _ in range(_STEPS):
            chosen = torch.randint(len(features), (_BATCH,))
            loss = (net(features[chosen]) - goal[chosen]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return Decoder(*(parameter.detach().numpy().copy() for parameter in net.parameters()))


@contextmanager
def one_thread() -> Generator[None]:
    """Torch on one thread: for matrix products this small a second thread is slower, tenfold on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
