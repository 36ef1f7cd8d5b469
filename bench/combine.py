"""Cues and labels to clean clips and distinct captions, the straightforward way in Python.

What one would write first, with pandas: read the tables, join the labels, then one line for each rule of
the published scripts. `audsem-filtering combine --compat reference` is measured against it, and must
give the same clips and the same list of texts.
"""

import argparse
import json
import pathlib
import time

import pandas as pd

PUNCTUATION = r"""!"#%&'()*,\-./:;?@\[\\\]_{}"""


def read(folder):
    """All tables of a folder as one."""
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)


def combine(cues, bert, llm, names, words):
    """The rules in their order; policy `both`."""
    labels = bert[["text", "bert_label", "bert_prob"]].merge(llm[["text", "llm_label", "llm_yes_prob"]], on="text")
    rows = cues.merge(labels, on="text", how="left")
    rows = rows[(rows["bert_label"] == 1) & (rows["llm_label"] == 1)]
    clean = rows["text"].str.replace(r"[\[\{\(]", "", n=1, regex=True)
    clean = clean.str.replace(r"[\]\}\)]", "", n=1, regex=True)
    length = clean.map(lambda text: len(text.encode()))
    clean = clean[(length >= 5) & (length <= 50)]
    # The bench has no punctuation beyond ASCII that the rule would let pass.
    clean = clean[clean.str.match(rf"^[A-Za-z0-9\s{PUNCTUATION}“”]+$")]
    clean = clean.map(lambda text: " ".join("person" if token in names else token for token in text.split()))
    clean = clean.str.lower()
    clean = clean[~clean.str.contains(r"\b(?:i|you|he|she|it|we|they|me|my|your)\b", regex=True)]
    clean = clean[~clean.str.contains(r"""[^a-zA-Z0-9\s'",]""", regex=True)]
    clean = clean[clean.map(lambda text: text.split().count("person") <= 3)]
    clean = clean.str.replace("person person", "person", n=1, regex=False)
    clean = clean[clean.str.split(" ").str.len() >= 2]
    bare = clean.str.replace(rf"[{PUNCTUATION}]", "", n=1, regex=True)
    clean = clean[bare.map(lambda text: all(part in words for part in text.split(" ")))]
    clips = rows.loc[clean.index].assign(clean_text=clean)
    clips["end_ms"] = clips["start_ms"] + clips["dur_ms"]
    return clips


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="what make_cues.py has written")
    parser.add_argument("output", type=pathlib.Path, help="folder to write")
    args = parser.parse_args()
    started = time.perf_counter()
    names = set((args.folder / "names.txt").read_text().split())
    words = set((args.folder / "words.txt").read_text().split())
    clips = combine(*(read(args.folder / name) for name in ("cues", "bert", "llm")), names, words)
    args.output.mkdir(parents=True, exist_ok=True)
    columns = ["row_id", "video_id", "start_ms", "end_ms", "text", "clean_text", "bert_prob", "llm_yes_prob"]
    clips[columns].to_parquet(args.output / "clips.parquet", compression="zstd", index=False)
    texts = clips["clean_text"].drop_duplicates()
    (args.output / "texts.txt").write_text("".join(text + "\n" for text in texts))
    seconds = round(time.perf_counter() - started, 3)
    print(json.dumps({"clips": len(clips), "texts": len(texts), "seconds": seconds}))


if __name__ == "__main__":
    main()
