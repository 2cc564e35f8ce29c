//! io_uring: requests and results in memory shared with the kernel, one system call for many of them.

// Requests carry addresses (see `Op::new`), and memory is registered by address.
#![allow(unsafe_code)]

use super::{Direction, Done, Op, Waker};
use crate::mapping::Mapping;
use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Marks the request that waits for the waker.
const WAKE: u64 = u64::MAX;

/// Mappings that can be registered at the same time; more are read without.
const BUFFERS: u32 = 64;

/// The most bytes the kernel lets one registered buffer have.
const BUFFER_MAX: usize = 1 << 30;

#[derive(Debug)]
pub(crate) struct Uring {
    ring: Ring,
    files: Arc<[OwnedFd]>,
    /// Whether requests name files by their place in the registered table.
    files_registered: bool,
    /// `None` if the kernel wants no registered memory.
    buffers: Option<Buffers>,
    waker: Arc<Waker>,
    event: RawFd,
    armed: bool,
    in_flight: usize,
}

struct Ring(IoUring);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IoUring")
    }
}

/// The request as the kernel wants it, for a `Fixed` or a plain file.
macro_rules! entry {
    ($op:expr, $file:expr, $buffer:expr) => {{
        let (op, file, len): (&Op, _, _) = ($op, $file, $op.len as u32);
        match (op.direction, $buffer) {
            (Direction::Read, Some(at)) => opcode::ReadFixed::new(file, op.start, len, at)
                .offset(op.offset)
                .build(),
            (Direction::Read, None) => opcode::Read::new(file, op.start, len).offset(op.offset).build(),
            (Direction::Write, Some(at)) => opcode::WriteFixed::new(file, op.start, len, at)
                .offset(op.offset)
                .build(),
            (Direction::Write, None) => opcode::Write::new(file, op.start, len).offset(op.offset).build(),
        }
    }};
}

impl Uring {
    pub(crate) fn start(files: Arc<[OwnedFd]>, depth: usize) -> io::Result<Uring> {
        // One more for the waker.
        let entries = (depth as u32 + 1).next_power_of_two();
        // Newer kernels need fewer interruptions if told that one thread does it all.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(entries)
            .or_else(|_| IoUring::new(entries))?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this io_uring is too old (before Linux 5.11)",
            ));
        }
        let fds: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let files_registered = ring.submitter().register_files(&fds).is_ok();
        let buffers = ring
            .submitter()
            .register_buffers_sparse(BUFFERS)
            .is_ok()
            .then(Buffers::default);
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let raw = event.as_raw_fd();
        Ok(Uring {
            ring: Ring(ring),
            files,
            files_registered,
            buffers,
            waker: Arc::new(Waker::Event(event)),
            event: raw,
            armed: false,
            in_flight: 0,
        })
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Lets go of pinned pages that their mapping has given up, and pins those of `mapping` if it was used before:
    /// pinning fresh memory would take all of its pages from the system at once, while the drive waits.
    pub(crate) fn prepare(&mut self, mapping: Option<&mut Mapping>) {
        let Some(buffers) = &mut self.buffers else { return };
        buffers.sweep(&self.ring.0);
        if let Some(mapping) = mapping
            && !buffers.refused
            && let Err(error) = buffers.add(&self.ring.0, mapping)
        {
            // As for users who may pin little memory. It is only a little slower. What is registered stays: requests
            // that were pushed may name it.
            tracing::debug!(%error, "no more arenas are registered with io_uring");
            buffers.refused = true;
        }
    }

    pub(crate) fn push(&mut self, op: &Op) {
        self.in_flight += 1;
        let buffer = self.buffers.as_ref().and_then(|buffers| buffers.holding(op));
        let entry = if self.files_registered {
            entry!(op, Fixed(op.fd as u32), buffer)
        } else {
            entry!(op, Fd(self.files[op.fd].as_raw_fd()), buffer)
        };
        self.push_entry(&entry.user_data(op.id as u64));
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        if !self.armed {
            let poll = opcode::PollAdd::new(Fd(self.event), rustix::event::PollFlags::IN.bits().into());
            self.push_entry(&poll.build().user_data(WAKE));
            self.armed = true;
        }
        self.enter(timeout)?;
        self.reap(done);
        Ok(())
    }

    /// Hands over what was pushed and waits for at least one result.
    fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.ring.0.submitter();
        let result = match timeout {
            Some(timeout) => {
                let limit = Timespec::from(timeout);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&limit))
            }
            None => submitter.submit_and_wait(1),
        };
        match result {
            Ok(_) => Ok(()),
            // The time is over; a signal came; or results must be taken before more can be handed over.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn reap(&mut self, done: &mut Vec<Done>) {
        for entry in self.ring.0.completion() {
            if entry.user_data() == WAKE {
                self.armed = false;
                // Sets the counter back; that it is zero already does no harm.
                let _ = rustix::io::read(event_of(&self.waker), &mut [0; 8]);
                continue;
            }
            self.in_flight -= 1;
            let code = entry.result();
            let result = usize::try_from(code).map_err(|_| io::Error::from_raw_os_error(-code));
            done.push(Done {
                id: entry.user_data() as usize,
                result,
            });
        }
    }

    fn push_entry(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: files and the eventfd live as long as the ring, and `Op::new` promises the same of the memory
            // until the result is taken or `drop` has waited for it.
            if unsafe { self.ring.0.submission().push(entry) }.is_ok() {
                return;
            }
            // The queue is full of entries that were not handed over yet; errors show at the next wait.
            let _ = self.ring.0.submit();
        }
    }
}

fn event_of(waker: &Waker) -> &OwnedFd {
    match waker {
        Waker::Event(event) => event,
        Waker::Channel(_) => unreachable!("the waker of a ring is an eventfd"),
    }
}

impl Drop for Uring {
    /// The kernel must not write to memory after its owner believes it free.
    fn drop(&mut self) {
        let mut done = Vec::new();
        while self.in_flight > 0 {
            if self.enter(None).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.reap(&mut done);
        }
    }
}

/// The registered memory: pages that the kernel has looked up and pinned once instead of for every request.
#[derive(Debug, Default)]
struct Buffers {
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
    /// The place in the table of the memory that holds all of a request.
    fn holding(&self, op: &Op) -> Option<u16> {
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
