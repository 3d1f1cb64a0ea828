"""FID and KID between two sets of pictures, through torchmetrics, where the user has the Inception network's weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.assets import FOLDER_VARIABLE
from perse_live.errors import UserError
from perse_live.extras import install_command, missing_extra

WEIGHTS_NAME = "pt_inception-2015-12-05-6726825d.pth"
"""As torch-fidelity names the file; looked for in the folder that PERSE_LIVE_ASSETS names, never fetched."""

_BATCH, _SUBSETS = 16, 50


@dataclass(frozen=True)
class DistributionDistances:
    """Distances between two sets of pictures; lower is better. Small sets make both large."""

    fid: float
    kid: float


def find_inception_weights() -> Path | None:
    """The user's file, or None."""
    folder = os.environ.get(FOLDER_VARIABLE, "")
    path = Path(folder) / WEIGHTS_NAME
    return path if folder and path.is_file() else None


def distribution_distances(
    real: Sequence[UInt8Array],
    made: Sequence[UInt8Array],
    *,
    weights: Path | None = None,
    network: Any = None,
) -> DistributionDistances:
    """FID (Heusel et al., NeurIPS 2017) and KID (Binkowski et al., ICLR 2018).

    real, made: (H, W, 3) RGB, at least 2 each; weights: of the Inception network; network: any other torch module that makes
    features (N, D) of uint8 pictures (N, 3, H, W). Raises UserError where torchmetrics or torch-fidelity is missing, or the
    weights cannot be read.
    """
    try:
        import torch
        from torchmetrics.image.fid import FrechetInceptionDistance  # pyright: ignore[reportMissingImports]
        from torchmetrics.image.kid import KernelInceptionDistance  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise missing_extra("measuring FID and KID", "measure", error) from error
    try:
        fid = (
            FrechetInceptionDistance(feature=network)
            if network is not None
            else FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(weights))
        )
    except ModuleNotFoundError as error:
        raise UserError(
            "measuring FID and KID needs the package torch-fidelity, which is not installed:"
            f" {install_command('measure')}"
        ) from error
    except Exception as error:  # what torch raises on files of other kinds has no common base
        raise UserError(
            f"{weights} does not hold the Inception network's weights: give torch-fidelity's {WEIGHTS_NAME}"
        ) from error
    subset = min(50, len(real), len(made))
    metrics = (
        fid,
        KernelInceptionDistance(feature=fid.inception, subsets=_SUBSETS, subset_size=subset),
    )
    for pictures, is_real in ((real, True), (made, False)):
        for start in range(0, len(pictures), _BATCH):
            batch = torch.from_numpy(
                np.stack(pictures[start : start + _BATCH]).transpose(0, 3, 1, 2).copy()
            )
            for metric in metrics:
                metric.update(batch, real=is_real)
    with torch.no_grad():
        return DistributionDistances(float(metrics[0].compute()), float(metrics[1].compute()[0]))
