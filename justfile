# Every recipe is one line that can be typed by hand. `just` alone lists them.
# AUDSEM_PROFILE=release makes the recipes that run our programs use the optimised build.

set positional-arguments := true

profile := env("AUDSEM_PROFILE", "dev")

[private]
default:
    @just --list --unsorted

# Run the full pipeline on real sounds and print what each step dropped (--quick: about a minute)
demo *ARGS:
    scripts/demo "$@"

# A model learns to tell sounds apart, and is examined on others: just learn synthetic (minutes), just learn recordings (half an hour)
learn *ARGS:
    scripts/learn "$@"

# A tiny model that was fine-tuned for too short a time learns from rewards, and is examined on sounds that it has not heard
learn-from-rewards:
    AUDSEM_TEST_LEARNING=1 cargo nextest run -p audsem-training -E 'test(on_held_out_sounds)' --no-capture

# All tests and checks, as in CI; arguments narrow the tests: just test audio
test *ARGS:
    scripts/test "$@"

# An array of tasks on a real Slurm (Debian's, on this machine) gives the bytes of one process, also after a requeue (needs root)
slurm-array:
    cargo build --quiet --locked -p audsem-filtering
    PATH=$PWD/target/debug:$PATH scripts/slurm-array target/slurm-array

# Every command under injected faults and random kills, compared with undisturbed runs: just chaos --seed 1
chaos *ARGS:
    scripts/chaos "$@"

# Networks with real weights on real sounds, counted (fetches 400 MB once)
real-weights *ARGS:
    scripts/real-weights "$@"

# Formatting, lints and documentation, without the tests
check:
    scripts/check

# From captions to clip table and clips: fetch-captions, extract, train-classifier, classify, label, combine, explain, download, clips
filtering *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-filtering -- "$@"

# Embeddings against references: merge-shards, reference build, score, contamination, match, report, extract
clip-embeddings *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-clip-embeddings -- "$@"

# WebDataset tars: pack, rename, transcode, check, index, shards
tarify *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-tarify -- "$@"

# What networks say about clips, joined, filtered and written up: audio, sat, audio-caption, combine, import-reference, filter
metadata-eval *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-metadata-eval -- "$@"

# Models that hear: index, compose, inspect, sft, grpo, export, generate, rewards, export-dataset, export-config
training *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-training -- "$@"

# Models asked the questions of benchmarks, scored and shown: predict, judge, score, export, report
evaluate *ARGS:
    cargo run --quiet --profile {{ profile }} -p audsem-evaluate -- "$@"

# Fetch the pinned sounds, pictures and word lists of the demo into assets/ (--quick: the small set)
assets *ARGS:
    scripts/fetch-assets "$@"

# A small real language model behind an OpenAI-compatible server (--hearing, --omni: one that takes sounds), to try `label` and `caption` with, and for their tests
llm-server *ARGS:
    scripts/llm-server "$@"

# Speed and memory against plain Python equivalents; writes docs/performance.md
bench *ARGS:
    bench/run "$@"

# Training on a CUDA device: parity tests, then steps of a full-size thinker beside torch
cuda *ARGS:
    scripts/cuda "$@"

# The rows and recipes for ms-swift and verl, run with these engines on the CPU (installs them, 5 GB)
engines *ARGS:
    scripts/engines "$@"

# Build the programs and unpack them with completions and pages of the manual into a folder: just install ~/.local
install TO="~/.local":
    mkdir -p {{ TO }} && tar --zstd -C {{ TO }} -xf "$(scripts/dist target/dist)"

# An archive of the programs with completions and pages of the manual: dist/audsem-VERSION-PLATFORM.tar.zst
dist *ARGS:
    scripts/dist "$@"

# Read the documentation of the code in a browser
docs:
    cargo doc --workspace --no-deps --open

# Regenerate the golden files with the reference libraries (downloads PyTorch)
goldens:
    scripts/goldens

# The Python environment of the tests, in .venv
python:
    scripts/python-env
