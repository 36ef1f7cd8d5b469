//! Rows of clips from the rows of all tables that have them.

use audsem_core::clip_id::ClipId;
use audsem_core::tables::{Columns as _, ParquetFile, Row, TableError};

use super::features::{Extractor, FeatureFile};
use super::index::{FoundClip, RowPlace};
use crate::tables::{AudioFeatures, ClipMetadata, ImageFeatures, SecondFeatures, VideoFeatures};

/// The joined clips of one row group.
pub(super) struct Joined {
    pub rows: Vec<ClipMetadata>,
    /// Rows of a table that an earlier row of the same table repeats.
    pub repeated: u64,
}

/// A row type whose values go into the row of a clip.
trait Features: Row {
    /// Adds the values that the clip does not have yet.
    fn add_to(self, clip: &mut ClipMetadata);
}

/// The rows of some clips. Each row group that has one of them is read once.
pub(super) fn rows(clips: &[FoundClip<'_>], files: &[FeatureFile]) -> Result<Joined, TableError> {
    let mut rows: Vec<ClipMetadata> = clips.iter().map(|clip| new_row(&clip.key)).collect();
    let mut wanted: Vec<(RowPlace, usize)> = Vec::new();
    let mut repeated = 0;
    for (number, clip) in clips.iter().enumerate() {
        wanted.extend(clip.places.iter().map(|(_, place)| (*place, number)));
        repeated += clip.places.windows(2).filter(|two| two[0].1.file == two[1].1.file).count() as u64;
    }
    wanted.sort_unstable();
    for of_group in wanted.chunk_by(|a, b| (a.0.file, a.0.group) == (b.0.file, b.0.group)) {
        let file = &files[of_group[0].0.file as usize];
        match file.extractor {
            Extractor::Audio => add::<AudioFeatures>(file, of_group, &mut rows),
            Extractor::Sat => add::<SecondFeatures>(file, of_group, &mut rows),
            Extractor::Image => add::<ImageFeatures>(file, of_group, &mut rows),
            Extractor::Video => add::<VideoFeatures>(file, of_group, &mut rows),
        }?;
    }
    for row in &mut rows {
        let span = row.start_ms.zip(row.end_ms).map(|(start, end)| end - start);
        row.duration_ms = row.duration_ms.or(span);
    }
    Ok(Joined { rows, repeated })
}

/// Adds the wanted rows of one row group to their clips.
fn add<R: Features>(
    file: &FeatureFile,
    wanted: &[(RowPlace, usize)],
    clips: &mut [ClipMetadata],
) -> Result<(), TableError> {
    let Some((first, _)) = wanted.first() else { return Ok(()) };
    let columns = ParquetFile::<R>::open(&file.path)?.group(first.group as usize)?;
    for (place, clip) in wanted {
        R::from_row(columns.get(place.row as usize)).add_to(&mut clips[*clip]);
    }
    Ok(())
}

/// Sets a value unless there is one.
fn fill<T>(value: &mut Option<T>, other: Option<T>) {
    if value.is_none() {
        *value = other;
    }
}

impl Features for AudioFeatures {
    fn add_to(self, clip: &mut ClipMetadata) {
        clip.has_audio = true;
        if clip.ast_label.is_none() {
            (clip.ast_head, clip.ast_label, clip.ast_tags) = (self.ast_head, self.ast_label, self.ast_tags);
        }
        fill(&mut clip.text, self.text);
        fill(&mut clip.duration_ms, self.duration_ms);
        fill(&mut clip.audio_caption, self.audio_caption);
        fill(&mut clip.beats_tags, self.beats_tags);
        fill(&mut clip.ced_tags, self.ced_tags);
        fill(&mut clip.yamnet_tags, self.yamnet_tags);
        fill(&mut clip.conette_caption, self.conette_caption);
        fill(&mut clip.music_captions, self.music_captions);
        fill(&mut clip.speech, self.speech);
        clip.failures.extend(self.failures);
    }
}

impl Features for SecondFeatures {
    fn add_to(self, clip: &mut ClipMetadata) {
        clip.has_sat = true;
        fill(&mut clip.seconds, Some(self.seconds));
    }
}

impl Features for ImageFeatures {
    fn add_to(self, clip: &mut ClipMetadata) {
        clip.has_image = true;
        fill(&mut clip.descriptions, self.descriptions);
        fill(&mut clip.objects, self.objects);
        fill(&mut clip.places, self.places);
        fill(&mut clip.image_labels, self.image_labels);
        clip.failures.extend(self.failures);
    }
}

impl Features for VideoFeatures {
    fn add_to(self, clip: &mut ClipMetadata) {
        clip.has_video = true;
        fill(&mut clip.scene, Some(self.caption));
    }
}

/// The row of a clip without features.
pub(crate) fn new_row(key: &str) -> ClipMetadata {
    let clip = key.parse::<ClipId>().ok();
    ClipMetadata {
        key: key.to_owned(),
        video_id: clip.as_ref().map(|clip| clip.video_id().to_owned()),
        start_ms: clip.as_ref().map(ClipId::start_ms),
        end_ms: clip.as_ref().map(ClipId::end_ms),
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
        ast_label: None,
        ast_tags: None,
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
