//! Examples as a trainer takes them: in an order that depends on the seed alone, decoded, tokenised, in batches.
//!
//! ```text
//! Manifest ─► DataSet ─► EpochOrder ─► Preparer (decode, resample, tokenise; threads) ─► windows ─► MicroBatch
//! ```
//!
//! The order of an epoch, and what is a batch in it, are functions of the examples, the configuration and the seed; no
//! number of threads changes them. So the place in a training is a [`Cursor`], from which a [`Loader`] continues
//! exactly, whichever process asks. Supervised and reinforcement training share all of this: a [`Preparer`] makes whole
//! conversations for the one ([`Turns::Answered`]), and prompts for the other ([`Turns::Prompt`]).

mod batches;
mod loader;
mod order;
mod prepare;
mod processor;
mod reason;
mod set;
mod sound;
mod split;
mod target;

pub use batches::{BatchConfig, Cursor};
pub use loader::{Loader, LoaderConfig, MicroBatch};
pub use order::{Curriculum, EpochOrder};
pub use prepare::{
    ConversationTokens, Prepared, Preparer, PromptConfig, SoundConversation, TokenizeConversation, Turns,
};
pub use reason::{DataFault, LeftOutExample, check_left_out};
pub use set::{DataSet, DataSource};
pub use sound::{LongSound, SoundConfig};
pub use split::{check_disjoint, split_off};
pub use target::TargetStyle;
