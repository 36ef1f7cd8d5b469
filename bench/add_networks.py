"""Adds the networks to what bench/run measured: add_networks.py RESULTS THEIRS OURS

THEIRS is what `models.py run` wrote, OURS what the example `bench_models` printed.
"""

import json
import sys

NAMES = {
    "clap audio": "CLAP audio tower of full size, 4 clips of 10 s",
    "bert-base": "BERT-base classifier, 256 captions",
    "minilm": "MiniLM, 256 captions",
}

results, theirs, ours = sys.argv[1:]
theirs = json.load(open(theirs))["seconds"]
measured = json.load(open(ours))
with open(results, "a") as out:

    def add(name, seconds, **more):
        out.write(json.dumps({"name": name, "seconds": seconds} | more) + "\n")

    for key, name in NAMES.items():
        mine = measured[key]["seconds"]
        for kind, times in theirs.items():
            if not kind.startswith(key):
                continue
            padding = kind.removeprefix(key)
            # Ours computes nothing on padding.
            for library, seconds in times.items():
                add(f"{name}{padding}: {library}", seconds)
                add(f"{name}{padding and ', no padding'}", mine, against=f"{name}{padding}: {library}")
