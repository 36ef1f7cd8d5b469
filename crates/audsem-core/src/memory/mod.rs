//! Memory for large tables that are looked into at random.
#![allow(unsafe_code, reason = "advice about memory goes to the kernel by address")]

mod shared_texts;

pub use shared_texts::{Entry, SharedTexts};

/// So many times `value`, in large pages where the system has them.
///
/// With pages of 4 KiB a table of some ten megabytes has more of them than the processor remembers, and looking up
/// where a page lies takes as long as fetching what is on it.
pub fn large_table<T: Clone>(value: T, n: usize) -> Vec<T> {
    let mut table = Vec::new();
    reserve_large(&mut table, n);
    table.resize(n, value);
    table
}

/// Reserves room for `additional` values, in large pages where the system has them. Only what is used counts as used.
pub fn reserve_large<T>(values: &mut Vec<T>, additional: usize) {
    values.reserve_exact(additional);
    advise(values.spare_capacity_mut());
}

/// Asks for large pages for memory that has not been used yet.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "others have no such advice"))]
fn advise<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    advise_linux(memory);
}

#[cfg(target_os = "linux")]
fn advise_linux<T>(memory: &mut [T]) {
    use rustix::mm::{Advice, madvise};

    const PAGE: usize = 4096;
    let start = memory.as_ptr().cast::<u8>();
    let skip = start.align_offset(PAGE);
    let bytes = size_of_val(memory).saturating_sub(skip) / PAGE * PAGE;
    if bytes > 0 {
        // SAFETY: whole pages inside of memory that is ours, and their content does not change. A kernel without large
        // pages says so; then there are none.
        let _ = unsafe { madvise(start.wrapping_add(skip).cast_mut().cast(), bytes, Advice::LinuxHugepage) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_what_they_were_made_of() {
        for n in [0, 1, 1000, 3_000_001] {
            assert_eq!(large_table(7_u16, n), vec![7; n]);
        }
        let mut text = vec![b'a'];
        reserve_large(&mut text, 10_000_000);
        assert!(text.capacity() >= 10_000_001 && text == [b'a']);
    }
}
