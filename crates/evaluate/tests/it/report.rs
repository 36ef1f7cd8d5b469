//! `report`.

use audsem_evaluate::prediction::HeardSound;

use crate::answers::{choice, heard, many_choices, write_run};
use crate::workbench::Bench;

fn scored(bench: &Bench, name: &str, right: u64) {
    write_run(bench, &format!("asked-{name}"), &many_choices(right));
    bench.call(&format!("score -i asked-{name} -o {name} --tags yes")).ended(0);
}

#[test]
fn the_page_stands_alone_with_all_that_a_score_needs() {
    let bench = Bench::new();
    scored(&bench, "one", 15);
    scored(&bench, "two", 5);
    bench.write("wav/sounds/1.wav", b"RIFF");
    let metrics = "{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":1.0}\n";
    audsem_core::testing::finished_run(&bench.path("training"), &[("metrics.jsonl", metrics.as_bytes())]).unwrap();
    let flags = "--sounds wav --pipeline data=asked-one --training training --title A&B";
    let called = bench.call(&format!("report -i one=one two {flags} -o out")).ended(0);
    assert_eq!(called.summary()["results"]["page"], "out/report.html");
    let page = bench.text("out/report.html");
    for part in [
        "<title>A&amp;B</title>",
        "20 questions about 10 sounds",
        "0.0 % (0.0–16.1)",
        "75.0 % (",
        "options in other orders",
        "without sound",
        "an option drawn at random: 25.0 %",
        "+50.0 %",
        "McNemar",
        "data:audio/wav;base64,UklGRg==",
        "not among the sounds given",
        "semantic elements",
        "Qwen2.5-Omni-7B",
        "Training training: 2 updates",
        "<polyline",
        "configuration ",
    ] {
        assert!(page.contains(part), "{part:?} is not in the page");
    }
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for part in ["<dt>data sets</dt>", "<dt>day</dt>", "<a href=\"answers.csv\">", "audsem-evaluate score"] {
        assert!(page.contains(part), "{part:?} is not in the page");
    }
    let answers = bench.text("out/answers.csv");
    let right =
        answers.lines().filter(|line| line.starts_with("one,") && line.contains(",sound,0,") && line.ends_with(",1"));
    assert_eq!(right.count(), 15, "{answers}");
    let text = bench.text("out/report.md");
    for part in [
        "# A&B",
        "| one | 75.0 % (",
        "| two | 25.0 % (",
        "## Where the training data come from",
        "Left nothing out: data.",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("not run"), "everything was run");
}

#[test]
fn a_score_never_stands_without_what_was_not_run() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[vec![choice(0, "a dog"), choice(1, "a cat")]]);
    bench.call("score -i asked -o scored").ended(0);
    bench.call("report -i scored -o out").ended(0);
    for name in ["out/report.html", "out/report.md"] {
        let page = bench.text(name);
        assert!(page.contains("not run") && page.contains("--permute K") && page.contains("--blind"), "{name}");
    }
    let refused = bench.call("report -i asked -o bad").ended(2);
    refused.says("this is no run folder of `score`, but one of ");
    bench
        .call("report -i nowhere -o bad")
        .ended(2)
        .says("there is no such folder: nowhere\nhint: name the output folder of `score`");
    bench.call("score -i scored -o bad").ended(2).says("no run folder of `predict` or `import`, but one of `score`");
    bench.call("score -i asked --judgements asked -o bad").ended(2).says("this is no run folder of `judge`");
}

/// What a run answers as well without the sounds is no evidence of hearing, and the page says so.
#[test]
fn a_run_that_does_not_need_the_sounds_is_told() {
    let bench = Bench::new();
    // With the sound 15 of 20 are right, with silence none, and without sound every fourth.
    scored(&bench, "hears", 15);
    // Every question is answered with silence as it is with the sound.
    let deaf: Vec<_> = (0..20)
        .flat_map(|n| {
            let asked = choice(n, if n < 15 { "a dog" } else { "a cat" });
            [asked.clone(), heard(asked, HeardSound::Silence)]
        })
        .collect();
    write_run(&bench, "asked-deaf", &[deaf]);
    bench.call("score -i asked-deaf -o deaf").ended(0);
    for name in ["hears", "deaf"] {
        bench.call(&format!("report -i {name} -o page-{name}")).ended(0);
    }
    let [hears, deaf] = ["hears", "deaf"].map(|name| bench.text(&format!("page-{name}/report.html")));
    let words = "Nothing here shows that the model has listened";
    assert!(
        !hears.contains(words) && hears.contains("<th>hears with sound</th><th>hears with silence</th><td>+75.0 %")
    );
    assert!(hears.contains("<th>hears without sound</th><td>+50.0 %"), "15 of 20 less 5 of 20");
    assert!(deaf.contains(&format!("deaf with sound is no better than deaf with silence by more than chance explains: 0.0 % (0.0 % to 0.0 %). {words}")));
    assert!(bench.text("page-deaf/report.md").contains(words));
}

#[test]
fn runs_on_other_questions_are_not_compared() {
    let bench = Bench::new();
    let mut other = choice(0, "a dog");
    other.item.question = "What else?".to_owned();
    write_run(&bench, "asked-one", &[vec![choice(0, "a dog")]]);
    write_run(&bench, "asked-two", &[vec![other]]);
    for name in ["one", "two"] {
        bench.call(&format!("score -i asked-{name} -o {name}")).ended(0);
    }
    bench.call("report -i one two -o out").ended(0);
    let page = bench.text("out/report.html");
    assert!(
        page.contains("not compared: the data sets differ") && page.contains("its score is not comparable"),
        "{page}"
    );
}
