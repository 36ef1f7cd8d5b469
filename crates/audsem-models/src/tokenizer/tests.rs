#![allow(clippy::unwrap_used)]

use super::*;
use rand::SeedableRng;

const TEXTS: [&str; 6] = [
    "dog barks loudly",
    "dogs barking",
    "a dog barks in the distance",
    "wind howling",
    "howling wind and rain",
    "rain falls",
];

#[test]
fn training_repeats_and_the_vocabulary_starts_with_the_special_tokens() {
    let a = train_wordpiece(TEXTS, 120).unwrap();
    let b = train_wordpiece(TEXTS, 120).unwrap();
    assert_eq!(a.to_string(false).unwrap(), b.to_string(false).unwrap());
    assert_eq!(vocab_txt(&a).lines().take(5).collect::<Vec<_>>(), SPECIAL_TOKENS);
}

#[test]
fn byte_level_tokens_spell_any_text_and_training_repeats() {
    let train = || train_byte_level_bpe(TEXTS, 320).unwrap();
    let (a, b) = (train(), train());
    assert_eq!(a.to_string(false).unwrap(), b.to_string(false).unwrap());
    let encoder = Tokenizer::new(a, 64).unwrap();
    let ids = encoder.ids("a dog barks: naïve 🐕").unwrap();
    assert_eq!((ids[0], ids[ids.len() - 1]), (0, 2));
    let text = encoder.inner().decode(&ids, true).unwrap();
    assert_eq!(text, "a dog barks: naïve 🐕");
}

#[test]
fn encodes_like_bert_and_cuts_at_the_limit() {
    let encoder = Tokenizer::new(train_wordpiece(TEXTS, 120).unwrap(), 4).unwrap();
    let ids = encoder.ids("DOG barks, dog barks").unwrap();
    let tokens: Vec<String> = ids.iter().map(|&id| encoder.inner().id_to_token(id).unwrap()).collect();
    assert_eq!(tokens, ["[CLS]", "dog", "barks", "[SEP]"]);
}

#[test]
fn random_segments_spell_the_same_words() {
    let encoder = Tokenizer::new(train_wordpiece(TEXTS, 120).unwrap(), 32).unwrap();
    let segmenter = Segmenter::new(&encoder, 32);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut longer, text) = (0, "Dogs barking, wind and RAIN");
    assert_eq!(segmenter.encode(text, 0.0, &mut rng).unwrap(), encoder.ids(text).unwrap());
    for _ in 0..50 {
        let ids = segmenter.encode(text, 0.5, &mut rng).unwrap();
        let tokens = ids[1..ids.len() - 1].iter().map(|&id| encoder.inner().id_to_token(id).unwrap());
        let spelled: String = tokens.map(|token| token.trim_start_matches("##").to_owned()).collect();
        assert_eq!(spelled, "dogsbarking[UNK]windandrain");
        longer += usize::from(ids.len() > encoder.ids(text).unwrap().len());
    }
    assert!(longer > 25, "{longer}");
}

#[test]
fn a_vocabulary_file_alone_gives_the_same_tokenizer() {
    let trained = train_wordpiece(TEXTS, 120).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::io::Write::write_all(
        &mut std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("vocab.txt")).unwrap(),
        vocab_txt(&trained).as_bytes(),
    )
    .unwrap();
    let loaded = Tokenizer::load(&ModelDir::local(folder.path()), 32, None).unwrap();
    let trained = Tokenizer::new(trained, 32).unwrap();
    for text in TEXTS.into_iter().chain(["Café [x] ♪", "", "unknownword, rain!"]) {
        assert_eq!(loaded.ids(text).unwrap(), trained.ids(text).unwrap(), "{text}");
    }
}

#[test]
fn a_folder_without_a_tokenizer_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(&ModelDir::local(folder.path()), 32, None).unwrap_err().to_string();
    assert!(error.contains("lacks `tokenizer.json`"), "{error}");
}

/// Heads of every length, of texts with all kinds of blanks, marks, ideographs, unknown and special words: where a head
/// tells its tokens at all, they are those of the whole text.
#[test]
fn the_head_of_a_long_text_has_the_tokens_of_the_whole() {
    use rand::Rng;
    let parts = [
        "rain",
        " ",
        "  ",
        "\t",
        "\n\n",
        "\u{a0}",
        "\u{3000}",
        "dog's",
        "'s",
        "e\u{301}",
        "\u{301}",
        "\u{4e2d}\u{6587}",
        "[SEP]",
        "</s>",
        "<mask>",
        ",",
        "...",
        "7",
        "\u{1f415}",
        "\u{1}",
        "\u{fffd}",
        "\u{200b}",
        "Stra\u{df}e",
        "\u{3a3}",
    ];
    let bert = || Tokenizer::new(train_wordpiece(TEXTS, 120).unwrap(), 9).unwrap();
    let roberta = || Tokenizer::new(train_byte_level_bpe(TEXTS, 320).unwrap(), 9).unwrap();
    let checkpoint = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name);
        Tokenizer::load(&ModelDir::local(&folder), 64, Some(9)).unwrap()
    };
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    for tokenizer in [bert(), roberta(), checkpoint("clap_tiny"), checkpoint("minilm_tiny")] {
        let (mut told, mut untold) = (0, 0);
        for _ in 0..60 {
            let text: String = (0..40).map(|_| parts[rng.random_range(0..parts.len())]).collect();
            let whole = tokenizer.encode(&text).unwrap();
            for most in 1..text.len() {
                match tokenizer.encode_head(&text, most) {
                    Ok(encoded) => {
                        told += 1;
                        assert_eq!(encoded, whole, "{most} bytes of {text:?}");
                    }
                    Err(error) => {
                        untold += 1;
                        assert!(matches!(error, Error::TextBytes { .. }), "{error}");
                    }
                }
            }
        }
        assert!(told > 1000 && untold > 100, "{told} told, {untold} not");
    }
}

#[test]
fn very_long_texts_take_little_memory_or_are_refused() {
    let tokenizer = Tokenizer::new(train_wordpiece(TEXTS, 120).unwrap(), 9).unwrap();
    let words = "rain falls ".repeat(10 << 20);
    let encoded = tokenizer.encode(&words).unwrap();
    assert!(encoded.truncated);
    assert_eq!(encoded.ids, tokenizer.ids(&words[..1100]).unwrap());
    // One word, which is unknown whatever it is, and blanks: neither tells what comes behind the head.
    for text in ["x".repeat(50 << 20), format!("rain {}", " ".repeat(50 << 20))] {
        assert!(matches!(tokenizer.encode(&text), Err(Error::TextBytes { .. })));
    }
    // A token with a blank in it might reach over any cut.
    let mut inner = train_wordpiece(TEXTS, 120).unwrap();
    inner.add_tokens([tokenizers::AddedToken::from("rain falls", false)]).unwrap();
    let tokenizer = Tokenizer::new(inner, 9).unwrap();
    assert!(matches!(tokenizer.encode(&words), Err(Error::TextBytes { .. })));
}

/// `vocab.json` and `merges.txt`, which folders of RoBERTa and CLAP have from before there was `tokenizer.json`.
#[test]
fn vocabulary_and_merges_stand_in_for_the_whole_tokenizer() {
    let trained = train_byte_level_bpe(TEXTS, 320).unwrap();
    let write = |folder: &Path, name: &str, text: &str| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(whole.path(), "tokenizer.json", &trained.to_string(false).unwrap());
    tokenizers::Model::save(trained.get_model(), parts.path(), None).unwrap();
    for folder in [&whole, &parts] {
        write(folder.path(), "config.json", r#"{"model_type": "clap"}"#);
        write(
            folder.path(),
            "tokenizer_config.json",
            r#"{"tokenizer_class": "RobertaTokenizer", "model_max_length": 12}"#,
        );
    }
    let load = |folder: &tempfile::TempDir| Tokenizer::load(&ModelDir::local(folder.path()), 32, None).unwrap();
    let (whole, from_parts) = (load(&whole), load(&parts));
    for text in TEXTS.into_iter().chain([
        "Café [x] ♪",
        "",
        " a  b",
        "<mask> rain</s>",
        "a dog barks in the wind, and a dog barks",
    ]) {
        let (expected, found) = (whole.encode(text).unwrap(), from_parts.encode(text).unwrap());
        assert_eq!((&found.ids, found.truncated), (&expected.ids, expected.truncated), "{text}");
        assert_eq!(found.has_text, !text.is_empty(), "{text}");
        assert_eq!((found.ids[0], *found.ids.last().unwrap()), (0, 2), "{text}");
    }
    std::fs::remove_file(parts.path().join("merges.txt")).unwrap();
    let error = Tokenizer::load(&ModelDir::local(parts.path()), 32, None).unwrap_err().to_string();
    assert!(error.contains("lacks `tokenizer.json`"), "{error}");
}

/// A tokenizer that puts nothing around a text, as those of many language models.
#[test]
fn what_is_cut_at_the_limit_is_told_from_what_ends_there() {
    let mut bare = train_wordpiece(TEXTS, 120).unwrap();
    bare.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    let file = bare.to_string(false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let mut file =
            std::fs::OpenOptions::new().create(true).write(true).truncate(true).open(folder.path().join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    write("tokenizer.json", &file);
    for side in ["right", "left"] {
        let class = r#""tokenizer_class": "PreTrainedTokenizerFast""#;
        write("tokenizer_config.json", &format!(r#"{{{class}, "truncation_side": "{side}"}}"#));
        let tokenizer = Tokenizer::load(&ModelDir::local(folder.path()), 3, None).unwrap();
        let tokens = |text: &str| -> (Vec<String>, bool) {
            let Encoded { ids, truncated, .. } = tokenizer.encode(text).unwrap();
            (ids.iter().map(|id| tokenizer.inner().id_to_token(*id).unwrap()).collect(), truncated)
        };
        let of = |words: [&str; 3], truncated: bool| (words.map(str::to_owned).to_vec(), truncated);
        assert_eq!(tokens("dog barks wind"), of(["dog", "barks", "wind"], false), "{side}");
        let (cut, longer) = match side {
            "right" => (["dog", "barks", "wind"], ["dog", "barks", "wind"]),
            _ => (["barks", "wind", "dog"], ["dog", "wind", "barks"]),
        };
        assert_eq!(tokens("dog barks wind dog"), of(cut, true), "{side}");
        assert_eq!(tokens("dog barks wind dog dog wind barks"), of(longer, true), "{side}");
        assert_eq!(tokens("wind").1, tokens("").1, "{side}");
    }
    // A long text of which a head is enough.
    let tokenizer = Tokenizer::new(bare, 3).unwrap();
    let words = "rain falls ".repeat(1 << 16);
    let encoded = tokenizer.encode(&words).unwrap();
    assert!(encoded.truncated);
    assert_eq!(encoded.ids, tokenizer.ids("rain falls rain").unwrap());
}
