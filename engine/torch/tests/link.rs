//! The link set-up: this binary starts without any environment variable, and only on CPU libraries.

use std::{env, fs, process::Command};

use tch::{Device, Kind, Tensor};

#[test]
fn libtorch_is_found_and_computes() {
    let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
    let y = x.matmul(&Tensor::eye(2, (Kind::Float, Device::Cpu)));
    assert_eq!(Vec::<f32>::try_from(y.reshape([-1])).unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_copy_elsewhere_starts_without_environment() {
    if env::var_os("SLI_PIPE_LINK_TEST_COPY").is_some() {
        return; // We are the copy that the lines below started: that we got here is the proof.
    }
    let folder = env::temp_dir().join(format!("sli-pipe-link-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("copy");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy)
        .env_clear()
        .env("SLI_PIPE_LINK_TEST_COPY", "1")
        .current_dir(&folder)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(target_os = "linux")]
fn no_cuda_library_is_linked() {
    // A LIBTORCH of the user's own may hold CUDA; the one that set-up fetches must not.
    let own = !env!("LIBTORCH").ends_with(".deps/libtorch/torch");
    // A tensor makes sure that the libraries are needed at all.
    assert_eq!(Tensor::from_slice(&[1f32]).size(), [1]);
    let loaded = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(loaded.contains("libtorch_cpu.so"), "{loaded}");
    assert!(own || !loaded.contains("libtorch_cuda.so"), "{loaded}");
}
