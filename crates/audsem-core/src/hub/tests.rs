#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use super::file_names::{hashed_files, side_files};
use super::names::is_hub_id;
use super::{HubSettings, ModelDir};
use crate::weights::ModelError;

fn settings(cache: &Path) -> HubSettings {
    HubSettings { cache: cache.to_owned(), offline: true, endpoint: None, token: None }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut fs::OpenOptions::new().create(true).append(true).open(path).unwrap(), bytes)
        .unwrap();
}

#[test]
fn hub_ids() {
    for (text, expected) in [
        ("bert-base-uncased", true),
        ("org/name-1.5_x", true),
        ("a/b/c", false),
        ("/abs/path", false),
        ("./here", false),
        ("../up", false),
        ("org/", false),
        ("", false),
        ("with space/x", false),
    ] {
        assert_eq!(is_hub_id(text), expected, "{text}");
    }
}

#[test]
fn offline_finds_a_cached_revision_by_branch_and_by_commit() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--tiny");
    put(&repo.join("refs/main"), b"abc123\n");
    put(&repo.join("snapshots/abc123/config.json"), b"{}");
    put(&repo.join("snapshots/abc123/model.safetensors"), b"x");
    for revision in [None, Some("main"), Some("abc123")] {
        let dir = ModelDir::resolve_with("org/tiny", revision, &settings(cache.path())).unwrap();
        assert_eq!(dir.root(), repo.join("snapshots/abc123"));
        assert_eq!(dir.fingerprint().unwrap().revision.as_deref(), Some("abc123"));
    }
    let error = ModelDir::resolve_with("org/tiny", Some("v2"), &settings(cache.path())).unwrap_err().to_string();
    assert!(error.contains("no revision `v2`"), "{error}");
}

#[test]
fn a_model_that_is_nowhere_says_where_it_was_looked_for() {
    let cache = tempfile::tempdir().unwrap();
    let error = ModelDir::resolve_with("org/none", None, &settings(cache.path())).unwrap_err().to_string();
    for part in ["local folder `org/none`", "models--org--none", "HF_HUB_OFFLINE", "hint:"] {
        assert!(error.contains(part), "{part} not in {error}");
    }
}

#[test]
fn an_incomplete_snapshot_is_not_taken() {
    let cache = tempfile::tempdir().unwrap();
    put(&cache.path().join("models--org--half/snapshots/c1/config.json"), b"{}");
    put(&cache.path().join("models--org--half/refs/main"), b"c1");
    let error = ModelDir::resolve_with("org/half", None, &settings(cache.path())).unwrap_err().to_string();
    assert!(error.contains("incomplete"), "{error}");
}

#[test]
fn a_model_of_open_clip_is_found_by_its_own_files() {
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("models--org--ears/snapshots/c1");
    put(&cache.path().join("models--org--ears/refs/main"), b"c1");
    let names = r#"{"model_cfg": {"text_cfg": {"tiktoken_bpe_path": "open_clip_tiktoken/a.tiktoken"}}}"#;
    put(&root.join("open_clip_config.json"), names.as_bytes());
    put(&root.join("open_clip_model.safetensors"), b"x");
    put(&root.join("other.safetensors"), b"y");
    let hash = || {
        let dir = ModelDir::resolve_with("org/ears", None, &settings(cache.path())).unwrap();
        assert_eq!(dir.weight_files().unwrap(), [root.join("open_clip_model.safetensors")]);
        dir.fingerprint().unwrap().sha256
    };
    let without = hash();
    put(&root.join("open_clip_tiktoken/a.tiktoken"), b"t");
    let with = hash();
    put(&root.join("open_clip_tiktoken/a.tiktoken"), b"u");
    assert_eq!((without.len(), with.len()), (2, 3));
    assert_ne!(with, hash());
}

#[test]
fn what_the_cache_lacks_is_fetched_for_its_commit_and_asked_for_once() {
    use crate::testing::loopback::{Loopback, Reply};

    let hub = Loopback::start(|call, _| match call.path.as_str() {
        "/api/models/org/ears/revision/c1" => {
            let files = ["config.json", "model.safetensors", "tokenizer.json"];
            let files = files.map(|name| serde_json::json!({ "rfilename": name }));
            let info = serde_json::json!({ "sha": "c1", "siblings": files });
            Reply::Send(200, "content-type: application/json\r\n", info.to_string().into_bytes())
        }
        "/org/ears/resolve/c1/tokenizer.json" => {
            let part = call.headers.iter().any(|(name, value)| name == "range" && value == "bytes=0-0");
            let headers = "x-repo-commit: c1\r\netag: \"e1\"\r\ncontent-range: bytes 0-1/2\r\n";
            Reply::Send(206, headers, if part { b"{".to_vec() } else { b"{}".to_vec() })
        }
        _ => Reply::Send(404, "", Vec::new()),
    });
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--ears");
    put(&repo.join("refs/main"), b"c1");
    put(&repo.join("snapshots/c1/config.json"), br#"{"audio_config": {}}"#);
    put(&repo.join("snapshots/c1/model.safetensors"), b"x");
    let offline = ModelDir::resolve_with("org/ears", None, &settings(cache.path())).unwrap();
    assert!(!offline.has("tokenizer.json").unwrap());

    let online = HubSettings { offline: false, endpoint: Some(hub.url("")), ..settings(cache.path()) };
    for _ in 0..2 {
        let dir = ModelDir::resolve_with("org/ears", None, &online).unwrap();
        assert_eq!(fs::read(dir.file("tokenizer.json").unwrap()).unwrap(), b"{}");
        assert_eq!(fs::read(dir.file("model.safetensors").unwrap()).unwrap(), b"x");
    }
    let asked = hub.calls().iter().filter(|call| call.path.starts_with("/api/")).count();
    assert_eq!(asked, 1, "the hub was asked again for what it does not have");

    // A hub that cannot be reached is not an error.
    put(&repo.join("refs/old"), b"c2");
    put(&repo.join("snapshots/c2/config.json"), b"{}");
    put(&repo.join("snapshots/c2/model.safetensors"), b"x");
    assert!(ModelDir::resolve_with("org/ears", Some("old"), &online).is_ok());
}

#[test]
fn sharded_weights_are_listed_once_each_and_a_missing_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    put(
        &dir.path().join("model.safetensors.index.json"),
        br#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#,
    );
    put(&dir.path().join("m-1.safetensors"), b"1");
    let error = ModelDir::local(dir.path()).weight_files().unwrap_err().to_string();
    assert!(error.contains("m-2.safetensors"), "{error}");
    put(&dir.path().join("m-2.safetensors"), b"2");
    let files = ModelDir::local(dir.path()).weight_files().unwrap();
    assert_eq!(files, [dir.path().join("m-1.safetensors"), dir.path().join("m-2.safetensors")]);
}

#[test]
fn whatever_results_depend_on_is_fetched_and_hashed() {
    let fetched: Vec<&str> = side_files().collect();
    assert!(hashed_files().all(|name| fetched.contains(&name)));
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("model.safetensors"), b"abc");
    put(&dir.path().join("processor_config.json"), b"{}");
    let before = ModelDir::local(dir.path()).fingerprint().unwrap();
    put(&dir.path().join("processor_config.json"), b" ");
    assert_ne!(ModelDir::local(dir.path()).fingerprint().unwrap().sha256, before.sha256);
}

#[test]
fn fingerprint_is_the_sha256_of_the_bytes() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("model.safetensors"), b"abc");
    let print = ModelDir::local(dir.path()).fingerprint().unwrap();
    assert_eq!(print.sha256[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn an_index_names_nothing_outside_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    put(&outside.path().join("secret.safetensors"), b"s");
    let absolute = outside.path().join("secret.safetensors");
    let dir = tempfile::tempdir_in(outside.path()).unwrap();
    put(&dir.path().join("own.safetensors"), b"o");
    put(&dir.path().join("part/own.safetensors"), b"o");
    std::os::unix::fs::symlink(&absolute, dir.path().join("link.safetensors")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("up")).unwrap();
    let files = |shard: &str| {
        let path = dir.path().join("model.safetensors.index.json");
        let _ = fs::remove_file(&path);
        put(&path, serde_json::json!({ "weight_map": { "a": shard } }).to_string().as_bytes());
        ModelDir::local(dir.path()).weight_files()
    };
    for shard in ["own.safetensors", "part/own.safetensors"] {
        assert_eq!(files(shard).unwrap(), [dir.path().join(shard)]);
    }
    let absolute = absolute.to_str().unwrap();
    for shard in [
        "../secret.safetensors",
        "part/../../secret.safetensors",
        "link.safetensors",
        "up/secret.safetensors",
        absolute,
    ] {
        let error = files(shard).unwrap_err();
        assert!(matches!(error, ModelError::Outside { .. }), "{shard}: {error}");
    }
}

#[test]
fn a_shard_of_a_cached_snapshot_may_be_a_link_to_its_blob_and_to_nothing_else() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--tiny");
    put(&repo.join("refs/main"), b"c1");
    put(&repo.join("blobs/e1"), b"x");
    put(&cache.path().join("secret"), b"x");
    put(&repo.join("snapshots/c1/config.json"), b"{}");
    put(&repo.join("snapshots/c1/model.safetensors.index.json"), br#"{"weight_map": {"a": "m.safetensors"}}"#);
    let link = repo.join("snapshots/c1/m.safetensors");
    std::os::unix::fs::symlink("../../blobs/e1", &link).unwrap();
    assert!(ModelDir::resolve_with("org/tiny", None, &settings(cache.path())).is_ok());
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../../../secret", &link).unwrap();
    assert!(ModelDir::resolve_with("org/tiny", None, &settings(cache.path())).is_err());
}

#[test]
fn revisions_do_not_lead_out_of_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--tiny");
    put(&cache.path().join("elsewhere/config.json"), b"{}");
    put(&cache.path().join("elsewhere/model.safetensors"), b"x");
    put(&repo.join("snapshots/.keep"), b"");
    put(&repo.join("refs/evil"), b"../../elsewhere");
    put(&cache.path().join("ref"), b"c1");
    let absolute = cache.path().join("elsewhere");
    for revision in ["../../elsewhere", "evil", "../../ref", absolute.to_str().unwrap(), ""] {
        let error = ModelDir::resolve_with("org/tiny", Some(revision), &settings(cache.path())).unwrap_err();
        assert!(matches!(error, ModelError::NotFound { .. }), "{revision}: {error}");
    }
}

/// What a hub says that wants a file written beside the cache.
#[test]
fn what_the_hub_says_does_not_lead_out_of_the_cache() {
    use crate::testing::loopback::{Loopback, Reply};

    let evil = [
        ("../../../out", "c1", "c1", "model.safetensors"),
        ("/tmp/audsem-out", "c1", "c1", "model.safetensors"),
        ("e1", "../../../out", "c1", "model.safetensors"),
        ("e1", "c1", "../../../out", "model.safetensors"),
        ("e1", "c1", "c1", "../../../out"),
    ];
    for (etag, header, sha, shard) in evil {
        let index = serde_json::json!({ "weight_map": { "a": shard } }).to_string();
        let headers =
            format!("x-repo-commit: {header}\r\netag: \"{etag}\"\r\ncontent-range: bytes 0-1/{}\r\n", index.len());
        let headers: &'static str = Box::leak(headers.into_boxed_str());
        let hub = Loopback::start(move |call, _| match call.path.starts_with("/api/") {
            true => {
                let files = [serde_json::json!({ "rfilename": "model.safetensors.index.json" })];
                let info = serde_json::json!({ "sha": sha, "siblings": files });
                Reply::Send(200, "content-type: application/json\r\n", info.to_string().into_bytes())
            }
            false => Reply::Send(206, headers, index.clone().into_bytes()),
        });
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("a/b/cache");
        fs::create_dir_all(&cache).unwrap();
        let online = HubSettings { offline: false, endpoint: Some(hub.url("")), ..settings(&cache) };
        let error = ModelDir::resolve_with("org/evil", None, &online).unwrap_err().to_string();
        assert!(error.contains("must not become part of a path"), "{etag} {header} {sha} {shard}: {error}");
        let outside: Vec<_> = [root.path().join("a"), root.path().join("a/b")]
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name != "b" && name != "cache")
            .collect();
        assert!(outside.is_empty(), "{outside:?}");
    }
}

#[test]
fn another_checkpoint_and_the_folder_around_one_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let lacks = |root: &Path| ModelDir::local(root).file("preprocessor_config.json").unwrap_err().to_string();
    assert!(lacks(dir.path()).ends_with("hint: it has no file"), "{}", lacks(dir.path()));
    let model = dir.path().join("clf/model");
    put(&model.join("config.json"), br#"{"model_type": "bert", "architectures": ["BertModel"]}"#);
    put(&model.join("vocab.txt"), b"a");
    let around = lacks(dir.path());
    assert!(around.ends_with(&format!("hint: did you mean {}?", model.display())), "{around}");
    let other = lacks(&model);
    assert!(
        other.ends_with("hint: it is a `bert` checkpoint (BertModel), and it has config.json, vocab.txt"),
        "{other}"
    );
}

#[test]
fn absurdly_large_json_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("config.json"), b"{}");
    fs::OpenOptions::new().write(true).open(dir.path().join("config.json")).unwrap().set_len(1 << 40).unwrap();
    let error = ModelDir::local(dir.path()).json::<serde_json::Value>("config.json").unwrap_err();
    assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
}

#[test]
fn a_file_that_cannot_be_looked_at_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    circle(&dir.path().join("tokenizer.json"));
    put(&dir.path().join("model.safetensors"), b"x");
    let model = ModelDir::local(dir.path());
    let is_unread =
        |error: ModelError| matches!(error, ModelError::Read { path, .. } if path.ends_with("tokenizer.json"));
    assert!(!model.has("vocab.txt").unwrap());
    assert!(is_unread(model.optional("tokenizer.json").unwrap_err()));
    assert!(is_unread(model.optional_json::<serde_json::Value>("tokenizer.json").unwrap_err()));
    assert!(is_unread(model.file("tokenizer.json").unwrap_err()));
    assert!(is_unread(model.tokenizer_hashes().unwrap_err()));
    assert!(is_unread(model.fingerprint().unwrap_err()));
}

/// The hub may have another commit by now, which is another model.
#[test]
fn a_cache_that_cannot_be_looked_at_is_not_replaced_by_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--tiny");
    for hidden in ["refs/main", "snapshots/c1"] {
        put(&repo.join("refs/main"), b"c1");
        fs::remove_file(repo.join(hidden)).ok();
        fs::create_dir_all(repo.join("snapshots")).unwrap();
        circle(&repo.join(hidden));
        let online =
            HubSettings { offline: false, endpoint: Some("http://127.0.0.1:9".to_owned()), ..settings(cache.path()) };
        let error = ModelDir::resolve_with("org/tiny", None, &online).unwrap_err();
        assert!(matches!(&error, ModelError::Read { path, .. } if path.ends_with(hidden)), "{error}");
        fs::remove_file(repo.join(hidden)).unwrap();
    }
}

/// A link to itself, which nothing can follow.
fn circle(path: &Path) {
    std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
}
