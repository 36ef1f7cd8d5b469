"""Opens model folders that `export` wrote with transformers, and compares the tokens of a question about a tone and the logits behind
it with ours, which lie beside each folder in ours.json.

    python scripts/check-export.py MODEL...      (needs torch and transformers: fixtures/regen/requirements.txt)
"""

import json
import pathlib
import sys

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

TOLERANCE = 1e-4
MESSAGES = [{"role": "user", "content": [{"type": "audio", "audio": ""}, {"type": "text", "text": "What is it?"}]}]


@torch.no_grad()
def check(folder: pathlib.Path) -> bool:
    ours = json.loads((folder.parent / "ours.json").read_text(encoding="utf-8"))
    model, told = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True, dtype=torch.float32
    )
    assert not any(told.values()), told
    processor = AutoProcessor.from_pretrained(folder)
    text = processor.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    sound = np.array(ours["sound"], dtype=np.float32)
    given = processor(text=text, audio=[sound], sampling_rate=16000, return_tensors="pt")
    same = given["input_ids"][0].tolist() == ours["ids"]
    worst = (model.eval()(**given).logits[0, -1] - torch.tensor(ours["logits"])).abs().max().item()
    print(f"{folder}: {len(ours['ids'])} tokens {'alike' if same else 'differ'}, largest difference of logits {worst:.1e}")
    return same and worst <= TOLERANCE


if __name__ == "__main__":
    sys.exit(0 if all([check(pathlib.Path(folder)) for folder in sys.argv[1:]]) else 1)
