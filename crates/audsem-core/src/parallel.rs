//! Ordered parallel map: many threads work, one thread consumes the results in the order of the input.

use std::collections::BTreeMap;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

/// Maps `items` on `threads` threads and hands the results to `sink` in the order of the items.
///
/// At most `ahead` items are between being drawn and being taken by `sink`, which bounds memory.
/// With one thread everything runs in place, in the same order. An error of `sink` ends the work.
///
/// # Errors
/// The first error of `sink`.
///
/// # Panics
/// A panic of `map` is passed on.
///
/// ```
/// let mut squares = Vec::new();
/// audsem_core::parallel::ordered_map(1..=4, 2, 8, |n| n * n, |square| {
///     squares.push(square);
///     Ok::<(), std::convert::Infallible>(())
/// })?;
/// assert_eq!(squares, [1, 4, 9, 16]);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
pub fn ordered_map<T, U, E>(
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    threads: usize,
    ahead: usize,
    map: impl Fn(T) -> U + Sync,
    mut sink: impl FnMut(U) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    U: Send,
{
    let items = items.into_iter();
    if threads <= 1 {
        return items.map(map).try_for_each(sink);
    }
    let ahead = ahead.max(threads);
    // A permit is held from drawing an item to handing over its result.
    let (take_permit, give_permit) = bounded::<()>(ahead);
    let (task_in, task_out) = bounded::<(usize, T)>(ahead);
    let (result_in, result_out) = unbounded::<(usize, U)>();
    thread::scope(|scope| {
        scope.spawn(move || feed(items, &take_permit, &task_in));
        for _ in 0..threads {
            let (task_out, result_in, map) = (task_out.clone(), result_in.clone(), &map);
            scope.spawn(move || {
                for (index, item) in task_out {
                    if result_in.send((index, map(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop((task_out, result_in));
        // Owned by this call, so that returning early closes both channels and frees the feeder.
        drain(result_out, give_permit, &mut sink)
    })
}

fn feed<T>(items: impl Iterator<Item = T>, take_permit: &Sender<()>, tasks: &Sender<(usize, T)>) {
    for (index, item) in items.enumerate() {
        if take_permit.send(()).is_err() || tasks.send((index, item)).is_err() {
            break;
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "dropping the receivers is what stops the other threads")]
fn drain<U, E>(
    results: Receiver<(usize, U)>,
    permits: Receiver<()>,
    sink: &mut impl FnMut(U) -> Result<(), E>,
) -> Result<(), E> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, result) in &results {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&next) {
            next += 1;
            let _ = permits.recv();
            sink(result)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn keeps_order_whatever_the_threads_do() {
        for threads in [1, 2, 7] {
            let mut got = Vec::new();
            let work = |n: u64| (0..(n * 7919) % 2000).fold(n, |a, _| std::hint::black_box(a));
            ordered_map(0..500, threads, 4, work, |n| {
                got.push(n);
                Ok::<(), Infallible>(())
            })
            .unwrap();
            assert_eq!(got, (0..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn draws_no_more_than_the_bound_ahead_of_the_sink() {
        let drawn = AtomicUsize::new(0);
        let mut taken = 0;
        let items = (0..200).inspect(|_| {
            drawn.fetch_add(1, Ordering::SeqCst);
        });
        ordered_map(
            items,
            2,
            5,
            |n| n,
            |_| {
                taken += 1;
                // One more than the bound: an item is drawn before its permit is waited for.
                assert!(drawn.load(Ordering::SeqCst) <= taken + 5 + 1);
                Ok::<(), Infallible>(())
            },
        )
        .unwrap();
    }

    #[test]
    fn an_error_of_the_sink_ends_the_work() {
        let drawn = AtomicUsize::new(0);
        let items = (0..1_000_000).inspect(|_| {
            drawn.fetch_add(1, Ordering::SeqCst);
        });
        let result = ordered_map(items, 2, 4, |n| n, |n| if n == 10 { Err("full") } else { Ok(()) });
        assert_eq!(result, Err("full"));
        assert!(drawn.load(Ordering::SeqCst) < 1000);
    }
}
