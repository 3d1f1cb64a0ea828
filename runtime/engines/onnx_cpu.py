"""The exported graphs on the CPU, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attribute_blender import AttributeBlender
from perse_live.avatar import Avatar
from perse_live.engines.folder import EngineFolder, GraphFile, Precision, read_folder
from perse_live.engines.graphs import (
    ANIMATE,
    ATTRIBUTES,
    MOTION,
    POSED,
    Arrays,
    binding_arrays,
    canonical_arrays,
    look_hash,
    motion_arrays,
    rig_hash,
    with_all_attributes,
)
from perse_live.errors import UserError, one_line
from perse_live.extras import install_command
from perse_live.gaussians import Gaussians
from perse_live.splatting.backend import Rasterizer, open_rasterizer
from runtime.engines.contract import Blender, EngineName, EngineUnavailableError


class OnnxEngine:
    """Runs `animate`, and `attributes` where the folder has it for this avatar."""

    name: EngineName = "onnx"

    def __init__(self, path: Path, avatar: Avatar, *, precision: Precision | None = None) -> None:
        """path: a folder of engines; precision: None takes what is there, fp32 first.

        Raises EngineUnavailableError with all causes.
        """
        causes: list[str] = []
        onnxruntime: Any = None
        try:
            import onnxruntime
        except ImportError as error:
            causes.append(
                f"the package onnxruntime does not load ({error}): {install_command('onnx')}"
            )
        folder: EngineFolder | None = None
        files: list[GraphFile] = []
        try:
            folder = read_folder(path)
            files = folder.find(ANIMATE, "onnx", precision)
            if not files:
                causes.append(
                    f"{path}: has no {precision or ''} ONNX graph: export with --engines onnx".replace(
                        "  ", " "
                    )
                )
            elif files[0].made_from != rig_hash(avatar.rig):
                causes.append(
                    f"{path}: made from another avatar ({folder.avatar}): export this one's engines"
                )
        except UserError as error:
            causes.append(str(error))
        if causes or folder is None:
            raise EngineUnavailableError(self.name, causes)
        self._runtime: Any = onnxruntime
        self._vertices = len(avatar.rig.vertices)
        self._look_hash = ""
        try:
            self._animate = folder.read(files[0])
            self._attributes: bytes | None = None
            for one in folder.find(ATTRIBUTES, "onnx", files[0].precision)[:1]:
                self._attributes, self._look_hash = folder.read(one), one.made_from
            self._names = folder.attributes
            _check_outputs(self._session(self._animate, 1), tuple(POSED))
        except UserError as error:
            raise EngineUnavailableError(self.name, [str(error)]) from error
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise EngineUnavailableError(
                self.name,
                [
                    f"{path}: ONNX Runtime {onnxruntime.__version__} does not take"
                    f" {files[0].file} ({one_line(error, 200)})"
                ],
            ) from error

    def poser(self, avatar: Avatar, *, threads: int) -> OnnxPoser:
        """With separate sessions for an avatar of this rig."""
        attributes = None
        if self._attributes is not None and look_hash(avatar) == self._look_hash:
            attributes = self._session(self._attributes, threads)
        return OnnxPoser(avatar, self._session(self._animate, threads), attributes, self._names)

    def drawer(self, width: int, height: int, *, threads: int) -> Rasterizer:
        """The CPU's."""
        return open_rasterizer(width, height, device="cpu", threads=threads)

    def _session(self, content: bytes, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # spinning threads take the cores that tracking, drawing and encoding need: two of them were 3 to 4 times slower than one
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxPoser:
    """Poses one avatar by the graph `animate`."""

    def __init__(
        self, avatar: Avatar, animate: Any, attributes: Any | None, names: tuple[str, ...]
    ) -> None:
        self._avatar, self._session, self._attributes, self._names = (
            avatar,
            animate,
            attributes,
            names,
        )
        self._binding = animate.io_binding()
        kinds = {
            "tensor(float)": np.float32,
            "tensor(float16)": np.float16,
            "tensor(int32)": np.int32,
        }
        self._dtypes = {one.name: kinds[one.type] for one in animate.get_inputs()}
        self._motion: Arrays = {
            name: np.zeros((1, *(int(n) for n in tensor.shape[1:])), np.float32)
            for name, tensor in MOTION.items()
        }
        self._held: Arrays = {}
        self._look: Avatar | OnnxLook | None = None
        for name, array in self._motion.items():
            self._bind(name, array)
        self.set_avatar(avatar)

    def attribute_blender(self) -> Blender:
        """The graph `attributes` where it is this avatar's, else the numba kernels."""
        if self._attributes is None:
            return AttributeBlender(self._avatar)
        return OnnxAttributeBlender(self._avatar, self._attributes, self._names)

    def set_avatar(self, look: Avatar | OnnxLook) -> None:
        """Switch to the same avatar with other attribute weights, as its blender gives it or as an avatar.

        Raises ValueError for another rig.
        """
        if isinstance(look, OnnxLook):
            if look is not self._look:
                self._bind_all(look.arrays)
        else:
            if look.rig.actions is not self._avatar.rig.actions:
                raise ValueError("another avatar's rig: open an engine for that avatar")
            # The same arrays with other contents, but for the table of corrections
            if look is self._look:
                self._held["corrections"][:] = canonical_arrays(look)["corrections"]
            else:
                self._bind_all(canonical_arrays(look) | binding_arrays(look))
        self._look = look

    def _bind_all(self, arrays: Arrays) -> None:
        self._held = {
            name: np.ascontiguousarray(array, self._dtypes[name]) for name, array in arrays.items()
        }
        for name, array in self._held.items():
            self._bind(name, array)
        count = len(arrays["surface_opacities"]) + len(arrays["rigid_opacities"])
        self._posed = {
            "means": np.empty((1, count, 3), np.float32),
            "quats": np.empty((1, count, 4), np.float32),
            "scales": np.empty((1, count, 3), np.float32),
            "opacities": np.empty((1, count), np.float32),
            "colors": np.empty((1, count, 3), np.float32),
        }
        for name, array in self._posed.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def pose(
        self,
        expression: FloatArray,
        gaze: FloatArray,
        pose: HeadPose,
        *,
        residual: Float32Array | None = None,
        secondary: FloatArray | None = None,
    ) -> Gaussians:
        """The avatar's Gaussians in the camera frame, as `Animator.pose`; work buffers."""
        for name, array in motion_arrays(expression, gaze, pose, residual, secondary).items():
            self._motion[name][:] = array
        self._session.run_with_iobinding(self._binding)
        out = self._posed
        return Gaussians(
            out["means"][0],
            out["quats"][0],
            out["scales"][0],
            out["opacities"][0],
            out["colors"][0],
        )

    def _bind(self, name: str, array: np.ndarray) -> None:
        """Bind an array without a copy."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


@dataclass(frozen=True, eq=False)
class OnnxLook:
    """An avatar under attribute weights, as arrays by the names of `animate`'s inputs."""

    arrays: Arrays


class OnnxAttributeBlender:
    """Blends one avatar's attributes by the graph `attributes`; added Gaussians are always present, transparent at weight 0."""

    def __init__(self, avatar: Avatar, session: Any, names: tuple[str, ...]) -> None:
        self._avatar, self._session, self._names = avatar, session, names
        full = with_all_attributes(avatar)
        self._given = {name: array.copy() for name, array in canonical_arrays(full).items()}
        self._look = OnnxLook(self._given | binding_arrays(full))

    def blend(self, weights: Mapping[str, float]) -> Avatar | OnnxLook:
        """The avatar under weights; the avatar itself where none is above 0. A work buffer."""
        row = np.array([weights.get(name, 0.0) for name in self._names], np.float32)
        if not (row > 0).any():
            return self._avatar
        for array, new in zip(
            self._given.values(), self._session.run(None, {"weights": row}), strict=True
        ):
            array[:] = new
        return self._look


def _check_outputs(session: Any, names: tuple[str, ...]) -> None:
    there = tuple(one.name for one in session.get_outputs())
    if there != names:
        raise UserError(
            f"its outputs are {', '.join(there)}, not {', '.join(names)}: export the engines again"
        )
