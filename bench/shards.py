"""Caption shards as one would write them in Python: tarfile in, webdataset's ShardWriter out.

    python3 bench/shards.py SOURCE OUT [--verify none|full] [--num-valid 100]

SOURCE is what make_shards.py makes. Needs webdataset, and for --verify full also soundfile.
It does less than `audsem-tarify shards`: no resume, no hashes, no report of what was left out.
"""

import argparse
import hashlib
import io
import json
import pathlib
import re
import tarfile

import webdataset

OMIT = ("original caption", "original data", "original description", "original title")


def key_of(name):
    name = name.split("/")[-1]
    return re.sub(r"\.(mp4|webm|mkv)$", "", name).replace(".", "_")


def load(path):
    records = {}
    with open(path) as lines:
        for line in lines:
            record = json.loads(line)
            caption, thinking = record["caption"], record["thinking"]
            if len(caption.split()) > 100 or len(caption) < 10 or len(thinking) < 10:
                continue
            if any(phrase in caption or phrase in thinking for phrase in OMIT):
                continue
            record["caption"] = record["answer"] = " ".join(caption.split())
            record["thinking"] = " ".join(thinking.split())
            record["question"] = "Describe this recording."
            records[key_of(record["file_name"])] = record
    return records


def usable(flac):
    import numpy
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(flac), dtype="float32")
    seconds = len(samples) / rate
    return 0.1 <= seconds <= 300 and numpy.isfinite(samples).all() and numpy.abs(samples).max() >= 0.001


def clips(folder):
    """(key, flac) of every clip of the tars, in order."""
    for path in sorted(folder.glob("*.tar"), key=lambda path: int(path.stem)):
        with tarfile.open(path) as tar:
            flac = None
            for member in tar:
                payload = tar.extractfile(member).read()
                if member.name.endswith(".flac"):
                    flac = payload
                else:
                    yield key_of(json.loads(payload)["original_filename"]), flac


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--verify", choices=["none", "full"], default="none")
    parser.add_argument("--num-valid", type=int, default=100)
    args = parser.parse_args()

    records = load(args.source / "records.jsonl")
    videos = sorted({key.split(" ")[0] for key in records}, key=lambda video: hashlib.sha1(video.encode()).digest())
    valid = set(videos[: args.num_valid])
    writers = {}
    for split in ("train", "valid"):
        (args.out / split).mkdir(parents=True, exist_ok=True)
        pattern = str(args.out / split / "%04d.tar")
        writers[split] = webdataset.ShardWriter(pattern, maxcount=2048, maxsize=1e15, verbose=0)
    for key, flac in clips(args.source / "audio"):
        record = records.get(key)
        if record is None or (args.verify == "full" and not usable(flac)):
            continue
        split = "valid" if key.split(" ")[0] in valid else "train"
        writers[split].write({"__key__": key, "flac": flac, "json": record})
    for writer in writers.values():
        writer.close()


if __name__ == "__main__":
    main()
