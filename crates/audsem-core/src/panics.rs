//! Panics of other people's decoders, caught: the record at fault is filed, and nothing is printed about it.
//!
//! By default a panic prints its place in the source before it is caught, which reads as a crash of this program. Only the
//! thread that catches is silent, and only meanwhile: a panic of any other thread is printed as ever.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`caught`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or the text of its panic. What it has changed is not to be used after a panic.
///
/// ```
/// use audsem_core::panics::caught;
///
/// assert_eq!(caught(|| 1), Ok(1));
/// assert_eq!(caught(|| -> u8 { panic!("an odd stream") }), Err("an odd stream".to_owned()));
/// ```
///
/// # Errors
/// The message of the panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if !CATCHING.get() {
                loud(panic);
            }
        }));
    });
    let outer = CATCHING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    done.map_err(|panic| message(panic.as_ref()))
}

/// The text of a panic, as far as it has one.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use std::process::Command;

    use super::*;

    /// Set in the process that panics.
    const CHILD: &str = "AUDSEM_TEST_OF_PANICS";

    #[test]
    fn only_what_is_caught_is_silent() {
        if std::env::var_os(CHILD).is_some() {
            let nested = caught(|| {
                assert_eq!(caught(|| panic!("caught {}", 1)), Err("caught 1".to_owned()));
                std::thread::spawn(|| panic!("of another thread")).join().unwrap_err();
                panic!("caught 2")
            });
            assert_eq!(nested, Err::<(), _>("caught 2".to_owned()));
            assert_eq!(caught(|| std::panic::panic_any(7)), Err::<(), _>("no message".to_owned()));
            panic!("not caught");
        }
        let test = concat!(module_path!(), "::only_what_is_caught_is_silent");
        let test = test.split_once("::").unwrap().1;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        assert!(!child.status.success(), "{said}");
        assert!(said.contains("of another thread") && said.contains("not caught"), "{said}");
        assert!(!said.contains("caught 1") && !said.contains("caught 2"), "{said}");
    }
}
