//! Lets the binaries of a crate find libtorch when they start.
//!
//! A crate that makes a binary or a test which links `sli-torch` names this file as its build
//! script (`build = "../torch/build.rs"`): cargo passes linker arguments to the package's own
//! targets only, never on to those that depend on it. The path is absolute, so a binary that is
//! copied elsewhere on the machine still starts, without `LD_LIBRARY_PATH`.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        println!(
            "cargo::error=`LIBTORCH_USE_PYTORCH` is set, which sli-pipe does not support; unset it and \
             set `LIBTORCH` to the `torch` folder of that Python installation"
        );
        return ExitCode::FAILURE;
    }
    // `.cargo/config.toml` sets it where the user does not.
    let libtorch = env::var("LIBTORCH").unwrap_or_default();
    let lib = Path::new(&libtorch).join("lib");
    println!("cargo::rerun-if-changed={}", lib.display());
    let library = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "libtorch_cpu.dylib",
        _ => "libtorch_cpu.so",
    };
    if libtorch.is_empty() || !lib.join(library).exists() {
        // torch-sys would fail as well, but only after a while and with a wall of C++ errors.
        println!(
            "cargo::error=there is no libtorch in `{libtorch}`; run `cargo xtask setup`, or set \
             `LIBTORCH` to the folder of your own libtorch 2.11.0"
        );
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    ExitCode::SUCCESS
}
