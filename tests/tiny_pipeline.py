"""A Stable Diffusion inpainting pipeline with random weights: 2 MB, drawn in seconds, real in all but what it paints."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any


def write_tiny_pipeline(folder: Path) -> None:
    """As `save_pretrained` writes one; nothing is fetched."""
    diffusers: Any = importlib.import_module("diffusers")
    transformers: Any = importlib.import_module("transformers")
    torch: Any = importlib.import_module("torch")
    from tokenizers.pre_tokenizers import ByteLevel

    torch.manual_seed(0)
    words = folder.parent / f"{folder.name}-words"
    words.mkdir()
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {
        text: k
        for k, text in enumerate(
            [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
        )
    }
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    begin, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    tokenizer = transformers.CLIPTokenizer(
        str(words / "vocab.json"),
        str(words / "merges.txt"),
        model_max_length=77,
        pad_token="<|endoftext|>",
    )
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=9,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=[32, 64, 64, 64],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
    )
    encoder = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=end,
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            vocab_size=len(vocabulary),
            max_position_embeddings=77,
        )
    )
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    diffusers.StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
