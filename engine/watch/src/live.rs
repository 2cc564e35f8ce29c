//! A state that is replaced as a whole while others use it.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use sli_config::Diagnostic;

/// A state that was whole, and which one it is.
#[derive(Debug)]
pub struct Snapshot<T> {
    /// The state.
    pub state: T,
    /// Its number, from 1; a later one is larger.
    pub number: u64,
}

/// The last state that was whole, and what is wrong with the files since.
///
/// Whoever holds a snapshot keeps it, whatever is offered meanwhile; it is freed when the last of them lets go.
#[derive(Debug)]
pub struct Live<T> {
    current: ArcSwapOption<Snapshot<T>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many states there were.
    count: u64,
    /// What is wrong now.
    problems: Vec<Diagnostic>,
}

/// What came of offering a state.
#[derive(Debug)]
pub enum Offered<T> {
    /// It is the state now.
    Taken {
        /// The one before.
        old: Option<Arc<Snapshot<T>>>,
        /// The new one.
        new: Arc<Snapshot<T>>,
        /// The files were broken before.
        mended: bool,
    },
    /// There is something wrong, and the state before stays, if there was one.
    Broken {
        /// What has not been said before.
        new: Vec<Diagnostic>,
        /// How many problems there are.
        all: usize,
        /// Whether fewer things are wrong than before, or others.
        differs: bool,
    },
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Live {
            current: ArcSwapOption::empty(),
            inner: Mutex::default(),
        }
    }
}

impl<T> Live<T> {
    /// Without a state yet.
    pub fn new() -> Live<T> {
        Live::default()
    }

    /// The last state that was whole.
    pub fn get(&self) -> Option<Arc<Snapshot<T>>> {
        self.current.load_full()
    }

    /// What is wrong with the files now; empty if the state is theirs.
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.lock().problems.clone()
    }

    /// Replaces the state, or keeps it and remembers what is wrong.
    pub fn offer(&self, loaded: Result<T, Vec<Diagnostic>>) -> Offered<T> {
        let mut inner = self.lock();
        match loaded {
            Ok(state) => {
                let mended = !std::mem::take(&mut inner.problems).is_empty();
                inner.count += 1;
                let number = inner.count;
                let new = Arc::new(Snapshot { state, number });
                let old = self.current.swap(Some(Arc::clone(&new)));
                Offered::Taken { old, new, mended }
            }
            Err(problems) => {
                let said = |problem: &Diagnostic| inner.problems.iter().any(|other| is_same(problem, other));
                let new: Vec<Diagnostic> = problems.iter().filter(|problem| !said(problem)).cloned().collect();
                let all = problems.len();
                let differs = !new.is_empty() || all != inner.problems.len();
                inner.problems = problems;
                Offered::Broken { new, all, differs }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The values are whole at any moment, so a panic elsewhere takes nothing from them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two problems are the same but for where the text around them has moved to.
fn is_same(a: &Diagnostic, b: &Diagnostic) -> bool {
    let place = |diagnostic: &Diagnostic| {
        let label = diagnostic.primary.as_deref()?;
        let marked = label.file.text.get(label.span.clone()).unwrap_or_default();
        Some((label.file.name.clone(), label.text.clone(), marked.to_owned()))
    };
    a.message == b.message && a.severity == b.severity && place(a) == place(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_config::SourceFile;

    fn problem(text: &str, at: usize) -> Diagnostic {
        let file = SourceFile::new("a.toml", text);
        Diagnostic::error("no").at(&file, at..at + 1, "here")
    }

    fn new_problems(offered: Offered<u32>) -> usize {
        match offered {
            Offered::Broken { new, .. } => new.len(),
            Offered::Taken { .. } => panic!("it was taken"),
        }
    }

    #[test]
    fn a_broken_state_leaves_the_last_good_one_and_is_said_once() {
        let live = Live::new();
        assert_eq!(
            new_problems(live.offer(Err(vec![problem("x", 0)]))),
            1,
            "nothing to keep yet"
        );
        assert!(live.get().is_none());
        let Offered::Taken {
            old: None,
            mended: true,
            ..
        } = live.offer(Ok(1))
        else {
            panic!("not taken")
        };
        assert_eq!(new_problems(live.offer(Err(vec![problem("x", 0)]))), 1, "broken anew");
        assert_eq!(live.get().unwrap().state, 1);
        assert_eq!(new_problems(live.offer(Err(vec![problem("  x", 2)]))), 0, "only moved");
        let two = vec![problem("  x", 2), problem("xy", 1)];
        assert_eq!(new_problems(live.offer(Err(two))), 1, "one more");
        let Offered::Broken {
            new,
            all: 1,
            differs: true,
        } = live.offer(Err(vec![problem("x", 0)]))
        else {
            panic!("one of two problems is gone")
        };
        assert!(new.is_empty());
        let Offered::Taken { old, new, mended } = live.offer(Ok(2)) else {
            panic!("not taken")
        };
        assert_eq!((old.unwrap().state, new.state, new.number, mended), (1, 2, 2, true));
        assert!(live.problems().is_empty());
    }

    #[test]
    fn whoever_holds_a_snapshot_keeps_it_and_others_are_freed() {
        let live = Live::new();
        live.offer(Ok(Arc::new(0)));
        let held = live.get().unwrap();
        let mut gone = Vec::new();
        for number in 1..100 {
            let state = Arc::new(number);
            gone.push(Arc::downgrade(&state));
            live.offer(Ok(state));
        }
        assert_eq!(*held.state, 0);
        let alive = gone.iter().filter(|state| state.strong_count() > 0).count();
        assert_eq!(alive, 1, "only the current one");
    }
}
