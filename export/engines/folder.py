"""Write a folder of engines atomically: into a temporary folder next to it, renamed when complete."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import platformdirs

from export.engines.compile import ONLY_HALF, Limits, compile_graph
from export.engines.graph_files import Graph, graphs_of
from export.graphs import OPSET
from perse_live.avatar import Avatar
from perse_live.engines.folder import (
    MANIFEST,
    PRECISIONS,
    SUFFIX,
    Backend,
    EngineFolder,
    GraphFile,
    Precision,
    TensorInfo,
    manifest_text,
    read_folder,
)
from perse_live.engines.graphs import ANIMATE, Tensor, limits_of
from perse_live.engines.nvidia import Gpu, NvidiaBackend, find_gpu, import_backend
from perse_live.engines.trust import record_built
from perse_live.errors import UserError
from perse_live.files import atomic_folder, file_sha256, write_bytes

_log = logging.getLogger(__name__)
Progress = Callable[[str, float], None]


def export_engines(
    avatar: Avatar,
    source: Path,
    folder: Path,
    *,
    backends: Sequence[Backend],
    precisions: tuple[Precision, ...],
    compute_capabilities: tuple[int, ...],
    progress: Progress,
) -> EngineFolder:
    """Write NAME.engines into a folder: the avatar's graphs as ONNX, and compiled by each backend that is named.

    source: the avatar's file; the ONNX graphs are there whatever is named, as engines are rebuilt from them. An earlier folder
    of that name is replaced when the new one is complete, and stays as it was on any error. Raises UserError where something is
    missing, does not compile or cannot be written.
    """
    modules: dict[NvidiaBackend, object] = {
        backend: _module(backend) for backend in backends if backend != "onnx"
    }
    gpu = _gpu() if "tensorrt" in backends else None
    target = folder / f"{source.stem}{SUFFIX}"
    _refuse_foreign(target)
    graphs = graphs_of(avatar, precisions, progress=progress)
    limits = limits_of(avatar)
    contents: list[tuple[GraphFile, bytes]] = [
        (_onnx_file(one, limits), one.content) for one in graphs
    ]
    for step, (backend, module) in enumerate(modules.items()):
        fitting = _fitting(graphs, backend, compute_capabilities)
        for index, graph in enumerate(fitting):
            progress(
                f"{backend}: {graph.name}, {graph.precision}",
                (step + index / len(fitting)) / len(modules),
            )
            contents.append(_compiled(graph, backend, module, gpu, limits, compute_capabilities))
        progress(backend, (step + 1) / len(modules))
    made = EngineFolder(
        target,
        source.name,
        file_sha256(source),
        f"perse-live {importlib.metadata.version('perse-live')}",
        tuple(one.name for one in avatar.attributes),
        tuple(file for file, _ in contents),
    )
    _write(made, contents)
    return made


def rebuild_engines(path: Path, backend: NvidiaBackend, *, progress: Progress) -> None:
    """Compile a folder's ONNX graphs for this machine's GPU, and add the engines to the folder; in one precision, the fastest
    that it has (`perse_live.engines.folder.PRECISIONS`), which is what `live` then takes.

    Raises UserError where that is not possible; the folder is then as it was.
    """
    folder = read_folder(path)
    module, gpu = _module(backend), _gpu()
    fresh: list[GraphFile] = []
    files = [one for one in folder.files if one.backend == "onnx"]
    graphs = [
        Graph(
            one.graph,
            one.precision,
            one.made_from,
            folder.read(one),
            _tensors(one.inputs),
            _tensors(one.outputs),
        )
        for one in files
    ]
    capabilities = (gpu.compute_capability,)
    graphs = _fitting(graphs, backend, capabilities)
    quickest = max((one.precision for one in graphs), key=PRECISIONS.index, default=None)
    limits = next((one.limits for one in files if one.graph == ANIMATE), {})
    graphs = [one for one in graphs if one.precision == quickest]
    for index, graph in enumerate(graphs):
        progress(f"{backend}: {graph.name}, {graph.precision}", index / len(graphs))
        file, content = _compiled(graph, backend, module, gpu, limits, capabilities)
        write_bytes(path / file.file, content)
        fresh.append(file)
    names = {one.file for one in fresh}
    kept = tuple(one for one in folder.files if one.file not in names)
    write_bytes(path / MANIFEST, manifest_text(replace(folder, files=(*kept, *fresh))).encode())
    progress(backend, 1.0)


def _fitting(
    graphs: Sequence[Graph], backend: NvidiaBackend, compute_capabilities: tuple[int, ...]
) -> list[Graph]:
    """The graphs that a backend can compile for any of these GPUs. Raises UserError where there is none."""
    if backend == "tensorrt":
        return list(graphs)
    found = [
        one for one in graphs if one.precision == "fp16" or set(compute_capabilities) - {ONLY_HALF}
    ]
    if not found and graphs:
        raise UserError(
            f"{backend} has no single precision for compute capability {ONLY_HALF / 10}: export with --precision fp16"
            " or both"
        )
    return found


def _compiled(
    graph: Graph,
    backend: NvidiaBackend,
    module: object,
    gpu: Gpu | None,
    limits: Limits,
    compute_capabilities: tuple[int, ...],
) -> tuple[GraphFile, bytes]:
    used = limits if graph.name == ANIMATE else {}
    version = str(getattr(module, "__version__"))  # noqa: B009  # the module has no types
    if backend == "tensorrt":
        assert gpu is not None
        device = gpu.label
        cache = (
            Path(platformdirs.user_cache_dir("perse-live")) / f"{device}.tensorrt-{version}.timings"
        )
        content = compile_graph(
            module,
            graph.content,
            graph.inputs,
            used,
            timing_cache=cache.read_bytes() if cache.is_file() else None,
            keep_timings=lambda timings: _keep(cache, timings),
        )
    else:
        chosen = tuple(
            one for one in compute_capabilities if one != ONLY_HALF or graph.precision == "fp16"
        )
        device = "sm" + "+".join(map(str, chosen))
        content = compile_graph(
            module, graph.content, graph.inputs, used, compute_capabilities=chosen
        )
    name = f"{graph.name}.{graph.precision}.{device}.{backend}-{version}.engine"
    file = _file(graph, name, content, backend, version, device, used)
    record_built(file.sha256)
    return file, content


def _onnx_file(graph: Graph, limits: Limits) -> GraphFile:
    return _file(
        graph,
        f"{graph.name}.{graph.precision}.onnx",
        graph.content,
        "onnx",
        f"opset {OPSET}",
        "any",
        limits if graph.name == ANIMATE else {},
    )


def _file(
    graph: Graph,
    name: str,
    content: bytes,
    backend: Backend,
    version: str,
    device: str,
    limits: Limits,
) -> GraphFile:
    inputs, outputs = (
        tuple(TensorInfo(key, *tensor) for key, tensor in part.items())
        for part in (graph.inputs, graph.outputs)
    )
    return GraphFile(
        name,
        hashlib.sha256(content).hexdigest(),
        len(content),
        backend,
        graph.name,
        graph.precision,
        graph.made_from,
        version,
        device,
        dict(limits),
        inputs,
        outputs,
    )


def _tensors(infos: Sequence[TensorInfo]) -> dict[str, Tensor]:
    return {one.name: Tensor(one.dtype, one.shape) for one in infos}


def _write(made: EngineFolder, contents: Sequence[tuple[GraphFile, bytes]]) -> None:
    with atomic_folder(made.path) as staging:
        for file, content in contents:
            write_bytes(staging / file.file, content)
        write_bytes(staging / MANIFEST, manifest_text(made).encode())


def _refuse_foreign(target: Path) -> None:
    """Whatever else is under that name is not ours to replace."""
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise UserError(
            f"{target}: a folder that is not of engines (no {MANIFEST} in it): move it away, or choose another -o"
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file: move it away, or choose another -o")


def _keep(cache: Path, timings: bytes) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(cache, timings)
    except (OSError, UserError) as error:
        _log.warning("timings are not kept, the next build takes as long: %s", error)


def _module(backend: NvidiaBackend) -> object:
    try:
        return import_backend(backend)
    except ImportError as error:
        raise UserError(f"engines of {backend} cannot be built: {error}") from error


def _gpu() -> Gpu:
    try:
        return find_gpu()
    except RuntimeError as error:
        raise UserError(
            f"an engine of tensorrt is built on the GPU that runs it, and {error}; --engines tensorrt-rtx needs none"
        ) from error
