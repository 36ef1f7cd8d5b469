//! The report as a page of its own: no scripts, nothing from the net.

use std::fmt::Write as _;

use super::clips::Sounds;
use super::svg;
use super::text::{QUANTILES, with_total};
use super::{Config, Extreme, SetSummary, Summaries};
use crate::error::Error;

const STYLE: &str = include_str!("page.css");

pub(super) fn render(config: &Config, summaries: &Summaries, sounds: &Sounds) -> Result<String, Error> {
    let title = escape(&config.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>Dissimilarity is 1 minus the mean cosine to the reference, from 0 to 2. A clip is left out at a \
         threshold if its dissimilarity is over it.</p>\n"
    );
    for modality in summaries.sets.keys() {
        section(&mut page, config, summaries, modality, sounds)?;
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

fn section(
    page: &mut String,
    config: &Config,
    summaries: &Summaries,
    modality: &str,
    sounds: &Sounds,
) -> Result<(), Error> {
    let total = summaries.total(modality, config.noted());
    let sets = || summaries.sets[modality].iter().map(|(name, set)| (name.as_str(), set));
    let rows = with_total(sets(), &total);
    page.push_str(&format!("<section>\n<h2>{}: {} scores</h2>\n", escape(modality), grouped(total.count)));
    page.push_str(&svg::draw(config, modality, &total));
    distribution(page, &rows);
    page.push_str("<h3>What each threshold leaves</h3>\n");
    yields(page, config, &rows);
    for (title, extremes) in [("Most dissimilar", &total.highest), ("Most similar", &total.lowest)] {
        page.push_str(&format!("<h3>{title}</h3>\n"));
        players(page, config, extremes, sounds)?;
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

fn yields(page: &mut String, config: &Config, rows: &[(&str, &SetSummary)]) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr><th>threshold</th><th class=\"name\">set</th><th>kept</th><th>share</th><th>left out</th></tr></thead>\n<tbody>\n");
    for (i, threshold) in config.thresholds.iter().enumerate() {
        for (name, set) in rows {
            let kept = set.count - set.over[i];
            let share = 100.0 * kept as f64 / set.count.max(1) as f64;
            let _ = writeln!(
                page,
                "<tr><td>{threshold:.2}</td><th>{}</th><td>{}</td><td><span class=\"share\" style=\"--share:{share:.2}%\">{share:.2} %</span></td><td>{}</td></tr>",
                escape(name),
                grouped(kept),
                grouped(set.over[i])
            );
        }
    }
    page.push_str("</tbody></table></div>\n");
}

fn players(page: &mut String, config: &Config, extremes: &[Extreme], sounds: &Sounds) -> Result<(), Error> {
    if extremes.is_empty() {
        page.push_str("<p>None.</p>\n");
        return Ok(());
    }
    page.push_str("<ol class=\"clips\">\n");
    for extreme in extremes {
        let _ = write!(
            page,
            "<li><span class=\"score\">{:.4}</span> <code>{}</code>",
            extreme.dissimilarity,
            escape(&extreme.key)
        );
        if let Some(sound) = sounds.by_key.get(&extreme.key) {
            if let Some(text) = &sound.text {
                let _ = write!(page, "<span class=\"caption\">{}</span>", escape(text));
            }
            let source = sounds.source(sound, config.clips)?;
            let _ = write!(page, "<audio controls preload=\"metadata\" src=\"{}\"></audio>", escape(&source));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n");
    Ok(())
}

/// Text as it may stand in a page, in attributes too.
fn escape(text: &str) -> String {
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
fn grouped(n: u64) -> String {
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
