//! Alternative spellings of names: `rename` entries, prepared once (section 5 of the language).

/// Most spellings of one name. Entries combine, so their number could explode.
const MAX_CANDIDATES: usize = 512;

/// Longest spelling, in bytes. Entries that repeat a segment would double it each time.
const MAX_LENGTH: usize = 4096;

/// The `rename` entries of a family, cut into segments.
pub(super) struct Renames {
    entries: Vec<Entry>,
}

struct Entry {
    written: Vec<String>,
    in_files: Vec<Vec<String>>,
}

impl Renames {
    pub(super) fn new(rename: &[(String, Vec<String>)]) -> Renames {
        let entry = |(written, in_files): &(String, Vec<String>)| Entry {
            written: segments(written),
            in_files: in_files.iter().map(|name| segments(name)).collect(),
        };
        Renames {
            entries: rename.iter().map(entry).collect(),
        }
    }

    /// Every spelling of a full name, the one as written first. Each entry adds the rewritten form of
    /// every candidate so far.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        let mut found = vec![name.to_string()];
        for entry in &self.entries {
            for at in 0..found.len() {
                for right in &entry.in_files {
                    let rewritten = rewrite(&found[at], &entry.written, right);
                    if let Some(new) = rewritten
                        .map(|new| new.name)
                        .filter(|new| new.len() <= MAX_LENGTH)
                        .filter(|new| !found.contains(new) && found.len() < MAX_CANDIDATES)
                    {
                        found.push(new);
                    }
                }
            }
        }
        found
    }

    /// True if an entry spells out a segment that one with a placeholder could become: `h.{n}` and an
    /// entry with `0`. Then spellings depend on the number and cannot be made once for all.
    pub(super) fn depend_on_number(&self, template: &str, placeholder: &str) -> bool {
        template
            .split('.')
            .filter_map(|segment| segment.split_once(placeholder))
            .any(|(before, after)| {
                let becomes = |literal: &String| {
                    let middle = literal.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    middle.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
                };
                self.entries.iter().any(|entry| entry.written.iter().any(becomes))
            })
    }
}

pub(super) fn segments(name: &str) -> Vec<String> {
    name.split('.').map(str::to_string).collect()
}

/// A name in which a run of segments was replaced.
pub(super) struct Rewritten {
    /// The new name.
    pub(super) name: String,
    /// The segment that `{e}` stood for.
    pub(super) index: Option<String>,
}

/// The name with every run of segments that matches `written` replaced; `None` if there is none.
pub(super) fn rewrite(name: &str, written: &[String], right: &[String]) -> Option<Rewritten> {
    let segments: Vec<&str> = name.split('.').collect();
    let mut out: Vec<&str> = Vec::with_capacity(segments.len());
    let mut at = 0;
    let mut changed = false;
    let mut index = None;
    while at < segments.len() {
        let run = segments.get(at..at + written.len());
        if let Some(run) = run.filter(|run| matches(written, run)) {
            let standing = |wild: &'static str| {
                let pairs = written.iter().zip(run).filter(move |(w, _)| *w == wild);
                pairs.map(|(_, segment)| *segment)
            };
            let mut stars = standing("*");
            index = standing("{e}").next().map(str::to_string).or(index);
            out.extend(right.iter().map(|r| {
                if r == "*" {
                    stars.next().unwrap_or("*")
                } else {
                    r.as_str()
                }
            }));
            at += written.len();
            changed = true;
        } else {
            out.push(segments[at]);
            at += 1;
        }
    }
    changed.then(|| Rewritten {
        name: out.join("."),
        index,
    })
}

/// `*` stands for any segment, `{e}` for a number or what numbers are put in place of.
fn matches(written: &[String], run: &[&str]) -> bool {
    let number = |segment: &str| segment.bytes().all(|b| b.is_ascii_digit()) || matches!(segment, "{e}" | "{n}");
    let stands = |(w, segment): (&String, &&str)| match w.as_str() {
        "*" => true,
        "{e}" => number(segment),
        w => w == *segment,
    };
    written.iter().zip(run).all(stands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renames(entries: &[(&str, &[&str])]) -> Renames {
        let owned: Vec<_> = entries
            .iter()
            .map(|(l, r)| (l.to_string(), r.iter().map(|s| s.to_string()).collect()))
            .collect();
        Renames::new(&owned)
    }

    #[test]
    fn entries_combine_in_their_order() {
        let rules = renames(&[
            ("mlp", &["block_sparse_moe"]),
            ("experts.*.gate_proj", &["experts.*.w1"]),
        ]);
        let expected = [
            "l.0.mlp.experts.3.gate_proj.weight",
            "l.0.block_sparse_moe.experts.3.gate_proj.weight",
            "l.0.mlp.experts.3.w1.weight",
            "l.0.block_sparse_moe.experts.3.w1.weight",
        ];
        assert_eq!(rules.candidates(expected[0]), expected);
    }

    #[test]
    fn only_whole_segments_match_and_every_run_is_replaced() {
        let rules = renames(&[("norm", &["ln", "layer_norm"])]);
        assert_eq!(rules.candidates("norm1.weight"), ["norm1.weight"]);
        assert_eq!(
            rules.candidates("norm.a.norm"),
            ["norm.a.norm", "ln.a.ln", "layer_norm.a.layer_norm"]
        );
    }

    #[test]
    fn stars_carry_what_they_matched() {
        let rules = renames(&[("a.*.b.*", &["*.c.*"])]);
        assert_eq!(rules.candidates("x.a.1.b.w"), ["x.a.1.b.w", "x.1.c.w"]);
    }

    #[test]
    fn a_name_with_more_spellings_than_allowed_stays_bounded() {
        let many: Vec<(String, Vec<String>)> = (0..40).map(|i| (format!("s{i}"), vec![format!("t{i}")])).collect();
        let name = (0..40).map(|i| format!("s{i}")).collect::<Vec<_>>().join(".");
        assert_eq!(Renames::new(&many).candidates(&name).len(), MAX_CANDIDATES);
    }

    #[test]
    fn names_that_would_double_without_end_stay_short() {
        let many: Vec<(String, Vec<String>)> = (0..60).map(|_| ("a".into(), vec!["a.a".into()])).collect();
        let found = Renames::new(&many).candidates("a");
        assert!(found.iter().all(|name| name.len() <= MAX_LENGTH), "{}", found.len());
    }

    #[test]
    fn numbered_entries_are_seen() {
        let rules = renames(&[("h.0", &["first"]), ("w1", &["gate"])]);
        assert!(rules.depend_on_number("h.{n}.weight", "{n}"));
        assert!(rules.depend_on_number("w{n}.weight", "{n}"));
        assert!(!rules.depend_on_number("k{n}.weight", "{n}"));
    }
}
