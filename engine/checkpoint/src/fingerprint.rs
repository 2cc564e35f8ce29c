//! One number for a checkpoint, cheap enough to take at every start.

use crate::checkpoint::Checkpoint;
use crate::files::OpenFiles;
use crate::read_error::ReadError;
use sha2::{Digest, Sha256};

/// How many tensors are sampled at most.
const SAMPLES: usize = 512;

/// Bytes of a sample.
const SAMPLE: u64 = 4096;

impl Checkpoint {
    /// SHA-256, as lower-case hex, over the text of `config.json`, the lengths of the files, the table of tensors
    /// (name, dtype, shape, place), and a sample of the weights: 4 KiB from the middle of up to 512 tensors, spread
    /// evenly over the checkpoint.
    ///
    /// Hashing all weights would cost a whole sweep. The table alone would not do either: a fine-tuned model has the
    /// same table as its base. With the sample, two checkpoints differ in their fingerprint if some sampled tensor
    /// differs in its sampled bytes, which every kind of training makes true; an edit of single elements may go
    /// unnoticed. File paths and times do not count, so a moved or copied folder keeps its fingerprint.
    ///
    /// # Errors
    /// As [`OpenFiles::open`], and [`ReadError::Io`].
    pub fn fingerprint(&self) -> Result<String, ReadError> {
        let mut hash = Sha256::new();
        field(&mut hash, self.config_text().as_bytes());
        for file in self.files() {
            hash.update(file.len.to_le_bytes());
        }
        for tensor in self.tensors() {
            let place = [u64::from(tensor.file.0), tensor.offset, tensor.len];
            table_row(&mut hash, &tensor.name, tensor.dtype.name(), &tensor.shape, &place);
        }
        for tensor in self.unsupported() {
            let place = [u64::from(tensor.file.0), tensor.len];
            table_row(&mut hash, &tensor.name, &tensor.dtype, &tensor.shape, &place);
        }
        self.sample(&mut hash)?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn sample(&self, hash: &mut Sha256) -> Result<(), ReadError> {
        let files = OpenFiles::open(self)?;
        let count = self.tensors().len();
        let mut buffer = [0; SAMPLE as usize];
        for i in 0..count.min(SAMPLES) {
            let tensor = &self.tensors()[i * count / count.min(SAMPLES)];
            let len = tensor.len.min(SAMPLE);
            let offset = tensor.offset + (tensor.len - len) / 2;
            let bytes = &mut buffer[..len as usize];
            files.read(tensor.file, offset, bytes)?;
            hash.update(bytes);
        }
        Ok(())
    }
}

/// Length first, so that two fields cannot trade bytes.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn table_row(hash: &mut Sha256, name: &str, dtype: &str, shape: &[u64], place: &[u64]) {
    field(hash, name.as_bytes());
    field(hash, dtype.as_bytes());
    hash.update((shape.len() as u64).to_le_bytes());
    for number in shape.iter().chain(place) {
        hash.update(number.to_le_bytes());
    }
}
