//! Tables of random embeddings, for the benchmark of `score`:
//!
//! ```text
//! random_vectors OUT ROWS DIM FILES
//! ```
//!
//! Writes OUT/reference/N.parquet and OUT/clips/N.parquet, ROWS rows in each folder: keys of clips and vectors
//! around a common direction, as `embed-audio` would write them.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use audsem_core::files::AtomicFile;
use audsem_core::tables::{AudioEmbedding, AudioEmbeddingRef, VectorWriter};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, rows, dim, files] = arguments.as_slice() else {
        anyhow::bail!("expected OUT ROWS DIM FILES");
    };
    let (rows, dim, files): (usize, usize, usize) = (rows.parse()?, dim.parse()?, files.parse()?);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let centre: Vec<f32> = (0..dim).map(|_| rng.random_range(-0.3..0.3)).collect();
    for folder in ["reference", "clips"] {
        for file in 0..files {
            let path = Path::new(out).join(folder).join(format!("{file}.parquet"));
            write(&path, file * rows / files..(file + 1) * rows / files, &centre, &mut rng)?;
        }
    }
    Ok(())
}

fn write(path: &Path, rows: std::ops::Range<usize>, centre: &[f32], rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut file = BufWriter::new(AtomicFile::create(path)?);
    let mut writer = VectorWriter::<AudioEmbedding, _>::new(&mut file, centre.len(), &[])?;
    let mut vector = vec![0.0; centre.len()];
    for row in rows {
        for (value, centre) in vector.iter_mut().zip(centre) {
            *value = centre + rng.random_range(-1.0f32..1.0);
        }
        let key = format!("v{:010} ({row}_0-{}_5)", row / 3, row + 2);
        let row = AudioEmbeddingRef { key: &key, shard: "00000.tar", n_samples: 120_000, is_longer: false };
        writer.push(row, &vector)?;
    }
    writer.finish()?;
    file.flush()?;
    file.into_inner()?.commit()?;
    Ok(())
}
