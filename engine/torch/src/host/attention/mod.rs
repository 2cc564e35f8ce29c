//! Attention in bf16 on processors that multiply it (AVX512-BF16).
//!
//! libtorch's fused kernel multiplies bf16 as f32 where there is no AMX, and works in blocks so wide that half of what it
//! computes for a short causal sequence is hidden. Here eight queries at a time meet exactly the keys that at
//! least one of them sees. Scores, maximum and sum are f32; as in libtorch, the weights are rounded to bf16
//! before they meet the values.

mod packed;
#[cfg(target_arch = "x86_64")]
mod product;
mod rows;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

use super::memory::{Rows, filled};
use super::threads::together;
use crate::error::Result;
use crate::threads;
use half::bf16;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::Tensor;

/// Queries of a task: enough to make up for packing the keys, few enough to share among threads.
const TASK: usize = 1024;
/// Multiplications that are worth a thread of their own.
const LEAST: usize = 16 << 20;

/// The inputs: q `[N, H, D]`, k `[M, K, D]`, v `[M, K, F]`, and which keys each query sees.
pub(crate) struct Attention<'a> {
    pub(crate) q: &'a Tensor,
    pub(crate) k: &'a Tensor,
    pub(crate) v: &'a Tensor,
    /// The rows of each sequence of queries; together all N.
    pub(crate) sequences: &'a [Range<usize>],
    /// The rows of k that each query sees.
    pub(crate) seen: &'a [Range<usize>],
    /// Factor of the scores.
    pub(crate) scale: f64,
}

/// y `[N, H, F]`; `None` where this kernel does not fit (see the module). A query that sees no key gets zeros.
pub(crate) fn attention(inputs: &Attention) -> Result<Option<Tensor>> {
    let (Some(q), Some(k), Some(v)) = (Rows::of(inputs.q), Rows::of(inputs.k), Rows::of(inputs.v)) else {
        return Ok(None);
    };
    let ((rows, heads, dim), (_, key_heads, width)) = (inputs.q.size3()?, inputs.v.size3()?);
    if !rows::available() || dim == 0 || dim % 2 != 0 || width == 0 || width % packed::PANEL as i64 != 0 {
        return Ok(None);
    }
    let work = Work {
        q,
        k,
        v,
        seen: inputs.seen,
        scale: inputs.scale as f32,
        each: (heads / key_heads) as usize,
        dim: dim as usize,
        width: width as usize,
    };
    let tasks = tasks(inputs.sequences, key_heads as usize);
    let pairs: usize = inputs.seen.iter().map(Range::len).sum();
    let count = threads()
        .min(pairs * (heads * (dim + width)) as usize / LEAST)
        .min(tasks.len());
    let y = filled::<bf16>(&[rows, heads, width], |out| work.all(&tasks, count, out))?;
    Ok(Some(y))
}

/// Some queries of one sequence with the heads that share a key head.
struct Task {
    queries: Range<usize>,
    key_head: usize,
}

fn tasks(sequences: &[Range<usize>], key_heads: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for rows in sequences {
        for start in rows.clone().step_by(TASK) {
            let queries = start..rows.end.min(start + TASK);
            tasks.extend((0..key_heads).map(|key_head| Task {
                queries: queries.clone(),
                key_head,
            }));
        }
    }
    tasks
}

/// What all tasks look at.
struct Work<'a> {
    q: Rows<'a, bf16>,
    k: Rows<'a, bf16>,
    v: Rows<'a, bf16>,
    seen: &'a [Range<usize>],
    scale: f32,
    /// Heads of q for each of k.
    each: usize,
    /// Features of a head of q and k.
    dim: usize,
    /// Features of a head of v.
    width: usize,
}

/// Where results go; each task has its own rows and heads of it.
struct Out {
    at: *mut bf16,
    len: usize,
}

// SAFETY: tasks write to places of their own, see `Work::task`.
#[allow(unsafe_code)]
unsafe impl Sync for Out {}

impl Out {
    /// Writes `values` from element `at` on.
    fn put(&self, at: usize, values: &[bf16]) {
        assert!(at + values.len() <= self.len, "a head beyond the result");
        // SAFETY: in bounds, and no other task writes to this row and head.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), self.at.add(at), values.len());
        }
    }
}

impl Work<'_> {
    /// All tasks on `count` threads.
    fn all(&self, tasks: &[Task], count: usize, out: &mut [MaybeUninit<bf16>]) {
        let out = &Out {
            at: out.as_mut_ptr().cast(),
            len: out.len(),
        };
        let next = &AtomicUsize::new(0);
        together(count, || {
            let mut buffers = rows::Buffers::default();
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.task(task, &mut buffers, out);
            }
        });
    }

    fn task(&self, task: &Task, buffers: &mut rows::Buffers, out: &Out) {
        let seen = &self.seen[task.queries.clone()];
        let start = seen
            .iter()
            .filter(|r| !r.is_empty())
            .map(|r| r.start)
            .min()
            .unwrap_or(0);
        let end = seen.iter().map(|r| r.end).max().unwrap_or(0).max(start);
        let of_key_head = |width: usize| task.key_head * width..(task.key_head + 1) * width;
        let (k, v) = (self.k, self.v);
        let (keys, values) = (of_key_head(self.dim), of_key_head(self.width));
        buffers.keys.fill(start..end, self.dim, |key| &k.row(key)[keys.clone()]);
        buffers
            .values
            .fill(start..end, self.width, |key| &v.row(key)[values.clone()]);
        let stride = self.q.width() / self.dim * self.width;
        for head in task.key_head * self.each..(task.key_head + 1) * self.each {
            for first in task.queries.clone().step_by(rows::ROWS) {
                let last = task.queries.end.min(first + rows::ROWS);
                let query = |row: usize| &self.q.row(row)[head * self.dim..(head + 1) * self.dim];
                buffers.load(first..last, query, &self.seen[first..last], start);
                rows::attend(buffers, self.scale);
                for (index, row) in (first..last).enumerate() {
                    out.put(row * stride + head * self.width, buffers.result(index));
                }
            }
        }
    }
}
