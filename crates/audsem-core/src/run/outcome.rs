//! The outcome of a record: kept, dropped by a rule, or failed on a fault.

use crate::reason::Reason;

/// The outcome of one record: `Ok` keeps it, `Err` says which rule dropped it or which fault it failed on.
///
/// It is a `Result`, so that a function that judges a record hands a reason up with `?`. `D` is the
/// detail; a borrowed one (`&str`, `fmt::Arguments`) is written to the rejects file without a copy.
/// [`super::ShardOutput::file`] counts it and writes the line.
pub type Outcome<T, D = String> = std::result::Result<T, LeftOut<D>>;

/// Why a record is dropped or failed, with the value that decided.
///
/// It is made from a [`Reason`] alone, so every reason stays one that can be listed before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut<D = String> {
    kind: Kind,
    reason: &'static str,
    detail: D,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dropped,
    Failed,
}

impl<D> LeftOut<D> {
    /// Dropped by a rule.
    pub fn drop(reason: impl Reason, detail: D) -> Self {
        Self { kind: Kind::Dropped, reason: reason.name(), detail }
    }

    /// Failed because it is broken.
    pub fn fail(fault: impl Reason, detail: D) -> Self {
        Self { kind: Kind::Failed, reason: fault.name(), detail }
    }

    /// Whether the record is broken; otherwise a rule left it out.
    pub fn is_failure(&self) -> bool {
        self.kind == Kind::Failed
    }

    /// The stable name of the rule or fault.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The value that decided.
    pub fn detail(&self) -> &D {
        &self.detail
    }

    /// Replaces the detail.
    pub fn map_detail<E>(self, change: impl FnOnce(D) -> E) -> LeftOut<E> {
        LeftOut { kind: self.kind, reason: self.reason, detail: change(self.detail) }
    }

    /// Name of the outcome in `rejects-*.jsonl`.
    pub(super) fn outcome(&self) -> &'static str {
        match self.kind {
            Kind::Dropped => "dropped",
            Kind::Failed => "failed",
        }
    }
}

impl LeftOut {
    /// Borrows the detail.
    pub fn borrowed(&self) -> LeftOut<&str> {
        LeftOut { kind: self.kind, reason: self.reason, detail: &self.detail }
    }
}
