//! When sounds are heard, by the labels of each second, and statements that can be checked against it.

use audsem_core::terminal::counted;
use serde::{Deserialize, Serialize};

use super::metadata::{Evidence, RatedLabel};
use super::words::stem;

/// Minimum probability at which a sound is heard in a second.
const HEARD: f32 = 0.5;

/// Probability below which it is not. Between the two, nothing is certain.
const NOT_HEARD: f32 = 0.3;

/// A sound and when it is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedSound {
    /// The first name of its label, lower case.
    pub name: String,
    /// Stretches in which it is heard, in order: first second and the one after the last.
    pub stretches: Vec<(u32, u32)>,
}

impl TimedSound {
    /// For how many seconds it is heard in all.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        self.stretches.iter().map(|(start, end)| end - start).sum()
    }
}

/// The sounds of a clip of which every second says clearly whether they are heard, in order of their beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The sounds.
    pub sounds: Vec<TimedSound>,
}

/// What a question about time is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimKind {
    /// The first sound begins before the second.
    Order,
    /// The sound is heard so many separate times.
    Count,
    /// The sound is heard for so many seconds in all.
    Duration,
}

/// A statement about the time of sounds, which decides an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What it says.
    pub kind: ClaimKind,
    /// The sounds: two for the order, else one.
    pub sounds: Vec<String>,
    /// The number, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
}

impl Timeline {
    /// The timeline of a clip, from labels that last whole seconds.
    #[must_use]
    pub fn of(clip: &Evidence) -> Self {
        let mut names: Vec<String> = Vec::new();
        for tag in clip.seconds.iter().flat_map(|second| &second.tags).filter(|tag| tag.prob >= HEARD) {
            let name = name_of(&tag.label);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut sounds: Vec<TimedSound> = names.into_iter().filter_map(|name| heard(clip, name)).collect();
        sounds.sort_by_key(|sound| sound.stretches.first().map(|(start, _)| *start));
        Self { sounds }
    }

    fn find(&self, name: &str) -> Result<&TimedSound, String> {
        let wanted = name_of(name);
        let found = self.sounds.iter().find(|sound| sound.name == wanted);
        found.ok_or_else(|| format!("it is not certain when {name:?} is heard; ask about another sound"))
    }

    /// Whether a claim follows from the labels of the seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, claim: &Claim) -> Result<(), String> {
        let begin = |sound: &TimedSound| sound.stretches.first().map(|(start, _)| *start);
        match (claim.kind, claim.sounds.as_slice(), claim.value) {
            (ClaimKind::Order, [first, second], _) => {
                let (first, second) = (self.find(first)?, self.find(second)?);
                if begin(first) < begin(second) {
                    return Ok(());
                }
                Err(format!("{} does not begin before {}", first.name, second.name))
            }
            (ClaimKind::Count, [sound], Some(value)) => {
                let sound = self.find(sound)?;
                let n = sound.stretches.len();
                if n == value as usize {
                    Ok(())
                } else {
                    Err(format!("{} is heard {}", sound.name, counted(n, "separate times")))
                }
            }
            (ClaimKind::Duration, [sound], Some(value)) => {
                let sound = self.find(sound)?;
                let n = sound.seconds();
                if n == value { Ok(()) } else { Err(format!("{} is heard for {n} seconds in all", sound.name)) }
            }
            _ => {
                Err("a claim about order names two sounds, one about count or duration a sound and a value".to_owned())
            }
        }
    }

    /// Whether no other option answers the question too.
    ///
    /// # Errors
    /// Which does.
    pub fn check_others(&self, claim: &Claim, others: &[&str]) -> Result<(), String> {
        let also_right = |option: &str| match (claim.kind, claim.value) {
            (ClaimKind::Order, _) => self.is_no_later(option, claim),
            (_, Some(value)) => names_number(option, value),
            (_, None) => false,
        };
        match others.iter().find(|option| also_right(option)) {
            Some(option) => Err(format!("another option is right too: {option:?}")),
            None => Ok(()),
        }
    }

    /// Whether an option names a sound that begins no later than the first sound of a claim.
    fn is_no_later(&self, option: &str, claim: &Claim) -> bool {
        let begin = |sound: &TimedSound| sound.stretches.first().map(|(start, _)| *start);
        let Some(first) = claim.sounds.first().and_then(|name| self.find(name).ok()) else { return false };
        let earlier = self.sounds.iter().filter(|sound| sound.name != first.name && begin(sound) <= begin(first));
        earlier.into_iter().any(|sound| names_sound(option, &sound.name))
    }
}

impl Claim {
    /// Whether an answer says what the claim says: the number, or the sound that comes first.
    ///
    /// # Errors
    /// What it does not say.
    pub fn agrees_with(&self, answer: &str) -> Result<(), String> {
        match (self.kind, self.value, self.sounds.first()) {
            (ClaimKind::Order, _, Some(first)) if names_sound(answer, first) => Ok(()),
            (ClaimKind::Order, _, first) => {
                Err(format!("the answer does not name {}, which comes first", first.map_or("a sound", |name| name)))
            }
            (_, Some(value), _) if names_number(answer, value) => Ok(()),
            (_, value, _) => Err(format!("the answer does not say {}", value.unwrap_or_default())),
        }
    }
}

/// Whether a text names a sound: one of the words of its name, whatever the ending.
fn names_sound(text: &str, name: &str) -> bool {
    let stems = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2).map(stem).collect()
    };
    let said = stems(text);
    stems(&name_of(name)).iter().any(|word| said.contains(word))
}

/// The first name of a label, lower case: `Child speech, kid speaking` → `child speech`.
fn name_of(label: &str) -> String {
    label.split([',', '(']).next().unwrap_or(label).trim().to_lowercase()
}

/// When a sound is heard; `None` if a second leaves it open, or is shorter than a second and so counts for less.
fn heard(clip: &Evidence, name: String) -> Option<TimedSound> {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for (i, second) in (0u32..).zip(&clip.seconds) {
        let prob = second.tags.iter().filter(|tag: &&RatedLabel| name_of(&tag.label) == name).map(|tag| tag.prob);
        let prob = prob.fold(0.0, f32::max);
        let is_whole = second.end_ms - second.start_ms == 1000;
        if prob >= HEARD && is_whole {
            match stretches.last_mut() {
                Some((_, end)) if *end == i => *end = i + 1,
                _ => stretches.push((i, i + 1)),
            }
        } else if prob >= NOT_HEARD {
            return None;
        }
    }
    Some(TimedSound { name, stretches }).filter(|sound| !sound.stretches.is_empty())
}

/// A small number as a word, as texts write it.
#[must_use]
pub fn number_word(n: u32) -> Option<&'static str> {
    let words =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    words.get(n as usize).copied()
}

/// Whether a text gives a number, in digits or as a word (`once` and `twice` too).
#[must_use]
pub fn names_number(text: &str, n: u32) -> bool {
    let text = text.to_lowercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| {
        word.parse() == Ok(n)
            || number_word(n) == Some(word)
            || (n == 1 && word == "once")
            || (n == 2 && word == "twice")
            || (n == 3 && word == "thrice")
    })
}

#[cfg(test)]
mod tests {
    use super::super::metadata::TaggedSpan;
    use super::super::metadata::tests::{dog_and_door, tags};
    use super::*;

    fn claim(kind: ClaimKind, sounds: &[&str], value: Option<u32>) -> Claim {
        Claim { kind, sounds: sounds.iter().map(|sound| (*sound).to_owned()).collect(), value }
    }

    #[test]
    fn claims_follow_from_the_seconds_or_are_refused() {
        let timeline = Timeline::of(&dog_and_door("k"));
        let check = |claim: Claim, expected: Option<&str>| {
            let result = timeline.check(&claim);
            match expected {
                None => assert_eq!(result, Ok(()), "{claim:?}"),
                Some(part) => assert!(result.as_ref().is_err_and(|problem| problem.contains(part)), "{result:?}"),
            }
        };
        check(claim(ClaimKind::Order, &["Dog", "Slam"], None), None);
        check(claim(ClaimKind::Order, &["Slam", "Dog"], None), Some("slam does not begin before dog"));
        check(claim(ClaimKind::Count, &["dog"], Some(2)), None);
        check(claim(ClaimKind::Count, &["dog"], Some(3)), Some("heard 2 separate times"));
        check(claim(ClaimKind::Duration, &["dog"], Some(3)), None);
        check(claim(ClaimKind::Duration, &["slam"], Some(2)), Some("for 1 seconds"));
        check(claim(ClaimKind::Duration, &["cat"], Some(2)), Some("not certain when \"cat\""));
        check(claim(ClaimKind::Count, &["dog"], None), Some("a sound and a value"));
    }

    #[test]
    fn a_second_that_leaves_it_open_makes_a_sound_uncertain() {
        let mut clip = dog_and_door("k");
        clip.seconds[2].tags = tags(&[("Slam", 0.7), ("Dog", 0.4)]);
        let names: Vec<String> = Timeline::of(&clip).sounds.into_iter().map(|sound| sound.name).collect();
        assert_eq!(names, ["slam"]);
        clip.seconds.push(TaggedSpan { start_ms: 4000, end_ms: 4300, tags: tags(&[("Slam", 0.9)]) });
        assert!(Timeline::of(&clip).sounds.is_empty(), "a short last second counts for less than one");
    }

    #[test]
    fn numbers_are_found_in_digits_and_words() {
        assert!(names_number("It barks twice.", 2) && names_number("2 times", 2) && names_number("Two seconds", 2));
        assert!(!names_number("It barks 12 times", 2));
    }
}
