"""Networks for sounds, pictures and text in PyTorch, onnxruntime and audsem-models, in turn, with the same random weights.

    python3 bench/zoo.py FOLDER BINARY [--only NAME,...] [--rounds 2] [--repeat 3] [--threads 2] [--results FILE]

BINARY is the example `bench_zoo` of audsem-models. Checkpoints and inputs are made once in FOLDER/NAME. Every round runs each
library one after the other; the least seconds count. Every output of ours and of onnxruntime is compared with PyTorch's.
`--results` adds lines for bench/report.py. Needs the packages of bench/networks.txt.
"""

import argparse
import copy
import json
import os
import pathlib
import subprocess
import time
import warnings
from dataclasses import dataclass
from typing import Callable

import onnxruntime
import torch
import torchvision
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.modeling_outputs import BaseModelOutput
from zoo_networks import Beats, Conette, Yamnet

CED = pathlib.Path(__file__).resolve().parent.parent / "assets/soundevents/models/tiny.onnx"
BEATS = {
    "input_patch_size": 16, "embed_dim": 512, "encoder_layers": 12, "encoder_embed_dim": 768, "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12, "deep_norm": True, "conv_pos": 128, "conv_pos_groups": 16, "num_buckets": 320,
    "max_distance": 800, "relative_position_embedding": True, "gru_rel_pos": True, "finetuned_model": True, "predictor_class": 527,
}
QWEN2 = {
    "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 32_768,
}
BART = {"d_model": 768} | {
    f"{part}_{key}": value for part in ("encoder", "decoder") for key, value in (("layers", 6), ("attention_heads", 12), ("ffn_dim", 3072))
}
NEW_TOKENS = 64


@dataclass
class Entry:
    """A network: how it is made, what it is given, and the parts of its work, which are measured each on its own."""

    title: str
    make: Callable[[], nn.Module]
    inputs: dict[str, tuple]
    parts: dict[str, Callable]
    config: dict | None = None  # what `save_pretrained` does not write
    onnx: bool = True  # whether the first part is exported
    threshold: float = 1e-3


class Call(nn.Module):
    """A part of a network as a module, to be exported."""

    def __init__(self, network, work):
        super().__init__()
        self.network, self.work = network, work

    def forward(self, *inputs):
        return self.work(self.network, *inputs)


def whisper(**config):
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(transformers.WhisperConfig(**config))


def siglip_tower(network, pixels):
    """The state before the last layer, without computing that layer."""
    x = network.embeddings(pixels)
    for layer in network.encoder.layers[:-1]:
        x = layer(x, None)
        x = x[0] if isinstance(x, tuple) else x
    return x


def steps(call, tokens, **given):
    """Logits behind the last of `tokens` (B, N), read one by one behind a cache."""
    cache = given.pop("past_key_values", None)
    for n in range(tokens.shape[1]):
        out = call(tokens[:, n : n + 1], past_key_values=cache, **given)
        cache = out.past_key_values
    return out.logits[:, -1]


def qwen2_decode(network, prompt, tokens):
    """The seconds of the prompt are not those of this part: see `Timer`."""
    cache = network(prompt, use_cache=True, logits_to_keep=1).past_key_values
    with Timer.running():
        return steps(network, tokens, past_key_values=cache, use_cache=True)


def bart_write(network, states, tokens):
    encoded = network.model.encoder(inputs_embeds=states).last_hidden_state
    call = lambda ids, **given: network(decoder_input_ids=ids, encoder_outputs=BaseModelOutput(encoded), use_cache=True, **given)
    return steps(call, tokens)


def blip_write(network, pixels, tokens):
    """Four beams of one picture, as captions are searched."""
    seen = network.vision_model(pixel_values=pixels).last_hidden_state.expand(len(tokens), -1, -1)
    tokens = torch.cat([tokens[:1, :1].expand(len(tokens), 1), tokens[:, 1:]], 1)
    with Timer.running():
        return steps(network.text_decoder, tokens, encoder_hidden_states=seen, use_cache=True, is_decoder=True)


def surest(out):
    """The largest logit of each query, sorted: near ties may come in any order."""
    return out.logits.max(-1).values.sort(1).values


ENTRIES = {
    "ast": Entry(
        "AST-base, 10 s", lambda: transformers.ASTForAudioClassification(transformers.ASTConfig(num_labels=527)),
        {"features": (1, 1024, 128)}, {"": lambda network, x: network(x).logits},
    ),
    "beats": Entry("BEATs, 10 s", lambda: Beats(BEATS), {"features": (1, 998, 128)}, {"": lambda network, x: network(x)}, BEATS),
    "yamnet": Entry("YAMNet, 20 patches", Yamnet, {"patches": (20, 96, 64)}, {"": lambda network, x: network(x)}, {}),
    "conette": Entry("CoNeTTE's ConvNeXt, 10 s", Conette, {"features": (1, 1001, 224)}, {"": lambda network, x: network(x)}, Conette.CONFIG),
    "whisper_tiny": Entry(
        "encoder of Whisper-tiny, 30 s", whisper, {"mel": (1, 80, 3000)}, {"": lambda network, x: network(x).last_hidden_state},
    ),
    "whisper_large": Entry(
        "4 of 32 layers of Whisper-large-v3's encoder, 30 s",
        lambda: whisper(d_model=1280, encoder_layers=4, encoder_attention_heads=20, encoder_ffn_dim=5120, num_mel_bins=128),
        {"mel": (1, 128, 3000)}, {"": lambda network, x: network(x).last_hidden_state},
    ),
    "qwen2": Entry(
        "Qwen2-0.5B", lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**QWEN2)),
        {"prompt": (1, 512, 151_000), "tokens": (1, NEW_TOKENS, 151_000)},
        {
            "prompt of 512 tokens": lambda network, prompt, tokens: network(prompt, use_cache=True, logits_to_keep=1).logits[:, -1],
            f"{NEW_TOKENS} tokens behind it": qwen2_decode,
        },
        onnx=False,
    ),
    "bart": Entry(
        f"LP-MusicCaps' BART, 32 states, {NEW_TOKENS} tokens",
        lambda: transformers.BartForConditionalGeneration(transformers.BartConfig(**BART)),
        {"states": (1, 32, 768), "tokens": (1, NEW_TOKENS, 50_000)}, {"": bart_write}, onnx=False,
    ),
    "resnet": Entry(
        "ResNet-50, one picture", torchvision.models.resnet50, {"pixels": (1, 3, 224, 224)}, {"": lambda network, x: network(x)},
        {"num_classes": 1000},
    ),
    "mobilenet": Entry(
        "MobileNetV2, one picture", torchvision.models.mobilenet_v2, {"pixels": (1, 3, 224, 224)}, {"": lambda network, x: network(x)},
        {},
    ),
    "rt_detr": Entry(
        "RT-DETR R50, one picture", lambda: transformers.RTDetrForObjectDetection(transformers.RTDetrConfig()),
        {"pixels": (1, 3, 640, 640)}, {"": lambda network, x: surest(network(x))},
    ),
    "blip": Entry(
        "BLIP", lambda: transformers.BlipForConditionalGeneration(transformers.BlipConfig()),
        {"pixels": (1, 3, 384, 384), "tokens": (4, 20, 30_000)},
        {
            "vision tower, one picture": lambda network, x, tokens: network.vision_model(pixel_values=x).last_hidden_state,
            "20 tokens of 4 beams": blip_write,
        },
    ),
    "siglip": Entry(
        "4 of 26 layers of SigLIP-so400m, one picture",
        lambda: transformers.SiglipVisionModel(
            transformers.SiglipVisionConfig(
                hidden_size=1152, intermediate_size=4304, num_hidden_layers=5, num_attention_heads=16, image_size=384, patch_size=14
            )
        ),
        {"pixels": (1, 3, 384, 384)}, {"": siglip_tower},
    ),
}


class Timer:
    """Seconds of a call, or of that within it which says so."""

    seconds = None

    @classmethod
    def running(cls):
        class Part:
            def __enter__(self):
                self.begin = time.perf_counter()

            def __exit__(self, *_):
                cls.seconds = time.perf_counter() - self.begin

        return Part()

    @classmethod
    def best(cls, repeat, work):
        """Runs once unmeasured, then `repeat` times: the least seconds and the result."""
        result, times = work(), []
        for _ in range(repeat):
            cls.seconds, begin = None, time.perf_counter()
            result = work()
            times.append(cls.seconds or time.perf_counter() - begin)
        return min(times), result


def randomise(model):
    """Numbers near those of a trained network, where the default leaves ones and zeros or makes all outputs alike."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point() or "embed_positions" in name:
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.ndim == 1 and name.endswith("weight"):
            tensor.normal_(1.0, 0.1)
        elif tensor.ndim == 1:
            tensor.normal_(0.0, 0.1)
        elif tensor.ndim == 4:
            tensor.normal_(0.0, (1.5 / tensor[0].numel()) ** 0.5)


def make(entry, folder):
    """Writes a checkpoint with random weights, and inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    network = entry.make()
    randomise(network)
    if hasattr(network, "save_pretrained"):
        network.save_pretrained(folder)
    else:
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(entry.config) + "\n")
    draw = lambda key, shape: torch.randint(5, shape[-1], shape[:-1]) if key in ("prompt", "tokens") else torch.randn(shape)
    save_file({key: draw(key, shape) for key, shape in entry.inputs.items()}, folder / "inputs.safetensors")


def prepare(entry, folder):
    """The network and its inputs, made at the first call."""
    if not (folder / "inputs.safetensors").exists():
        make(entry, folder)
    network = entry.make()
    if hasattr(network, "save_pretrained"):
        network = type(network).from_pretrained(folder)
    else:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    return network.eval(), list(load_file(folder / "inputs.safetensors")[key] for key in entry.inputs)


def open_session(path, threads, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.graph_optimization_level = threads, level
    # Threads that wait busily would slow down whoever runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *tensors: torch.from_numpy(
        session.run(None, {name: tensor.numpy() for name, tensor in zip(names, tensors)})[0]
    )


def export(network, entry, inputs, folder, threads):
    """The first part in onnxruntime, or what prevents it."""
    path = folder / "network.onnx"
    try:
        if not path.exists():
            work = next(iter(entry.parts.values()))
            inputs = inputs[:1] if len(entry.parts) > 1 else inputs
            # A copy, because the exporter leaves networks of convolutions changed behind it.
            call = Call(copy.deepcopy(network), (lambda network, x: work(network, x, None)) if len(entry.parts) > 1 else work)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(call, tuple(inputs), path, opset_version=17, dynamo=False)
        return open_session(path, threads), None
    except Exception as error:  # noqa: BLE001: any failure of the exporter is a result
        return None, f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"


def ours(binary, name, folder, args):
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)}
    command = [binary, name, folder, str(args.repeat), CED]
    text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(text), load_file(folder / "ours.safetensors")


class Measured:
    """The least seconds of each library for each part, and the largest difference from PyTorch."""

    def __init__(self):
        self.seconds, self.differences = {}, {}

    def add(self, part, library, seconds):
        of_part = self.seconds.setdefault(part, {})
        of_part[library] = min(seconds, of_part.get(library, seconds))

    def compare(self, part, library, got, wanted, threshold):
        assert got.shape == wanted.shape, (got.shape, wanted.shape)
        difference = ((got - wanted).abs().max() / max(1.0, wanted.abs().max())).item()
        self.differences.setdefault(part, {})[library] = difference
        if not difference <= threshold:
            print(f"DIFFERENCE {part} {library} {difference:.1e}")


@torch.inference_mode()
def measure(name, entry, args):
    folder, measured = args.folder / name, Measured()
    network, inputs = prepare(entry, folder)
    session, failure = export(network, entry, inputs, folder, args.threads) if entry.onnx else (None, "not exported")
    for _ in range(args.rounds):
        results = {}
        for part, work in entry.parts.items():
            seconds, results[part] = Timer.best(args.repeat, lambda: work(network, *inputs))
            measured.add(part, "PyTorch", seconds)
        if session:
            part = next(iter(entry.parts))
            seconds, got = Timer.best(args.repeat, lambda: session(*inputs))
            measured.add(part, "onnxruntime", seconds)
            measured.compare(part, "onnxruntime", got, results[part], entry.threshold)
        times, outputs = ours(args.binary, name, folder, args)
        for part, seconds in times.items():
            measured.add(part, "ours", seconds)
            measured.compare(part, "ours", outputs[part or "out"], results[part], entry.threshold)
    return measured, failure


@torch.inference_mode()
def measure_ced(args):
    """CED-tiny from samples to probabilities, with its real weights. onnxruntime rounds products to 8 bits where it may."""
    folder, measured = args.folder / "ced", Measured()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    samples = torch.randn(1, 160_000) * 0.1
    save_file({"samples": samples}, folder / "inputs.safetensors")
    level = onnxruntime.GraphOptimizationLevel
    sessions = {"onnxruntime in f32": level.ORT_ENABLE_BASIC, "onnxruntime in 8 bits": level.ORT_ENABLE_ALL}
    sessions = {title: open_session(str(CED), args.threads, level) for title, level in sessions.items()}
    for _ in range(args.rounds):
        for title, session in sessions.items():
            seconds, got = Timer.best(args.repeat, lambda: session(samples))
            measured.add("", title, seconds)
            if title == "onnxruntime in f32":
                wanted = got
        times, outputs = ours(args.binary, "ced", folder, args)
        measured.add("", "ours", times[""])
        measured.compare("", "ours", outputs["out"], wanted, 1e-3)
    return measured, None


def report(title, measured, failure, results):
    for part, seconds in measured.seconds.items():
        name = f"{title}, {part}" if part else title
        others = {library: value for library, value in seconds.items() if library != "ours"}
        mine = seconds["ours"]
        print(f"{name:<58} ours {mine * 1e3:8.1f} ms", end="")
        for library, value in others.items():
            print(f"  {library} {value * 1e3:8.1f} ({value / mine:.2f})", end="")
        print(f"  difference {measured.differences[part]['ours']:.0e}" + (f"  [{failure}]" if failure else ""), flush=True)
        if results:
            with open(results, "a") as out:
                for library, value in others.items():
                    out.write(json.dumps({"name": f"{name}: {library}", "seconds": value}) + "\n")
                    out.write(json.dumps({"name": name, "seconds": mine, "against": f"{name}: {library}"}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("binary")
    parser.add_argument("--only", default=",".join(["ced", *ENTRIES]))
    for name, default in (("threads", 2), ("repeat", 3), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    for name in args.only.split(","):
        if name == "ced":
            report("CED-tiny, 10 s", *measure_ced(args), args.results)
        else:
            report(ENTRIES[name].title, *measure(name, ENTRIES[name], args), args.results)


if __name__ == "__main__":
    main()
