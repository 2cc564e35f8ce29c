//! The upload on a device of threads: what waits for what.

#![expect(clippy::single_range_in_vec_init, reason = "a unit with one range of bytes")]

use super::fake::{Diary, FakeCopier};
use super::*;
use sli_model::DType;
use std::sync::Arc;

const FLOATS: usize = 64;

fn device(slots: usize) -> (Uploader, Arc<FakeCopier>) {
    let memory = allocate(Device::Cpu, slots, 4 * FLOATS + 16).unwrap();
    let fake = Arc::new(FakeCopier::new(&memory));
    (Uploader::with(fake.clone(), memory).unwrap(), fake)
}

fn numbers(unit: usize) -> Vec<f32> {
    (0..FLOATS).map(|i| (unit * 1000 + i) as f32).collect()
}

fn bytes(numbers: &[f32]) -> Bytes {
    Arc::new(numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

fn upload(uploader: &Uploader, unit: usize) -> DeviceUnit {
    uploader.upload(bytes(&numbers(unit)), &[0..4 * FLOATS]).unwrap()
}

fn whole(unit: &DeviceUnit) -> Tensor {
    unit.view(0..4 * FLOATS, DType::F32, &[FLOATS as i64]).unwrap()
}

/// `count` units through two slots; kernel i runs `work(i, ..)`.
fn sweep(count: usize, work: impl Fn(usize, &Arc<Diary>) -> Box<dyn FnOnce() + Send>) -> (Uploader, Arc<FakeCopier>) {
    let (uploader, fake) = device(2);
    let mut next = Some(upload(&uploader, 0));
    for i in 0..count {
        let unit = next.take().unwrap();
        if i + 1 < count {
            next = Some(upload(&uploader, i + 1));
        }
        fake.launch(&format!("kernel {i}"), &whole(&unit), numbers(i), work(i, &fake.diary));
    }
    fake.finish();
    (uploader, fake)
}

fn nothing_clashes(fake: &FakeCopier) {
    let entries = fake.diary.entries();
    let bad = |e: &&String| e.contains("CLASH") || e.contains("OTHER");
    assert_eq!(entries.iter().find(bad), None, "{entries:?}");
}

#[test]
fn the_next_unit_is_copied_while_one_computes() {
    // every kernel but the last waits inside for the copy of the unit after it: were they done one after the
    // other, none would end
    let after = |i: usize| format!("copy {} to slot {} ends", i.div_ceil(2) + 1, (i + 1) % 2);
    let (_uploader, fake) = sweep(6, |i, diary| {
        let diary = diary.clone();
        Box::new(move || {
            if i < 5 {
                diary.wait(&after(i))
            }
        })
    });
    nothing_clashes(&fake);
    for i in 0..5 {
        assert!(fake.diary.place(&after(i)) < fake.diary.place(&format!("kernel {i} ends")));
    }
}

#[test]
fn a_slot_is_not_overwritten_before_its_unit_is_computed() {
    let (uploader, fake) = device(1);
    let unit = upload(&uploader, 0);
    let (release, held) = std::sync::mpsc::channel::<()>();
    fake.launch("slow", &whole(&unit), numbers(0), move || held.recv().unwrap());
    fake.diary.wait("slow begins");
    drop(unit); // the host is done with it, the device is not
    let second = upload(&uploader, 1);
    // the copy is in the queue and must not begin: nothing is there to wait for, so give it a moment
    second.make_ready().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(
        !fake.diary.entries().iter().any(|e| e.starts_with("copy 2")),
        "{:?}",
        fake.diary.entries()
    );
    release.send(()).unwrap();
    fake.launch("second", &whole(&second), numbers(1), || {});
    fake.finish();
    nothing_clashes(&fake);
    assert!(fake.diary.place("slow ends") < fake.diary.place("copy 2 to slot 0 begins"));
    assert!(fake.diary.place("copy 2 to slot 0 ends") < fake.diary.place("second begins"));
}

#[test]
fn many_units_come_in_order_and_whole() {
    let (uploader, fake) = sweep(40, |_, _| Box::new(|| {}));
    nothing_clashes(&fake);
    let order: Vec<usize> = (0..40).map(|i| fake.diary.place(&format!("kernel {i} ends"))).collect();
    assert!(order.is_sorted());
    assert_eq!(uploader.free_slots(), 2);
}

#[test]
fn views_hold_their_slot_and_the_host_bytes_go_back() {
    let (uploader, fake) = device(1);
    let host = bytes(&numbers(3));
    let unit = uploader.upload(host.clone(), &[0..4 * FLOATS]).unwrap();
    let row = whole(&unit).rows(2, 1).unwrap();
    drop(unit);
    assert_eq!(uploader.free_slots(), 0, "a row of a view holds the slot");
    let error = uploader.upload(host.clone(), &[0..4]).unwrap_err().to_string();
    assert!(error.contains("all 1 slots"), "{error}");
    fake.diary.wait("copy 1 to slot 0 ends");
    fake.finish();
    assert_eq!(row.to_f32_vec().unwrap(), [3002.0]);
    drop(row);
    assert_eq!(uploader.free_slots(), 1);
    drop(uploader); // joins the thread that holds the bytes while they are copied
    assert_eq!(Arc::strong_count(&host), 1);
}

#[test]
fn ranges_keep_their_places_and_odd_views_are_copies() {
    let (uploader, fake) = device(1);
    let mut data = vec![0xEEu8; 64];
    data[3..11].copy_from_slice(&[1.5f32, -2.0].map(f32::to_le_bytes).concat());
    data[32..38].copy_from_slice(&[1, 0, 0xff, 0xff, 0, 0x80]);
    let unit = uploader.upload(Arc::new(data), &[3..11, 32..38]).unwrap();
    unit.make_ready().unwrap();
    fake.diary.wait("copy 1 to slot 0 ends");
    let odd = unit.view(3..11, DType::F32, &[2]).unwrap();
    let wide = unit.view(32..38, DType::U16, &[3, 1]).unwrap();
    let halves = unit.view(32..34, DType::U8, &[2]).unwrap();
    assert_eq!(odd.to_f32_vec().unwrap(), [1.5, -2.0]);
    assert_eq!(
        (wide.shape(), wide.to_i64_vec().unwrap()),
        (vec![3, 1], vec![1, 65535, 32768])
    );
    assert_eq!(halves.to_i64_vec().unwrap(), [1, 0]);
    for (range, shape) in [(2..10, 2), (10..14, 1), (3..11, 3), (32..40, 2)] {
        let error = unit.view(range.clone(), DType::F32, &[shape]);
        assert!(error.is_err(), "{range:?}");
    }
    assert_eq!(unit.view(3..3, DType::F32, &[0]).unwrap().numel(), 0);
    assert!(
        uploader.upload(Arc::new(vec![0u8; 8]), &[4..12]).is_err(),
        "beyond the bytes"
    );
    let large = uploader
        .upload(Arc::new(vec![0u8; 5000]), &[0..5000])
        .unwrap_err()
        .to_string();
    assert!(large.contains("5000") && large.contains("gpu_memory"), "{large}");
}

#[test]
fn u64_keeps_its_bits() {
    let (uploader, fake) = device(1);
    let unit = uploader
        .upload(Arc::new(u64::MAX.to_le_bytes().to_vec()), &[0..8])
        .unwrap();
    unit.make_ready().unwrap();
    fake.diary.wait("copy 1 to slot 0 ends");
    assert_eq!(unit.view(0..8, DType::U64, &[1]).unwrap().to_i64_vec().unwrap(), [-1]);
}

#[test]
fn errors_of_a_copy_come_out_where_the_unit_is_used() {
    let (uploader, fake) = device(2);
    fake.failing.lock().unwrap().push((0, "copy"));
    let unit = upload(&uploader, 0);
    let error = unit.make_ready().unwrap_err().to_string();
    assert!(error.contains("cable"), "{error}");
    assert!(
        unit.view(0..4, DType::F32, &[1])
            .unwrap_err()
            .to_string()
            .contains("cable")
    );
    // the other slot still works, and so does the broken one afterwards
    drop(unit);
    fake.failing.lock().unwrap().clear();
    let again = upload(&uploader, 1);
    fake.launch("kernel", &whole(&again), numbers(1), || {});
    fake.finish();
    nothing_clashes(&fake);
}

#[test]
fn dropping_everything_while_copies_run_ends_well() {
    let (uploader, fake) = device(3);
    let host: Vec<Bytes> = (0..3).map(|i| bytes(&numbers(i))).collect();
    let units: Vec<DeviceUnit> = host
        .iter()
        .map(|h| uploader.upload(h.clone(), &[0..4 * FLOATS]).unwrap())
        .collect();
    drop(uploader);
    // a copy that was not begun is an error, one that was is there
    for unit in &units {
        match unit.make_ready() {
            Ok(()) => assert_eq!(whole(unit).shape(), [FLOATS as i64]),
            Err(error) => assert!(error.to_string().contains("ended"), "{error}"),
        }
    }
    drop(units);
    assert!(
        host.iter().all(|h| Arc::strong_count(h) == 1),
        "the bytes are given back"
    );
    nothing_clashes(&fake);
}

#[test]
fn page_locks_end_with_their_guard() {
    let (uploader, fake) = device(1);
    let memory = vec![0u8; 4096];
    let lock = uploader.register(&memory).unwrap();
    assert_eq!(*fake.locked.lock().unwrap(), [memory.as_ptr() as usize]);
    drop(lock);
    assert!(fake.locked.lock().unwrap().is_empty());
}

#[test]
fn the_processor_has_no_slots() {
    assert!(Uploader::new(Device::Cpu, 2, 64).is_err());
    assert!(Uploader::with(Arc::new(FakeCopier::new(&[])), Vec::new()).is_err());
}
