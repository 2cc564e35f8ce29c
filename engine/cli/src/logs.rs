//! Logs on standard error, through `tracing`.

use std::io;

use tracing_subscriber::EnvFilter;

/// The variable that holds a filter of one's own.
const VARIABLE: &str = "SLI_PIPE_LOG";

/// Crates of this project, to be given a level without waking every library.
const CRATES: [&str; 9] = [
    "sli_pipe",
    "sli_config",
    "sli_model",
    "sli_family",
    "sli_checkpoint",
    "sli_torch",
    "sli_plugin",
    "sli_runtime",
    "sli_watch",
];

/// Starts logging: `SLI_PIPE_LOG` if it is set, else by the number of `-v`.
pub(crate) fn start(verbose: u8) {
    let own = std::env::var(VARIABLE).ok().filter(|filter| !filter.trim().is_empty());
    let filter = match &own {
        Some(text) => EnvFilter::builder().parse(text),
        None => EnvFilter::builder().parse(default_filter(verbose)),
    };
    let filter = filter.unwrap_or_else(|error| {
        crate::output::say(&format!(
            "warning: `{VARIABLE}` is no filter, so it is not used: {error}\n"
        ));
        EnvFilter::new(default_filter(verbose))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(crate::output::colour())
        .init();
}

fn default_filter(verbose: u8) -> String {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    CRATES.map(|name| format!("{name}={level}")).join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_filter() {
        for verbose in 0..5 {
            let text = default_filter(verbose);
            assert!(EnvFilter::builder().parse(&text).is_ok(), "{text}");
        }
        assert!(default_filter(2).contains("sli_runtime=debug"));
    }
}
