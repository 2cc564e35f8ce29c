//! One piece of a file and its place in memory, and what to do with every way a read or write of it can end.

use super::Done;
use crate::mapping::PAGE;
use rustix::io::Errno;
use std::io;

/// How often in a row the same piece may be interrupted or put off before that counts as an error.
const PATIENCE: u8 = 100;

/// The file handles of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handles {
    /// Index, among the backend's files, of the handle that goes through the page cache.
    pub(crate) buffered: usize,
    /// That of the handle that does not, where the file system has such a thing.
    pub(crate) direct: Option<usize>,
}

/// Bytes of a file that are moved by one request, or by several if the first comes up short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) handles: Handles,
    /// Whether it goes around the page cache. Offset and place are then whole pages.
    pub(crate) direct: bool,
    pub(crate) offset: u64,
    /// Bytes that must be moved.
    pub(crate) need: usize,
    /// Where they go to or come from: an offset within the memory they belong to.
    pub(crate) at: usize,
    pub(crate) tries: u8,
}

/// What comes after a request has ended.
#[derive(Debug)]
pub(crate) enum Step {
    /// All was moved.
    Complete,
    /// This is still to be moved.
    Again(Piece),
    /// The file ended, or the system could not; the piece says where and how much is missing.
    Failed(Piece, Option<io::Error>),
}

impl Piece {
    /// Bytes to ask for: whole pages if direct, which may reach past the end of the file.
    pub(crate) fn ask(&self) -> usize {
        if self.direct {
            self.need.next_multiple_of(PAGE)
        } else {
            self.need
        }
    }

    /// The file handle to use.
    pub(crate) fn fd(&self) -> usize {
        self.handles
            .direct
            .filter(|_| self.direct)
            .unwrap_or(self.handles.buffered)
    }

    /// What to do after a request for this piece ended with `result`.
    pub(crate) fn after(self, result: io::Result<usize>) -> Step {
        match result {
            Ok(moved) if moved >= self.need => Step::Complete,
            Ok(0) => Step::Failed(self, None),
            Ok(moved) => Step::Again(Piece {
                // Direct I/O can only go on from a whole page.
                direct: self.direct && moved.is_multiple_of(PAGE),
                offset: self.offset + moved as u64,
                need: self.need - moved,
                at: self.at + moved,
                tries: 0,
                ..self
            }),
            Err(error) => self.after_error(error),
        }
    }

    fn after_error(self, error: io::Error) -> Step {
        match Errno::from_io_error(&error) {
            Some(Errno::INTR | Errno::AGAIN) if self.tries < PATIENCE => Step::Again(Piece {
                tries: self.tries + 1,
                ..self
            }),
            // The file system has stricter rules for direct I/O than pages, or none for this part of the file.
            Some(Errno::INVAL | Errno::OPNOTSUPP) if self.direct => Step::Again(Piece { direct: false, ..self }),
            _ => Step::Failed(self, Some(error)),
        }
    }
}

/// Requests in flight, each in a numbered place of a fixed number of them.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    places: Vec<Option<T>>,
    count: usize,
}

impl<T> InFlight<T> {
    pub(crate) fn new(depth: usize) -> InFlight<T> {
        InFlight {
            places: (0..depth).map(|_| None).collect(),
            count: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == self.places.len()
    }

    /// Takes a place, whose number goes to [`super::Op::new`].
    ///
    /// # Panics
    /// If all are taken.
    pub(crate) fn insert(&mut self, request: T) -> usize {
        let Some(at) = self.places.iter().position(Option::is_none) else {
            panic!("more than {} requests in flight", self.places.len())
        };
        self.places[at] = Some(request);
        self.count += 1;
        at
    }

    /// Frees the place of a request that has ended.
    ///
    /// # Panics
    /// If there was no such request.
    pub(crate) fn remove(&mut self, done: &Done) -> T {
        let Some(request) = self.places[done.id].take() else {
            panic!("request {} ended twice", done.id)
        };
        self.count -= 1;
        request
    }
}
