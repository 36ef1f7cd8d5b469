//! What the template writer knows about kinds of sounds: which labels belong to a kind, and words for it.

use std::sync::LazyLock;

use foldhash::HashSet;

use super::super::words::stem;

/// A kind of sound source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The kind, as an option of a question.
    pub name: &'static str,
    /// Sounds of it that serve as wrong options, from short to long.
    pub examples: [&'static str; 4],
    /// Words of labels that belong to it, in lower case.
    words: &'static str,
    /// Whether people or animals make it.
    pub is_animate: bool,
    /// How it is produced.
    pub action: &'static str,
    /// What reflects or makes the sound.
    pub material: &'static str,
    /// Words for the sound itself.
    pub signal: &'static str,
    /// How it is heard.
    pub sensation: &'static str,
    /// What it feels like.
    pub impression: &'static str,
    /// Where it is likely heard.
    pub place: &'static str,
}

/// The kinds. Of two whose words a label holds, the earlier counts.
pub(super) static KINDS: [Kind; 10] = [
    Kind {
        name: "An alarm or a bell",
        examples: ["Bell", "Siren", "Alarm clock", "Ringing telephone"],
        words: "alarm siren bell beep bleep telephone ringtone buzzer horn honk chime whistle ding \
                doorbell",
        is_animate: false,
        action: "a signalling device is set off",
        material: "metal or an electronic loudspeaker",
        signal: "clear pitched tones",
        sensation: "piercing and prominent",
        impression: "urgent, calling for attention",
        place: "somewhere within reach of a signal",
    },
    Kind {
        name: "A piece of music",
        examples: ["Drum", "Piano", "Orchestra", "Acoustic guitar"],
        words: "music guitar piano drum violin song orchestra keyboard synthesizer trumpet flute \
                choir singing jazz techno harmonica accordion cello harp melody",
        is_animate: false,
        action: "instruments or voices are played together",
        material: "strings, skins or columns of instruments",
        signal: "tonal sound with melody and rhythm",
        sensation: "flowing and structured",
        impression: "expressive, setting a mood",
        place: "a room or a soundtrack with a musical performance",
    },
    Kind {
        name: "An animal nearby",
        examples: ["Cat", "Crow", "Rooster", "Barking dog"],
        words: "animal livestock fowl pets dog bark bow-wow yip howl growling whimper cat meow purr bird chirp tweet caw \
                crow pigeon owl duck quack goose chicken rooster cluck horse neigh cattle moo cow pig \
                oink sheep goat bleat frog croak insect cricket bee mosquito lion roar snake hiss \
                whale rodent mouse squawk",
        is_animate: true,
        action: "an animal gives voice",
        material: "the body and throat of a living creature",
        signal: "short calls with a changing pitch",
        sensation: "lively and irregular",
        impression: "alert and alive",
        place: "near an animal, at home or outdoors",
    },
    Kind {
        name: "A person's voice",
        examples: ["Sob", "Applause", "Baby cry", "Cheering crowd"],
        words: "speech voice speak speaks speaking talk talking conversation narration monologue man men \
                woman women child children kid baby laughter laugh laughs laughing giggle chuckle cry \
                crying cries sob sobbing scream screaming screams shout shouts shouting yell whisper \
                whispering cough coughs coughing sneeze breath breathing gasp sigh sighs groan crowd \
                chatter cheer cheering applause clapping babbling snoring humming hubbub",
        is_animate: true,
        action: "people use their voices or hands",
        material: "the human voice and body",
        signal: "sound with the rise and fall of a voice",
        sensation: "close and varied",
        impression: "human and engaging",
        place: "a place where people are",
    },
    Kind {
        name: "Weather or water",
        examples: ["Hail", "Thunder", "Waterfall", "Crashing waves"],
        words: "rain raindrop wind rustling thunder thunderstorm storm water stream waterfall ocean \
                waves wave splash drip pour trickle gurgling fire crackle hail liquid river sea",
        is_animate: false,
        action: "air, water or fire moves",
        material: "water, air and open ground",
        signal: "broad-band noise",
        sensation: "steady and washing over the listener",
        impression: "atmospheric",
        place: "outdoors or beside running water",
    },
    Kind {
        name: "A vehicle in motion",
        examples: ["Bus", "Train", "Helicopter", "Passing motorcycle"],
        words: "vehicle car truck bus motorcycle engine train railroad aircraft airplane helicopter boat \
                ship traffic tire tires skidding motor bicycle subway idling accelerating propeller jet",
        is_animate: false,
        action: "an engine runs and wheels or blades turn",
        material: "metal, rubber and a running motor",
        signal: "low rumble with a droning pitch",
        sensation: "heavy and continuous",
        impression: "busy, in motion",
        place: "a street or another route of traffic",
    },
    Kind {
        name: "A shot or a blast",
        examples: ["Boom", "Gunshot", "Fireworks", "Distant explosion"],
        words: "gunshot gunfire gun explosion explosions fireworks firecracker cannon artillery bomb \
                boom burst eruption blast",
        is_animate: false,
        action: "something explodes or is fired",
        material: "a charge whose blast the surroundings throw back",
        signal: "a sharp onset followed by a decaying boom",
        sensation: "sudden and very loud",
        impression: "startling",
        place: "a wide space that carries a blast",
    },
    Kind {
        name: "A tool or a machine",
        examples: ["Saw", "Drill", "Chainsaw", "Sewing machine"],
        words: "tool tools drill hammer hammering saw sawing chainsaw sander machine mechanical \
                mechanisms printer fan air conditioning vacuum blender mower lawnmower sewing camera \
                gears ratchet clock tick typing typewriter whir hum buzz",
        is_animate: false,
        action: "a mechanism turns or strikes",
        material: "metal and plastic parts that move",
        signal: "regular mechanical noise",
        sensation: "repetitive and even",
        impression: "purposeful and workmanlike",
        place: "a workshop or an equipped room",
    },
    Kind {
        name: "A person's footsteps",
        examples: ["Walk", "Shuffle", "Footsteps", "Footsteps on gravel"],
        words: "footsteps footstep walk walking run running shuffle steps stomping",
        is_animate: true,
        action: "feet strike the ground",
        material: "soles on a hard or soft floor",
        signal: "a row of short dull impacts",
        sensation: "regular and approaching or receding",
        impression: "expectant",
        place: "a floor or a path",
    },
    Kind {
        name: "A household object",
        examples: ["Tap", "Knock", "Creaking door", "Breaking glass"],
        words: "door doors slam slams knock knocking tap creak creaks creaking squeak drawer cupboard \
                dishes pots pans cutlery glass shatter keys jangling coin zipper scissors paper thump \
                thud bang clatter crash smash breaking chop frying microwave toilet sink bathtub \
                toothbrush bouncing scrape scratch click clicking clang thunk wood",
        is_animate: false,
        action: "an object is moved, struck or closed",
        material: "wood, metal or glass",
        signal: "short impacts with a brief decay",
        sensation: "abrupt and close",
        impression: "everyday and familiar",
        place: "a room in a house",
    },
];

/// Labels that name surroundings or recordings instead of a source.
const NO_SOURCES: [&str; 12] = [
    "inside,",
    "outside,",
    "silence",
    "sound effect",
    "noise",
    "environmental noise",
    "static",
    "white noise",
    "echo",
    "reverberation",
    "background",
    "field recording",
];

/// Classes of AudioSet that hold others of its classes, in lower case: "animal" says less than "dog".
const GENERAL: [&str; 12] = [
    "animal",
    "domestic animals, pets",
    "livestock, farm animals, working animals",
    "wild animals",
    "fowl",
    "vehicle",
    "motor vehicle (road)",
    "musical instrument",
    "plucked string instrument",
    "domestic sounds, home sounds",
    "mechanisms",
    "tools",
];

/// The words of a text in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '\'');
    split.map(str::to_lowercase).filter(|word| !word.is_empty()).collect()
}

/// The kinds a text speaks of, whatever the endings of its words.
pub(super) fn kinds_in(text: &str) -> Vec<usize> {
    static STEMS: LazyLock<Vec<HashSet<String>>> =
        LazyLock::new(|| KINDS.iter().map(|kind| kind.words.split(' ').map(stem).collect()).collect());
    let words: Vec<String> = words(text).iter().map(|word| stem(word)).collect();
    (0..KINDS.len()).filter(|&i| words.iter().any(|word| STEMS[i].contains(word))).collect()
}

/// Whether a label names a source of sound.
pub(super) fn is_source(label: &str) -> bool {
    let label = label.to_lowercase();
    !NO_SOURCES.iter().any(|other| label == *other || (other.ends_with(',') && label.starts_with(other)))
}

/// Whether a label names a group of sources, which says less than any label of a source.
pub(super) fn is_general(label: &str) -> bool {
    GENERAL.contains(&label.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_kinds() {
        let check = |label: &str, expected: Option<&str>| {
            assert_eq!(kinds_in(label).first().map(|&i| KINDS[i].name), expected, "{label}");
        };
        check("Dog", Some("An animal nearby"));
        check("Child speech, kid speaking", Some("A person's voice"));
        check("Fire engine, fire truck (siren)", Some("An alarm or a bell"));
        check("[door slams]", Some("A household object"));
        check("Bow-wow", Some("An animal nearby"));
        check("DOGS BARKING", Some("An animal nearby"));
        check("people are laughing", Some("A person's voice"));
        check("Cargo", None);
        assert!(is_source("Dog") && !is_source("Inside, small room") && !is_source("Silence"));
    }

    #[test]
    fn wrong_options_are_of_the_kind_they_are_filed_under() {
        for (i, kind) in KINDS.iter().enumerate() {
            for sound in kind.examples {
                assert!(kinds_in(sound).contains(&i), "{sound}: {:?}", kinds_in(sound));
            }
        }
    }
}
