#![allow(clippy::unwrap_used)]

use super::*;

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
