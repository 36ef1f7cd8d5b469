//! The stages for inference on the CPU.
//!
//! Within a block, a window's tokens meet no others. So a block is done window by window (a few at a time, to make the
//! products large), all of it in memory that stays in the second-level cache. Tokens lie in the order of the windows of
//! the block just done; the next one gathers its own.

use rayon::prelude::*;

use super::AudioTower;
use super::attention::Windows;
use super::block::{Block, Stage};
use super::patches::PatchMerging;
use crate::error::Result;
use crate::nn::{Activation, fused};

/// Tokens that a thread works on at a time.
const GROUP_TOKENS: usize = 256;

/// All stages, and the norm behind them.
#[derive(Debug, Clone)]
pub(super) struct FusedStages {
    stages: Vec<FusedStage>,
    norm: fused::LayerNorm,
    output_dim: usize,
}

#[derive(Debug, Clone)]
struct FusedStage {
    blocks: Vec<FusedBlock>,
    merging: Option<FusedMerging>,
    dim: usize,
}

#[derive(Debug, Clone)]
struct FusedBlock {
    windows: Windows,
    order: Vec<u32>,
    heads: usize,
    activation: Activation,
    norm_before: fused::LayerNorm,
    qkv: fused::Linear,
    /// Relative positions, with and without a mask of the grid's lower and right edge: (4 or 1)·H·t·t.
    biases: Vec<f32>,
    output: fused::Linear,
    norm_after: fused::LayerNorm,
    up: fused::Linear,
    down: fused::Linear,
}

#[derive(Debug, Clone)]
struct FusedMerging {
    norm: fused::LayerNorm,
    reduction: fused::Linear,
}

/// Tokens of all clips: `order[i]` is the number in the grid of the token at place `i` of each clip.
struct Tokens {
    values: Vec<f32>,
    order: Vec<u32>,
    dim: usize,
}

impl Tokens {
    /// Where each token of the grid lies.
    fn places(&self) -> Vec<u32> {
        let mut places = vec![0; self.order.len()];
        for (place, &token) in self.order.iter().enumerate() {
            places[token as usize] = place as u32;
        }
        places
    }

    /// A token of a clip, by its place.
    fn at(&self, clip: usize, place: u32) -> &[f32] {
        &self.values[(clip * self.order.len() + place as usize) * self.dim..][..self.dim]
    }
}

/// Memory that a thread reuses from group to group.
#[derive(Default)]
struct Scratch {
    x: fused::Matrix,
    normed: fused::Matrix,
    qkv: fused::Matrix,
    mixed: fused::Matrix,
    wide: fused::Matrix,
    attention: fused::Scratch,
}

impl FusedStages {
    /// Nothing where [`fused::is_supported`] says no.
    pub(super) fn new(tower: &AudioTower) -> Result<Option<Self>> {
        if !fused::is_supported(tower.norm.weight()) {
            return Ok(None);
        }
        let stages = tower.stages.iter().map(FusedStage::new).collect::<Result<Vec<_>>>()?;
        let output_dim = stages.last().map_or(0, |stage| stage.dim);
        Ok(Some(Self { stages, norm: fused::LayerNorm::new(&tower.norm)?, output_dim }))
    }

    pub(super) fn output_dim(&self) -> usize {
        self.output_dim
    }

    /// Tokens of `clips` grids of `side`·`side`, row by row, to the mean of each clip's final tokens.
    pub(super) fn pooled(&self, values: Vec<f32>, clips: usize, side: usize) -> Vec<f32> {
        let dim = self.stages.first().map_or(0, |stage| stage.dim);
        let mut tokens = Tokens { values, order: (0..(side * side) as u32).collect(), dim };
        let mut spare = Vec::new();
        let mut side = side;
        for stage in &self.stages {
            for block in &stage.blocks {
                block.forward(&mut tokens, &mut spare);
            }
            if let Some(merging) = &stage.merging {
                merging.forward(&mut tokens, &mut spare, clips, side);
                side /= 2;
            }
        }
        self.mean(&tokens)
    }

    fn mean(&self, tokens: &Tokens) -> Vec<f32> {
        let (count, dim) = (tokens.order.len(), tokens.dim);
        let clips = tokens.values.par_chunks(count * dim);
        let means = clips.map_init(fused::Matrix::default, |x, clip| {
            x.reshape(count, dim);
            let mut mean = vec![0.0; dim];
            for (n, row) in clip.chunks_exact(dim).enumerate() {
                x.row_mut(n).copy_from_slice(row);
            }
            self.norm.forward_inplace(x);
            for n in 0..count {
                mean.iter_mut().zip(x.row(n)).for_each(|(sum, value)| *sum += value);
            }
            mean.iter_mut().for_each(|sum| *sum /= count as f32);
            mean
        });
        means.flatten_iter().collect()
    }
}

impl FusedStage {
    fn new(stage: &Stage) -> Result<Self> {
        let blocks = stage.blocks.iter().map(FusedBlock::new).collect::<Result<Vec<_>>>()?;
        let merging = stage.merging.as_ref().map(FusedMerging::new).transpose()?;
        let dim = blocks.first().map_or(0, |block| block.output.outputs());
        Ok(Self { blocks, merging, dim })
    }
}

impl FusedBlock {
    fn new(block: &Block) -> Result<Self> {
        Ok(Self {
            windows: block.windows,
            order: block.windows.order(),
            heads: block.heads,
            activation: block.activation,
            norm_before: fused::LayerNorm::new(&block.norm_before)?,
            qkv: fused::Linear::concat(&[&block.query, &block.key, &block.value])?,
            biases: biases(block)?,
            output: fused::Linear::new(&block.output)?,
            norm_after: fused::LayerNorm::new(&block.norm_after)?,
            up: fused::Linear::new(&block.up)?,
            down: fused::Linear::new(&block.down)?,
        })
    }

    /// Leaves the tokens in the order of this block's windows; `spare` is memory to write them to.
    fn forward(&self, tokens: &mut Tokens, spare: &mut Vec<f32>) {
        spare.resize(tokens.values.len(), 0.0);
        let places = tokens.places();
        let per_window = self.windows.tokens();
        let from: &Tokens = tokens;
        let windows = from.values.len() / from.dim / per_window;
        let per_group = (windows.div_ceil(rayon::current_num_threads())).clamp(1, (GROUP_TOKENS / per_window).max(1));
        let groups = spare.par_chunks_mut(per_group * per_window * from.dim).enumerate();
        groups.for_each_init(Scratch::default, |scratch, (group, out)| {
            let first = group * per_group;
            let count = out.len() / from.dim / per_window;
            scratch.x.reshape(count * per_window, from.dim);
            for row in 0..count * per_window {
                let (clip, place) = self.place(first, row, &places);
                scratch.x.row_mut(row).copy_from_slice(from.at(clip, place));
            }
            self.group(first, scratch);
            for (row, out) in out.chunks_exact_mut(from.dim).enumerate() {
                out.copy_from_slice(scratch.x.row(row));
            }
        });
        std::mem::swap(&mut tokens.values, spare);
        tokens.order.clone_from(&self.order);
    }

    /// Clip and place of the token in row `row` of a group that begins with window `first`.
    fn place(&self, first: usize, row: usize, places: &[u32]) -> (usize, u32) {
        let at = first * self.windows.tokens() + row;
        let token = self.order[at % self.order.len()];
        (at / self.order.len(), places[token as usize])
    }

    /// The block for the tokens in `scratch.x`: whole windows, the first of which has the number `first`.
    fn group(&self, first: usize, scratch: &mut Scratch) {
        let Scratch { x, normed, qkv, mixed, wide, attention } = scratch;
        let (rows, dim, length) = (x.rows(), x.columns(), self.windows.tokens());
        self.norm_before.forward(x, normed);
        qkv.reshape(rows, 3 * dim);
        self.qkv.forward(normed, qkv, fused::Epilogue::Set);
        mixed.reshape(rows, dim);
        for window in 0..rows / length {
            let (first_row, heads, bias) = (window * length, self.heads, Some(self.bias(first + window)));
            fused::Attention { qkv, first: first_row, length, heads, kv_heads: heads, causal: false, bias }
                .forward(mixed, attention);
        }
        self.output.forward(mixed, x, fused::Epilogue::Add);
        self.norm_after.forward(x, normed);
        wide.reshape(rows, self.up.outputs());
        self.up.forward(normed, wide, fused::Epilogue::Activate(self.activation));
        self.down.forward(wide, x, fused::Epilogue::Add);
    }

    /// What is added to the scores of a window.
    fn bias(&self, window: usize) -> &[f32] {
        let size = self.heads * self.windows.tokens().pow(2);
        let kind = if self.windows.shift == 0 { 0 } else { edges(&self.windows, window % self.windows.count()) };
        &self.biases[kind * size..][..size]
    }
}

/// 2 if the window lies at the lower edge of the grid, plus 1 if it lies at the right edge.
fn edges(windows: &Windows, window: usize) -> usize {
    let per_side = windows.side / windows.window;
    let last = |at: usize| usize::from(at + 1 == per_side);
    2 * last(window / per_side) + last(window % per_side)
}

/// Relative positions plus mask, for each kind of window.
fn biases(block: &Block) -> Result<Vec<f32>> {
    let relative: Vec<f32> = block.bias()?.flatten_all()?.to_vec1()?; // (H, t, t)
    let Some(masks) = block.windows.mask() else { return Ok(relative) };
    let size = block.windows.tokens().pow(2);
    let mut biases = vec![0.0; 4 * relative.len()];
    for (window, mask) in masks.chunks_exact(size).enumerate() {
        let kind = edges(&block.windows, window);
        let target = &mut biases[kind * relative.len()..][..relative.len()];
        for (target, relative) in target.chunks_exact_mut(size).zip(relative.chunks_exact(size)) {
            for ((target, relative), mask) in target.iter_mut().zip(relative).zip(mask) {
                *target = relative + mask;
            }
        }
    }
    Ok(biases)
}

impl FusedMerging {
    fn new(merging: &PatchMerging) -> Result<Self> {
        Ok(Self { norm: fused::LayerNorm::new(&merging.norm)?, reduction: fused::Linear::new(&merging.reduction)? })
    }

    /// Leaves the tokens of the halved grid row by row.
    fn forward(&self, tokens: &mut Tokens, spare: &mut Vec<f32>, clips: usize, side: usize) {
        let (half, dim) = (side / 2, self.reduction.outputs());
        let count = half * half;
        spare.resize(clips * count * dim, 0.0);
        let places = tokens.places();
        let from: &Tokens = tokens;
        let groups = spare.par_chunks_mut(GROUP_TOKENS.min(count) * dim).enumerate();
        groups.for_each_init(Scratch::default, |scratch, (group, out)| {
            let Scratch { x, mixed, .. } = scratch;
            let rows = out.len() / dim;
            x.reshape(rows, 4 * from.dim);
            for row in 0..rows {
                let at = group * GROUP_TOKENS.min(count) + row;
                let (clip, token) = (at / count, at % count);
                let (top, left) = (token / half * 2, token % half * 2);
                let neighbours =
                    [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(down, right)| (top + down) * side + left + right);
                for (part, neighbour) in x.row_mut(row).chunks_exact_mut(from.dim).zip(neighbours) {
                    part.copy_from_slice(from.at(clip, places[neighbour]));
                }
            }
            self.norm.forward_inplace(x);
            mixed.reshape(rows, dim);
            self.reduction.forward(x, mixed, fused::Epilogue::Set);
            for (row, out) in out.chunks_exact_mut(dim).enumerate() {
                out.copy_from_slice(mixed.row(row));
            }
        });
        std::mem::swap(&mut tokens.values, spare);
        *tokens = Tokens { values: std::mem::take(&mut tokens.values), order: (0..count as u32).collect(), dim };
    }
}
