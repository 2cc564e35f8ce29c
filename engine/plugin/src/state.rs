//! What the host keeps of one call: the memory it has handed out, messages, the folder.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::ResourceLimiter;

use crate::data::{Level, Message};
use crate::folder::FolderCall;
use crate::limits::{INSTANCES, LOG_KEPT, LOG_MESSAGE_BYTES, LOG_MESSAGES, TABLE_ELEMENT_BYTES};

/// Data of a store.
pub(crate) struct State {
    pub(crate) memory: Memory,
    pub(crate) log: Log,
    pub(crate) folder: FolderCall,
    /// The instance is there: what fails now fails in the function that was called.
    pub(crate) started: bool,
}

/// The sum of all memories and tables of a store, held below a limit.
pub(crate) struct Memory {
    pub(crate) limit: u64,
    pub(crate) used: u64,
}

/// Memory was asked for beyond the limit. It ends the call: a plugin that is told no usually crashes with a message
/// that says less.
#[derive(Debug)]
pub(crate) struct OutOfMemory {
    pub(crate) wanted: u64,
}

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of memory are more than the limit", self.wanted)
    }
}

impl std::error::Error for OutOfMemory {}

impl Memory {
    fn grow(&mut self, by: u64) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            return Err(OutOfMemory { wanted }.into());
        }
        self.used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory.grow(desired.saturating_sub(current) as u64)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let elements = desired.saturating_sub(current);
        self.memory.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES) as u64)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}

/// Messages of a plugin that nobody has taken yet; shared by its calls.
#[derive(Clone, Default)]
pub(crate) struct Messages(Arc<Mutex<Vec<Message>>>);

impl Messages {
    /// Takes all messages.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, message: Message) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < LOG_KEPT {
            kept.push(message);
        }
    }
}

/// The messages of one call.
pub(crate) struct Log {
    granted: bool,
    written: usize,
    dropped: u64,
    messages: Messages,
}

impl Log {
    pub(crate) fn new(granted: bool, messages: Messages) -> Log {
        Log {
            granted,
            written: 0,
            dropped: 0,
            messages,
        }
    }

    /// Keeps a message, or counts it where there is no grant or were too many.
    pub(crate) fn write(&mut self, level: Level, text: &str) {
        if !self.granted || self.written == LOG_MESSAGES {
            self.dropped += 1;
            return;
        }
        self.written += 1;
        let text = sli_pack::clean(text, LOG_MESSAGE_BYTES);
        self.messages.push(Message { level, text });
    }

    /// Says at the end of a call how many messages were dropped.
    pub(crate) fn close(&mut self) {
        if self.granted && self.dropped > 0 {
            let text = format!(
                "{} more messages of this call were dropped: it may write {LOG_MESSAGES}",
                self.dropped
            );
            self.messages.push(Message {
                level: Level::Warning,
                text,
            });
        }
    }
}
