//! The token mixer of FNet.

use super::sequences;
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

/// About how many bytes of spectra are held at once.
fn block_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => 64 << 20,
        _ => 1 << 30,
    }
}

/// `x [N, C]` -> `[N, C]` in the kind of x: the real part of the 2-D discrete Fourier transform over
/// the tokens of a sequence and the features, in f32 (FNet, arXiv 2105.03824, section 3).
///
/// Sequences of one length share a batch; no sequence is filled up, which would change its transform.
///
/// # Errors
/// Errors of torch.
pub(crate) fn fourier(x: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    let channels = x.size()[1];
    let mut lengths: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (start, len) in sequences(offsets) {
        lengths.entry(len).or_default().push(start);
    }
    let y = x.f_empty_like()?;
    for (len, starts) in lengths {
        // A complex number each before and after the second transform.
        let at_once = (block_bytes(x.device()) / (len * channels * 16).max(1)).max(1) as usize;
        for starts in starts.chunks(at_once) {
            let rows = |t: &Tensor| {
                let parts = starts.iter().map(|s| t.f_narrow(0, *s, len));
                parts.collect::<Result<Vec<_>, _>>()
            };
            let batch = Tensor::f_stack(&rows(x)?, 0)?.f_to_kind(Kind::Float)?;
            let spectrum = batch.f_fft_fft2(None::<&[i64]>, [1i64, 2].as_slice(), "backward")?;
            let real = spectrum.f_real()?;
            for (i, mut part) in rows(&y)?.into_iter().enumerate() {
                part.f_copy_(&real.f_select(0, i as i64)?)?;
            }
        }
    }
    Ok(y)
}
