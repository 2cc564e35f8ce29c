//! How the names of a plan meet those of a checkpoint (section 5 of the language).

use super::text::{Text, json};

use super::module::Path;

/// The rules for names. Entries are tried in the order in which they are stated.
#[derive(Default)]
pub struct Names {
    root: Vec<String>,
    tied: Vec<(Text, Text)>,
    ties_apply: bool,
    rename: Vec<(String, Vec<String>)>,
    packed: Vec<Text>,
    joined: Vec<(String, Vec<String>)>,
    ignore: Vec<String>,
}

/// Which rows of a stored tensor a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All.
    All,
    /// The k-th, from 0, of n equal parts.
    Equal(u64, u64),
    /// The k-th, from 0, of parts with so many rows each.
    Rows(u64, Vec<u64>),
}

/// How a wanted tensor is cut out of a stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which rows of what the index `{e}` leaves.
    pub part: Part,
    /// What the index leaves is stored the other way round, `[in, out]`.
    pub transposed: bool,
    /// Rows of the parts alternate.
    pub interleaved: bool,
}

impl From<Part> for Piece {
    fn from(part: Part) -> Piece {
        Piece {
            part,
            transposed: false,
            interleaved: false,
        }
    }
}

fn texts<T: Into<String>>(list: impl IntoIterator<Item = T>) -> impl Iterator<Item = String> {
    list.into_iter().map(Into::into)
}

impl Names {
    /// Prefixes; the first that begins some tensor's name is the root.
    pub fn root<T: Into<String>>(&mut self, prefixes: impl IntoIterator<Item = T>) -> &mut Names {
        self.root = texts(prefixes).collect();
        self
    }

    /// A tensor `<left>.s` that is missing is read from `<right>.s`.
    pub fn tie(&mut self, left: &str, right: &str) -> &mut Names {
        self.tied
            .push((Path::root().join(left).json(), Path::root().join(right).json()));
        self
    }

    /// Whether ties hold for this model; not if this is never called.
    pub fn ties_apply(&mut self, apply: bool) -> &mut Names {
        self.ties_apply = apply;
        self
    }

    /// Where the plan says `written`, files may say one of these: runs of whole segments, `*` for one.
    pub fn rename<T: Into<String>>(&mut self, written: &str, in_files: impl IntoIterator<Item = T>) -> &mut Names {
        self.rename.push((written.to_owned(), texts(in_files).collect()));
        self
    }

    /// A wanted tensor that no file has may be a piece of a stored one; `{e}` is the index of its dim 0.
    pub fn packed(&mut self, written: &str, from: &str, piece: impl Into<Piece>) -> &mut Names {
        let piece = piece.into();
        let part = match piece.part {
            Part::All => None,
            Part::Equal(index, of) => Some(json!({"index": index, "of": {"equal": of}})),
            Part::Rows(index, rows) => Some(json!({"index": index, "of": {"rows": rows}})),
        };
        self.packed.push(json!({
            "written": written,
            "from": from,
            "part": part,
            "transposed": piece.transposed,
            "interleaved": piece.interleaved,
        }));
        self
    }

    /// A wanted tensor that no file has may be these, joined along dim 0.
    pub fn joined<T: Into<String>>(&mut self, written: &str, of: impl IntoIterator<Item = T>) -> &mut Names {
        self.joined.push((written.to_owned(), texts(of).collect()));
        self
    }

    /// Tensors that may stay unused; `*` crosses dots.
    pub fn ignore<T: Into<String>>(&mut self, globs: impl IntoIterator<Item = T>) -> &mut Names {
        self.ignore.extend(texts(globs));
        self
    }

    pub(crate) fn json(&self) -> Text {
        json!({
            "root": self.root,
            "tied": self.tied,
            "ties_apply": self.ties_apply,
            "rename": self.rename,
            "packed": self.packed,
            "joined": self.joined,
            "ignore": self.ignore,
        })
    }
}
