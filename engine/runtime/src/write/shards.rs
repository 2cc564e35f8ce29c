//! Safetensors shards that are filled while tensors arrive layer by layer.
//!
//! All names and shapes are known before the first tensor arrives, so a shard's header is written first and
//! every tensor goes straight to its place: each byte is written once, and nothing is held back. A document's
//! tensors are all in one shard; a shard holds consecutive documents. Inside a shard the order is by series,
//! then by document: that is the order in which tensors arrive, so that the hash can usually be made on the way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use sli_model::DType;

use super::file::OutFile;
use crate::error::Result;

/// The largest header that the safetensors library accepts is 100 MB; ours stay far below.
const HEADER_LIMIT: u64 = 32 << 20;

/// The tensors of one name, one a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What follows `<row id>/` in the key.
    pub(crate) name: String,
    /// Element type in the file.
    pub(crate) dtype: DType,
    /// Elements of a row.
    pub(crate) width: u64,
    /// Rows before each document, and of all: S + 1 numbers.
    pub(crate) rows: std::sync::Arc<[u64]>,
}

impl Series {
    fn row_bytes(&self) -> u64 {
        self.width * self.dtype.size() as u64
    }

    fn bytes(&self, documents: Range<usize>) -> u64 {
        (self.rows[documents.end] - self.rows[documents.start]) * self.row_bytes()
    }
}

/// One shard being filled.
struct Open {
    file: OutFile,
    /// Where the data of each series begins, by place in `order`.
    bases: Vec<u64>,
    /// Bytes still to come.
    missing: u64,
}

/// Part of a document's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardTensor {
    /// Which series.
    pub(crate) series: usize,
    /// Which document.
    pub(crate) document: usize,
    /// The first row that is written.
    pub(crate) row: u64,
}

/// The shards of a stage.
pub(crate) struct Shards {
    series: Vec<Series>,
    /// Documents of each shard.
    ranges: Vec<Range<usize>>,
    open: BTreeMap<usize, Open>,
}

impl Shards {
    /// Plans shards of at most `limit` bytes of data, unless one document alone is larger. `ids` are the row ids.
    pub(crate) fn plan(series: Vec<Series>, ids: &[Box<str>], limit: u64) -> Shards {
        let names: u64 = series.iter().map(|series| series.name.len() as u64 + 120).sum();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let (mut data, mut header) = (0, 0);
        for (document, id) in ids.iter().enumerate() {
            let bytes: u64 = series.iter().map(|series| series.bytes(document..document + 1)).sum();
            let keys = names + (series.len() * id.len()) as u64;
            match ranges.last_mut() {
                Some(range) if data + bytes <= limit && header + keys <= HEADER_LIMIT => range.end += 1,
                _ => {
                    ranges.push(document..document + 1);
                    (data, header) = (0, 0);
                }
            }
            data += bytes;
            header += keys;
        }
        Shards {
            series,
            ranges,
            open: BTreeMap::new(),
        }
    }

    /// Number of shards.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Bytes of data in all shards, headers not counted.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges
            .iter()
            .flat_map(|range| self.series.iter().map(|series| series.bytes(range.clone())))
            .sum()
    }

    /// Writes rows of one tensor. `create` makes the file of a shard, `done` takes a complete one.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// If rows are written that the plan does not have.
    pub(crate) fn write(
        &mut self,
        to: ShardTensor,
        bytes: &[u8],
        ids: &[Box<str>],
        create: &mut dyn FnMut(usize) -> Result<OutFile>,
        done: &mut dyn FnMut(usize, OutFile) -> Result<()>,
    ) -> Result<()> {
        let shard = self.ranges.partition_point(|range| range.end <= to.document);
        let documents = self.ranges[shard].clone();
        if !self.open.contains_key(&shard) {
            let open = self.start(&documents, ids, create(shard)?)?;
            self.open.insert(shard, open);
        }
        let open = self.open.get_mut(&shard).expect("it was just opened");
        let series = &self.series[to.series];
        let row = series.rows[to.document] - series.rows[documents.start] + to.row;
        open.file
            .write_at(open.bases[to.series] + row * series.row_bytes(), bytes)?;
        assert!(
            open.missing >= bytes.len() as u64,
            "more rows were written than planned"
        );
        open.missing -= bytes.len() as u64;
        if open.missing == 0 {
            let open = self.open.remove(&shard).expect("it is open");
            done(shard, open.file)?;
        }
        Ok(())
    }

    /// Whether every shard that was begun is complete.
    pub(crate) fn all_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// Writes the header of a shard.
    fn start(&self, documents: &Range<usize>, ids: &[Box<str>], mut file: OutFile) -> Result<Open> {
        // Wide elements first keeps every tensor aligned for its type; a stable sort keeps the order otherwise.
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.series[*index].dtype.size()));
        let (mut bases, mut at) = (vec![0; self.series.len()], 0);
        let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
        for index in order {
            let series = &self.series[index];
            bases[index] = at;
            for document in documents.clone() {
                let rows = series.rows[document + 1] - series.rows[document];
                let end = at + rows * series.row_bytes();
                let key = serde_json::Value::from(format!("{}/{}", ids[document], series.name));
                let (dtype, width) = (series.dtype, series.width);
                // Writing to a string cannot fail.
                let _ = write!(
                    header,
                    ",{key}:{{\"dtype\":\"{dtype}\",\"shape\":[{rows},{width}],\"data_offsets\":[{at},{end}]}}"
                );
                at = end;
            }
        }
        header.push('}');
        while header.len() % 8 != 0 {
            header.push(' ');
        }
        file.write_at(0, &[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat())?;
        let start = 8 + header.len() as u64;
        Ok(Open {
            file,
            bases: bases.iter().map(|base| base + start).collect(),
            missing: at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::Finished;
    use safetensors::SafeTensors;
    use std::sync::Arc;

    fn series(name: &str, dtype: DType, width: u64) -> Series {
        Series {
            name: name.into(),
            dtype,
            width,
            rows: Arc::from([0, 2, 3, 6]),
        }
    }

    fn ids() -> Vec<Box<str>> {
        ["0", "a \"b\"", "2"].map(Into::into).to_vec()
    }

    /// Writes all tensors with byte `10 * series + document`, series by series, and reads the shards back.
    fn fill(limit: u64) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let all = vec![
            series("decoder.0", DType::BF16, 3),
            series("decoder.1", DType::BF16, 3),
            series("index", DType::I64, 1),
        ];
        let mut shards = Shards::plan(all, &ids(), limit);
        let mut finished: Vec<Option<Finished>> = vec![None; shards.len()];
        for (series, row_bytes) in [6, 6, 8].into_iter().enumerate() {
            for (document, rows) in [2, 1, 3].into_iter().enumerate() {
                for row in 0..rows {
                    let bytes = vec![(10 * series + document) as u8; row_bytes];
                    let to = ShardTensor { series, document, row };
                    let path = |shard: usize| folder.path().join(shard.to_string());
                    let mut create = |shard| OutFile::create(&path(shard));
                    let mut done = |shard: usize, file: OutFile| {
                        finished[shard] = Some(file.finish()?);
                        Ok(())
                    };
                    shards.write(to, &bytes, &ids(), &mut create, &mut done).unwrap();
                }
            }
        }
        assert!(shards.all_complete());
        let read = |shard: usize| std::fs::read(folder.path().join(shard.to_string())).unwrap();
        let files: Vec<Vec<u8>> = (0..shards.len()).map(read).collect();
        for (file, finished) in files.iter().zip(&finished) {
            assert_eq!(finished.as_ref().unwrap().bytes, file.len() as u64);
        }
        files
    }

    #[test]
    fn the_safetensors_library_reads_what_was_written() {
        let files = fill(u64::MAX);
        assert_eq!(files.len(), 1);
        let read = SafeTensors::deserialize(&files[0]).unwrap();
        assert_eq!(read.len(), 9);
        let tensor = read.tensor("a \"b\"/decoder.1").unwrap();
        assert_eq!((tensor.shape(), tensor.data()), (&[1, 3][..], &[11; 6][..]));
        let tensor = read.tensor("2/index").unwrap();
        assert_eq!((tensor.shape(), tensor.data()), (&[3, 1][..], &[22; 24][..]));
    }

    #[test]
    fn shards_keep_documents_whole() {
        // Documents have 40, 20 and 60 bytes.
        assert_eq!(fill(60).len(), 2);
        let files = fill(1);
        assert_eq!(files.len(), 3);
        assert_eq!(
            SafeTensors::deserialize(&files[2])
                .unwrap()
                .tensor("2/decoder.0")
                .unwrap()
                .data(),
            [2; 18]
        );
    }
}
