//! libtorch: the one that set-up fetches, or the user's own.
//!
//! Only the CPU libraries are linked, so that binaries start on any machine; a CUDA library can be
//! loaded beside them at run time.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    bundle::Bundle,
    failure::Failure,
    say,
    wheel::{CUDA_CUPTI, CUDA_RUNTIME, TORCH},
    workspace::Workspace,
};

/// The fetched libtorch. The layout is that of the wheels, because `libtorch_cpu.so` looks for the
/// CUDA runtime in `../../nvidia/cu13/lib`.
const LIBTORCH: Bundle = Bundle {
    name: "libtorch 2.11.0 (CPU)",
    folder: "libtorch",
    recipe: 1,
    wheels: &[CUDA_RUNTIME, CUDA_CUPTI, TORCH],
    finish,
};

/// The C++ compiler that the `cc` crate, and so torch-sys, takes where `CXX` is not set.
const COMPILER: &str = "c++";

/// Makes sure that libtorch and the tools to build against it are there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), Failure> {
    compiler(workspace)?;
    if let Some(path) = workspace.own_libtorch() {
        check_own(&path)?;
        say::line(format!("Using your own libtorch, from LIBTORCH={}", path.display()));
        return Ok(());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        return Err(Failure::Host {
            os,
            arch,
            version: TORCH.version,
        });
    }
    LIBTORCH.ensure(workspace)
}

/// Adds the link set-up: `-ltorch` finds a linker script that names the CPU library, and no
/// `libtorch_cuda.so` is there that torch-sys would link.
fn finish(folder: &Path) -> Result<(), Failure> {
    let torch = folder.join("torch");
    let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(Failure::io("write", path));
    write(torch.join("lib/libtorch.so"), "INPUT(libtorch_cpu.so)\n")?;
    // torch-sys compares this file with the version it was made for.
    write(torch.join("build-version"), &format!("{}\n", TORCH.version))
}

fn compiler(workspace: &Workspace) -> Result<(), Failure> {
    let program = env::var("CXX").ok().filter(|name| !name.is_empty());
    // `CXX` may hold a launcher and flags: `ccache g++`.
    let mut words = program.as_deref().unwrap_or(COMPILER).split_whitespace();
    let program = words.next().unwrap_or(COMPILER);
    let output = workspace.command(program).args(words).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Failure::ProgramMissing {
            program: program.to_owned(),
            needed_for: "the C++ side of the libtorch bindings is compiled with it",
            remedy: "Install a C++ compiler (Debian and Ubuntu: `apt-get install g++`), or set `CXX` \
                     to one.",
        }),
    }
}

/// Checks that `path` is a libtorch this project can be built against.
fn check_own(path: &Path) -> Result<(), Failure> {
    let refuse = |problem: String| {
        Err(Failure::Libtorch {
            path: path.to_owned(),
            problem,
            version: TORCH.version,
        })
    };
    if path.as_os_str().is_empty() {
        return refuse("an empty value hides the one in `.cargo/config.toml`".into());
    }
    if path.is_relative() {
        return refuse("a relative path means another folder in each crate".into());
    }
    let extension = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    let libraries = [
        format!("lib/libtorch_cpu.{extension}"),
        format!("lib/libc10.{extension}"),
    ];
    let headers = ["include/ATen/ATen.h", "include/torch/csrc/api/include/torch/torch.h"];
    let needed = libraries.iter().map(String::as_str).chain(headers);
    if let Some(missing) = needed.into_iter().find(|file| !path.join(file).exists()) {
        return refuse(format!("there is no `{missing}` in it"));
    }
    match version(path) {
        _ if env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() => Ok(()),
        Some(version) if version != TORCH.version => refuse(format!("it is version {version}")),
        // Old and odd packages do not say; torch-sys lets them pass, too.
        _ => Ok(()),
    }
}

/// The version of the libtorch in `path`, as its headers say.
fn version(path: &Path) -> Option<String> {
    let header = fs::read_to_string(path.join("include/torch/headeronly/version.h")).ok()?;
    let number = |part: &str| {
        let start = format!("#define TORCH_VERSION_{part} ");
        header
            .lines()
            .find_map(|line| Some(line.strip_prefix(&start)?.trim().to_owned()))
    };
    Some([number("MAJOR")?, number("MINOR")?, number("PATCH")?].join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtorch(version: [u32; 3]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let header = format!(
            "#define TORCH_VERSION_MAJOR {}\n#define TORCH_VERSION_MINOR {}\n\
             #define TORCH_VERSION_PATCH {}\n",
            version[0], version[1], version[2]
        );
        for (file, text) in [
            ("lib/libtorch_cpu.so", ""),
            ("lib/libc10.so", ""),
            ("include/ATen/ATen.h", ""),
            ("include/torch/csrc/api/include/torch/torch.h", ""),
            ("include/torch/headeronly/version.h", header.as_str()),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_fitting_libtorch_passes_and_another_version_does_not() {
        check_own(libtorch([2, 11, 0]).path()).unwrap();
        let message = check_own(libtorch([2, 4, 1]).path()).unwrap_err().to_string();
        assert!(message.contains("it is version 2.4.1"), "{message}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_without_libtorch_is_refused_with_the_missing_file() {
        let folder = libtorch([2, 11, 0]);
        fs::remove_file(folder.path().join("lib/libc10.so")).unwrap();
        let message = check_own(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no `lib/libc10.so`"), "{message}");
        let message = check_own(Path::new("")).unwrap_err().to_string();
        assert!(message.contains("unset it"), "{message}");
    }

    #[test]
    fn the_link_set_up_names_the_cpu_library_only() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("torch/lib")).unwrap();
        finish(folder.path()).unwrap();
        let script = fs::read_to_string(folder.path().join("torch/lib/libtorch.so")).unwrap();
        assert_eq!(script, "INPUT(libtorch_cpu.so)\n");
    }
}
