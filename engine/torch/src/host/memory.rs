//! The elements of tensors as slices.

use super::number::Number;
use crate::error::Result;
use std::mem::MaybeUninit;
use tch::{Device, Tensor};

/// Rows of a tensor, each contiguous, equally far apart: a whole tensor or some of its columns.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    elements: &'a [T],
    /// Elements from one row to the next.
    stride: usize,
    /// Elements of a row.
    width: usize,
}

impl<'a, T: Number> Rows<'a, T> {
    /// The rows (dim 0) of `x`; `None` where it does not lie like that or is of another type or device.
    pub(super) fn of(x: &'a Tensor) -> Option<Rows<'a, T>> {
        let (size, stride) = (x.size(), x.stride());
        if x.kind() != T::KIND || x.device() != Device::Cpu || size.is_empty() {
            return None;
        }
        let mut width = 1;
        for (size, stride) in size.iter().zip(&stride).skip(1).rev() {
            if *size != 1 && *stride != width {
                return None;
            }
            width *= size;
        }
        let rows = size[0];
        let stride = if rows > 1 { stride[0] } else { width };
        if stride < width {
            return None; // the same row again and again
        }
        let count = if rows == 0 || width == 0 {
            0
        } else {
            (rows - 1) * stride + width
        };
        let elements = if count == 0 {
            &[]
        } else {
            // SAFETY: the tensor is in main memory and has elements of this type from its first to the last of its
            // last row, `count` of them; it is borrowed for as long as the slice, and nothing writes to it meanwhile.
            #[allow(unsafe_code)]
            unsafe {
                std::slice::from_raw_parts(x.data_ptr() as *const T, count as usize)
            }
        };
        Some(Rows {
            elements,
            stride: stride as usize,
            width: width as usize,
        })
    }

    /// Elements of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Row `index`.
    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> &'a [T] {
        &self.elements[index * self.stride..][..self.width]
    }
}

/// A new tensor whose elements `fill` writes, all of them.
pub(super) fn filled<T: Number>(size: &[i64], fill: impl FnOnce(&mut [MaybeUninit<T>])) -> Result<Tensor> {
    let out = Tensor::f_empty(size, (T::KIND, Device::Cpu))?;
    if out.numel() > 0 {
        // SAFETY: the tensor is new, contiguous and nobody else's; that its elements have no value yet is what
        // the type of the slice says.
        #[allow(unsafe_code)]
        let elements = unsafe { std::slice::from_raw_parts_mut(out.data_ptr().cast(), out.numel()) };
        fill(elements);
    }
    Ok(out)
}
