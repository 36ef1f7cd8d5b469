//! The answer, for people and as JSON.

use std::fmt;

use audsem_core::clip_id::ClipId;
use audsem_core::run::RunFolder;
use audsem_core::terminal::counted;
use serde_json::{Value, json};

use super::search::{Finding, LeftOutRecord};
use super::wanted::Wanted;

/// Characters of a value that are shown.
const SHOWN_CHARS: usize = 100;

/// What one run folder holds about the key.
#[derive(Debug)]
pub struct Way {
    /// The folder.
    pub record: RunFolder,
    /// Its records; none if it knows nothing of the key.
    pub findings: Vec<Finding>,
}

/// The way of a key through a pipeline.
#[derive(Debug)]
pub struct Report {
    asked: String,
    wanted: Wanted,
    ways: Vec<Way>,
}

impl Report {
    pub(super) fn new(asked: &str, wanted: Wanted, ways: Vec<Way>) -> Self {
        Self { asked: asked.to_owned(), wanted, ways }
    }

    /// Whether the key was found nowhere.
    pub fn is_empty(&self) -> bool {
        self.ways.iter().all(|way| way.findings.is_empty())
    }

    pub(super) fn n_folders(&self) -> usize {
        self.ways.len()
    }

    /// The folders in the order of the pipeline.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// The key in its one spelling: that of the clip if all records are about one, else as it was found.
    pub fn key(&self) -> String {
        match (&self.wanted, &*self.clips()) {
            // Files of one name may be several videos.
            (Wanted::Video { ids, .. }, clips) => match clips {
                [first, rest @ ..] if rest.iter().all(|clip| clip.video_id() == first.video_id()) => {
                    first.video_id().to_owned()
                }
                _ => ids[0].clone(),
            },
            (_, [clip]) => clip.tar_key(),
            _ => self.wanted.to_string(),
        }
    }

    /// One JSON object and a line break.
    pub fn to_json(&self) -> String {
        let steps: Vec<Value> = self.ways.iter().map(Way::to_json).collect();
        let value = json!({ "asked": self.asked, "key": self.key(), "steps": steps });
        serde_json::to_string_pretty(&value).expect("a JSON value is JSON") + "\n"
    }

    /// The clips that were found.
    fn clips(&self) -> Vec<ClipId> {
        let findings = self.ways.iter().flat_map(|way| &way.findings);
        let mut clips: Vec<ClipId> = findings.filter_map(|finding| finding.key().parse().ok()).collect();
        clips.sort();
        clips.dedup();
        clips
    }

    /// The last words: where it was left out first, or where it lies now. Of several clips each has its own end.
    fn verdict(&self) -> String {
        let clips = self.clips();
        if clips.len() > 1 {
            return format!("{} clips; name one of them to see its way alone", clips.len());
        }
        let left_out = self.ways.iter().find_map(|way| {
            let kept = way.findings.iter().any(|finding| matches!(finding, Finding::Kept { .. }));
            let record = way.findings.iter().find_map(|finding| match finding {
                Finding::LeftOut(record) if !kept => Some(record),
                _ => None,
            })?;
            Some((way, record))
        });
        if let Some((way, record)) = left_out {
            let flag = record.known.flag.as_ref().map(|flag| format!("; {flag} changes that")).unwrap_or_default();
            return format!(
                "left out by `{} {}` as `{}`{flag}",
                way.record.tool, way.record.command, record.line.reason
            );
        }
        let last = self.ways.iter().rev().find(|way| !way.findings.is_empty());
        last.map_or_else(String::new, |way| {
            format!(
                "left out nowhere; last found in the output of `{} {}`: {}",
                way.record.tool,
                way.record.command,
                way.record.folder.display()
            )
        })
    }
}

impl Way {
    fn to_json(&self) -> Value {
        let RunFolder { folder, tool, command, complete, .. } = &self.record;
        json!({ "folder": folder, "tool": tool, "command": command, "complete": complete, "found": self.findings })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        match key.parse::<ClipId>() {
            Ok(clip) => writeln!(
                f,
                "{key}: {} s of video {}, from {} s to {} s",
                seconds(clip.duration_ms()),
                clip.video_id(),
                seconds(clip.start_ms()),
                seconds(clip.end_ms())
            )?,
            Err(_) => writeln!(f, "{key}")?,
        }
        writeln!(f)?;
        for way in &self.ways {
            let RunFolder { folder, tool, command, complete, .. } = &way.record;
            let open = if *complete { "" } else { " (its run has not ended)" };
            let nothing = if way.findings.is_empty() { ": nothing about it" } else { "" };
            writeln!(f, "{tool} {command}: {}{open}{nothing}", folder.display())?;
            for finding in &way.findings {
                let name = if finding.key() == key { String::new() } else { format!("{}: ", short(finding.key())) };
                match finding {
                    Finding::Kept { files, values, .. } => {
                        let told: Vec<String> =
                            values.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
                        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                        let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
                        writeln!(f, "  {name}passed, in {}{told}", files.join(", "))?;
                    }
                    Finding::LeftOut(record) => write!(f, "  {name}{record}")?,
                }
            }
        }
        writeln!(f, "\n{}", self.verdict())
    }
}

impl fmt::Display for LeftOutRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, known, .. } = self;
        let meaning = if known.meaning.is_empty() { String::new() } else { format!(": {}", known.meaning) };
        let many = if line.records == 1 { String::new() } else { format!(" ({})", counted(line.records, "records")) };
        writeln!(f, "left out ({}), {}{many}{meaning}", line.outcome, line.reason)?;
        if !line.detail.is_empty() {
            writeln!(f, "    value: {}", short(&line.detail))?;
        }
        match (&known.limit, &known.flag) {
            (Some(limit), Some(flag)) => writeln!(f, "    limit: {} ({flag})", shown(limit)),
            (None, Some(flag)) => writeln!(f, "    flag:  {flag}"),
            _ => Ok(()),
        }
    }
}

fn seconds(ms: u32) -> f64 {
    f64::from(ms) / 1000.0
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", short(text)),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) => format!("{}", (number * 1e4).round() / 1e4),
            None => number.to_string(),
        },
        value => short(&value.to_string()),
    }
}

fn short(text: &str) -> String {
    let line = text.replace(['\n', '\t'], " ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
