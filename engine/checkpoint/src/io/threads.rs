//! Threads, each with one request at a time.

// Requests carry addresses; see `Op::new`.
#![allow(unsafe_code)]

use super::{Crew, Direction, Done, Op, Waker};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// What can end a wait.
#[derive(Debug)]
pub(crate) enum Event {
    Done(Done),
    Wake,
}

#[derive(Debug)]
pub(crate) struct Threads {
    crew: Crew,
    files: Arc<[OwnedFd]>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    waker: Arc<Waker>,
}

impl Threads {
    /// Starts `count` threads, or as many as the system allows.
    pub(crate) fn start(files: Arc<[OwnedFd]>, count: usize) -> io::Result<Threads> {
        let (sender, events) = unbounded();
        Ok(Threads {
            crew: Crew::start("sli-io", count)?,
            files,
            waker: Arc::new(Waker::Channel(sender.clone())),
            sender,
            events,
        })
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn push(&mut self, op: Op) {
        let (files, sender) = (Arc::clone(&self.files), self.sender.clone());
        self.crew.hand(move || {
            // The whole of it moves to the thread, not its fields one by one.
            let op = op;
            let done = Done {
                id: op.id,
                result: perform(&files, &op),
            };
            // The backend may be going, and with it who wanted to know.
            let _ = sender.send(Event::Done(done));
        });
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

/// One system call; who asked decides what a short one means.
fn perform(files: &[OwnedFd], op: &Op) -> io::Result<usize> {
    let fd = &files[op.fd];
    let moved = match op.direction {
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
    Ok(moved?)
}
