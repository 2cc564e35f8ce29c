//! Memory that the kernel has looked up and pinned once instead of for every request.

// Memory is registered by address.
#![allow(unsafe_code)]

use super::Op;
use crate::mapping::Mapping;
use io_uring::IoUring;
use std::io;
use std::sync::{Arc, Weak};

/// Mappings that can be registered at the same time; more are read without.
const BUFFERS: u32 = 64;

/// The most bytes the kernel lets one registered buffer have.
const BUFFER_MAX: usize = 1 << 30;

/// The table of registered memory.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    table: Vec<Option<Buffer>>,
    /// The kernel wants no more.
    refused: bool,
}

/// A mapping that was used.
#[derive(Debug)]
struct Buffer {
    /// Dead when the mapping has given up some of its pages.
    pages: Weak<()>,
    start: usize,
    /// Bytes used so far.
    used: usize,
    /// Bytes that are registered.
    len: usize,
}

impl Buffers {
    /// An empty table; `None` if the kernel wants no registered memory.
    pub(super) fn new(ring: &IoUring) -> Option<Buffers> {
        ring.submitter()
            .register_buffers_sparse(BUFFERS)
            .is_ok()
            .then(Buffers::default)
    }

    /// Lets go of pinned pages that their mapping has given up, and pins those of `mapping` if it was used before.
    pub(super) fn prepare(&mut self, ring: &IoUring, mapping: Option<&mut Mapping>) {
        self.sweep(ring);
        if let Some(mapping) = mapping
            && !self.refused
            && let Err(error) = self.add(ring, mapping)
        {
            // As for users who may pin little memory. It is only a little slower. What is registered stays: requests
            // that were pushed may name it.
            tracing::debug!(%error, "no more arenas are registered with io_uring");
            self.refused = true;
        }
    }

    /// The place in the table of the memory that holds all of a request.
    pub(super) fn holding(&self, op: &Op) -> Option<u16> {
        let (start, end) = (op.start as usize, op.start as usize + op.len);
        let holds = |buffer: &Buffer| buffer.start <= start && end <= buffer.start + buffer.len;
        self.table
            .iter()
            .position(|entry| entry.as_ref().is_some_and(holds))
            .map(|at| at as u16)
    }

    fn sweep(&mut self, ring: &IoUring) {
        for at in 0..self.table.len() {
            if self.table[at]
                .as_ref()
                .is_some_and(|buffer| buffer.pages.strong_count() == 0)
            {
                self.remove(ring, at);
            }
        }
    }

    /// Registers what a mapping has used before, and remembers what it uses now.
    fn add(&mut self, ring: &IoUring, mapping: &mut Mapping) -> io::Result<()> {
        let (start, used) = (mapping.as_mut_ptr(), mapping.len().min(BUFFER_MAX));
        let same = |buffer: &Buffer| buffer.start == start as usize;
        let Some(at) = self.table.iter().position(|entry| entry.as_ref().is_some_and(same)) else {
            let pages = Arc::downgrade(mapping.pages());
            self.remember(Buffer {
                pages,
                start: start as usize,
                used,
                len: 0,
            });
            return Ok(());
        };
        let Some(buffer) = &mut self.table[at] else {
            return Ok(());
        };
        if buffer.len < buffer.used {
            let iovec = libc::iovec {
                iov_base: start.cast(),
                iov_len: buffer.used,
            };
            // SAFETY: the mapping is valid now. When it ends before its entry in the table does, the kernel's pins
            // keep the pages alive, and no request names them: `sweep` comes before new memory at the same place.
            unsafe { ring.submitter().register_buffers_update(at as u32, &[iovec], None) }?;
            buffer.len = buffer.used;
        }
        buffer.used = buffer.used.max(used);
        Ok(())
    }

    fn remember(&mut self, buffer: Buffer) {
        match self.table.iter().position(Option::is_none) {
            Some(at) => self.table[at] = Some(buffer),
            None if self.table.len() < BUFFERS as usize => self.table.push(Some(buffer)),
            None => {}
        }
    }

    fn remove(&mut self, ring: &IoUring, at: usize) {
        if self.table[at].take().is_some_and(|buffer| buffer.len > 0) {
            let none = libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            };
            // SAFETY: an empty entry names no memory.
            let cleared = unsafe { ring.submitter().register_buffers_update(at as u32, &[none], None) };
            debug_assert!(cleared.is_ok(), "clearing a registered buffer: {cleared:?}");
        }
    }
}
