"""A TFLite model of the signature of MediaPipe's Selfie Multiclass: one convolution that tells six classes by their colour.

Written with flatbuffers alone, by the slots of TensorFlow Lite's schema (tensorflow/lite/schema/schema.fbs) and with MediaPipe's
own metadata classes, so that MediaPipe's real ImageSegmenter loads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import (
    image_segmenter_metadata_schema_py_generated as segmenter_schema,
)
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

from perse_live.arrays import Int64Array, UInt8Array

SIDE = 256
CLASS_COLORS = np.array(
    [
        [0.1, 0.8, 0.2],
        [0.05, 0.04, 0.04],
        [0.75, 0.45, 0.35],
        [0.95, 0.7, 0.6],
        [0.15, 0.2, 0.7],
        [0.9, 0.9, 0.1],
    ]
)
"""(6, 3) in [0, 1]: background, hair, body skin, face skin, clothes, other; each pixel is what is nearest."""
_CONV_2D, _CONV_2D_OPTIONS, _SOFTMAX = 3, 1, 2
_SHARPNESS = 60.0


def tiny_multiclass() -> bytes:
    """The model's file: float32 (1, 256, 256, 3) in [0, 1] to logits (1, 256, 256, 6)."""
    # The nearest colour has the greatest 2 c.x - c.c
    weights = (2 * _SHARPNESS * CLASS_COLORS).astype(np.float32)
    bias = (-_SHARPNESS * (CLASS_COLORS**2).sum(1)).astype(np.float32)
    builder = flatbuffers.Builder(4096)
    buffers = [
        _buffer(builder, data) for data in (b"", weights.tobytes(), bias.tobytes(), _metadata())
    ]
    tensors = [
        _tensor(builder, name, shape, buffer)
        for name, shape, buffer in (
            ("image", (1, SIDE, SIDE, 3), 0),
            ("weights", (6, 1, 1, 3), 1),
            ("bias", (6,), 2),
            ("logits", (1, SIDE, SIDE, 6), 0),
        )
    ]
    options = _table(
        builder, 6, lambda: (builder.PrependInt32Slot(1, 1, 0), builder.PrependInt32Slot(2, 1, 0))
    )
    inputs, outputs = _integers(builder, (0, 1, 2)), _integers(builder, (3,))
    operator = _table(
        builder,
        5,
        lambda: (
            _offset(builder, 1, inputs),
            _offset(builder, 2, outputs),
            builder.PrependUint8Slot(3, _CONV_2D_OPTIONS, 0),
            _offset(builder, 4, options),
        ),
    )
    code = _table(
        builder,
        4,
        lambda: (
            builder.PrependInt8Slot(0, _CONV_2D, 0),
            builder.PrependInt32Slot(2, 1, 0),
            builder.PrependInt32Slot(3, _CONV_2D, 0),
        ),
    )
    all_tensors, operators = _tables(builder, tensors), _tables(builder, [operator])
    graph_in, graph_out = _integers(builder, (0,)), _integers(builder, (3,))
    graph = _table(
        builder,
        5,
        lambda: (
            _offset(builder, 0, all_tensors),
            _offset(builder, 1, graph_in),
            _offset(builder, 2, graph_out),
            _offset(builder, 3, operators),
        ),
    )
    name = builder.CreateString("TFLITE_METADATA")
    entry = _table(
        builder, 2, lambda: (_offset(builder, 0, name), builder.PrependUint32Slot(1, 3, 0))
    )
    codes, graphs, every, entries = (
        _tables(builder, rows) for rows in ([code], [graph], buffers, [entry])
    )
    model = _table(
        builder,
        8,
        lambda: (
            builder.PrependUint32Slot(0, 3, 0),
            _offset(builder, 1, codes),
            _offset(builder, 2, graphs),
            _offset(builder, 4, every),
            _offset(builder, 6, entries),
        ),
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _metadata() -> bytes:
    """How the picture is brought to the model's input, and that its output is logits."""
    inner = flatbuffers.Builder(64)
    options: Any = segmenter_schema.ImageSegmenterOptionsT()
    options.activation = _SOFTMAX
    inner.Finish(options.Pack(inner), file_identifier=b"V001")
    custom: Any = schema.CustomMetadataT()
    custom.name, custom.data = "SEGMENTER_METADATA", np.frombuffer(bytes(inner.Output()), np.uint8)
    normal: Any = schema.NormalizationOptionsT()
    normal.mean, normal.std = [0.0], [255.0]
    unit: Any = schema.ProcessUnitT()
    unit.optionsType, unit.options = schema.ProcessUnitOptions.NormalizationOptions, normal
    content: Any = schema.ContentT()
    image: Any
    content.contentPropertiesType = schema.ContentProperties.ImageProperties
    content.contentProperties = image = schema.ImagePropertiesT()
    image.colorSpace = schema.ColorSpaceType.RGB
    picture: Any = schema.TensorMetadataT()
    picture.name, picture.content, picture.processUnits = "image", content, [unit]
    logits: Any = schema.TensorMetadataT()
    logits.name = "logits"
    graph: Any = schema.SubGraphMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata, graph.customMetadata = (
        [picture],
        [logits],
        [custom],
    )
    model: Any = schema.ModelMetadataT()
    model.name, model.subgraphMetadata = "tiny", [graph]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), file_identifier=b"M001")
    return bytes(builder.Output())


def _table(builder: Any, slots: int, fill: Callable[[], object]) -> int:
    builder.StartObject(slots)
    fill()
    return int(builder.EndObject())


def _offset(builder: Any, slot: int, offset: int) -> None:
    builder.PrependUOffsetTRelativeSlot(slot, offset, 0)


def _tables(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _integers(builder: Any, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _buffer(builder: Any, data: bytes) -> int:
    if not data:
        return _table(builder, 1, lambda: None)
    builder.StartVector(1, len(data), 16)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    vector = int(builder.EndVector())
    return _table(builder, 1, lambda: _offset(builder, 0, vector))


def _tensor(builder: Any, name: str, shape: Sequence[int], buffer: int) -> int:
    sizes, text = _integers(builder, shape), builder.CreateString(name)
    return _table(
        builder,
        4,
        lambda: (
            _offset(builder, 0, sizes),
            builder.PrependInt8Slot(1, 0, 0),
            builder.PrependUint32Slot(2, buffer, 0),
            _offset(builder, 3, text),
        ),
    )


def painted(labels: Int64Array) -> UInt8Array:
    """A picture (H, W, 3) whose pixels have the colours of classes (H, W)."""
    return np.rint(255 * CLASS_COLORS[labels]).astype(np.uint8)
