//! The formats of records about clips and of training samples, defined once: who writes them, who checks them and
//! `docs/formats.md` all read the definitions of this module.
//!
//! ```
//! use audsem_core::records::{Layout, Task, Violation};
//!
//! let sample = serde_json::json!({
//!     "question": "What barks?\nChoices:\nA. A dog\nB. A door", "thinking": "It is alive.", "answer": "C. A cat",
//!     "choices": { "A": "A dog", "B": "A door" },
//! });
//! let format = Task::McQa.sample(Layout::Repeat);
//! let fault = format.check(sample.as_object().unwrap(), false).unwrap_err();
//! assert_eq!(fault.violation, Violation::AnswerNotAmongChoices);
//! ```

mod choices;
mod format;
mod formats;
mod task;

pub use choices::{Choice, Choices, Question, plain};
pub use format::{Field, FieldKind, Need, RecordFault, RecordFormat, Rule, Violation, clean, text_of, type_name};
pub use formats::{
    CAPTION_RECORD, CAPTION_SAMPLE, MC_QA_RECORD, MC_QA_SAMPLE, MC_QA_SAMPLES_TOGETHER, QA_RECORD, QA_SAMPLE,
    QA_SAMPLES_TOGETHER,
};
pub use task::{Layout, Task};
