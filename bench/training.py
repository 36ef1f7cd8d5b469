"""Steps of training in torch and PEFT: training.py make FOLDER [SHAPE] | run FOLDER [--grpo] [--device DEVICE] [--dtype TYPE]

`make` writes an audio language model with random weights (`model`), an adapter of it (`adapter`) with rank 8 beside queries
and values, and what is done with them (`work.json`). Shapes:

    small     a text model of 12 layers, 512 wide, with feed-forward blocks of 1408 and 32 000 tokens, and a small tower
    tiny      the same in two layers of 64, to see in seconds that both programs agree
    thinker   the thinker of Qwen2.5-Omni-7B in bfloat16, with one layer of its vision tower, which nothing here sees

`run` takes steps of AdamW on one sequence, of which the first part is a sound and the last the answer, on two threads of a
CPU or on a CUDA device. With --grpo a step writes a group of completions as long as the answer and learns from them. It
prints losses to stderr, with the median of the seconds of each part of a step and, on a CUDA device, the peak of its memory;
the median of the seconds of a step goes to stdout. The example `training_steps` of `audsem-training` does the same work and,
without --grpo, has the same losses.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import peft
import torch
import transformers
from transformers import (
    Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration, Qwen2AudioConfig, Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration, Qwen2Config,
)

RATE = 1e-4
WORK = {
    "small": {"audio": 31_999, "vocabulary": 31_000, "tokens": 512, "answer": 128, "seconds": 2, "group": 4, "warm": 2, "steps": 10},
    "tiny": {"audio": 499, "vocabulary": 400, "tokens": 80, "answer": 16, "seconds": 1, "group": 3, "warm": 1, "steps": 3},
    "thinker": {
        "audio": 151_646, "vocabulary": 151_000, "tokens": 512, "answer": 128, "seconds": 10, "group": 8, "warm": 1, "steps": 3,
    },
}


def qwen2_audio(layers: int, width: int, wide: int, work: dict) -> Qwen2AudioForConditionalGeneration:
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=128, d_model=64, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=128, max_source_positions=1500,
    )
    text = Qwen2Config(
        vocab_size=work["audio"] + 1, hidden_size=width, intermediate_size=wide, num_hidden_layers=layers, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=2048, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )
    return Qwen2AudioForConditionalGeneration(Qwen2AudioConfig(audio_config=audio, text_config=text, audio_token_index=work["audio"]))


def thinker() -> Qwen2_5OmniThinkerForConditionalGeneration:
    config = Qwen2_5OmniThinkerConfig(vision_config={"depth": 1, "fullatt_block_indexes": [0]}, vision_start_token_id=151_652)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5OmniThinkerForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    return model


def make(folder: pathlib.Path, shape: str) -> None:
    torch.manual_seed(0)
    work = WORK[shape] | {"barred": [WORK[shape]["audio"]]}
    if shape == "thinker":
        model = thinker()
        work["barred"] += [151_655, 151_656]
    else:
        model = qwen2_audio(*((12, 512, 1408) if shape == "small" else (2, 64, 96)), work)
    model.save_pretrained(folder / "model")
    settings = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["q_proj", "v_proj"])
    peft.get_peft_model(model, settings).save_pretrained(folder / "adapter")
    (folder / "work.json").write_text(json.dumps(work, indent=2) + "\n")


class Steps:
    """What is timed."""

    def __init__(self, folder: pathlib.Path, device: str, dtype: str) -> None:
        self.work, self.device = json.loads((folder / "work.json").read_text()), device
        settings = json.loads((folder / "model/config.json").read_text())
        kind = getattr(transformers, settings["architectures"][0])
        base = kind.from_pretrained(folder / "model", dtype=getattr(torch, dtype), device_map=device)
        # In evaluation nothing but dropout is other than in training, and there is none.
        self.model = peft.PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).eval()
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=RATE, weight_decay=0.0)
        self.begin = self.work["tokens"] - self.work["answer"]
        self.tokens, self.sound = self.inputs(base.dtype)

    def inputs(self, dtype: torch.dtype) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        time_axis = torch.arange(self.work["seconds"] * 16_000) / 16_000
        sound = 0.3 * torch.sin(2 * torch.pi * 440 * time_axis)
        extractor = transformers.WhisperFeatureExtractor(feature_size=128)
        made = extractor(
            sound.numpy(), sampling_rate=16_000, return_tensors="pt", return_attention_mask=True, padding="max_length"
        )
        frames = int(made.attention_mask.sum())
        vectors = ((frames - 1) // 2 + 1) // 2
        ids = [self.work["audio"] if n < vectors else n * 7919 % self.work["vocabulary"] for n in range(self.work["tokens"])]
        heard = {
            "input_features": made.input_features.to(self.device, dtype),
            "feature_attention_mask": made.attention_mask.to(self.device),
        }
        return torch.tensor([ids], device=self.device), heard

    def given(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        heard = {key: value.repeat(len(tokens), *[1] * (value.dim() - 1)) for key, value in self.sound.items()}
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **heard}

    def update(self, loss: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return loss.item()

    def fine_tune(self) -> float:
        labels = self.tokens.clone()
        labels[:, : self.begin] = -100
        return self.update(self.model(**self.given(self.tokens), labels=labels, use_cache=False).loss)

    @torch.no_grad()
    def roll_out(self) -> torch.Tensor:
        given = self.given(self.tokens[:, : self.begin].repeat(self.work["group"], 1))
        length = {"max_new_tokens": self.work["answer"], "min_new_tokens": self.work["answer"]}
        return self.model.generate(**given, **length, do_sample=True, top_k=50, suppress_tokens=self.work["barred"])

    def learn(self, tokens: torch.Tensor) -> float:
        rewards = torch.arange(len(tokens), dtype=torch.float32, device=self.device)
        advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
        logits = self.model(**self.given(tokens), use_cache=False).logits[:, self.begin - 1 : -1].float()
        chosen = logits.log_softmax(-1).gather(2, tokens[:, self.begin :, None])[..., 0]
        return self.update(-((chosen - chosen.detach()).exp() * advantages[:, None]).mean())


def run(folder: pathlib.Path, grpo: bool, device: str, dtype: str) -> None:
    torch.set_num_threads(2)
    is_cuda = device.startswith("cuda")
    steps = Steps(folder, device, dtype)

    def timed(part):
        begin = time.perf_counter()
        made = part()
        if is_cuda:
            torch.cuda.synchronize()
        return made, time.perf_counter() - begin

    losses, rolling, learning = [], [], []
    for _ in range(steps.work["warm"] + steps.work["steps"]):
        tokens, seconds = timed(steps.roll_out) if grpo else (None, 0.0)
        rolling.append(seconds)
        loss, seconds = timed(lambda: steps.learn(tokens) if grpo else steps.fine_tune())
        losses.append(loss)
        learning.append(seconds)
    rolling, learning = rolling[steps.work["warm"] :], learning[steps.work["warm"] :]
    print("losses", [round(loss, 5) for loss in losses], file=sys.stderr)
    parts = statistics.median(rolling), statistics.median(learning)
    print("seconds of completions {:.3f}, of the update {:.3f}".format(*parts), file=sys.stderr)
    if is_cuda:
        print(f"peak of torch's memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB", file=sys.stderr)
    print(statistics.median([a + b for a, b in zip(rolling, learning)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making, running = commands.add_parser("make"), commands.add_parser("run")
    for command in (making, running):
        command.add_argument("folder", type=pathlib.Path)
    making.add_argument("shape", choices=WORK, nargs="?", default="small")
    running.add_argument("--grpo", action="store_true")
    running.add_argument("--device", default="cpu")
    running.add_argument("--dtype", default="float32")
    args = vars(parser.parse_args())
    {"make": make, "run": run}[args.pop("command")](**args)


if __name__ == "__main__":
    main()
