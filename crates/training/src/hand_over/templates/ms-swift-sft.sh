#!/usr/bin/env bash
# Supervised fine-tuning of {{ model }} on sounds with ms-swift 4. Made by `audsem-training export-config`.
set -euo pipefail
cd "$(dirname "$0")"

export ENABLE_AUDIO_OUTPUT=0
export NPROC_PER_NODE=${NPROC_PER_NODE:-4}

swift sft \
    --model {{ model | shell }} \
    --dataset {{ dataset | shell }}/part-*.jsonl \
    --{{ tuner }} lora \
    --lora_rank 8 \
    --lora_alpha 16 \
    --lora_dropout 0.05 \
    --target_modules q_proj v_proj \
    --freeze_vit true \
    --freeze_aligner true \
    --torch_dtype bfloat16 \
    --max_length 2048 \
    --truncation_strategy delete \
    --num_train_epochs 1 \
    --per_device_train_batch_size 4 \
    --gradient_accumulation_steps 1 \
    --learning_rate 2e-4 \
    --max_grad_norm 1.0 \
    --gradient_checkpointing true \
    --logging_steps 10 \
    --save_steps 100 \
    --save_total_limit 3 \
    --seed 42 \
    --output_dir checkpoints "$@"
