#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;

/// Numbers of sacrebleu and of the COCO caption tools (`fixtures/regen/caption_rewards.py`).
const GOLDENS: &str = include_str!("../../../../../fixtures/goldens/caption_rewards.json");

fn texts(value: &Value) -> Vec<Vec<String>> {
    value.as_array().unwrap().iter().map(|text| words(text.as_str().unwrap())).collect()
}

#[test]
fn scores_are_those_of_the_tools() {
    let goldens: Value = serde_json::from_str(GOLDENS).unwrap();
    let items = goldens["items"].as_array().unwrap();
    let mut corpus = ReferenceCorpus::default();
    items.iter().for_each(|item| corpus.add(&texts(&item["references"])));
    assert!(items.len() >= 8);
    for item in items {
        let (given, references) = (words(item["given"].as_str().unwrap()), texts(&item["references"]));
        for (name, ours) in [
            ("bleu_4", bleu_4(&given, &references)),
            ("rouge_l", rouge_l(&given, &references)),
            ("cider_d", corpus.cider_d(&given, &references)),
        ] {
            let expected = item[name].as_f64().unwrap();
            assert!((ours - expected).abs() <= 1e-9 * expected.max(1.0), "{item}: {name} {ours}");
        }
    }
}

#[test]
fn words_are_runs_of_letters() {
    assert_eq!(words("A dog's bark, 'twice'—é 3x!"), ["a", "dog's", "bark", "twice", "é", "3x"]);
    assert!(words(" .,'' ").is_empty());
}

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
