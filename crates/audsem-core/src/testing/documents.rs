//! Parts of documents that come from the code.

use std::fs;
use std::path::Path;

/// Checks that the part `name` of `docs/formats.md`, between its two markers, is what the code says.
///
/// # Panics
/// When it is not, showing what has to stand there.
pub fn assert_formats_part(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let document = fs::read_to_string(&path).expect("docs/formats.md can be read");
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let from = document.find(&begin).unwrap_or_else(|| panic!("docs/formats.md lacks {begin}")) + begin.len();
    let to = document.find(&end).unwrap_or_else(|| panic!("docs/formats.md lacks {end}"));
    let fresh = format!("\n{fresh}");
    assert!(document[from..to] == fresh, "docs/formats.md is stale: put this between the markers `{name}`\n{fresh}");
}
