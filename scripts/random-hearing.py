"""Writes an audio encoder of random weights that llama.cpp joins to SmolLM2-135M: random-hearing.py OUTPUT.gguf

It is Qwen2-Audio's kind of encoder, tiny: two layers of width 64 and a map to the width of the language model. The model then takes
sounds, and what it says about them is nonsense: this is for trying and testing how sounds travel. See scripts/llm-server.
"""

import random
import struct
import sys
from pathlib import Path

SEED = 20301
# The width of SmolLM2-135M, and of Whisper's features and positions.
LANGUAGE_WIDTH, MELS, POSITIONS = 576, 128, 1500
WIDTH, INNER, HEADS, LAYERS = 64, 128, 2, 2
# Kinds of values and of tensors in GGUF, version 3, and the multiple that tensors begin at.
U32, F32, BOOL, TEXT = 4, 6, 7, 8
FLOAT, HALF = 0, 1
ALIGNMENT = 32

SETTINGS = {
    "general.architecture": "clip",
    "general.type": "mmproj",
    "general.name": "random hearing",
    "clip.has_audio_encoder": True,
    "clip.projector_type": "qwen2a",
    "clip.use_gelu": True,
    "clip.audio.projector_type": "qwen2a",
    "clip.audio.projection_dim": LANGUAGE_WIDTH,
    "clip.audio.embedding_length": WIDTH,
    "clip.audio.feed_forward_length": INNER,
    "clip.audio.block_count": LAYERS,
    "clip.audio.attention.head_count": HEADS,
    "clip.audio.attention.layer_norm_epsilon": 1e-5,
    "clip.audio.num_mel_bins": MELS,
}


def shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, in PyTorch's order."""
    shapes: dict[str, tuple[int, ...]] = {
        "a.conv1d.1.weight": (WIDTH, MELS, 3), "a.conv1d.1.bias": (WIDTH, 1),
        "a.conv1d.2.weight": (WIDTH, WIDTH, 3), "a.conv1d.2.bias": (WIDTH, 1),
        "a.position_embd.weight": (POSITIONS, WIDTH),
        "a.post_ln.weight": (WIDTH,), "a.post_ln.bias": (WIDTH,),
        "mm.a.fc.weight": (LANGUAGE_WIDTH, WIDTH), "mm.a.fc.bias": (LANGUAGE_WIDTH,),
    }
    for layer in range(LAYERS):
        maps = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_out": (WIDTH, WIDTH)}
        maps |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        for name, (outputs, inputs) in maps.items():
            shapes[f"a.blk.{layer}.{name}.weight"] = (outputs, inputs)
            # Whisper's keys have none.
            if name != "attn_k":
                shapes[f"a.blk.{layer}.{name}.bias"] = (outputs,)
        for name in ("ln1", "ln2"):
            shapes[f"a.blk.{layer}.{name}.weight"] = shapes[f"a.blk.{layer}.{name}.bias"] = (WIDTH,)
    return shapes


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def setting(key: str, value: str | bool | int | float) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", TEXT) + text(value)
    kind, form = {bool: (BOOL, "<?"), int: (U32, "<I"), float: (F32, "<f")}[type(value)]
    return text(key) + struct.pack("<I", kind) + struct.pack(form, value)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def main() -> None:
    draw = random.Random(SEED)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes()), len(SETTINGS))
    header += b"".join(setting(key, value) for key, value in SETTINGS.items())
    tensors = b""
    for name, shape in shapes().items():
        size, inputs = 1, 1
        for n, length in enumerate(shape):
            size, inputs = size * length, inputs * (length if n else 1)
        is_norm = "ln" in name.split(".")[-2] and name.endswith("weight")
        values = [1.0 if is_norm else draw.gauss(0.0, inputs**-0.5) for _ in range(size)]
        # llama.cpp convolves with kernels of half precision.
        kind = HALF if ".conv1d." in name and name.endswith("weight") else FLOAT
        header += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        header += struct.pack("<IQ", kind, len(tensors))
        tensors += padded(struct.pack(f"<{size}{'e' if kind == HALF else 'f'}", *values))
    Path(sys.argv[1]).write_bytes(padded(header) + tensors)


if __name__ == "__main__":
    main()
