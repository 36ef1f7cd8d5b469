"""Rows of `export-dataset --engine verl-omni` through verl's own reader: check-verl.py MODEL PARQUET

verl's class leaves decoding to subclasses, as that of verl-omni does; here soundfile decodes. Every row has to come out, no
longer than the longest prompt, and its sound in the messages.
"""

import os
import sys
import tempfile

import datasets
import soundfile
from omegaconf import OmegaConf
from transformers import AutoProcessor
from verl.utils.dataset.rl_dataset import RLHFDataset


class DecodingDataset(RLHFDataset):
    """Gives the processor the samples of the files that a row names."""

    @classmethod
    def _process_multi_modal_info(cls, messages, image_patch_size, config):
        paths = cls._extract_audio_info(messages)
        return None, None, [soundfile.read(path, dtype="float32")[0] for path in paths] if paths else None


def main(model, table):
    """Reads all rows."""
    datasets.disable_caching()
    processor = AutoProcessor.from_pretrained(model)
    config = OmegaConf.create({
        "max_prompt_length": 2048, "truncation": "error", "filter_overlong_prompts": True, "audio_key": "audios",
        "filter_overlong_prompts_workers": None, "return_raw_chat": True, "mm_processor_kwargs": {"sampling_rate": 16000},
        "cache_dir": tempfile.mkdtemp(),
    })
    rows = DecodingDataset(table, processor.tokenizer, config, processor)
    expected = datasets.load_dataset("parquet", data_files=table, split="train").num_rows
    assert len(rows) == expected, f"verl kept {len(rows)} of {expected} rows"
    for row in rows:
        parts = row["raw_prompt"][-1]["content"]
        sounds = [part["audio"] for part in parts if part["type"] == "audio"]
        assert sounds and all(os.path.exists(path) for path in sounds), row
        assert row["reward_model"]["ground_truth"], row
    print(f"verl: {len(rows)} of {expected} rows, each with its sound and its right answer")


if __name__ == "__main__":
    main(*sys.argv[1:])
