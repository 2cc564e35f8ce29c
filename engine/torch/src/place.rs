//! Numbers made on the host, where an operation needs them.
//!
//! An ordinary copy to a CUDA device waits until everything before it is done. From page-locked memory and
//! without waiting it is one more entry of the device's queue; libtorch's pool of such memory does not hand
//! a piece out again before its copy is done.

use tch::kind::Element;
use tch::{Device, TchError, Tensor};

/// Larger tensors are not worth a second copy on the host: page-locked memory, once taken, stays taken.
const PINNED_LIMIT: usize = 16 << 20;

/// A host tensor on `device`, without waiting for the device unless it is large; itself if `device` is the CPU.
pub(crate) fn put(host: &Tensor, device: Device) -> Result<Tensor, TchError> {
    match device {
        Device::Cpu => Ok(host.shallow_clone()),
        Device::Cuda(_) if host.numel() * host.kind().elt_size_in_bytes() <= PINNED_LIMIT => {
            // not `pin_memory`, which prints a warning for its own argument
            let pinned = host.f_internal_pin_memory(device)?;
            pinned.f_to_device_(device, host.kind(), true, false)
        }
        other => host.f_to_device(other),
    }
}

/// Numbers `[n]` on `device`.
pub(crate) fn numbers<T: Element>(data: &[T], device: Device) -> Result<Tensor, TchError> {
    put(&Tensor::f_from_slice(data)?, device)
}

#[cfg(test)]
mod tests {
    /// The text of the kernels, their tests left out.
    fn kernels() -> Vec<(String, String)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut found) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.contains("test") && !name.contains("fake") && name.ends_with(".rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                    found.push((name, code.to_owned()));
                }
            }
        }
        assert!(found.len() > 40);
        found
    }

    fn offenders(word: &str, allowed: &[&str]) -> Vec<String> {
        let code = |line: &&str| !line.trim_start().starts_with("//") && line.contains(word);
        kernels()
            .into_iter()
            .filter(|(name, _)| !allowed.contains(&name.as_str()))
            .flat_map(|(name, text)| {
                let lines: Vec<String> = text
                    .lines()
                    .filter(code)
                    .map(|l| format!("{name}: {}", l.trim()))
                    .collect();
                lines
            })
            .collect()
    }

    #[test]
    fn host_numbers_reach_a_device_only_through_this_file() {
        let here = ["place.rs", "tensor.rs", "pointwise.rs", "ops/pointwise.rs"];
        // distances are host numbers until their buckets are known, a table of angles serves the CPU alone
        let host = ["attention/distance.rs"];
        assert_eq!(offenders("f_from_slice", &[&here[..], &host[..]].concat()), [""; 0]);
        assert_eq!(offenders("f_to_device", &here), [""; 0]);
    }

    #[test]
    fn no_kernel_makes_its_tensors_on_the_cpu() {
        // `host` has kernels of the processor alone, `Tensor` makes host tensors, `device` translates names, distances and tables see above
        let allowed = [
            "host/memory.rs",
            "tensor.rs",
            "rowset.rs",
            "place.rs",
            "device.rs",
            "attention/distance.rs",
            "ops/rotary.rs",
            "rate.rs",
        ];
        let made: Vec<String> = offenders("Device::Cpu)", &allowed);
        assert_eq!(made, [""; 0]);
    }

    #[test]
    fn a_kernel_that_waits_for_the_device_is_known() {
        // the host needs: the ids that `embedding` checks and the range of a table (both on the CPU alone), the
        // range of host distances, sums that are results
        let allowed = ["ops/matrix.rs", "ops/rotary.rs", "attention/bias.rs", "stats/mod.rs"];
        for word in ["int64_value", "double_value", "f_item", "nonzero", "f_equal"] {
            assert_eq!(offenders(word, &allowed), [""; 0], "{word}");
        }
        // the host groups tokens by expert; it finds rows by token in heads and prefixes
        let listed = [
            "tensor.rs",
            "ops/experts/slots.rs",
            "ops/rows.rs",
            "exec/eval.rs",
            // functions from outside compute on the host
            "exec/foreign.rs",
            "stats/mod.rs",
        ];
        assert_eq!(offenders("to_i64_vec", &listed), [""; 0]);
    }
}
