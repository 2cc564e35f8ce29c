//! io_uring: requests and results in memory shared with the kernel, one system call for many of them.

// Requests carry addresses (see `Op::new`), and memory is registered by address.
#![allow(unsafe_code)]

use super::registered::Buffers;
use super::{Direction, Done, Op, Waker};
use crate::mapping::Mapping;
use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Marks the request that waits for the waker.
const WAKE: u64 = u64::MAX;

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
        let buffers = Buffers::new(&ring);
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
        if let Some(buffers) = &mut self.buffers {
            buffers.prepare(&self.ring.0, mapping);
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
