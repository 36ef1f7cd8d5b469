//! How busy a server with many slots is kept.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use audsem_core::testing::loopback::Loopback;

use crate::workbench::Bench;
use crate::write::{caption, clips, is_judge, lines, say};

/// Questions that the server answers at the same time.
const SLOTS: u32 = 32;

/// Time that it takes for each answer: in the measured run as little as a small model on a GPU takes for a caption.
const LATENCY: Duration = Duration::from_millis(50);
const MEASURED_LATENCY: Duration = Duration::from_millis(300);

/// The share of the slots' time in which questions were answered, each for the time `latency`, from the first question to
/// the last answer, while `n` clips are written about and judged, and every twentieth is written about twice.
fn busy_share(n: usize, latency: Duration) -> f64 {
    let bench = Bench::new();
    clips(&bench, n);
    let spans: Arc<Mutex<Vec<(Instant, Instant)>>> = Arc::default();
    let noted = Arc::clone(&spans);
    let server = Loopback::start(move |call, number| {
        let begin = Instant::now();
        sleep(latency);
        let reply = match (is_judge(call), number % 20) {
            (true, _) => say(r#"{"reason": "", "valid": true}"#),
            (false, 0) => caption("A visible roof."),
            (false, _) => caption("Rain falls."),
        };
        noted.lock().unwrap().push((begin, Instant::now()));
        reply
    });
    let flags = format!("--server {} --model m --concurrency {SLOTS} --per-shard 250 --workers 2", server.url("/v1"));
    bench.call(&format!("caption -i clips {flags} --judge -o out")).ended(0);
    let keys: Vec<String> =
        lines(&bench, "out/part-00000.jsonl").iter().map(|row| row["file_name"].to_string()).collect();
    assert!(keys.len() == n.min(250) && keys.is_sorted(), "rows do not stand in the order of the clips: {keys:?}");
    let spans = spans.lock().unwrap();
    assert!(spans.len() > 2 * n, "{} questions", spans.len());
    let busy: Duration = spans.iter().map(|(begin, end)| *end - *begin).sum();
    let (first, last) =
        (spans.iter().map(|span| span.0).min().unwrap(), spans.iter().map(|span| span.1).max().unwrap());
    busy.as_secs_f64() / (last - first).as_secs_f64() / f64::from(SLOTS)
}

/// AUDSEM_TEST_BUSY=2000 measures a run of so many clips, which needs a machine with nothing else to do.
#[test]
fn a_server_with_32_slots_is_kept_busy() {
    match std::env::var("AUDSEM_TEST_BUSY").ok().map(|n| n.parse().unwrap()) {
        Some(n) => {
            let share = busy_share(n, MEASURED_LATENCY);
            eprintln!("32 slots were busy for {:.1} % of the time", share * 100.0);
            assert!(share > 0.95, "{share}");
        }
        // Other tests on the same machine, and the end of a short run, leave slots idle; one question at a time would use
        // a thirtieth of them.
        None => assert!(busy_share(150, LATENCY) > 0.2),
    }
}
