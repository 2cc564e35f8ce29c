//! Convolution with a sum of complex exponentials, the state space form of long convolutions.

use super::long::convolve;
use super::shape_error;
use tch::{Device, Kind, TchError, Tensor};

/// About how many bytes of spectra and filters are held at once.
fn tile_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => 64 << 20,
        _ => 1 << 30,
    }
}

/// `x [N, C], poles [C, S, 2], residues [C, S, 2]` (re, im) -> `[N, C]` in the kind of x:
/// z_j = p_j z_j + x, y = Re(sum_j r_j z_j) (StripedHyena; Laughing Hyena, arXiv 2310.18780).
/// The same as a convolution with h_t = Re(sum_j r_j p_j^t).
///
/// # Errors
/// Shapes that do not fit, and errors of torch.
pub(crate) fn modal_conv(x: &Tensor, poles: &Tensor, residues: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    let (of_x, size) = (x.size(), poles.size());
    let fits = size.len() == 3 && of_x.len() == 2 && size[2] == 2 && size[0] == of_x[1];
    if !fits || residues.size() != size {
        return shape_error(format!(
            "modal_conv: x is {of_x:?}, the poles {size:?}, the residues {:?}",
            residues.size()
        ));
    }
    let double = |t: &Tensor| t.f_to_kind(Kind::Double);
    let (poles, residues) = (double(poles)?, double(residues)?);
    convolve(x, offsets, tile_bytes(x.device()), |first, width, len| {
        impulse(
            &poles.f_narrow(0, first, width)?,
            &residues.f_narrow(0, first, width)?,
            len,
        )
    })
}

/// h_t = Re(sum_j r_j p_j^t) for t < len, `[C, len]` f32, computed in f64.
///
/// With t = u + v n the powers are p^u (p^n)^v, and the sum over j is a matrix product
/// `[C, v, 2 S] x [C, 2 S, u]` of real numbers: 2 sqrt(len) powers per pole instead of len.
fn impulse(poles: &Tensor, residues: &Tensor, len: i64) -> Result<Tensor, TchError> {
    let n = (len as f64).sqrt().ceil().max(1.0) as i64;
    let count = (len + n - 1) / n;
    let options = (Kind::Double, poles.device());
    let (re, im) = (poles.f_select(2, 0)?, poles.f_select(2, 1)?);
    let modulus = re.f_hypot(&im)?.f_unsqueeze(2)?;
    let angle = im.f_atan2(&re)?.f_unsqueeze(2)?;
    // `[C, S, exponents]`: real and imaginary part.
    let powers = |exponents: &Tensor| {
        let size = modulus.f_pow(exponents)?;
        let turn = angle.f_mul(exponents)?;
        Ok::<_, TchError>((turn.f_cos()?.f_mul_(&size)?, turn.f_sin()?.f_mul_(&size)?))
    };
    let (small_re, small_im) = powers(&Tensor::f_arange(n, options)?)?;
    let large = Tensor::f_arange(count, options)?.f_mul_scalar(n)?;
    let (large_re, large_im) = powers(&large)?;
    let (r, i) = (residues.f_narrow(2, 0, 1)?, residues.f_narrow(2, 1, 1)?);
    let out_re = large_re.f_mul(&r)?.f_sub_(&large_im.f_mul(&i)?)?;
    let out_im = large_re.f_mul(&i)?.f_add_(&large_im.f_mul(&r)?)?;
    let left = Tensor::f_cat(&[out_re, out_im.f_neg()?], 1)?.f_transpose(1, 2)?;
    let right = Tensor::f_cat(&[small_re, small_im], 1)?;
    let h = left.f_matmul(&right)?.f_reshape([-1, count * n])?;
    h.f_narrow(1, 0, len)?.f_to_kind(Kind::Float)
}
