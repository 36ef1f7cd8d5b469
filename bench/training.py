"""Steps of training in torch and PEFT: training.py make FOLDER | run FOLDER

`make` writes an audio language model with random weights (`model`) and an adapter of it (`adapter`): a text model of 12
layers, 512 wide, with feed-forward blocks of 1408 and 32 000 tokens, and a small tower; adapters of rank 8 beside queries
and values. `run` takes steps of AdamW on one sequence of 512 tokens, 50 of which are a sound, and of which the last 128 are
the answer, on two threads. It prints the losses to stderr and the median of the seconds of a step. `examples/bench_training`
does the same work, and has the same losses.
"""

import pathlib
import statistics
import sys
import time

import peft
import torch
import transformers
from transformers import Qwen2AudioConfig, Qwen2AudioEncoderConfig, Qwen2AudioForConditionalGeneration, Qwen2Config

AUDIO, VOCABULARY = 31_999, 32_000
TOKENS, ANSWER, SECONDS, VECTORS = 512, 128, 2, 50
WARM, STEPS, RATE = 2, 10, 1e-4


def make(folder: pathlib.Path) -> None:
    torch.manual_seed(0)
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=128, d_model=64, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=128, max_source_positions=1500,
    )
    text = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=512, intermediate_size=1408, num_hidden_layers=12, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=2048, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )
    config = Qwen2AudioConfig(audio_config=audio, text_config=text, audio_token_index=AUDIO)
    model = Qwen2AudioForConditionalGeneration(config)
    model.save_pretrained(folder / "model")
    settings = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["q_proj", "v_proj"])
    peft.get_peft_model(model, settings).save_pretrained(folder / "adapter")


def inputs() -> dict[str, torch.Tensor]:
    time_axis = torch.arange(SECONDS * 16_000) / 16_000
    sound = 0.3 * torch.sin(2 * torch.pi * 440 * time_axis)
    extractor = transformers.WhisperFeatureExtractor(feature_size=128)
    made = extractor(
        sound.numpy(), sampling_rate=16_000, return_tensors="pt", return_attention_mask=True, padding="max_length"
    )
    ids = [AUDIO if n < VECTORS else (n * 7919) % 31_000 for n in range(TOKENS)]
    labels = [-100] * (TOKENS - ANSWER) + ids[-ANSWER:]
    ids, labels = torch.tensor([ids]), torch.tensor([labels])
    return {
        "input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids),
        "input_features": made.input_features, "feature_attention_mask": made.attention_mask,
    }


def run(folder: pathlib.Path) -> None:
    torch.set_num_threads(2)
    base = Qwen2AudioForConditionalGeneration.from_pretrained(folder / "model", dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    given, seconds, losses = inputs(), [], []
    for _ in range(WARM + STEPS):
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    print("losses", [round(loss, 5) for loss in losses], file=sys.stderr)
    print(statistics.median(seconds[WARM:]))


if __name__ == "__main__":
    {"make": make, "run": run}[sys.argv[1]](pathlib.Path(sys.argv[2]))
