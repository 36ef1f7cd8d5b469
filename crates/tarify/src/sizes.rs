//! `sizes.json`: how many samples each tar of a folder holds.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{Run, Shard, ShardOutput, Step, StepOutputs};
use audsem_core::walk::numeric_order;
use serde::Serialize;

use crate::error::Error;

/// Name of the file.
pub const SIZES: &str = "sizes.json";

/// Counter of the samples in a tar, for steps whose records are something else.
pub(crate) const SAMPLES: &str = "samples";

/// The file's text: an object in the order of the tars' numbers, indented by four as its readers
/// are used to.
pub fn sizes_json(sizes: impl IntoIterator<Item = (String, u64)>) -> Vec<u8> {
    let mut sizes: Vec<(String, u64)> = sizes.into_iter().collect();
    sizes.sort_by_cached_key(|(name, _)| numeric_order(name));
    let object: serde_json::Map<_, _> = sizes.into_iter().map(|(name, size)| (name, size.into())).collect();
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    object.serialize(&mut serializer).expect("numbers by name are JSON");
    text
}

/// Reads a `sizes.json`.
///
/// # Errors
/// It cannot be read, or is not an object of whole numbers.
pub fn read_sizes(path: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let text = std::fs::read(path).map_err(CoreError::read(path))?;
    parse_sizes(&text)
        .map_err(|error| CoreError::input(path, format!("not an object of tar names and counts ({error})")).into())
}

fn parse_sizes(text: &[u8]) -> Result<BTreeMap<String, u64>, serde_json::Error> {
    serde_json::from_slice(text)
}

/// The last step of commands that write tars: `sizes.json` with what is really in each of them. It
/// waits until all tars are done, so that a tar that failed can be repaired and added.
pub(crate) fn write_sizes(run: &mut Run, written: StepOutputs) -> Result<(), Error> {
    let Some(written) = written.whole() else { return Ok(()) };
    let mut sizes = Vec::new();
    for shard in &written.outputs {
        for tar in shard.files_ending(".tar") {
            let samples = shard.stats.counts.get(SAMPLES).copied().unwrap_or(shard.stats.kept);
            sizes.push((tar.file_name().unwrap_or_default().to_string_lossy().into_owned(), samples));
        }
    }
    let plan =
        [Shard { name: "sizes".to_owned(), fingerprint: written.fingerprint().finish(), work: sizes_json(sizes) }];
    let step = Step { name: "sizes", unit: "tars", physical: "" };
    run.execute(step, &plan, |text: &Vec<u8>, out: &mut ShardOutput| Ok(out.write_file(SIZES, text)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_sorted_by_number() {
        let text = sizes_json([("10.tar".to_owned(), 3), ("2.tar".to_owned(), 2048)]);
        assert_eq!(String::from_utf8_lossy(&text), "{\n    \"2.tar\": 2048,\n    \"10.tar\": 3\n}");
        assert_eq!(sizes_json([]), b"{}");
    }

    proptest::proptest! {
        // Foreign bytes: read or refused, never a panic.
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_sizes_or_refused(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
            name in ".{0,12}",
            size in proptest::prelude::any::<i128>(),
        ) {
            let _ = parse_sizes(&bytes);
            let object = format!("{{{}: {size}}}", serde_json::Value::from(name.as_str()));
            let read = parse_sizes(object.as_bytes()).ok().and_then(|sizes| sizes.get(&name).copied());
            assert_eq!(read, u64::try_from(size).ok());
            numeric_order(&name);
        }
    }
}
