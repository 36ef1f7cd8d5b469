//! What a run folder tells about its run to people who read what was made of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::completed::run_folder_of;
use super::folder::{LOG, earlier_run};
use crate::error::Result;
use crate::input::is_folder;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A run, as a page names it: by what it was made, with which models, on which day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunFacts {
    /// Program and subcommand.
    pub command: String,
    /// The version of the program.
    pub version: String,
    /// Names of the models, each once.
    pub models: Vec<String>,
    /// The day in UTC on which its last shard was made, as `2026-11-27`; else the one on which it began. From the log:
    /// the same inputs give the same page on any later day.
    pub day: Option<String>,
}

impl RunFacts {
    /// The facts of the run that has written a folder, or the folder of a file; `None` if no run has.
    ///
    /// # Errors
    /// A record of the run cannot be read.
    pub fn around(path: &Path) -> Result<Option<Self>> {
        let folder = if is_folder(path)? { path } else { path.parent().unwrap_or(path) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Some((place, _)) = run_folder_of(folder)? else { return Ok(None) };
        let Some(record) = earlier_run(&place)? else { return Ok(None) };
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        Ok(Some(Self {
            command: format!("{} {}", text("tool"), text("command")),
            version: text("version").to_owned(),
            models: models(&record),
            day: day_of_log(&place.join(LOG)),
        }))
    }
}

/// The models that a run has loaded, else those that its configuration names, without their hashes.
fn models(record: &Value) -> Vec<String> {
    let loaded = record["models"].as_array().into_iter().flatten().filter_map(|model| model["name"].as_str());
    let mut names: Vec<String> = Vec::new();
    let named = record["config"]["model"].as_str().map(|name| name.split_once('@').map_or(name, |(name, _)| name));
    for name in loaded.chain(named) {
        // A model in this process is named with its number type and its hashes.
        let name = name.split_once(" (").map_or(name, |(name, _)| name);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The day of the last shard in a log, else that of its first line.
fn day_of_log(path: &Path) -> Option<String> {
    let lines = BufReader::new(std::fs::File::open(path).ok()?).lines().map_while(std::io::Result::ok);
    let (mut first, mut last_shard) = (None, None);
    for line in lines {
        if line.contains("\"event\":\"shard\"") {
            last_shard = Some(line);
        } else if first.is_none() {
            first = Some(line);
        }
    }
    let event: Value = serde_json::from_str(&last_shard.or(first)?).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
    let seconds = event["unix_s"].as_f64().filter(|seconds| *seconds > 0.0)? as i64;
    Some(day(seconds.div_euclid(DAY_S)))
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar: years are counted from March, so that the day
/// which may be missing is the last.
fn day(since_1970: i64) -> String {
    const OF_400_YEARS: i64 = 146_097;
    // From 0000-03-01.
    let days = since_1970 + 719_468;
    let (era, of_era) = (days.div_euclid(OF_400_YEARS), days.rem_euclid(OF_400_YEARS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + 400 * era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use serde_json::json;

    use super::*;

    #[test]
    fn days_have_dates() {
        for (days, date) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
            (20_784, "2026-11-27"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(day(days), date);
        }
    }

    #[test]
    fn a_run_says_what_made_it_and_when() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        assert_eq!(RunFacts::around(&run).unwrap(), None);
        let record = |config: Value, models: Value| {
            let record = json!({ "tool": "audsem-x", "command": "make", "version": "1.2", "config_hash": "h",
                "config": config, "models": models });
            std::fs::write(run.join("run.json"), record.to_string()).unwrap();
            RunFacts::around(&run).unwrap().unwrap()
        };
        let loaded = record(json!({}), json!([{ "name": "bert" }, { "name": "bert" }, { "name": "clap" }]));
        assert_eq!(loaded.models, ["bert", "clap"]);
        assert_eq!((&*loaded.command, &*loaded.version, loaded.day), ("audsem-x make", "1.2", None));
        std::fs::write(
            run.join("log.jsonl"),
            "{\"unix_s\":1795737600.5,\"event\":\"start\",\"detail\":{}}\n{\"unix_s\":1795805815.6,\"event\":\"shard\",\"detail\":{}}\n\
             {\"unix_s\":1795995815.6,\"event\":\"finish\",\"detail\":{}}\n",
        )
        .unwrap();
        let named = record(json!({ "model": "laion/clap@96bed69d+e6c87-f32" }), json!([]));
        assert_eq!(named.models, ["laion/clap"]);
        assert_eq!(named.day.as_deref(), Some("2026-11-27"));
        assert_eq!(record(json!({ "model": "omni (F32) sha256 3f" }), json!([])).models, ["omni"]);
        std::fs::write(run.join("log.jsonl"), "{\"unix_s\":1795737600.5,\"event\":\"start\"}\n").unwrap();
        std::fs::write(run.join("scores.parquet"), "").unwrap();
        let of_file = RunFacts::around(&run.join("scores.parquet")).unwrap().unwrap();
        assert_eq!(of_file.day.as_deref(), Some("2026-11-27"));
    }
}
