//! Limits on everything that a plugin can take: time, memory, calls of the host, sizes of what it gives.
//!
//! None of them depends on the plugin's good will: instructions are counted in its code, memory is granted by the
//! host, and what it returns is counted before the host allocates room for it.

use sli_config::plugin::PluginKind;

/// Largest plugin file, in bytes.
pub const FILE_BYTES: u64 = 64 << 20;
/// Largest manifest, in bytes of TOML.
pub const MANIFEST_BYTES: usize = 256 << 10;
/// Largest body of one function of a plugin, in bytes: translating it takes up to 600 times as much memory.
pub const FUNCTION_BYTES: usize = 512 << 10;
/// All functions of a plugin, in bytes: translating them takes about 4 seconds a MiB on one core, and cannot be ended.
pub const CODE_BYTES: usize = 8 << 20;
/// Core instances in a component, memories and tables together with them.
pub const INSTANCES: usize = 64;
/// Stack of WebAssembly code, in bytes.
pub const STACK_BYTES: usize = 1 << 20;
/// Frames of a plugin that a message names.
pub const FRAMES: usize = 8;
/// What one element of a table counts as, in bytes of memory.
pub const TABLE_ELEMENT_BYTES: usize = 16;

/// Messages of one call; the rest is dropped and counted.
pub const LOG_MESSAGES: usize = 100;
/// Bytes of one message; the rest of it is cut.
pub const LOG_MESSAGE_BYTES: usize = 4 << 10;
/// Messages kept until somebody takes them.
pub const LOG_KEPT: usize = 10_000;

/// Names that a folder may show.
pub const FOLDER_NAMES: usize = 10_000;
/// Calls of `folder` in one call of a plugin.
pub const FOLDER_CALLS: usize = 10_000;

/// Largest plan, in bytes of JSON.
pub const PLAN_BYTES: usize = 64 << 20;
/// Most values in a plan's JSON: numbers, texts, members, elements.
pub const PLAN_VALUES: usize = 8_000_000;
/// Most errors of one config.json that are shown.
pub const PLAN_ERRORS: usize = 100;
/// Longest text of an error that a plugin gives, in bytes; the rest is cut.
pub const ERROR_BYTES: usize = 2000;

/// Largest input of one call of an op that is made of several sequences, in bytes; more is cut between sequences.
pub const COMPUTE_BYTES: usize = 64 << 20;
/// Texts of a filter: so many times the bytes that went in ...
pub const TEXT_FACTOR: usize = 16;
/// ... and so many bytes more. Also what any result may have beside its values.
pub const RESULT_SLACK: usize = 1 << 20;
/// Largest state of a reducer, in bytes.
pub const STATE_BYTES: usize = 256 << 20;
/// Rows of a reducer's table.
pub const TABLE_ROWS: usize = 10_000_000;
/// Columns of a reducer's table.
pub const TABLE_COLUMNS: usize = 10_000;
/// Largest table of a reducer, in bytes.
pub const TABLE_BYTES: usize = 512 << 20;
/// Largest output of one call of a formatter: the text factor applies, but this much is always allowed, in bytes.
pub const FORMAT_BYTES: usize = 16 << 20;

/// The limits that a grant may widen, or a test narrow.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `describe`, and all of a family.
    pub light: Budget,
    /// A call of an op or a stage.
    pub heavy: Budget,
    /// Bytes that one call may read from its folder.
    pub folder_bytes: u64,
}

/// What one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Instructions, about; the same input always takes the same number.
    pub fuel: u64,
    /// Further instructions for each byte that goes in.
    pub fuel_per_byte: u64,
    /// Seconds on the clock.
    pub seconds: u32,
    /// Bytes of all memories and tables together.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            light: Budget {
                fuel: 5_000_000_000,
                fuel_per_byte: 10_000,
                seconds: 5,
                memory: 256 << 20,
            },
            heavy: Budget {
                fuel: 10_000_000_000,
                fuel_per_byte: 2_000,
                seconds: 60,
                memory: 1 << 30,
            },
            folder_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// The budget of a call of a plugin's own functions.
    pub fn of(&self, kind: PluginKind) -> Budget {
        match kind {
            PluginKind::Family => self.light,
            PluginKind::Op | PluginKind::Filter | PluginKind::Reducer | PluginKind::Formatter => self.heavy,
        }
    }
}

/// `256 MiB`, `1.5 GiB`, `300 bytes`.
pub(crate) fn bytes(n: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, size)| n >= *size) {
        Some((unit, size)) if n.is_multiple_of(*size) => format!("{} {unit}", n / size),
        Some((unit, size)) => format!("{:.1} {unit}", n as f64 / *size as f64),
        None => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(256 << 20), "256 MiB");
        assert_eq!(bytes((3 << 30) / 2), "1.5 GiB");
        assert_eq!(bytes(300), "300 bytes");
    }
}
