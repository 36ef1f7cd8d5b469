"""Adds the networks to what bench/run measured: add_networks.py RESULTS TORCH OURS

TORCH is what `models.py run` wrote, OURS what the example `bench_models` printed.
"""

import json
import sys

NAMES = {
    "clap audio": "CLAP audio tower of full size, 4 clips of 10 s",
    "bert-base": "BERT-base classifier, 256 captions",
    "minilm": "MiniLM, 256 captions",
}

results, torch, ours = sys.argv[1:]
theirs = json.load(open(torch))["seconds"]
measured = json.load(open(ours))
with open(results, "a") as out:
    for key, name in NAMES.items():
        for kind, seconds in theirs.items():
            if not kind.startswith(key):
                continue
            padding = kind.removeprefix(key)
            torch_name = f"{name}{padding}: PyTorch"
            out.write(json.dumps({"name": torch_name, "seconds": seconds}) + "\n")
            line = {"name": f"{name}{padding and ', no padding'}", "seconds": measured[key]["seconds"]}
            out.write(json.dumps(line | {"against": torch_name}) + "\n")
