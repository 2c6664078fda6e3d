"""A folder of an outside encoder with random weights, as transformers writes it."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = ("lung", "brain", "knee", "nodule", "of", "the")


def write_clip(folder: Path, seed: int = 0, size: int = 32) -> Path:
    """A tiny CLIP with a tokenizer of a few words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    marks = ("<pad>", "<unk>", "<end>")
    words = {word: k for k, word in enumerate((*marks, *WORDS))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    text = {"vocab_size": len(words), "max_position_embeddings": 12, "num_attention_heads": 2}
    picture = {"image_size": size, "patch_size": 8, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=common | text | {"eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 1},
        vision_config=common | picture,
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    how = {
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_normalize": True,
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "image_processor_type": "CLIPImageProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(how))
    return folder
