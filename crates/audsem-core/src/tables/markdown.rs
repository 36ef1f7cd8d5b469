//! The schemas as Markdown, for `docs/formats.md`.

use std::fmt::Write;

use super::{BertLabel, CaptionText, ClipMedia, ClipRow, Cue, LlmLabel, Row, TarMember};

/// All table schemas as Markdown sections.
pub fn schema_markdown() -> String {
    let mut out = String::new();
    section::<Cue>(&mut out);
    section::<BertLabel>(&mut out);
    section::<LlmLabel>(&mut out);
    section::<ClipRow>(&mut out);
    section::<CaptionText>(&mut out);
    section::<ClipMedia>(&mut out);
    section::<TarMember>(&mut out);
    out
}

fn section<R: Row>(out: &mut String) {
    let write = |out: &mut String| {
        writeln!(out, "### {}\n\n{}\n", R::TABLE, flow(R::DOC))?;
        writeln!(out, "| column | type | absent | meaning |\n| --- | --- | --- | --- |")?;
        for column in R::COLUMNS {
            let absent = if column.nullable { "may be" } else { "never" };
            writeln!(out, "| `{}` | {} | {absent} | {} |", column.name, column.kind, flow(column.doc))?;
        }
        writeln!(out)
    };
    write(out).expect("writing to a string does not fail");
}

/// Doc lines as one paragraph.
fn flow(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
