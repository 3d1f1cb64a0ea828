from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.image.lpips as reference
from skimage.data import astronaut

from perse_live.errors import UserError
from perse_live.evaluation.perceptual import (
    WEIGHTS_NAME,
    PerceptualDistance,
    find_alexnet_weights,
)


def random_alexnet() -> torch.nn.Sequential:
    """The convolutions of torchvision's AlexNet, with random weights."""
    torch.manual_seed(0)
    conv, relu, pool = torch.nn.Conv2d, torch.nn.ReLU, torch.nn.MaxPool2d
    return torch.nn.Sequential(
        *(conv(3, 64, 11, 4, 2), relu(), pool(3, 2), conv(64, 192, 5, 1, 2), relu(), pool(3, 2)),
        *(conv(192, 384, 3, 1, 1), relu(), conv(384, 256, 3, 1, 1), relu()),
        *(conv(256, 256, 3, 1, 1), relu(), pool(3, 2)),
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alexnet") / WEIGHTS_NAME
    state = {f"features.{name}": value for name, value in random_alexnet().state_dict().items()}
    torch.save(state, path)
    return path


def test_it_is_what_torchmetrics_computes(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: random_alexnet())
    network = reference._LPIPS(pretrained=True, net="alex")  # pyright: ignore[reportPrivateUsage]
    one = np.ascontiguousarray(astronaut()[:128, 150:278])
    other = np.clip(one.astype(int) + 25, 0, 255).astype(np.uint8)
    pictures = (torch.from_numpy(p.transpose(2, 0, 1)[None] / 255).float() for p in (one, other))
    expected = float(network(*pictures, normalize=True))
    measured = PerceptualDistance(weights)
    assert measured(one, other) == pytest.approx(expected, rel=1e-3) and expected > 0
    assert measured(one, one) == 0


def test_weights_are_the_user_s(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSE_LIVE_ASSETS", str(weights.parent))
    assert find_alexnet_weights() == weights
    monkeypatch.setenv("PERSE_LIVE_ASSETS", str(tmp_path))
    assert find_alexnet_weights() is None
    (tmp_path / WEIGHTS_NAME).write_bytes(b"nothing")
    with pytest.raises(UserError, match="does not hold AlexNet's weights"):
        PerceptualDistance(tmp_path / WEIGHTS_NAME)
