//! What `scripts/learn` needs beside the commands: shards of questions about sounds that a model has to tell apart.
//!
//! ```text
//! learning synthetic OUT             skeleton of a tiny model, and shards of synthetic sounds: train, valid, held-out
//! learning recordings ASSETS OUT     shards of real recordings, none of which is in two of the folders
//! ```

mod recordings;
#[path = "../../tests/it/skeleton.rs"]
mod skeleton;
#[path = "../../tests/it/sounds.rs"]
mod sounds;

use std::path::Path;

use audsem_core::files::write_atomically;

type Failure = Box<dyn std::error::Error>;

/// Sounds that are learned from, and of each of the other folders.
const SYNTHETIC: (usize, usize) = (480, 80);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["synthetic", out] => synthetic(Path::new(out)),
        ["recordings", assets, out] => recordings::write(Path::new(assets), Path::new(out)),
        _ => Err("usage: learning synthetic OUT | recordings ASSETS OUT".into()),
    }
}

fn synthetic(out: &Path) -> Result<(), Failure> {
    let (train, others) = SYNTHETIC;
    for (name, n, seed) in [("train", train, 1_000_000), ("valid", others, 2_000_000), ("held-out", others, 3_000_000)]
    {
        write_atomically(&out.join(name).join("0000.tar"), &sounds::shard(n, seed))?;
    }
    skeleton::write(&out.join("qwen2-audio"), skeleton::Kind::Qwen2Audio);
    skeleton::write(&out.join("omni"), skeleton::Kind::OmniThinker);
    Ok(())
}
