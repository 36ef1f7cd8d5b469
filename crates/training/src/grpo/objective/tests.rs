#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;
use crate::grpo::mismatch::{RatioLevel, RatioLimit};

const LOG_PROBS: [[f32; 3]; 2] = [[-0.5, -1.0, -2.0], [-0.2, -0.7, -3.0]];
const OLD: [[f32; 3]; 2] = [[-0.8, -1.0, -1.5], [-0.2, -0.4, -3.0]];
const REFERENCE: [[f32; 3]; 2] = [[-0.6, -0.9, -2.5], [-0.3, -0.7, -2.8]];
const SAMPLER: [[f32; 3]; 2] = [[-0.9, -1.1, -1.2], [-0.1, -2.4, -3.0]];
const MASK: [[bool; 3]; 2] = [[true; 3], [true, true, false]];
const ADVANTAGES: [f64; 2] = [0.7, -0.7];
const BETA: f64 = 0.01;

fn objective(loss: LossKind) -> Objective {
    Objective {
        loss,
        epsilon_low: 0.2,
        epsilon_high: 0.2,
        delta: None,
        kl: KlEstimator::K3,
        corrects_kl: false,
        mismatch: None,
        max_completion_tokens: 4,
    }
}

fn rows(log_probs: &[[f32; 3]; 2]) -> [CompletionRow<'_>; 2] {
    std::array::from_fn(|n| CompletionRow {
        log_probs: &log_probs[n],
        old: &OLD[n],
        reference: Some(&REFERENCE[n]),
        sampler: Some(&SAMPLER[n]),
        mask: &MASK[n],
        advantage: ADVANTAGES[n],
    })
}

fn value(objective: &Objective, log_probs: &[[f32; 3]; 2]) -> ObjectiveValue {
    let rows = rows(log_probs);
    objective.value(&rows, BETA, UpdateSize::of(&rows))
}

/// Loss and gradient that torch gives in 64 bits. Ours start from 32 bits.
#[test]
fn losses_and_gradients_are_those_of_torch() {
    for (loss, expected, gradients) in [
        (
            LossKind::Grpo,
            -0.012_222_251_761_7,
            [[0.000_158_604_3, -0.116_841_951_5, -0.070_106_128_1], [0.175_237_906_5, 0.0, 0.0]],
        ),
        (
            LossKind::Bnpo,
            -0.140_671_539_532_0,
            [[0.000_190_325_2, -0.140_210_341_8, -0.084_127_353_7], [0.140_190_325_2, 0.0, 0.0]],
        ),
        (
            LossKind::DrGrpo,
            -0.087_919_712_207_5,
            [[0.000_118_953_2, -0.087_631_463_6, -0.052_579_596_0], [0.087_618_952_0, 0.0, 0.0]],
        ),
    ] {
        let value = value(&objective(loss), &LOG_PROBS);
        assert!((value.loss - expected).abs() < 1e-7, "{loss:?}: {}", value.loss);
        for (got, expected) in value.gradients.iter().flatten().zip(gradients.iter().flatten()) {
            assert!((got - expected).abs() < 1e-7, "{loss:?}: {:?}", value.gradients);
        }
        assert!((value.sums.clip_ratios()[2] - 0.4).abs() < 1e-12);
        assert!((value.sums.mean_kl() - 0.024_275_282_77).abs() < 1e-7);
    }
}

/// All settings that the loss knows.
fn variants() -> Vec<Objective> {
    let mut all = Vec::new();
    for loss in [LossKind::Grpo, LossKind::Bnpo, LossKind::DrGrpo, LossKind::Dapo, LossKind::Gspo] {
        for kl in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
            for (corrects_kl, delta) in [(false, None), (true, None), (false, Some(1.3))] {
                let plain = Objective { kl, corrects_kl, delta, epsilon_high: 0.28, ..objective(loss) };
                all.push(plain);
                for (level, limit) in
                    [(RatioLevel::Token, RatioLimit::Mask), (RatioLevel::Sequence, RatioLimit::Truncate)]
                {
                    all.push(Objective { mismatch: Some(Mismatch { level, limit, cap: 3.0 }), ..plain });
                }
            }
        }
    }
    all
}

#[test]
fn gradients_are_those_of_finite_differences() {
    // Far from the corners of clipping, and on a grid that 32 bits hold exactly.
    let log_probs = [[-0.5f32, -1.0625, -2.0], [-0.25, -0.75, -3.0]];
    let step = 1.0f32 / 4096.0;
    for objective in variants() {
        let exact = value(&objective, &log_probs).gradients;
        for (row, token) in (0..2).flat_map(|row| (0..3).map(move |token| (row, token))) {
            let moved = |by: f32| {
                let mut moved = log_probs;
                moved[row][token] += by;
                value(&objective, &moved).loss
            };
            let estimate = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            assert!((estimate - exact[row][token]).abs() < 1e-5, "{objective:?} {row} {token}: {estimate} {exact:?}");
        }
    }
}

#[test]
fn micro_batches_add_up_to_the_update() {
    for loss in [LossKind::Grpo, LossKind::DrGrpo, LossKind::Dapo, LossKind::Gspo] {
        let (objective, rows) = (objective(loss), rows(&LOG_PROBS));
        let whole = value(&objective, &LOG_PROBS);
        let size = UpdateSize { micro_batches: 2, ..UpdateSize::of(&rows) };
        let parts: Vec<ObjectiveValue> = rows.iter().map(|row| objective.value(&[*row], BETA, size)).collect();
        assert!((parts.iter().map(|part| part.loss).sum::<f64>() - whole.loss).abs() < 1e-12, "{loss:?}");
        let mut sums = parts[0].sums;
        sums += parts[1].sums;
        assert_eq!((sums.tokens, sums.ratios), (whole.sums.tokens, whole.sums.ratios));
        assert!((sums.mean_kl() - whole.sums.mean_kl()).abs() < 1e-12, "{loss:?}");
    }
}

#[test]
fn tokens_that_do_not_count_and_a_zero_advantage_teach_nothing() {
    let mut rows = rows(&LOG_PROBS);
    rows.iter_mut().for_each(|row| row.advantage = 0.0);
    for loss in [LossKind::Grpo, LossKind::Gspo, LossKind::Dapo] {
        let value = objective(loss).value(&rows, 0.0, UpdateSize::of(&rows));
        assert!(value.loss == 0.0 && value.gradients.iter().flatten().all(|g| *g == 0.0), "{loss:?}");
    }
    let none = [false; 3];
    let masked = [CompletionRow { mask: &none, ..self::rows(&LOG_PROBS)[0] }];
    let value = objective(LossKind::Dapo).value(&masked, BETA, UpdateSize::of(&masked));
    assert_eq!((value.loss, value.gradients), (0.0, vec![vec![0.0; 3]]));
}

/// One ratio for each completion moves all its tokens alike, by how many there are.
#[test]
fn gspo_shares_a_ratio_among_tokens() {
    let mut objective = objective(LossKind::Gspo);
    (objective.epsilon_low, objective.epsilon_high) = (10.0, 10.0);
    let rows = rows(&LOG_PROBS);
    let value = objective.value(&rows, 0.0, UpdateSize::of(&rows));
    let ratios = [(-0.2f64 / 3.0).exp(), (-0.3f64 / 2.0).exp()];
    let expected = [-0.7 * ratios[0] / 2.0 / 3.0, 0.7 * ratios[1] / 2.0 / 2.0];
    for (row, expected) in value.gradients.iter().zip(expected) {
        assert!((row[0] - expected).abs() < 1e-7 && (row[1] - expected).abs() < 1e-7, "{row:?}");
    }
    assert!((value.loss - (-0.7 * ratios[0] + 0.7 * ratios[1]) / 2.0).abs() < 1e-7);
    assert_eq!(value.gradients[1][2], 0.0);
}

/// Losses, gradients and metrics of TRL itself (`fixtures/regen/grpo_objective.py`).
const GOLDENS: &str = include_str!("../../../../../fixtures/goldens/grpo_objective.json");

fn of_case(case: &Value, max_tokens: usize) -> Objective {
    let number = |name: &str| case[name].as_f64();
    let loss = match (case["loss_type"].as_str().unwrap(), case["level"].as_str().unwrap()) {
        ("grpo", "sequence") => LossKind::Gspo,
        ("grpo", _) => LossKind::Grpo,
        ("bnpo", _) => LossKind::Bnpo,
        ("dr_grpo", _) => LossKind::DrGrpo,
        ("dapo", _) => LossKind::Dapo,
        other => panic!("{other:?}"),
    };
    let mismatch = case["mismatch"].as_array().map(|pair| Mismatch {
        level: if pair[0] == "token" { RatioLevel::Token } else { RatioLevel::Sequence },
        limit: if pair[1] == "truncate" { RatioLimit::Truncate } else { RatioLimit::Mask },
        cap: 3.0,
    });
    Objective {
        loss,
        epsilon_low: number("epsilon_low").unwrap(),
        epsilon_high: number("epsilon_high").unwrap(),
        delta: number("delta"),
        kl: KlEstimator::K3,
        corrects_kl: case["corrects_kl"].as_bool().unwrap(),
        mismatch,
        max_completion_tokens: max_tokens,
    }
}

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn losses_gradients_and_metrics_are_those_of_trl() {
    let goldens: Value = serde_json::from_str(GOLDENS).unwrap();
    let lengths: Vec<usize> = serde_json::from_value(goldens["lengths"].clone()).unwrap();
    let inputs = |name: &str| -> Vec<Vec<f32>> {
        matrix(&goldens["inputs"][name]).into_iter().map(|row| row.into_iter().map(|x| x as f32).collect()).collect()
    };
    let advantages: Vec<f64> = serde_json::from_value(goldens["inputs"]["advantages"].clone()).unwrap();
    let [log_probs, old, reference, sampler] = ["log_probs", "old", "reference", "sampler"].map(inputs);
    let masks: Vec<Vec<bool>> =
        lengths.iter().map(|length| (0..log_probs[0].len()).map(|n| n < *length).collect()).collect();
    let cases = goldens["cases"].as_array().unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let objective = of_case(case, goldens["max_tokens"].as_u64().unwrap() as usize);
        let rows: Vec<CompletionRow<'_>> = (0..lengths.len())
            .map(|n| CompletionRow {
                log_probs: &log_probs[n],
                old: &old[n],
                reference: Some(&reference[n]),
                sampler: Some(&sampler[n]),
                mask: &masks[n],
                advantage: advantages[n],
            })
            .collect();
        let value = objective.value(&rows, case["beta"].as_f64().unwrap(), UpdateSize::of(&rows));
        let near = |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-9;
        assert!(near(value.loss, case["value"].as_f64().unwrap()), "{objective:?}: {}", value.loss);
        for (ours, theirs) in value.gradients.concat().into_iter().zip(matrix(&case["gradient"]).concat()) {
            assert!(near(ours, theirs), "{objective:?}: {ours} {theirs}");
        }
        let [low, high, region] = value.sums.clip_ratios();
        for (name, ours) in [("low_mean", low), ("high_mean", high), ("region_mean", region)] {
            let theirs = case["metrics"][format!("clip_ratio/{name}")].as_f64().unwrap();
            assert!((ours - theirs).abs() < 1e-6, "{objective:?} {name}: {ours} {theirs}");
        }
        if let Some(kl) = case["metrics"]["kl"].as_f64().filter(|_| !objective.corrects_kl) {
            assert!((value.sums.mean_kl() - kl).abs() < 1e-6, "{objective:?}: {kl}");
        }
    }
}
