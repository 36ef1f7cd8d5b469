//! Words that training text must not contain: names of data fields, scores, times, what only eyes can know, and what
//! models say when they refuse or repeat their instructions.

use std::sync::LazyLock;

use regex::Regex;

/// What is wrong with a wording. Checks of new answers and `lint` share these rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wording {
    /// Names a field of the data, or says that there is data.
    FieldName,
    /// States a probability or a score.
    LeakedScore,
    /// Describes what cannot be heard.
    VisualOnly,
    /// Cites a time.
    Timestamp,
    /// Refuses, or speaks as an assistant.
    Refusal,
    /// Repeats the instructions.
    PromptEcho,
}

/// A rule: what it finds, its name in reports, its pattern.
struct Rule {
    wording: Wording,
    name: &'static str,
    pattern: Regex,
}

/// Patterns in lower case; a word boundary is required on both sides.
const PATTERNS: [(Wording, &str, &str); 6] = [
    (
        Wording::FieldName,
        "field_name",
        r"audio[ _]captions?|audio[ _]tags?|audio tagg\w+|closed[ _]captions?|sat[ _]predictions?|per-second predictions?|predictions? per second|second-by-second predictions?|conette\w*|music[ _]captions?|confidence (?:scores?|values?|levels?)|short[ _]caption|metadata|(?:visual|provided|given) (?:context|data|information|tags?|labels?|predictions?)|scene description|object detect\w+|model(?:'s)? (?:outputs?|predictions?)|video[ _]id|file[ _]name",
    ),
    (
        Wording::LeakedScore,
        "leaked_score",
        r"(?:0?\.\d{2,}|\d{1,3}(?:\.\d+)? ?(?:%|percent)(?: (?:confidence|probability|certain\w*))?|probabilit(?:y|ies) of|scores? of \d)",
    ),
    (
        Wording::VisualOnly,
        "visual_only",
        r"visible|visibly|visually|(?:can|could|may|might) be seen|(?:is|are) seen|(?:we|you|i) (?:can )?see|on[- ]?screen|(?:the|this) (?:video|image|picture|photo|footage|frame|camera)(?: shows?)?|(?:wearing|dressed in)|looks? like (?:a|an|the) (?:man|woman|person) in|subtitles?",
    ),
    (
        Wording::Timestamp,
        "timestamp",
        r"\d{1,2}:\d{2}|\d{1,3}(?:\.\d+)? ?(?:s|sec|secs|ms)|(?:at|from|between|around|after|until|by) (?:the )?\d+(?:\.\d+)?(?:st|nd|rd|th)? ?(?:and|to|-)? ?(?:\d+(?:\.\d+)? )?seconds?(?: mark)?",
    ),
    (
        Wording::Refusal,
        "refusal",
        r"as an ai|as a language model|i(?:'m| am) (?:sorry|unable|not able)|i can(?:no|')t (?:help|assist|provide|determine|listen|hear|process|access)|i do not have access|i don't have access",
    ),
    (
        Wording::PromptEcho,
        "prompt_echo",
        r"json|training data|(?:the|my|these) instructions?|(?:under|fewer than|at least) (?:fifty|50) words|chain[- ]of[- ]thought|thought expressions?|closing reminder|audio model",
    ),
];

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rule = |(wording, name, pattern): (Wording, &'static str, &str)| {
        let pattern = Regex::new(&format!(r"(?:^|[^\w])(?:{pattern})(?:[^\w]|$)")).expect("a pattern of ours is valid");
        Rule { wording, name, pattern }
    };
    PATTERNS.into_iter().map(rule).collect()
});

impl Wording {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        RULES.iter().find(|rule| rule.wording == self).map_or("", |rule| rule.name)
    }

    /// What is wrong, as a clause for the writer that gets its text back.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::FieldName => "it names the data it was made from; write as a listener who has only the sound",
            Self::LeakedScore => "it states a score or percentage; write as a listener who has only the sound",
            Self::VisualOnly => "it describes what can only be seen",
            Self::Timestamp => "it cites a time; say first, then, towards the end",
            Self::Refusal => "it refuses or speaks as an assistant",
            Self::PromptEcho => "it repeats the instructions",
        }
    }
}

/// The first place of each kind in a text, in the order of the rules: what is wrong, and the words.
#[must_use]
pub fn faults_of(text: &str) -> Vec<(Wording, String)> {
    let text = text.to_lowercase().replace('’', "'");
    let found = RULES.iter().filter_map(|rule| {
        let found = rule.pattern.find(&text)?;
        Some((rule.wording, found.as_str().trim_matches(|c: char| !c.is_alphanumeric() && c != '%').to_owned()))
    });
    found.collect()
}

/// Number of words: what stands between blanks and holds a letter or digit.
#[must_use]
pub fn count_words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// A word in lower case without the endings of plurals and verbs: `barks`, `barking` and `bark` are one. It serves
/// comparison alone: what is left of a word need not be one.
#[must_use]
pub fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    let ending =
        ["ing", "es", "ed", "s"].iter().find(|ending| word.strip_suffix(**ending).is_some_and(|rest| rest.len() > 2));
    let mut stem =
        ending.and_then(|ending| word.strip_suffix(ending)).unwrap_or(&word).trim_end_matches('e').to_owned();
    if let Some(last) = stem.pop() {
        let is_doubled = stem.ends_with(last) && !"aeiou".contains(last);
        match last {
            _ if is_doubled => {}
            'y' => stem.push('i'),
            _ => stem.push(last),
        }
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_are_found_and_ordinary_words_are_not() {
        let check = |text: &str, expected: &[Wording]| {
            let found: Vec<Wording> = faults_of(text).into_iter().map(|(wording, _)| wording).collect();
            assert_eq!(found, expected, "{text}: {:?}", faults_of(text));
        };
        check("The audio caption mentions a dog.", &[Wording::FieldName]);
        check("According to the audio_tags, it barks", &[Wording::FieldName]);
        check("The metadata says rain.", &[Wording::FieldName]);
        check("A bark (0.93) is heard", &[Wording::LeakedScore]);
        check("Dog with 87% confidence", &[Wording::LeakedScore]);
        check("A dog is visible", &[Wording::VisualOnly]);
        check("A dog, as can be seen, barks", &[Wording::VisualOnly]);
        check("We see nothing", &[Wording::VisualOnly]);
        check("At 3 seconds it stops", &[Wording::Timestamp]);
        check("It stops (0:03)", &[Wording::Timestamp]);
        check("Between 2 and 4 seconds it rains", &[Wording::Timestamp]);
        check("The bark lasts 2.5s.", &[Wording::Timestamp]);
        check("I’m sorry, but I cannot listen", &[Wording::Refusal]);
        check("Here is the JSON", &[Wording::PromptEcho]);
        for fine in [
            "Objects clatter in several places, and a captain speaks.",
            "A camera shutter clicks; the engine sees no rest for two seconds.",
            "The man sounds confident. Two dogs, 3 barks, a model train.",
            "I cannot tell whether it is a dog.",
            "The 1980s synth pop plays",
        ] {
            check(fine, &[]);
        }
    }

    #[test]
    fn every_wording_has_a_name() {
        for (wording, name, _) in PATTERNS {
            assert_eq!(wording.name(), name);
        }
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for (one, other) in [
            ("barking", "barks"),
            ("engine", "engines"),
            ("cry", "cries"),
            ("running", "run"),
            ("hisses", "hissing"),
            ("Wave", "waves"),
            ("glass", "glasses"),
            ("slams", "slammed"),
            ("bus", "buses"),
        ] {
            assert_eq!(stem(one), stem(other), "{one} {other}");
        }
        assert_ne!(stem("cat"), stem("car"));
        assert_eq!((stem("e"), stem("")), (String::new(), String::new()));
    }

    #[test]
    fn dashes_are_no_words() {
        assert_eq!((count_words("a - b, it's 3 … dogs"), count_words("")), (5, 0));
    }
}
