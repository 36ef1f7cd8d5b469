"""Nearest neighbours as one would find them with numpy: nearest.py REFERENCE CLIPS OUT K

Exact: products of blocks, the K largest of each row of them, and at the end of all blocks together.
"""

import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet


def vectors(folder):
    for path in sorted(folder.glob("*.parquet"), key=lambda path: int(path.stem)):
        file = pyarrow.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["vec"])
            values = table["vec"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
            yield values / numpy.linalg.norm(values, axis=1, keepdims=True)


reference, clips, out = map(pathlib.Path, sys.argv[1:4])
k = int(sys.argv[4])
queries = numpy.concatenate(list(vectors(clips)))
best = numpy.full((len(queries), k), -1, dtype=numpy.float32)
for group in vectors(reference):
    for block in numpy.array_split(group, -(-len(group) // 8192)):
        cosines = queries @ block.T
        top = -numpy.partition(-cosines, k - 1, axis=1)[:, :k]
        best = -numpy.sort(-numpy.concatenate([best, top], axis=1), axis=1)[:, :k]
table = pyarrow.table({"nearest": best[:, 0], "mean_top_k": best.mean(axis=1)})
pyarrow.parquet.write_table(table, out, compression="zstd")
