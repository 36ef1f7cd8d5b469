//! Checks in code of what was written: structure, lengths, wording. What remains is content, which a judge may judge.

use audsem_core::records::{Choices, clean};
use audsem_core::terminal::{by_number, counted};
use serde_json::{Map, Value};

use super::product::{Product, Style};
use super::timeline::{Claim, Timeline};
use super::words::{Wording, count_words, faults_of};

/// Bounds of the lengths of texts, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordLimits {
    /// Minimum of the reasoning.
    pub min_thinking: usize,
    /// Maximum of a caption or of the answer to an open question.
    pub max_answer: usize,
}

impl Default for WordLimits {
    fn default() -> Self {
        Self { min_thinking: 50, max_answer: 50 }
    }
}

/// Reasoning, its elements and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoned {
    /// The reasoning.
    pub thinking: String,
    /// The elements of each of the nine categories, in their order; empty in the simple style.
    pub elements: Vec<Vec<String>>,
    /// The caption or the answer.
    pub answer: String,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The question, without options.
    pub question: String,
    /// Texts of the four options; empty for an open question.
    pub options: Vec<String>,
    /// Which option is the answer.
    pub correct: usize,
    /// Reasoning and answer.
    pub text: Reasoned,
    /// What decides the answer, if the question is about time.
    pub claim: Option<Claim>,
}

/// What was written about a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenText {
    /// A caption.
    Caption(Reasoned),
    /// Two or three questions.
    Pairs(Vec<Pair>),
}

/// What an answer must be like.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// Kind of text.
    pub product: Product,
    /// Style of the reasoning.
    pub style: Style,
    /// Bounds of lengths.
    pub limits: WordLimits,
    /// When sounds are heard, if the text is to be grounded in it: reasoning may then cite times, and the claim of every
    /// question must follow from it.
    pub timeline: Option<&'a Timeline>,
}

impl Check<'_> {
    /// Reads an answer that fits the schema of its product, and checks it.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn read(&self, answer: &Value) -> Result<WrittenText, String> {
        if self.product.is_caption() {
            let text = self.reasoned(answer)?;
            self.wording("answer", &text.answer)?;
            return Ok(WrittenText::Caption(text));
        }
        let pairs = answer["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !(2..=3).contains(&pairs.len()) {
            return Err(format!(
                "there {} {} instead of 2 or 3",
                by_number(pairs.len(), "is", "are"),
                counted(pairs.len(), "questions")
            ));
        }
        let pairs = pairs.iter().enumerate();
        let pairs = pairs.map(|(i, pair)| self.pair(pair).map_err(|problem| format!("question {}: {problem}", i + 1)));
        let pairs: Vec<Pair> = pairs.collect::<Result<_, _>>()?;
        distinct(pairs.iter().map(|pair| pair.question.as_str()), "questions")?;
        Ok(WrittenText::Pairs(pairs))
    }

    fn reasoned(&self, value: &Value) -> Result<Reasoned, String> {
        let thinking = text(value, "thinking")?;
        let answer = text(value, "answer")?;
        let n = count_words(&thinking);
        if n < self.limits.min_thinking {
            return Err(format!(
                "the thinking has {}; it needs at least {}",
                counted(n, "words"),
                self.limits.min_thinking
            ));
        }
        let n = count_words(&answer);
        if self.product != Product::Mcqa && n > self.limits.max_answer {
            return Err(format!("the answer has {n} words; at most {} are allowed", self.limits.max_answer));
        }
        self.wording("thinking", &thinking)?;
        let elements = match self.style {
            Style::Simple => Vec::new(),
            Style::Semantic => self.elements(&value["semantic_elements"])?,
        };
        Ok(Reasoned { thinking, elements, answer })
    }

    fn elements(&self, value: &Value) -> Result<Vec<Vec<String>>, String> {
        let mut all = Vec::new();
        for category in self.product.categories() {
            let listed = value[category.key].as_array().map(Vec::as_slice).unwrap_or_default();
            let elements: Vec<String> = listed.iter().filter_map(Value::as_str).map(clean).collect();
            if elements.iter().any(String::is_empty)
                || elements.len() > 3
                || (elements.is_empty() && category.key != "time")
            {
                return Err(format!("the category {} of the semantic elements needs 1 to 3 elements", category.key));
            }
            for element in &elements {
                self.wording("semantic element", element)?;
            }
            all.push(elements);
        }
        let names = all.iter().flatten().map(|element| element.split([':', '(']).next().unwrap_or_default());
        distinct(names, "semantic elements")?;
        Ok(all)
    }

    fn pair(&self, value: &Value) -> Result<Pair, String> {
        let question = text(value, "question")?;
        let mut text = self.reasoned(value)?;
        self.wording("question", &question)?;
        if self.product == Product::Qa {
            self.wording("answer", &text.answer)?;
            if says_yes_or_no(&text.answer) {
                return Err("the answer is a plain yes or no; ask what needs a description".to_owned());
            }
            let claim = self.claim(value, &text.answer, &[])?;
            return Ok(Pair { question, options: Vec::new(), correct: 0, text, claim });
        }
        let (options, correct) = self.options(value)?;
        if let Some(words) = names_a_letter(&text.thinking) {
            return Err(format!("the thinking speaks of an option by its letter ({words:?}); name what it says"));
        }
        text.answer.clone_from(&options[correct]);
        let others: Vec<&str> =
            options.iter().enumerate().filter(|(i, _)| *i != correct).map(|(_, text)| text.as_str()).collect();
        let claim = self.claim(value, &text.answer, &others)?;
        Ok(Pair { question, options, correct, text, claim })
    }

    /// The claim that decides a question about time: it follows from the timeline, and the answer says what it says.
    fn claim(&self, pair: &Value, answer: &str, others: &[&str]) -> Result<Option<Claim>, String> {
        let Some(timeline) = self.timeline else { return Ok(None) };
        let claim: Claim = serde_json::from_value(pair["claim"].clone()).map_err(|error| format!("claim: {error}"))?;
        timeline.check(&claim)?;
        claim.agrees_with(answer)?;
        timeline.check_others(&claim, others)?;
        Ok(Some(claim))
    }

    /// The texts of the four options, and which of them is the answer.
    fn options(&self, value: &Value) -> Result<(Vec<String>, usize), String> {
        let choices = Choices::from_value(&value["choices"]).map_err(|fault| fault.detail)?;
        let options: Vec<String> = choices.iter().map(|choice| choice.text.clone()).collect();
        if options.len() != 4 {
            return Err(format!(
                "there {} {} instead of four",
                by_number(options.len(), "is", "are"),
                counted(options.len(), "options")
            ));
        }
        distinct(options.iter().map(String::as_str), "options")?;
        for option in &options {
            self.wording("option", option)?;
        }
        let answer = text(value, "answer")?;
        let found = choices
            .find(&answer)
            .map_err(|fault| format!("{}; write the letter and text of one option", fault.detail))?;
        let correct = choices.iter().position(|choice| choice == found).unwrap_or_default();
        check_lengths(&options, correct)?;
        Ok((options, correct))
    }

    fn wording(&self, what: &str, text: &str) -> Result<(), String> {
        // Options may be about how long something lasts; elsewhere times are those of the data.
        let may_cite = self.product == Product::Mcqa || (self.timeline.is_some() && what != "answer");
        let allowed = |wording: Wording| wording == Wording::Timestamp && may_cite;
        match faults_of(text).into_iter().find(|(wording, _)| !allowed(*wording)) {
            None => Ok(()),
            Some((wording, words)) => Err(format!("the {what} says {words:?}: {}", wording.describe())),
        }
    }
}

/// Models prefer the longest option, so the answer must not be told by its length.
pub(super) fn check_lengths(options: &[String], correct: usize) -> Result<(), String> {
    let length = |i: usize| options[i].chars().count();
    let others = (0..options.len()).filter(|&i| i != correct).map(length);
    let (shortest, longest) = others.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
    let n = length(correct);
    // Single words differ by more than half without telling anything.
    if n > longest + longest / 2 + 8 {
        return Err("the right option is much longer than the others; write options of similar length".to_owned());
    }
    if n + n / 2 + 8 < shortest {
        return Err("the right option is much shorter than the others; write options of similar length".to_owned());
    }
    Ok(())
}

fn text(value: &Value, name: &str) -> Result<String, String> {
    let text = value[name].as_str().map(clean).unwrap_or_default();
    if text.is_empty() { Err(format!("the field {name} is empty")) } else { Ok(text) }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>, what: &str) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        let plain: String = text.to_lowercase().split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" ");
        let plain = clean(&plain);
        if seen.contains(&plain) {
            return Err(format!("two {what} are the same: {text:?}"));
        }
        seen.push(plain);
    }
    Ok(())
}

fn says_yes_or_no(answer: &str) -> bool {
    let first = answer.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    (first.eq_ignore_ascii_case("yes") || first.eq_ignore_ascii_case("no")) && count_words(answer) <= 2
}

/// A mention of an option by its letter: letters are dealt anew when the answer is written.
fn names_a_letter(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|two| {
        let before = two[0].trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let letter = two[1].trim_matches(|c: char| !c.is_alphanumeric());
        let names = matches!(before.as_str(), "option" | "options" | "choice" | "choices" | "letter");
        (names && matches!(letter, "A" | "B" | "C" | "D")).then(|| format!("{} {letter}", two[0]))
    })
}

/// The semantic elements as numbered text, as training reads them.
#[must_use]
pub fn elements_as_text(product: Product, elements: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (i, (category, elements)) in product.categories().iter().zip(elements).enumerate() {
        text.push_str(&format!("{}{}. {}", if i == 0 { "" } else { "\n" }, i + 1, category.heading));
        elements.iter().for_each(|element| text.push_str(&format!("\n- {element}")));
    }
    text
}

/// The semantic elements as an object of nine lists.
#[must_use]
pub fn elements_as_object(product: Product, elements: &[Vec<String>]) -> Value {
    let of = |(category, elements): (&super::product::Category, &Vec<String>)| {
        (category.key.to_owned(), Value::from(elements.clone()))
    };
    Value::Object(product.categories().iter().zip(elements).map(of).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(product: Product, style: Style, limits: WordLimits, answer: &Value) -> Result<WrittenText, String> {
        Check { product, style, limits, timeline: None }.read(answer)
    }

    fn thinking() -> String {
        let words = "Let me listen closely. Something barks twice, loud and near, and hmm, it must be a dog.";
        format!("{words} {words} {words} {words}")
    }

    fn caption(answer: &str) -> Value {
        json!({"thinking": thinking(), "answer": answer})
    }

    fn pair(options: [&str; 4], answer: &str) -> Value {
        let [a, b, c, d] = options;
        json!({"question": format!("What is heard, {a}?"), "choices": {"A": a, "B": b, "C": c, "D": d},
            "thinking": thinking(), "answer": answer})
    }

    #[track_caller]
    fn refused(product: Product, style: Style, answer: &Value, expected: &str) {
        let problem = read(product, style, WordLimits::default(), answer).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }

    #[test]
    fn captions() {
        let caption_of = |answer: &Value| read(Product::Caption, Style::Simple, WordLimits::default(), answer);
        assert!(
            matches!(caption_of(&caption("A dog barks.")), Ok(WrittenText::Caption(text)) if text.answer == "A dog barks.")
        );
        let check = |answer: &Value, expected: &str| refused(Product::Caption, Style::Simple, answer, expected);
        check(&caption(" "), "field answer is empty");
        check(&caption(&"bark ".repeat(51)), "has 51 words; at most 50");
        check(&json!({"thinking": "A dog.", "answer": "A dog barks."}), "thinking has 2 words");
        check(&caption("A visible dog barks."), "can only be seen");
        check(&caption("A dog barks, says the audio caption."), "names the data");
        check(&caption("A dog barks for 3 s."), "cites a time");
    }

    #[test]
    fn pairs() {
        let qa =
            |answer: &str| json!({"question": format!("What, {answer}?"), "thinking": thinking(), "answer": answer});
        let check = |answers: &[&str], expected: &str| {
            let answers: Vec<Value> = answers.iter().map(|answer| qa(answer)).collect();
            refused(Product::Qa, Style::Simple, &json!({ "questions": answers }), expected);
        };
        check(&["A dog."], "there is 1 question instead of 2 or 3");
        check(&["A dog.", "Yes."], "question 2: the answer is a plain yes or no");
        check(&["A dog.", "a dog"], "two questions are the same");
        let good = json!({"questions": [qa("A dog."), qa("A cat.")]});
        assert!(read(Product::Qa, Style::Simple, WordLimits::default(), &good).is_ok());
    }

    #[test]
    fn choices() {
        let animals = ["A dog", "A cat", "A cow", "A hen"];
        let check = |options: [&str; 4], answer: &str, expected: &str| {
            let answer = json!({"questions": [pair(options, answer), pair(animals, "A. A dog")]});
            refused(Product::Mcqa, Style::Simple, &answer, expected);
        };
        check(["A fox", "A cat", "A cow", "a cat"], "A. A fox", "two options are the same");
        check(["A fox", "A cat", "A cow", "A hen"], "Because it barks", "not one of the choices");
        check(["A fox", "A cat", "A cow", "A hen"], "A. A cat", "not one of the choices");
        let long = "A fox that barks again and again in the forest";
        check([long, "A cat", "A cow", "A hen"], &format!("A. {long}"), "much longer");
        check(
            ["A fox", long, "A cow at the far end of a meadow", "A hen that cackles in her coop"],
            "A. A fox",
            "much shorter",
        );
        let mut lettered = pair(["A fox", "A cat", "A cow", "A hen"], "A. A fox");
        lettered["thinking"] = format!("{} So it is option A.", thinking()).into();
        let answer = json!({"questions": [lettered, pair(animals, "A. A dog")]});
        refused(Product::Mcqa, Style::Simple, &answer, "by its letter");
        let good = json!({"questions": [pair(["A fox", "A cat", "A cow", "A hen"], "C"), pair(animals, "b. a cat")]});
        let WrittenText::Pairs(pairs) = read(Product::Mcqa, Style::Simple, WordLimits::default(), &good).unwrap()
        else {
            panic!()
        };
        assert_eq!(
            pairs.iter().map(|pair| (pair.correct, &*pair.text.answer)).collect::<Vec<_>>(),
            [(2, "A cow"), (1, "A cat")]
        );
    }

    #[test]
    fn grounded_questions_must_follow_from_the_seconds() {
        let clip = super::super::metadata::tests::dog_and_door("k");
        let timeline = Timeline::of(&clip);
        let check = |claim: Value, options: [&str; 4]| {
            let mut first = pair(options, &format!("A. {}", options[0]));
            first["claim"] = claim;
            first["question"] = "What about the dog?".into();
            let mut second = pair(["Three seconds", "One second", "Two seconds", "Five seconds"], "A. Three seconds");
            second["claim"] = json!({"kind": "duration", "sounds": ["dog"], "value": 3});
            let check = Check {
                product: Product::Mcqa,
                style: Style::Simple,
                limits: WordLimits::default(),
                timeline: Some(&timeline),
            };
            check.read(&json!({"questions": [first, second]})).map(drop)
        };
        let count = |value: u32| json!({"kind": "count", "sounds": ["dog"], "value": value});
        assert_eq!(check(count(2), ["Twice", "Once", "Three times", "Four times"]), Ok(()));
        let refused = |claim: Value, options: [&str; 4], expected: &str| {
            let problem = check(claim, options).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        };
        refused(count(3), ["Thrice", "Once", "Two times", "Four times"], "dog is heard 2 separate times");
        refused(count(2), ["Thrice", "Once", "Five times", "Four times"], "does not say 2");
        refused(count(2), ["Twice", "Once", "2 times", "Four times"], "another option");
        let order = json!({"kind": "order", "sounds": ["dog", "slam"], "value": null});
        assert_eq!(check(order.clone(), ["The dog", "The slam", "A cow", "A hen"]), Ok(()));
        refused(order, ["The slam", "The dog", "A cow", "A hen"], "does not name dog");
        refused(Value::Null, ["Twice", "Once", "Three times", "Four times"], "claim");
    }

    #[test]
    fn semantic_elements_need_all_categories_and_no_word_twice() {
        let mut elements = Map::new();
        for (i, category) in Product::Caption.categories().iter().enumerate() {
            elements.insert(category.key.to_owned(), json!([format!("word{i}: why")]));
        }
        let with = |elements: &Map<String, Value>| json!({"thinking": thinking(), "semantic_elements": elements, "answer": "A dog."});
        let good = read(Product::Caption, Style::Semantic, WordLimits::default(), &with(&elements)).unwrap();
        let WrittenText::Caption(text) = good else { panic!() };
        let rendered = elements_as_text(Product::Caption, &text.elements);
        assert!(rendered.starts_with("1. Animate sound makers\n- word0: why\n2. Inanimate sources\n"), "{rendered}");
        assert_eq!(elements_as_object(Product::Caption, &text.elements), Value::Object(elements.clone()));

        elements["signal"] = json!(["Word0 (again)"]);
        refused(Product::Caption, Style::Semantic, &with(&elements), "two semantic elements are the same");
        elements["signal"] = json!([]);
        refused(Product::Caption, Style::Semantic, &with(&elements), "signal of the semantic elements needs 1 to 3");
    }
}
