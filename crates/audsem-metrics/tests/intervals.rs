//! Intervals and tests beside those of SciPy (`fixtures/regen/intervals.py`).

use audsem_metrics::interval::{RatioSums, Resampling, mcnemar_exact, wilson};
use serde_json::Value;

const GOLDENS: &str = include_str!("../../../fixtures/goldens/intervals.json");

fn cases(kind: &str) -> Vec<Value> {
    let goldens: Value = serde_json::from_str(GOLDENS).expect("the file is JSON");
    goldens[kind].as_array().expect("a list").clone()
}

fn number(case: &Value, name: &str) -> f64 {
    case[name].as_f64().expect("a number")
}

fn count(case: &Value, name: &str) -> u64 {
    case[name].as_u64().expect("a count")
}

#[test]
fn shares_have_the_interval_of_wilson() {
    let cases = cases("wilson");
    assert!(cases.len() > 20);
    for case in cases {
        let found = wilson(count(&case, "successes"), count(&case, "n"));
        assert!((found.low - number(&case, "low")).abs() < 1e-12, "{case}: {found:?}");
        assert!((found.high - number(&case, "high")).abs() < 1e-12, "{case}: {found:?}");
    }
}

#[test]
fn disagreements_have_the_probability_of_coins() {
    let cases = cases("mcnemar");
    assert!(cases.len() > 20);
    for case in cases {
        let found = mcnemar_exact(count(&case, "only_first"), count(&case, "only_second"));
        let expected = number(&case, "p_value");
        assert!((found - expected).abs() <= 1e-9 * expected, "{case}: {found}");
    }
}

#[test]
fn means_have_the_interval_of_the_bootstrap() {
    for case in cases("bootstrap") {
        let values: Vec<f64> = serde_json::from_value(case["values"].clone()).expect("numbers");
        let sums: Vec<RatioSums> =
            values.into_iter().map(|numerator| RatioSums { numerator, denominator: 1.0 }).collect();
        let found = RatioSums::interval(&sums, Resampling::default()).expect("there are items");
        // The draws are others: bounds differ by some hundredths of the width.
        let (low, high) = (number(&case, "low"), number(&case, "high"));
        let near = 0.08 * (high - low);
        assert!((found.low - low).abs() < near && (found.high - high).abs() < near, "{low} to {high}: {found:?}");
    }
}
