//! Rows of the output: what `audsem-tarify shards` reads.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::check::{Pair, Reasoned, WrittenText, elements_as_object, elements_as_text};
use super::product::Product;

/// Letters of options.
const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// Counts of one shard that tell whether answers can be guessed from their form.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct FormCounts {
    /// How often each letter is the answer.
    pub letters: [u64; 4],
    /// Answers that are the longest option, alone.
    pub longest: u64,
    /// Answers that are the shortest option, alone.
    pub shortest: u64,
    /// Pairs with and without options.
    pub pairs: u64,
}

/// Makes rows of one shard, in order.
pub(super) struct RowWriter<'a> {
    product: Product,
    writer: &'a str,
    as_object: bool,
    rng: ChaCha8Rng,
    /// Places of the next answers; each is used once before any is used again.
    deck: Vec<usize>,
    pub counts: FormCounts,
}

impl<'a> RowWriter<'a> {
    /// `as_object` adds the semantic elements as an object of nine lists.
    pub(super) fn new(product: Product, writer: &'a str, as_object: bool, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { product, writer, as_object, rng, deck: Vec::new(), counts: FormCounts::default() }
    }

    /// The row of a clip.
    pub(super) fn row(&mut self, key: &str, written: WrittenText) -> Value {
        let mut row = Map::new();
        row.insert("file_name".into(), key.into());
        match written {
            WrittenText::Caption(text) => {
                row.insert("caption".into(), text.answer.clone().into());
                self.reasoning(&mut row, &text);
            }
            WrittenText::Pairs(pairs) => {
                let pairs: Vec<Value> = pairs.into_iter().map(|pair| self.pair(pair)).collect();
                row.insert("qa_pairs".into(), pairs.into());
            }
        }
        row.insert("writer".into(), self.writer.into());
        Value::Object(row)
    }

    fn reasoning(&self, row: &mut Map<String, Value>, text: &Reasoned) {
        row.insert("thinking".into(), text.thinking.clone().into());
        if !text.elements.is_empty() {
            row.insert("semantic_elements".into(), elements_as_text(self.product, &text.elements).into());
            if self.as_object {
                row.insert("semantic_categories".into(), elements_as_object(self.product, &text.elements));
            }
        }
    }

    fn pair(&mut self, pair: Pair) -> Value {
        self.counts.pairs += 1;
        let mut row = Map::new();
        if pair.options.is_empty() {
            row.insert("question".into(), pair.question.into());
            self.reasoning(&mut row, &pair.text);
            row.insert("answer".into(), pair.text.answer.into());
            if let Some(claim) = pair.claim {
                row.insert("claim".into(), json!(claim));
            }
            return Value::Object(row);
        }
        let (options, letter) = self.deal(pair.options, pair.correct);
        self.count(&options, letter);
        let answer = format!("{}. {}", LETTERS[letter], options[letter]);
        let lines: Vec<String> =
            LETTERS.iter().zip(&options).map(|(letter, text)| format!("{letter}. {text}")).collect();
        row.insert("question".into(), format!("{}\nChoices:\n{}", pair.question, lines.join("\n")).into());
        let choices = LETTERS.iter().zip(&options).map(|(letter, text)| ((*letter).to_owned(), json!(text)));
        row.insert("choices".into(), Value::Object(choices.collect()));
        self.reasoning(&mut row, &pair.text);
        row.insert("answer".into(), answer.into());
        if let Some(claim) = pair.claim {
            row.insert("claim".into(), json!(claim));
        }
        Value::Object(row)
    }

    /// Puts the answer where the deck says and shuffles the others.
    fn deal(&mut self, mut options: Vec<String>, correct: usize) -> (Vec<String>, usize) {
        if self.deck.is_empty() {
            self.deck = (0..options.len()).collect();
            self.deck.shuffle(&mut self.rng);
        }
        let place = self.deck.pop().unwrap_or_default();
        let right = options.remove(correct);
        options.shuffle(&mut self.rng);
        options.insert(place, right);
        (options, place)
    }

    fn count(&mut self, options: &[String], correct: usize) {
        self.counts.letters[correct] += 1;
        let length = |text: &String| text.chars().count();
        let own = length(&options[correct]);
        let others = || options.iter().enumerate().filter(|(i, _)| *i != correct).map(|(_, text)| length(text));
        self.counts.longest += u64::from(others().all(|n| n < own));
        self.counts.shortest += u64::from(others().all(|n| n > own));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::records::Task;

    use super::*;

    fn text(answer: &str) -> Reasoned {
        Reasoned { thinking: "Hm.".into(), elements: Vec::new(), answer: answer.into() }
    }

    fn mcqa(n: usize, seed: u64) -> (Vec<Value>, FormCounts) {
        let mut writer = RowWriter::new(Product::Mcqa, "w", false, seed);
        let pair = || Pair {
            question: "What barks?".into(),
            options: ["A dog", "A tomcat", "A cow", "A hen"].map(str::to_owned).to_vec(),
            correct: 0,
            text: text("A dog"),
            claim: None,
        };
        let rows = (0..n).map(|i| writer.row(&format!("k{i}"), WrittenText::Pairs(vec![pair(), pair()]))).collect();
        (rows, writer.counts)
    }

    #[test]
    fn rows_are_of_the_formats_that_the_packer_reads() {
        let check = |task: Task, row: &Value| {
            assert_eq!(task.record().check(row.as_object().unwrap(), false), Ok(()), "{row}");
        };
        let mut captions = RowWriter::new(Product::Caption, "w", false, 0);
        check(Task::Caption, &captions.row("k", WrittenText::Caption(text("A dog barks."))));
        let open =
            Pair { question: "What?".into(), options: Vec::new(), correct: 0, text: text("A dog."), claim: None };
        check(
            Task::Qa,
            &RowWriter::new(Product::Qa, "w", false, 0).row("k", WrittenText::Pairs(vec![open.clone(), open])),
        );
        let (rows, _) = mcqa(1, 0);
        check(Task::McQa, &rows[0]);
        let pair = &rows[0]["qa_pairs"][0];
        let answer = pair["answer"].as_str().unwrap();
        assert!(answer.ends_with(". A dog") && pair["choices"][&answer[..1]] == "A dog", "{pair}");
        let read = audsem_core::records::Question::read(pair.as_object().unwrap()).unwrap();
        assert_eq!(read.text(), pair["question"].as_str().unwrap());
    }

    #[test]
    fn letters_are_balanced_and_follow_from_the_seed() {
        let (rows, counts) = mcqa(6, 1);
        assert_eq!(counts, FormCounts { letters: [3; 4], longest: 0, shortest: 0, pairs: 12 });
        assert_eq!(mcqa(6, 1).0, rows);
        assert_ne!(mcqa(6, 2).0, rows);
    }

    #[test]
    fn semantic_elements_are_text_and_on_request_an_object() {
        let elements: Vec<Vec<String>> = (0..9).map(|i| vec![format!("e{i}: why")]).collect();
        let row = |as_object| {
            let text = Reasoned { elements: elements.clone(), ..text("A dog.") };
            RowWriter::new(Product::Caption, "w", as_object, 0).row("k", WrittenText::Caption(text))
        };
        assert!(row(false).get("semantic_categories").is_none());
        assert_eq!(row(true)["semantic_categories"]["animate"], json!(["e0: why"]));
        assert!(Task::Caption.record().check(row(true).as_object().unwrap(), true).is_ok());
    }
}
