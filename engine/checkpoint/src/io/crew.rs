//! Threads that live as long as their owner and do what they are handed, first come first served.

use crossbeam_channel::{Sender, unbounded};
use std::io;
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Crew {
    /// `None` only while dropping.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts `count` threads, or as many as the system allows.
    ///
    /// # Errors
    /// If it allows none.
    pub(crate) fn start(name: &str, count: usize) -> io::Result<Crew> {
        let (jobs, queue) = unbounded::<Job>();
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count.max(1) {
            let queue = queue.clone();
            let work = move || queue.into_iter().for_each(|job| job());
            match std::thread::Builder::new().name(name.to_owned()).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                // Fewer threads are slower, not wrong.
                Err(_) => break,
            }
        }
        Ok(Crew {
            jobs: Some(jobs),
            threads,
        })
    }

    /// Has `job` done. It must not panic: that would end its thread.
    pub(crate) fn hand(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // The receiving ends live in the threads, which end only after `jobs` is gone.
            let _ = jobs.send(Box::new(job));
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // The threads finish what is in the queue and end.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
