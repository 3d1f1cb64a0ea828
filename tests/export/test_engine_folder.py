"""Writing a folder of engines; the graphs in it are a few bytes here, as nothing runs them."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine_toys import dressable
from export.engines import folder as writing
from export.engines.graph_files import Graph
from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.engines.folder import (
    MANIFEST,
    Backend,
    EngineFolder,
    Precision,
    default_engine_folder,
    read_folder,
)
from perse_live.engines.graphs import ANIMATE, Tensor
from perse_live.engines.nvidia import Gpu
from perse_live.errors import UserError


@pytest.fixture(autouse=True)
def quick_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph(
        ANIMATE,
        "fp32",
        "a hash",
        b"some graph",
        {"x": Tensor("float32", ("batch", 3))},
        {"y": Tensor("float32", (3,))},
    )
    monkeypatch.setattr(writing, "graphs_of", lambda *_, **__: [graph])


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    save_avatar(tmp_path / "me.perse", dressable())
    return tmp_path / "me.perse"


def export(source: Path, to: Path, *backends: Backend) -> EngineFolder:
    return writing.export_engines(
        dressable(),
        source,
        to,
        backends=backends or ("onnx",),
        precisions=("fp32",),
        compute_capabilities=(75,),
        progress=lambda *_: None,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_manifest_says_what_is_there(avatar_file: Path, tmp_path: Path) -> None:
    made = export(avatar_file, tmp_path / "deep" / "out")
    found = read_folder(tmp_path / "deep" / "out" / "me.engines")
    assert found == made and names(found.path) == ["animate.fp32.onnx", MANIFEST]
    (file,) = found.find(ANIMATE, "onnx")
    assert found.read(file) == b"some graph" and file.inputs[0].shape == ("batch", 3)
    assert found.attributes == ("hat-cap", "hat-felt", "beard-full")
    assert default_engine_folder(tmp_path / "deep" / "out" / "me.perse") == found.path


def test_an_earlier_folder_is_replaced(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(avatar_file, out)
    (out / "me.engines" / "old.engine").write_text("of another day")
    export(avatar_file, out)
    assert names(out) == ["me.engines"] and names(out / "me.engines") == [
        "animate.fp32.onnx",
        MANIFEST,
    ]


def test_a_full_disk_leaves_the_earlier_folder_as_it_was(
    avatar_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(avatar_file, out)
    before = {path.name: path.read_bytes() for path in (out / "me.engines").iterdir()}
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if MANIFEST.partition(".")[0] in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="the disk is full"):
        export(avatar_file, out)
    assert names(out) == ["me.engines"]
    assert {path.name: path.read_bytes() for path in (out / "me.engines").iterdir()} == before


def test_what_is_not_ours_is_left_alone(avatar_file: Path, tmp_path: Path) -> None:
    (tmp_path / "me.engines").mkdir()
    (tmp_path / "me.engines" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not of engines"):
        export(avatar_file, tmp_path)
    assert names(tmp_path / "me.engines") == ["mine.txt"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "me.engines").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        export(avatar_file, tmp_path / "sub")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_cannot_be_built_here_says_why_in_one_line(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (["--engines", "tensorrt"], "cannot be built|built on the GPU that runs it"),
        (["--engines", "onnx,cuda"], "there is no engine 'cuda'"),
        (["--engines", ","], "no engine is named"),
        (["--engines", "onnx", "--compute-capability", "61"], "no compute capability '61'"),
    ):
        assert cli.main(["export", str(avatar_file), "-o", str(tmp_path / "out"), *words]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and any(part in err for part in said.split("|")), err
    assert not (tmp_path / "out").exists()


def both_precisions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, tuple[int, ...]]]:
    """Graphs in both, compilers that only note what they are given: contents and compute capabilities."""

    def graph(precision: Precision) -> Graph:
        return Graph(
            ANIMATE,
            precision,
            "a hash",
            precision.encode(),
            {"x": Tensor("float32", ("batch", 3))},
            {},
        )

    compiled: list[tuple[bytes, tuple[int, ...]]] = []

    def compile_graph(
        _: object,
        content: bytes,
        *__: object,
        compute_capabilities: tuple[int, ...] = (),
        **___: object,
    ) -> bytes:
        compiled.append((content, compute_capabilities))
        return b"engine of " + content

    monkeypatch.setattr(writing, "graphs_of", lambda *_, **__: [graph("fp32"), graph("fp16")])
    monkeypatch.setattr(writing, "compile_graph", compile_graph)
    monkeypatch.setattr(writing, "record_built", lambda _: None)
    monkeypatch.setattr(writing, "import_backend", lambda _: SimpleNamespace(__version__="1.7"))
    return compiled


def test_turing_gets_half_precision_and_the_others_both(
    avatar_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = both_precisions(monkeypatch)
    for capabilities, expected in (
        ((75, 86), [(b"fp32", (86,)), (b"fp16", (75, 86))]),
        ((75,), [(b"fp16", (75,))]),
    ):
        compiled.clear()
        made = writing.export_engines(
            dressable(),
            avatar_file,
            tmp_path / "out",
            backends=["tensorrt-rtx"],
            precisions=("fp32", "fp16"),
            compute_capabilities=capabilities,
            progress=lambda *_: None,
        )
        assert compiled == expected
        assert [one.precision for one in made.find(ANIMATE, "onnx")] == ["fp32", "fp16"]


@pytest.mark.parametrize(
    ("capability", "backend"), [(75, "tensorrt-rtx"), (90, "tensorrt"), (89, "tensorrt-rtx")]
)
def test_rebuilding_compiles_the_one_precision_that_is_then_used(
    avatar_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capability: int,
    backend: Any,
) -> None:
    compiled = both_precisions(monkeypatch)
    monkeypatch.setattr(writing, "find_gpu", lambda: Gpu("RTX", capability))
    monkeypatch.setattr(writing, "_keep", lambda *_: None)
    out = writing.export_engines(
        dressable(),
        avatar_file,
        tmp_path,
        backends=["onnx"],
        precisions=("fp32", "fp16"),
        compute_capabilities=(),
        progress=lambda *_: None,
    ).path
    writing.rebuild_engines(out, backend, progress=lambda *_: None)
    assert [content for content, _ in compiled] == [b"fp16"]
    assert [one.precision for one in read_folder(out).find(ANIMATE, backend)] == ["fp16"]


def test_memory_is_reserved_for_one_frame(avatar_file: Path, tmp_path: Path) -> None:
    (file,) = export(avatar_file, tmp_path).find(ANIMATE, "onnx")
    assert file.limits["batch"] == (1, 1, 1)


def test_turing_has_no_single_precision(avatar_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(UserError, match=r"no single precision for compute capability 7\.5"):
        export(avatar_file, tmp_path / "out", "tensorrt-rtx")
    assert not (tmp_path / "out").exists()
