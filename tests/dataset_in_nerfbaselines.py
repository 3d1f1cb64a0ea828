"""Reads a look of a data set by nerfbaselines' loader of nerfstudio's format, and checks its cameras against our landmarks.

    pip install nerfbaselines==1.2.12          # in an environment of its own: it wants numpy 1
    python tests/dataset_in_nerfbaselines.py DIR/LOOK

Not a test of the suite, whose environment has numpy 2. The bridge of the nose does not move with the face: seen through the
loader's cameras, at our depth, it must stay at one place of its world in all frames, to a millimetre.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

_BRIDGE = (168, 6, 197, 195)  # MediaPipe's landmarks along the bridge of the nose
_MOST = 1e-3  # metres


def main(look: Path) -> int:
    """Check a look's folder, and say what was read; 0 where all is well."""
    from nerfbaselines.datasets import (  # pyright: ignore[reportMissingImports]
        dataset_load_features,  # pyright: ignore[reportUnknownVariableType]
    )
    from nerfbaselines.datasets.nerfstudio import (  # pyright: ignore[reportMissingImports]
        load_nerfstudio_dataset,  # pyright: ignore[reportUnknownVariableType]
    )

    document = json.loads((look / "transforms.json").read_text("utf-8"))
    rows: dict[str, Any] = {row["file_path"]: row for row in document["frames"]}
    worst = 0.0
    for split in ("train", "test"):
        found: Any = load_nerfstudio_dataset(str(look), split, features=frozenset())
        names = [Path(path).relative_to(look).as_posix() for path in found["image_paths"]]
        assert sorted(names) == sorted(document[f"{split}_filenames"]), "another split"
        places = np.array(
            [
                _in_world(np.load(look / rows[name]["landmark_path"])[list(_BRIDGE)], camera)
                for name, camera in zip(names, found["cameras"], strict=True)
            ]
        )
        worst = max(worst, float(places.std(0).max()))
        loaded: Any = dataset_load_features(found)
        sizes = {image.shape for image in loaded["images"]}
        print(f"{split}: {len(names)} frames, pictures {sizes}, masks {loaded['masks'][0].shape}")
    print(f"the bridge of the nose stays within {1e3 * worst:.2f} mm")
    return 0 if worst < _MOST else 1


def _in_world(landmarks: np.ndarray, camera: Any) -> np.ndarray:
    """Landmarks (N, 3), pixels and depth, in the loader's world; its cameras are camera-to-world with OpenCV's axes."""
    fx, fy, cx, cy = camera.intrinsics
    x, y, depth = landmarks.T
    seen = np.stack([(x - cx) / fx * depth, (y - cy) / fy * depth, depth], 1)
    return seen @ camera.poses[:3, :3].T + camera.poses[:3, 3]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
