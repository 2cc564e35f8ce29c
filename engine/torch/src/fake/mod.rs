//! Every kind of kernel on a device that is not the CPU, for machines without one: see `device.cpp`.
//!
//! It stands for CUDA in what can go wrong without the compiler noticing: numbers made on the host and used on
//! the device, and a host that waits in the middle of a layer.

mod cases;

use crate::{Batch, RowSet, RtValue, Tensor, Weights};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use sli_model::{DType, Graph, GraphInput, Op, Origin, Value};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// libtorch's name of it.
const FAKE: tch::Device = tch::Device::Mps;
const SOURCE: &str = include_str!("device.cpp");

/// The device, of one test at a time.
struct Fake {
    library: Library,
}

impl Fake {
    fn open() -> MutexGuard<'static, Fake> {
        static ONE: OnceLock<Mutex<Fake>> = OnceLock::new();
        let load = || {
            // SAFETY: its initialisers register kernels with the libtorch whose headers it was compiled with.
            #[allow(unsafe_code)]
            let library = unsafe { Library::open(Some(compiled()), RTLD_NOW | RTLD_GLOBAL) };
            Mutex::new(Fake {
                library: library.expect("the fake device loads"),
            })
        };
        ONE.get_or_init(load).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the host has waited for the device.
    fn waits(&self) -> i64 {
        // SAFETY: the function has this type in `device.cpp`, and reads a counter.
        #[allow(unsafe_code)]
        unsafe {
            let waits: Symbol<unsafe extern "C" fn() -> std::ffi::c_long> =
                self.library.get(c"fake_device_waits").expect("the counter");
            waits()
        }
    }
}

/// The library, compiled beside the tests if it is not there: ten seconds, once.
fn compiled() -> PathBuf {
    let torch = PathBuf::from(env!("LIBTORCH"));
    let mut hash = DefaultHasher::new();
    (SOURCE, &torch).hash(&mut hash);
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let path = folder.join(format!("libsli_fake_device-{:016x}.so", hash.finish()));
    if path.exists() {
        return path;
    }
    // under another name first: tests of several processes may be at it
    let half = folder.join(format!("fake-device-{}.so", std::process::id()));
    let include = torch.join("include");
    let output = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
        .args(["-std=c++17", "-O0", "-fPIC", "-shared", "-o"])
        .arg(&half)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fake/device.cpp"))
        .arg("-I")
        .arg(&include)
        .arg("-L")
        .arg(torch.join("lib"))
        .args(["-ltorch_cpu", "-lc10"])
        .output()
        .expect("a C++ compiler, which torch-sys needs as well");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(half, &path).unwrap();
    path
}

/// A graph of one case: inputs by number, and what it makes.
struct Case {
    graph: Graph,
    inputs: Vec<tch::Tensor>,
    /// Inputs that are no rows of tokens.
    plain: Vec<usize>,
    lengths: Vec<i64>,
    compute: DType,
    weights: Weights,
}

impl Case {
    fn new(lengths: &[i64]) -> Case {
        Case {
            graph: Graph::default(),
            inputs: Vec::new(),
            plain: Vec::new(),
            lengths: lengths.to_vec(),
            compute: DType::F32,
            weights: Weights::default(),
        }
    }

    /// One row per token.
    fn rows(&mut self, x: tch::Tensor) -> Value {
        self.inputs.push(x);
        let name = (self.inputs.len() - 1).to_string();
        self.graph
            .push(Op::Input(GraphInput::Field(name)), vec![], Origin::default())
    }

    /// A tensor of its own, as a weight.
    fn plain(&mut self, x: tch::Tensor) -> Value {
        self.plain.push(self.inputs.len());
        self.rows(x)
    }

    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        let inputs = inputs.iter().map(|v| Some(*v)).collect();
        self.graph.push(op, inputs, Origin::default())
    }

    fn optional(&mut self, op: Op, inputs: Vec<Option<Value>>) -> Value {
        self.graph.push(op, inputs, Origin::default())
    }

    /// The values on a device, and where they are.
    fn run(&self, device: tch::Device, wanted: &[Value]) -> Vec<tch::Tensor> {
        let set = Arc::new(RowSet::beside(&self.lengths, device).unwrap());
        let moved: Vec<Tensor> = self.inputs.iter().map(|x| Tensor::own(x.to_device(device))).collect();
        let inputs = |input: &GraphInput| {
            let GraphInput::Field(name) = input else { return None };
            let at: usize = name.parse().unwrap();
            let tensor = moved[at].clone();
            Some(match self.plain.contains(&at) {
                true => RtValue::plain(tensor),
                false => RtValue::packed(tensor, &set),
            })
        };
        let batch = Batch {
            set: set.clone(),
            inputs: &inputs,
            compute: self.compute,
            known: &crate::exec::Known::new(),
        };
        let weights = moved_weights(&self.weights, device);
        let made = crate::run(&self.graph, &weights, &batch, wanted).unwrap_or_else(|e| panic!("{e}"));
        let raw = |value: &RtValue| value.tensor().expect("a tensor").raw().shallow_clone();
        made.iter().map(raw).collect()
    }

    /// The values are the same on both devices, stay where they were made, and the host waits `waits` times.
    #[track_caller]
    fn check(&self, name: &str, wanted: &[Value], waits: i64) {
        let fake = Fake::open();
        let expected = self.run(tch::Device::Cpu, wanted);
        let before = fake.waits();
        let found = self.run(FAKE, wanted);
        assert_eq!(fake.waits() - before, waits, "{name}: how often the host waits");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.device(), FAKE, "{name}");
            assert_eq!(
                (found.size(), found.kind()),
                (expected.size(), expected.kind()),
                "{name}"
            );
            let tolerance = if self.compute == DType::F32 { 2e-5 } else { 2e-2 };
            crate::testing::close_tensors(&found.to_device(tch::Device::Cpu), expected, tolerance);
        }
    }
}

fn moved_weights(weights: &Weights, device: tch::Device) -> Weights {
    use crate::ParamValue;
    let one = |t: &Tensor| Tensor::own(t.raw().to_device(device));
    let params = weights.params.iter().map(|param| match param {
        ParamValue::Absent => ParamValue::Absent,
        ParamValue::One(tensor) => ParamValue::One(one(tensor)),
        ParamValue::Many(tensors) => ParamValue::Many(tensors.iter().map(one).collect()),
    });
    Weights {
        params: params.collect(),
        experts: weights
            .experts
            .iter()
            .map(|(node, w)| (*node, moved_weights(w, device)))
            .collect(),
    }
}
