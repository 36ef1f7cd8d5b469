//! `score`.

use std::time::Instant;

use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::prediction::HeardSound;
use audsem_evaluate::tables::ItemScore;
use audsem_metrics::string_match::is_match;
use proptest::prelude::*;
use serde_json::Value;

use crate::answers::{OPTIONS, choice, free, heard, many_choices, turned, without_sound, write_run};
use crate::workbench::Bench;

/// The value of a metric in a summary.
fn metric(summary: &Value, benchmark: &str, heard: &str, name: &str) -> Value {
    let metrics = summary["benchmarks"][benchmark]["heard"][heard]["metrics"].as_array().unwrap().clone();
    metrics.into_iter().find(|metric| metric[0] == name).unwrap_or_else(|| panic!("no {name}"))[1].clone()
}

#[test]
fn conventions_stand_side_by_side() {
    let bench = Bench::new();
    let outputs = [
        "<answer>B. a dog</answer>",
        "<answer>a dog</answer>",
        "<answer>B</answer>",
        "<answer>C. a cow</answer>",
        "<answer>I cannot tell</answer>",
        "I think of a dog",
    ];
    let mut asked: Vec<_> = outputs.iter().zip(0..).map(|(output, n)| choice(n, output)).collect();
    asked.push(without_sound(choice(6, "")));
    let mut withheld = choice(7, "<answer>B. a dog</answer>");
    withheld.item.references.clear();
    asked.push(withheld);
    write_run(&bench, "asked", &[asked]);
    bench.call("score -i asked -o out --tags yes").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let column = |score: fn(&ItemScore) -> Option<f64>| rows.iter().map(score).collect::<Vec<_>>();
    let (right, wrong) = (Some(1.0), Some(0.0));
    // `B` collides with no word here, and the `a` of every option is one of the right one, too.
    assert_eq!(column(|row| row.official), [right, right, wrong, wrong, wrong, wrong, wrong, None]);
    assert_eq!(column(|row| row.parsed), [right, right, right, wrong, wrong, wrong, wrong, None]);
    let random = Some(0.25);
    assert_eq!(column(|row| row.lmms_eval), [right, random, right, wrong, random, random, random, None]);
    assert_eq!(column(|row| row.evalscope), [right, wrong, right, wrong, wrong, wrong, wrong, None]);
    assert_eq!(column(|row| row.letter), [right, wrong, right, wrong, wrong, wrong, wrong, None]);
    let skipped: Vec<bool> = rows.iter().map(|row| row.letter_skipped).collect();
    assert_eq!(skipped, [false, true, false, false, true, true, true, false]);
    let summary = bench.json("out/summary.json");
    let heard = &summary["benchmarks"]["mmau"]["heard"]["sound"];
    assert_eq!((&heard["n_total"], &heard["n_scored"], &heard["n_with_answer"]), (&8.into(), &7.into(), &6.into()));
    assert_eq!(heard["statuses"], serde_json::json!({ "answered": 7, "no-sound": 1 }));
    assert_eq!(heard["answer_sources"], serde_json::json!({ "none": 2, "tag": 6 }));
    let official = metric(&summary, "mmau", "sound", "official");
    assert_eq!((&official["value"], &official["n"]), (&(2.0 / 7.0).into(), &7.into()));
    assert_eq!(metric(&summary, "mmau", "sound", "letter-found")["value"], 2.0 / 3.0);
    assert_eq!(summary["benchmarks"]["mmau"]["chance"], 0.25);
}

/// The published scripts drop questions whose sound is missing.
#[test]
fn questions_without_sound_are_wrong_unless_the_reference_is_asked_for() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[vec![choice(0, "a dog"), without_sound(choice(1, ""))]]);
    bench.call("score -i asked -o fixed").ended(0);
    bench.call("score -i asked -o reference --compat reference").ended(0);
    let value =
        |name: &str| metric(&bench.json(&format!("{name}/summary.json")), "mmau", "sound", "official")["value"].clone();
    assert_eq!((value("fixed"), value("reference")), (0.5.into(), 1.0.into()));
}

#[test]
fn the_first_tag_counts_for_the_reference_and_the_last_here() {
    let bench = Bench::new();
    let asked = vec![choice(0, "<answer>a cat</answer> no, <answer>a dog</answer>"), choice(1, "so <answer>a dog")];
    write_run(&bench, "asked", &[asked]);
    for (flags, expected) in [("", ["a dog", "a dog"]), ("--extract reference", ["a cat", "a dog"])] {
        bench.call(&format!("score -i asked -o out --fresh {flags}")).ended(0);
        let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
        assert_eq!(rows.iter().map(|row| row.answer.as_deref().unwrap()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn orders_silence_and_no_sound_stand_beside_the_score() {
    let bench = Bench::new();
    write_run(&bench, "asked", &many_choices(15));
    bench.call("score -i asked -o out --tags yes").ended(0);
    let summary = bench.json("out/summary.json");
    let value = |heard: &str| metric(&summary, "mmau", heard, "official")["value"].clone();
    assert_eq!((value("sound"), value("silence"), value("nothing")), (0.75.into(), 0.0.into(), 0.25.into()));
    let permutations = &summary["benchmarks"]["mmau"]["heard"]["sound"]["permutations"];
    assert_eq!((&permutations["n_orders"], &permutations["n_questions"]), (&3.into(), &20.into()));
    // Every fourth question is answered with another option in the third order; 4 of these 5 were right at first.
    assert_eq!(permutations["consistency"], 0.75);
    assert_eq!(permutations["by_order"].as_array().unwrap().len(), 3);
    assert_eq!(permutations["always_right"], 11.0 / 20.0);
    assert_eq!(permutations["mean"]["n"], 20, "each question counts once");
    let official = metric(&summary, "mmau", "sound", "official");
    let ends = |interval: &Value| (interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap());
    for interval in [&official["wilson"], &official["bootstrap"]] {
        let (low, high) = ends(interval);
        assert!(low < 0.75 && 0.75 < high && high <= 1.0 && low > 0.3, "{official}");
    }
    let tasks = &summary["benchmarks"]["mmau"]["heard"]["sound"]["groups"]["task"];
    let right = [5.0 / 7.0, 5.0 / 7.0, 5.0 / 6.0];
    assert!((tasks["macro_mean"].as_f64().unwrap() - right.iter().sum::<f64>() / 3.0).abs() < 1e-12, "{tasks}");
    let thinking = &summary["benchmarks"]["mmau"]["heard"]["sound"]["thinking"];
    assert_eq!((&thinking["n_thinking"], &thinking["n_well_formed"]), (&20.into(), &20.into()));
    assert_eq!((&thinking["mean_words"], &thinking["median_words"]), (&48.0.into(), &48.into()));
    let budgets: Vec<u64> = thinking["by_budget"]
        .as_array()
        .unwrap()
        .iter()
        .map(|budget| budget["estimate"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(budgets, [4, 4, 4, 8], "0, 24, 48, 72 and 96 words, four of each");
}

/// A question with two options has two orders, and does not count less for it.
#[test]
fn each_question_counts_once_in_the_mean_over_orders() {
    let bench = Bench::new();
    let mut asked = vec![choice(0, "a dog"), choice(1, "a cow")];
    asked.extend([1, 2, 3].map(|order| turned(choice(0, ""), order, 1)));
    asked.push(turned(choice(1, ""), 1, 2));
    write_run(&bench, "asked", &[asked]);
    bench.call("score -i asked -o out").ended(0);
    let summary = bench.json("out/summary.json");
    let permutations = &summary["benchmarks"]["mmau"]["heard"]["sound"]["permutations"];
    for name in ["mean_parsed", "mean"] {
        let mean = &permutations[name];
        // The letters of three orders are no words of other options, so that both rules agree.
        assert_eq!((&mean["value"], &mean["n"]), (&0.5.into(), &2.into()), "{name}");
    }
}

#[test]
fn word_errors_are_a_ratio_of_sums() {
    let bench = Bench::new();
    let spoken = [("It's a dog.", "it is a dog"), ("we saw the sea", "we saw sea"), ("", "hello"), ("the sea", "")];
    let asked = spoken.iter().zip(0..).map(|((reference, output), n)| {
        free(AnswerKind::Transcript, "librispeech_test_clean", n, &[reference], output)
    });
    write_run(&bench, "asked", &[asked.collect()]);
    bench.call("score -i asked -o out").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let counts: Vec<_> = rows.iter().map(|row| (row.word_errors.unwrap(), row.reference_words.unwrap())).collect();
    assert_eq!(counts, [(0, 4), (1, 4), (1, 0), (2, 2)]);
    let wer = metric(&bench.json("out/summary.json"), "librispeech_test_clean", "sound", "wer");
    assert_eq!((&wer["value"], &wer["n"]), (&0.4.into(), &4.into()));
    assert!(wer["bootstrap"].is_array() && wer["wilson"].is_null(), "{wer}");
    // The published evaluation lets a word stand for an empty text.
    bench.call("score -i asked -o reference --compat reference").ended(0);
    let rows: Vec<ItemScore> = bench.rows("reference/scores.parquet");
    assert_eq!(rows.iter().map(|row| row.reference_words.unwrap()).sum::<u64>(), 11);
}

#[test]
fn translations_are_scored_together() {
    let bench = Bench::new();
    let said = ["the dog barks at the cat", "it rains on the roof of the barn"];
    let asked =
        said.iter().zip(0..).map(|(text, n)| free(AnswerKind::Translation, "covost2_zh_en_test", n, &[text], text));
    write_run(&bench, "asked", &[asked.collect()]);
    bench.call("score -i asked -o out --bleu-tokens 13a").ended(0);
    let summary = bench.json("out/summary.json");
    let bleu = metric(&summary, "covost2_zh_en_test", "sound", "bleu");
    assert!((bleu["value"].as_f64().unwrap() - 100.0).abs() < 1e-9 && bleu["n"] == 2, "{bleu}");
    assert_eq!(summary["bleu_tokens"], "13a");
    let notes = summary["benchmarks"]["covost2_zh_en_test"]["notes"].to_string();
    assert!(notes.contains("sacrebleu's `13a`") && notes.contains("`flores101` (--bleu-model)"), "{notes}");
}

#[test]
fn captions_are_compared_with_all_of_their_data_set() {
    let bench = Bench::new();
    let captions: [(&[&str], &str); 3] = [
        (&["a dog barks loudly", "loud barking of a dog"], "a dog barks loudly"),
        (&["rain falls on a roof"], "rain on a tin roof"),
        (&["people talk"], "a bell rings"),
    ];
    let asked =
        captions.iter().zip(0..).map(|((right, said), n)| free(AnswerKind::Caption, "clotho_test", n, right, said));
    write_run(&bench, "asked", &[asked.collect()]);
    bench.write("spice.csv", "id,spice\nq0,0.5\nq1,0.25\n");
    let told = bench.call("score -i asked -o out --spice spice.csv").ended(0).summary();
    let line = told["results"]["clotho_test"].as_str().unwrap().to_owned();
    assert!(
        line.starts_with("CIDEr-D ") && line.ends_with("of 3 answers; with silence not run, without sound not run"),
        "{line}"
    );
    bench.write("twice.csv", "id,spice\nq0,0.5\nq0,0.25\n");
    bench.call("score -i asked -o twice --spice twice.csv").ended(2).says("question q0 has two values");
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let cider: Vec<f64> = rows.iter().map(|row| row.cider_d.unwrap()).collect();
    assert!(cider[0] > cider[1] && cider[1] > 0.0 && cider[2] == 0.0, "{cider:?}");
    assert_eq!(rows[0].rouge_l, Some(1.0));
    // Four words in one piece: one less half of a quarter, cubed.
    assert_eq!(rows[0].meteor, Some(1.0 - 0.5 / 64.0));
    let summary = bench.json("out/summary.json");
    let words = &summary["benchmarks"]["clotho_test"]["heard"]["sound"]["captions"];
    assert_eq!(
        (&words["vocabulary"], &words["mean_words"], &words["novel"]),
        (&10.into(), &4.0.into(), &(2.0 / 3.0).into())
    );
    let value = |name: &str| metric(&summary, "clotho_test", "sound", name)["value"].as_f64().unwrap();
    assert!((value("cider-d") - cider.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    assert_eq!(value("spice"), 0.375);
    let notes = summary["benchmarks"]["clotho_test"]["notes"].to_string();
    assert!(notes.contains("SPICE is known of 2 of 3 captions"), "{notes}");
    // As if each right caption were a row of its own, of which the first question has two.
    let single = rows[0].meteor_single.unwrap();
    assert!(single < rows[0].meteor.unwrap() && rows[1].meteor_single.is_none());
    assert!((value("meteor-single-without-synonyms") - single).abs() < 1e-12);
    // Eight of the twelve words are right and four of the nine pairs of words; the captions are not shorter than the right ones.
    assert!((value("caption-bleu1") - 8.0 / 12.0).abs() < 1e-6, "{}", value("caption-bleu1"));
    assert!((value("caption-bleu2") - (8.0 / 12.0 * 4.0 / 9.0_f64).sqrt()).abs() < 1e-6, "{}", value("caption-bleu2"));
    assert!(value("caption-bleu4") < value("caption-bleu3") && value("caption-bleu3") < value("caption-bleu2"));
    assert!(value("meteor-without-synonyms") > 0.4, "named by what it is, as no WordNet was given");
    assert!((value("spider") - (cider[0] + cider[1] + 0.75) / 4.0).abs() < 1e-12);
}

/// The right option behind its letter is wrong where the letter is a word of another option, and a wrong option with the words
/// of the right one is right.
#[test]
fn chance_and_ceiling_are_those_of_the_official_rule() {
    let bench = Bench::new();
    let with = |n: u64, choices: [&str; 2], right: &str| {
        let mut asked = choice(n, right);
        asked.item.choices = choices.map(str::to_owned).to_vec();
        asked.shown_choices = asked.item.choices.clone();
        asked.item.references = vec![right.to_owned()];
        asked
    };
    let asked = vec![
        with(0, ["dog", "a cat"], "dog"),
        with(1, ["first dog, then cat", "first cat, then dog"], "first dog, then cat"),
        with(2, [" dog", "cat"], "dog "),
        with(3, ["dog", "cat"], "cow"),
    ];
    write_run(&bench, "asked", &[asked]);
    let told = bench.call("score -i asked -o out").ended(0).summary();
    let found = &bench.json("out/summary.json")["benchmarks"]["mmau"];
    // 1, 2, 1 and 0 of two options are accepted; the letter hides the first of four, and the last has no right option.
    assert_eq!((&found["chance"], &found["chance_official"]), (&0.375.into(), &0.5.into()));
    assert_eq!(found["lettered_official"], 0.5);
    assert_eq!(found["answers_outside"], serde_json::json!(["q3"]), "blanks at the ends are no other answer");
    let line = told["results"]["mmau"].as_str().unwrap().to_owned();
    assert!(line.starts_with("official 100.0 % (51.0–100.0) of 4 answers, in other orders not run;"), "{line}");
    bench.call("report -i out -o page").ended(0);
    let page = bench.text("page/report.html");
    for part in ["an option drawn at random: 50.0 %", "drawn at random scores 50.0 %", "behind its letter 50.0 %"] {
        assert!(page.contains(part), "{part:?} is not in the page");
    }
}

/// Letters in brackets are cut where all options have them, and are words of the option elsewhere, as the official rule has it.
#[test]
fn letters_in_brackets_are_words_where_one_option_has_none() {
    let bench = Bench::new();
    let with = |n: u64, choices: [&str; 2], right: &str, said: &str| {
        let mut asked = choice(n, said);
        asked.item.choices = choices.map(str::to_owned).to_vec();
        asked.shown_choices = asked.item.choices.clone();
        asked.item.references = vec![right.to_owned()];
        asked
    };
    let asked = vec![
        with(0, ["(A) dog", "(B) cat"], "(A) dog", "dog"),
        with(1, ["(A) dog", "(B) cat"], "dog", "(A) dog"),
        with(2, ["(A) minor", "major"], "(A) minor", "minor"),
        with(3, ["(A) minor", "a major"], "(A) minor", "(A) minor"),
    ];
    write_run(&bench, "asked", &[asked]);
    bench.call("score -i asked -o out --tags no").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let official: Vec<Option<f64>> = rows.iter().map(|row| row.official).collect();
    assert_eq!(official, [Some(1.0), Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!(rows.iter().map(|row| row.parsed).collect::<Vec<_>>(), official);
}

#[test]
fn two_answers_to_one_question_are_refused() {
    let bench = Bench::new();
    write_run(&bench, "asked", &[vec![choice(0, "a dog")], vec![choice(0, "a cat")]]);
    bench.call("score -i asked -o out").ended(1).says("two answers to question q0 of mmau");
}

#[test]
fn a_broken_line_is_a_counted_reject() {
    let bench = Bench::new();
    let line = serde_json::to_string(&choice(0, "a dog")).unwrap();
    let text = format!("{line}\n{{\"item\": 1}}\n");
    audsem_core::testing::finished_run(&bench.path("asked"), &[("part-00000.jsonl", text.as_bytes())]).unwrap();
    bench.call("score -i asked -o out --max-fail-rate 1").ended(0);
    assert_eq!(
        bench.rejects("out/rejects-all.jsonl"),
        [("part-00000.jsonl:2".to_owned(), "not_a_prediction".to_owned())]
    );
    bench.call("score -i asked -o strict --max-fail-rate 0").ended(1);
    bench.call("score -i nothing -o out2").ended(2);
}

/// Draws of the bootstrap are few here, because the generator of random numbers is not optimised in a build for tests.
#[test]
fn a_thousand_answers_are_scored_in_a_second() {
    let bench = Bench::new();
    let asked =
        (0..1000).map(|n| choice(n, &format!("<think>{}</think><answer>B. a dog</answer>", "words ".repeat(80))));
    write_run(&bench, "asked", &[asked.collect()]);
    let begin = Instant::now();
    bench.call("score -i asked -o out --resamples 100").ended(0);
    let seconds = begin.elapsed().as_secs_f64();
    assert!(seconds < 2.0, "{seconds} s");
}

/// The vectors of the scorers themselves, through the whole command.
#[test]
fn columns_equal_the_published_scorers() {
    let vectors = include_str!("../../../../fixtures/text_metrics/vectors.jsonl").lines();
    let vectors: Vec<Value> = vectors.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &'static str| vectors.iter().filter(move |vector| vector["kind"] == kind).zip(0..);
    let text = |vector: &Value, name: &str| vector[name].as_str().unwrap().to_owned();
    let bench = Bench::new();
    let choices = of("string_match").map(|(vector, n)| {
        let mut asked = choice(n, &text(vector, "prediction"));
        asked.item.choices =
            vector["choices"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect();
        (asked.shown_choices, asked.item.references) = (asked.item.choices.clone(), vec![text(vector, "answer")]);
        asked
    });
    let spoken = of("wer").map(|(vector, n)| {
        free(AnswerKind::Transcript, "spoken", n, &[&text(vector, "reference")], &text(vector, "prediction"))
    });
    write_run(&bench, "asked", &[choices.collect(), spoken.collect()]);
    bench.call("score -i asked -o out --tags no --normaliser verbatim").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    let (choices, spoken): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == "choice");
    assert_eq!((choices.len(), spoken.len()), (19, 7));
    for (row, (vector, _)) in choices.iter().zip(of("string_match")) {
        assert_eq!(row.official, Some(f64::from(vector["expect"].as_bool().unwrap())), "{vector}");
    }
    for (row, (vector, _)) in spoken.iter().zip(of("wer")) {
        let wer = row.word_errors.unwrap() as f64 / row.reference_words.unwrap() as f64;
        assert_eq!(wer, vector["expect"]["wer"].as_f64().unwrap(), "{vector}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// The column is the official rule on every question, whatever a model writes.
    #[test]
    fn the_official_column_is_the_official_rule(outputs in prop::collection::vec("(a |the |dog|cat|cow|rain|B\\. |[A-D]|é|_|, ){0,8}", 200)) {
        let bench = Bench::new();
        let asked = outputs.iter().zip(0..).map(|(output, n)| choice(n, output)).collect();
        write_run(&bench, "asked", &[asked]);
        bench.call("score -i asked -o out --resamples 100").ended(0);
        let options: Vec<String> = OPTIONS.map(str::to_owned).to_vec();
        for (row, output) in bench.rows::<ItemScore>("out/scores.parquet").iter().zip(&outputs) {
            prop_assert_eq!(row.official, Some(f64::from(is_match(output, "a dog", &options))), "{:?}", output);
        }
    }
}

#[test]
fn an_order_counts_for_the_letter() {
    let bench = Bench::new();
    let asked = vec![choice(0, "B"), turned(choice(0, ""), 1, 1), heard(choice(0, "A"), HeardSound::Nothing)];
    write_run(&bench, "asked", &[asked]);
    bench.call("score -i asked -o out").ended(0);
    let rows: Vec<ItemScore> = bench.rows("out/scores.parquet");
    assert_eq!(rows[1].answer.as_deref(), Some("A. a dog"), "the options are turned round by one place");
    assert_eq!(rows.iter().map(|row| row.parsed).collect::<Vec<_>>(), [Some(1.0), Some(1.0), Some(0.0)]);
}
