//! The schemas as Markdown, for `docs/formats.md`.

use std::fmt::Write;

use super::{
    AudioEmbedding, BertLabel, CaptionMatch, CaptionText, ClipMedia, ClipRow, Contamination, Cue, Duplicate, Kind,
    LlmLabel, Row, Score, TarMember, TextEmbedding, VECTOR_COLUMN,
};

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
    section_with_vector::<AudioEmbedding>(&mut out);
    section_with_vector::<TextEmbedding>(&mut out);
    section::<Score>(&mut out);
    section::<Contamination>(&mut out);
    section::<Duplicate>(&mut out);
    section::<CaptionMatch>(&mut out);
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

/// A table whose last column is one of vectors.
fn section_with_vector<R: Row>(out: &mut String) {
    section::<R>(out);
    out.pop();
    let meaning = "The embedding: as many numbers in every row of all files of a run, of length 1. Not compressed.";
    writeln!(out, "| `{VECTOR_COLUMN}` | {} | never | {meaning} |\n", Kind::Vector)
        .expect("writing to a string does not fail");
}

/// Doc lines as one paragraph.
fn flow(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
