//! Python in tests: what our files have to please.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that has the packages of `fixtures/requirements.txt`: that of `AUDSEM_PYTHON`, or of `.venv`.
///
/// # Panics
/// There is none.
#[must_use]
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("AUDSEM_PYTHON").map_or(root.join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "no Python with the packages of fixtures/requirements.txt at {}\n\
         hint: run scripts/python-env once (`just test` does), or name one in AUDSEM_PYTHON",
        python.display()
    );
    python
}

/// What a script prints that runs in a folder.
///
/// # Panics
/// It cannot be run, fails, or prints what is no text.
#[must_use]
pub fn run_python(script: &str, folder: &Path) -> String {
    let output = Command::new(python()).args(["-c", script]).current_dir(folder).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the script prints text")
}
