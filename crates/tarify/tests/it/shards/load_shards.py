"""Report what the Python readers see in a folder of training shards: load_shards.py FOLDER CACHE

One JSON object: {"webdataset": {split: [sample]}, "datasets": {split: [sample]}}, where a sample is
its key, its JSON, the SHA-256 of its FLAC and what soundfile decodes from it.
"""

import glob
import hashlib
import io
import json
import sys

import datasets
import pyarrow
import soundfile
import webdataset


def describe(key, record, flac):
    samples, rate = soundfile.read(io.BytesIO(flac), always_2d=True)
    return {
        "key": key,
        "json": record,
        "sha256": hashlib.sha256(flac).hexdigest(),
        "rate": rate,
        "frames": len(samples),
        "peak": float(abs(samples).max()),
    }


def main():
    folder, cache = sys.argv[1:]
    tars = {split: sorted(glob.glob(f"{folder}/{split}/*.tar")) for split in ("train", "valid")}
    report = {"webdataset": {}, "datasets": {}}
    for split, urls in tars.items():
        stream = webdataset.WebDataset(urls, shardshuffle=False)
        report["webdataset"][split] = [
            describe(sample["__key__"], json.loads(sample["json"]), sample["flac"]) for sample in stream
        ]
    # Left to itself, the reader makes FLAC an Audio column, for which it wants torch and torchcodec.
    records = [sample["json"] for split in report["webdataset"].values() for sample in split]
    schema = pyarrow.schema({"json": pyarrow.array(records).type})
    text = datasets.Value("string")
    flac = datasets.Value("binary")
    features = datasets.Features(
        {**datasets.Features.from_arrow_schema(schema), "flac": flac, "__key__": text, "__url__": text}
    )
    loaded = datasets.load_dataset("webdataset", data_files=tars, cache_dir=cache, features=features)
    for split in tars:
        report["datasets"][split] = [
            describe(row["__key__"], row["json"], row["flac"]) for row in loaded[split]
        ]
    json.dump(report, sys.stdout)


main()
