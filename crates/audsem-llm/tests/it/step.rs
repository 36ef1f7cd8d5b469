//! A step that writes captions of sounds, from the run folder down to a real socket.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, Step};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_llm::{
    Answered, GenerateStep, GenerateTask, Media, OpenAiServer, Part, PromptTemplate, Refusal, RejectedAnswer, Request,
    Response, RetryPolicy, ServerConfig, TextError, Unasked,
};
use serde::Serialize;
use serde_json::{Value, json};

struct Clip {
    name: &'static str,
    sound: &'static [u8],
}

const CLIPS: [Clip; 4] = [
    Clip { name: "good", sound: b"one" },
    Clip { name: "improves", sound: b"two" },
    Clip { name: "stubborn", sound: b"three" },
    Clip { name: "rejected", sound: b"four" },
];

#[derive(Serialize)]
pub(crate) struct Hashed {}

impl RunConfig for Hashed {
    const TOOL: &'static str = "audsem-test";
    const COMMAND: &'static str = "captions";
}

struct Captions {
    template: PromptTemplate,
}

impl GenerateTask for Captions {
    type Record = Clip;
    type Row = String;

    fn key<'a>(&self, clip: &'a Clip) -> Cow<'a, str> {
        Cow::Borrowed(clip.name)
    }

    fn request(&self, clip: &Clip) -> Result<Request, TextError> {
        let prompt = self.template.render(&json!({ "name": clip.name }))?;
        let prompt = prompt.with_media(vec![Part::Audio(Media::from_bytes("wav", clip.sound))])?;
        let schema = json!({"type": "object", "properties": {"caption": {"type": "string"}}, "required": ["caption"]});
        Ok(Request { schema: Some(schema), ..Request::greedy(prompt, 30) })
    }

    fn validate(&self, _: &Clip, answer: &Response) -> Result<String, Refusal> {
        let value: Value = serde_json::from_str(answer.answer()).map_err(|error| Refusal::new(error.to_string()))?;
        let caption = value["caption"].as_str().unwrap_or_default();
        if caption.contains("speech") { Err(Refusal::new("it speaks of speech")) } else { Ok(caption.to_owned()) }
    }
}

pub(crate) fn say(text: &str) -> Reply {
    let body = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    Reply::Send(200, "", body.to_string().into_bytes())
}

fn listen(call: &ReceivedRequest) -> Reply {
    let again = call.body.contains("cannot be used");
    if call.body.contains("rejected") {
        return Reply::Send(400, "", b"no such sound".to_vec());
    }
    if call.body.contains("stubborn") {
        return say(r#"{"caption": "speech"}"#);
    }
    match call.body.contains("improves") && !again {
        true => say("A dog barks."),
        false => say(r#"<think>hm</think>{"caption": "a dog barks"}"#),
    }
}

/// Runs the step over all clips in one shard; each row as text, or the first letters of what went wrong.
fn captions(server: &Loopback, out: &Path) -> Result<Vec<String>, String> {
    let mut config = ServerConfig::new(&server.url("/v1"));
    config.model = Some("m".into());
    config.retry = RetryPolicy { retries: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let client = OpenAiServer::connect(config).unwrap().remembering(Some(&out.join("replay"))).unwrap();
    let task = Captions { template: PromptTemplate::parse("t", "What is heard in {{ name }}?").unwrap() };
    let step = GenerateStep::new(&task, &*client).with_max_attempts(3).with_batch(3);
    let mut options = RunOptions::new(out);
    options.fresh = true;
    options.max_fail_rate = 1.0;
    let mut run = Run::open(&options, RunSpec::new(&Hashed {})).unwrap();
    let plan = [Shard { name: "00000".into(), fingerprint: "x".into(), work: () }];
    let rows = std::sync::Mutex::new(Vec::new());
    let report = run.execute(Step { name: "part", unit: "clips", physical: "tok" }, &plan, |(), out| {
        for answered in step.run(&CLIPS, out)? {
            out.file_kept(1);
            rows.lock().unwrap().push(match answered {
                Answered::Accepted(caption) => caption,
                Answered::Refused(refusal) => format!("refused: {}", refusal.reason),
                Answered::Failed(error) => format!("failed: {error}"),
            });
        }
        Ok::<(), ShardError>(())
    });
    let report = report.map_err(|error| error.to_string())?;
    assert_eq!(report.stats.counts["prompt_tokens"], 7 * 6, "one, two and three answers");
    run.finish().unwrap();
    Ok(rows.into_inner().unwrap())
}

fn refused(out: &Path) -> Vec<RejectedAnswer> {
    let text = fs::read_to_string(out.join("refused-00000.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn answers_are_validated_improved_on_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Loopback::start(|call, _| listen(call));
    let rows = captions(&server, folder.path()).unwrap();
    assert_eq!(rows[..3], ["a dog barks", "a dog barks", "refused: it speaks of speech"]);
    assert!(rows[3].starts_with("failed: ") && rows[3].contains("no such sound"), "{}", rows[3]);

    let found: Vec<(String, u32, String)> =
        refused(folder.path()).into_iter().map(|one| (one.key, one.attempt, one.reason)).collect();
    let stubborn = |attempt| ("stubborn".to_owned(), attempt, "it speaks of speech".to_owned());
    assert_eq!((found[0].0.as_str(), found[0].1), ("improves", 1));
    assert!(found[0].2.starts_with("not JSON"), "{}", found[0].2);
    assert_eq!(found[1..], [stubborn(1), stubborn(2), stubborn(3)]);

    // The reason goes back behind the answer, and the sound goes out each time.
    let calls = server.calls();
    let again = calls.iter().find(|call| call.body.contains("improves") && call.body.contains("cannot be used"));
    let body: Value = serde_json::from_str(&again.unwrap().body).unwrap();
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns[0]["content"][0]["input_audio"], json!({"data": "dHdv", "format": "wav"}));
    assert_eq!(turns[1], json!({"role": "assistant", "content": "A dog barks."}));
    assert!(turns[2]["content"].as_str().unwrap().contains("not JSON"), "{}", turns[2]);

    // A second run asks only what had no answer, here in every form of the schema, and writes the same.
    let n = calls.len();
    assert_eq!(captions(&server, folder.path()).unwrap()[..3], rows[..3]);
    let mut new = server.calls().split_off(n);
    // If the refused question comes first, a harmless one follows.
    new.retain(|call| !call.body.contains("Hello."));
    assert!(new.iter().all(|call| call.body.contains("rejected")) && new.len() == 4, "{new:?}");
    assert_eq!(refused(folder.path()).len(), 4);
}

#[test]
fn lost_server_ends_the_run_and_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let lost = Loopback::start(|call, n| if n < 2 { listen(call) } else { Reply::Close });
    let error = captions(&lost, folder.path()).unwrap_err();
    assert!(error.contains("--server"), "{error}");
    let healthy = Loopback::start(|call, _| listen(call));
    captions(&healthy, folder.path()).unwrap();
    // The refused question is asked in every form of the schema, unless the server has shown before that it takes one.
    let useful = |call: &&ReceivedRequest| !call.body.contains("rejected");
    let answered = lost.calls().iter().take(2).filter(useful).count();
    assert_eq!(healthy.calls().iter().filter(useful).count(), 6 - answered, "an answer was asked for twice");
}

/// A question about a sound that cannot be read, for this reason of the operating system.
struct Unread(i32);

impl GenerateTask for Unread {
    type Record = &'static str;
    type Row = ();

    fn key<'a>(&self, clip: &'a &'static str) -> Cow<'a, str> {
        Cow::Borrowed(clip)
    }

    fn request(&self, clip: &&'static str) -> Result<Request, TextError> {
        Err(TextError::unread_media(Path::new(clip), &io::Error::from_raw_os_error(self.0)))
    }

    fn validate(&self, _: &&'static str, _: &Response) -> Result<(), Refusal> {
        Ok(())
    }
}

#[test]
fn a_sound_that_the_disk_does_not_give_leaves_its_shard_open() {
    const EIO: i32 = 5;
    const EACCES: i32 = 13;
    for (errno, is_done) in [(EIO, false), (EACCES, true)] {
        let folder = tempfile::tempdir().unwrap();
        let (task, nobody) = (Unread(errno), Unasked("m".to_owned()));
        let step = GenerateStep::new(&task, &nobody);
        let mut options = RunOptions::new(folder.path());
        options.max_fail_rate = 1.0;
        let mut run = Run::open(&options, RunSpec::new(&Hashed {})).unwrap();
        let plan = [Shard { name: "00000".into(), fingerprint: "x".into(), work: () }];
        let report = run.execute(Step { name: "part", unit: "clips", physical: "tok" }, &plan, |(), out| {
            for answered in step.run(&["a.wav"], out)? {
                out.file("a.wav", answered.outcome());
            }
            Ok::<(), ShardError>(())
        });
        assert_eq!(report.unwrap().complete, is_done, "error {errno}");
        assert_eq!(folder.path().join("part-00000.done.json").exists(), is_done, "error {errno}");
    }
}
