//! Numbers of flags that must lie in a range.

/// A share from 0 to below 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to below 1".to_owned()),
    }
}

/// A probability.
pub(super) fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("expected a probability from 0 to 1".to_owned()),
    }
}

/// A finite number that is not below 0.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("expected a number from 0 on".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;

    /// Whether the command line is taken, or what is said against it.
    fn parse(line: &str) -> Result<(), String> {
        let words = line.split(' ').map(std::ffi::OsString::from);
        Cli::try_parse_from(std::iter::once("audsem-filtering".into()).chain(words))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        let combine = "combine --input c --output o --bert b --llm l";
        let classify = "classify --input c --output o";
        let label = "label --input c --output o --server http://h/v1";
        let train = "train-classifier --input c --output o";
        for (command, flag, bad, good) in [
            (combine, "--bert-threshold", "50", "0.5"),
            (combine, "--bert-threshold", "nan", "1"),
            (combine, "--llm-threshold", "nan", "0"),
            (classify, "--threshold", "1.5", "0.25"),
            (label, "--threshold", "inf", "0.25"),
            (label, "--max-tokens", "0", "1"),
            (train, "--heldout", "1", "0.5"),
            (train, "--lr", "nan", "1e-4"),
            (train, "--weight-decay", "inf", "0"),
            (train, "--layers", "0", "2"),
            (train, "--vocab-size", "5", "6"),
            (train, "--hidden-size", "30", "32"),
        ] {
            let error = parse(&format!("{command} {flag}={bad}")).expect_err(flag);
            assert!(error.contains(flag) && error.contains(bad), "{error}");
            assert_eq!(parse(&format!("{command} {flag}={good}")), Ok(()));
        }
        let error = parse(&format!("{classify} --threshold=-1")).unwrap_err();
        assert!(error.contains("from 0 to 1"), "{error}");
    }
}
