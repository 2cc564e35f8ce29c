//! The tensor that the other crates see.

use crate::device::Device;
use crate::error::{Result, fail};
use crate::kinds::{cast, dtype_of, kind_of};
use crate::place;
use sli_model::DType;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use tch::Kind;

/// Memory that tensors look into: an arena of the reader, a mapped file, a vector.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A range of bytes and what keeps it alive.
#[derive(Clone)]
pub struct ByteView {
    owner: Bytes,
    range: Range<usize>,
}

impl ByteView {
    /// The bytes `range` of `owner`.
    ///
    /// # Errors
    /// A range beyond the end.
    pub fn new(owner: Bytes, range: Range<usize>) -> Result<ByteView> {
        let len = (*owner).as_ref().len();
        if range.start > range.end || range.end > len {
            fail!("bytes {range:?} were asked for, the buffer holds {len}");
        }
        Ok(ByteView { owner, range })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

/// Memory outside of libtorch's care that a tensor looks into.
#[derive(Clone)]
enum Keep {
    /// Of the host.
    Host(ByteView),
    /// Of a device: its addresses, and what holds them.
    Device {
        addresses: Range<usize>,
        /// Frees the memory when the last tensor is dropped.
        _holder: Arc<dyn Any + Send + Sync>,
    },
}

impl Keep {
    fn addresses(&self) -> Range<usize> {
        match self {
            Keep::Host(view) => {
                let bytes = view.bytes().as_ptr_range();
                bytes.start as usize..bytes.end as usize
            }
            Keep::Device { addresses, .. } => addresses.clone(),
        }
    }
}

/// A tensor; cloning shares the data. Nothing outside the crate can change its elements.
pub struct Tensor {
    raw: tch::Tensor,
    /// What the data belongs to, if not to libtorch.
    keep: Option<Keep>,
}

// SAFETY: libtorch counts references atomically and reading a tensor from several threads is allowed.
// No method of this type writes to a tensor, and the operations of this crate write only to tensors
// that they have made themselves and not yet given away.
#[allow(unsafe_code)]
unsafe impl Sync for Tensor {}

impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        Tensor {
            raw: self.raw.shallow_clone(),
            keep: self.keep.clone(),
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.dtype(), self.shape())
    }
}

impl Tensor {
    /// A tensor whose data libtorch owns (or that `keep` of another tensor in the same run keeps).
    pub(crate) fn own(raw: tch::Tensor) -> Tensor {
        Tensor { raw, keep: None }
    }

    /// libtorch's tensor.
    pub(crate) fn raw(&self) -> &tch::Tensor {
        &self.raw
    }

    /// A tensor whose data lies in memory of a device that `holder` keeps for it.
    pub(crate) fn held(raw: tch::Tensor, holder: Arc<dyn Any + Send + Sync>) -> Tensor {
        let start = raw.data_ptr() as usize;
        let bytes = raw.numel() * raw.kind().elt_size_in_bytes();
        let keep = Keep::Device {
            addresses: start..start + bytes,
            _holder: holder,
        };
        Tensor { raw, keep: Some(keep) }
    }

    /// A tensor made from `self` that may share its data.
    pub(crate) fn derive(&self, raw: tch::Tensor) -> Tensor {
        let keep = if self.raw.data_ptr() == raw.data_ptr() || self.holds(&raw) {
            self.keep.clone()
        } else {
            None
        };
        Tensor { raw, keep }
    }

    /// True if the data of `raw` lies in the foreign memory behind this tensor.
    fn holds(&self, raw: &tch::Tensor) -> bool {
        let at = raw.data_ptr() as usize;
        self.keep.as_ref().is_some_and(|keep| keep.addresses().contains(&at))
    }

    /// `self`, kept alive by the one of `sources` whose foreign memory it looks into.
    pub(crate) fn settled<'a>(self, mut sources: impl Iterator<Item = &'a Tensor>) -> Tensor {
        if self.keep.is_some() {
            return self;
        }
        let keep = sources.find(|s| s.holds(&self.raw)).and_then(|s| s.keep.clone());
        Tensor { raw: self.raw, keep }
    }

    /// A tensor of f32 numbers; the shape must fit.
    ///
    /// # Errors
    /// A shape with another number of elements.
    pub fn from_f32(data: &[f32], shape: &[i64]) -> Result<Tensor> {
        check_count(data.len(), shape)?;
        Ok(Tensor::own(tch::Tensor::f_from_slice(data)?.f_reshape(shape)?))
    }

    /// A tensor of i64 numbers; the shape must fit.
    ///
    /// # Errors
    /// A shape with another number of elements.
    pub fn from_i64(data: &[i64], shape: &[i64]) -> Result<Tensor> {
        check_count(data.len(), shape)?;
        Ok(Tensor::own(tch::Tensor::f_from_slice(data)?.f_reshape(shape)?))
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// A dtype that does not compute, or no memory.
    pub fn zeros(shape: &[i64], dtype: DType) -> Result<Tensor> {
        Ok(Tensor::own(tch::Tensor::f_zeros(
            shape,
            (kind_of(dtype)?, tch::Device::Cpu),
        )?))
    }

    /// A tensor that looks into `bytes` (little-endian, row-major) without a copy. Bytes that are not
    /// aligned for the dtype, and the unsigned types libtorch lacks (they become i64), are copied.
    ///
    /// # Errors
    /// Bytes and shape that do not agree.
    pub fn view(bytes: ByteView, dtype: DType, shape: &[i64]) -> Result<Tensor> {
        check_count(bytes.range.len() / dtype.size(), shape)?;
        if !bytes.range.len().is_multiple_of(dtype.size()) {
            fail!("{} bytes are no whole number of {dtype} elements", bytes.range.len());
        }
        if let DType::U16 | DType::U32 | DType::U64 = dtype {
            return Tensor::from_i64(&widen(bytes.bytes(), dtype.size()), shape);
        }
        let data = bytes.bytes().as_ptr();
        if !(data as usize).is_multiple_of(dtype.size()) || bytes.range.is_empty() {
            let raw = tch::Tensor::f_from_data_size(bytes.bytes(), shape, kind_of(dtype)?)?;
            return Ok(Tensor::own(raw));
        }
        let strides = row_major(shape);
        // SAFETY: the bytes are alive as long as `keep` is, which goes wherever the tensor goes (`derive`,
        // `settled`); they are aligned, in bounds (checked above) and never written through the tensor.
        #[allow(unsafe_code)]
        let raw = unsafe { tch::Tensor::f_from_blob(data, shape, &strides, kind_of(dtype)?, tch::Device::Cpu)? };
        let keep = Some(Keep::Host(bytes));
        Ok(Tensor { raw, keep })
    }

    /// The tensor on `device`; itself if it is there. To a CUDA device the copy is queued, and waited for only
    /// by what is computed there; to the processor it is waited for, and with it all that was queued before.
    ///
    /// # Errors
    /// No memory there.
    pub fn to_device(&self, device: Device) -> Result<Tensor> {
        if self.device() == device {
            return Ok(self.clone());
        }
        let host = device.is_cpu() || self.device() != Device::Cpu;
        let raw = match host {
            true => self.raw.f_to_device(device.raw())?,
            false => place::put(&self.raw, device.raw())?,
        };
        Ok(Tensor::own(raw))
    }

    /// Where its elements are.
    pub fn device(&self) -> Device {
        Device::of(self.raw.device())
    }

    /// Sizes of the dims.
    pub fn shape(&self) -> Vec<i64> {
        self.raw.size()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        dtype_of(self.raw.kind())
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.raw.numel()
    }

    /// The elements as they lie in memory, of a contiguous tensor in main memory.
    ///
    /// # Errors
    /// A tensor that is not contiguous, or on a device.
    pub fn bytes(&self) -> Result<&[u8]> {
        if self.raw.device() != tch::Device::Cpu || !self.raw.is_contiguous() {
            fail!("the bytes of a tensor that is not contiguous in main memory were asked for");
        }
        if self.numel() == 0 {
            return Ok(&[]);
        }
        // SAFETY: the elements lie at `data_ptr`, one after the other (checked above), are initialised, and no method
        // of this type changes them as long as `self` is borrowed.
        #[allow(unsafe_code)]
        let bytes = unsafe { std::slice::from_raw_parts(self.raw.data_ptr().cast::<u8>(), self.nbytes()) };
        Ok(bytes)
    }

    /// Bytes of its elements.
    pub fn nbytes(&self) -> usize {
        self.numel() * self.dtype().size()
    }

    /// The rows `start .. start + len` of dim 0, sharing the data.
    ///
    /// # Errors
    /// Rows beyond the end.
    pub fn rows(&self, start: i64, len: i64) -> Result<Tensor> {
        let shape = self.shape();
        if shape.is_empty() || start < 0 || len < 0 || start + len > shape[0] {
            fail!("rows {start} .. {} of a tensor of shape {shape:?}", start + len);
        }
        Ok(self.derive(self.raw.f_narrow(0, start, len)?))
    }

    /// The same elements in another shape, sharing the data where the layout allows.
    ///
    /// # Errors
    /// A shape with another number of elements.
    pub fn reshape(&self, shape: &[i64]) -> Result<Tensor> {
        check_count(self.numel(), shape)?;
        Ok(self.derive(self.raw.f_reshape(shape)?))
    }

    /// The elements as f32, row-major. Like the other vectors and bytes below it comes to the host, which waits for
    /// the device.
    ///
    /// # Errors
    /// No memory.
    pub fn to_f32_vec(&self) -> Result<Vec<f32>> {
        let flat = cast(&self.raw, Kind::Float)?.f_contiguous()?;
        let mut out = vec![0f32; flat.numel()];
        flat.f_copy_data(&mut out, flat.numel())?;
        Ok(out)
    }

    /// The elements as i64, row-major; floats are cut towards zero.
    ///
    /// # Errors
    /// No memory.
    pub fn to_i64_vec(&self) -> Result<Vec<i64>> {
        let flat = cast(&self.raw, Kind::Int64)?.f_contiguous()?;
        let mut out = vec![0i64; flat.numel()];
        flat.f_copy_data(&mut out, flat.numel())?;
        Ok(out)
    }

    /// The elements as little-endian bytes of `dtype`, row-major, as a safetensors file holds them.
    ///
    /// # Errors
    /// A dtype that does not compute.
    pub fn to_bytes(&self, dtype: DType) -> Result<Vec<u8>> {
        let flat = cast(&self.raw, kind_of(dtype)?)?.f_contiguous()?;
        let mut out = vec![0u8; flat.numel() * dtype.size()];
        flat.f_copy_data_u8(&mut out, flat.numel())?;
        Ok(out)
    }

    /// The tensor in another dtype; the same data if it has it already.
    ///
    /// # Errors
    /// A dtype that does not compute.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        Ok(self.derive(cast(&self.raw, kind_of(dtype)?)?))
    }

    /// The tensors one after the other along dim 0.
    ///
    /// # Errors
    /// No tensor, or shapes that differ beyond dim 0.
    pub fn concat(parts: &[&Tensor]) -> Result<Tensor> {
        let raws: Vec<&tch::Tensor> = parts.iter().map(|part| &part.raw).collect();
        Ok(Tensor::own(tch::Tensor::f_cat(&raws, 0)?))
    }

    /// A copy with its own memory, on the same device.
    ///
    /// # Errors
    /// No memory.
    pub fn deep_copy(&self) -> Result<Tensor> {
        let mut copy = tch::Tensor::f_empty(self.shape(), (self.raw.kind(), self.raw.device()))?;
        copy.f_copy_(&self.raw)?;
        Ok(Tensor::own(copy))
    }

    /// The elements in row-major order in memory; the same data if they are.
    ///
    /// # Errors
    /// No memory.
    pub fn contiguous(&self) -> Result<Tensor> {
        Ok(self.derive(self.raw.f_contiguous()?))
    }
}

/// Unsigned little-endian numbers of `size` bytes as i64.
fn widen(bytes: &[u8], size: usize) -> Vec<i64> {
    let number = |chunk: &[u8]| chunk.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b)) as i64;
    bytes.chunks_exact(size).map(number).collect()
}

fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    strides
}

fn check_count(count: usize, shape: &[i64]) -> Result<()> {
    if shape.iter().any(|d| *d < 0) || shape.iter().product::<i64>() != count as i64 {
        fail!("{count} elements do not fill the shape {shape:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(bytes: Vec<u8>, range: Range<usize>, dtype: DType, shape: &[i64]) -> Result<Tensor> {
        Tensor::view(ByteView::new(Arc::new(bytes), range)?, dtype, shape)
    }

    #[test]
    fn a_view_reads_the_bytes_and_keeps_them_alive() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let owner: Bytes = Arc::new(bytes);
        let tensor = Tensor::view(ByteView::new(owner.clone(), 0..24).unwrap(), DType::F32, &[3, 2]).unwrap();
        let row = tensor.rows(1, 1).unwrap();
        drop(tensor);
        assert_eq!(Arc::strong_count(&owner), 2, "the rows hold the buffer");
        assert_eq!(row.to_f32_vec().unwrap(), [2.0, 3.0]);
        let free = row.deep_copy().unwrap();
        drop(row);
        assert_eq!(Arc::strong_count(&owner), 1, "the copy does not");
        assert_eq!(free.to_f32_vec().unwrap(), [2.0, 3.0]);
    }

    #[test]
    fn misaligned_and_unsigned_bytes_are_copied() {
        let mut bytes = vec![0u8];
        bytes.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        assert_eq!(
            view(bytes, 1..9, DType::F32, &[2]).unwrap().to_f32_vec().unwrap(),
            [1.5, -2.0]
        );
        let wide = view(vec![1, 0, 0xff, 0xff], 0..4, DType::U16, &[2]).unwrap();
        assert_eq!(wide.to_i64_vec().unwrap(), [1, 65535]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        assert!(view(vec![0; 12], 0..12, DType::F32, &[4]).is_err());
        assert!(view(vec![0; 12], 0..16, DType::F32, &[4]).is_err());
        assert!(Tensor::from_f32(&[1.0], &[2]).is_err());
        assert!(Tensor::from_f32(&[1.0], &[1]).unwrap().rows(0, 2).is_err());
    }

    #[test]
    fn bytes_round_trip_through_bf16() {
        let tensor = Tensor::from_f32(&[1.0, -0.5, 3.0], &[3]).unwrap();
        let bytes = tensor.to_bytes(DType::BF16).unwrap();
        assert_eq!(bytes.len(), 6);
        assert_eq!(
            view(bytes, 0..6, DType::BF16, &[3]).unwrap().to_f32_vec().unwrap(),
            [1.0, -0.5, 3.0]
        );
    }
}
