//! Questions about sounds that are answered side by side: each as if it were asked alone, and each for itself.

use audsem_llm::{
    Media, Message, MessageContent, Part, Prompt, Request, Response, Role, TextError, TextGenerator as _,
};
use audsem_media::audio::encode_wav;
use audsem_models::generate::{CausalDecoder as _, GenerationConfig};
use audsem_models::language::LanguageDecoder;
use audsem_models::multimodal::MultimodalNetwork as _;
use audsem_models::multimodal::audio_language::{
    AudioAnswer, AudioLanguageModel, AudioModelOptions, AudioQuestion, LocalAudioModel, USUAL_BATCH,
};
use audsem_models::multimodal::processor::ChatTurn;
use candle_core::{Device, Tensor};

use crate::audio_language::{rewritten, tone, with_words};
use crate::golden::max_abs;

/// One of each family.
const FAMILIES: [&str; 2] = ["qwen2_audio_tiny", "qwen2_5_omni_tiny"];

/// Texts of several lengths, of words that the tokenizer has.
const QUESTIONS: [&str; 3] = ["What is heard ?", "What ?", "What is heard ? What is heard ? heard"];

fn folder(golden: &str) -> tempfile::TempDir {
    let folder = rewritten(golden, str::to_owned, |json| json);
    with_words(folder.path());
    folder
}

/// Questions of all lengths of sound and text, more than are answered at a time.
fn questions() -> Vec<AudioQuestion> {
    let question = |n: usize| AudioQuestion {
        turns: vec![ChatTurn::question(1, QUESTIONS[n % QUESTIONS.len()])],
        sounds: vec![tone(3200 + 2900 * (n * 5 % 7))],
        seed: n as u64,
    };
    (0..USUAL_BATCH + 5).map(question).collect()
}

fn strategies(model: &AudioLanguageModel) -> [GenerationConfig; 4] {
    [
        model.greedy(24),
        GenerationConfig { do_sample: true, temperature: 1.5, top_k: 0, ..model.greedy(24) },
        GenerationConfig { num_beams: 5, num_return_sequences: 2, ..model.greedy(12) },
        GenerationConfig { num_beams: 3, do_sample: true, temperature: 1.5, ..model.greedy(12) },
    ]
}

#[test]
fn a_question_among_others_has_the_tokens_that_it_has_alone() {
    for golden in FAMILIES {
        let folder = folder(golden);
        let model = AudioLanguageModel::open(folder.path().to_str().unwrap(), &AudioModelOptions::default()).unwrap();
        for config in strategies(&model) {
            let questions = questions();
            let alone = |question| model.answer(std::slice::from_ref(question), &config).unwrap().remove(0);
            let alone: Vec<Vec<AudioAnswer>> = questions.iter().map(alone).collect();
            assert!(alone.iter().all(|answers| answers.len() == config.num_return_sequences));
            assert_eq!(model.answer(&questions, &config).unwrap(), alone, "{golden}");
            let backwards: Vec<AudioQuestion> = questions.into_iter().rev().collect();
            let answers = model.answer(&backwards, &config).unwrap();
            assert!(answers.into_iter().rev().eq(alone.iter().cloned()), "{golden}, backwards");
            let lengths: Vec<usize> = alone.iter().map(|answers| answers[0].tokens.len()).collect();
            let differ = lengths.iter().any(|length| *length != lengths[0]);
            let draws = config.do_sample && config.num_beams == 1;
            assert!(differ || !draws, "answers of one length would prove little: {lengths:?}");
        }
    }
}

/// The scores of each token, while prompts of other lengths come and go beside it.
#[test]
fn scores_are_those_of_a_sequence_alone() {
    for golden in FAMILIES {
        let folder = folder(golden);
        let model = AudioLanguageModel::open(folder.path().to_str().unwrap(), &AudioModelOptions::default()).unwrap();
        let prompts: Vec<Tensor> = questions()[..3]
            .iter()
            .map(|question| {
                let sound = model.network().embed_audio(&question.sounds[0]).unwrap();
                model.network().merge(&model.prompt(question).unwrap().tokens, &vec![sound]).unwrap()
            })
            .collect();
        let alone = |prompt: &Tensor, tokens: &[u32]| {
            let mut decoder = LanguageDecoder::new(model.network().language());
            let mut all = vec![decoder.admit_embedded(prompt).unwrap()];
            all.extend(tokens.iter().map(|token| decoder.step(&[*token]).unwrap().remove(0)));
            all
        };
        let together = {
            let mut decoder = LanguageDecoder::new(model.network().language());
            let mut rows: Vec<Vec<Vec<f32>>> = vec![Vec::new(); 3];
            rows[0].push(decoder.admit_embedded(&prompts[0]).unwrap());
            rows[1].push(decoder.admit_embedded(&prompts[1]).unwrap());
            for (row, logits) in decoder.step(&[3, 4]).unwrap().into_iter().enumerate() {
                rows[row].push(logits);
            }
            // The first leaves, and the third comes.
            decoder.select(&[1]).unwrap();
            rows[2].push(decoder.admit_embedded(&prompts[2]).unwrap());
            for token in [5, 6] {
                for (row, logits) in decoder.step(&[token, token]).unwrap().into_iter().enumerate() {
                    rows[row + 1].push(logits);
                }
            }
            rows
        };
        for ((prompt, tokens), together) in prompts.iter().zip([&[3][..], &[4, 5, 6], &[5, 6]]).zip(together) {
            let tensor = |logits: Vec<Vec<f32>>| Tensor::new(logits, &Device::Cpu).unwrap();
            // Bit for bit on the CPU; 1e-5 is what other devices may differ by.
            let difference = max_abs(&tensor(alone(prompt, tokens)), &tensor(together));
            assert!(difference == 0.0, "{golden}: {difference}");
        }
    }
}

/// A question about a sound of so many samples.
fn request(n: usize, samples: usize, temperature: f32) -> Request {
    let wav = Part::Audio(Media::from_bytes("wav", encode_wav(&tone(samples), 1, 16_000).unwrap()));
    let text = Part::Text(QUESTIONS[n % QUESTIONS.len()].to_owned());
    let turn = Message::new(Role::User, MessageContent::Parts(vec![wav, text]));
    let seed = Some(n as u64);
    Request { temperature, seed, ..Request::greedy(Prompt::Chat(vec![turn]), 3 + 5 * (n as u32 % 4)) }
}

#[test]
fn what_is_wrong_with_a_request_fails_it_alone_at_any_batch_size() {
    for (golden, beams) in FAMILIES.into_iter().zip([1, 3]) {
        let folder = folder(golden);
        let open = |batch| {
            let model =
                LocalAudioModel::open_with(folder.path().to_str().unwrap(), &AudioModelOptions::default(), beams);
            model.unwrap().with_batch(batch)
        };
        let temperature = |n: usize| if n.is_multiple_of(2) { 0.0 } else { 1.5 };
        let mut requests: Vec<Request> =
            (0..12).map(|n| request(n, 3200 + 1777 * (n * 5 % 7), temperature(n))).collect();
        let wrong = [
            (2, "this network takes 1 to"),
            (5, "no known container"),
            (7, "free text"),
            (9, "top_p"),
            (11, "hears at least"),
        ];
        let long = "heard ".repeat(600);
        requests[2].prompt = Prompt::Chat(vec![Message::new(Role::User, long.as_str())]);
        let broken = Part::Audio(Media::from_bytes("wav", b"RIFF".to_vec()));
        requests[5].prompt = Prompt::Chat(vec![Message::new(Role::User, MessageContent::Parts(vec![broken]))]);
        requests[7].stop = vec!["a".to_owned()];
        requests[9].top_p = Some(2.0);
        requests[11] = request(11, 100, 0.0);
        let told = |answer: Result<Response, TextError>| answer.map_err(|error| error.to_string());
        let one_by_one = open(1);
        let alone: Vec<_> = requests.iter().map(|request| told(one_by_one.generate(request))).collect();
        for (n, answer) in alone.iter().enumerate() {
            match wrong.iter().find(|(at, _)| *at == n) {
                Some((_, part)) => assert!(answer.as_ref().unwrap_err().contains(part), "{n}: {answer:?}"),
                None => assert!(answer.is_ok(), "{n}: {answer:?}"),
            }
        }
        for batch in [1, 2, 5, 64] {
            let arrived = std::sync::Mutex::new(Vec::new());
            let model = open(batch);
            let note = |at: usize, response: &Response| {
                arrived.lock().unwrap().push((at, response.text.clone()));
                Ok(())
            };
            let answers: Vec<_> = model.generate_batch_with(&requests, &note).into_iter().map(told).collect();
            assert_eq!(answers, alone, "{golden}, {batch} at a time");
            let mut arrived = arrived.into_inner().unwrap();
            arrived.sort();
            let wanted = alone.iter().enumerate().filter_map(|(n, one)| Some((n, one.as_ref().ok()?.text.clone())));
            assert_eq!(arrived, wanted.collect::<Vec<_>>(), "each has come once");
        }
    }
}

/// An answer that cannot be kept ends the asking.
#[test]
fn what_fails_for_all_requests_ends_the_asking() {
    let folder = folder(FAMILIES[0]);
    let model = LocalAudioModel::open_with(folder.path().to_str().unwrap(), &AudioModelOptions::default(), 1).unwrap();
    let requests: Vec<Request> = (0..6).map(|n| request(n, 3200, 0.0)).collect();
    let full = |_: usize, _: &Response| {
        Err(TextError::Other { reason: "the disk is full".to_owned(), scope: audsem_llm::ErrorScope::All })
    };
    let answers = model.with_batch(2).generate_batch_with(&requests, &full);
    let unsent = answers.iter().filter(|answer| matches!(answer, Err(TextError::NotSent))).count();
    assert!(answers.iter().all(Result::is_err) && unsent >= 4, "{answers:?}");
}
