//! The schemas as Markdown, for `docs/formats.md`.

use std::fmt::Write;

use super::{ColumnKind, ColumnSpec, Row, VECTOR_COLUMN};

/// The schema of a table as a Markdown section.
pub fn schema_markdown<R: Row>() -> String {
    let mut out = String::new();
    let mut write = || {
        writeln!(out, "### {}\n\n{}\n", R::TABLE, flow(R::DOC))?;
        writeln!(out, "| column | type | absent | meaning |\n| --- | --- | --- | --- |")?;
        R::COLUMNS.iter().try_for_each(|column| line(&mut out, "", column))?;
        writeln!(out)
    };
    write().expect("writing to a string does not fail");
    out
}

/// Schema, as Markdown, of a table that has a column of vectors behind its others.
pub fn schema_markdown_with_vector<R: Row>() -> String {
    let mut out = schema_markdown::<R>();
    out.pop();
    let meaning = "The embedding: as many numbers in every row of all files of a run, of length 1. Not compressed.";
    writeln!(out, "| `{VECTOR_COLUMN}` | {} | never | {meaning} |\n", ColumnKind::Vector)
        .expect("writing to a string does not fail");
    out
}

/// A column, and below it the fields of what it holds.
fn line(out: &mut String, parent: &str, column: &ColumnSpec) -> std::fmt::Result {
    let name = format!("{parent}{}", column.name);
    let absent = if column.nullable { "may be" } else { "never" };
    writeln!(out, "| `{name}` | {} | {absent} | {} |", column.kind, flow(column.doc))?;
    let (mut kind, mut below) = (column.kind, name);
    while let ColumnKind::List { item, .. } = kind {
        kind = *item;
        below.push_str("[]");
    }
    if let ColumnKind::Struct(fields) = kind {
        fields.iter().try_for_each(|field| line(out, &format!("{below}."), field))?;
    }
    Ok(())
}

/// Doc lines as one paragraph.
fn flow(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
