//! Which way is chosen.

use super::*;
use crate::data::Field;
use crate::plan::UnitPlan;
use crate::plan::cost::{Apart, Chunk, UnitCost};

const MIB: u64 = 1 << 20;

fn dataset(lengths: &[usize]) -> Dataset {
    let mut field = Field::new("input_ids");
    lengths.iter().for_each(|length| field.push(&vec![1; *length]));
    let ids = (0..lengths.len()).map(|id| id.to_string().into()).collect();
    Dataset {
        ids,
        fields: vec![field],
        ..Dataset::default()
    }
}

/// Three units of 64 MiB arenas; 1 KiB of state and 16 KiB of working values a token.
fn costs() -> Costs {
    let plan = UnitPlan {
        bytes: 64 * MIB,
        row_bytes: 16 << 10,
        ..UnitPlan::default()
    };
    let unit = UnitCost {
        plan,
        arena: 64 * MIB,
        chunk: None,
        apart: None,
    };
    let head = UnitCost {
        chunk: Some(Chunk {
            row_bytes: 128 << 10,
            row_wise: true,
        }),
        ..unit.clone()
    };
    Costs {
        units: vec![unit.clone(), unit, head],
        state_per_token: vec![1 << 10],
        ..Costs::default()
    }
}

fn shape(dataset: &Dataset, budget: u64) -> Shape<'_> {
    Shape {
        dataset,
        budget,
        process: 140 * MIB,
        device_budget: None,
        ahead: 1,
        spill: &[false, true],
        all_experts: None,
        rates: Rates::default(),
    }
}

fn choose_for(lengths: &[usize], budget: u64) -> Result<Schedule, u64> {
    let dataset = dataset(lengths);
    choose(&[&costs()], &shape(&dataset, budget)).map(|chosen| chosen.1)
}

#[test]
fn everything_that_fits_goes_through_in_one_sweep() {
    let schedule = choose_for(&[500; 20], 512 * MIB).unwrap();
    assert_eq!(
        (schedule.sweeps.len(), schedule.slots, schedule.micro_tokens),
        (1, 2, 1000)
    );
    assert_eq!((schedule.sweep_tokens, schedule.micro_batches.len()), (10_000, 10));
    assert_eq!((schedule.arena_bytes, schedule.state), (128 * MIB, 10_000 << 10));
}

#[test]
fn a_smaller_budget_makes_more_sweeps_and_documents_stay_whole_and_in_order() {
    let schedule = choose_for(&[700; 400], 256 * MIB).unwrap();
    assert!(schedule.sweeps.len() > 1);
    let documents: Vec<usize> = schedule.micro_batches.iter().cloned().flatten().collect();
    assert_eq!(documents, (0..400).collect::<Vec<_>>());
    let batches: Vec<usize> = schedule.sweeps.iter().cloned().flatten().collect();
    assert_eq!(batches, (0..schedule.micro_batches.len()).collect::<Vec<_>>());
    let used = schedule.arena_bytes + schedule.working + schedule.state + taken(140 * MIB);
    assert!(used <= 256 * MIB + OVERHEAD, "{used}");
}

#[test]
fn a_budget_that_cannot_work_names_the_smallest_that_does() {
    let smallest = choose_for(&[3000, 10], 50 * MIB).unwrap_err();
    assert!(smallest > 100 * MIB && smallest < 200 * MIB, "{smallest}");
    let schedule = choose_for(&[3000, 10], smallest).unwrap();
    assert_eq!((schedule.slots, schedule.micro_tokens), (1, 3000));
    assert_eq!(choose_for(&[3000, 10], smallest - MIB).unwrap_err(), smallest);
}

#[test]
fn a_large_process_leaves_less_room() {
    let (dataset, costs) = (dataset(&[10]), costs());
    let smallest = |process: u64| {
        let shape = Shape {
            process,
            ..shape(&dataset, 1)
        };
        choose(&[&costs], &shape).unwrap_err()
    };
    let more = smallest(400 * MIB) - smallest(140 * MIB);
    assert_eq!(more, taken(400 * MIB) - taken(140 * MIB));
    assert_eq!(
        taken(1),
        taken(150 * MIB),
        "what is loaded of libtorch does not count twice"
    );
}

#[test]
fn a_model_that_fits_is_read_once() {
    // One document's state takes most of what two arenas leave, so there are many sweeps either way.
    let mut costs = costs();
    costs.state_per_token = vec![64 << 10];
    let dataset = dataset(&[1000; 40]);
    let sweeps = |budget: u64| choose(&[&costs], &shape(&dataset, budget)).unwrap().1;
    let large = sweeps(600 * MIB);
    assert!(large.sweeps.len() > 1, "{}", large.sweeps.len());
    assert_eq!(large.stays, [true; 3]);
    assert_eq!(large.stay_bytes, 192 * MIB);
    assert_eq!(large.prediction.read_bytes, 3 * 64 * MIB);
    let used = large.arena_bytes + large.working + large.state + taken(140 * MIB);
    assert!(used <= 600 * MIB + OVERHEAD, "{used}");
    let small = sweeps(250 * MIB);
    assert!(small.stays.iter().any(|stays| !stays));
}

#[test]
fn hidden_state_goes_to_disk_where_that_is_much_faster_or_asked_for() {
    let mut costs = costs();
    // Large weights, small state: reading the weights once and spilling wins by far.
    costs.units.iter_mut().for_each(|unit| {
        unit.arena = 1024 * MIB;
        unit.plan.bytes = 1024 * MIB;
    });
    costs.state_per_token = vec![32 << 10];
    let dataset = dataset(&[1000; 128]);
    let budget = 2 * 1024 * MIB + 300 * MIB;
    let rates = Rates {
        read: 0.3e9,
        write: 1e9,
        ..Rates::default()
    };
    let either = Shape {
        rates,
        ..shape(&dataset, budget)
    };
    let schedule = choose(&[&costs], &either).unwrap().1;
    assert!(schedule.spill && schedule.sweeps.len() == 1);
    assert_eq!(schedule.prediction.spill_bytes, 2 * 128_000 * (32 << 10));
    let in_memory = Shape {
        spill: &[false],
        ..either
    };
    let schedule = choose(&[&costs], &in_memory).unwrap().1;
    assert!(
        !schedule.spill && schedule.sweeps.len() > 1,
        "{}",
        schedule.sweeps.len()
    );
    let asked = Shape {
        spill: &[true],
        ..shape(&dataset, 64 * 1024 * MIB)
    };
    assert!(choose(&[&costs], &asked).unwrap().1.spill);
}

#[test]
fn experts_are_read_ahead_only_if_nearly_all_will_be_hit() {
    let mut costs = costs();
    costs.units[1].apart = Some(Apart {
        group: 8 * MIB,
        working: MIB,
        mixtures: vec![(32, 2, 320 * MIB)],
    });
    let few = dataset(&[64]);
    let schedule = choose(&[&costs], &shape(&few, 1024 * MIB)).unwrap().1;
    assert_eq!(schedule.all_experts, [false; 3]);
    // Of 32 experts each is missed by 64 tokens with (15/16)^64, so half an expert is.
    let expected = schedule.prediction.read_bytes as f64 / MIB as f64 - 192.0;
    assert!(
        (expected - 320.0 * (1.0 - 0.9375_f64.powi(64))).abs() < 1.0,
        "{expected}"
    );
    let many = dataset(&[64; 10]);
    let schedule = choose(&[&costs], &shape(&many, 1024 * MIB)).unwrap().1;
    assert_eq!(schedule.all_experts, [false, true, false]);
    let routed = Shape {
        all_experts: Some(false),
        ..shape(&many, 1024 * MIB)
    };
    assert_eq!(choose(&[&costs], &routed).unwrap().1.all_experts, [false; 3]);
}

#[test]
fn a_document_longer_than_a_micro_batch_is_alone_in_it() {
    let packed = |lengths: &[usize]| -> Vec<Range<usize>> {
        let batches = pack(&costs(), &dataset(lengths), 1024);
        batches.into_iter().map(|batch| batch.documents).collect()
    };
    assert_eq!(packed(&[10, 2000, 10, 10]), [0..1, 1..2, 2..4]);
    assert_eq!(packed(&[512, 512, 1]), [0..2, 2..3]);
}

#[test]
fn a_device_has_a_budget_of_its_own() {
    let (costs, dataset) = (costs(), dataset(&[1000; 40]));
    let on = |device_budget: u64| {
        let shape = Shape {
            device_budget: Some(device_budget),
            ..shape(&dataset, 1024 * MIB)
        };
        choose(&[&costs], &shape).map(|chosen| chosen.1)
    };
    let large = on(1024 * MIB).unwrap();
    assert_eq!((large.device_slots, large.sweeps.len()), ((2, 64 * MIB), 1));
    // Two slots of 64 MiB, and little more than the values of one micro-batch.
    let small = on(128 * MIB + large.working + 4 * MIB).unwrap();
    assert!(small.sweeps.len() > 1);
    // More main memory does not help.
    assert_eq!(on(100 * MIB).unwrap_err(), NONE);
}
