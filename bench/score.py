"""Mean dissimilarity as one would write it in Python: pyarrow in and out, numpy between.

    python3 bench/score.py REFERENCE CLIPS OUT

REFERENCE and CLIPS are folders of the example `random_vectors`. One pass over each, the mean direction in 64 bits.
"""

import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet


def batches(folder):
    for path in sorted(folder.glob("*.parquet"), key=lambda path: int(path.stem)):
        file = pyarrow.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["key", "vec"])
            values = table["vec"].combine_chunks().flatten().to_numpy()
            yield table["key"], values.reshape(table.num_rows, -1)


def unit(values):
    return values / numpy.linalg.norm(values, axis=1, keepdims=True)


reference, clips, out = map(pathlib.Path, sys.argv[1:])
total, count = 0.0, 0
for _, values in batches(reference):
    total = total + unit(values).sum(axis=0, dtype=numpy.float64)
    count += len(values)
mean = (total / count).astype(numpy.float32)
keys, scores = [], []
for key, values in batches(clips):
    keys.extend(key.chunks)
    scores.append(1 - unit(values) @ mean)
table = pyarrow.table({"key": pyarrow.chunked_array(keys), "dissimilarity": numpy.concatenate(scores)})
pyarrow.parquet.write_table(table, out, compression="zstd")
