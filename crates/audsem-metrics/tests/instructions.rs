//! Instructions of MMAU-Pro beside its published scorer, and sentences beside NLTK (`fixtures/regen/instructions.py`).
//!
//! `AUDSEM_INSTRUCTION_CASES` names a file with many more cases, which the script writes too.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_metrics::instruction::Instruction;
use audsem_metrics::normalise::Compat;
use audsem_metrics::sentences::SentenceModel;
use serde_json::{Value, json};

const SAMPLE: &str = include_str!("../../../fixtures/text_metrics/instructions.jsonl");

fn cases() -> Vec<Value> {
    let named = std::env::var_os("AUDSEM_INSTRUCTION_CASES");
    let text = named.map(|path| std::fs::read_to_string(path).expect("the file of cases can be read"));
    let text = text.as_deref().unwrap_or(SAMPLE);
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect("a text")
}

/// The model of the cases, in NLTK's form.
fn model() -> SentenceModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/text_metrics/punkt");
    SentenceModel::open(&folder).expect("the model is whole")
}

fn refuse(wrong: &[String], of: usize) {
    let first: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {of}:\n{}", wrong.len(), first.join("\n"));
}

#[test]
fn rules_are_those_of_the_published_scorer() {
    let (sentences, cases) = (model(), cases());
    let mut verdicts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| case.get("identifier").is_some()) {
        let (identifier, parameters) = (text(case, "identifier"), case["kwargs"].as_object().expect("parameters"));
        let rule = Instruction::read(identifier, parameters, text(case, "question")).expect("the rule is known");
        let found = rule.is_followed(text(case, "input"), Compat::Reference, &sentences);
        if json!(found) != case["expect"] {
            wrong.push(case.to_string());
        }
        verdicts.entry(identifier).or_default()[usize::from(found)] += 1;
    }
    refuse(&wrong, cases.len());
    assert_eq!(verdicts.len(), 27);
    assert!(verdicts.values().all(|[not, followed]| *not > 0 && *followed > 0), "{verdicts:?}");
}

#[test]
fn sentences_are_those_of_nltk() {
    let (model, cases) = (model(), cases());
    let differ = |case: &&Value| json!(model.sentences(text(case, "input"))) != case["expect"];
    let all: Vec<&Value> = cases.iter().filter(|case| case.get("identifier").is_none()).collect();
    let told = |case: &&Value| format!("{case}\n  ours: {:?}", model.sentences(text(case, "input")));
    let wrong: Vec<String> = all.iter().copied().filter(differ).map(|case| told(&case)).collect();
    assert!(all.len() >= 60);
    refuse(&wrong, all.len());
}

/// What a rule says of an answer: by its published form, and by what it asks for.
fn check(identifier: &str, parameters: &Value, answer: &str, expected: [bool; 2]) {
    let parameters = parameters.as_object().expect("parameters");
    let rule = Instruction::read(identifier, parameters, "Tell me more.").expect("the rule is known");
    let followed = |compat| rule.is_followed(answer, compat, &SentenceModel::english());
    assert_eq!([followed(Compat::Reference), followed(Compat::Fixed)], expected, "{identifier} {rule:?}: {answer}");
}

#[test]
fn every_rule_does_what_its_name_says() {
    let n = |count: u64| json!({ "N": count });
    let range = |least: u64, most: u64| json!({ "N1": least, "N2": most });
    let (yes, no) = ([true; 2], [false; 2]);
    for (identifier, parameters, answer, expected) in [
        ("Include Keywords", json!({ "keywords": "Rain, dog" }), "A DOG in the rainstorm", yes),
        ("Include Keywords", json!({ "keywords": "rain, dog" }), "only rain", no),
        ("Keyword Frequency", json!({ "keyword": "dog", "N": 2 }), "Dog, hotdog, dog!", yes),
        ("Keyword Frequency", json!({ "keyword": "dog", "N": 2 }), "dog dogs", no),
        ("Keyword Frequency", json!({ "keyword": "C++", "N": 1 }), "I know C++ well", [false, true]),
        ("Forbidden Words", json!({ "forbidden_words": "cat, dog" }), "a bird", yes),
        ("Forbidden Words", json!({ "forbidden_words": "cat, dog" }), "a Dog", no),
        ("Forbidden Words", json!({ "forbidden_words": "cat" }), "a category", [false, true]),
        ("Number Paragraphs", n(2), "one\n***\ntwo", yes),
        ("Number Paragraphs", n(2), "one\n\ntwo", no),
        ("Number Words (at least)", n(3), "one two three", yes),
        ("Number Words (at least)", n(4), "one two three", no),
        ("Number Words (at most)", n(3), "one two three", yes),
        ("Number Words (at most)", n(2), "one two three", no),
        ("Number Words (range)", range(2, 3), "one two three", yes),
        ("Number Words (range)", range(4, 5), "one two three", no),
        ("Number Sentences (at least)", n(2), "Dr. Lee sang. We went.", yes),
        ("Number Sentences (at least)", n(3), "Dr. Lee sang. We went.", no),
        ("Number Sentences (at most)", n(1), "It is 3.5 m, i.e. long.", yes),
        ("Number Sentences (at most)", n(1), "It rains! Does it?", no),
        ("Number Sentences (range)", range(1, 2), "It was 5 p.m. The rain fell.", yes),
        ("Number Sentences (range)", range(3, 4), "It was 5 p.m. The rain fell.", no),
        ("Postscript", json!({ "postscript_marker": "P.S." }), "Rain.\np. s. Take a coat", yes),
        ("Postscript", json!({ "postscript_marker": "P.P.S" }), "Rain. P.S. Coat.", no),
        ("Postscript", json!({ "postscript_marker": "P.S." }), "The rain stops", [true, false]),
        ("Number Placeholder", n(2), "[name] of [place]", yes),
        ("Number Placeholder", n(2), "[name] of []", no),
        ("Number Bullets", n(2), "* one\n* two", yes),
        ("Number Bullets", n(2), "* one\n* two\n* three", no),
        ("Number Bullets", n(2), "- one\n- two", [false, true]),
        ("Title", json!({}), "<<Rain>> It rains.", yes),
        ("Title", json!({}), "<Rain> It rains.", no),
        ("Title", json!({}), "<< >> It rains.", [true, false]),
        ("Minimum Number Highlighted Section", n(2), "*loud* and **near**", yes),
        ("Minimum Number Highlighted Section", n(2), "*loud*", no),
        ("Minimum Number Highlighted Section", n(1), "* one\n* two", [true, false]),
        ("Multiple Sections", json!({ "section_splitter": "Section", "N": 2 }), "Section 1 a Section 2 b", yes),
        ("Multiple Sections", json!({ "section_splitter": "Section", "N": 2 }), "Section 1 a", no),
        (
            "Multiple Sections",
            json!({ "section_splitter": "section", "N": 1 }),
            "an intersection of roads",
            [false, true],
        ),
        ("Repeat Prompt", json!({}), " tell me more. It rains.", yes),
        ("Repeat Prompt", json!({}), "It rains.", no),
        ("Two Responses", json!({}), "one\n******\ntwo", yes),
        ("Two Responses", json!({}), "one ****** ONE", no),
        ("Two Responses", json!({}), "****** one", [true, false]),
        ("All Uppercase", json!({}), "RAIN, 3 É", yes),
        ("All Uppercase", json!({}), "RAIN, x", no),
        ("All Lowercase", json!({}), "rain, 3 é", yes),
        ("All Lowercase", json!({}), "123", no),
        ("All-capital Words (at least)", n(2), "RAIN and U.S. dogs", yes),
        ("All-capital Words (at least)", n(2), "RAIN and Dogs", no),
        ("All-capital Words (at most)", n(1), "RAIN and Dogs", yes),
        ("All-capital Words (at most)", n(1), "RAIN and I", no),
        ("All-capital Words (range)", range(1, 2), "RAIN and Dogs", yes),
        ("All-capital Words (range)", range(2, 3), "RAIN and Dogs", no),
        ("Start Checker", json!({ "start_phrase": "My answer:" }), "my answer is", yes),
        ("Start Checker", json!({ "start_phrase": "My answer:" }), "Your answer", no),
        ("Start Checker", json!({ "start_phrase": "The rain" }), "The rainbow", [true, false]),
        ("End Checker", json!({ "end_phrase": "Anything else?" }), "It rains. Anything else?", yes),
        ("End Checker", json!({ "end_phrase": "Anything else?" }), "Anything else? No.", no),
        ("End Checker", json!({ "end_phrase": "a car" }), "Costa Car", [true, false]),
        ("Quotation", json!({}), " \"It rains.\"\n", yes),
        ("Quotation", json!({}), "\"It\" rains", no),
        ("Quotation", json!({}), "\"", [true, false]),
        ("Quotation", json!({}), "\u{201c}It rains.\u{201d}", [false, true]),
        ("No Commas", json!({}), "It rains.", yes),
        ("No Commas", json!({}), "It rains, it does.", no),
    ] {
        check(identifier, &parameters, answer, expected);
    }
}

#[test]
fn rules_that_cannot_be_applied_say_why() {
    for (identifier, parameters, problem) in [
        ("JSON Format", json!({}), "no rule is called `JSON Format`"),
        ("Number Words (about)", json!({ "N": 2 }), "no rule is called `Number Words (about)`"),
        ("Number Bullets", json!({ "N": null }), "`Number Bullets` has no parameter `N`"),
        ("Number Bullets", json!({ "N": 2.5 }), "`N` = 2.5, where a whole number is wanted"),
        ("Number Bullets", json!({ "N": -1 }), "`N` = -1, where a whole number is wanted"),
        ("Number Words (range)", json!({ "N1": 2 }), "has no parameter `N2`"),
        ("Include Keywords", json!({ "keywords": "" }), "where one or more words is wanted"),
        ("Include Keywords", json!({ "keywords": ["a", 3] }), "where one or more words is wanted"),
        ("Start Checker", json!({ "start_phrase": "***" }), "where a text with letters of ASCII is wanted"),
        ("Multiple Sections", json!({ "section_splitter": " ", "N": 1 }), "where a text is wanted"),
        ("Repeat Prompt", json!({}), "has no parameter `question`"),
    ] {
        let found = Instruction::read(identifier, parameters.as_object().expect("parameters"), "");
        let found = found.expect_err(identifier).to_string();
        assert!(found.contains(problem), "{identifier}: {found}");
    }
    // Tables hold whole numbers as others, and lists.
    for parameters in [json!({ "N": 2.0 }), json!({ "N": "2" })] {
        check("Number Words (at most)", &parameters, "one two", [true; 2]);
    }
    check("Include Keywords", &json!({ "keywords": ["rain", "dog"] }), "a dog in rain", [true; 2]);
}
