"""Folders as open_clip writes them, with the random weights of transformers' own models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

WORDS = ("lung", "brain", "knee", "nodule", "of", "the")
HOW = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
_BLOCK = (  # names of transformers' CLIP and of open_clip
    *(
        ("layer_norm1.", "ln_1."),
        ("layer_norm2.", "ln_2."),
        ("self_attn.out_proj.", "attn.out_proj."),
    ),
    *(("mlp.fc1.", "mlp.c_fc."), ("mlp.fc2.", "mlp.c_proj.")),
)


def write_tokenizer(folder: Path, begin: str, end: str) -> int:
    """A few words, with a mark before and one behind, the last of all; returns how many."""
    from tokenizers import Tokenizer, normalizers
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    words = {word: k for k, word in enumerate(("[PAD]", "[UNK]", *WORDS, begin, end))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(m, words[m]) for m in (begin, end)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(words)


def write_config(folder: Path, model: dict[str, Any], how: dict[str, Any] = HOW) -> None:
    config = {"model_cfg": model, "preprocess_cfg": how}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def write_plain(folder: Path, *, quick: bool = True, custom: bool = False, seed: int = 0) -> Any:
    """A tiny CLIP; returns transformers' model of the same weights."""
    from transformers import CLIPConfig, CLIPModel

    folder.mkdir(exist_ok=True)
    words = write_tokenizer(folder, "<start>", "<end>")
    torch.manual_seed(seed)
    common = {"num_hidden_layers": 2, "hidden_act": "quick_gelu" if quick else "gelu"}
    text = {"hidden_size": 16, "intermediate_size": 64, "num_attention_heads": 2}
    marks = {"eos_token_id": words - 1, "bos_token_id": words - 2, "pad_token_id": 0}
    picture = {"hidden_size": 32, "intermediate_size": 96, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=common | text | marks | {"vocab_size": words, "max_position_embeddings": 12},
        vision_config=common | picture | {"image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(0, 0.2)
    save_file(_plain_names(model.state_dict(), custom), folder / "open_clip_model.safetensors")
    vision_cfg = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
    text_cfg = {"context_length": 12, "vocab_size": words, "width": 16, "heads": 2, "layers": 2}
    model_cfg = {"embed_dim": 8, "quick_gelu": quick, "text_cfg": text_cfg}
    if custom:
        model_cfg["custom_text"] = True
    write_config(folder, model_cfg | {"vision_cfg": vision_cfg | {"mlp_ratio": 3.0}})
    return model


def _plain_names(state: dict[str, torch.Tensor], custom: bool) -> dict[str, torch.Tensor]:
    text = "text." if custom else ""
    visual = "vision_model."
    out = {
        "logit_scale": state["logit_scale"],
        "visual.class_embedding": state[visual + "embeddings.class_embedding"],
        "visual.positional_embedding": state[visual + "embeddings.position_embedding.weight"],
        "visual.conv1.weight": state[visual + "embeddings.patch_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        text + "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        text + "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        text + "text_projection": state["text_projection.weight"].T,
    }
    for kind in ("weight", "bias"):
        out[f"visual.ln_pre.{kind}"] = state[f"{visual}pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"{visual}post_layernorm.{kind}"]
        out[f"{text}ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
    for ours, theirs in (("visual.", visual), (text, "text_model.")):
        for layer in range(2):
            to = f"{ours}transformer.resblocks.{layer}."
            own = f"{theirs}encoder.layers.{layer}."
            for kind in ("weight", "bias"):
                parts = [state[f"{own}self_attn.{x}_proj.{kind}"] for x in "qkv"]
                out[f"{to}attn.in_proj_{kind}"] = torch.cat(parts)
                for old, new in _BLOCK:
                    out[f"{to}{new}{kind}"] = state[f"{own}{old}{kind}"]
    return {name: value.contiguous().clone() for name, value in out.items()}


def write_biomed(folder: Path) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    """As BiomedCLIP: returns the ViT, the BERT, and the weights of both projections."""
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    folder.mkdir(exist_ok=True)
    words = write_tokenizer(folder, "[CLS]", "[SEP]")
    torch.manual_seed(0)
    common = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 2}
    vit = ViTModel(
        ViTConfig(**common, num_hidden_layers=2, image_size=32, patch_size=8, layer_norm_eps=1e-6),
        add_pooling_layer=False,
    ).eval()
    bert = BertModel(
        BertConfig(**common, num_hidden_layers=2, vocab_size=words, max_position_embeddings=20),
        add_pooling_layer=False,
    ).eval()
    with torch.no_grad():
        for value in (*vit.parameters(), *bert.parameters()):
            value.normal_(0, 0.1)
    heads = {
        "visual.head.proj.weight": torch.randn(8, 128),
        "text.proj.0.weight": torch.randn(68, 128),
        "text.proj.2.weight": torch.randn(8, 68),
    }
    texts = {f"text.transformer.{name}": value for name, value in bert.state_dict().items()}
    both = {**_timm_names(vit), **texts, **heads, "logit_scale": torch.ones(())}
    both = {name: value.contiguous().clone() for name, value in both.items()}
    save_file(both, folder / "open_clip_model.safetensors")
    vision_cfg = {"timm_model_name": "vit_tiny_patch8_32", "timm_pool": "", "timm_proj": "linear"}
    text_cfg = {"hf_model_name": "some/BERT", "hf_proj_type": "mlp", "context_length": 12}
    text_cfg |= {"hf_pooler_type": "cls_last_hidden_state_pooler", "hf_tokenizer_name": "some/BERT"}
    vision_cfg |= {"image_size": 32, "timm_model_pretrained": False}
    write_config(folder, {"embed_dim": 8, "vision_cfg": vision_cfg, "text_cfg": text_cfg})
    return vit, bert, heads


def _timm_names(vit: Any) -> dict[str, torch.Tensor]:
    embedded, trunk = vit.embeddings, "visual.trunk."
    out = {
        trunk + "cls_token": embedded.cls_token,
        trunk + "pos_embed": embedded.position_embeddings,
        trunk + "patch_embed.proj.weight": embedded.patch_embeddings.projection.weight,
        trunk + "patch_embed.proj.bias": embedded.patch_embeddings.projection.bias,
        trunk + "norm.weight": vit.layernorm.weight,
        trunk + "norm.bias": vit.layernorm.bias,
    }
    state = vit.state_dict()
    layer_of = "encoder.layer" if any(n.startswith("encoder.layer.") for n in state) else "layers"
    names = {name.removeprefix(f"{layer_of}.0.") for name in state if ".0." in name}
    for layer in range(2):
        for kind in ("weight", "bias"):
            own = {n: state[f"{layer_of}.{layer}.{n}"] for n in names if n.endswith(kind)}
            out |= {f"{trunk}blocks.{layer}.{n}": v for n, v in _vit_block(own, kind).items()}
    return out


def _vit_block(own: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """One block, found by what transformers' names have in common over its versions."""

    def one(*parts: str) -> torch.Tensor:
        found = [v for n, v in own.items() if any(part in n for part in parts)]
        assert len(found) == 1, (parts, sorted(own))
        return found[0]

    qkv = [one(f"attention.{w}.", f".{w[0]}_proj.") for w in ("query", "key", "value")]
    return {
        f"attn.qkv.{kind}": torch.cat(qkv),
        f"attn.proj.{kind}": one("attention.output.dense.", ".o_proj."),
        f"norm1.{kind}": one("layernorm_before."),
        f"norm2.{kind}": one("layernorm_after."),
        f"mlp.fc1.{kind}": one("intermediate.dense.", "mlp.fc1."),
        f"mlp.fc2.{kind}": own.get(f"output.dense.{kind}", own.get(f"mlp.fc2.{kind}")),
    }
