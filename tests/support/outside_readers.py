"""Vision-language models of random weights, as transformers writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}


def tiny_blip(folder: Path) -> None:
    """A BLIP of random weights with a vocabulary of some words."""
    import torch
    import transformers

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "a", "mass", "no", "."]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizer(vocab=str(folder / "vocab.txt"))
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BlipConfig(
        text_config=small | {
            "vocab_size": len(words), "intermediate_size": 16, "encoder_hidden_size": 16,
            "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0,
            "max_position_embeddings": 256,
        },
        vision_config=small | {"intermediate_size": 16, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )  # fmt: skip
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    shape = {"height": 32, "width": 32}
    pixels = transformers.BlipImageProcessorPil(size=shape)
    transformers.BlipProcessor(pixels, tokenizer).save_pretrained(folder)


def tiny_llava() -> tuple[Any, dict[str, Any]]:
    """A LLaVA with 16 visual tokens, and what its processor would make of a picture."""
    import torch
    import transformers

    torch.manual_seed(0)
    small: dict[str, Any] = _SMALL | {"num_hidden_layers": 2}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**small, image_size=32, patch_size=8),
        text_config=transformers.LlamaConfig(**small, vocab_size=40, num_key_value_heads=2),
        image_token_id=7,
    )
    config._attn_implementation = "eager"
    ids = torch.tensor([[1, 5, *[7] * 16, 6]])
    given = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.rand(1, 3, 32, 32),
    }
    return transformers.LlavaForConditionalGeneration(config).eval(), given
