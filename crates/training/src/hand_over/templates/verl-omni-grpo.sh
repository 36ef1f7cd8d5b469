#!/usr/bin/env bash
# {{ loss.name }} of {{ model }} (thinker, LoRA) on sounds with verl-omni. Made by `audsem-training export-config`.
# Run it in this folder. Rewards: audsem_rewards.py with rewards.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Workers of Ray load the classes below from there.
export VERL_USE_EXTERNAL_MODULES=verl_omni

python3 -m verl_omni.trainer.main_omni \
    data.train_files={{ train_files | shell }} \
    data.val_files={{ valid_files | shell }} \
    data.train_batch_size=64 \
    data.max_prompt_length=2048 \
    data.max_response_length=512 \
    data.truncation=error \
    data.filter_overlong_prompts=true \
    data.custom_cls.path=pkg://verl_omni.utils.dataset.omni_rl_datasets \
    data.custom_cls.name=OmniRLHFDataset \
    data.audio_key=audios \
    +data.mm_processor_kwargs.sampling_rate=16000 \
    actor_rollout_ref.model.path={{ model | shell }} \
    actor_rollout_ref.model.lora_rank=32 \
    actor_rollout_ref.model.lora_alpha=64 \
    actor_rollout_ref.model.lora_dtype=float32 \
    actor_rollout_ref.model.lora.merge=True \
    actor_rollout_ref.model.enable_gradient_checkpointing=True \
    actor_rollout_ref.model.exclude_modules='.*talker.*|.*code2wav.*|.*code_predictor.*|.*visual.*|.*audio_tower.*' \
    actor_rollout_ref.model.target_modules="['q_proj','k_proj','v_proj','o_proj']" \
    actor_rollout_ref.actor.freeze_vision_tower=true \
    actor_rollout_ref.actor.strategy=fsdp2 \
    actor_rollout_ref.actor.optim.lr=3e-6 \
    actor_rollout_ref.actor.optim.clip_grad=1.0 \
    actor_rollout_ref.actor.ppo_mini_batch_size=16 \
    actor_rollout_ref.actor.use_dynamic_bsz=True \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=20480 \
    actor_rollout_ref.actor.use_kl_loss={{ "true" if loss.beta > 0 else "false" }} \
    actor_rollout_ref.actor.kl_loss_coef={{ loss.beta }} \
    actor_rollout_ref.actor.policy_loss.loss_mode={{ loss.mode }} \
    actor_rollout_ref.actor.clip_ratio_low={{ loss.epsilon_low }} \
    actor_rollout_ref.actor.clip_ratio_high={{ loss.epsilon_high }} \
    actor_rollout_ref.actor.loss_agg_mode={{ loss.aggregation }} \
    actor_rollout_ref.rollout.n=8 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=2 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.7 \
    actor_rollout_ref.rollout.load_format=safetensors \
    actor_rollout_ref.rollout.enable_prefix_caching=False \
    +actor_rollout_ref.rollout.engine_kwargs.vllm_omni.output_mode=ar \
    +actor_rollout_ref.rollout.engine_kwargs.vllm_omni.pipeline_name=qwen3_omni_moe \
    actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=True \
    actor_rollout_ref.ref.log_prob_use_dynamic_bsz=True \
    algorithm.adv_estimator=grpo \
    algorithm.norm_adv_by_std_in_grpo=True \
    algorithm.use_kl_in_reward=False \
    reward.reward_manager.source=register \
    reward.reward_manager.name=naive \
    reward.custom_reward_function.path="$here/audsem_rewards.py" \
    reward.custom_reward_function.name=compute_score \
    trainer.logger='["console"]' \
    trainer.project_name=audsem \
    trainer.experiment_name=grpo \
    trainer.n_gpus_per_node=4 \
    trainer.nnodes=1 \
    trainer.save_freq=50 \
    trainer.test_freq=10 \
    trainer.total_epochs=1 "$@"
