"""Write synthetic cues, labels and word lists, for the bench of `combine`.

OUTPUT/cues/part-*.parquet  the cues, as `extract` writes them
OUTPUT/bert/part-*.parquet  a label for each distinct text, as `classify` writes it
OUTPUT/llm/part-*.parquet   the same, as `label` writes it
OUTPUT/names.txt, OUTPUT/words.txt

A fifth of the texts make up most of the rows, as `[Music]` does in life; the tail is long. Texts pass or
fail each rule in plausible shares. The same arguments give the same bytes.
"""

import argparse
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri".split()
PRONOUNS = "I you he she it we they me my your".split()
ODD = ["♪", "café", "<i>", "$5", "well-known", "...", "“oh”", "(off)"]


def words_of(rng, n):
    """Distinct made-up words of two to four syllables, and three that the rules need."""
    words = {"person", "a", "and"}
    while len(words) < n:
        words.add("".join(rng.choice(SYLLABLES, rng.integers(2, 5))))
    return sorted(words)


def texts_of(rng, n, words, names):
    """About n distinct captions: plain ones, and ones that a rule objects to."""
    words, names = np.array(words), np.array(names)
    n_words = rng.choice([1, 2, 3, 4, 5, 12], n, p=[0.1, 0.3, 0.3, 0.15, 0.1, 0.05])
    picks = words[(len(words) * rng.random((n, 12)) ** 2).astype(int)]
    kinds = rng.random(n)
    texts = []
    for row, count, kind in zip(picks, n_words, kinds):
        tokens = list(row[:count])
        if kind < 0.10:
            tokens.insert(0, names[int(kind * 1e6) % len(names)])
        elif kind < 0.18:
            tokens.insert(1, PRONOUNS[int(kind * 1e6) % len(PRONOUNS)])
        elif kind < 0.26:
            tokens.append(ODD[int(kind * 1e6) % len(ODD)])
        elif kind < 0.36:
            tokens[0] += "x"
        elif kind < 0.50:
            tokens[0] += ","
        left, right = "[]" if kind < 0.8 else "()"
        text = " ".join(tokens)
        texts.append(left + (text.upper() if 0.5 < kind < 0.55 else text) + right)
    return list(dict.fromkeys(texts))


def write_labels(folder, texts, rng):
    """Both kinds of labels; six in ten texts are sounds."""
    hashes = np.fromiter((xxhash.xxh3_64_intdigest(text.encode()) for text in texts), np.uint64, len(texts))
    prob = rng.random(len(texts)).astype(np.float32)
    label = (prob > 0.4).astype(np.int8)
    answer = np.where(rng.random(len(texts)) < 0.02, -1, label).astype(np.int8)
    common = {"text_hash": hashes, "text": texts}
    tables = {
        "bert": pa.table(common | {"bert_label": label, "bert_prob": prob}),
        "llm": pa.table(common | {"llm_label": answer, "llm_yes_prob": prob}),
    }
    for name, table in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name / "part-00000.parquet", compression="zstd")


def video_ids(rng, n):
    """Ids of eleven characters."""
    alphabet = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
    return alphabet[rng.integers(0, 64, (n, 11))].view("S11").ravel().astype("U11")


def write_cues(path, texts, first, n, rng):
    """One table of cues; a video has about twelve."""
    picks = (len(texts) * rng.random(n) ** 4).astype(np.int64)
    videos = pa.array(video_ids(rng, n // 12 + 1)).take(pa.array(np.arange(n) // 12))
    columns = {
        "row_id": np.arange(first, first + n, dtype=np.uint64),
        "video_id": videos,
        "start_ms": (np.arange(n) % 12 * 7_000 + rng.integers(0, 6_000, n)).astype(np.uint32),
        "dur_ms": rng.integers(1_000, 10_001, n).astype(np.uint32),
        "text": texts.take(pa.array(picks)),
    }
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=1 << 17)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, help="folder to write")
    parser.add_argument("--rows", type=float, default=4.0, help="millions of cues (default: 4)")
    parser.add_argument("--parts", type=int, default=4, help="tables of cues (default: 4)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    n_rows = int(args.rows * 1e6)
    words = words_of(rng, 20_000)
    names = sorted({word.capitalize() for word in words_of(rng, 3_000)})
    texts = texts_of(rng, min(n_rows // 4, 3_000_000), words, names)
    (args.output / "cues").mkdir(parents=True, exist_ok=True)
    (args.output / "words.txt").write_text("\n".join(words) + "\n")
    (args.output / "names.txt").write_text("\n".join(names) + "\n")
    write_labels(args.output, texts, rng)
    texts = pa.array(texts)
    bounds = np.linspace(0, n_rows, args.parts + 1).astype(int)
    for part, (first, last) in enumerate(zip(bounds, bounds[1:])):
        write_cues(args.output / "cues" / f"part-{part:05}.parquet", texts, int(first), int(last - first), rng)


if __name__ == "__main__":
    main()
