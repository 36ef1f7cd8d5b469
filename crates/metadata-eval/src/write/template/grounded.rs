//! Questions on order, number and length of sounds, whose answers follow from the labels of the seconds.

use super::super::timeline::{Claim, ClaimKind, TimedSound, Timeline, number_word};
use super::caption::capital;
use super::questions::{Draft, options, wrong_sounds};
use super::sounds::Sounds;

/// The largest number that a question asks for: beyond it nobody counts by ear, and options would have two digits.
const MAX_VALUE: u32 = 6;

/// Up to three questions; fewer if the timeline says too little.
pub(super) fn drafts(timeline: &Timeline, sounds: &Sounds, has_options: bool, seed: u64) -> Vec<Draft> {
    let order = order(timeline, sounds, has_options, seed);
    let counted = timeline.sounds.iter().find(|sound| (2..=5).contains(&sound.stretches.len()));
    let count = counted.and_then(|sound| count(sound, has_options));
    let timed = timeline.sounds.iter().find(|sound| (2..=MAX_VALUE).contains(&sound.seconds()));
    let duration = timed.and_then(|sound| duration(sound, has_options));
    [order, count, duration].into_iter().flatten().collect()
}

fn order(timeline: &Timeline, sounds: &Sounds, has_options: bool, seed: u64) -> Option<Draft> {
    let [first, second, ..] = timeline.sounds.as_slice() else { return None };
    let claim = Claim { kind: ClaimKind::Order, sounds: vec![first.name.clone(), second.name.clone()], value: None };
    timeline.check(&claim).ok()?;
    let reason = format!("At the very beginning it is {} that I hear, and {} comes later.", first.name, second.name);
    if !has_options {
        return Some(Draft {
            question: format!("Which begins first, {} or {}?", first.name, second.name),
            reason,
            options: None,
            answer: format!("First comes {}, and {} follows.", first.name, second.name),
            claim: Some(claim),
        });
    }
    let answer = capital(&first.name);
    let mut wrong = vec![capital(&second.name)];
    wrong.extend(wrong_sounds(sounds, &answer, seed));
    let options = Some(options(&answer, &wrong)?);
    Some(Draft { question: "Which sound begins first?".to_owned(), reason, options, answer, claim: Some(claim) })
}

fn count(sound: &TimedSound, has_options: bool) -> Option<Draft> {
    let n = u32::try_from(sound.stretches.len()).ok()?;
    let word = number_word(n)?;
    let claim = Claim { kind: ClaimKind::Count, sounds: vec![sound.name.clone()], value: Some(n) };
    let reason = format!("I count along: after each pause it comes back, {word} times in all.");
    let question = format!("How many separate times is this heard: {}?", sound.name);
    let sentence = format!("It is heard {word} times, with pauses between.");
    numbered((question, reason, claim), n, has_options.then_some("times"), sentence)
}

fn duration(sound: &TimedSound, has_options: bool) -> Option<Draft> {
    let n = sound.seconds();
    let word = number_word(n)?;
    let claim = Claim { kind: ClaimKind::Duration, sounds: vec![sound.name.clone()], value: Some(n) };
    let reason = format!("Counting along slowly, it is there for about {word} seconds when I add up all of it.");
    let question = format!("For how long in all is this heard: {}?", sound.name);
    let sentence = format!("It is heard for about {word} seconds in all.");
    numbered((question, reason, claim), n, has_options.then_some("seconds"), sentence)
}

/// A question whose answer is a number. Options of one form differ in the number alone; with four in a row, of which the
/// right one may be any, its place among them tells nothing.
fn numbered(
    (question, reason, claim): (String, String, Claim),
    n: u32,
    unit: Option<&str>,
    sentence: String,
) -> Option<Draft> {
    let Some(unit) = unit else {
        return Some(Draft { question, reason, options: None, answer: sentence, claim: Some(claim) });
    };
    // In digits, so that no number is longer than another.
    let option = |n: u32| format!("{n} {unit}");
    let answer = option(n);
    // Numbers from two on, so that the unit is always in the plural; a name's length decides where the row begins.
    let lowest = 2.max(n.saturating_sub(question.len() as u32 % 4));
    let wrong: Vec<String> = (lowest..lowest + 4).filter(|other| *other != n).map(option).collect();
    let options = Some(options(&answer, &wrong)?);
    Some(Draft { question, reason, options, answer, claim: Some(claim) })
}
