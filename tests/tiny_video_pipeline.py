"""Guided video pipelines with random weights, real in all but what they draw: AnimateDiff with ControlNets, and Wan VACE."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny_pipeline import write_tiny_pipeline


def write_tiny_animatediff(
    folder: Path, *, nets: Sequence[str] = ("depth", "normal"), adapter: bool = True
) -> None:
    """As `save_pretrained` writes it, with an IP-Adapter where the animator looks for one.

    nets: what the ControlNets are called, of which the guides are told.
    """
    diffusers: Any = importlib.import_module("diffusers")
    transformers: Any = importlib.import_module("transformers")
    torch: Any = importlib.import_module("torch")
    still_folder = folder.parent / f"{folder.name}-still"
    write_tiny_pipeline(still_folder)
    still = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
        still_folder, safety_checker=None
    )
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        norm_num_groups=2,
    )
    made = [
        diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8, 8))
        for _ in nets
    ]
    for net in made:
        _wake(torch, net)
    motion = diffusers.MotionAdapter(
        block_out_channels=(32, 64),
        motion_layers_per_block=1,
        motion_norm_num_groups=2,
        motion_num_attention_heads=4,
        use_motion_mid_block=False,
    )
    _wake(torch, motion)
    diffusers.AnimateDiffControlNetPipeline(
        vae=still.vae,
        text_encoder=still.text_encoder,
        tokenizer=still.tokenizer,
        unet=unet,
        motion_adapter=motion,
        controlnet=made if len(made) > 1 else made[0],
        scheduler=still.scheduler,
    ).save_pretrained(folder)
    for number, name in enumerate(nets):
        path = folder / ("controlnet" if number == 0 else f"controlnet_{number}") / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "_name_or_path": f"somebody/control_{name}"}))
    if adapter:
        _write_adapter(diffusers, transformers, torch, folder)


def _wake(torch: Any, module: Any) -> None:
    """Layers that start at zero, as ControlNets' and motion modules' last ones do, made random."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.2)


def _write_adapter(diffusers: Any, transformers: Any, torch: Any, folder: Path) -> None:
    place = folder / "ip_adapter"
    encoder = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(
            hidden_size=32,
            projection_dim=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            image_size=32,
            intermediate_size=37,
            patch_size=8,
        )
    )
    encoder.save_pretrained(place / "image_encoder")
    unet = diffusers.UNetMotionModel.from_pretrained(folder, subfolder="unet")
    weights: dict[str, Any] = {
        "image_proj.proj.weight": torch.randn(4 * 32, 32) * 0.2,
        "image_proj.proj.bias": torch.zeros(4 * 32),
        "image_proj.norm.weight": torch.ones(32),
        "image_proj.norm.bias": torch.zeros(32),
    }
    number = 1
    for name in unet.attn_processors:
        if not name.endswith("attn2.processor") or "motion_modules" in name:
            continue
        layer = unet.get_submodule(name.removesuffix(".processor"))
        for key in ("to_k_ip", "to_v_ip"):
            shape = layer.to_k.weight.shape
            weights[f"ip_adapter.{number}.{key}.weight"] = torch.randn(*shape) * 0.2
        number += 2
    importlib.import_module("safetensors.torch").save_file(weights, place / "tiny.safetensors")


def write_tiny_wan_vace(folder: Path) -> None:
    """As `save_pretrained` writes it: a latent stands for 4 frames, and one of the reference stands before them."""
    diffusers: Any = importlib.import_module("diffusers")
    transformers: Any = importlib.import_module("transformers")
    torch: Any = importlib.import_module("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(2)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: k for k, text in enumerate(["<pad>", "</s>", *letters])}
    words = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel()
    diffusers.WanVACEPipeline(
        transformer=diffusers.WanVACETransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
            vace_layers=[0],
            vace_in_channels=96,
        ),
        vae=diffusers.AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=transformers.UMT5EncoderModel(
            transformers.UMT5Config(
                vocab_size=len(vocabulary), d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4
            )
        ),
        tokenizer=transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", model_max_length=512
        ),
    ).save_pretrained(folder)
