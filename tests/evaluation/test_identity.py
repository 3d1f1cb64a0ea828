from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_faces import portrait

from perse_live.assets import FOLDER_VARIABLE
from perse_live.detect import detect_faces
from perse_live.errors import UserError
from perse_live.evaluation.identity import IdentityModel, find_identity_model
from perse_live.evaluation.scores import score_film

onnx = pytest.importorskip("onnx", reason="makes the stand-in for an identity model")
pytest.importorskip("onnxruntime", reason="runs identity models")


def stand_in(path: Path, *, channels_last: bool = False, side: int = 112) -> Path:
    """A model whose embedding is the face itself, shrunk to 7 x 7."""
    from onnx import TensorProto, helper

    shape = [1, side, side, 3] if channels_last else [1, 3, side, side]
    nodes = (
        [helper.make_node("Transpose", ["face"], ["planes"], perm=[0, 3, 1, 2])]
        if channels_last
        else []
    )
    nodes += [
        helper.make_node(
            "AveragePool",
            ["planes" if channels_last else "face"],
            ["small"],
            kernel_shape=[16, 16],
            strides=[16, 16],
        ),
        helper.make_node("Flatten", ["small"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3 * (side // 16) ** 2])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        str(path),
    )
    return path


def test_faces_are_aligned_before_they_are_embedded(tmp_path: Path) -> None:
    model = IdentityModel(stand_in(tmp_path / "model.onnx"))
    pictures = [portrait(), portrait(shift=20)]
    crops = [model.aligned(picture, detect_faces(picture)[0]).astype(float) for picture in pictures]
    assert crops[0].shape == (112, 112, 3)
    assert np.abs(crops[0] - crops[1])[20:90, 30:80].mean() < 6


@pytest.mark.parametrize("channels_last", [False, True])
def test_embeddings_have_length_1_and_follow_the_face(tmp_path: Path, channels_last: bool) -> None:
    model = IdentityModel(stand_in(tmp_path / "model.onnx", channels_last=channels_last))
    same, other = portrait(), portrait()[:, ::-1].copy()
    first, again, mirrored = (
        model.embed(picture, detect_faces(picture)[0]) for picture in (same, same, other)
    )
    assert np.linalg.norm(first) == pytest.approx(1)
    assert float(first @ again) == pytest.approx(1, abs=1e-5)
    assert float(first @ mirrored) < 0.99


def test_scores_have_identity_with_a_model(tmp_path: Path) -> None:
    film = [portrait(shift=k) for k in (0, 3, 5, 2)]
    means = score_film(
        film, film, film[0], rate=25, identity=IdentityModel(stand_in(tmp_path / "model.onnx"))
    ).means
    assert means["id_ref"] == pytest.approx(1, abs=1e-5)
    assert means["id_src"] == means["id_ceil"] and 0.9 < float(means["id_src"] or 0) <= 1


def test_the_model_is_found_in_the_user_s_folder_or_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert find_identity_model(None) is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find_identity_model(None) is None
    stand_in(tmp_path / "face_identity.onnx")
    assert find_identity_model(None) is not None


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        IdentityModel(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UserError, match="not a model that ONNX Runtime can run"):
        IdentityModel(tmp_path / "text.onnx")
