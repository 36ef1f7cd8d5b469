"""Networks of audsem-models in PyTorch: makes checkpoints with random weights, runs them, keeps times and results.

    python3 bench/models.py make FOLDER
    python3 bench/models.py run FOLDER [--threads 2] [--repeat 3]

`run` writes FOLDER/torch.json (seconds, best of the repetitions) and FOLDER/torch.safetensors (what came out);
the example `bench_models` of audsem-models measures the same and compares. Needs torch, transformers, safetensors.
"""

import argparse
import json
import pathlib
import time

import torch
import transformers
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, ClapConfig, ClapModel

CLIPS = 4
TEXTS = 256
PADDED = 128  # the length that "padding to max length" pads to


def randomise(model, seed):
    """Default initialisation leaves biases and relative positions at zero; numbers near those of a trained network."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 and "norm" not in name.lower():
                parameter.normal_(0.0, 0.02)
            elif "relative_position_bias_table" in name:
                parameter.normal_(0.0, 0.5)
    return model.eval()


def lengths():
    """Token counts of captions: as sound captions are, most have 4 to 12 tokens and few have 30."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.distributions.LogNormal(torch.tensor(2.1), torch.tensor(0.45))
    torch.manual_seed(1)
    return [int(n) for n in drawn.sample((TEXTS,)).clamp(4, 32).round()], generator


def make(folder):
    text_kinds = {
        "bert-base": BertForSequenceClassification(BertConfig()),
        "minilm": BertModel(
            BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
            add_pooling_layer=False,
        ),
    }
    for name, model in text_kinds.items():
        randomise(model, 1).save_pretrained(folder / name)
    config = ClapConfig(
        audio_config={"depths": [2, 2, 12, 2], "hidden_size": 1024, "patch_embeds_hidden_size": 128}, text_config={}
    )
    randomise(ClapModel(config), 2).save_pretrained(folder / "clap")
    counts, generator = lengths()
    inputs = {"mel": torch.randn((CLIPS, 1, 1001, 64), generator=generator) * 15 - 40}
    inputs["lengths"] = torch.tensor(counts)
    inputs["ids"] = torch.randint(1000, 30000, (TEXTS, PADDED), generator=generator)
    save_file(inputs, folder / "inputs.safetensors")


def best(repeat, work):
    result, seconds = work(), []
    for _ in range(repeat):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result


def text_batches(ids, counts, padded, batch):
    for at in range(0, len(counts), batch):
        part = counts[at : at + batch]
        width = padded or max(part)
        mask = (torch.arange(width)[None] < torch.tensor(part)[:, None]).long()
        yield ids[at : at + batch, :width] * mask, mask


def run(folder, repeat):
    from safetensors.torch import load_file

    inputs = load_file(folder / "inputs.safetensors")
    counts, ids = inputs["lengths"].tolist(), inputs["ids"]
    seconds, results = {}, {}
    with torch.inference_mode():
        clap = ClapModel.from_pretrained(folder / "clap").eval()

        def audio():
            return clap.audio_model(input_features=inputs["mel"], is_longer=torch.zeros(CLIPS, 1)).pooler_output

        seconds["clap audio"], results["clap audio"] = best(repeat, audio)
        del clap
        for name in ("bert-base", "minilm"):
            kind = BertForSequenceClassification if name == "bert-base" else BertModel
            model = kind.from_pretrained(folder / name).eval()

            def text(padded):
                rows = []
                for batch_ids, mask in text_batches(ids, counts, padded, 32):
                    out = model(input_ids=batch_ids, attention_mask=mask)
                    if name == "bert-base":
                        rows.append(out.logits)
                    else:
                        hidden, weight = out.last_hidden_state, mask[:, :, None].float()
                        rows.append((hidden * weight).sum(1) / weight.sum(1))
                return torch.cat(rows)

            seconds[f"{name}, padded to longest"], results[name] = best(repeat, lambda: text(None))
            seconds[f"{name}, padded to {PADDED}"], _ = best(1, lambda: text(PADDED))
    save_file({name: value.contiguous() for name, value in results.items()}, folder / "torch.safetensors")
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
    (folder / "torch.json").write_text(json.dumps({"seconds": seconds, "about": about}, indent=1) + "\n")
    print(json.dumps(seconds, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "run"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.what == "make":
        make(args.folder)
    else:
        run(args.folder, args.repeat)


if __name__ == "__main__":
    main()
