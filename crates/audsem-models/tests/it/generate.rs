//! Generation against transformers, with a network that is a table.

use audsem_models::Result;
use audsem_models::generate::{
    CausalDecoder, Generated, GenerationConfig, GenerationRequest, LogitsProcessors, StopReason, generate,
};
use serde::Deserialize;
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../../fixtures/goldens/generate.json");

#[derive(Deserialize)]
struct Golden {
    last: Vec<Vec<f32>>,
    previous: Vec<Vec<f32>>,
    searches: Vec<SearchCase>,
    scores: Vec<ScoreCase>,
}

#[derive(Deserialize)]
struct SearchCase {
    config: Value,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    prompt: Vec<u32>,
    sequences: Vec<Vec<u32>>,
    scores: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct ScoreCase {
    config: Value,
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    prompt_length: usize,
    scores: Vec<Vec<Option<f32>>>,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

fn config(json: &Value) -> GenerationConfig {
    GenerationConfig::from_json(&json.to_string()).unwrap()
}

/// Logits are a row for the last token plus one for the token before it.
struct Table<'a> {
    golden: &'a Golden,
    rows: Vec<(u32, u32)>,
    /// Rows of all steps together.
    work: usize,
}

impl<'a> Table<'a> {
    fn new(golden: &'a Golden) -> Self {
        Self { golden, rows: Vec::new(), work: 0 }
    }

    fn logits(&mut self) -> Vec<Vec<f32>> {
        self.work += self.rows.len();
        let row = |(before, last): &(u32, u32)| {
            let (last, before) = (&self.golden.last[*last as usize], &self.golden.previous[*before as usize]);
            last.iter().zip(before).map(|(a, b)| a + b).collect()
        };
        self.rows.iter().map(row).collect()
    }
}

impl CausalDecoder for Table<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let last_two = |ids: &&[u32]| (ids.iter().rev().nth(1).copied().unwrap_or(0), *ids.last().unwrap());
        self.rows = prompts.iter().map(last_two).collect();
        Ok(self.logits())
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        assert_eq!(tokens.len(), self.rows.len());
        self.rows.iter_mut().zip(tokens).for_each(|(row, token)| *row = (row.1, *token));
        Ok(self.logits())
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.rows = rows.iter().map(|row| self.rows[*row]).collect();
        Ok(())
    }
}

fn request(prompt: &[u32]) -> GenerationRequest {
    GenerationRequest { prompt: prompt.to_vec(), seed: u64::from(prompt[0]) }
}

/// A sequence as the library prints it: padded with what stands there after its end.
fn is_same(ours: &Generated, theirs: &[u32]) -> bool {
    theirs.starts_with(&ours.tokens) && (ours.finish == StopReason::EndOfSequence || ours.tokens.len() == theirs.len())
}

#[test]
fn greedy_and_beam_search_find_what_transformers_finds() {
    let golden = golden();
    for case in &golden.searches {
        let requests: Vec<_> = case.items.iter().map(|item| request(&item.prompt)).collect();
        let found = generate(&mut Table::new(&golden), &requests, &config(&case.config)).unwrap();
        for (item, found) in case.items.iter().zip(&found) {
            assert_eq!(found.len(), item.sequences.len(), "{}", case.config);
            for (ours, theirs) in found.iter().zip(&item.sequences) {
                assert!(is_same(ours, theirs), "{} {:?}:\n{found:?}\n{:?}", case.config, item.prompt, item.sequences);
            }
            let scores: Option<Vec<f32>> = found.iter().map(|found| found.score).collect();
            for (ours, theirs) in scores.iter().flatten().zip(item.scores.iter().flatten()) {
                assert!((ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0), "{}: {ours} {theirs}", case.config);
            }
            assert_eq!(scores.is_some(), item.scores.is_some());
        }
    }
}

#[test]
fn scores_are_processed_as_by_transformers() {
    for case in golden().scores {
        let config = config(&case.config);
        for step in &case.steps {
            let processors = LogitsProcessors::new(&config, step.prompt_length).unwrap();
            for ((ids, logits), theirs) in case.ids.iter().zip(&case.logits).zip(&step.scores) {
                let mut ours = logits.clone();
                processors.process(ids, &mut ours);
                for (id, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                    let theirs = theirs.unwrap_or(f32::NEG_INFINITY);
                    let same = *ours == theirs || (ours - theirs).abs() <= 1e-6 * theirs.abs();
                    assert!(same, "{} token {id} after {ids:?}: {ours} {theirs}", case.config);
                }
            }
        }
    }
}

#[test]
fn a_result_does_not_depend_on_the_batch() {
    let golden = golden();
    for json in [
        r#"{"eos_token_id": 3, "max_new_tokens": 15}"#,
        r#"{"eos_token_id": 3, "max_new_tokens": 15, "do_sample": true, "temperature": 1.5}"#,
        r#"{"eos_token_id": 3, "max_new_tokens": 15, "num_beams": 4, "num_return_sequences": 2}"#,
        r#"{"eos_token_id": 3, "max_new_tokens": 15, "num_beams": 3, "do_sample": true, "early_stopping": true}"#,
    ] {
        let config = GenerationConfig::from_json(json).unwrap();
        let requests: Vec<_> = [&[1, 4, 2][..], &[7], &[20, 11], &[9, 9, 9, 9], &[3, 15]].map(request).into();
        let together = generate(&mut Table::new(&golden), &requests, &config).unwrap();
        for (request, expected) in requests.iter().zip(&together) {
            let alone = generate(&mut Table::new(&golden), std::slice::from_ref(request), &config).unwrap();
            assert_eq!(&alone[0], expected, "{json}");
        }
        let lengths: Vec<usize> = together.iter().map(|found| found[0].tokens.len()).collect();
        assert!(
            lengths.iter().any(|length| *length != lengths[0]),
            "rows of one length would prove little: {lengths:?}"
        );
    }
}

#[test]
fn a_row_that_has_ended_costs_nothing_more() {
    let golden = golden();
    let config = GenerationConfig::from_json(r#"{"eos_token_id": 3, "max_new_tokens": 15}"#).unwrap();
    let requests: Vec<_> = [&[1, 4, 2][..], &[7], &[20, 11]].map(request).into();
    let mut table = Table::new(&golden);
    let found = generate(&mut table, &requests, &config).unwrap();
    assert_eq!(table.work, found.iter().map(|found| found[0].tokens.len()).sum::<usize>());
}

#[test]
fn draws_of_beams_depend_on_the_seed_alone() {
    let golden = golden();
    let config =
        GenerationConfig::from_json(r#"{"max_new_tokens": 12, "num_beams": 3, "do_sample": true, "top_k": 0}"#)
            .unwrap();
    let found = |seed| {
        let request = GenerationRequest { prompt: vec![5, 6], seed };
        generate(&mut Table::new(&golden), &[request], &config).unwrap()
    };
    assert_eq!(found(1), found(1));
    assert!((2..10).any(|seed| found(seed) != found(1)));
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let golden = golden();
    let refused = |prompt: &[u32], json: &str| {
        let request = GenerationRequest { prompt: prompt.to_vec(), seed: 0 };
        generate(&mut Table::new(&golden), &[request], &GenerationConfig::from_json(json).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&[], "{}").contains("no token"));
    assert!(refused(&[1; 20], "{}").contains("max_new_tokens"));
    let everything: Vec<u32> = (0..23).collect();
    assert!(refused(&[1], &format!(r#"{{"suppress_tokens": {everything:?}}}"#)).contains("ruled out"));
}
