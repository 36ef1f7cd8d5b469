"""Writes GGUF files, version 3, the format of llama.cpp, with tensors of random weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import random
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

# Kinds of settings and of tensors, and the multiple that tensors begin at.
U32, I32, F32, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9
FLOAT, HALF = 0, 1
ALIGNMENT = 32

Setting = str | bool | int | float | list[str] | list[int]


@dataclass
class Tensor:
    """Shape of a tensor in PyTorch's order, whether it is the weight of a norm, and whether it has half precision."""

    shape: tuple[int, ...]
    is_norm: bool = False
    is_half: bool = False

    def drawn(self, draw: random.Random) -> bytes:
        """Ones for a norm, else normal numbers with the variance of one over the number of inputs."""
        deviation = prod(self.shape[1:]) ** -0.5
        values = [1.0 if self.is_norm else draw.gauss(0.0, deviation) for _ in range(prod(self.shape))]
        return struct.pack(f"<{len(values)}{'e' if self.is_half else 'f'}", *values)


def write(path: Path, settings: dict[str, Setting], tensors: dict[str, Tensor], seed: int) -> None:
    draw = random.Random(seed)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings))
    header += b"".join(text(key) + setting(value) for key, value in settings.items())
    data = bytearray()
    for name, tensor in tensors.items():
        n = len(tensor.shape)
        header += text(name) + struct.pack("<I", n) + struct.pack(f"<{n}Q", *reversed(tensor.shape))
        header += struct.pack("<IQ", HALF if tensor.is_half else FLOAT, len(data))
        data += padded(tensor.drawn(draw))
    path.write_bytes(padded(header) + data)


def setting(value: Setting) -> bytes:
    """The kind of a setting and its value."""
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + text(value)
    if isinstance(value, list):
        # An empty list is one of texts.
        are_numbers = bool(value) and isinstance(value[0], int)
        items = struct.pack(f"<{len(value)}i", *value) if are_numbers else b"".join(text(item) for item in value)
        return struct.pack("<IIQ", ARRAY, I32 if are_numbers else TEXT, len(value)) + items
    kind, form = {bool: (BOOL, "<?"), int: (U32, "<I"), float: (F32, "<f")}[type(value)]
    return struct.pack("<I", kind) + struct.pack(form, value)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
