//! Finds `libtorch_cuda.so` and loads it beside the CPU library that the program is linked to.
//!
//! Loading runs the library's static initialisers, which enter its kernels into the dispatcher of
//! `libtorch_cpu.so` and its "hooks" into a registry there. libtorch looks into that registry once: whoever
//! asks whether there is CUDA before the library is loaded has settled the answer, hence the order here.

use super::DeviceError;
use super::driver;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The version of libtorch that tch's bindings were made for.
const VERSION: &str = "2.11.0";
const LIBRARY: &str = "libtorch_cuda.so";

/// Makes CUDA device `index` usable; the library is loaded at the first call.
pub(super) fn cuda(index: usize) -> Result<(), DeviceError> {
    // the driver first: it answers at once, the library takes seconds to load
    let count = driver::count()?;
    if count == 0 {
        return Err(DeviceError::NoDevice);
    }
    if index >= count {
        return Err(DeviceError::Index { index, count });
    }
    static LOADED: OnceLock<Result<(), DeviceError>> = OnceLock::new();
    LOADED.get_or_init(load_and_register).clone()?;
    let usable = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    if index >= usable {
        return Err(DeviceError::OldDriver {
            count,
            usable,
            driver: driver::version(),
            runtime: readable(tch::utils::version_cudart()),
        });
    }
    // cuDNN would round the f32 convolutions of a few models to 10 bits (TF32); libtorch's own do not
    tch::Cuda::set_user_enabled_cudnn(false);
    Ok(())
}

fn load_and_register() -> Result<(), DeviceError> {
    load(&candidates(
        loaded_folder().as_deref(),
        std::env::var_os("LIBTORCH").map(PathBuf::from).as_deref(),
    ))?;
    if tch::utils::has_cudart() {
        Ok(())
    } else {
        Err(DeviceError::TooLate)
    }
}

/// 13000 -> `13.0`.
pub(super) fn readable(version: i64) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// The folder of the CPU library that runs now, by the process's own map of its memory.
fn loaded_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let path = Path::new(line.get(line.find('/')?..)?);
        (path.file_name()? == "libtorch_cpu.so").then_some(path)
    })?;
    path.parent().map(Path::to_path_buf)
}

/// Where to look, in order. The plain name goes through `LD_LIBRARY_PATH` and the system's folders.
fn candidates(loaded: Option<&Path>, libtorch: Option<&Path>) -> Vec<PathBuf> {
    let folders = loaded.map(Path::to_path_buf).into_iter();
    let mut found: Vec<PathBuf> = folders
        .chain(libtorch.map(|l| l.join("lib")))
        .map(|f| f.join(LIBRARY))
        .collect();
    found.push(PathBuf::from(LIBRARY));
    found.dedup();
    found
}

/// Loads the first candidate that is there. Those that are not are passed over, one that is wrong is an error.
fn load(candidates: &[PathBuf]) -> Result<(), DeviceError> {
    for path in candidates {
        let plain = path.components().count() == 1;
        if !plain && !path.exists() {
            continue;
        }
        check_version(path)?;
        match open(path) {
            Ok(()) => return Ok(()),
            Err(why) if plain && why.contains(&format!("{LIBRARY}: cannot open shared object")) => {}
            Err(why) => {
                return Err(DeviceError::Load {
                    path: path.clone(),
                    why,
                    expected: VERSION,
                });
            }
        }
    }
    Err(DeviceError::NotFound {
        looked: candidates.to_vec(),
        expected: VERSION,
    })
}

/// The version beside a library, where an installation states it: `torch/build-version` of a libtorch,
/// `torch/version.py` of a Python package. Without either the loader finds out by missing symbols.
fn check_version(path: &Path) -> Result<(), DeviceError> {
    let Some(root) = path.parent().and_then(Path::parent) else {
        return Ok(());
    };
    let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let stated = read("build-version").or_else(|| {
        let text = read("version.py")?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        Some(line.split(['\'', '"']).nth(1)?.to_owned())
    });
    // `2.11.0+cu130` is 2.11.0 built with CUDA 13.0
    match stated.map(|text| text.trim().to_owned()) {
        Some(found) if found.split('+').next() != Some(VERSION) => Err(DeviceError::Version {
            path: path.to_path_buf(),
            found,
            expected: VERSION,
        }),
        _ => Ok(()),
    }
}

/// Loads a library for good, its symbols open to those that come after.
fn open(path: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the initialisers of libtorch's CUDA library register kernels and hooks, for which the CPU library
    // of the same version, loaded since the start, is ready.
    #[allow(unsafe_code)]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    // what it registered stays in use: it is never unloaded
    std::mem::forget(library.map_err(|error| {
        // the loader's own words are the error's source
        let words = std::error::Error::source(&error).map(ToString::to_string);
        words.unwrap_or_else(|| error.to_string())
    })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("sli-torch-load-{}-{name}", std::process::id()));
        std::fs::create_dir_all(root.join("lib")).unwrap();
        root
    }

    #[test]
    fn the_library_is_looked_for_beside_the_one_that_runs() {
        // a tensor, so that the library is needed at all
        assert_eq!(tch::Tensor::from_slice(&[1f32]).size(), [1]);
        let folder = loaded_folder().expect("libtorch_cpu.so is mapped");
        assert!(folder.join("libtorch_cpu.so").exists());
        let found = candidates(Some(&folder), Some(Path::new("/opt/torch")));
        assert_eq!(found[0], folder.join(LIBRARY));
        assert_eq!(
            found[1..],
            [PathBuf::from("/opt/torch/lib").join(LIBRARY), LIBRARY.into()]
        );
    }

    #[test]
    fn a_missing_library_lists_the_places() {
        let error = load(&["/nowhere/lib/libtorch_cuda.so".into()]).unwrap_err().to_string();
        assert!(error.contains("`/nowhere/lib/libtorch_cuda.so`"), "{error}");
        assert!(error.contains("LIBTORCH") && error.contains(VERSION), "{error}");
    }

    #[test]
    fn another_version_is_told_before_it_is_loaded() {
        let root = folder("version");
        let path = root.join("lib").join(LIBRARY);
        std::fs::write(&path, "not a library").unwrap();
        std::fs::write(root.join("version.py"), "debug = False\n__version__ = '2.9.1+cu128'\n").unwrap();
        let error = load(std::slice::from_ref(&path)).unwrap_err();
        assert!(
            matches!(&error, DeviceError::Version { found, .. } if found == "2.9.1+cu128"),
            "{error}"
        );
        // the right version: the loader sees that it is none
        std::fs::write(root.join("build-version"), "2.11.0+cu130\n").unwrap();
        let error = load(&[path]).unwrap_err();
        assert!(matches!(&error, DeviceError::Load { .. }), "{error}");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn versions_of_cuda_are_readable() {
        assert_eq!(readable(13000), "13.0");
        assert_eq!(readable(12080), "12.8");
    }
}
