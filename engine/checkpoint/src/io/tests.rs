//! Both backends, by the same tests.

use super::*;
use crate::mapping::PAGE;
use std::fs::File;
use std::io::Write;
use std::time::Instant;

const KINDS: [BackendKind; 2] = [BackendKind::Uring, BackendKind::Threads];

fn file(bytes: &[u8]) -> Arc<[OwnedFd]> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    [OwnedFd::from(file)].into()
}

/// Waits for `count` results.
fn collect(backend: &mut Backend, count: usize) -> Vec<Done> {
    let mut done = Vec::new();
    while done.len() < count {
        backend.wait(None, &mut done).unwrap();
    }
    done
}

#[test]
fn reads_and_writes_arrive_where_they_should() {
    for kind in KINDS {
        let files = file(&[0; 4000]);
        let mut backend = Backend::start(kind, Arc::clone(&files), 4).unwrap();
        let mut parts: Vec<Vec<u8>> = (0..4).map(|i| vec![i + 1; 1000]).collect();
        for (id, part) in parts.iter_mut().enumerate() {
            // SAFETY: `parts` stays as it is until the results are there.
            let op = unsafe { Op::new(id, Direction::Write, 0, 1000 * id as u64, part.as_mut_ptr(), 1000) };
            backend.push(op);
        }
        let mut ids: Vec<_> = collect(&mut backend, 4)
            .iter()
            .map(|done| (done.id, *done.result.as_ref().unwrap()))
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [(0, 1000), (1, 1000), (2, 1000), (3, 1000)], "{kind}");

        let mut read = vec![0; 2000];
        // SAFETY: `read` is not looked at until the result is there.
        backend.push(unsafe { Op::new(7, Direction::Read, 0, 1500, read.as_mut_ptr(), 2000) });
        assert_eq!(*collect(&mut backend, 1)[0].result.as_ref().unwrap(), 2000);
        assert_eq!((read[499], read[500], read[1499], read[1500]), (2, 3, 3, 4));
        // SAFETY: as above.
        backend.push(unsafe { Op::new(0, Direction::Read, 0, 3990, read.as_mut_ptr(), 2000) });
        assert_eq!(
            *collect(&mut backend, 1)[0].result.as_ref().unwrap(),
            10,
            "short at the end"
        );
    }
}

#[test]
fn errors_keep_their_number() {
    for kind in KINDS {
        let folder: OwnedFd = File::open("/").unwrap().into();
        let mut backend = Backend::start(kind, [folder].into(), 1).unwrap();
        let mut buffer = [0; 8];
        // SAFETY: `buffer` outlives the backend.
        backend.push(unsafe { Op::new(3, Direction::Read, 0, 0, buffer.as_mut_ptr(), 8) });
        let done = &collect(&mut backend, 1)[0];
        let error = done.result.as_ref().unwrap_err();
        assert_eq!((done.id, error.raw_os_error()), (3, Some(libc::EISDIR)), "{kind}");
    }
}

#[test]
fn a_wait_ends_by_time_or_by_the_waker() {
    for kind in KINDS {
        let mut backend = Backend::start(kind, file(&[1; 10]), 1).unwrap();
        let mut done = Vec::new();
        backend.wait(Some(Duration::from_millis(5)), &mut done).unwrap();
        for round in 0..3 {
            let waker = backend.waker();
            let start = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Some come before the wait and some during it.
                    std::thread::sleep(Duration::from_millis(10 * round));
                    waker.wake();
                });
                backend.wait(Some(Duration::from_secs(100)), &mut done).unwrap();
            });
            assert!(start.elapsed() < Duration::from_secs(50), "{kind}");
        }
        assert!(done.is_empty());
    }
}

#[test]
fn dropping_waits_for_what_is_in_flight() {
    for kind in KINDS {
        let (read, mut write) = std::io::pipe().unwrap();
        let mut backend = Backend::start(kind, [OwnedFd::from(read)].into(), 1).unwrap();
        let mut buffer = [0_u8; 4];
        if backend.kind() == BackendKind::Threads {
            // Positioned reads of a pipe fail with threads; io_uring waits for the bytes.
            continue;
        }
        // SAFETY: `buffer` outlives the backend.
        backend.push(unsafe { Op::new(0, Direction::Read, 0, u64::MAX, buffer.as_mut_ptr(), 4) });
        backend.wait(Some(Duration::from_millis(5)), &mut Vec::new()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                write.write_all(b"late").unwrap();
            });
            drop(backend);
        });
        assert_eq!(&buffer, b"late");
    }
}

#[test]
fn registered_memory_follows_the_pool() {
    let pool = crate::ArenaPool::shared(2, 8 * PAGE);
    let source: Vec<u8> = (0..8 * PAGE).map(|i| (i / 7) as u8).collect();
    let mut backend = Backend::start(BackendKind::Uring, file(&source), 2).unwrap();
    // Sizes that repeat, grow, shrink and make the pool drop mappings.
    for (round, pages) in [2, 2, 2, 5, 3, 8, 8, 1, 1, 4, 8, 2].into_iter().enumerate() {
        let mut arena = pool.acquire(pages * PAGE, || true).unwrap();
        backend.prepare(Some(&mut arena));
        let slice = arena.as_mut_slice();
        // SAFETY: the arena lives, untouched, until the result is there.
        backend.push(unsafe { Op::new(round, Direction::Read, 0, 0, slice.as_mut_ptr(), pages * PAGE) });
        assert_eq!(*collect(&mut backend, 1)[0].result.as_ref().unwrap(), pages * PAGE);
        assert!(arena.as_slice() == &source[..pages * PAGE], "round {round}");
        if round == 6 {
            pool.release_idle();
        }
    }
}

#[test]
fn pieces_go_on_after_every_kind_of_short_end() {
    let handles = Handles {
        buffered: 0,
        direct: Some(1),
    };
    let piece = Piece {
        handles,
        direct: true,
        offset: 8192,
        need: 10_000,
        at: 4096,
        tries: 0,
    };
    assert_eq!((piece.ask(), piece.fd()), (12_288, 1));
    let errno = |code| io::Error::from_raw_os_error(code);
    let again = |result: io::Result<usize>| match piece.after(result) {
        Step::Again(piece) => (piece.direct, piece.offset, piece.need, piece.at, piece.tries),
        other => panic!("{other:?}"),
    };
    assert!(matches!(piece.after(Ok(10_000)), Step::Complete));
    assert!(matches!(piece.after(Ok(12_288)), Step::Complete));
    assert_eq!(again(Ok(4096)), (true, 12_288, 5904, 8192, 0));
    assert_eq!(
        again(Ok(4100)),
        (false, 12_292, 5900, 8196, 0),
        "from within a page on, through the page cache"
    );
    assert_eq!(again(Err(errno(libc::EINTR))), (true, 8192, 10_000, 4096, 1));
    assert_eq!(again(Err(errno(libc::EAGAIN))), (true, 8192, 10_000, 4096, 1));
    assert_eq!(
        again(Err(errno(libc::EINVAL))),
        (false, 8192, 10_000, 4096, 0),
        "not direct then"
    );
    assert!(matches!(piece.after(Ok(0)), Step::Failed(_, None)));
    assert!(matches!(piece.after(Err(errno(libc::EIO))), Step::Failed(_, Some(_))));
    let buffered = Piece { direct: false, ..piece };
    assert_eq!((buffered.ask(), buffered.fd()), (10_000, 0));
    assert!(matches!(
        buffered.after(Err(errno(libc::EINVAL))),
        Step::Failed(_, Some(_))
    ));
    let tired = Piece { tries: 100, ..piece };
    assert!(
        matches!(tired.after(Err(errno(libc::EINTR))), Step::Failed(_, Some(_))),
        "not for ever"
    );
}
