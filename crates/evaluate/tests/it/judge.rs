//! `judge`, with a real server on the loopback.

use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::judge::Judgement;
use audsem_evaluate::prediction::Prediction;
use serde_json::{Value, json};

use crate::answers::{choice, free, without_sound, write_run};
use crate::workbench::Bench;

fn say(text: &str) -> Reply {
    let body = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]});
    Reply::Send(200, "", body.to_string().into_bytes())
}

/// The text of a request to the judge.
fn asked(request: &ReceivedRequest) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    body["messages"]
        .as_array()
        .map(|turns| turns.iter().map(|turn| turn["content"].to_string()).collect())
        .unwrap_or_default()
}

pub(crate) fn open_questions() -> Vec<Prediction> {
    let answers = ["good", "bad", "none of use", "good and bad"];
    let mut asked: Vec<Prediction> = answers
        .iter()
        .zip(0..)
        .map(|(answer, n)| free(AnswerKind::Open, "clotho_aqa_test", n, &["a dog"], answer))
        .collect();
    asked.push(without_sound(free(AnswerKind::Open, "clotho_aqa_test", 4, &["a dog"], "")));
    asked
}

fn judgements(bench: &Bench, name: &str) -> Vec<Judgement> {
    bench.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ratings by what the answer says; nonsense about one of them, at first about another, too.
pub(crate) fn rate(request: &ReceivedRequest) -> Reply {
    let text = asked(request);
    match () {
        () if request.method == "GET" => Reply::Send(200, "", br#"{"data": [{"id": "judge-1"}]}"#.to_vec()),
        () if text.contains("none of use") => say("I rate it 7."),
        () if text.contains("good and bad") && !text.contains("Answer again") => say("Explanation: it depends."),
        () if text.contains("good and bad") => say("Rating: 3\nExplanation: two parts"),
        () if text.contains("bad") => say("Explanation: not 5.\nRating: 1"),
        () => say("Explanation: right.\nRating: **5**"),
    }
}

#[test]
fn ratings_are_asked_for_again_and_never_guessed() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[open_questions()]);
    let server = Loopback::start(|request, _| rate(request));
    let url = server.url("/v1");
    // The data set has the rubric `graded`; answers about others have none.
    bench.call(&format!("judge -i asked -o judged --server {url} --max-fail-rate 1")).ended(0);
    assert_eq!(bench.json("judged/run.json")["config"]["by"]["rubric"], "graded");
    write_run(&bench, "own", &[vec![free(AnswerKind::Open, "own", 0, &["a dog"], "a dog")]]);
    let refused = bench.call(&format!("judge -i own -o refused --server {url}")).ended(2);
    refused.says("no rubric belongs to answers about own");
    refused.says("choose with --rubric among graded");
    let found = judgements(&bench, "judged/part-00000.jsonl");
    let outcomes: Vec<(&str, Option<f64>)> = found.iter().map(|one| (one.outcome.name(), one.rating)).collect();
    let expected = [
        ("rated", Some(5.0)),
        ("rated", Some(1.0)),
        ("no-rating", None),
        ("rated", Some(3.0)),
        ("no-answer", Some(0.0)),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(bench.rejects("judged/rejects-00000.jsonl").len(), 1, "what the judge has not rated is told");
    let request: Value =
        serde_json::from_str(&server.calls().iter().find(|call| call.method == "POST").unwrap().body).unwrap();
    assert_eq!((&request["temperature"], request["seed"].is_u64()), (&0.0.into(), true));

    bench.call("score -i asked -o out --judgements judged").ended(0);
    let summary = bench.json("out/summary.json");
    let metrics = &summary["benchmarks"]["clotho_aqa_test"]["heard"]["sound"]["metrics"];
    let value = |name: &str| metrics.as_array().unwrap().iter().find(|one| one[0] == name).unwrap()[1].clone();
    // Times 20: (5 + 1 + 0 + 3 + 0) / 5, and without the missing rating (5 + 1 + 3 + 0) / 4.
    assert_eq!((&value("judge")["value"], &value("judge")["n"]), (&36.0.into(), &5.into()));
    assert_eq!((&value("judge-rated")["value"], &value("judge-rated")["n"]), (&45.0.into(), &4.into()));
    assert_eq!(summary["judge"]["rubric"], "graded");
    let heard = &summary["benchmarks"]["clotho_aqa_test"]["heard"]["sound"];
    assert_eq!((&heard["n_judged"], &heard["n_rated"]), (&5.into(), &4.into()));
    bench.call("report -i out -o page").ended(0);
    let page = bench.text("page/report.md");
    assert!(page.contains("| left to the judge | 5 |") && page.contains("| with a rating | 4 |"), "{page}");
}

/// Ratings of the answers of one run say nothing of those of another, though the questions have the same names.
#[test]
fn ratings_of_other_answers_are_refused() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[open_questions()]);
    write_run(&bench, "other", &[vec![free(AnswerKind::Open, "clotho_aqa_test", 0, &["a dog"], "bad")]]);
    let server = Loopback::start(|request, _| rate(request));
    bench.call(&format!("judge -i asked -o judged --server {} --max-fail-rate 1", server.url("/v1"))).ended(0);
    for command in ["score", "export --format audiobench"] {
        let refused = bench.call(&format!("{command} -i other --judgements judged -o out")).ended(2);
        refused.says("other answers than those in other/part-00000.jsonl: judged\nhint: run `judge` over");
        let refused = bench.call(&format!("{command} -i asked other --judgements judged -o out")).ended(2);
        refused.says("has an answer in asked");
        let refused = bench.call(&format!("{command} -i asked --judgements judged --tags yes -o out")).ended(2);
        refused.says("use the same --extract and --tags");
        assert!(!bench.path("out").exists());
    }
    bench.call("score -i asked --judgements judged --tags no -o out").ended(0);
    // A copy of the predictions is the same.
    write_run(&bench, "copy", &[open_questions()]);
    bench.call("score -i copy --judgements judged -o of-copy").ended(0);
}

/// A judge that is down leaves the run open; the same command asks what is missing, and the folder is that of a run without
/// trouble.
#[test]
fn a_judge_that_was_down_is_asked_again() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[open_questions()]);
    let trouble = Loopback::start(|request, n| match n {
        _ if request.method == "GET" => rate(request),
        _ if asked(request).contains("bad") => Reply::Send(503, "", b"overloaded".to_vec()),
        _ => rate(request),
    });
    let flags = "--rubric graded --model judge-1 --max-fail-rate 1 --timeout 5";
    let down = format!("judge -i asked -o judged {flags} --retries 0 --server {}", trouble.url("/v1"));
    bench.call(&down).ended(1).says("have no answer yet");
    assert!(!bench.path("judged/part-00000.jsonl").exists());
    bench.call("score -i asked -o out --judgements judged").ended(2);
    let calls = trouble.calls().len();
    drop(trouble);
    let server = Loopback::start(|request, _| rate(request));
    bench.call(&format!("judge -i asked -o judged {flags} --server {}", server.url("/v1"))).ended(0);
    bench.call(&format!("judge -i asked -o whole {flags} --server {}", server.url("/v1"))).ended(0);
    assert_eq!(bench.text("judged/part-00000.jsonl"), bench.text("whole/part-00000.jsonl"));
    assert!(calls > 0);
}

#[test]
fn a_judge_that_talks_nonsense_ends_the_run() {
    let bench = Bench::new();
    let asked = (0..30).map(|n| free(AnswerKind::Open, "x", n, &["a dog"], &format!("answer {n}"))).collect();
    write_run(&bench, "asked", &[asked]);
    let server = Loopback::start(|_, _| say("No comment."));
    let called =
        bench.call(&format!("judge -i asked -o judged --rubric binary --model m --server {}", server.url("/v1")));
    called.ended(2).says("it has no rating");
}

#[test]
fn a_slow_judge_is_waited_for_in_bounds() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[vec![free(AnswerKind::Open, "x", 0, &["a dog"], "good")]]);
    let server = Loopback::start(|request, n| if n == 0 { Reply::Hang } else { rate(request) });
    let flags = "--rubric graded --model m --timeout 0.3 --retries 2";
    bench.call(&format!("judge -i asked -o judged {flags} --server {}", server.url("/v1"))).ended(0);
    assert_eq!(judgements(&bench, "judged/part-00000.jsonl")[0].rating, Some(5.0));
    assert!(server.calls().len() >= 2);
}

/// Right answers alone are graded, five times each, by the criteria of the question.
#[test]
fn the_rubric_of_mmar_grades_the_reasoning_of_right_answers() {
    let bench = Bench::new();
    let right = choice(0, "<think>It barks.</think><answer>B. a dog</answer>");
    let others = [choice(1, "<answer>A. a cat</answer>"), choice(2, " "), without_sound(choice(3, ""))];
    write_run(&bench, "asked", &[[vec![right], others.into()].concat()]);
    let ratings = ["0.2", "0.6", "0.8", "0.4", "1.0"];
    let server = Loopback::start(move |request, _| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert!(asked(request).contains("hears it") && asked(request).contains("It barks."), "{body}");
        say(&format!("Rating: {}", ratings[(body["seed"].as_u64().unwrap() % 5) as usize]))
    });
    bench.call(&format!("judge -i asked -o judged --rubric mmar --model m --server {}", server.url("/v1"))).ended(0);
    let found = judgements(&bench, "judged/part-00000.jsonl");
    assert_eq!(found[0].rating.map(|rating| (rating * 1e9).round() / 1e9), Some(0.6), "the mean of the middle three");
    for wrong in &found[1..] {
        assert_eq!((wrong.outcome.name(), wrong.rating), ("wrong", Some(0.0)), "{}", wrong.id);
    }
    assert_eq!(found.len(), 4);
    assert_eq!(server.calls().iter().filter(|call| call.method == "POST").count(), 5);
}
