//! The documents of a run, as ids.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::tokenize::Bos;

/// The ids of one field, documents back to back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name: `input_ids`, `decoder_input_ids`.
    pub name: String,
    ids: Vec<u32>,
    offsets: Vec<u64>,
}

impl Field {
    /// An empty field.
    pub fn new(name: impl Into<String>) -> Field {
        Field {
            name: name.into(),
            ids: Vec::new(),
            offsets: vec![0],
        }
    }

    /// Adds a document.
    pub fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.offsets.push(self.ids.len() as u64);
    }

    /// The ids of document `document`.
    pub fn document(&self, document: usize) -> &[u32] {
        &self.ids[self.offsets[document] as usize..self.offsets[document + 1] as usize]
    }

    /// Number of tokens of document `document`.
    pub fn tokens(&self, document: usize) -> u64 {
        self.offsets[document + 1] - self.offsets[document]
    }

    /// Number of tokens of several documents.
    pub fn total(&self, documents: Range<usize>) -> u64 {
        self.offsets[documents.end] - self.offsets[documents.start]
    }

    /// The ids of all documents, back to back.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The ids of several documents, back to back.
    pub fn slice(&self, documents: Range<usize>) -> &[u32] {
        &self.ids[self.offsets[documents.start] as usize..self.offsets[documents.end] as usize]
    }
}

/// The documents of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// Row ids, one a document.
    pub ids: Vec<Box<str>>,
    /// The fields that the model reads.
    pub fields: Vec<Field>,
    /// Token types of the first field, if any is not 0.
    pub token_types: Option<Field>,
    /// What the tokenizer put in front.
    pub bos: Bos,
    /// Rows left out because they were empty.
    pub skipped: u64,
    /// Documents that were cut.
    pub truncated: u64,
    /// Tokens that were cut off.
    pub tokens_cut: u64,
    /// Rows that became several documents.
    pub split: u64,
}

impl Dataset {
    /// Number of documents.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Tokens of all fields of document `document`.
    pub fn tokens(&self, document: usize) -> u64 {
        self.fields.iter().map(|field| field.tokens(document)).sum()
    }

    /// Tokens of all fields of all documents.
    pub fn total_tokens(&self) -> u64 {
        self.fields.iter().map(|field| field.total(0..self.len())).sum()
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> u64 {
        let fields = self.fields.iter().chain(&self.token_types);
        let tokens: usize = fields
            .map(|field| 4 * field.ids.capacity() + 8 * field.offsets.capacity())
            .sum();
        // A boxed string is 16 bytes here and at least 32 at the allocator.
        let ids: usize = self.ids.iter().map(|id| 16 + id.len().max(16) + 16).sum();
        (tokens + ids) as u64
    }

    /// SHA-256 over row ids and token ids: what a run really saw, whatever file it came from.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for document in 0..self.len() {
            hash.update((self.ids[document].len() as u64).to_le_bytes());
            hash.update(self.ids[document].as_bytes());
            for field in self.fields.iter().chain(&self.token_types) {
                let ids = field.document(document);
                hash.update((ids.len() as u64).to_le_bytes());
                let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                hash.update(&bytes);
            }
        }
        crate::write::hex(&hash.finalize())
    }

    pub(super) fn shrink(&mut self) {
        for field in self.fields.iter_mut().chain(&mut self.token_types) {
            field.ids.shrink_to_fit();
            field.offsets.shrink_to_fit();
        }
        self.ids.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_back_to_back() {
        let mut field = Field::new("input_ids");
        for ids in [&[1, 2, 3][..], &[4], &[5, 6]] {
            field.push(ids);
        }
        assert_eq!(
            (field.document(1), field.tokens(2), field.total(1..3)),
            (&[4][..], 2, 3)
        );
        assert_eq!(field.slice(0..2), [1, 2, 3, 4]);
    }

    #[test]
    fn the_fingerprint_knows_where_documents_end() {
        let dataset = |documents: &[&[u32]]| {
            let mut field = Field::new("input_ids");
            documents.iter().for_each(|ids| field.push(ids));
            let ids = documents.iter().map(|_| "a".into()).collect();
            Dataset {
                ids,
                fields: vec![field],
                ..Dataset::default()
            }
            .fingerprint()
        };
        assert_ne!(dataset(&[&[1, 2], &[3]]), dataset(&[&[1], &[2, 3]]));
        assert_eq!(dataset(&[&[1, 2]]), dataset(&[&[1, 2]]));
    }
}
