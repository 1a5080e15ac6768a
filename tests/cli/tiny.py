"""Write a model directory of a few thousand random weights: a token for each byte, ChatML's tokens,
<think>, a chat template.  Usage: tiny.py DIRECTORY"""

import json
import os
import random
import struct
import sys

D, F, HEADS, KV, LAYERS, CONTEXT = 32, 64, 4, 2, 2, 2048
ADDED = ["<|im_end|>", "<|im_start|>", "<think>", "</think>"]
VOCAB = 256 + len(ADDED)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def alphabet():
    """The byte alphabet of byte-level BPE."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = (b for b in range(256) if b not in shown)
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def main():
    out, rng = sys.argv[1], random.Random(7)
    os.makedirs(out)
    names = alphabet()
    tokenizer = {
        "added_tokens": [
            {"id": 256 + i, "content": c, "special": i < 2} for i, c in enumerate(ADDED)
        ],
        "normalizer": None,
        "post_processor": None,
        "decoder": {"type": "ByteLevel"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {"type": "BPE", "vocab": {names[b]: b for b in range(256)}, "merges": []},
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": D,
        "intermediate_size": F,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "num_hidden_layers": LAYERS,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
    }
    shapes = {"model.embed_tokens.weight": (VOCAB, D), "model.norm.weight": (D,)}
    for i in range(LAYERS):
        p, kv = f"model.layers.{i}.", KV * D // HEADS
        shapes |= {
            p + "input_layernorm.weight": (D,),
            p + "post_attention_layernorm.weight": (D,),
            p + "self_attn.q_proj.weight": (D, D),
            p + "self_attn.k_proj.weight": (kv, D),
            p + "self_attn.v_proj.weight": (kv, D),
            p + "self_attn.o_proj.weight": (D, D),
            p + "mlp.gate_proj.weight": (F, D),
            p + "mlp.up_proj.weight": (F, D),
            p + "mlp.down_proj.weight": (D, F),
        }
    header, data = {}, b""
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * n if len(shape) == 1 else [rng.gauss(0, 0.2) for _ in range(n)]
        header[name] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [len(data), len(data) + 4 * n],
        }
        data += struct.pack(f"<{n}f", *values)
    text = json.dumps(header).encode()
    with open(f"{out}/model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    for name, value in (
        ("config", config),
        ("tokenizer", tokenizer),
        ("tokenizer_config", {"eos_token": ADDED[0], "chat_template": TEMPLATE}),
    ):
        with open(f"{out}/{name}.json", "w") as f:
            json.dump(value, f)


main()
