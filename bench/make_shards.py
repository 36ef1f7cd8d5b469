"""Make a synthetic source for the benchmark of `audsem-tarify shards`.

    python3 bench/make_shards.py OUT [--gigabytes 2] [--clips-per-tar 2048] [--seed 0]

OUT/audio/N.tar holds clips as the stage before writes them (`I.flac`, `I.json`), OUT/records.jsonl one
caption record per clip. Needs numpy and soundfile (bench/requirements.txt). The
FLACs are real: 10 s of noise at 48 kHz mono, drawn from a pool, so that they decode but compress
like nothing else.
"""

import argparse
import io
import json
import pathlib
import random
import tarfile

import numpy
import soundfile

RATE = 48_000
SECONDS = 10
POOL = 48


def flac(rng):
    """One clip: noise whose level varies, about 0.4 MB."""
    level = rng.uniform(0.002, 0.02)
    samples = rng.standard_normal(RATE * SECONDS) * level
    samples[RATE] = 0.5
    out = io.BytesIO()
    soundfile.write(out, samples.clip(-1, 1), RATE, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def add(tar, name, payload):
    info = tarfile.TarInfo(name)
    info.size = len(payload)
    tar.addfile(info, io.BytesIO(payload))


def words(rng, n):
    vocabulary = "a dog barks loudly while rain falls on the roof and someone walks over gravel far away".split()
    return " ".join(rng.choice(vocabulary) for _ in range(n))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--clips-per-tar", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    numbers = numpy.random.default_rng(args.seed)
    texts = random.Random(args.seed)
    pool = [flac(numbers) for _ in range(POOL)]
    (args.out / "audio").mkdir(parents=True, exist_ok=True)
    clip, left = 0, args.gigabytes * 1e9
    with open(args.out / "records.jsonl", "w") as records:
        for number in range(10**6):
            if left <= 0:
                break
            with tarfile.open(args.out / "audio" / f"{number}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for _ in range(args.clips_per_tar):
                    if left <= 0:
                        break
                    start = texts.randrange(0, 600_000) / 1000
                    name = f"v{clip // 3:010d} ({start}-{round(start + SECONDS, 3)})"
                    described = {"video_id": name.split()[0], "original_filename": name + ".mp4", "text": "[barking]"}
                    payload = pool[clip % POOL]
                    add(tar, f"{clip}.flac", payload)
                    add(tar, f"{clip}.json", json.dumps(described).encode())
                    record = {
                        "file_name": "tar/" + name.replace(".", "_"),
                        "caption": words(texts, 30),
                        "thinking": words(texts, 80),
                    }
                    records.write(json.dumps(record) + "\n")
                    clip += 1
                    left -= len(payload)
    print(f"{clip} clips in {number} tars")


if __name__ == "__main__":
    main()
