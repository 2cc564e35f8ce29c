//! Loading units: every byte right, in order, under a budget, and every way it can end; with each way to read.

use crate::support::{Folder, byte};
use sli_checkpoint::{
    ArenaPool, BackendKind, Checkpoint, DEFAULT_SLACK, FileId, LoadPlan, LoadedUnit, Loader, OpenFiles, Pending,
    PlannedUnit, ReadError, ReadOptions, Span, TensorId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A model of several layers in two shards, ready to be read.
struct Model {
    folder: Folder,
    checkpoint: Checkpoint,
    files: Arc<OpenFiles>,
    units: Vec<Arc<PlannedUnit>>,
}

/// Both backends, around the page cache and through it, with few and many requests, small and large blocks.
fn ways() -> Vec<ReadOptions> {
    let mut ways = Vec::new();
    for backend in [BackendKind::Uring, BackendKind::Threads] {
        for direct in [true, false] {
            for (block_bytes, depth) in [(4096, 1), (4096, 5), (1 << 20, 3)] {
                ways.push(ReadOptions {
                    backend,
                    direct,
                    block_bytes,
                    depth,
                });
            }
        }
    }
    ways
}

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
        let tensors = names.each_ref().map(|name| checkpoint.find(name).unwrap());
        Arc::new(PlannedUnit {
            name: format!("decoder.{i}"),
            plan: LoadPlan::new(&checkpoint, &tensors, slack),
        })
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

    fn start(&self, pool: &Arc<ArenaPool>, options: ReadOptions, cancel: &Arc<AtomicBool>) -> Loader {
        Loader::start(Arc::clone(&self.files), Arc::clone(pool), options, Arc::clone(cancel)).unwrap()
    }

    /// Requests for all units, `sweeps` times.
    fn request(&self, loader: &Loader, sweeps: usize) -> Vec<Pending> {
        let units = (0..sweeps).flat_map(|_| &self.units);
        units.map(|unit| loader.request(Arc::clone(unit)).unwrap()).collect()
    }

    /// Every tensor of the unit is there, byte for byte.
    fn check(&self, unit: &LoadedUnit) {
        let slices = &unit.planned().plan.slices;
        assert_eq!(slices.len(), 3);
        for slice in slices {
            let entry = self.checkpoint.tensor(slice.tensor);
            let expected: Vec<u8> = (0..entry.len as usize).map(|i| byte(&entry.name, i)).collect();
            assert!(
                unit.tensor(slice.tensor) == expected,
                "{} of {}",
                entry.name,
                unit.name()
            );
        }
    }

    fn error(&self, error: &ReadError) -> String {
        error.to_string().replace(self.folder.path().to_str().unwrap(), "DIR")
    }
}

fn no_cancel() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Waits until something is so, without asking how long it takes.
fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All arenas of a pool are free.
fn all_free(pool: &Arc<ArenaPool>) {
    let arenas: Vec<_> = (0..pool.slots()).map(|_| pool.acquire(1, || false).unwrap()).collect();
    drop(arenas);
}

#[test]
fn several_sweeps_come_in_order_from_arenas_of_any_number_and_kind() {
    let model = model(5, DEFAULT_SLACK);
    let lens: Vec<usize> = model.units.iter().map(|unit| unit.plan.arena_len).collect();
    let mut pools: Vec<_> = (1..4).map(|slots| ArenaPool::fixed(slots, model.largest())).collect();
    pools.extend((1..4).map(|slots| ArenaPool::shared(slots, ArenaPool::window(&lens, slots))));
    for pool in pools {
        for options in ways() {
            let loader = model.start(&pool, options, &no_cancel());
            for (i, pending) in model.request(&loader, 3).into_iter().enumerate() {
                let name = format!("decoder.{}", i % 5);
                assert_eq!(pending.name(), name);
                let unit = pending.wait().unwrap();
                assert_eq!(unit.name(), name);
                model.check(&unit);
                assert!(pool.bytes() <= pool.budget());
            }
            let stats = loader.stats();
            let sweep: u64 = model.units.iter().map(|unit| unit.plan.bytes()).sum();
            assert_eq!((stats.units, stats.bytes), (15, 3 * sweep), "{options}");
            assert!(stats.read_seconds > 0.0, "{stats:?}");
            assert_eq!(
                (stats.how.direct, stats.how.depth),
                (options.direct && model.files.allow_direct(), options.depth)
            );
        }
    }
}

#[test]
fn a_unit_keeps_its_bytes_while_others_are_read() {
    let model = model(6, 0);
    for options in ways() {
        let loader = model.start(&ArenaPool::fixed(3, model.largest()), options, &no_cancel());
        let mut pending = model.request(&loader, 2).into_iter();
        let first = pending.next().unwrap().wait().unwrap();
        for unit in pending {
            model.check(&unit.wait().unwrap());
            model.check(&first);
        }
        assert_eq!(first.get(TensorId(u32::MAX)), None);
    }
}

#[test]
fn parts_of_tensors_come_alone() {
    let folder = Folder::new();
    folder.shard("model.safetensors", &[("experts", 80_000), ("router", 50)]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let (experts, router) = (checkpoint.find("experts").unwrap(), checkpoint.find("router").unwrap());
    let expert = |i: u64| Span {
        tensor: experts,
        start: 10_000 * i,
        len: 10_000,
    };
    let spans = [
        expert(6),
        expert(1),
        expert(2),
        Span {
            tensor: router,
            start: 0,
            len: 50,
        },
    ];
    let plan = LoadPlan::of_spans(&checkpoint, &spans, 100);
    assert_eq!((plan.ranges.len(), plan.bytes()), (3, 30_050));
    let unit = Arc::new(PlannedUnit {
        name: "hit".into(),
        plan,
    });
    for options in ways() {
        let files = OpenFiles::open(&checkpoint).unwrap();
        let loader = Loader::start(files, ArenaPool::shared(1, 1 << 20), options, no_cancel()).unwrap();
        let unit = loader.request(Arc::clone(&unit)).unwrap().wait().unwrap();
        let expected = |from: usize, to: usize| (from..to).map(|i| byte("experts", i)).collect::<Vec<u8>>();
        assert_eq!(unit.part(experts, 10_000..30_000).unwrap(), expected(10_000, 30_000));
        assert_eq!(unit.part(experts, 60_000..70_000).unwrap(), expected(60_000, 70_000));
        assert_eq!(unit.part(experts, 25_000..35_000), None);
        assert_eq!((unit.get(experts), unit.tensor(router)[0]), (None, byte("router", 0)));
    }
}

#[test]
fn a_slow_consumer_is_seen_in_the_numbers_and_bounds_the_reading_ahead() {
    let model = model(4, 0);
    for options in ways() {
        let loader = model.start(&ArenaPool::fixed(2, model.largest()), options, &no_cancel());
        let mut pending = model.request(&loader, 1);
        let rest = pending.split_off(1);
        let first = pending.remove(0).wait().unwrap();
        until(|| loader.stats().units == 2);
        until(|| loader.stats().arena_wait_seconds > 0.02);
        assert_eq!(loader.stats().units, 2, "one in use, one ahead, and no more");
        assert!(rest[0].is_ready() && !rest[1].is_ready());
        drop(first);
        rest.into_iter()
            .for_each(|pending| model.check(&pending.wait().unwrap()));
        assert_eq!(loader.stats().units, 4);
    }
}

#[test]
fn a_unit_without_bytes_is_ready_at_once_even_if_all_memory_is_taken() {
    let model = model(1, 0);
    let pool = ArenaPool::fixed(1, model.largest());
    let loader = model.start(&pool, ReadOptions::default(), &no_cancel());
    let _held = model.request(&loader, 1).remove(0).wait().unwrap();
    let empty = PlannedUnit {
        name: "pool".into(),
        plan: LoadPlan::new(&model.checkpoint, &[], 0),
    };
    let pending = loader.request(Arc::new(empty)).unwrap();
    assert!(pending.is_ready());
    assert_eq!(pending.wait().unwrap().bytes(), 0);
}

#[test]
fn a_file_cut_short_while_reading_is_an_error_that_is_told_once() {
    for options in ways() {
        let model = model(4, 0);
        let len = model.checkpoint.files()[0].len;
        let loader = model.start(&ArenaPool::fixed(1, model.largest()), options, &no_cancel());
        model.check(&model.request(&loader, 1).remove(0).wait().unwrap());
        model.folder.truncate("1.safetensors", len - 5000);
        let results: Vec<_> = model.request(&loader, 9).into_iter().map(Pending::wait).collect();
        let good = results.iter().take_while(|result| result.is_ok()).count();
        let errors: Vec<_> = results
            .iter()
            .skip(good)
            .map(|result| result.as_ref().unwrap_err())
            .collect();
        assert_eq!(
            model.error(errors[0]),
            format!(
                "`DIR/1.safetensors` held {len} bytes when its header was read and holds 5000 now: \
                 the file changed or was truncated while reading. Restore it and run again"
            ),
            "{options}"
        );
        assert!(errors[1..].iter().all(|error| matches!(error, ReadError::Cancelled)));
        let late = loader.request(Arc::clone(&model.units[0])).unwrap();
        assert!(matches!(late.wait(), Err(ReadError::Cancelled)));
        let error = OpenFiles::open(&model.checkpoint).unwrap_err();
        assert!(matches!(error, ReadError::Changed { expected, found: 5000, .. } if expected == len));
    }
}

#[test]
fn units_in_front_of_a_bad_one_still_come() {
    for options in ways() {
        let model = model(6, 0);
        // Only the last units reach into what is missing.
        model.folder.truncate("1.safetensors", 3000);
        let loader = model.start(&ArenaPool::fixed(6, model.largest()), options, &no_cancel());
        let results: Vec<_> = model.request(&loader, 1).into_iter().map(Pending::wait).collect();
        let good = results.iter().take_while(|result| result.is_ok()).count();
        assert!((1..6).contains(&good), "{options}: {good}");
        assert!(results[..good].iter().all(|unit| {
            model.check(unit.as_ref().unwrap());
            true
        }));
        assert!(
            matches!(results[good], Err(ReadError::Changed { .. })),
            "{options}: {:?}",
            results[good]
        );
    }
}

#[test]
fn files_that_cannot_be_opened_are_told_by_name_and_open_ones_stay_readable() {
    let model = model(1, 0);
    std::fs::remove_file(model.folder.file("2.safetensors")).unwrap();
    let error = OpenFiles::open(&model.checkpoint).unwrap_err();
    assert_eq!(
        model.error(&error),
        "cannot open `DIR/2.safetensors`: No such file or directory (os error 2)"
    );
    for options in ways() {
        let loader = model.start(&ArenaPool::fixed(1, model.largest()), options, &no_cancel());
        model.check(&model.request(&loader, 1).remove(0).wait().unwrap());
    }
}

#[test]
fn what_the_kernel_will_not_read_is_told_with_its_place() {
    let model = model(1, 0);
    let loader_of = |options| {
        // A folder opens like a file, and cannot be read.
        let file = model.folder.file("2.safetensors");
        let _ = std::fs::remove_file(&file);
        std::fs::create_dir(&file).unwrap();
        let len = std::fs::metadata(&file).unwrap().len();
        let table = model.checkpoint.files().iter().cloned();
        let files = table.map(|mut entry| {
            entry.len = if entry.path == file { len } else { entry.len };
            entry
        });
        let parts = Checkpoint::from_parts(
            serde_json::json!({}),
            files.collect(),
            model.checkpoint.tensors().to_vec(),
        );
        let files = OpenFiles::open(&parts.unwrap()).unwrap();
        std::fs::remove_dir(&file).unwrap();
        Loader::start(files, ArenaPool::fixed(1, model.largest()), options, no_cancel()).unwrap()
    };
    let range = model.units[0].plan.ranges[1].clone();
    for options in ways().into_iter().filter(|options| !options.direct) {
        let loader = loader_of(options);
        let error = loader.request(Arc::clone(&model.units[0])).unwrap().wait().unwrap_err();
        assert_eq!(
            model.error(&error),
            format!(
                "cannot read {} bytes at offset {} of `DIR/2.safetensors`: Is a directory (os error 21). \
                 Check the drive and the file, then run again",
                range.len, range.file_offset
            ),
            "{options}"
        );
    }
}

#[test]
fn a_unit_beyond_the_budget_is_refused_at_once_and_others_are_read() {
    let model = model(3, 0);
    let pool = ArenaPool::fixed(2, model.largest() - 4096);
    let loader = model.start(&pool, ReadOptions::default(), &no_cancel());
    let (needed, allowed) = (model.largest(), model.largest() - 4096);
    let (large, small): (Vec<_>, Vec<_>) = model.units.iter().partition(|unit| unit.plan.arena_len > allowed);
    let error = loader.request(Arc::clone(large[0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` needs an arena of {needed} bytes and the arenas may have {allowed}. Raise `engine.memory`",
            large[0].name
        )
    );
    for unit in small {
        model.check(&loader.request(Arc::clone(unit)).unwrap().wait().unwrap());
    }
}

#[test]
fn cancelling_ends_what_is_pending_and_leaves_what_is_loaded() {
    let model = model(3, 0);
    for options in ways() {
        let pool = ArenaPool::fixed(2, model.largest());
        let cancel = no_cancel();
        let loader = model.start(&pool, options, &cancel);
        let mut pending = model.request(&loader, 4).into_iter();
        let held = [
            pending.next().unwrap().wait().unwrap(),
            pending.next().unwrap().wait().unwrap(),
        ];
        cancel.store(true, Ordering::Relaxed);
        // No arena is free, so that nothing but the flag can end this.
        assert!(pending.all(|unit| matches!(unit.wait(), Err(ReadError::Cancelled))));
        held.iter().for_each(|unit| model.check(unit));
        drop(held);
        all_free(&pool);
    }
}

#[test]
fn what_nobody_waits_for_is_not_read_and_holds_nothing_up() {
    let model = model(4, 0);
    for options in ways() {
        let pool = ArenaPool::fixed(1, model.largest());
        let loader = model.start(&pool, options, &no_cancel());
        let mut pending = model.request(&loader, 5);
        let last = pending.pop().unwrap();
        // The last first: while the first holds the only arena, no other can begin.
        while let Some(unit) = pending.pop() {
            drop(unit);
        }
        model.check(&last.wait().unwrap());
        assert!(loader.stats().units < 20);
        all_free(&pool);
    }
}

#[test]
fn dropping_the_loader_is_quick_ends_the_waiting_and_frees_the_arenas() {
    let model = model(4, 0);
    for options in ways() {
        for pause in [0, 5] {
            let pool = ArenaPool::fixed(2, model.largest());
            let loader = model.start(&pool, options, &no_cancel());
            let mut pending = model.request(&loader, 50);
            let held = pending.remove(0).wait().unwrap();
            std::thread::sleep(Duration::from_millis(pause));
            let start = Instant::now();
            drop(loader);
            assert!(start.elapsed() < Duration::from_secs(10));
            let last = pending.pop().unwrap();
            assert!(last.is_ready());
            assert!(matches!(last.wait(), Err(ReadError::Cancelled)));
            drop(pending);
            model.check(&held);
            drop(held);
            all_free(&pool);
        }
    }
}

#[test]
fn a_panic_on_the_thread_is_told_and_is_not_the_end_of_the_program() {
    let model = model(2, 0);
    for options in ways() {
        let pool = ArenaPool::fixed(2, model.largest());
        let loader = model.start(&pool, options, &no_cancel());
        let mut broken = (*model.units[0]).clone();
        broken.plan.ranges[0].file = FileId(9);
        let broken = loader.request(Arc::new(broken)).unwrap();
        let behind = loader.request(Arc::clone(&model.units[1])).unwrap();
        assert_eq!(
            broken.wait().unwrap_err().to_string(),
            "the reading thread stopped: it panicked"
        );
        assert!(matches!(behind.wait(), Err(ReadError::Cancelled)));
        let late = loader.request(Arc::clone(&model.units[1])).unwrap();
        assert!(matches!(late.wait(), Err(ReadError::Cancelled)));
        drop(loader);
        all_free(&pool);
    }
}

#[test]
fn two_loaders_share_a_pool_without_starving_each_other() {
    let model = model(5, 0);
    let pool = ArenaPool::shared(3, 2 * model.largest());
    std::thread::scope(|scope| {
        for options in ways() {
            let (model, pool) = (&model, &pool);
            scope.spawn(move || {
                let loader = model.start(pool, options, &no_cancel());
                for pending in model.request(&loader, 4) {
                    model.check(&pending.wait().unwrap());
                }
            });
        }
    });
    assert!(pool.bytes() <= pool.budget());
}
