"""Networks of audsem-models in PyTorch and onnxruntime: makes checkpoints with random weights, runs them, keeps times and results.

    python3 bench/models.py make FOLDER
    python3 bench/models.py run FOLDER [--threads 2] [--repeat 3]

`run` writes FOLDER/theirs.json (seconds, best of the repetitions) and FOLDER/torch.safetensors (PyTorch's outputs);
the example `bench_models` of audsem-models measures the same and compares. Needs the packages of bench/networks.txt.
"""

import argparse
import json
import pathlib
import shutil
import time

import onnxruntime
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
)

CLIPS = 4
TEXTS = 256
# The networks are random, so any tokenizer serves.
TOKENIZER = pathlib.Path(__file__).parent.parent / "fixtures/goldens/clap_tiny"
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
    ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc").save_pretrained(folder / "clap")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder / "clap")
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


class Pooled(torch.nn.Module):
    """The outputs that are compared: logits of a classifier, mean of the token states, pooled sound."""

    def __init__(self, model, kind):
        super().__init__()
        self.model, self.kind = model, kind

    def forward(self, first, mask):
        if self.kind == "clap audio":
            return self.model.audio_model(input_features=first, is_longer=mask).pooler_output
        out = self.model(input_ids=first, attention_mask=mask)
        if self.kind == "bert-base":
            return out.logits
        weight = mask[:, :, None].float()
        return (out.last_hidden_state * weight).sum(1) / weight.sum(1)


def session(network, example, names, path, threads):
    """The network in onnxruntime, as `torch.onnx.export` and the default optimisations make it."""
    axes = {name: {0: "batch", 1: "tokens"} for name in names} if names[0] == "ids" else None
    torch.onnx.export(network, example, path, input_names=names, dynamic_axes=axes, opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    inference = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    known = {value.name for value in inference.get_inputs()}

    def call(*tensors):
        feeds = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True) if name in known}
        return torch.from_numpy(inference.run(None, feeds)[0])

    return call


def measure(network, example, names, work, folder, args):
    """Seconds of `work`, which is given something to call, in PyTorch and in onnxruntime; and PyTorch's result."""
    torch_seconds, result = best(args.repeat, lambda: work(network))
    fast = session(network, example, names, folder / "network.onnx", args.threads)
    onnx_seconds, other = best(args.repeat, lambda: work(fast))
    torch.testing.assert_close(other, result, atol=1e-4, rtol=1e-4)
    return {"PyTorch": torch_seconds, "onnxruntime": onnx_seconds}, result


@torch.inference_mode()
def run(folder, args):
    from safetensors.torch import load_file

    inputs = load_file(folder / "inputs.safetensors")
    counts, ids = inputs["lengths"].tolist(), inputs["ids"]
    seconds, results = {}, {}
    audio = Pooled(ClapModel.from_pretrained(folder / "clap").eval(), "clap audio")
    example = (inputs["mel"], torch.zeros(CLIPS, 1))
    seconds["clap audio"], results["clap audio"] = measure(
        audio, example, ["mel", "longer"], lambda call: call(*example), folder, args
    )
    for name in ("bert-base", "minilm"):
        kind = BertForSequenceClassification if name == "bert-base" else BertModel
        network = Pooled(kind.from_pretrained(folder / name, attn_implementation="eager").eval(), name)
        # PyTorch is measured with the attention that is fastest there.
        fast = Pooled(kind.from_pretrained(folder / name).eval(), name)

        def text(call, padded=None):
            return torch.cat([call(*batch) for batch in text_batches(ids, counts, padded, 32)])

        example = next(text_batches(ids, counts, None, 32))
        times, _ = measure(network, example, ["ids", "mask"], text, folder, args)
        times["PyTorch"], results[name] = best(args.repeat, lambda: text(fast))
        seconds[f"{name}, padded to longest"] = times
        padded, _ = best(1, lambda: text(fast, PADDED))
        seconds[f"{name}, padded to {PADDED}"] = {"PyTorch": padded}
    save_file({name: value.contiguous() for name, value in results.items()}, folder / "torch.safetensors")
    about = {module.__name__: module.__version__ for module in (torch, transformers, onnxruntime)}
    report = {"seconds": seconds, "about": about | {"threads": args.threads}}
    (folder / "theirs.json").write_text(json.dumps(report, indent=1) + "\n")
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
        run(args.folder, args)


if __name__ == "__main__":
    main()
