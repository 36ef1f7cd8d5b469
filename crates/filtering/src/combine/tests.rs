//! The golden table and the corrected defects by their numbers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::LazyLock;

use audsem_core::reason::Reason;
use proptest::prelude::*;

use super::*;
use crate::explain::explain;

mod runs;

const NAMES: [&str; 2] = ["Mary", "Anne"];
const DICTIONARY: &str = "a and applause bark barking barks bird cat cheering cow dog doglike dogs door falling hey \
                          hisses laughs laughter loudly moo music person playing rain raining said shut sings slams \
                          soft wind";

/// Captions and what the published scripts and the corrected rules make of them; on the right of
/// `!`, the number of the deciding rule and the reason.
const GOLDEN: [(&str, &str, &str); 29] = [
    ("[door slams shut]", "door slams shut", "door slams shut"),
    ("(Rain falling)", "rain falling", "rain falling"),
    ("[cow moo]", "cow moo", "cow moo"),
    ("(a dog  barks)", "a dog barks", "a dog barks"),
    ("[MUSIC PLAYING]", "music playing", "music playing"),
    ("[music playing]", "music playing", "music playing"),
    ("(dog barks, cat hisses)", "dog barks, cat hisses", "dog barks, cat hisses"),
    ("(dog barks, cat hisses, bird sings)", "!not_in_dictionary", "dog barks, cat hisses, bird sings"),
    ("[applause, cheering]", "applause, cheering", "applause, cheering"),
    ("[dog's bark]", "dog's bark", "dog's bark"),
    ("[Mary laughs loudly]", "person laughs loudly", "person laughs loudly"),
    ("[Mary Anne laughs]", "person laughs", "person laughs"),
    ("[Mary Anne Mary laughs]", "person person laughs", "person laughs"),
    ("[Mary Mary Mary Mary laughs]", "!persons", "!persons"),
    ("[Mary, laughs]", "!not_in_dictionary", "person, laughs"),
    ("[he laughs]", "!pronoun", "!pronoun"),
    ("[it's raining]", "!pronoun", "!pronoun"),
    ("[dog-like bark]", "!punctuation", "!punctuation"),
    ("[door slams] [dog barks]", "!punctuation", "!inner_brackets"),
    ("(dog barks) (dog barks)", "!punctuation", "!inner_brackets"),
    ("\u{266a} soft music \u{266a}", "!charset", "!charset"),
    ("[2 dogs barking]", "!not_in_dictionary", "!not_in_dictionary"),
    ("[xylo zzz]", "!not_in_dictionary", "!not_in_dictionary"),
    ("[dog]", "!too_short", "!too_short"),
    ("[abc]", "!too_short", "!too_short"),
    ("[wind]", "!too_short", "!too_short"),
    ("[laughter and applause from the very large audience now]", "!too_long", "!too_long"),
    ("[laughs)", "!too_few_words", "!too_few_words"),
    ("[said \"hey\" loudly]", "!not_in_dictionary", "said \"hey\" loudly"),
];

fn rules(settings: Settings) -> CaptionRules {
    CaptionRules::new(settings, WordList::from_iter(NAMES), Some(WordList::from_iter(DICTIONARY.split_whitespace())))
}

fn reference() -> CaptionRules {
    rules(Settings { reference: true, ..Settings::new() })
}

fn told(rules: &CaptionRules, text: &str) -> String {
    match rules.apply(text) {
        Ok(clean) => clean,
        Err(Dropped { reason, .. }) => format!("!{}", reason.name()),
    }
}

/// One caption under the corrected rules.
fn check(text: &str, expected: &str) {
    assert_eq!(told(&rules(Settings::new()), text), expected, "{text}");
}

#[test]
fn golden_table_of_the_published_rules() {
    for (text, expected, _) in GOLDEN {
        assert_eq!(told(&reference(), text), expected, "{text}");
    }
}

#[test]
fn golden_table_of_the_corrected_rules() {
    for (text, _, expected) in GOLDEN {
        check(text, expected);
    }
}

#[test]
fn published_rules_keep_their_order_and_their_quirks() {
    for (text, expected) in [
        // First brackets anywhere, not the enclosing ones.
        ("cow [moo (cow) moo]", "!punctuation"),
        ("cow moo) [cow", "cow moo cow"),
        // Length before white space is collapsed, in bytes.
        ("[     ]", "!too_few_words"),
        ("[ dog ]", "!too_few_words"),
        ("[cow moo\u{a0}\u{a0}]", "cow moo"),
        ("[\u{201c}cow moo\u{201d}]", "!punctuation"),
        ("[cow moo $]", "!charset"),
        // An empty part is not a word.
        ("[cow moo ,]", "!not_in_dictionary"),
    ] {
        assert_eq!(told(&reference(), text), expected, "{text}");
    }
}

#[test]
fn f2_the_enclosing_pair_comes_off_and_groups_may_be_joined() {
    check("  [door slams shut]  ", "door slams shut");
    check("[ (door slams) shut ]", "!inner_brackets");
    check("door slams shut", "door slams shut");
    check("[door slams shut", "!inner_brackets");
    check("]", "!inner_brackets");
    check("[]", "!too_short");
    let join = rules(Settings { join_groups: true, ..Settings::new() });
    for (text, expected) in [
        ("[door slams] [dog barks]", "door slams, dog barks"),
        ("(dog barks) (dog barks)", "dog barks"),
        ("(dog barks), [cat hisses].", "dog barks, cat hisses"),
        ("[dog barks]{cow moo}", "dog barks, cow moo"),
        ("(dog barks) and (cow moo)", "!inner_brackets"),
        ("[dog (barks)]", "!inner_brackets"),
        ("[dog barks] []", "!inner_brackets"),
        ("[dog barks] [", "!inner_brackets"),
        ("[cow moo]", "cow moo"),
    ] {
        assert_eq!(told(&join, text), expected, "{text}");
    }
}

#[test]
fn f3_runs_of_persons_collapse() {
    check("[Mary Anne Mary laughs]", "person laughs");
    check("[Mary Anne said hey, Mary Anne laughs]", "!persons");
    check("[Mary Anne and Mary]", "person and person");
    check("[Mary Anne, Mary]", "person, person");
}

#[test]
fn f4_punctuation_comes_off_each_word() {
    check("[dog barks, cat hisses, bird sings]", "dog barks, cat hisses, bird sings");
    check("['dog barks', 'cow moo']", "'dog barks', 'cow moo'");
    check("[dog's bark, cat's hisses]", "!not_in_dictionary");
    check("[cow moo ,]", "cow moo ,");
    check("[cow ,]", "!too_few_words");
}

#[test]
fn f7_length_is_counted_in_characters_after_trimming() {
    check("[  cow   ]", "!too_short");
    check(&format!("[cow{}moo]", " ".repeat(60)), "cow moo");
    check("[\u{e9}\u{e9}\u{e9}\u{e9}]", "!too_short");
}

#[test]
fn f9_names_are_found_behind_punctuation_and_common_words_are_no_names() {
    check("[Mary, laughs]", "person, laughs");
    check("[\"Mary\" laughs]", "\"person\" laughs");
    check("[MARY laughs]", "!not_in_dictionary");
    let mut names = WordList::from_iter(["Mary", "Will"]);
    names.remove(&WordList::names_that_are_words());
    let rules = CaptionRules::new(Settings::new(), names, None);
    assert_eq!(told(&rules, "[Mary's dog barks]"), "person's dog barks");
    assert_eq!(told(&rules, "[Mary Mary's dog barks]"), "person's dog barks");
    assert_eq!(told(&rules, "[Will dog bark]"), "will dog bark");
}

#[test]
fn thresholds_and_lists_are_settings() {
    let wide = rules(Settings {
        min_chars: 3,
        max_chars: 100,
        min_words: 1,
        max_persons: 9,
        pronouns: vec![],
        ..Settings::new()
    });
    assert_eq!(told(&wide, "[dog]"), "dog");
    assert_eq!(told(&wide, "[Mary, Mary, Mary, Mary laughs]"), "person, person, person, person laughs");
    assert_eq!(told(&wide, "[he laughs]"), "!not_in_dictionary");
    let free = CaptionRules::new(Settings::new(), WordList::default(), None);
    assert_eq!(told(&free, "[Xylo zzz]"), "xylo zzz");
}

#[test]
fn explain_names_the_rule_that_decides() {
    let judge = Judge {
        rules: rules(Settings::new()),
        labels: Labels::default(),
        policy: Policy::None,
        thresholds: Thresholds { bert: None, llm: None },
    };
    let left_out = explain(&judge, None, "[He laughs]");
    assert_eq!((left_out.kept, left_out.rule, left_out.reason), (false, Some(7), Some("pronoun")));
    assert!(
        left_out.to_string().ends_with("left out by rule 7 of combine: the caption has a pronoun, as speech has\n"),
        "{left_out}"
    );
    let kept = explain(&judge, None, "[Mary laughs]");
    assert_eq!(kept.clean_text.as_deref(), Some("person laughs"));
    assert_eq!(kept.steps.iter().map(|step| step.rule).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let unlabelled = explain(&Judge { policy: Policy::Bert, ..judge }, None, "[Mary laughs]");
    assert_eq!((unlabelled.rule, unlabelled.reason), (Some(1), Some("no_label")));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&unlabelled.to_json()).unwrap()["kept"], false);
}

fn caption() -> impl Strategy<Value = String> {
    let words = "[\\[({]?((Mary|Anne|Mary's|dog|dog's|barks|Rain|cow,|and|he|\"hey\"|,|2|\u{e9}|\u{266a}|[)]|  )[ ,]?){0,9}[\\])}]?";
    prop_oneof![words, "[ -~]{0,60}", any::<String>()]
}

static WIDE: LazyLock<CaptionRules> =
    LazyLock::new(|| rules(Settings { min_chars: 0, max_chars: usize::MAX, ..Settings::new() }));
static JUDGES: LazyLock<[Judge; 2]> = LazyLock::new(|| {
    [rules(Settings::new()), reference()].map(|rules| Judge {
        rules,
        labels: Labels::default(),
        policy: Policy::None,
        thresholds: Thresholds { bert: None, llm: None },
    })
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn clean_captions_stay_as_they_are(text in caption()) {
        // The length may change when a name becomes `person`, so that rule may still object.
        if let Ok(clean) = WIDE.apply(&text) {
            prop_assert_eq!(WIDE.apply(&clean), Ok(clean.clone()));
        }
    }
}

proptest! {
    #[test]
    fn explain_and_apply_agree(text in caption(), compat in any::<bool>()) {
        let judge = &JUDGES[usize::from(compat)];
        match (judge.rules.apply(&text), explain(judge, None, &text)) {
            (Ok(clean), told) => prop_assert_eq!(Some(clean), told.clean_text),
            (Err(Dropped { rule, reason, .. }), told) => {
                prop_assert_eq!(Some(rule), told.rule);
                prop_assert_eq!(Some(reason.describe()), told.because);
            }
        }
    }
}
