//! The report as a page of its own: no scripts, nothing from the net.

use std::fmt::Write as _;

use super::clips::Sounds;
use super::svg;
use super::text::{QUANTILES, with_total};
use super::{Extreme, SetSummary, Settings, Summaries};
use crate::criterion::label;
use crate::error::Error;

const STYLE: &str = include_str!("page.css");

pub(super) fn render(settings: &Settings<'_>, summaries: &Summaries, sounds: &Sounds) -> Result<String, Error> {
    let (title, criterion) = (escape(&settings.title), settings.criterion);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p><code>{column}</code> is {meaning}. A clip is left out at a threshold if its value is {side} it.</p>\n",
        column = criterion.column.name(),
        meaning = criterion.column.meaning(),
        side = criterion.side.name(),
    );
    for (modality, total) in &summaries.totals {
        section(&mut page, settings, (modality.as_str(), total), summaries, sounds)?;
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

fn section(
    page: &mut String,
    settings: &Settings<'_>,
    (modality, total): (&str, &SetSummary),
    summaries: &Summaries,
    sounds: &Sounds,
) -> Result<(), Error> {
    let sets = summaries.sets[modality].iter().map(|(name, set)| (name.as_str(), set));
    let rows = with_total(sets, total);
    page.push_str(&format!("<section>\n<h2>{}: {} scores</h2>\n", escape(modality), grouped(total.count)));
    page.push_str(&svg::draw(settings.criterion, modality, total));
    distribution(page, &rows);
    page.push_str("<h3>What each threshold leaves</h3>\n");
    yields(page, settings, &rows);
    for (title, extremes) in settings.ends(total) {
        page.push_str(&format!("<h3>{title}</h3>\n"));
        players(page, settings, extremes, sounds)?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn distribution(page: &mut String, rows: &[(&str, &SetSummary)]) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr><th>set</th><th>count</th><th>mean</th><th>min</th>");
    QUANTILES.iter().for_each(|q| page.push_str(&format!("<th>{} %</th>", q * 100.0)));
    page.push_str("<th>max</th></tr></thead>\n<tbody>\n");
    for (name, set) in rows {
        let count = grouped(set.count);
        let _ = write!(
            page,
            "<tr><th>{}</th><td>{count}</td><td>{:.4}</td><td>{:.4}</td>",
            escape(name),
            set.mean(),
            set.min
        );
        for q in QUANTILES {
            let _ = write!(page, "<td>{:.4}</td>", set.quantile(q).unwrap_or(f64::NAN));
        }
        let _ = writeln!(page, "<td>{:.4}</td></tr>", set.max);
    }
    page.push_str("</tbody></table></div>\n");
}

fn yields(page: &mut String, settings: &Settings<'_>, rows: &[(&str, &SetSummary)]) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr><th>threshold</th><th class=\"name\">set</th><th>kept</th><th>share</th><th>left out</th></tr></thead>\n<tbody>\n");
    for (i, threshold) in settings.criterion.thresholds.iter().enumerate() {
        for (name, set) in rows {
            let kept = set.count - set.beyond[i];
            let share = 100.0 * kept as f64 / set.count.max(1) as f64;
            let _ = writeln!(
                page,
                "<tr><td>{}</td><th>{}</th><td>{}</td><td><span class=\"share\" style=\"--share:{share:.2}%\">{share:.2} %</span></td><td>{}</td></tr>",
                label(*threshold),
                escape(name),
                grouped(kept),
                grouped(set.beyond[i])
            );
        }
    }
    page.push_str("</tbody></table></div>\n");
}

fn players(page: &mut String, settings: &Settings<'_>, extremes: &[Extreme], sounds: &Sounds) -> Result<(), Error> {
    if extremes.is_empty() {
        page.push_str("<p>None.</p>\n");
        return Ok(());
    }
    page.push_str("<ol class=\"clips\">\n");
    for extreme in extremes {
        let _ =
            write!(page, "<li><span class=\"score\">{:.4}</span> <code>{}</code>", extreme.value, escape(&extreme.key));
        if let Some(text) = &extreme.text {
            let _ = write!(page, "<span class=\"caption\">{}</span>", escape(text));
        }
        match sounds.by_key.get(&extreme.key) {
            Some(sound) => {
                let source = escape(&sounds.source(sound, settings.clips)?);
                let _ = write!(page, "<audio controls preload=\"metadata\" src=\"{source}\"></audio>");
            }
            None if sounds.looked => page.push_str("<span class=\"missing\">not in the shards given</span>"),
            None => {}
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n");
    Ok(())
}

/// Text as it may stand in a page, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A number with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        assert_eq!(escape("<b>\"&'"), "&lt;b&gt;&quot;&amp;&#39;");
    }

    #[test]
    fn thousands_are_apart() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
    }
}
