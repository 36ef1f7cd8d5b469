//! Errors of this crate.

use std::path::PathBuf;

use audsem_core::terminal::counted;

/// What can go wrong beside the records themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading, writing, the run folder or a flag.
    #[error(transparent)]
    Core(#[from] audsem_core::error::Error),
    /// An external program.
    #[error(transparent)]
    Media(#[from] audsem_media::program::MediaError),
    /// A table.
    #[error(transparent)]
    Table(#[from] audsem_core::tables::TableError),
    /// The clip table as CSV cannot be read.
    #[error("cannot read the clip table: {}: {problem}\nhint: {}", path.display(), crate::pack::TABLE_HINT)]
    ClipTable {
        /// The table.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// What was asked for is in no run folder.
    #[error("found in none of {}: `{key}`{}", counted(*n_folders, "run folders"), did_you_mean(meant))]
    KeyNotFound {
        /// The key as it was given.
        key: String,
        /// The number of run folders.
        n_folders: usize,
        /// Keys of these folders that are like it.
        meant: Vec<String>,
    },
    /// Two inputs would be one output.
    #[error(
        "two tars have the same name: {} and {}\nhint: process the folders separately, each with its own --output",
        first.display(), second.display()
    )]
    SameName {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The folder has no media.
    #[error("no video in this folder: {}\nhint: --input names the folder with the clips (mp4, webm, mkv, avi, mov, flv, wmv, m4v), or the output of `download`", path.display())]
    NoMedia {
        /// The folder.
        path: PathBuf,
    },
    /// ffmpeg cannot write what is asked for.
    #[error(
        "this ffmpeg cannot write H.264 with {codec} sound into MP4: {} ({version}): {detail}\n\
         hint: choose another --audio-codec (aac works everywhere), or name another program with --ffmpeg",
        ffmpeg.display()
    )]
    CannotEncode {
        /// The program.
        ffmpeg: PathBuf,
        /// Its version.
        version: String,
        /// The sound codec asked for.
        codec: &'static str,
        /// Its error output.
        detail: String,
    },
    /// A template cannot be used.
    #[error(
        "the template for {task} cannot be used: {problem}\nhint: it is given by --templates; omit the flag for the built-in one"
    )]
    Template {
        /// The task.
        task: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

fn did_you_mean(meant: &[String]) -> String {
    match meant {
        [] => {
            "\nhint: give the key of a clip, the id of a video, or a file name; or name further run folders".to_owned()
        }
        some => format!("\nhint: did you mean `{}`?", some.join("`, `")),
    }
}
