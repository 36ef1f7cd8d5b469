//! How much a command tells, and how often: `-q`, `-v` and `-vv`.

use audsem_core::testing::Bench;
use audsem_core::testing::loopback::Loopback;

use super::fetch_captions::site;
use super::programs::yt_dlp;

fn bench() -> Bench {
    Bench::new(env!("CARGO_BIN_EXE_audsem-filtering"))
}

#[test]
fn each_v_tells_more_and_q_tells_errors_alone() {
    let bench = bench();
    bench.write("ids.txt", "a\nbroken\n");
    let server = Loopback::start(site);
    let fetch = format!(
        "fetch-captions -i ids.txt --languages en --workers 1 --retries 1 --retry-wait 0.001 --requests-per-hour 3.6e8 \
         --url-template {} --yt-dlp {}",
        server.url("/{id}.html"),
        yt_dlp().path().display()
    );
    // What of it is told: the counts, what was done about a failure, each call that failed.
    let parts = ["1 video in, 1 kept", "will try again", "yt-dlp failed"];
    for (flag, expected) in [
        ("-q", [false, false, false]),
        ("", [true, false, false]),
        ("-v", [true, true, false]),
        ("-vv", [true, true, true]),
    ] {
        let told = bench.call(&format!("{fetch} -o out{flag} {flag}")).ended(1).stderr;
        assert_eq!(parts.map(|part| told.contains(part)), expected, "{flag}:\n{told}");
        // The cause of a failure is told once, when it happens; in the end there is their number and what to do.
        let lines: Vec<&str> = told.lines().collect();
        let causes = lines.iter().filter(|line| line.contains("shard part-") && line.contains("HTTP Error 503"));
        assert_eq!(causes.count(), 1, "{flag}:\n{told}");
        let totals: Vec<&&str> = lines.iter().filter(|line| line.contains("1 shard failed and is not done")).collect();
        assert_eq!(totals.len(), 1, "{flag}:\n{told}");
        let file = format!("out{flag}/stats.json");
        let says = ["run the same command again to try it again", "the cause is told above and in ", &file];
        assert!(says.iter().all(|part| totals[0].contains(part)), "{flag}:\n{told}");
        assert!(bench.text(&file).contains("HTTP Error 503"));
    }
}

#[test]
fn v_tells_the_steps_that_keep_books() {
    let bench = bench();
    bench.write("cues.csv", "video_id,start,duration,text\nv,1,2,[a dog barks]\n");
    let told = |flag: &str| bench.call(&format!("combine -i cues.csv --policy none -o out {flag}")).ended(0).stderr;
    let (usual, more) = (told(""), told("-v"));
    assert!(usual.contains("  1 cue in, 1 kept") && !usual.contains("  texts: "), "{usual}");
    assert!(more.contains("  1 cue in, 1 kept") && more.contains("  texts: "), "{more}");
    assert_eq!(told("-q"), "");
}
