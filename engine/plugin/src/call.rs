//! One call of a plugin: a fresh store and instance with its limits, and what to say when it fails.

use std::sync::Arc;

use sli_config::Diagnostic;
use sli_config::pipeline::ByteSize;
use wasmtime::{Store, Trap, WasmBacktrace};

use crate::api::Guest;
use crate::folder::{Folder, FolderCall};
use crate::limits::{Budget, ERROR_BYTES, STACK_BYTES, bytes};
use crate::plugin::Plugin;
use crate::state::{Log, Memory, OutOfMemory, State};
use crate::ticker::TICKS;

/// A call to be made.
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Plugin,
    /// The function, as messages name it.
    pub(crate) function: &'a str,
    pub(crate) budget: Budget,
    pub(crate) folder: Option<Arc<Folder>>,
}

/// A capability that can be widened, for messages.
struct Raise {
    key: &'static str,
    asked: Option<String>,
    granted: bool,
    example: &'static str,
}

impl Call<'_> {
    /// Makes the call. `input` is the number of bytes that go in, `result` that of what may come out.
    pub(crate) fn run<T>(
        &self,
        input: usize,
        result: usize,
        call: impl FnOnce(&dyn Guest, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, Diagnostic> {
        let code = self.plugin.code()?;
        let host = self.plugin.host();
        let budget = self.granted_budget();
        let grants = self.plugin.grants();
        let log = Log::new(
            self.plugin.manifest().asks.log && grants.log,
            self.plugin.messages.clone(),
        );
        let state = State {
            memory: Memory {
                limit: budget.memory,
                used: 0,
            },
            log,
            folder: FolderCall::new(self.folder.clone(), host.limits.folder_bytes),
            started: false,
        };
        let mut store = Store::new(&host.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(result);
        store.set_epoch_deadline(u64::from(budget.seconds) * TICKS + 1);
        let fuel = budget
            .fuel
            .saturating_add(budget.fuel_per_byte.saturating_mul(input as u64));
        let _clock = host.ticker.enter().map_err(|why| {
            Diagnostic::error(format!("the thread that ends plugins in time cannot be started: {why}"))
        })?;
        let outcome = store.set_fuel(fuel).and_then(|()| call(code, &mut store));
        store.data_mut().log.close();
        outcome.map_err(|why| self.fault(&why, &budget, fuel, result, store.data()))
    }

    /// The budget with what the manifest asks for and the user grants.
    fn granted_budget(&self) -> Budget {
        let (asks, grants) = (&self.plugin.manifest().asks, self.plugin.grants());
        let mut budget = self.budget;
        if let (Some(ByteSize(asked)), Some(granted)) = (asks.memory, grants.memory) {
            budget.memory = budget.memory.max(asked.min(granted));
        }
        if let (Some(asked), Some(granted)) = (asks.seconds, grants.seconds) {
            let seconds = budget.seconds.max(asked.min(granted));
            let factor = u64::from(seconds).div_ceil(u64::from(budget.seconds.max(1)));
            budget.fuel = budget.fuel.saturating_mul(factor);
            budget.fuel_per_byte = budget.fuel_per_byte.saturating_mul(factor);
            budget.seconds = seconds;
        }
        budget
    }

    /// What to say of a call that ended in an error.
    fn fault(&self, why: &wasmtime::Error, budget: &Budget, fuel: u64, result: usize, state: &State) -> Diagnostic {
        let function = self.function;
        let head = format!("the plugin `{}`", self.plugin.id());
        let at = if state.started {
            format!("in `{function}`")
        } else {
            format!("while it was started for `{function}`")
        };
        let error = |message: String| self.placed(Diagnostic::error(message), why);
        if let Some(OutOfMemory { wanted }) = why.downcast_ref::<OutOfMemory>() {
            let (wanted, limit) = (bytes(*wanted), bytes(budget.memory));
            let message = format!("{head} ran out of memory {at}: it wanted {wanted}, the limit is {limit}");
            return error(message).help(self.raise_memory());
        }
        match why.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => error(format!("{head} ran out of instructions {at}: the limit is {fuel}"))
                .help("it may be in an endless loop")
                .help(self.raise_seconds()),
            Some(Trap::Interrupt) => error(format!(
                "{head} did not end in time {at}: the limit is {} seconds",
                budget.seconds
            ))
            .help(self.raise_seconds()),
            Some(Trap::StackOverflow) => {
                let limit = bytes(STACK_BYTES as u64);
                error(format!("{head} ran out of stack {at}: the limit is {limit}"))
                    .help("it calls itself too deeply; the limit cannot be raised")
            }
            Some(Trap::UnreachableCodeReached) => error(format!("{head} crashed {at}: it panicked or aborted"))
                .help("this is an error of the plugin; its authors want to know the input"),
            Some(trap) => error(format!("{head} crashed {at}: {trap}"))
                .help("this is an error of the plugin; its authors want to know the input"),
            None => self.invalid(why, &head, &at, result, state.started),
        }
    }

    /// What the host could not make sense of.
    fn invalid(&self, why: &wasmtime::Error, head: &str, at: &str, result: usize, started: bool) -> Diagnostic {
        let words = sli_pack::clean(&why.root_cause().to_string(), ERROR_BYTES);
        let error = |message: String| self.placed(Diagnostic::error(message), why);
        if words.contains("allocated for hostcalls") {
            let limit = bytes(result as u64);
            return error(format!(
                "{head} gave too large a result {at}: the limit is {limit} for this input"
            ))
            .help("the limit follows from the input and cannot be raised");
        }
        if !started {
            return error(format!("{head} cannot be started for `{}`: {words}", self.function));
        }
        error(format!("{head} gave an invalid result {at}: {words}"))
    }

    /// With the file, and the plugin's own functions that led to the place.
    fn placed(&self, error: Diagnostic, why: &wasmtime::Error) -> Diagnostic {
        let error = error.note(format!("file `{}`", self.plugin.path().display()));
        let frames = why
            .downcast_ref::<WasmBacktrace>()
            .map_or(&[][..], WasmBacktrace::frames);
        let names: Vec<String> = frames.iter().map(frame_name).collect();
        if names.is_empty() {
            return error;
        }
        error.note(format!("it was in `{}`", names.join("`, called by `")))
    }

    fn raise_memory(&self) -> String {
        let manifest = self.plugin.manifest();
        raise(
            self.plugin.id(),
            &Raise {
                key: "memory",
                asked: manifest
                    .asks
                    .memory
                    .map(|ByteSize(n)| format!("\"{}\"", bytes(n).replace(' ', ""))),
                granted: self.plugin.grants().memory.is_some(),
                example: "\"2GiB\"",
            },
        )
    }

    fn raise_seconds(&self) -> String {
        let manifest = self.plugin.manifest();
        raise(
            self.plugin.id(),
            &Raise {
                key: "seconds",
                asked: manifest.asks.seconds.map(|n| n.to_string()),
                granted: self.plugin.grants().seconds.is_some(),
                example: "300",
            },
        )
    }
}

/// How a limit is raised from where it is.
fn raise(id: &str, what: &Raise) -> String {
    let Raise {
        key,
        asked,
        granted,
        example,
    } = what;
    match (asked, granted) {
        (None, _) => format!(
            "if it needs more, its manifest must ask for it (`[asks] {key} = {example}`), and you must grant it (`[plugin.{id}] {key} = {example}`)"
        ),
        (Some(asked), false) => {
            format!("its manifest asks for more: grant it with `[plugin.{id}] {key} = {asked}`")
        }
        (Some(asked), true) => format!(
            "the limit is the smaller one of what the manifest asks for (`{key} = {asked}`) and what `[plugin.{id}]` grants"
        ),
    }
}

fn frame_name(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => sli_pack::clean(&format!("{:#}", rustc_demangle::demangle(name)), 120),
        None => format!("function {}", frame.func_index()),
    }
}

/// The words of a plugin about what it refuses.
pub(crate) fn refusal(plugin: &Plugin, function: &str, why: &str) -> Diagnostic {
    let why = sli_pack::clean(why, ERROR_BYTES);
    Diagnostic::error(format!("the plugin `{}` refuses in `{function}`: {why}", plugin.id()))
        .note(format!("file `{}`", plugin.path().display()))
}

/// A result of a plugin that breaks the contract.
pub(crate) fn invalid(plugin: &Plugin, function: &str, why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error(format!(
        "the plugin `{}` gave an invalid result in `{function}`: {why}",
        plugin.id()
    ))
    .note(format!("file `{}`", plugin.path().display()))
}
