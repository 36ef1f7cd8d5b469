//! The report as a self-contained HTML page.

use audsem_report::{About, Histogram, Mark, Markup};
use serde::Serialize;

use super::clips::Sounds;
use super::source::Source;
use super::text::{QUANTILES, histogram, with_total};
use super::{Extreme, HashedConfig, SetSummary, Summaries};
use crate::criterion::{Criterion, label};
use crate::error::Error;

const TEMPLATE: &str = include_str!("page.html");

/// Bars of a histogram.
const BARS: usize = 60;

#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    about: About,
    column: &'static str,
    meaning: &'static str,
    side: &'static str,
    quantiles: [f64; QUANTILES.len()],
    sections: Vec<Section<'a>>,
}

/// The scores of one modality.
#[derive(Serialize)]
struct Section<'a> {
    modality: &'a str,
    count: u64,
    histogram: Markup,
    sets: Vec<SetRow<'a>>,
    thresholds: Vec<ThresholdRow<'a>>,
    ends: Vec<End<'a>>,
}

#[derive(Serialize)]
struct SetRow<'a> {
    name: &'a str,
    count: u64,
    mean: f64,
    min: f32,
    quantiles: Vec<f64>,
    max: f32,
}

#[derive(Serialize)]
struct ThresholdRow<'a> {
    threshold: String,
    name: &'a str,
    kept: u64,
    /// Percent of the set.
    share: f64,
    left_out: u64,
}

/// One end of the distribution, to listen to.
#[derive(Serialize)]
struct End<'a> {
    title: &'static str,
    clips: Vec<Clip<'a>>,
}

#[derive(Serialize)]
struct Clip<'a> {
    key: &'a str,
    value: f32,
    text: Option<&'a str>,
    source: Option<Markup>,
    missing: bool,
}

pub(super) fn render(
    settings: &HashedConfig<'_>,
    summaries: &Summaries,
    source: &Source,
    sounds: &Sounds,
) -> Result<String, Error> {
    let column = settings.criterion.column;
    let sections = summaries.totals.iter().map(|(modality, total)| {
        let sets = summaries.sets[modality].iter().map(|(name, set)| (name.as_str(), set));
        section(settings, modality, &with_total(sets, total), total, sounds)
    });
    let page = Page {
        title: &settings.title,
        about: source.about(settings, summaries),
        column: column.name(),
        meaning: column.meaning(),
        side: settings.criterion.side.name(),
        quantiles: QUANTILES.map(|q| q * 100.0),
        sections: sections.collect::<Result<_, _>>()?,
    };
    Ok(audsem_report::render(TEMPLATE, page)?)
}

fn section<'a>(
    settings: &'a HashedConfig<'_>,
    modality: &'a str,
    sets: &[(&'a str, &'a SetSummary)],
    total: &'a SetSummary,
    sounds: &Sounds,
) -> Result<Section<'a>, Error> {
    let ends = settings.ends(total).map(|(title, extremes)| {
        let clips = extremes.iter().map(|extreme| clip(extreme, settings, sounds)).collect::<Result<_, _>>()?;
        Ok::<_, Error>(End { title, clips })
    });
    Ok(Section {
        modality,
        count: total.count,
        histogram: plot(settings.criterion, modality, total).draw()?,
        sets: sets.iter().map(|(name, set)| set_row(name, set)).collect(),
        thresholds: threshold_rows(settings.criterion, sets),
        ends: ends.into_iter().collect::<Result<_, _>>()?,
    })
}

/// The histogram of a set, with a mark at each threshold.
fn plot(criterion: &Criterion, modality: &str, set: &SetSummary) -> Histogram {
    let bins = histogram(set, BARS);
    let width = bins[1].0 - bins[0].0;
    let mark = |threshold: &f32| Mark { at: f64::from(*threshold), label: label(*threshold) };
    Histogram {
        title: format!("Histogram of {}, {modality}", criterion.column.name()),
        axis: criterion.column.name().to_owned(),
        counted: "clips".to_owned(),
        low: bins[0].0,
        high: bins[0].0 + width * bins.len() as f64,
        counts: bins.iter().map(|(_, count)| *count).collect(),
        marks: criterion.thresholds.iter().map(mark).collect(),
    }
}

fn set_row<'a>(name: &'a str, set: &SetSummary) -> SetRow<'a> {
    let quantiles = QUANTILES.iter().map(|q| set.quantile(*q).unwrap_or(f64::NAN)).collect();
    SetRow { name, count: set.count, mean: set.mean(), min: set.min, quantiles, max: set.max }
}

fn threshold_rows<'a>(criterion: &Criterion, sets: &[(&'a str, &SetSummary)]) -> Vec<ThresholdRow<'a>> {
    let mut rows = Vec::new();
    for (i, threshold) in criterion.thresholds.iter().enumerate() {
        for (name, set) in sets {
            let kept = set.count - set.beyond[i];
            let share = 100.0 * kept as f64 / set.count.max(1) as f64;
            rows.push(ThresholdRow { threshold: label(*threshold), name, kept, share, left_out: set.beyond[i] });
        }
    }
    rows
}

fn clip<'a>(extreme: &'a Extreme, settings: &HashedConfig<'_>, sounds: &Sounds) -> Result<Clip<'a>, Error> {
    let sound = sounds.by_key.get(&extreme.key);
    let source = sound.map(|sound| sounds.source(sound, settings.clips)).transpose()?;
    let missing = source.is_none() && sounds.looked;
    Ok(Clip { key: &extreme.key, value: extreme.value, text: extreme.text.as_deref(), source, missing })
}
