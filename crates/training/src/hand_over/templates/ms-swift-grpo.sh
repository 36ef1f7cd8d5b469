#!/usr/bin/env bash
# GRPO of {{ model }} on sounds with ms-swift 4. Made by `audsem-training export-config`.
# Run it in this folder. Rewards: audsem_rewards.py with rewards.json. Change the number of GPUs and batches to your machine:
# NPROC_PER_NODE * per_device_train_batch_size * gradient_accumulation_steps must be a multiple of num_generations.
set -euo pipefail
cd "$(dirname "$0")"

# Text is all that is trained, so the half of the model that speaks is not loaded.
export ENABLE_AUDIO_OUTPUT=0
export NPROC_PER_NODE=${NPROC_PER_NODE:-4}

swift rlhf \
    --rlhf_type grpo \
    --model {{ model | shell }} \
{% if adapter %}    --adapters {{ adapter | shell }} \
    --ref_adapters {{ adapter | shell }} \
{% endif %}    --dataset {{ dataset | shell }}/part-*.jsonl \
    --external_plugins audsem_rewards.py \
    --reward_funcs {{ rewards | map(attribute="name") | map("prefixed") | join(" ") }} \
    --reward_weights {{ rewards | map(attribute="weight") | join(" ") }} \
    --{{ tuner }} lora \
    --lora_rank 8 \
    --lora_alpha 16 \
    --lora_dropout 0.05 \
    --target_modules q_proj v_proj \
    --freeze_vit true \
    --freeze_aligner true \
    --torch_dtype bfloat16 \
    --use_vllm true \
    --vllm_mode colocate \
    --vllm_gpu_memory_utilization 0.4 \
    --vllm_max_model_len 4096 \
    --vllm_limit_mm_per_prompt '{"audio": 1}' \
    --max_length 2048 \
    --truncation_strategy delete \
    --max_completion_length 512 \
    --num_generations 6 \
    --temperature 0.9 \
    --loss_type {{ loss.loss_type }} \
    --importance_sampling_level {{ loss.level }} \
    --epsilon {{ loss.epsilon_low }} \
    --epsilon_high {{ loss.epsilon_high }} \
    --beta {{ loss.beta }} \
    --num_train_epochs 1 \
    --per_device_train_batch_size 3 \
    --gradient_accumulation_steps 4 \
    --learning_rate 1e-6 \
    --max_grad_norm 1.0 \
    --gradient_checkpointing true \
    --logging_steps 5 \
    --save_steps 100 \
    --save_total_limit 3 \
    --log_completions true \
    --seed 42 \
    --output_dir checkpoints "$@"
