//! Threads that live as long as the backend, each with one request at a time.

// Requests carry addresses; see `Op::new`.
#![allow(unsafe_code)]

use super::{Direction, Done, Op, Waker};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What can end a wait.
#[derive(Debug)]
pub(crate) enum Event {
    Done(Done),
    Wake,
}

#[derive(Debug)]
pub(crate) struct Threads {
    /// `None` only while dropping.
    ops: Option<Sender<Op>>,
    events: Receiver<Event>,
    waker: Arc<Waker>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts `count` threads, or as many as the system allows.
    pub(crate) fn start(files: Arc<[OwnedFd]>, count: usize) -> io::Result<Threads> {
        let (ops, queue) = unbounded::<Op>();
        let (sender, events) = unbounded();
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count.max(1) {
            let (files, queue, sender) = (Arc::clone(&files), queue.clone(), sender.clone());
            let spawned = std::thread::Builder::new().name("sli-io".into()).spawn(move || {
                for op in queue {
                    let done = Done {
                        id: op.id,
                        result: perform(&files, &op),
                    };
                    // The backend may be gone, and with it who wanted to know.
                    let _ = sender.send(Event::Done(done));
                }
            });
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                // Fewer threads are slower, not wrong.
                Err(_) => break,
            }
        }
        let waker = Arc::new(Waker::Channel(sender));
        Ok(Threads {
            ops: Some(ops),
            events,
            waker,
            threads,
        })
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn push(&mut self, op: Op) {
        if let Some(ops) = &self.ops {
            // The receiving ends live in the threads, which end only after `ops` is gone.
            let _ = ops.send(op);
        }
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) {
        let first = match timeout {
            Some(timeout) => self.events.recv_timeout(timeout).ok(),
            None => self.events.recv().ok(),
        };
        for event in first.into_iter().chain(self.events.try_iter()) {
            if let Event::Done(end) = event {
                done.push(end);
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The threads finish what is in the queue and end.
        self.ops = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn perform(files: &[OwnedFd], op: &Op) -> io::Result<usize> {
    let fd = &files[op.fd];
    loop {
        let result = match op.direction {
            Direction::Read => {
                // SAFETY: `Op::new` promises that the memory is valid and that nobody else looks at it meanwhile.
                let buffer = unsafe { std::slice::from_raw_parts_mut(op.start, op.len) };
                rustix::io::pread(fd, buffer, op.offset)
            }
            Direction::Write => {
                // SAFETY: `Op::new` promises that the memory is valid and that nobody writes to it meanwhile.
                let buffer = unsafe { std::slice::from_raw_parts(op.start, op.len) };
                rustix::io::pwrite(fd, buffer, op.offset)
            }
        };
        match result {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
