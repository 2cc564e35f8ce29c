//! Eight queries of one head against the packed keys and values of a task.

use super::super::number::{Number, exp};
use super::super::vectors::{most_of, sum_of};
use super::packed::{Keys, STEP, Values, pair};
use half::bf16;
use std::ops::Range;

/// Queries that are worked on together.
pub(super) const ROWS: usize = 8;

/// What a thread works in.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) keys: Keys,
    pub(super) values: Values,
    /// Queries `[ROWS, D/2]` of pairs.
    queries: Vec<u32>,
    /// The keys each of them sees, counted from the first packed one.
    seen: [Range<usize>; ROWS],
    /// The keys that are multiplied: whole steps, and at least all that are seen.
    span: Range<usize>,
    /// `[ROWS, span]`.
    scores: Vec<f32>,
    /// The same as pairs of bf16, after the softmax.
    weights: Vec<u32>,
    /// Sum of each row's weights.
    totals: [f32; ROWS],
    /// `[ROWS, F]`.
    results: Vec<bf16>,
}

impl Buffers {
    /// Takes the queries `rows`, at most [`ROWS`]; fewer are filled up with the last one.
    pub(super) fn load<'a>(
        &mut self,
        rows: Range<usize>,
        query: impl Fn(usize) -> &'a [bf16],
        seen: &[Range<usize>],
        first_key: usize,
    ) {
        self.queries.clear();
        for index in 0..ROWS {
            let index = index.min(rows.len() - 1);
            let features = query(rows.start + index).chunks_exact(2);
            self.queries.extend(features.map(|two| pair(two[0], two[1])));
        }
        self.seen = std::array::from_fn(|index| {
            let keys = &seen[index.min(seen.len() - 1)];
            match keys.is_empty() {
                true => 0..0,
                false => keys.start - first_key..keys.end - first_key,
            }
        });
        let some = || self.seen.iter().filter(|keys| !keys.is_empty());
        let start = some().map(|keys| keys.start).min().unwrap_or(0) / STEP * STEP;
        let end = some().map(|keys| keys.end).max().unwrap_or(0).next_multiple_of(STEP);
        self.span = start..end.max(start);
        self.scores.resize(ROWS * self.span.len(), 0.0);
        self.weights.resize(ROWS * self.span.len() / 2, 0);
        self.results.resize(ROWS * self.values.width, bf16::ZERO);
    }

    /// `[F]` of query `index`.
    pub(super) fn result(&self, index: usize) -> &[bf16] {
        &self.results[index * self.values.width..][..self.values.width]
    }
}

/// True if the processor has the instructions that [`attend`] is made of.
pub(super) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Fills the results of the queries that were loaded. Only where it is [`available`].
pub(super) fn attend(buffers: &mut Buffers, scale: f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `attention` asks for the instructions first.
    #[allow(unsafe_code)]
    unsafe {
        with_vectors(buffers, scale);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (buffers, scale);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn with_vectors(buffers: &mut Buffers, scale: f32) {
    score(buffers);
    for row in 0..ROWS {
        softmax(buffers, row, scale);
    }
    gather(buffers);
}

/// Queries times keys.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn score(buffers: &mut Buffers) {
    use super::packed::PANEL;
    let pairs = buffers.queries.len() / ROWS;
    let span = buffers.span.len();
    let queries: [&[u32]; ROWS] = std::array::from_fn(|row| &buffers.queries[row * pairs..][..pairs]);
    for first in (0..span).step_by(STEP) {
        let key = buffers.span.start + first;
        let keys = [buffers.keys.panel(key), buffers.keys.panel(key + PANEL)];
        let made = super::product::product(queries, keys);
        for (row, made) in made.iter().enumerate() {
            buffers.scores[row * span + first..][..STEP].copy_from_slice(made.as_flattened());
        }
    }
}

/// Scores of a row to weights, which are not yet divided by their sum.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn softmax(buffers: &mut Buffers, row: usize, scale: f32) {
    let span = buffers.span.len();
    let weights = super::product::halves(&mut buffers.weights[row * span / 2..][..span / 2]);
    let keys = &buffers.seen[row];
    if keys.is_empty() {
        weights.fill(bf16::ZERO);
        buffers.totals[row] = 1.0;
        return;
    }
    let seen = keys.start - buffers.span.start..keys.end - buffers.span.start;
    let scores = &mut buffers.scores[row * span..][seen.clone()];
    let most = most_of(scores, |score| score * scale);
    for score in scores.iter_mut() {
        *score = exp(*score * scale - most);
    }
    buffers.totals[row] = sum_of(scores, |weight| weight);
    weights[..seen.start].fill(bf16::ZERO);
    for (weight, score) in weights[seen.clone()].iter_mut().zip(scores) {
        *weight = Number::narrow(*score);
    }
    weights[seen.end..].fill(bf16::ZERO);
}

/// Weights times values, divided by the sum of the weights.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn gather(buffers: &mut Buffers) {
    use super::packed::PANEL;
    use super::product::PANELS;
    let (pairs, width) = (buffers.span.len() / 2, buffers.values.width);
    let weights: [&[u32]; ROWS] = std::array::from_fn(|row| &buffers.weights[row * pairs..][..pairs]);
    for first in (0..width / PANEL).step_by(PANELS) {
        // a last panel without a partner is multiplied twice
        let panels: [usize; PANELS] = std::array::from_fn(|n| (first + n).min(width / PANEL - 1));
        let values = panels.map(|panel| buffers.values.panel(panel, &buffers.span));
        let made = super::product::product(weights, values);
        for (row, made) in made.iter().enumerate() {
            let factor = 1.0 / buffers.totals[row];
            for (panel, made) in panels.iter().zip(made) {
                let place = &mut buffers.results[row * width + panel * PANEL..][..PANEL];
                for (place, sum) in place.iter_mut().zip(made) {
                    *place = Number::narrow(sum * factor);
                }
            }
        }
    }
}
