"""Clips to audio shards, the straightforward way: one ffmpeg per clip, a tar from the results.

    python3 bench/clips.py FOLDER OUTPUT.tar [--jobs 2]

FOLDER is what make_clips.py makes.
"""

import argparse
import concurrent.futures
import io
import json
import pathlib
import subprocess
import tarfile

import pyarrow.parquet as pq


def flac(path):
    """The sound of a file: 48 kHz mono FLAC."""
    form = ["-vn", "-ac", "1", "-ar", "48000", "-sample_fmt", "s16", "-f", "flac", "-"]
    return subprocess.run(["ffmpeg", "-v", "error", "-threads", "1", "-i", path, *form], check=True, capture_output=True).stdout


def add(tar, name, payload):
    info = tarfile.TarInfo(name)
    info.size = len(payload)
    tar.addfile(info, io.BytesIO(payload))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    rows = {row["video_id"]: row for row in pq.read_table(args.folder / "clips.parquet").to_pylist()}
    paths = sorted((args.folder / "media").iterdir())
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool, tarfile.open(args.output, "w") as tar:
        for number, (path, sound) in enumerate(zip(paths, pool.map(flac, paths)), 1):
            row = rows[path.name.split(" ")[0]]
            add(tar, f"{number}.flac", sound)
            add(tar, f"{number}.json", json.dumps(row | {"original_filename": path.name}).encode())


if __name__ == "__main__":
    main()
