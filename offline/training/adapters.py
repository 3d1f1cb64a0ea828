"""The avatar's network as a peft model, there and back: adapters are made, trained and exchanged as peft has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn

from perse_live.attribute_file import MAX_ALPHA, MAX_WEIGHT, InvalidAttributesError, as_stored
from perse_live.attributes import LearnedAttribute
from perse_live.avatar import Avatar, network_of
from perse_live.checked import parse_json_object
from perse_live.decoder.network import CODES, FEATURES, Adapter, Decoder
from perse_live.decoder.torch_module import LAYERS, DecoderModule
from perse_live.errors import UserError
from perse_live.files import write_bytes

_MARK = "perse_live.json"
_MAX_JSON_BYTES = 1 << 20


class Network:
    """A decoder with named adapters; adapter k reads the k-th group of CODES columns after the features."""

    def __init__(
        self, decoder: Decoder, adapters: Mapping[str, Adapter | int], *, seed: int = 0
    ) -> None:
        """adapters: in the order of their column groups; a number in place of one makes a new trainable adapter of that rank.
        seed: of the initial factors of new adapters. peft draws from torch's global generator, without influence on the result.
        """
        generator = torch.Generator().manual_seed(seed)
        self.names = tuple(adapters)
        module = DecoderModule(decoder, readers=len(self.names))
        model: PeftModel | None = None
        for name, one in adapters.items():
            config = _config(one, alpha=float(one) if isinstance(one, int) else one.alpha)
            if model is None:
                model = cast("PeftModel", get_peft_model(module, config, adapter_name=name))
            else:
                model.add_adapter(name, config)
        if model is None:
            raise ValueError("a network without adapters")
        self.model = model
        base = cast("Any", model.base_model).model
        self._layers: list[Any] = [getattr(base, layer) for layer in LAYERS]
        for number, (name, one) in enumerate(adapters.items()):
            if isinstance(one, Adapter):
                self._load(name, number, one)
            else:
                self._begin(name, number, generator)

    def parameters(self, name: str) -> list[nn.Parameter]:
        """The trainable factors A and B of each layer of an adapter."""
        return [
            factor
            for layer in self._layers
            for factor in (layer.lora_A[name].weight, layer.lora_B[name].weight)
        ]

    def __call__(
        self, rows: torch.Tensor, weights: Mapping[str, torch.Tensor | float]
    ) -> torch.Tensor:
        """D(rows) under weights by name; a weight may be a column (N, 1). rows: (N, FEATURES + CODES * readers)."""
        used = [name for name in self.names if name in weights]
        for layer in self._layers:
            layer._active_adapter = used
            for name in used:
                layer.scaling[name] = weights[name] * (layer.lora_alpha[name] / layer.r[name])
        return self.model(rows)

    def rows(self, features: torch.Tensor, codes: torch.Tensor | None, name: str) -> torch.Tensor:
        """Network inputs with the codes (N, CODES) in the columns of one adapter; None: zeros."""
        out = features.new_zeros(len(features), FEATURES + CODES * len(self.names))
        out[:, :FEATURES] = features
        if codes is not None:
            at = FEATURES + CODES * self.names.index(name)
            out = torch.cat([out[:, :at], codes, out[:, at + CODES :]], 1)
        return out

    def adapter(self, name: str) -> Adapter:
        """An adapter as plain arrays."""
        number, factors = (
            self.names.index(name),
            [factor.detach().numpy().copy() for factor in self.parameters(name)],
        )
        at = FEATURES + CODES * number
        first = np.concatenate([factors[0][:, :FEATURES], factors[0][:, at : at + CODES]], 1)
        return Adapter(first, *factors[1:], alpha=float(self._layers[0].lora_alpha[name]))

    def _load(self, name: str, number: int, one: Adapter) -> None:
        first, *others = self.parameters(name)
        at = FEATURES + CODES * number
        with torch.no_grad():
            first.zero_()
            first[:, :FEATURES] = torch.from_numpy(one.a1[:, :FEATURES])
            first[:, at : at + CODES] = torch.from_numpy(one.a1[:, FEATURES:])
            for factor, array in zip(others, (one.b1, one.a2, one.b2, one.a3, one.b3), strict=True):
                factor.copy_(torch.from_numpy(array))
        for factor in (first, *others):
            factor.requires_grad_(False)

    def _begin(self, name: str, number: int, generator: torch.Generator) -> None:
        """Initialise A so that each rank reads one code, and B random: learns faster than peft's B of zeros."""
        at, first = FEATURES + CODES * number, self.parameters(name)[0]
        seen = torch.zeros_like(first)
        seen[:, :FEATURES], seen[:, at : at + CODES] = 1, 1
        with torch.no_grad():
            for a, b in zip(self.parameters(name)[::2], self.parameters(name)[1::2], strict=True):
                # As in peft, but from the given generator
                nn.init.kaiming_uniform_(a, a=5**0.5, generator=generator)
                b.normal_(0, 0.3 / len(a) ** 0.5, generator=generator)
            first[:, at : at + CODES] = torch.eye(len(first), CODES)
            first *= seen
        first.register_hook(
            lambda gradient: gradient * seen
        )  # no gradient for the codes of other adapters
        for factor in self.parameters(name):
            factor.requires_grad_()


def _config(one: Adapter | int, *, alpha: float) -> LoraConfig:
    return LoraConfig(
        r=one if isinstance(one, int) else one.rank,
        lora_alpha=cast("int", alpha),
        target_modules=list(LAYERS),
    )


def as_peft(avatar: Avatar, names: Sequence[str]) -> Network:
    """The avatar's network with the adapters of learned attributes, as a peft model. Raises UserError for an unknown name."""
    if avatar.decoder is None:
        raise UserError("the avatar has no learned attributes yet: add one first")
    learned = {one.name: one for one in avatar.attributes if isinstance(one, LearnedAttribute)}
    for name in names:
        if name not in learned:
            raise UserError(
                f"there is no attribute {name[:40]!r}: there are {', '.join(learned) or 'none'}"
            )
    return Network(avatar.decoder, {name: learned[name].adapter for name in names})


def save_adapter(avatar: Avatar, name: str, folder: Path) -> None:
    """Write an attribute's adapter in peft's format: configuration, factors, and the avatar whose network it belongs to.

    Raises UserError for an attribute that is not there, and where the disk refuses.
    """
    network = as_peft(avatar, [name])
    try:
        # Into a folder of the adapter's name
        network.model.save_pretrained(str(folder), selected_adapters=[name])
        write_bytes(
            folder / name / _MARK,
            json.dumps({"network": network_of(avatar), "attribute": name}).encode(),
        )
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error


def load_adapter(avatar: Avatar, name: str, folder: Path) -> Avatar:
    """The avatar with an attribute's adapter replaced by that of a folder which `save_adapter` wrote and peft may have trained.

    Raises UserError, one line, for an attribute that is not there, for a folder without a valid adapter, and for an adapter
    that was trained for another avatar.
    """
    as_peft(avatar, [name])
    where = folder / name
    try:
        mark = parse_json_object((where / _MARK).read_bytes(), max_bytes=_MAX_JSON_BYTES)
        weights = safetensors.numpy.load((where / "adapter_model.safetensors").read_bytes())
        alpha = float(
            parse_json_object(
                (where / "adapter_config.json").read_bytes(), max_bytes=_MAX_JSON_BYTES
            )["lora_alpha"]
        )
        belongs = mark["network"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{where} holds no sound adapter: save it again") from error
    if belongs != network_of(avatar):
        raise UserError(
            f"{where}: this adapter was trained for another avatar: train it on this one"
        )
    factors = [
        weights.get(f"base_model.model.{layer}.lora_{part}.weight")
        for layer in LAYERS
        for part in "AB"
    ]
    learned = next(
        one for one in avatar.attributes if isinstance(one, LearnedAttribute) and one.name == name
    )
    try:
        a1, b1, a2, b2, a3, b3 = (
            np.ascontiguousarray(factor, np.float32) for factor in factors if factor is not None
        )
        most = max(float(np.abs(factor).max()) for factor in (a1, b1, a2, b2, a3, b3))
        if not (most <= MAX_WEIGHT and 0 <= alpha <= MAX_ALPHA):
            raise ValueError(most)
        changed = as_stored(replace(learned, adapter=Adapter(a1, b1, a2, b2, a3, b3, alpha)))
    except (ValueError, InvalidAttributesError) as error:
        raise UserError(
            f"{where}: its factors are incomplete or out of range: save the adapter again"
        ) from error
    return replace(
        avatar, attributes=tuple(changed if one.name == name else one for one in avatar.attributes)
    )
