//! Captions, reasoning and semantic elements by rules.

use super::sounds::Sounds;

/// The caption: the sentence there is, or the main sound, and what else is heard.
pub(super) fn caption(sounds: &Sounds) -> String {
    let start = match &sounds.sentence {
        Some(sentence) => sentence.trim_end_matches('.').to_owned(),
        None => format!("{} is heard", capital(&sounds.main)),
    };
    match sounds.others.as_slice() {
        [] => format!("{start}."),
        others => format!("{start}, along with the sound of {}.", others.join(" and ")),
    }
}

/// What the reasoning about a caption ends with.
pub(super) fn conclusion(sounds: &Sounds) -> String {
    let caption = caption(sounds);
    let mut chars = caption.trim_end_matches('.').chars();
    let first: String = chars.next().map(|c| c.to_lowercase().collect()).unwrap_or_default();
    format!("So I would sum it up like this: {first}{}.", chars.as_str())
}

/// At least fifty words of reasoning that ends with `conclusion`.
pub(super) fn thinking(sounds: &Sounds, conclusion: &str) -> String {
    let mut text = format!(
        "Let me listen closely. What stands out first is this: {}. It is in the foreground, and hmm, nothing else comes \
         close to it at first.",
        sounds.main
    );
    if let Some(kind) = sounds.kind {
        text.push_str(&format!(" The sound itself has {}, which fits well: {}.", kind.signal, kind.action));
    }
    match sounds.others.as_slice() {
        [] => text.push_str(
            " I listen for anything in the background, but I cannot make out another source with confidence.",
        ),
        others => text.push_str(&format!(" Wait, there is more in the background: {}.", others.join(", and also "))),
    }
    if let [first, second, ..] = sounds.order.as_slice() {
        text.push_str(&format!(" It begins with {first}, and only then does {second} come in."));
    }
    if sounds.speech.is_some_and(|share| share >= 0.5) {
        text.push_str(" Somebody talks for much of the time.");
    }
    text.push_str(" I am fairly sure about the main sound, while its exact surroundings remain a guess. ");
    text + conclusion
}

/// The elements of the nine categories, in the order that captions and questions share.
pub(super) fn elements(sounds: &Sounds) -> [Vec<String>; 9] {
    let kind = sounds.kind;
    let (animate, inanimate) = match kind {
        Some(kind) if kind.is_animate => (format!("{}: the main source of the sound", sounds.main), None),
        _ => ("no certain living source: no voice or call dominates".to_owned(), Some(&sounds.main)),
    };
    let inanimate = inanimate.map_or_else(
        || "no certain object: the main source is alive".to_owned(),
        |main| format!("{main}: the main source of the sound"),
    );
    let time = match sounds.order.as_slice() {
        [first, second, ..] => vec![format!("order of events: {first} comes before {second}")],
        _ => Vec::new(),
    };
    let one = |text: Option<&str>, why: &str, otherwise: &str| match text {
        Some(text) => vec![format!("{text}: {why}")],
        None => vec![otherwise.to_owned()],
    };
    let of = |field: fn(&super::lexicon::Kind) -> &'static str| kind.map(field);
    [
        vec![animate],
        vec![inanimate],
        one(
            of(|kind| kind.action),
            "how such a sound comes about",
            "an unclear mechanism: its cause is not told by the sound alone",
        ),
        time,
        one(of(|kind| kind.place), "where this is likely heard", "unclear surroundings: little of the space is heard"),
        one(
            of(|kind| kind.material),
            "what gives the sound its character",
            "unclear material: the sound does not tell",
        ),
        one(of(|kind| kind.signal), "the shape of the sound itself", "mixed sound: no single pattern dominates"),
        one(of(|kind| kind.sensation), "how it strikes the ear", "moderate: neither very loud nor very soft"),
        one(of(|kind| kind.impression), "the feeling it leaves", "neutral impression: no strong mood arises"),
    ]
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    first + chars.as_str()
}
