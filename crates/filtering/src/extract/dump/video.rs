//! One object of the dump, reduced to what the rules look at.

use std::borrow::Cow;

/// What a dump object says about one video. Which of its captions are listed one by one depends on the
/// reader; those that are not are counted in [`Track::plain`] and [`Track::incomplete`].
#[derive(Debug, Default, PartialEq)]
pub struct Video<'a> {
    /// `video.videoid`, if it is there and a string.
    pub id: Option<Cow<'a, str>>,
    /// `captions[]`; `None` if the object has no such key.
    pub tracks: Option<Vec<Track<'a>>>,
}

/// One caption track of a video.
#[derive(Debug, Default, PartialEq)]
pub struct Track<'a> {
    /// `lang`, if it is there and a string.
    pub lang: Option<Cow<'a, str>>,
    /// Whether `subtitles.transcript.text` is there, as a list or as one object.
    pub has_transcript: bool,
    /// Captions that may stand in brackets, and those of an unexpected shape.
    pub cues: Vec<DumpCue<'a>>,
    /// Complete captions whose text does not begin with a bracket, not listed.
    pub plain: u64,
    /// Captions that lack `t`, `-start` or `-dur`, not listed.
    pub incomplete: u64,
}

/// One caption.
#[derive(Debug, PartialEq)]
pub struct DumpCue<'a> {
    /// `t`, as it stands.
    pub text: Cow<'a, str>,
    /// `-start`, as it stands: decimal seconds.
    pub start: Cow<'a, str>,
    /// `-dur`, as it stands: decimal seconds.
    pub dur: Cow<'a, str>,
    /// Whether a field had a type other than text (or, for the times, a number).
    pub malformed: bool,
}

impl Video<'_> {
    /// Copies the video out of the text that it borrows from.
    #[must_use]
    pub fn into_owned<'b>(self) -> Video<'b> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let cue = |cue: DumpCue<'_>| DumpCue {
            text: owned(cue.text),
            start: owned(cue.start),
            dur: owned(cue.dur),
            malformed: cue.malformed,
        };
        let track = |track: Track<'_>| Track {
            lang: track.lang.map(owned),
            cues: track.cues.into_iter().map(cue).collect(),
            has_transcript: track.has_transcript,
            plain: track.plain,
            incomplete: track.incomplete,
        };
        let tracks = self.tracks.map(|tracks| tracks.into_iter().map(track).collect());
        Video { id: self.id.map(owned), tracks }
    }
}
