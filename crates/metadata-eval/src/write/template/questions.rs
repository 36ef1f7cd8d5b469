//! Questions by rules.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::check::check_lengths;
use super::super::timeline::Claim;
use super::super::words::stem;
use super::caption::{capital, caption};
use super::lexicon::{KINDS, kinds_in, words};
use super::sounds::Sounds;

/// A question with its answer.
pub(super) struct Draft {
    pub question: String,
    /// What the reasoning ends with.
    pub reason: String,
    /// Four options, in the case of multiple choice.
    pub options: Option<[String; 4]>,
    pub answer: String,
    /// What decides the answer, if the question is about time.
    pub claim: Option<Claim>,
}

/// Two or three open questions; fewer if there is too little to ask about.
pub(super) fn open(sounds: &Sounds) -> Vec<Draft> {
    let mut drafts = vec![Draft {
        question: "What is going on in this recording, judging by its sound?".to_owned(),
        reason: "That already answers what is going on.".to_owned(),
        options: None,
        answer: caption(sounds),
        claim: None,
    }];
    if let [first, second, ..] = sounds.order.as_slice() {
        drafts.push(Draft {
            question: format!("In which order do {first} and {second} begin?"),
            reason: format!("Following the recording from its beginning, {first} is there first."),
            options: None,
            answer: format!("First comes {first}, and {second} follows."),
            claim: None,
        });
    }
    if let Some(kind) = sounds.kind {
        drafts.push(Draft {
            question: "How would you describe the character of the main sound?".to_owned(),
            reason: format!("Its character comes from {}.", kind.material),
            options: None,
            answer: format!("It has {} and comes across as {}.", kind.signal, kind.sensation),
            claim: None,
        });
    }
    if drafts.len() < 2 {
        let answer = match sounds.others.as_slice() {
            [] => format!("No other source stands out beside this: {}.", sounds.main),
            others => format!("Beside the main sound there is also {}.", others.join(" and ")),
        };
        drafts.push(Draft {
            question: "What else can be made out beside the main sound?".to_owned(),
            reason: "What remains beside it decides the answer.".to_owned(),
            options: None,
            answer,
            claim: None,
        });
    }
    drafts.truncate(3);
    drafts
}

/// Two or three questions with options; fewer if there is too little to ask about.
pub(super) fn with_options(sounds: &Sounds, seed: u64) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let main = capital(&sounds.main);
    if let Some(options) = options(&main, &wrong_sounds(sounds, &main, seed)) {
        drafts.push(Draft {
            question: "Which of these is heard in the recording?".to_owned(),
            reason: format!("Of all that could be meant, only this matches what I hear: {}.", sounds.main),
            options: Some(options),
            answer: main,
            claim: None,
        });
    }
    if let Some(kind) = sounds.kind {
        let others = (0..KINDS.len()).filter(|i| !sounds.mentioned.contains(i));
        let others: Vec<(&str, usize)> = others.map(|i| (KINDS[i].name, i)).collect();
        let wrong = balanced(others, kind.name, seed);
        if let Some(options) = options(kind.name, &wrong) {
            drafts.push(Draft {
                question: "What kind of source does the main sound come from?".to_owned(),
                reason: format!("The way the sound is made points to this: {}.", kind.action),
                options: Some(options),
                answer: kind.name.to_owned(),
                claim: None,
            });
        }
    }
    if let [first, second, ..] = sounds.order.as_slice() {
        let first = capital(first);
        let mut wrong = vec![capital(second)];
        wrong.extend(wrong_sounds(sounds, &first, seed.wrapping_add(1)));
        if let Some(options) = options(&first, &wrong) {
            drafts.push(Draft {
                question: "Which sound comes first?".to_owned(),
                reason: format!("Following the recording from its beginning, this is there first: {first}."),
                options: Some(options),
                answer: first,
                claim: None,
            });
        }
    }
    if drafts.len() < 2 {
        drafts.extend(quiet_question(sounds, seed));
    }
    drafts
}

/// A question on what is not heard, for clips of which little is known: three of its options are sounds that the clip has
/// no trace of, so the right one is what it has.
fn quiet_question(sounds: &Sounds, seed: u64) -> Option<Draft> {
    let answer = capital(&sounds.main);
    Some(Draft {
        question: "What would a listener name as the main sound here?".to_owned(),
        reason: format!("What a listener would name first is this: {}.", sounds.main),
        options: Some(options(&answer, &wrong_sounds(sounds, &answer, seed.wrapping_add(2)))?),
        answer,
        claim: None,
    })
}

/// Three common sounds of kinds that nothing about the clip speaks of; fewer if it speaks of nearly everything.
pub(super) fn wrong_sounds(sounds: &Sounds, right: &str, seed: u64) -> Vec<String> {
    let known: Vec<String> = words(&sounds.everything).iter().map(|word| stem(word)).collect();
    let is_foreign = |sound: &str| {
        let telling = words(sound).into_iter().filter(|word| word.len() > 2);
        !telling.into_iter().any(|word| known.contains(&stem(&word)))
            && !kinds_in(sound).iter().any(|kind| sounds.mentioned.contains(kind))
    };
    let examples = KINDS.iter().enumerate().flat_map(|(i, kind)| kind.examples.map(|sound| (sound, i)));
    balanced(examples.filter(|(sound, _)| is_foreign(sound)).collect(), right, seed)
}

/// Three candidates of different kinds and of a length near that of the right option. How many of them are shorter is
/// drawn, so that over many questions the right one is as often the longest as any other.
fn balanced(mut candidates: Vec<(&str, usize)>, right: &str, seed: u64) -> Vec<String> {
    candidates
        .sort_by_key(|(name, _)| (name.len().abs_diff(right.len()) / 6, xxh3_64_with_seed(name.as_bytes(), seed)));
    let n_shorter = (xxh3_64_with_seed(right.as_bytes(), seed) % 4) as usize;
    let mut chosen: Vec<(&str, usize)> = Vec::new();
    let mut take = |n: usize, fits: &dyn Fn(&str) -> bool| {
        for &(name, kind) in &candidates {
            if chosen.len() < n && fits(name) && chosen.iter().all(|(_, other)| *other != kind) {
                chosen.push((name, kind));
            }
        }
    };
    take(n_shorter, &|name| name.len() < right.len());
    take(3, &|name| name.len() >= right.len());
    // Where one side has too few, the other fills up.
    take(3, &|_| true);
    chosen.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The right option and three wrong ones, unless its length would tell; the order is dealt when the answer is written.
pub(super) fn options(right: &str, wrong: &[String]) -> Option<[String; 4]> {
    let [a, b, c, ..] = wrong else { return None };
    let options = [right.to_owned(), a.clone(), b.clone(), c.clone()];
    check_lengths(&options, 0).is_ok().then_some(options)
}
