#![allow(clippy::unwrap_used)]

use audsem_core::instructions::InstructionProfile;
use audsem_core::records::Choices;
use serde_json::json;

use super::*;

fn set(toml: &str, profile: &str) -> Result<RewardSet, RewardConfigError> {
    RewardSet::new(&RewardConfig::parse(toml)?, profile.parse::<InstructionProfile>().unwrap().into())
}

fn total(toml: &str, completion: &str) -> RewardBreakdown {
    let choices = Choices::from_value(&json!(["cat", "dog barking"])).unwrap();
    let item = RewardItem { choices: Some(&choices), answer: "B. dog barking", completion, ..RewardItem::default() };
    set(toml, "think").unwrap().score(&[item]).unwrap().remove(0)
}

const RIGHT: &str = "<think>a b c d</think>\n<answer>B. dog barking</answer>";
const WRONG: &str = "<think>a b c d</think>\n<answer>A. cat</answer>";

#[test]
fn the_total_is_the_weighted_sum() {
    let toml = "[accuracy]\nweight = 2.0\n[format]\nweight = 0.5\n";
    assert_eq!(total(toml, RIGHT).total, Some(2.0 + 0.25));
    assert_eq!(total(toml, WRONG).total, Some(0.25));
    assert_eq!(total(toml, WRONG).values, [Some(0.0), Some(0.5)]);
}

#[test]
fn length_counts_for_right_answers_alone_unless_it_is_told_otherwise() {
    let gated = "[accuracy]\n[length]\ntarget_words = 4\n";
    assert_eq!((total(gated, RIGHT).total, total(gated, WRONG).total), (Some(2.0), Some(0.0)));
    let free = "[accuracy]\n[length]\ntarget_words = 4\ngate = \"none\"\n";
    assert_eq!((total(free, RIGHT).total, total(free, WRONG).total), (Some(2.0), Some(1.0)));
}

#[test]
fn the_published_selection_has_its_maximum() {
    let all = "[accuracy]\nrule = \"reference-audio\"\n[format]\n[length]\ntarget_words = 4\ngate = \"none\"\nshape = \"reference-encourage\"\n";
    assert_eq!(total(all, RIGHT).total, Some(2.5));
}

#[test]
fn what_cannot_be_scored_is_left_out_of_the_sum_and_told() {
    let item = RewardItem { completion: RIGHT, ..RewardItem::default() };
    let scored = set("[accuracy]\n[format]\n", "think").unwrap().score(&[item]).unwrap().remove(0);
    assert_eq!((scored.total, &scored.values[..]), (Some(0.5), &[None, Some(0.5)][..]));
    assert_eq!(scored.faults, [(0, "the item has no right answer".to_owned())]);
    let scored = set("[accuracy]\n", "think").unwrap().score(&[item]).unwrap().remove(0);
    assert_eq!(scored.total, None, "nothing is no zero");
}

#[test]
fn the_instruction_decides_where_the_answer_stands_and_how_long_the_reasoning_is() {
    let bare = RewardItem { answer: "a door", completion: "A door.", ..RewardItem::default() };
    let value = |profile| set("[accuracy]\n", profile).unwrap().score(&[bare]).unwrap().remove(0).total;
    assert_eq!((value("none"), value("think")), (Some(1.0), Some(0.0)));
    let mut four = set("[length]\ngate = \"none\"\n", "think:4").unwrap();
    let item = RewardItem { completion: RIGHT, ..RewardItem::default() };
    assert_eq!(four.score(&[item]).unwrap()[0].total, Some(1.0));
    assert_eq!(set("[length]\ngate = \"none\"\n", "think").unwrap().score(&[item]).unwrap()[0].total, Some(0.0));
}

#[test]
fn contradictions_are_refused() {
    for (toml, profile, expected) in [
        ("", "think", "there is none"),
        ("[acuracy]\n", "think", "unknown field"),
        ("[accuracy]\nwieght = 1\n", "think", "unknown field"),
        ("[accuracy]\nrule = \"any\"\n", "think", "unknown variant"),
        ("[length]\n", "think", "`length` is multiplied by `accuracy`"),
        ("[format]\n", "none", "`format` is about tags"),
        ("[accuracy]\nweight = nan\n", "think", "the weight of `accuracy` is NaN"),
        ("[accuracy]\n[length]\nalpha = 0.0\n", "think", "alpha of `length`"),
        ("[[program]]\nname = \"a\"\ncommand = [\"x\"]\ntimeout_s = 0\n", "think", "timeout_s"),
        ("[accuracy]\n[[program]]\nname = \"accuracy\"\ncommand = [\"x\"]\n", "think", "two are called `accuracy`"),
        ("[[program]]\nname = \"a\"\ncommand = [\"x\"]\ngate = \"a\"\n", "think", "`a` is multiplied by `a`"),
    ] {
        let problem = set(toml, profile).err().unwrap().to_string();
        assert!(problem.contains(expected), "{toml}: {problem}");
    }
}
