"""Audio shards to CLAP vectors, the straightforward way: soundfile, transformers' processor, PyTorch, Parquet.

    python3 bench/embed.py TAR MODEL OUTPUT.parquet [--batch 8] [--threads 2]
"""

import argparse
import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch
from transformers import ClapFeatureExtractor, ClapModel


def sounds(path):
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith(".flac"):
                samples, rate = soundfile.read(io.BytesIO(tar.extractfile(member).read()), dtype="float32")
                assert rate == 48_000
                yield member.name, samples


def batches(items, size):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tar")
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    extractor = ClapFeatureExtractor.from_pretrained(args.model)
    model = ClapModel.from_pretrained(args.model).eval()
    names, vectors = [], []
    for batch in batches(sounds(args.tar), args.batch):
        features = extractor([samples for _, samples in batch], sampling_rate=48_000, return_tensors="pt")
        pooled = model.audio_projection(model.audio_model(**features).pooler_output)
        vectors.extend(torch.nn.functional.normalize(pooled, dim=-1).tolist())
        names.extend(name for name, _ in batch)
    pq.write_table(pa.table({"key": names, "embedding": pa.array(vectors, pa.list_(pa.float32()))}), args.output)


if __name__ == "__main__":
    main()
