//! Why a front end gives no features.

use audsem_core::terminal::counted;

/// Why a front end cannot be made, or gives no features of a sound.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontEndError {
    /// The configuration asks for something that does not exist.
    #[error("front end: `{field}` is {value}\nhint: supported: {supported}")]
    Config {
        /// The field of the configuration.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        supported: &'static str,
    },
    /// The sound has no samples.
    #[error("the sound is empty: 0 samples")]
    Empty,
    /// The sound is shorter than the first frame.
    #[error("the sound has {}, and a frame needs {needed}", counted(*samples, "samples"))]
    TooShort {
        /// Samples of the sound.
        samples: usize,
        /// The least number of samples that give a frame.
        needed: usize,
    },
    /// A sample is not a number or infinite.
    #[error("sample {index} is {value}, not a finite number")]
    NotFinite {
        /// Index of the first such sample.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The samples are so large that their features are beyond the range of f32.
    #[error("the features are beyond the range of 32-bit numbers: the largest sample is {peak:e}")]
    Overflow {
        /// Largest magnitude of a sample.
        peak: f32,
    },
}
