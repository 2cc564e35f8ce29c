//! Convolution with a filter as long as the sequence, by fast Fourier transforms.

use super::{sequences, shape_error};
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

/// About how many bytes of spectra are held at once.
fn tile_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => 64 << 20,
        _ => 1 << 30,
    }
}

/// `x [N, C], h [L, C]` -> `[N, C]` in the kind of x: y_t = sum over s <= t of h_(t - s) x_s, in f32.
/// (Hyena, arXiv 2302.10866.)
///
/// # Errors
/// A filter shorter than the longest sequence, other channels than x, and errors of torch.
pub(crate) fn long_conv(x: &Tensor, h: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    let longest = sequences(offsets).map(|s| s.1).max().unwrap_or(0);
    let (of_x, of_h) = (x.size(), h.size());
    if of_h.len() != 2 || of_h.get(1) != of_x.get(1) {
        return shape_error(format!("long_conv: x is {of_x:?}, its filter {of_h:?}"));
    }
    if of_h[0] < longest {
        return shape_error(format!(
            "long_conv: the filter has {} taps, the longest sequence {longest} tokens; use sequences \
             of at most {} tokens",
            of_h[0], of_h[0]
        ));
    }
    let taps = |first: i64, width: i64, len: i64| {
        h.f_narrow(1, first, width)?
            .f_narrow(0, 0, len.min(of_h[0]))?
            .f_tr()?
            .f_to_kind(Kind::Float)
    };
    convolve(x, offsets, tile_bytes(x.device()), taps)
}

/// The convolution, in tiles of channels. `taps(first, width, len)` gives the first `len` taps (or
/// all, if there are fewer) of `width` channels, `[width, len]` f32.
///
/// A sequence of n tokens is transformed with a length >= 2n that depends on n alone, and so do the
/// taps it meets; sequences of one length of transform share their batch.
pub(super) fn convolve(
    x: &Tensor,
    offsets: &[i64],
    bytes: i64,
    taps: impl Fn(i64, i64, i64) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let channels = x.size()[1];
    let mut groups: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for sequence in sequences(offsets) {
        groups.entry(transform_length(sequence.1)).or_default().push(sequence);
    }
    let y = x.f_empty_like()?;
    for (size, members) in groups {
        // Input, its spectrum and the filter's: about 16 bytes per point and channel.
        let width = (bytes / (16 * size)).clamp(1, channels.max(1));
        let at_once = (bytes / (16 * size * width)).max(1) as usize;
        let mut first = 0;
        while first < channels {
            let width = width.min(channels - first);
            let spectrum = taps(first, width, size / 2)?.f_fft_rfft(size, -1, "backward")?;
            for members in members.chunks(at_once) {
                let column = |t: &Tensor, s: &(i64, i64)| t.f_narrow(0, s.0, s.1)?.f_narrow(1, first, width)?.f_tr();
                let count = members.len() as i64;
                let options = (Kind::Float, x.device());
                let padded = Tensor::f_zeros([count, width, size], options)?;
                for (i, s) in members.iter().enumerate() {
                    padded
                        .f_select(0, i as i64)?
                        .f_narrow(1, 0, s.1)?
                        .f_copy_(&column(x, s)?)?;
                }
                let product = padded.f_fft_rfft(size, -1, "backward")?.f_mul_(&spectrum)?;
                let out = product.f_fft_irfft(size, -1, "backward")?;
                for (i, s) in members.iter().enumerate() {
                    column(&y, s)?.f_copy_(&out.f_select(0, i as i64)?.f_narrow(1, 0, s.1)?)?;
                }
            }
            first += width;
        }
    }
    Ok(y)
}

/// The smallest 2^k or 3 2^k that holds a linear convolution of n tokens with n taps.
fn transform_length(n: i64) -> i64 {
    let power = (2 * n).max(4).unsigned_abs().next_power_of_two() as i64;
    match power / 4 * 3 {
        less if less >= 2 * n => less,
        _ => power,
    }
}
