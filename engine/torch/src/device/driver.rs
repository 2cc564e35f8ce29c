//! The CUDA driver, through cudarc, which loads it at its first use.

use super::{DeviceError, DeviceMemory};
use cudarc::driver::{result, sys};

/// How many devices the driver shows.
pub(super) fn count() -> Result<usize, DeviceError> {
    // SAFETY: looks whether the driver's library can be loaded; its initialisers have no conditions.
    #[allow(unsafe_code)]
    let present = unsafe { sys::is_culib_present() };
    if !present {
        return Err(DeviceError::NoDriver);
    }
    match result::init().and_then(|()| result::device::get_count()) {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        Err(result::DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(0),
        Err(error) => Err(failed("starting the driver", 0, error)),
    }
}

/// The newest CUDA version that the driver knows, as `13.0`.
pub(super) fn version() -> String {
    let mut version = 0;
    // SAFETY: writes one number to where it is told.
    #[allow(unsafe_code)]
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    match status.result() {
        Ok(()) => super::load::readable(i64::from(version)),
        Err(_) => "unknown".to_owned(),
    }
}

/// A failed call in words.
pub(crate) fn failed(what: &str, index: usize, error: result::DriverError) -> DeviceError {
    let text = |found: Result<&std::ffi::CStr, _>| found.map(|t| t.to_string_lossy().into_owned()).ok();
    let name = text(error.error_name()).unwrap_or_else(|| format!("{:?}", error.0));
    let why = match text(error.error_string()) {
        Some(words) => format!("{name}, {words}"),
        None => name,
    };
    DeviceError::Driver {
        what: what.to_owned(),
        index,
        why,
    }
}

/// The primary context of a device, which is the one libtorch computes in. It is never released: libtorch
/// may make it its own at any later time, and an end of the process ends it.
#[derive(Debug)]
pub(crate) struct Context {
    index: usize,
    raw: sys::CUcontext,
}

// SAFETY: a context may be used from any thread; `enter` makes it a thread's own for its calls.
#[allow(unsafe_code)]
unsafe impl Send for Context {}
// SAFETY: as above; the fields never change.
#[allow(unsafe_code)]
unsafe impl Sync for Context {}

impl Context {
    /// Retains the context of device `index`.
    pub(crate) fn new(index: usize) -> Result<Context, DeviceError> {
        count()?;
        let failed = |error| failed("opening the device", index, error);
        let ordinal = i32::try_from(index).unwrap_or(i32::MAX);
        let device = result::device::get(ordinal).map_err(failed)?;
        // SAFETY: the device comes from the driver.
        #[allow(unsafe_code)]
        let raw = unsafe { result::primary_ctx::retain(device) }.map_err(failed)?;
        Ok(Context { index, raw })
    }

    /// The device's index.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Makes the context current on this thread: the driver's calls that follow concern this device.
    pub(crate) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context was retained and is never released.
        #[allow(unsafe_code)]
        let entered = unsafe { result::ctx::set_current(self.raw) };
        entered.map_err(|error| failed("entering the device", self.index, error))
    }

    /// Bytes free and in all.
    pub(super) fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.enter()?;
        let (free, total) = result::mem_get_info().map_err(|error| failed("asking for memory", self.index, error))?;
        Ok(DeviceMemory { free, total })
    }
}
