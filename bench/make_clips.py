"""Write media of clips and their table, for the bench of `clips`.

    python3 bench/make_clips.py OUTPUT [--clips 300]

OUTPUT/media holds 10 s clips of moving tones as sites deliver them (MP4 with AAC, WebM with Opus, MKV
with FLAC, a test picture), each under many names; OUTPUT/clips.parquet is their clip table. Needs ffmpeg.
"""

import argparse
import pathlib
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq

SECONDS = 10
CODECS = {
    "mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"],
    "webm": ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"],
    "mkv": ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--clips", type=int, default=300)
    args = parser.parse_args()
    media = args.output / "media"
    media.mkdir(parents=True, exist_ok=True)
    sound = f"aevalsrc='0.3*sin(440*t*(1+t/9)*2*PI)|0.2*sin(3000*t*(1-t/30)*2*PI)':d={SECONDS}:s=48000"
    picture = f"testsrc2=d={SECONDS}:s=640x360:r=25"
    for ending, codecs in CODECS.items():
        made = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *codecs, args.output / f"one.{ending}"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, made)], check=True)
    rows = {name: [] for name in ("video_id", "start_ms", "end_ms", "text", "clean_text")}
    for number in range(args.clips):
        ending = list(CODECS)[number % len(CODECS)]
        video_id, start_ms = f"bench{number:06}", 1_000 * number
        name = f"{video_id} ({start_ms / 1000}-{start_ms / 1000 + SECONDS}).{ending}"
        shutil.copy(args.output / f"one.{ending}", media / name)
        for column, value in zip(rows, (video_id, start_ms, start_ms + 1000 * SECONDS, "[tones]", "moving tones")):
            rows[column].append(value)
    types = {"start_ms": pa.uint32(), "end_ms": pa.uint32()}
    table = pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in rows.items()})
    pq.write_table(table, args.output / "clips.parquet")


if __name__ == "__main__":
    main()
