//! Linear recurrences over the tokens of a sequence: `linear_scan`, `selective_scan`, `recurrence`.
//!
//! None of them steps through the tokens of a long sequence one by one. A batch is cut in blocks
//! (bounded memory), a block in chunks of one sequence each; what happens within the chunks is
//! batched over all of them, and the states pass from chunk to chunk for all sequences at once.
//!
//! The scheme is the chunked form of state space duality (Mamba-2, arXiv 2405.21060, section 6) and
//! of gated linear attention (arXiv 2312.06635); each file gives the formulas of its variant.

mod channel;
mod chunks;
mod decay;
mod delta;
mod erase;
mod first_order;
mod gain;
mod operands;
mod plain;
mod selective;
mod state;
#[cfg(test)]
mod tests;
mod wkv;

pub(crate) use first_order::recurrence;
pub(crate) use operands::ScanInputs;
pub(crate) use selective::selective_scan;

use chunks::{Block, Chunks, blocks};
use operands::Operands;
use state::Step;
use tch::{Device, Kind, TchError, Tensor};

/// Tokens of a chunk.
const CHUNK: i64 = 64;

/// About how many bytes the values of one block may take: on a CPU what stays in its caches.
pub(super) fn block_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => i64::from(tch::get_num_threads().max(1)) << 23,
        _ => 1 << 30,
    }
}

/// The recurrence of `linear_scan`: a state S `[H, K, V]` per sequence, zero before its first
/// token, w = exp(decay), ' = transpose:
///
/// * plain: `S = diag(w) S + k v'`;
/// * beta b: `S = diag(w) S; S = S + b k (v - k' S)'`;
/// * erase a, b: `S = diag(w) S + b (a' S_old) + k v'`;
/// * output `y = q' S`, or with bonus u `y = q' (S_old + diag(u) k v')`;
/// * gain g: k v' enters as exp(g) k v'; normalised by the same scan with v = 1.
///
/// `offsets` are the limits of the sequences in the rows, from 0 to N. Returns `[N, H, V]` in the
/// kind of v. States and products are f32, cumulated decays f64.
///
/// # Errors
/// Inputs whose shapes do not fit, combinations that have no meaning, and errors of torch.
pub(crate) fn linear_scan(inputs: &ScanInputs, offsets: &[i64]) -> Result<Tensor, TchError> {
    linear_scan_within(inputs, offsets, block_bytes(inputs.v.device()))
}

/// The same with blocks of about that many bytes.
fn linear_scan_within(inputs: &ScanInputs, offsets: &[i64], bytes: i64) -> Result<Tensor, TchError> {
    let all = Operands::new(inputs)?;
    let form = Form::of(&all)?;
    let limit = bytes / chunk_bytes(&all);
    let mut parts = Vec::new();
    let mut carried = None;
    for block in blocks(offsets, CHUNK, limit) {
        let rows = all.rows(block.start, block.rows())?;
        let start = carried.take().filter(|_| block.continues);
        let (y, last) = form.run(&rows, &block, start)?;
        parts.push(y.f_to_kind(inputs.v.kind())?);
        carried = last;
    }
    match parts.len() {
        0 => inputs.v.f_zeros_like(),
        1 => Ok(parts.remove(0)),
        _ => Tensor::f_cat(&parts, 0),
    }
}

/// Bytes that the values of one chunk take at the worst moment: the tables `[L, L]`, the operands
/// and the states of all heads.
fn chunk_bytes(all: &Operands) -> i64 {
    let (k, v) = (all.keys(), all.values());
    let table = match all.ones {
        true => 0,
        false => CHUNK * 16,
    };
    all.heads() * (CHUNK * (table + (k + v) * 24) + k * (k + 3 * v) * 4)
}

/// What a block leaves to the next one of the same sequence.
enum Carried {
    /// The state S.
    State(Tensor),
    /// The state divided by exp(m), and m.
    Scaled(Tensor, Tensor),
}

/// The chunked forms.
enum Form {
    Plain,
    Channel,
    Delta,
    Erase,
    Gain,
    Wkv,
}

impl Form {
    /// The form for these operands.
    fn of(all: &Operands) -> Result<Form, TchError> {
        let refuse = |why: &str| Err(TchError::Shape(format!("linear_scan: {why}")));
        let gained = all.gain.is_some() || all.normalize.is_some();
        let per_channel = all.decay_per_channel();
        match (all.beta.is_some(), all.erase.is_some()) {
            (true, true) => refuse("`beta` and `erase` exclude each other"),
            (true, _) | (_, true) if gained || all.bonus.is_some() => {
                refuse("`beta` and `erase` go with neither `bonus`, `gain` nor `normalize`")
            }
            (true, false) => Ok(Form::Delta),
            (false, true) => Ok(Form::Erase),
            _ if gained && per_channel => refuse("`gain` and `normalize` need one decay per head, `[N, H, 1]`"),
            _ if gained && all.ones && all.values() == 1 => Ok(Form::Wkv),
            _ if gained => Ok(Form::Gain),
            _ if per_channel => Ok(Form::Channel),
            _ => Ok(Form::Plain),
        }
    }

    /// Runs one block.
    fn run(
        &self,
        rows: &Operands,
        block: &Block,
        start: Option<Carried>,
    ) -> Result<(Tensor, Option<Carried>), TchError> {
        if let Form::Wkv = self {
            return wkv::run(rows, block, start);
        }
        let chunks = &Chunks::new(block, CHUNK, rows.v.device())?;
        let state = match &start {
            Some(Carried::State(s)) => Some(s),
            _ => None,
        };
        let wanted = state.is_some() || !chunks.alone();
        let local = match self {
            Form::Plain => return plain::run(rows, chunks, state),
            Form::Gain | Form::Wkv => return gain::run(rows, chunks, start),
            Form::Channel => channel::local(rows, chunks, wanted)?,
            Form::Delta => delta::local(rows, chunks, wanted)?,
            Form::Erase => erase::local(rows, chunks, wanted)?,
        };
        local.finish(chunks, state)
    }
}

/// A chunk as a function of the state before it: Y = y + read S0, S1 = step S0 + added.
struct Local {
    /// `[M, H, L, V]`.
    y: Tensor,
    /// Missing if no state enters or leaves a chunk.
    link: Option<Link>,
}

/// The part of a chunk that concerns its states.
struct Link {
    /// `[M, H, L, K]`.
    read: Tensor,
    step: Step,
    /// `[M, H, K, V]`.
    added: Tensor,
}

impl Local {
    fn finish(self, chunks: &Chunks, start: Option<&Tensor>) -> Result<(Tensor, Option<Carried>), TchError> {
        let (y, last) = match self.link {
            None => (self.y, None),
            Some(link) => {
                let (before, last) = state::pass(chunks, &link.step, &link.added, start)?;
                let y = link.read.f_matmul(&before)?.f_add_(&self.y)?;
                (y, Some(Carried::State(last)))
            }
        };
        Ok((chunks.unpack(&y.f_transpose(1, 2)?)?, last))
    }
}

/// Sum over the last dim of x y in f32, without the dim.
fn dot(x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    x.f_mul(y)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
}
