//! Reading layers: every byte right, in order, under a budget, and every way it can end.

use crate::support::{Folder, byte};
use sli_checkpoint::{
    ArenaPool, Checkpoint, DEFAULT_SLACK, LayerReader, LoadUnit, LoadedUnit, OpenFiles, PlannedUnit, ReadError,
    ReadOptions, TensorId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A model of several layers in two shards, ready to be read.
struct Model {
    folder: Folder,
    checkpoint: Checkpoint,
    files: Arc<OpenFiles>,
    units: Arc<[PlannedUnit]>,
}

const SMALL: ReadOptions = ReadOptions {
    threads: 2,
    block_bytes: 4096,
};

/// `layers` units of three tensors each; the norm of each lies in the other shard, so that a unit has two ranges.
fn model(layers: usize, slack: u64) -> Model {
    let folder = Folder::new();
    let names: Vec<[String; 3]> = (0..layers)
        .map(|i| ["q", "k", "norm"].map(|part| format!("{i}.{part}")))
        .collect();
    let part = |i: usize| [20_000 + 777 * i, 5_001, 33];
    let mut shards = [Vec::new(), Vec::new()];
    for (i, names) in names.iter().enumerate() {
        for (j, (name, len)) in names.iter().zip(part(i)).enumerate() {
            shards[(i + j / 2) % 2].push((name.as_str(), len));
        }
    }
    folder.shard("1.safetensors", &shards[0]);
    folder.shard("2.safetensors", &shards[1]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let unit = |(i, names): (usize, &[String; 3])| {
        let tensors = names.iter().map(|name| checkpoint.find(name).unwrap()).collect();
        LoadUnit {
            name: format!("decoder.{i}"),
            tensors,
        }
        .plan(&checkpoint, slack)
    };
    let units = names.iter().enumerate().map(unit).collect();
    let files = OpenFiles::open(&checkpoint).unwrap();
    Model {
        folder,
        files,
        units,
        checkpoint,
    }
}

impl Model {
    fn largest(&self) -> usize {
        self.units.iter().map(|unit| unit.plan.arena_len).max().unwrap()
    }

    fn start(
        &self,
        order: impl IntoIterator<Item = usize, IntoIter: Send + 'static>,
        pool: &Arc<ArenaPool>,
        options: ReadOptions,
        cancel: &Arc<AtomicBool>,
    ) -> Result<LayerReader, ReadError> {
        let (files, units) = (Arc::clone(&self.files), Arc::clone(&self.units));
        LayerReader::start(files, units, order, Arc::clone(pool), options, Arc::clone(cancel))
    }

    fn sweeps(&self, sweeps: usize) -> Vec<usize> {
        (0..sweeps).flat_map(|_| 0..self.units.len()).collect()
    }

    /// Every tensor of the unit is there, byte for byte.
    fn check(&self, unit: &LoadedUnit) {
        let plan = &self.units[unit.index()].plan;
        assert_eq!(plan.slices.len(), 3);
        for (id, _) in &plan.slices {
            let entry = self.checkpoint.tensor(*id);
            let expected: Vec<u8> = (0..entry.len as usize).map(|i| byte(&entry.name, i)).collect();
            assert!(unit.tensor(*id) == expected, "{} of {}", entry.name, unit.name());
        }
    }

    fn error(&self, error: &ReadError) -> String {
        error.to_string().replace(self.folder.path().to_str().unwrap(), "DIR")
    }
}

fn no_cancel() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

#[test]
fn several_sweeps_come_in_order_from_arenas_of_any_number_and_kind() {
    let model = model(5, DEFAULT_SLACK);
    let lens: Vec<usize> = model.units.iter().map(|unit| unit.plan.arena_len).collect();
    let mut pools: Vec<_> = (1..4).map(|slots| ArenaPool::fixed(slots, model.largest())).collect();
    pools.extend((1..4).map(|slots| ArenaPool::shared(slots, ArenaPool::window(&lens, slots))));
    for pool in pools {
        for options in [
            SMALL,
            ReadOptions {
                threads: 1,
                block_bytes: 1 << 20,
            },
            ReadOptions {
                threads: 5,
                block_bytes: 1000,
            },
        ] {
            let mut reader = model.start(model.sweeps(3), &pool, options, &no_cancel()).unwrap();
            for expected in model.sweeps(3) {
                let unit = reader.next().unwrap().unwrap();
                assert_eq!((unit.index(), unit.name()), (expected, &*format!("decoder.{expected}")));
                model.check(&unit);
                assert!(pool.bytes() <= pool.budget());
            }
            assert!(reader.next().is_none());
            assert!(reader.next().is_none());
            let stats = reader.stats();
            let sweep: u64 = model.units.iter().map(|unit| unit.plan.bytes()).sum();
            assert_eq!((stats.units, stats.bytes), (15, 3 * sweep));
            assert!(
                stats.read_seconds > 0.0 && stats.consumer_wait_seconds > 0.0,
                "{stats:?}"
            );
        }
    }
}

#[test]
fn a_unit_keeps_its_bytes_while_others_are_read() {
    let model = model(6, 0);
    let pool = ArenaPool::fixed(3, model.largest());
    let mut reader = model.start(model.sweeps(1), &pool, SMALL, &no_cancel()).unwrap();
    let first = reader.next().unwrap().unwrap();
    for unit in reader {
        model.check(&unit.unwrap());
        model.check(&first);
    }
    assert_eq!(first.get(TensorId(u32::MAX)), None);
}

#[test]
fn a_slow_consumer_is_seen_in_the_numbers_and_bounds_the_reading_ahead() {
    let model = model(4, 0);
    let pool = ArenaPool::fixed(2, model.largest());
    let mut reader = model.start(model.sweeps(1), &pool, SMALL, &no_cancel()).unwrap();
    let first = reader.next().unwrap().unwrap();
    while reader.stats().units < 2 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(reader.stats().units, 2, "one in use, one ahead, and no more");
    drop(first);
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 3);
    assert!(reader.stats().arena_wait_seconds > 0.02, "{:?}", reader.stats());
}

#[test]
fn one_unit_can_be_loaded_to_stay() {
    let model = model(2, 0);
    let pool = ArenaPool::shared(2, 2 * model.largest());
    let unit = LoadedUnit::load(&model.files, &model.units, 1, &pool, SMALL, &|| false).unwrap();
    model.check(&unit);
    let error = LoadedUnit::load(&model.files, &model.units, 0, &pool, SMALL, &|| true).unwrap_err();
    assert!(matches!(error, ReadError::Cancelled));
    let error = LoadedUnit::load(&model.files, &model.units, 7, &pool, SMALL, &|| false).unwrap_err();
    assert_eq!(error.to_string(), "the reading order asks for unit 7, but there are 2");
}

#[test]
fn a_file_cut_short_while_reading_is_an_error_at_its_unit() {
    let model = model(4, 0);
    let pool = ArenaPool::fixed(1, model.largest());
    let len = model.checkpoint.files()[0].len;
    let mut reader = model.start(model.sweeps(9), &pool, SMALL, &no_cancel()).unwrap();
    model.check(&reader.next().unwrap().unwrap());
    model.folder.truncate("1.safetensors", len - 5000);
    let errors: Vec<_> = reader.by_ref().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        model.error(&errors[0]),
        format!(
            "`DIR/1.safetensors` held {len} bytes when its header was read and holds 5000 now: \
             the file changed or was truncated while reading. Restore it and run again"
        )
    );
    assert!(reader.next().is_none());
    let error = OpenFiles::open(&model.checkpoint).unwrap_err();
    assert!(matches!(error, ReadError::Changed { expected, found: 5000, .. } if expected == len));
}

#[test]
fn a_file_that_is_gone_is_told_by_name() {
    let model = model(1, 0);
    std::fs::remove_file(model.folder.file("2.safetensors")).unwrap();
    let error = OpenFiles::open(&model.checkpoint).unwrap_err();
    assert_eq!(
        model.error(&error),
        "cannot open `DIR/2.safetensors`: No such file or directory (os error 2)"
    );
    // What is open stays readable, whatever happens to its name.
    let pool = ArenaPool::fixed(1, model.largest());
    model.check(&LoadedUnit::load(&model.files, &model.units, 0, &pool, SMALL, &|| false).unwrap());
}

#[test]
fn a_unit_beyond_the_budget_is_refused_before_anything_is_read() {
    let model = model(3, 0);
    let pool = ArenaPool::fixed(2, model.largest() - 4096);
    let error = model.start([0], &pool, SMALL, &no_cancel()).unwrap_err();
    let (needed, allowed) = (model.largest(), model.largest() - 4096);
    let unit = model.units.iter().find(|unit| unit.plan.arena_len > allowed).unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` needs an arena of {needed} bytes and the arenas may have {allowed}. Raise `engine.memory`",
            unit.name
        )
    );
    assert_eq!(pool.bytes(), 0);
}

#[test]
fn cancelling_ends_the_reading_and_is_said_once() {
    let model = model(3, 0);
    let pool = ArenaPool::fixed(2, model.largest());
    let cancel = no_cancel();
    // An endless order: only cancelling ends it.
    let mut reader = model.start((0..3).cycle(), &pool, SMALL, &cancel).unwrap();
    assert!(reader.by_ref().take(10).all(|unit| unit.is_ok()));
    let held = reader.next().unwrap().unwrap();
    cancel.store(true, Ordering::Relaxed);
    let rest: Vec<_> = reader.by_ref().collect();
    assert!(matches!(rest.last(), Some(Err(ReadError::Cancelled))), "{rest:?}");
    assert!(rest.len() <= 2);
    model.check(&held);
}

#[test]
fn dropping_the_reader_early_is_quick_and_frees_the_arenas() {
    let model = model(4, 0);
    for pause in [0, 20] {
        let pool = ArenaPool::fixed(2, model.largest());
        let mut reader = model.start((0..4).cycle(), &pool, SMALL, &no_cancel()).unwrap();
        let held = reader.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let start = Instant::now();
        drop(reader);
        assert!(start.elapsed() < Duration::from_secs(2));
        drop(held);
        let all: Vec<_> = (0..2).map(|_| pool.acquire(1, || true).unwrap()).collect();
        assert_eq!(all.len(), 2, "all arenas came back");
    }
}

#[test]
fn a_panic_in_the_order_is_no_silent_end() {
    let model = model(2, 0);
    let pool = ArenaPool::fixed(2, model.largest());
    let order = (0..2).inspect(|i| assert_ne!(*i, 1, "a panic that this test wants"));
    let mut reader = model.start(order, &pool, SMALL, &no_cancel()).unwrap();
    assert!(reader.next().unwrap().is_ok());
    assert_eq!(
        reader.next().unwrap().unwrap_err().to_string(),
        "the reading thread stopped: it panicked"
    );
    assert!(reader.next().is_none());
}
