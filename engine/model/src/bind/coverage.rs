//! A tensor that is read in pieces must be read whole: what of it nothing used.

use super::source::Rows;
use super::{Binding, Piece, Source, TensorInfo};
use std::collections::{BTreeMap, BTreeSet};

/// Places named in one message.
const SHOWN: usize = 4;

/// The rows that were used of each part of dim 0.
#[derive(Default)]
struct Used<'a> {
    any: Option<&'a Piece>,
    parts: BTreeMap<u64, BTreeSet<Option<Rows>>>,
}

/// Tensors of which only pieces are used, with words for what nothing used.
pub(super) fn partly_used<'b>(binding: &'b Binding, tensors: &[TensorInfo]) -> Vec<(String, String)> {
    let mut whole: BTreeSet<u32> = BTreeSet::new();
    let mut cut: BTreeMap<u32, Used<'b>> = BTreeMap::new();
    let mut take = |source: &'b Source| match source {
        Source::Piece(piece) => {
            let piece: &Piece = piece;
            let used = cut.entry(piece.tensor).or_default();
            used.any = Some(piece);
            let at = piece.index.map_or(0, |index| index.at);
            used.parts.entry(at).or_default().insert(piece.rows);
        }
        other => whole.extend(other.tensors()),
    };
    for stack in &binding.stacks {
        stack.enter.each_source(&mut take);
        stack.layers.iter().for_each(|layer| layer.each_source(&mut take));
        stack.last.iter().for_each(|last| last.each_source(&mut take));
    }
    binding.head.each_source(&mut take);
    let cut = cut.iter().filter(|(tensor, _)| !whole.contains(tensor));
    let left = |(tensor, used): (&u32, &Used<'_>)| {
        let info = &tensors[*tensor as usize];
        Some((info.name.clone(), unused(used, info)?))
    };
    cut.filter_map(left).collect()
}

fn unused(used: &Used<'_>, info: &TensorInfo) -> Option<String> {
    let piece = used.any?;
    let count = piece.index.map_or(1, |index| index.of);
    let height = height(piece, info);
    // Experts are cut alike, so few of these differ.
    let mut gaps: BTreeMap<&BTreeSet<Option<Rows>>, Option<(u64, u64)>> = BTreeMap::new();
    let mut findings: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for at in 0..count {
        let finding = match used.parts.get(&at) {
            None => Some("anything".to_string()),
            Some(rows) => gaps.entry(rows).or_insert_with(|| gap(rows, height)).map(|(from, to)| {
                let what = if piece.transposed { "columns" } else { "rows" };
                format!("the {what} {from} .. {to}")
            }),
        };
        if let Some(finding) = finding {
            findings.entry(finding).or_default().push(at);
        }
    }
    let words = findings.iter().map(|(finding, parts)| match piece.index {
        None => finding.clone(),
        Some(_) => {
            let shown: Vec<String> = parts.iter().take(SHOWN).map(u64::to_string).collect();
            let more = if parts.len() > SHOWN { ", …" } else { "" };
            format!("{finding} of index {}{more}", shown.join(", "))
        }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Rows of what the index leaves, before they are cut.
fn height(piece: &Piece, info: &TensorInfo) -> u64 {
    let elements: u64 = info.shape.iter().product();
    let each = elements / piece.index.map_or(1, |index| index.of).max(1);
    let row: u64 = piece.shape.iter().skip(1).product();
    each / row.max(1)
}

/// The first run of rows that none of `used` holds.
fn gap(used: &BTreeSet<Option<Rows>>, height: u64) -> Option<(u64, u64)> {
    if used.contains(&None) {
        return None;
    }
    let mut seen = vec![false; height as usize];
    for rows in used.iter().flatten() {
        (0..rows.len).for_each(|k| seen[(rows.start + k * rows.step) as usize] = true);
    }
    let from = seen.iter().position(|seen| !seen)?;
    let len = seen[from..].iter().take_while(|seen| !**seen).count();
    Some((from as u64, (from + len) as u64))
}
