"""Prints, as JSON, what nerfbaselines' loader of nerfstudio's format makes of one look of a data set.

pip install --no-deps --target FOLDER nerfbaselines==1.2.12
PYTHONPATH=FOLDER python tests/offline/dataset/read_by_nerfbaselines.py DIR/LOOK
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(look: Path) -> None:
    """Read both splits of a look's folder."""
    from nerfbaselines.datasets import (  # pyright: ignore[reportMissingImports]
        dataset_load_features,  # pyright: ignore[reportUnknownVariableType]
    )
    from nerfbaselines.datasets.nerfstudio import (  # pyright: ignore[reportMissingImports]
        load_nerfstudio_dataset,  # pyright: ignore[reportUnknownVariableType]
    )

    splits: dict[str, Any] = {}
    for split in ("train", "test"):
        found: Any = load_nerfstudio_dataset(str(look), split, features=frozenset())
        names = [Path(path).relative_to(look).as_posix() for path in found["image_paths"]]
        loaded: Any = dataset_load_features(found)
        splits[split] = {
            "names": names,
            "camera_to_world": [camera.poses.tolist() for camera in loaded["cameras"]],
            "intrinsics": [camera.intrinsics.tolist() for camera in loaded["cameras"]],
            "pictures": [list(image.shape) for image in loaded["images"]],
            "masks": [list(mask.shape) for mask in loaded["masks"]],
        }
    print(json.dumps(splits))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
