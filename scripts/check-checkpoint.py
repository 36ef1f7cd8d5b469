"""Opens what `train-classifier` wrote with transformers and compares every held-out verdict.

    python scripts/check-checkpoint.py RUN_FOLDER      (needs torch and transformers: fixtures/regen/requirements.txt)
"""

import csv
import pathlib
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TOLERANCE = 1e-4


def main(run: pathlib.Path) -> int:
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    rows = list(csv.DictReader((run / "heldout.csv").open(newline="")))
    texts = ["".join(c for c in row["text"] if c not in "[](){}") for row in rows]
    with torch.no_grad():
        batch = tokenizer(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
        sound = torch.softmax(model(**batch).logits, dim=-1)[:, 1]
    worst = max(abs(ours - float(row["probability"])) for ours, row in zip(sound.tolist(), rows))
    print(f"{len(rows)} captions, {type(tokenizer).__name__}, {type(model).__name__}: largest difference {worst:.1e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
