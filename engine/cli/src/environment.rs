//! The two ends of the process: starting anew with the environment that libtorch wants, and leaving.
//!
//! libtorch and its thread pool read some variables while they are loaded: how long idle threads spin, and the size
//! of memory pages. With the defaults a run on a busy machine was 20 times slower. So a program that computes
//! replaces itself once by itself with these variables set; what the user has set is left alone.
//!
//! On Linux this happens before the constructors of shared libraries run: those of libtorch take a fifth of a second,
//! which would otherwise be spent twice.

// The first steps of a process, before the C library is ready, know raw pointers only.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use sli_runtime::TUNED;

/// Commands that compute.
const COMMANDS: [&[u8]; 3] = [b"run", b"dev", b"verify"];

/// More variables than this and the program runs with the environment as it is, only slower.
const MOST: usize = 4096;

type Strings = *const *const c_char;

/// Run by the loader before any constructor.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".preinit_array")]
static EARLY: extern "C" fn(c_int, Strings, Strings) = start_anew;

/// Replaces the process by itself if it will compute and a variable is missing. Nothing here may allocate, or ask
/// the C library for its environment: neither is ready. Where it does not work the program goes on as it is.
extern "C" fn start_anew(_count: c_int, arguments: Strings, environment: Strings) {
    // SAFETY: the system hands over two lists of C strings that end with a null pointer and live as long as the
    // process; `strings` reads up to there.
    let (arguments_given, environment_given) = unsafe { (strings(arguments), strings(environment)) };
    let computes = (arguments_given.skip(1).map(CStr::to_bytes))
        .find(|argument| !argument.starts_with(b"-"))
        .is_some_and(|command| COMMANDS.contains(&command));
    let mut all = [std::ptr::null(); MOST];
    let mut count = 0;
    for variable in environment_given.clone().take(MOST) {
        all[count] = variable.as_ptr();
        count += 1;
    }
    let before = count;
    for tuned in TUNED {
        let is_set = |name: &str| environment_given.clone().any(|variable| names(variable, name));
        if count + 1 < MOST && !tuned.unless.iter().any(|name| is_set(name)) {
            all[count] = tuned.setting.as_ptr();
            count += 1;
        }
    }
    if !computes || count == before || count + 1 >= MOST {
        return;
    }
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is one byte longer than what may be written, so it ends with a zero; `all` ends with a null
    // pointer, since fewer than `MOST` places are in use.
    unsafe {
        let own = c"/proc/self/exe";
        if libc::readlink(own.as_ptr(), path.as_mut_ptr().cast(), path.len() - 1) > 0 {
            libc::execve(path.as_ptr().cast(), arguments, all.as_ptr());
        }
    }
}

/// Ends the process with this code, without the destructors of shared libraries: those of libtorch take a tenth of a
/// second and put in order what the system throws away anyway. Files are written and closed before.
pub(crate) fn leave(code: u8) -> ! {
    use std::io::Write;
    // Nobody is left to be told that nobody reads.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: ends the process at once; nothing of it is used afterwards.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// The strings of a list.
///
/// # Safety
/// The list ends with a null pointer, and its strings with a zero; all live as long as the process.
unsafe fn strings(list: Strings) -> impl Iterator<Item = &'static CStr> + Clone {
    (0..).map_while(move |index| {
        // SAFETY: as promised; nothing beyond the null pointer is read, since the first one ends the iteration.
        unsafe {
            let string = *list.add(index);
            (!string.is_null()).then(|| CStr::from_ptr(string))
        }
    })
}

/// Whether a variable `NAME=value` has that name.
fn names(variable: &CStr, name: &str) -> bool {
    let rest = variable.to_bytes().strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.starts_with(b"="))
}
