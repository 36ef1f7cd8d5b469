"""Writes an audio encoder of random weights that llama.cpp joins to a language model: random-hearing.py OUTPUT.gguf [MODEL]

It is Qwen2-Audio's kind of encoder, tiny: two layers of width 64 and a map to the width of the language model. MODEL is `smollm2`
(SmolLM2-135M, the default) or `omni` (that of random-omni.py). The model then takes sounds, and what it says about them is
nonsense: this is for trying and testing how sounds travel. See scripts/llm-server.
"""

import sys
from pathlib import Path

from gguf_file import Setting, Tensor, write

SEED = 20301
# For each language model, its width and llama.cpp's name for the encoder; it runs both alike.
MODELS = {"smollm2": (576, "qwen2a"), "omni": (64, "qwen2.5o")}
# The width of Whisper's features and its positions.
MELS, POSITIONS = 128, 1500
WIDTH, INNER, HEADS, LAYERS = 64, 128, 2, 2


def settings(language_width: int, kind: str) -> dict[str, Setting]:
    return {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": "random hearing",
        "clip.has_audio_encoder": True,
        "clip.projector_type": kind,
        "clip.use_gelu": True,
        "clip.audio.projector_type": kind,
        "clip.audio.projection_dim": language_width,
        "clip.audio.embedding_length": WIDTH,
        "clip.audio.feed_forward_length": INNER,
        "clip.audio.block_count": LAYERS,
        "clip.audio.attention.head_count": HEADS,
        "clip.audio.attention.layer_norm_epsilon": 1e-5,
        "clip.audio.num_mel_bins": MELS,
    }


def tensors(language_width: int) -> dict[str, Tensor]:
    tensors = {
        # llama.cpp convolves with kernels of half precision.
        "a.conv1d.1.weight": Tensor((WIDTH, MELS, 3), is_half=True), "a.conv1d.1.bias": Tensor((WIDTH, 1)),
        "a.conv1d.2.weight": Tensor((WIDTH, WIDTH, 3), is_half=True), "a.conv1d.2.bias": Tensor((WIDTH, 1)),
        "a.position_embd.weight": Tensor((POSITIONS, WIDTH)),
        "a.post_ln.weight": Tensor((WIDTH,), is_norm=True), "a.post_ln.bias": Tensor((WIDTH,)),
        "mm.a.fc.weight": Tensor((language_width, WIDTH)), "mm.a.fc.bias": Tensor((language_width,)),
    }
    for layer in range(LAYERS):
        maps = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_out": (WIDTH, WIDTH)}
        maps |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        for name, (outputs, inputs) in maps.items():
            tensors[f"a.blk.{layer}.{name}.weight"] = Tensor((outputs, inputs))
            # Whisper's keys have none.
            if name != "attn_k":
                tensors[f"a.blk.{layer}.{name}.bias"] = Tensor((outputs,))
        for name in ("ln1", "ln2"):
            tensors[f"a.blk.{layer}.{name}.weight"] = Tensor((WIDTH,), is_norm=True)
            tensors[f"a.blk.{layer}.{name}.bias"] = Tensor((WIDTH,))
    return tensors


def main() -> None:
    output, *model = sys.argv[1:]
    width, kind = MODELS[model[0] if model else "smollm2"]
    write(Path(output), settings(width, kind), tensors(width), SEED)


if __name__ == "__main__":
    main()
