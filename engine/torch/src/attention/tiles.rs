//! Which sequences are worked on together, which keys a query sees, and how queries are tiled.

use super::Heads;
use crate::error::Result;
use crate::place;
use sli_model::Attend;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Sequences up to this many queries are worked on together if their lengths agree.
const SHORT: i64 = 128;
/// Rows of such a group.
const GROUP_ROWS: i64 = 4096;
/// Queries of a tile that needs a mask.
const TILE: i64 = 512;
/// Bytes of f32 scores that one tile of the explicit path may hold: below what the allocator fetches
/// from the system, and gives back to it, each time.
const SCORES: i64 = 16 << 20;
/// The same for the bias of a tile.
const BIASES: i64 = 64 << 20;

/// Sequences with the same numbers of queries and keys.
pub(super) struct Group {
    /// Numbers of the sequences.
    pub(super) sequences: Vec<usize>,
    /// Queries of each.
    pub(super) queries: i64,
    /// Keys of each.
    pub(super) keys: i64,
    q_starts: Vec<i64>,
    k_starts: Vec<i64>,
}

/// q `[B, Lq, H, D]`, k `[B, Lk, K, D]`, v `[B, Lk, K, F]` of a group.
pub(super) struct Gathered {
    pub(super) q: Tensor,
    pub(super) k: Tensor,
    pub(super) v: Tensor,
}

/// Cuts a batch into groups. What depends on the sequence itself (a bias made of its tensors, a prefix)
/// keeps it alone.
pub(super) fn groups(heads: &Heads) -> Vec<Group> {
    let alone = heads.prefix.is_some() || heads.bias.as_ref().is_some_and(|b| !b.shared());
    let mut order: Vec<usize> = (0..heads.q_set.sequences())
        .filter(|s| heads.q_set.length(*s) > 0)
        .collect();
    let lengths = |s: usize| (heads.q_set.length(s), heads.k_set.length(s));
    if !alone {
        order.sort_by_key(|s| lengths(*s)); // stable: neighbours stay neighbours
    }
    let mut groups: Vec<Group> = Vec::new();
    for s in order {
        let (queries, keys) = lengths(s);
        let (q_start, k_start) = (heads.q_set.range(s).start, heads.k_set.range(s).start);
        if let Some(group) = groups.last_mut() {
            let count = group.sequences.len() as i64 + 1;
            let fits = queries.max(keys) <= SHORT && count * queries.max(keys) <= GROUP_ROWS;
            if !alone && fits && (group.queries, group.keys) == (queries, keys) {
                group.sequences.push(s);
                group.q_starts.push(q_start);
                group.k_starts.push(k_start);
                continue;
            }
        }
        let (q_starts, k_starts) = (vec![q_start], vec![k_start]);
        groups.push(Group {
            sequences: vec![s],
            queries,
            keys,
            q_starts,
            k_starts,
        });
    }
    groups
}

impl Group {
    /// The rows of the group's sequences, views where they stand side by side.
    pub(super) fn gather(&self, heads: &Heads) -> Result<Gathered> {
        Ok(Gathered {
            q: batch(&heads.q, &self.q_starts, self.queries)?,
            k: batch(&heads.k, &self.k_starts, self.keys)?,
            v: batch(&heads.v, &self.k_starts, self.keys)?,
        })
    }

    /// The rows of queries and of keys of each sequence.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
        let starts = self.q_starts.iter().zip(&self.k_starts);
        starts.map(|(q, k)| {
            let of = |start: i64, len: i64| start as usize..(start + len) as usize;
            (of(*q, self.queries), of(*k, self.keys))
        })
    }

    /// Writes a tile's `[B, rows, ..]` to the rows of `out` `[N, ..]`.
    pub(super) fn put(&self, out: &mut Tensor, tile: &Tile, made: &Tensor) -> Result<()> {
        for (b, start) in self.q_starts.iter().enumerate() {
            let rows = tile.q.end - tile.q.start;
            out.f_narrow(0, start + tile.q.start, rows)?
                .f_copy_(&made.f_select(0, b as i64)?)?;
        }
        Ok(())
    }
}

/// `[B, len, ..]` of the rows that begin at `starts`.
fn batch(x: &Tensor, starts: &[i64], len: i64) -> Result<Tensor> {
    let side_by_side = starts.windows(2).all(|w| w[1] - w[0] == len);
    let count = starts.len() as i64;
    let rows = if side_by_side {
        x.f_narrow(0, starts[0], count * len)?
    } else {
        let rows: Vec<i64> = starts.iter().flat_map(|start| *start..start + len).collect();
        x.f_index_select(0, &place::numbers(&rows, x.device())?)?
    };
    Ok(rows.f_unflatten(0, [count, len])?)
}

/// Queries `q` and the keys `k` that at least one of them may see.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    /// Indices in the sequence.
    pub(super) q: Range<i64>,
    /// Indices in the sequence.
    pub(super) k: Range<i64>,
    /// The mask is the plain triangle k <= q, with q.start = k.start.
    pub(super) triangle: bool,
    /// Every query sees every key.
    pub(super) full: bool,
}

/// Which keys the queries of a group see.
pub(super) struct Visible {
    causal: bool,
    window: Option<i64>,
    chunk: Option<i64>,
    prefix: Option<Vec<i64>>,
    biased: bool,
    queries: i64,
    keys: i64,
}

impl Visible {
    pub(super) fn new(op: &Attend, heads: &Heads, group: &Group) -> Visible {
        let longest = group.queries.max(group.keys);
        let bites = |size: &u64| (*size as i64) < longest;
        let rows = heads.q_set.range(group.sequences[0]);
        let prefix = heads.prefix.as_ref().filter(|_| op.causal);
        Visible {
            causal: op.causal,
            window: op.window.filter(bites).map(|w| w as i64),
            chunk: op.chunk.filter(bites).map(|c| (c as i64).max(1)),
            prefix: prefix.map(|p| p[rows.start as usize..rows.end as usize].to_vec()),
            biased: heads.bias.is_some(),
            queries: group.queries,
            keys: group.keys,
        }
    }

    /// The keys that query `q` sees, an interval.
    pub(super) fn of(&self, q: i64) -> Range<i64> {
        let (mut start, mut end) = (0, self.keys);
        if self.causal {
            let prefix = self.prefix.as_ref().map_or(0, |p| p[q as usize]);
            end = end.min((q + 1).max(prefix));
        }
        if let Some(window) = self.window {
            start = start.max(q - window + 1);
            if !self.causal {
                end = end.min(q + window);
            }
        }
        if let Some(chunk) = self.chunk {
            start = start.max(q / chunk * chunk);
            end = end.min((q / chunk + 1) * chunk);
        }
        start.min(end)..end
    }

    /// Tiles of queries, in order. Without mask or bias a whole sequence (or chunk) is one tile.
    pub(super) fn tiles(&self, explicit: bool, heads: i64) -> Vec<Tile> {
        let plain = self.prefix.is_none() && !self.biased && !explicit;
        let rows_of = |bytes: i64| bytes / (4 * heads * self.keys).max(1);
        let step = match (explicit, self.biased) {
            (true, _) => rows_of(SCORES).clamp(16, TILE),
            (false, true) => rows_of(BIASES).clamp(64, TILE),
            (false, false) => TILE,
        };
        let mut tiles = Vec::new();
        let mut start = 0;
        while start < self.queries {
            let chunk = self
                .chunk
                .map_or(0..self.queries, |c| start / c * c..(start / c + 1) * c);
            let whole = plain && (self.window.is_none() || self.causal && start == chunk.start);
            // the first queries of a causal sequence do not yet feel the window
            let step = if whole {
                self.window.unwrap_or(self.queries)
            } else {
                step
            };
            let end = (start + step).min(chunk.end).min(self.queries);
            tiles.push(self.tile(start..end, whole));
            start = end;
        }
        tiles
    }

    fn tile(&self, q: Range<i64>, plain: bool) -> Tile {
        let seen: Vec<Range<i64>> = q.clone().map(|i| self.of(i)).collect();
        let start = seen.iter().map(|r| r.start).min().unwrap_or(0);
        let end = seen.iter().map(|r| r.end).max().unwrap_or(0).max(start);
        let full = seen.iter().all(|r| *r == (start..end));
        Tile {
            triangle: plain && self.causal && !full && start == q.start,
            q,
            k: start..end,
            full,
        }
    }

    /// `[queries, keys]`: true where a query of the tile does not see a key.
    fn hidden(&self, tile: &Tile, device: Device) -> Result<Tensor> {
        let seen: Vec<Range<i64>> = tile.q.clone().map(|i| self.of(i)).collect();
        let column = |f: fn(&Range<i64>) -> i64| -> Result<Tensor> {
            let numbers: Vec<i64> = seen.iter().map(f).collect();
            Ok(place::numbers(&numbers, device)?.f_unsqueeze(1)?)
        };
        let keys = Tensor::f_arange_start(tile.k.start, tile.k.end, (Kind::Int64, device))?;
        let before = keys.f_lt_tensor(&column(|r| r.start)?)?;
        Ok(before.f_logical_or(&keys.f_ge_tensor(&column(|r| r.end)?)?)?)
    }
}

/// Makes the additive masks of tiles; a mask like the one before is not made again.
#[derive(Default)]
pub(super) struct Masks {
    last: Option<(Tile, Tensor)>,
}

impl Masks {
    /// Bias plus mask of a tile, `[1 or B, 1 or H, queries, keys]` f32; `None` if there is nothing to add.
    pub(super) fn of(
        &mut self,
        visible: &Visible,
        heads: &Heads,
        group: &Group,
        tile: &Tile,
    ) -> Result<Option<Tensor>> {
        if tile.k.is_empty() || tile.triangle || tile.full && heads.bias.is_none() {
            return Ok(None);
        }
        let Some(bias) = &heads.bias else {
            if let Some((of, mask)) = &self.last
                && visible.prefix.is_none()
                && alike(of, tile)
                && visible.chunk.is_none()
            {
                return Ok(Some(mask.shallow_clone()));
            }
            let hidden = visible.hidden(tile, heads.q.device())?;
            let zeros = Tensor::f_zeros(hidden.size(), (Kind::Float, heads.q.device()))?;
            let mask = zeros
                .f_masked_fill(&hidden, f64::NEG_INFINITY)?
                .f_unsqueeze(0)?
                .f_unsqueeze(0)?;
            self.last = Some((tile.clone(), mask.shallow_clone()));
            return Ok(Some(mask));
        };
        let at = super::bias::At {
            sequence: group.sequences[0],
            q: tile.q.clone(),
            k: tile.k.clone(),
            keys: group.keys,
            device: heads.q.device(),
        };
        let mut bias = bias.tile(&at)?;
        // biases may leave out queries and keys they do not depend on
        let (rows, keys) = (tile.q.end - tile.q.start, tile.k.end - tile.k.start);
        if !tile.full {
            let hidden = visible.hidden(tile, bias.device())?;
            bias = match bias.size()[1..] == [rows, keys] {
                true => bias.f_masked_fill_(&hidden, f64::NEG_INFINITY)?,
                false => bias.f_masked_fill(&hidden, f64::NEG_INFINITY)?,
            };
        }
        Ok(Some(bias.f_expand([-1, rows, keys], false)?.f_unsqueeze(0)?))
    }
}

/// True if two tiles inside a sequence have the same mask: same sizes, same distance, not cut at an end.
fn alike(a: &Tile, b: &Tile) -> bool {
    let size = |t: &Tile| (t.q.end - t.q.start, t.k.end - t.k.start, t.q.start - t.k.start);
    size(a) == size(b) && a.k.start > 0 && b.k.end == b.q.end && a.k.end == a.q.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(causal: bool, window: Option<i64>, chunk: Option<i64>, length: i64) -> Visible {
        Visible {
            causal,
            window,
            chunk,
            prefix: None,
            biased: false,
            queries: length,
            keys: length,
        }
    }

    #[test]
    fn a_causal_sequence_is_one_triangle() {
        let tiles = visible(true, None, None, 2000).tiles(false, 8);
        assert_eq!(
            tiles,
            [Tile {
                q: 0..2000,
                k: 0..2000,
                triangle: true,
                full: false
            }]
        );
    }

    #[test]
    fn chunks_are_triangles_of_their_own() {
        let tiles = visible(true, None, Some(3), 7).tiles(false, 8);
        let spans: Vec<_> = tiles.iter().map(|t| (t.q.clone(), t.k.clone())).collect();
        assert_eq!(spans, [(0..3, 0..3), (3..6, 3..6), (6..7, 6..7)]);
        assert!(tiles[1].triangle && tiles[2].full);
    }

    #[test]
    fn a_window_reads_only_the_keys_in_reach() {
        let tiles = visible(true, Some(100), None, 2000).tiles(false, 8);
        assert!(tiles[0].triangle && tiles[0].q == (0..100) && !tiles[1].triangle);
        assert_eq!((tiles[3].q.clone(), tiles[3].k.clone()), (1124..1636, 1025..1636));
        let both = visible(false, Some(2), None, 5).tiles(false, 8);
        assert_eq!(both[0].k, 0..5);
    }
}
