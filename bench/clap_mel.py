"""What bench/run compares CLAP's audio features with: transformers' ClapFeatureExtractor.

    clap_mel.py CLIPS SECONDS PROCESSES

Makes features of CLIPS clips of SECONDS seconds (noise and a sawtooth), shared out to PROCESSES processes: threads
would wait for each other, since the extractor is a Python loop over frames. Prints the seconds it took, without what
importing takes.
"""

import multiprocessing
import sys
import time

import numpy as np


def clip(samples: int, first: int) -> np.ndarray:
    index = np.arange(first, first + samples)
    noise = np.random.default_rng(first).random(samples)
    return (0.4 * ((index * 447 / 48_000) % 1 - 0.5) + 0.3 * (noise - 0.5)).astype(np.float32)


def work(clips: int, samples: int, ready: multiprocessing.Barrier, times: multiprocessing.Queue) -> None:
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    sounds = [clip(samples, first) for first in range(clips)]
    ready.wait()
    start = time.perf_counter()
    for sound in sounds:
        extractor(sound, sampling_rate=48_000, return_tensors="np")
    times.put((start, time.perf_counter()))


def main() -> None:
    clips, seconds, processes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    ready, times = multiprocessing.Barrier(processes), multiprocessing.Queue()
    share = -(-clips // processes)
    args = (share, round(seconds * 48_000), ready, times)
    workers = [multiprocessing.Process(target=work, args=args) for _ in range(processes)]
    for worker in workers:
        worker.start()
    spans = [times.get() for _ in workers]
    for worker in workers:
        worker.join()
    elapsed = max(end for _, end in spans) - min(start for start, _ in spans)
    print(f"{share * processes / elapsed:.1f} clips/s", file=sys.stderr)
    print(elapsed)


if __name__ == "__main__":
    main()
