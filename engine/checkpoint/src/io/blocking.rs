//! Moving one piece on the calling thread, however many system calls it takes.

use super::{Piece, Step};
use std::io;
use std::os::fd::OwnedFd;

/// Where and why a transfer ended; no error means that the file ended, or takes no more.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) piece: Piece,
    pub(crate) error: Option<io::Error>,
}

/// Reads `piece` into `buffer`, which holds [`Piece::ask`] bytes; `piece.at` counts from its start.
pub(crate) fn read_piece(files: &[OwnedFd], piece: Piece, buffer: &mut [u8]) -> Result<(), Stopped> {
    until_complete(piece, |piece| {
        let part = &mut buffer[piece.at..piece.at + piece.ask()];
        Ok(rustix::io::pread(&files[piece.fd()], part, piece.offset)?)
    })
}

/// Writes `piece` from `buffer`, which holds [`Piece::ask`] bytes; `piece.at` counts from its start.
pub(crate) fn write_piece(files: &[OwnedFd], piece: Piece, buffer: &[u8]) -> Result<(), Stopped> {
    until_complete(piece, |piece| {
        let part = &buffer[piece.at..piece.at + piece.ask()];
        Ok(rustix::io::pwrite(&files[piece.fd()], part, piece.offset)?)
    })
}

fn until_complete(mut piece: Piece, mut once: impl FnMut(&Piece) -> io::Result<usize>) -> Result<(), Stopped> {
    loop {
        match piece.after(once(&piece)) {
            Step::Complete => return Ok(()),
            Step::Again(rest) => piece = rest,
            Step::Failed(piece, error) => return Err(Stopped { piece, error }),
        }
    }
}
