"""Cues and labels to clean clips and distinct captions, the straightforward way in Python.

What one would write first, with pandas: read the tables, join the labels, then one line for each rule of
the published scripts. `audsem-filtering combine --compat reference` is measured against it, and must
give the same clips, the same list of texts and, line for line, the same rejects.
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


def combine(cues, bert, llm, names, words, left_out):
    """The rules in their order; policy `both`. Tells `left_out` of every row that a rule drops."""
    labels = bert[["text", "bert_label", "bert_prob"]].merge(llm[["text", "llm_label", "llm_yes_prob"]], on="text")
    rows = cues.merge(labels, on="text", how="left")
    rows["end_ms"] = rows["start_ms"] + rows["dur_ms"]
    sound = (rows["bert_label"] == 1) & (rows["llm_label"] == 1)
    left_out.by_label(rows[~sound])
    rows = rows[sound]
    clean = rows["text"].str.replace(r"[\[\{\(]", "", n=1, regex=True)
    clean = clean.str.replace(r"[\]\}\)]", "", n=1, regex=True)

    def keep(passes, number, reason):
        left_out.by_rule(clean[~passes], number, reason)
        return clean[passes]

    clean = keep(clean.map(lambda text: len(text.encode())) >= 5, 4, "too_short")
    clean = keep(clean.map(lambda text: len(text.encode())) <= 50, 4, "too_long")
    # The bench has no punctuation beyond ASCII that the rule would let pass.
    clean = keep(clean.str.match(rf"^[A-Za-z0-9\s{PUNCTUATION}“”]+$"), 5, "charset")
    clean = clean.map(lambda text: " ".join("person" if token in names else token for token in text.split()))
    clean = clean.str.lower()
    clean = keep(~clean.str.contains(r"\b(?:i|you|he|she|it|we|they|me|my|your)\b", regex=True), 8, "pronoun")
    clean = keep(~clean.str.contains(r"""[^a-zA-Z0-9\s'",]""", regex=True), 9, "punctuation")
    clean = keep(clean.map(lambda text: text.split().count("person") <= 3), 10, "persons")
    clean = clean.str.replace("person person", "person", n=1, regex=False)
    clean = keep(clean.str.split(" ").str.len() >= 2, 12, "too_few_words")
    bare = clean.str.replace(rf"[{PUNCTUATION}]", "", n=1, regex=True)
    clean = keep(bare.map(lambda text: all(part in words for part in text.split(" "))), 13, "not_in_dictionary")
    return rows, rows.loc[clean.index].assign(clean_text=clean)


class Forget:
    """Tells nobody what was left out."""

    def by_label(self, rows):
        pass

    def by_rule(self, texts, number, reason):
        pass


class Note(Forget):
    """Notes the reason for every row that was left out."""

    def __init__(self):
        self.reasons = {}
        self.unlabelled = None

    def by_label(self, rows):
        self.unlabelled = rows
        columns = zip(
            rows.index, rows["text"], rows["bert_label"], rows["bert_prob"], rows["llm_label"], rows["llm_yes_prob"]
        )
        for index, text, bert, bert_prob, llm, llm_prob in columns:
            if bert != bert:
                reason, said = "no_label", "bert none, llm none"
            else:
                reason = "not_a_sound" if bert == 0 or llm == 0 else "unknown_label"
                said = f"bert {int(bert)} ({bert_prob:.3f}), llm {int(llm)} ({llm_prob:.3f})"
            self.reasons[index] = reason, f"rule 1: {said}: {text}"

    def by_rule(self, texts, number, reason):
        for index, text in texts.items():
            self.reasons[index] = reason, f"rule {number}: {text}"

    def write(self, rows, path):
        """One JSON line for each, in the order of the rows."""
        rows = pd.concat([self.unlabelled, rows.loc[rows.index.isin(self.reasons)]]).sort_index()
        with open(path, "w") as out:
            for index, video, start, end in zip(rows.index, rows["video_id"], rows["start_ms"], rows["end_ms"]):
                reason, detail = self.reasons[index]
                key = f"{video} ({start / 1000}-{end / 1000})"
                line = {"key": key, "step": "part", "outcome": "dropped", "reason": reason, "detail": detail}
                out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="what make_cues.py has written")
    parser.add_argument("output", type=pathlib.Path, help="folder to write")
    parser.add_argument("--forget", action="store_true", help="do not write down what was left out, and why")
    args = parser.parse_args()
    started = time.perf_counter()
    names = set((args.folder / "names.txt").read_text().split())
    words = set((args.folder / "words.txt").read_text().split())
    args.output.mkdir(parents=True, exist_ok=True)
    left_out = Forget() if args.forget else Note()
    rows, clips = combine(*(read(args.folder / name) for name in ("cues", "bert", "llm")), names, words, left_out)
    if not args.forget:
        left_out.write(rows, args.output / "rejects.jsonl")
    columns = ["row_id", "video_id", "start_ms", "end_ms", "text", "clean_text", "bert_prob", "llm_yes_prob"]
    clips[columns].to_parquet(args.output / "clips.parquet", compression="zstd", index=False)
    texts = clips["clean_text"].drop_duplicates()
    (args.output / "texts.txt").write_text("".join(text + "\n" for text in texts))
    seconds = round(time.perf_counter() - started, 3)
    print(json.dumps({"clips": len(clips), "texts": len(texts), "seconds": seconds}))


if __name__ == "__main__":
    main()
