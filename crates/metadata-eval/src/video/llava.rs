//! LLaVA-Video as a network over clips.

use audsem_core::batch::BatchError;
use audsem_llm::{Prompt, PromptTemplate, Role};
use audsem_media::batch::{ClipError, ClipFrames, ClipIdentity, ClipNetwork, MediaFault};
use audsem_media::image::{ImageError, RgbImage};
use audsem_models::Error as NetworkError;
use audsem_models::multimodal::llava_video::{AskedVideo, VideoDescriber, VideoDescription, video_prompt};
use serde_json::json;

/// A description and the times of the frames that it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub frames_ms: Vec<u32>,
    pub text: String,
}

/// The model with what it is asked.
pub(super) struct VideoCaptions<'a> {
    pub describer: VideoDescriber,
    pub prompt: &'a PromptTemplate,
    pub max_tokens: usize,
}

/// A clip as the model reads it.
pub(super) struct Question {
    asked: AskedVideo,
    frames_ms: Vec<u32>,
}

fn unusable(what: impl Into<String>) -> ClipError {
    ClipError::new(MediaFault::Unusable, what)
}

impl ClipNetwork<ClipFrames> for VideoCaptions<'_> {
    type Features = Question;
    type Output = Description;

    fn features(&self, _: &ClipIdentity, clip: &ClipFrames) -> Result<Question, ClipError> {
        let timed = clip.times_ms().zip(clip.seconds);
        let (frames_ms, seconds) = timed.ok_or_else(|| unusable("a picture, or a single frame, has no length"))?;
        let prepared = clip.frames.iter().map(|frame| self.describer.prepare(&frame.picture));
        let frames =
            prepared.collect::<Result<Vec<RgbImage>, ImageError>>().map_err(|error| unusable(error.to_string()))?;
        let prompt = asked(self.prompt, seconds, &frames_ms).map_err(unusable)?;
        Ok(Question { asked: AskedVideo { frames, prompt }, frames_ms })
    }

    fn forward(&self, batch: &[&Question]) -> Result<Vec<Result<Description, ClipError>>, BatchError> {
        let videos: Vec<&AskedVideo> = batch.iter().map(|clip| &clip.asked).collect();
        let said = self.describer.describe(&videos, self.max_tokens).map_err(NetworkError::into_batch_error)?;
        let description = |(clip, said): (&&Question, VideoDescription)| match (said.is_complete, said.text.is_empty())
        {
            (false, _) => Err(unusable(format!("the description has no end within {} tokens", self.max_tokens))),
            (true, true) => Err(unusable("the description is empty")),
            (true, false) => Ok(Description { frames_ms: clip.frames_ms.clone(), text: said.text }),
        };
        Ok(batch.iter().zip(said).map(description).collect())
    }
}

/// The text in front of the frames and the text behind them.
pub(super) fn asked(template: &PromptTemplate, seconds: f64, frames_ms: &[u32]) -> Result<[String; 2], String> {
    let printed = |seconds: f64| format!("{seconds:.2}s");
    let times = frames_ms.iter().map(|ms| printed(f64::from(*ms) / 1000.0)).collect::<Vec<_>>().join(",");
    let slots = json!({ "duration": printed(seconds), "frames": frames_ms.len(), "times": times });
    let Prompt::Chat(turns) = template.render(&slots).map_err(|error| error.to_string())? else {
        return Err(
            "the prompt is not a chat\nhint: give it the sections `--- system ---` and `--- user ---`".to_owned()
        );
    };
    match turns.as_slice() {
        [system, user] if system.role == Role::System && user.role == Role::User => {
            Ok(video_prompt(&system.content.text(), &user.content.text()))
        }
        _ => Err("the prompt has other turns than `--- system ---` and `--- user ---`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_prompt_names_duration_frames_and_their_own_times() {
        let template = PromptTemplate::parse("built-in", crate::video::PROMPT).unwrap();
        let [before, after] = asked(&template, 3.2044, &[0, 457, 3_199]).unwrap();
        assert!(before.ends_with("<|im_start|>user\n") && after.starts_with('\n'));
        for part in ["3.20s long", "3 frames", "0.00s,0.46s,3.20s"] {
            assert!(after.contains(part), "{part}: {after}");
        }
        let template = PromptTemplate::parse("mine", "--- user ---\nWhat is it?").unwrap();
        assert!(asked(&template, 1.0, &[0]).unwrap_err().contains("other turns"));
    }
}
