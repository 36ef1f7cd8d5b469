//! What is known about a clip, in the form that writers see it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::tables::{ClipMetadata, ScoredLabel, SoundTag};

/// Minimum score of an object or scene that a prompt mentions.
const MIN_SCORE: f32 = 0.5;

/// A label and its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatedLabel {
    /// The label, as the class list of the network has it.
    pub label: String,
    /// Its probability, 0 to 1.
    pub prob: f32,
}

/// Labels of one network, the most probable first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaggerOutput {
    /// Name of the network.
    pub tagger: String,
    /// Its labels.
    pub tags: Vec<RatedLabel>,
}

/// Labels of a stretch of a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaggedSpan {
    /// Start in the clip, milliseconds.
    pub start_ms: u32,
    /// End in the clip, milliseconds.
    pub end_ms: u32,
    /// Its labels, the most probable first.
    pub tags: Vec<RatedLabel>,
}

/// Everything a writer may use about one clip. Empty texts and lists count as absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The clip's tar key.
    pub key: String,
    /// Id of the video.
    pub video_id: Option<String>,
    /// Start in the video, milliseconds.
    pub start_ms: Option<u32>,
    /// End in the video, milliseconds.
    pub end_ms: Option<u32>,
    /// Length, milliseconds.
    pub duration_ms: Option<u32>,
    /// The closed caption.
    pub closed_caption: Option<String>,
    /// Description of the sound by an audio language model.
    pub audio_caption: Option<String>,
    /// AudioSet labels of the whole clip.
    pub taggers: Vec<TaggerOutput>,
    /// Labels by AST, whose class list may be another.
    pub ast: Vec<RatedLabel>,
    /// The most probable label by AST, where nothing else is known of it.
    pub ast_label: Option<String>,
    /// Short caption of the sound.
    pub short_caption: Option<String>,
    /// Descriptions of the music.
    pub music: Vec<String>,
    /// Share of the clip that is speech.
    pub speech: Option<f32>,
    /// Labels of each second.
    pub seconds: Vec<TaggedSpan>,
    /// Description of the scene.
    pub scene: Option<String>,
    /// Detected objects.
    pub objects: Vec<RatedLabel>,
    /// Scenes.
    pub places: Vec<RatedLabel>,
    /// Labels of the picture.
    #[serde(default)]
    pub image_labels: Vec<RatedLabel>,
    /// Short descriptions of the picture.
    #[serde(default)]
    pub descriptions: Vec<String>,
}

impl Evidence {
    /// The evidence in a row of `combine`.
    #[must_use]
    pub fn of(row: &ClipMetadata) -> Self {
        let taggers = [("BEATs", &row.beats_tags), ("CED", &row.ced_tags), ("YAMNet", &row.yamnet_tags)];
        let output = |(tagger, tags): (&str, &Option<Vec<SoundTag>>)| {
            let tags = sound_tags(tags.as_deref().unwrap_or_default());
            (!tags.is_empty()).then(|| TaggerOutput { tagger: tagger.to_owned(), tags })
        };
        let span = |second: &crate::tables::SecondTags| TaggedSpan {
            start_ms: second.start_ms,
            end_ms: second.end_ms,
            tags: sound_tags(&second.tags),
        };
        Self {
            key: row.key.clone(),
            video_id: row.video_id.clone(),
            start_ms: row.start_ms,
            end_ms: row.end_ms,
            duration_ms: row.duration_ms,
            closed_caption: text(&row.text).or_else(|| text(&row.clean_text)),
            audio_caption: text(&row.audio_caption),
            taggers: taggers.into_iter().filter_map(output).collect(),
            ast: sound_tags(row.ast_tags.as_deref().unwrap_or_default()),
            ast_label: text(&row.ast_label),
            short_caption: text(&row.conette_caption),
            music: texts(row.music_captions.as_deref()),
            speech: row.speech,
            seconds: row.seconds.iter().flatten().map(span).collect(),
            scene: text(&row.scene),
            objects: scored(row.objects.as_deref()),
            places: scored(row.places.as_deref()),
            image_labels: scored(row.image_labels.as_deref()),
            descriptions: texts(row.descriptions.as_deref()),
        }
    }

    /// Whether anything says what the clip sounds like; pictures alone do not.
    #[must_use]
    pub fn names_a_sound(&self) -> bool {
        self.closed_caption.is_some()
            || self.audio_caption.is_some()
            || self.short_caption.is_some()
            || !self.taggers.is_empty()
            || !self.ast.is_empty()
            || self.ast_label.is_some()
            || self.seconds.iter().any(|second| !second.tags.is_empty())
    }

    /// The named slots of a prompt. What is absent is null; the music line is there only if the closed caption speaks
    /// of music, and AST's labels only with `with_ast`.
    #[must_use]
    pub fn slots(&self, with_ast: bool) -> Value {
        let speaks_of_music =
            self.closed_caption.as_ref().is_some_and(|caption| caption.to_lowercase().contains("music"));
        json!({
            "file_name": self.key,
            "video_id": self.video_id,
            "start": self.start_ms.map(seconds),
            "end": self.end_ms.map(seconds),
            "duration": self.duration_ms.map(seconds),
            "closed_caption": self.closed_caption,
            "audio_caption": self.audio_caption,
            "audio_tags": filled(lines(&self.taggers, |output| format!("{}: {}", output.tagger, listed(&output.tags)))),
            "ast_tags": with_ast.then(|| filled(listed(&self.ast)).or_else(|| self.ast_label.clone())).flatten(),
            "short_caption": self.short_caption,
            "sat_predictions": filled(lines(&self.seconds, |second| {
                format!("{}-{} s: {}", seconds(second.start_ms), seconds(second.end_ms), listed(&second.tags))
            })),
            "music_caption": filled(if speaks_of_music { self.music.join(" ") } else { String::new() }),
            "speech_share": self.speech.map(|share| format!("{:.0} %", share * 100.0)),
            "scene": self.scene,
            "objects": filled(listed(&self.objects)),
            "places": filled(listed(&self.places)),
            "image_labels": filled(listed(&self.image_labels)),
            "picture_captions": filled(self.descriptions.join("; ")),
        })
    }
}

/// Milliseconds as seconds without needless digits.
fn seconds(ms: u32) -> String {
    (f64::from(ms) / 1000.0).to_string()
}

fn text(value: &Option<String>) -> Option<String> {
    value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts that are not empty.
fn texts(values: Option<&[String]>) -> Vec<String> {
    values
        .unwrap_or_default()
        .iter()
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

fn sound_tags(tags: &[SoundTag]) -> Vec<RatedLabel> {
    tags.iter().map(|tag| RatedLabel { label: tag.label.clone(), prob: tag.prob }).collect()
}

/// The labels that a prompt may mention.
fn scored(labels: Option<&[ScoredLabel]>) -> Vec<RatedLabel> {
    let labels = labels.unwrap_or_default().iter().filter(|label| label.score > MIN_SCORE);
    labels.map(|label| RatedLabel { label: label.label.clone(), prob: label.score }).collect()
}

fn listed(tags: &[RatedLabel]) -> String {
    tags.iter().map(|tag| format!("{} {:.2}", tag.label, tag.prob)).collect::<Vec<_>>().join("; ")
}

fn lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let _ = write!(text, "{}- {}", if text.is_empty() { "" } else { "\n" }, line(item));
        text
    })
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The row of a clip about which nothing is known.
#[cfg(test)]
pub(crate) fn empty_row(key: &str) -> ClipMetadata {
    ClipMetadata {
        key: key.to_owned(),
        video_id: None,
        start_ms: None,
        end_ms: None,
        duration_ms: None,
        text: None,
        clean_text: None,
        has_audio: false,
        has_sat: false,
        has_image: false,
        has_video: false,
        audio_caption: None,
        beats_tags: None,
        ced_tags: None,
        yamnet_tags: None,
        ast_tags: None,
        ast_label: None,
        ast_head: None,
        conette_caption: None,
        music_captions: None,
        speech: None,
        seconds: None,
        descriptions: None,
        objects: None,
        places: None,
        image_labels: None,
        scene: None,
        similarity: None,
        failures: Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::write) fn tags(tags: &[(&str, f32)]) -> Vec<RatedLabel> {
        tags.iter().map(|(label, prob)| RatedLabel { label: (*label).to_owned(), prob: *prob }).collect()
    }

    /// A dog that barks for two seconds, then a door.
    pub(in crate::write) fn dog_and_door(key: &str) -> Evidence {
        let second = |i: u32, found: &[(&str, f32)]| TaggedSpan {
            start_ms: i * 1000,
            end_ms: (i + 1) * 1000,
            tags: tags(found),
        };
        Evidence {
            key: key.to_owned(),
            duration_ms: Some(4000),
            closed_caption: Some("[dog barks, door slams]".to_owned()),
            taggers: vec![TaggerOutput {
                tagger: "CED".to_owned(),
                tags: tags(&[("Dog", 0.91), ("Bark", 0.8), ("Slam", 0.55), ("Inside, small room", 0.4)]),
            }],
            seconds: vec![
                second(0, &[("Dog", 0.9)]),
                second(1, &[("Dog", 0.8)]),
                second(2, &[("Slam", 0.7)]),
                second(3, &[("Dog", 0.6)]),
            ],
            ..Evidence::default()
        }
    }

    #[test]
    fn slots_are_readable_and_what_is_absent_is_null() {
        let slots = dog_and_door("k").slots(true);
        assert_eq!(slots["audio_tags"], "- CED: Dog 0.91; Bark 0.80; Slam 0.55; Inside, small room 0.40");
        assert!(slots["sat_predictions"].as_str().is_some_and(|text| text.starts_with("- 0-1 s: Dog 0.90\n- 1-2 s:")));
        assert_eq!((&slots["ast_tags"], &slots["scene"], &slots["start"]), (&Value::Null, &Value::Null, &Value::Null));
    }

    #[test]
    fn music_is_described_only_where_the_caption_speaks_of_it_and_ast_only_on_request() {
        let mut clip = dog_and_door("k");
        clip.music = vec!["A slow piano.".to_owned()];
        clip.ast = tags(&[("dog", 0.7)]);
        assert_eq!((&clip.slots(false)["music_caption"], &clip.slots(false)["ast_tags"]), (&Value::Null, &Value::Null));
        clip.closed_caption = Some("[Music plays]".to_owned());
        assert_eq!(clip.slots(true)["music_caption"], "A slow piano.");
        assert_eq!(clip.slots(true)["ast_tags"], "dog 0.70");
    }

    #[test]
    fn objects_at_the_threshold_are_left_out() {
        let label = |label: &str, score| ScoredLabel { label: label.to_owned(), score };
        let kept = scored(Some(&[label("dog", 0.5), label("car", 0.51)]));
        assert_eq!(kept.iter().map(|tag| tag.label.as_str()).collect::<Vec<_>>(), ["car"]);
    }

    #[test]
    fn what_pictures_show_is_among_the_slots() {
        let label = |label: &str, score| ScoredLabel { label: label.to_owned(), score };
        let row = ClipMetadata {
            image_labels: Some(vec![label("sheepdog", 0.8), label("collie", 0.1)]),
            descriptions: Some(vec!["a dog on a lawn".to_owned(), " ".to_owned(), "a door".to_owned()]),
            ..empty_row("k")
        };
        let clip = Evidence::of(&row);
        assert!(!clip.names_a_sound());
        let slots = clip.slots(false);
        assert_eq!(slots["image_labels"], "sheepdog 0.80");
        assert_eq!(slots["picture_captions"], "a dog on a lawn; a door");
    }

    #[test]
    fn pictures_alone_name_no_sound() {
        let clip = Evidence { scene: Some("A dog.".into()), objects: tags(&[("dog", 0.9)]), ..Evidence::default() };
        assert!(!clip.names_a_sound() && dog_and_door("k").names_a_sound());
    }
}
