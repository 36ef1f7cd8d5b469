"""Sorts the metadata of safetensors files: the library writes it in another order each time.

    python3 scripts/sort-metadata.py FILE...

Changes no file that has it in order, and nothing but the header of the others.
"""

import json
import pathlib
import sys


def sort(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > length:
        raise SystemExit(f"{path}: the sorted header is longer, {len(text)} instead of {length} bytes")
    ordered = data[:8] + text.ljust(length) + data[8 + length :]
    if ordered != data:
        path.write_bytes(ordered)


for name in sys.argv[1:]:
    sort(pathlib.Path(name))
