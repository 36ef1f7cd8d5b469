//! The part of a run that a task of a Slurm job array takes: `sbatch --array=...` without `--shard`.
//!
//! Task numbers may start anywhere and have steps (`--array=1-19:2`). In an array with gaps (`--array=1,4,9`) a task cannot know how many
//! come before it; such a one is refused.

use std::fmt;
use std::str::FromStr as _;

use crate::error::{Error, Result};
use crate::run::ShardSelection;

const ID: &str = "SLURM_ARRAY_TASK_ID";
const COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const MIN: &str = "SLURM_ARRAY_TASK_MIN";
const MAX: &str = "SLURM_ARRAY_TASK_MAX";
const STEP: &str = "SLURM_ARRAY_TASK_STEP";

/// A task of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArrayTask {
    id: usize,
    /// What it works on.
    pub(super) selection: ShardSelection,
}

impl ArrayTask {
    /// The task that the environment names, as `variable` reads it; `None` outside of arrays.
    ///
    /// # Errors
    /// [`Error::Config`] when the variables make no sense, or do not tell how many tasks come before this one.
    pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &str| match variable(name) {
            None => Ok(None),
            Some(text) => usize::from_str(text.trim())
                .map(Some)
                .map_err(|_| refused(name, format!("expected a whole number, got {text:?}"))),
        };
        let Some(id) = number(ID)? else { return Ok(None) };
        let Some(count) = number(COUNT)? else {
            return Err(refused(ID, format!("it is set without {COUNT}, so the number of tasks is not known")));
        };
        let (first, step) = (number(MIN)?.unwrap_or(0), number(STEP)?.unwrap_or(1).max(1));
        let last = number(MAX)?;
        let length = count.checked_sub(1).and_then(|steps| steps.checked_mul(step));
        let has_gaps = last.is_some_and(|last| last.checked_sub(first) != length);
        let index = id.checked_sub(first).filter(|above| above % step == 0).map(|above| above / step);
        match index {
            Some(index) if index < count && !has_gaps => {
                Ok(Some(Self { id, selection: ShardSelection { index, count } }))
            }
            _ => {
                let last = last.map(|last| format!(" to {last}")).unwrap_or_default();
                let by = if step > 1 { format!(" by {step}") } else { String::new() };
                Err(refused(ID, format!("task {id} has no place among {count} tasks from {first}{last}{by}")))
            }
        }
    }
}

impl fmt::Display for ArrayTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, selection: ShardSelection { index, count } } = self;
        write!(f, "task {} of {count} ({ID}={id}, {COUNT}={count})", index + 1)
    }
}

fn refused(what: &str, problem: String) -> Error {
    let hint = "hint: use an array without gaps, such as --array=0-9, or pass --shard I/N (0/1: everything)";
    Error::Config { what: what.to_owned(), problem: format!("{problem}\n{hint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables of Slurm, in the order `ID COUNT MIN MAX STEP`; `-` for one that is not set.
    fn task(variables: &str) -> Result<Option<ArrayTask>> {
        let names = [ID, COUNT, MIN, MAX, STEP];
        let values: Vec<&str> = variables.split_whitespace().collect();
        let value = |name: &str| names.iter().position(|known| *known == name).and_then(|at| values.get(at));
        ArrayTask::find(|name| value(name).filter(|value| **value != "-").map(|value| (*value).to_owned()))
    }

    #[test]
    fn arrays_may_start_anywhere_and_have_steps() {
        for (variables, index, count, told) in [
            ("2 10 0 9 1", 2, 10, "task 3 of 10 (SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_TASK_COUNT=10)"),
            ("1 8 1 8 1", 0, 8, "task 1 of 8 (SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_COUNT=8)"),
            ("19 10 1 19 2", 9, 10, "task 10 of 10 (SLURM_ARRAY_TASK_ID=19, SLURM_ARRAY_TASK_COUNT=10)"),
            ("7 1 7 7 1", 0, 1, "task 1 of 1 (SLURM_ARRAY_TASK_ID=7, SLURM_ARRAY_TASK_COUNT=1)"),
            ("3 4 - - -", 3, 4, "task 4 of 4 (SLURM_ARRAY_TASK_ID=3, SLURM_ARRAY_TASK_COUNT=4)"),
        ] {
            let found = task(variables).expect(variables).expect(variables);
            assert_eq!(found.selection, ShardSelection { index, count }, "{variables}");
            assert_eq!(found.to_string(), told);
        }
        assert_eq!(task("- - - - -").expect("no array"), None);
    }

    #[test]
    fn a_task_whose_place_is_not_known_is_refused() {
        for (variables, problem) in [
            ("4 3 1 9 1", "task 4 has no place among 3 tasks from 1 to 9"),
            ("1 3 1 9 1", "task 1 has no place"),
            ("2 5 1 9 2", "task 2 has no place among 5 tasks from 1 to 9 by 2"),
            ("0 4 1 4 1", "task 0 has no place"),
            ("9 4 - - -", "task 9 has no place among 4 tasks from 0"),
            ("0 0 0 0 1", "task 0 has no place"),
            ("x 4 0 3 1", "expected a whole number, got \"x\""),
            ("3 - - - -", "it is set without SLURM_ARRAY_TASK_COUNT"),
        ] {
            let error = task(variables).expect_err(variables).to_string();
            assert!(error.contains(problem) && error.contains("--shard I/N"), "{variables}: {error}");
        }
    }
}
