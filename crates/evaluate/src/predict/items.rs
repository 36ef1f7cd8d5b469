//! Questions from a JSONL file.

use std::collections::HashSet;
use std::path::Path;

use audsem_core::input::read_whole;

use crate::error::Error;
use crate::item::{BenchmarkItems, EvaluationItem};

/// Reads a file with one question on each line.
///
/// # Errors
/// The file cannot be read, a line is no question, or two questions have the same name.
pub fn read_items(path: &Path) -> Result<BenchmarkItems, Error> {
    let fault =
        |line: usize, problem: String| Error::NotAnItem { place: format!("{}:{line}", path.display()), problem };
    let bytes = read_whole(path)?;
    let text = String::from_utf8(bytes).map_err(|_| fault(1, "the file is not UTF-8".to_owned()))?;
    let (mut items, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let item: EvaluationItem = serde_json::from_str(line).map_err(|error| fault(number + 1, error.to_string()))?;
        if !seen.insert((item.benchmark.clone(), item.id.clone())) {
            return Err(fault(
                number + 1,
                format!("a second question of `{}` is called `{}`", item.benchmark, item.id),
            ));
        }
        items.push(item);
    }
    match items.is_empty() {
        true => Err(fault(1, "the file has no question".to_owned())),
        false => Ok(BenchmarkItems::new(items, path)),
    }
}
