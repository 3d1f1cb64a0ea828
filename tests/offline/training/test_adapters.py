from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel

from attribute_toys import toy_decoder, toy_learned
from offline.training.adapters import as_peft, load_adapter, save_adapter
from offline.training.base_decoder import own_features
from offline.training.transport import travel
from perse_live.attributes import LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.decoder.network import decode, fold
from perse_live.decoder.torch_module import DecoderModule
from perse_live.errors import UserError
from toys import toy_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    toy = toy_avatar(gaussians=300)
    return replace(
        toy,
        decoder=toy_decoder(),
        attributes=(
            toy_learned(toy, "beard", "beard"),
            toy_learned(toy, "stubble", "beard", seed=1),
        ),
    )


def learned(avatar: Avatar, k: int = 0) -> LearnedAttribute:
    one = avatar.attributes[k]
    assert isinstance(one, LearnedAttribute)
    return one


def test_peft_decodes_as_the_runtime_does(avatar: Avatar) -> None:
    network = as_peft(avatar, ["beard", "stubble"])
    assert isinstance(network.model, PeftModel) and set(network.model.peft_config) == {
        "beard",
        "stubble",
    }
    assert avatar.decoder is not None
    features = own_features(avatar)
    for reader, name in enumerate(("beard", "stubble")):
        codes = np.random.default_rng(0).normal(size=(len(features), 8)).astype(np.float32)
        rows = network.rows(torch.from_numpy(features), torch.from_numpy(codes), name)
        with torch.no_grad():
            out = network(rows, {"beard": 0.3, "stubble": torch.full((len(rows), 1), 0.6)})
        folded = fold(
            avatar.decoder,
            [(learned(avatar).adapter, 0.3), (learned(avatar, 1).adapter, 0.6)],
            reader=reader,
        )
        np.testing.assert_allclose(out.numpy(), decode(folded, features, codes), atol=1e-5)


def test_an_adapter_goes_to_a_folder_and_back(avatar: Avatar, tmp_path: Path) -> None:
    save_adapter(avatar, "beard", tmp_path)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {
        path.name for path in (tmp_path / "beard").iterdir()
    }
    again = learned(load_adapter(avatar, "beard", tmp_path))
    for name in ("a1", "b1", "a2", "b2", "a3", "b3"):
        np.testing.assert_array_equal(
            getattr(again.adapter, name), getattr(learned(avatar).adapter, name)
        )
    assert again.adapter.alpha == learned(avatar).adapter.alpha
    # and peft itself opens it, on the bare decoder
    assert avatar.decoder is not None
    opened = PeftModel.from_pretrained(
        DecoderModule(avatar.decoder, readers=1), str(tmp_path / "beard")
    )
    features, codes = own_features(avatar)[:20], np.ones((20, 8), np.float32)
    with torch.no_grad():
        out = opened(torch.from_numpy(np.concatenate([features, codes], 1)))
    folded = fold(avatar.decoder, [(learned(avatar).adapter, 1.0)], reader=0)
    np.testing.assert_allclose(out.numpy(), decode(folded, features, codes), atol=1e-5)


def test_an_adapter_of_another_avatar_is_refused(avatar: Avatar, tmp_path: Path) -> None:
    save_adapter(avatar, "beard", tmp_path)
    for other in (
        replace(avatar, colors=np.clip(avatar.colors + np.float32(0.01), 0, 1)),
        replace(avatar, decoder=toy_decoder(seed=9)),
    ):
        with pytest.raises(UserError, match="trained for another avatar"):
            load_adapter(other, "beard", tmp_path)
    with pytest.raises(UserError, match="no attribute 'hat': there are beard, stubble"):
        load_adapter(avatar, "hat", tmp_path)
    with pytest.raises(UserError, match="no learned attributes yet"):
        as_peft(replace(avatar, decoder=None), ["beard"])


def test_a_broken_folder_is_one_clear_line(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sound adapter"):
        load_adapter(avatar, "beard", tmp_path)
    save_adapter(avatar, "beard", tmp_path)
    config = tmp_path / "beard" / "adapter_config.json"
    sound = config.read_text()
    config.write_text(json.dumps(json.loads(sound) | {"lora_alpha": 1e9}))
    with pytest.raises(UserError, match="out of range"):
        load_adapter(avatar, "beard", tmp_path)
    config.write_text(sound)
    (tmp_path / "beard" / "adapter_model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(UserError, match="no sound adapter"):
        load_adapter(avatar, "beard", tmp_path)


# ----- how parts travel


def test_travellers_end_up_where_the_others_are_and_neighbours_stay_neighbours() -> None:
    random = np.random.default_rng(0)
    begin = random.uniform(-1, 1, (800, 3))
    end = random.uniform(-1, 1, (500, 3)) * np.array([2, 0.5, 1]) + np.array([3, 0, 0])
    there = begin + travel(begin, end)
    np.testing.assert_allclose(there.mean(0), end.mean(0), atol=0.05)
    np.testing.assert_allclose(there.std(0), end.std(0), rtol=0.06)
    order = np.argsort(begin[:, 0])
    assert np.corrcoef(begin[order, 0], there[order, 0])[0, 1] > 0.95
    assert len(travel(begin[:0], end)) == 0 and not travel(begin, end[:0]).any()
