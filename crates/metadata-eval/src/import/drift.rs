//! Lists of dissimilar clips as `postprocess_sim.py` pickles them: a list of (name, data set, score), read as data.

use std::path::Path;

use audsem_core::input;
use audsem_core::pickle::{Node, Pickle, PickledValue};
use audsem_core::run::ShardError;
use audsem_core::terminal::counted;
use serde_json::{Map, json};

use super::records::Record;

/// Modules that numpy's scalars come from, before and since its version 2.
const NUMPY_SCALARS: [&str; 2] = ["numpy.core.multiarray", "numpy._core.multiarray"];

/// Visits the entries of a list, as [`super::records::for_each`] does.
///
/// # Errors
/// The file cannot be read or is no pickle of a list, or `visit` fails.
pub(super) fn for_each(
    path: &Path,
    mut visit: impl FnMut(String, Result<Record, String>) -> Result<bool, ShardError>,
) -> Result<(), ShardError> {
    let bytes = input::read_whole(path).map_err(ShardError::from_core)?;
    let pickle = Pickle::read(&mut bytes.as_slice()).map_err(ShardError::input)?;
    let root = pickle.root();
    if !matches!(root.node(), Node::List(_) | Node::Tuple(_)) {
        return Err(ShardError::Input("the pickle is no list of clips".to_owned()));
    }
    for (number, entry) in (1..).zip(root.items()) {
        if !visit(format!("entry {number}"), record(entry))? {
            break;
        }
    }
    Ok(())
}

fn record(entry: PickledValue<'_>) -> Result<Record, String> {
    let parts: Vec<PickledValue<'_>> = entry.items().collect();
    let [name, dataset, score] = parts[..] else {
        return Err(format!("{} instead of a name, a data set and a score", counted(parts.len(), "parts")));
    };
    let text =
        |value: PickledValue<'_>, what: &str| value.as_str().map(str::to_owned).ok_or(format!("the {what} is no text"));
    let score = number(score).filter(|score| score.is_finite()).ok_or("the score is no finite number")?;
    Ok(Map::from_iter([
        ("file_name".to_owned(), json!(text(name, "name")?)),
        ("dataset".to_owned(), json!(text(dataset, "data set")?)),
        ("score".to_owned(), json!(score)),
    ]))
}

/// A number of Python or a scalar of numpy.
fn number(value: PickledValue<'_>) -> Option<f64> {
    match value.node() {
        Node::Float(number) => Some(*number),
        Node::Int(number) => Some(*number as f64),
        _ => numpy_scalar(value),
    }
}

/// A float of 32 or 64 bits, as `scalar(dtype, bytes)`; the state of the dtype names the order of the bytes.
fn numpy_scalar(value: PickledValue<'_>) -> Option<f64> {
    let (callable, args) = value.call()?;
    let (module, name) = callable.global()?;
    let (dtype, bytes) = (args.item(0)?, args.item(1)?);
    let (maker, kind) = dtype.call()?;
    let is_scalar = NUMPY_SCALARS.contains(&module) && name == "scalar" && maker.global() == Some(("numpy", "dtype"));
    let is_little_endian = dtype.state()?.item(1)?.as_str() == Some("<");
    let Node::Bytes(bytes) = bytes.node() else { return None };
    match (is_scalar && is_little_endian, kind.item(0)?.as_str()?) {
        (true, "f4") => Some(f64::from(f32::from_le_bytes(bytes.as_slice().try_into().ok()?))),
        (true, "f8") => Some(f64::from_le_bytes(bytes.as_slice().try_into().ok()?)),
        _ => None,
    }
}
