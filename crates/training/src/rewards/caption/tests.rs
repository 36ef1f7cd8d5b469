#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use super::*;
use crate::rewards::{AnswerForm, RewardConfig, RewardSet};

#[test]
fn captions_are_read_inside_their_tags() {
    let caption = "A dog barks at the closed door";
    let further = vec!["The dog is barking".to_owned()];
    let completion = format!("<think>A cat meows.</think><answer>{caption}</answer>");
    let item =
        |completion| RewardItem { answer: caption, further_references: &further, completion, ..RewardItem::default() };
    let value =
        |reward: &mut dyn Reward, completion| reward.score(&[item(completion)]).unwrap().remove(0).unwrap().unwrap();
    for is_tagged in [true, false] {
        let text = if is_tagged { completion.as_str() } else { caption };
        for reward in [&mut Bleu4 { is_tagged } as &mut dyn Reward, &mut RougeL { is_tagged }] {
            assert!((value(reward, text) - 1.0).abs() < 1e-12, "{}", reward.name());
            assert_eq!(value(reward, ""), 0.0);
        }
    }
    assert_eq!(value(&mut Bleu4 { is_tagged: true }, caption), 0.0, "no tags, no caption");
}

#[test]
fn an_item_without_a_reference_is_a_fault() {
    let item = RewardItem { completion: "a dog", ..RewardItem::default() };
    assert!(Bleu4 { is_tagged: false }.score(&[item]).unwrap()[0].is_err());
    assert!(CiderD::new(false, ReferenceCorpus::default()).score(&[item]).unwrap()[0].is_err());
}

/// A folder in the form of WordNet in which a hound is a dog.
fn tiny_wordnet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["noun", "verb", "adj", "adv"] {
        let (words, data) = match part {
            "noun" => {
                ("dog n 1 0 1 0 00000001\nhound n 1 0 1 0 00000001\n", "00000001 05 n 02 dog 0 hound 0 000 | pet\n")
            }
            _ => ("so r 1 0 1 0 00000002\n", "00000002 02 r 01 so 0 000 | thus\n"),
        };
        for (name, text) in
            [(format!("{part}.exc"), "geese goose\n"), (format!("index.{part}"), words), (format!("data.{part}"), data)]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
    }
    folder
}

#[test]
fn meteor_takes_synonyms_from_the_folder_of_the_file() {
    let folder = tiny_wordnet();
    let further = vec!["Rain falls.".to_owned()];
    let completion = "<think>A cat.</think><answer>a hound barked</answer>";
    let item = RewardItem { answer: "A dog barks", further_references: &further, completion, ..RewardItem::default() };
    let toml = format!("[meteor]\nwordnet = {:?}\nweight = 2.0\n", folder.path());
    let form = AnswerForm { is_tagged: true, ..AnswerForm::default() };
    let mut rewards = RewardSet::new(&RewardConfig::parse(&toml).unwrap(), form).unwrap();
    // One run of three words, by itself, by a synonym and by a stem.
    let expected = 1.0 - 0.5 / 27.0;
    let scored = rewards.score(&[item]).unwrap().remove(0);
    assert!((scored.values[0].unwrap() - expected).abs() < 1e-12, "{scored:?}");
    assert!((scored.total.unwrap() - 2.0 * expected).abs() < 1e-12, "{scored:?}");
    let silent = RewardItem { completion: "a dog barks", ..item };
    assert_eq!(rewards.score(&[silent]).unwrap()[0].total, Some(0.0), "no tags, no caption");
    let alone = RewardItem { completion, ..RewardItem::default() };
    assert_eq!(rewards.score(&[alone]).unwrap()[0].faults, [(0, "the item has no reference caption".to_owned())]);
}

#[test]
fn meteor_is_refused_without_wordnet() {
    assert!(RewardConfig::parse("[meteor]\n").unwrap_err().to_string().contains("missing field `wordnet`"));
    let absent = RewardConfig::parse("[meteor]\nwordnet = \"no/such/folder\"\n").unwrap();
    let error = RewardSet::new(&absent, AnswerForm::default()).err().unwrap().to_string();
    assert!(error.contains("`meteor` needs the files of WordNet") && error.contains("no/such/folder"), "{error}");
}
