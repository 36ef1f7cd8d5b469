//! Conversations about sounds against the processors of transformers.

use audsem_core::hub::ModelDir;
use audsem_llm::Role;
use audsem_models::multimodal::audio_language::AudioLanguageConfig;
use audsem_models::multimodal::processor::{AudioProcessor, ChatTurn, TurnPart};
use serde_json::{Value, json};

use crate::golden::path;

/// The tokenizer, and the golden's audio token and cases.
fn goldens() -> (ModelDir, u64, Vec<Value>) {
    let golden: Value = serde_json::from_slice(&std::fs::read(path("processors.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().clone();
    (ModelDir::local(&path("processor_tiny")), golden["audio_token"].as_u64().unwrap(), cases)
}

fn open(family: &str, dir: &ModelDir, audio_token: u64) -> (AudioProcessor, Vec<String>) {
    let model_type = if family == "qwen2-audio" { "qwen2_audio" } else { "qwen2_5_omni_thinker" };
    let config = json!({"model_type": model_type, "audio_token_index": audio_token});
    let (config, mut notes) = (AudioLanguageConfig::from_json(&config).unwrap(), Vec::new());
    (AudioProcessor::open(dir, &config, &mut notes).unwrap(), notes)
}

fn turn(message: &Value) -> ChatTurn {
    let role = match message["role"].as_str().unwrap() {
        "system" => Role::System,
        "user" => Role::User,
        _ => Role::Assistant,
    };
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => TurnPart::Text(text.to_owned()),
        None => TurnPart::Sound,
    };
    match &message["content"] {
        Value::String(text) => ChatTurn::text(role, text.as_str()),
        parts => ChatTurn { role, parts: parts.as_array().unwrap().iter().map(part).collect() },
    }
}

fn numbers(values: &Value) -> Vec<usize> {
    values.as_array().unwrap().iter().map(|value| value.as_u64().unwrap() as usize).collect()
}

/// Both families, one turn and several, with semantic elements and without, sounds of several lengths and none.
#[test]
fn tokens_and_labels_are_those_of_transformers() {
    let (dir, audio_token, cases) = goldens();
    let mut learned = 0;
    for case in &cases {
        let (processor, notes) = open(case["family"].as_str().unwrap(), &dir, audio_token);
        assert!(notes.len() == 1 && notes[0].contains("no chat template"), "{notes:?}");
        let turns: Vec<ChatTurn> = case["messages"].as_array().unwrap().iter().map(turn).collect();
        let prompt = case["prompt"].as_bool().unwrap();
        assert_eq!(processor.render(&turns, prompt).unwrap(), case["text"].as_str().unwrap());
        let chat = processor.tokens(&turns, &numbers(&case["samples"]), prompt).unwrap();
        let ids: Vec<usize> = chat.tokens.iter().map(|id| *id as usize).collect();
        assert_eq!(ids, numbers(&case["ids"]), "{}", case["text"]);
        let labels = numbers(&case["labels"]);
        let wanted: Vec<usize> = (0..labels.len()).filter(|at| labels[*at] == 1).collect();
        assert_eq!(chat.targets(true).unwrap_or_default(), wanted, "{}", case["text"]);
        let spoken = chat.targets(false).unwrap_or_default();
        assert_eq!(spoken.len(), wanted.len() - chat.answers.len(), "one line break behind each answer");
        learned += chat.answers.len();
    }
    assert!(cases.len() == 14 && learned == 14, "{} cases, {learned} answers", cases.len());
}

#[test]
fn a_conversation_without_an_answer_teaches_nothing() {
    let (dir, audio_token, _) = goldens();
    let (processor, _) = open("qwen-omni", &dir, audio_token);
    let question = [ChatTurn::question(1, "What is heard?")];
    let error = processor.tokens(&question, &[16_000], true).unwrap().targets(true).unwrap_err().to_string();
    assert!(error.contains("assistant says nothing"), "{error}");
}

#[test]
fn marks_and_sounds_have_to_agree() {
    let (dir, audio_token, _) = goldens();
    let (processor, _) = open("qwen2-audio", &dir, audio_token);
    let error = |turns: &[ChatTurn], sounds: &[usize]| processor.tokens(turns, sounds, true).unwrap_err().to_string();
    assert!(error(&[ChatTurn::question(1, "?")], &[]).contains("1 place for 0 sounds"));
    // A mark that somebody wrote stands for a sound as well.
    assert!(error(&[ChatTurn::question(1, "<|AUDIO|>?")], &[16_000]).contains("2 places for 1 sound"));
    assert!(error(&[ChatTurn::question(1, "?")], &[320]).contains("at least 321"));
}

/// Of a folder with a template of its own, which is taken if it has a place for sounds.
#[test]
fn the_template_of_the_folder_comes_first() {
    let (dir, audio_token, _) = goldens();
    let check = |file: &str, content: &str, expected: Result<&str, &str>| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(dir.root().join(name), folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join(file), content).unwrap();
        let (processor, notes) = open("qwen-omni", &ModelDir::local(folder.path()), audio_token);
        let text = processor.render(&[ChatTurn::question(1, "What?")], true).unwrap();
        match expected {
            Ok(expected) => assert_eq!((text.as_str(), notes.len()), (expected, 0), "{file}"),
            Err(note) => {
                assert!(text.starts_with("<|im_start|>system\nYou are a helpful assistant."), "{text}");
                assert!(notes[0].contains(note), "{notes:?}");
            }
        }
    };
    let own = "{% for m in messages %}{% for p in m.content %}{{ p.text or '<|AUDIO|>' }}{% endfor %}{% endfor %}";
    check("chat_template.jinja", own, Ok("<|AUDIO|>What?"));
    check("chat_template.json", &json!({"chat_template": own}).to_string(), Ok("<|AUDIO|>What?"));
    check("chat_template.jinja", "{{ messages[0].role }}", Err("no place for sounds"));
    check("chat_template.jinja", "{{ raise_exception('text alone') }}", Err("text alone"));
}

/// A template that leaves out what was said before gives no offsets, and that is told.
#[test]
fn an_answer_that_is_written_in_another_way_later_is_refused() {
    let (dir, audio_token, _) = goldens();
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(dir.root().join(name), folder.path().join(name)).unwrap();
    }
    let forgetful = "{% for m in messages %}{% if m.content is string %}{{ m.content if loop.last else 'x' }}\n{% else %}\
                     <|AUDIO|>{% endif %}{% endfor %}";
    std::fs::write(folder.path().join("chat_template.jinja"), forgetful).unwrap();
    let (processor, notes) = open("qwen-omni", &ModelDir::local(folder.path()), audio_token);
    assert!(notes.is_empty(), "{notes:?}");
    let turns = [
        ChatTurn::question(1, "What?"),
        ChatTurn::text(Role::Assistant, "A dog."),
        ChatTurn::text(Role::User, "Sure?"),
    ];
    assert!(processor.tokens(&turns[..2], &[16_000], false).is_ok());
    let error = processor.tokens(&turns, &[16_000], false).unwrap_err().to_string();
    assert!(error.contains("turn 2 is written in another way"), "{error}");
}
