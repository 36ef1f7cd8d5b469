"""Writes the language model of a Qwen2.5-Omni thinker, tiny and of random weights, for llama.cpp: random-omni.py OUTPUT.gguf

Two layers of width 64 with Qwen2.5-Omni's positions (M-RoPE); the vocabulary is the 256 bytes and its special tokens. What it says is
nonsense: this is for trying and testing how sounds travel. Its audio encoder is that of random-hearing.py. See scripts/llm-server.
"""

import sys
from pathlib import Path

from gguf_file import Setting, Tensor, write

SEED = 20302
WIDTH, INNER, HEADS, KEY_HEADS, LAYERS = 64, 128, 2, 1, 2
HEAD = WIDTH // HEADS
# Pairs of dimensions of a head that rotate with time, height and width: 16, 24 and 24 of Qwen2.5-Omni's 64, the same shares here.
SECTIONS = [4, 6, 6, 0]

# Kinds of tokens.
NORMAL, CONTROL = 1, 3
END, PADDING = "<|im_end|>", "<|endoftext|>"
SPECIAL = [PADDING, "<|im_start|>", END, "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]

# In the content, the server has a marker in place of each sound, and replaces it after this.
TEMPLATE = """\
{%- for message in messages -%}
{{ "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif -%}
"""


def byte_tokens() -> list[str]:
    """GPT-2's character for each byte: that of Latin-1 where it is visible, else the next one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) if byte in visible else chr(256 + hidden.index(byte)) for byte in range(256)]


def settings() -> dict[str, Setting]:
    tokens = byte_tokens() + SPECIAL
    return {
        "general.architecture": "qwen2vl",
        "general.type": "model",
        "general.name": "random omni",
        "qwen2vl.context_length": 32768,
        "qwen2vl.embedding_length": WIDTH,
        "qwen2vl.feed_forward_length": INNER,
        "qwen2vl.block_count": LAYERS,
        "qwen2vl.attention.head_count": HEADS,
        "qwen2vl.attention.head_count_kv": KEY_HEADS,
        "qwen2vl.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen2vl.rope.freq_base": 1e6,
        "qwen2vl.rope.dimension_sections": SECTIONS,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token in SPECIAL else NORMAL for token in tokens],
        # Every byte is a token.
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.eos_token_id": tokens.index(END),
        "tokenizer.ggml.padding_token_id": tokens.index(PADDING),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def tensors() -> dict[str, Tensor]:
    vocabulary = 256 + len(SPECIAL)
    tensors = {
        "token_embd.weight": Tensor((vocabulary, WIDTH)),
        "output_norm.weight": Tensor((WIDTH,), is_norm=True),
        "output.weight": Tensor((vocabulary, WIDTH)),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name, heads in (("attn_q", HEADS), ("attn_k", KEY_HEADS), ("attn_v", KEY_HEADS)):
            tensors[f"{block}.{name}.weight"] = Tensor((heads * HEAD, WIDTH))
            tensors[f"{block}.{name}.bias"] = Tensor((heads * HEAD,))
        tensors[f"{block}.attn_output.weight"] = Tensor((WIDTH, WIDTH))
        for name, shape in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)), ("down", (WIDTH, INNER))):
            tensors[f"{block}.ffn_{name}.weight"] = Tensor(shape)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"{block}.{name}.weight"] = Tensor((WIDTH,), is_norm=True)
    return tensors


def main() -> None:
    write(Path(sys.argv[1]), settings(), tensors(), SEED)


if __name__ == "__main__":
    main()
