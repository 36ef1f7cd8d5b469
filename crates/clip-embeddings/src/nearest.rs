//! Nearest neighbours: the largest cosines of some vectors to all rows of other tables. Exact: every
//! pair is multiplied, block by block, so that memory holds two blocks and not two sets.

use audsem_core::tables::{TableError, VectorFile, VectorScratch};

use crate::product::products;
use crate::sets::{EmbeddingFile, RowNumbers};
use crate::vector_math::{cosine as to_cosine, push_unit};

/// Reference rows that are multiplied at once.
const TILE: usize = 1024;

/// Queries that are multiplied at once: 256 × 1024 products are 1 MB, which stays in the processor's
/// second cache until they are looked through.
const QUERIES: usize = 256;

/// Numbers compared at once before any is looked at by itself.
const LANES: usize = 16;

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Cosine to the query.
    pub cosine: f32,
    /// Its row number among all rows searched.
    pub row: u64,
}

/// The nearest rows found so far for one query, nearest first; of equals the earlier row first.
#[derive(Debug, Clone)]
pub struct Hits {
    k: usize,
    hits: Vec<Hit>,
}

impl Hits {
    fn new(k: usize) -> Self {
        Self { k, hits: Vec::with_capacity(k + 1) }
    }

    /// What a cosine must exceed to be among them.
    fn threshold(&self) -> f32 {
        if self.hits.len() < self.k { f32::NEG_INFINITY } else { self.hits[self.k - 1].cosine }
    }

    fn offer(&mut self, hit: Hit) {
        let at = self.hits.partition_point(|other| other.cosine >= hit.cosine);
        self.hits.insert(at, hit);
        self.hits.truncate(self.k);
    }

    /// Looks through the cosines of consecutive reference rows.
    fn look_through(&mut self, cosines: &[f32], rows: &[u64]) {
        let mut threshold = self.threshold();
        for (chunk, rows) in cosines.chunks(LANES).zip(rows.chunks(LANES)) {
            let largest = chunk.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
            if largest > threshold {
                for (cosine, row) in chunk.iter().zip(rows).filter(|(cosine, _)| **cosine > threshold) {
                    self.offer(Hit { cosine: to_cosine(f64::from(*cosine)), row: *row });
                }
                threshold = self.threshold();
            }
        }
    }

    /// The hits, the nearest first.
    pub fn as_slice(&self) -> &[Hit] {
        &self.hits
    }
}

/// Reference rows waiting to be multiplied.
struct Tile {
    rows: Vec<f32>,
    numbers: Vec<u64>,
}

/// The rows of some tables, ready to be searched by several threads.
pub struct VectorIndex {
    files: Vec<VectorFile>,
    numbers: RowNumbers,
    dim: usize,
}

impl VectorIndex {
    /// Opens the tables.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open(files: &[EmbeddingFile], dim: usize) -> Result<Self, TableError> {
        let vectors = files.iter().map(EmbeddingFile::vectors).collect::<Result<_, _>>()?;
        Ok(Self { files: vectors, numbers: RowNumbers::of(files), dim })
    }

    /// The vectors of table `i`.
    pub fn table(&self, i: usize) -> &VectorFile {
        &self.files[i]
    }

    /// The `k` nearest rows of each query. `queries` are unit vectors, one after the other. With
    /// `before`, query `i` sees only rows with numbers below `before[i]`, which must ascend.
    ///
    /// Rows without direction are not neighbours; they are not counted here, because the callers count them.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn nearest(&self, queries: &[f32], k: usize, before: Option<&[u64]>) -> Result<Vec<Hits>, TableError> {
        let mut search = Search {
            queries,
            dim: self.dim,
            before,
            hits: vec![Hits::new(k); queries.len() / self.dim],
            products: vec![0.0; QUERIES * TILE],
        };
        let end = before.map_or(u64::MAX, |before| before.last().copied().unwrap_or(0));
        let mut tile = Tile { rows: Vec::with_capacity(TILE * self.dim), numbers: Vec::with_capacity(TILE) };
        let mut scratch = VectorScratch::default();
        for (i, file) in self.files.iter().enumerate() {
            let mut first_row = self.numbers.start(i);
            if first_row >= end {
                break;
            }
            for group in 0..file.n_groups() {
                if first_row >= end {
                    break;
                }
                file.for_each_block(group, &mut scratch, |first, rows| {
                    for (row, x) in (first_row + first as u64..).zip(rows.chunks_exact(self.dim)) {
                        if push_unit(x, &mut tile.rows).is_ok() {
                            tile.numbers.push(row);
                        }
                        if tile.numbers.len() == TILE {
                            search.multiply(&mut tile);
                        }
                    }
                })?;
                first_row += file.n_rows_in(group) as u64;
            }
        }
        search.multiply(&mut tile);
        Ok(search.hits)
    }
}

struct Search<'a> {
    queries: &'a [f32],
    dim: usize,
    before: Option<&'a [u64]>,
    hits: Vec<Hits>,
    products: Vec<f32>,
}

impl Search<'_> {
    /// Multiplies a tile with all queries, and empties it.
    fn multiply(&mut self, tile: &mut Tile) {
        let n = tile.numbers.len();
        for (block, queries) in self.queries.chunks(QUERIES * self.dim).enumerate() {
            let n_queries = queries.len() / self.dim;
            let out = &mut self.products[..n_queries * n];
            let hits = &mut self.hits[block * QUERIES..][..n_queries];
            let before = self.before.map(|before| &before[block * QUERIES..][..n_queries]);
            let first = tile.numbers.first().copied().unwrap_or(u64::MAX);
            if before.is_some_and(|before| before[n_queries - 1] <= first) {
                continue;
            }
            products(queries, &tile.rows, self.dim, out);
            for (i, (cosines, hits)) in out.chunks_exact(n.max(1)).zip(hits).enumerate() {
                let seen = before.map_or(n, |before| tile.numbers.partition_point(|row| *row < before[i]));
                hits.look_through(&cosines[..seen], &tile.numbers[..seen]);
            }
        }
        tile.rows.clear();
        tile.numbers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_of_equals_the_earlier() {
        let mut hits = Hits::new(3);
        let cosines: Vec<f32> = (0..40).map(|i| ((i * 7) % 10) as f32 / 10.0).collect();
        let rows: Vec<u64> = (100..140).collect();
        hits.look_through(&cosines[..25], &rows[..25]);
        hits.look_through(&cosines[25..], &rows[25..]);
        let got: Vec<(f32, u64)> = hits.as_slice().iter().map(|hit| (hit.cosine, hit.row)).collect();
        assert_eq!(got, [(0.9, 107), (0.9, 117), (0.9, 127)]);
    }

    #[test]
    fn fewer_rows_than_asked_for_are_all_there_is() {
        let mut hits = Hits::new(5);
        hits.look_through(&[-0.5, 0.5], &[3, 4]);
        assert_eq!(hits.as_slice().iter().map(|hit| hit.row).collect::<Vec<_>>(), [4, 3]);
    }
}
