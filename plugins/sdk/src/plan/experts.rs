//! Mixture of experts.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::text::json;

use super::graph::{Sheet, Storage};
use super::points::Frame;
use super::{Module, Tensor};

/// What a router chose.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'g> {
    /// `[N, k]` integers: the experts.
    pub index: Tensor<'g>,
    /// `[N, k]`: their values.
    pub value: Tensor<'g>,
}

/// Options of [`Module::experts`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Experts {
    /// Number of experts with weights.
    pub count: u64,
    /// Indices count .. count + identity return their input and have no tensors.
    pub identity: u64,
    /// The weight multiplies the input instead of the output.
    pub scale_input: bool,
    /// The k results stay apart: `[N, k, C']`.
    pub keep: bool,
    /// An expert takes the first n tokens per sequence that chose it.
    pub capacity: Option<u64>,
}

impl Experts {
    /// So many experts, and no other option.
    pub fn of(count: u64) -> Experts {
        Experts {
            count,
            ..Experts::default()
        }
    }
}

impl<'g> Tensor<'g> {
    /// The k largest of `[N, E]`, largest first, of equal ones the lower index first.
    pub fn top_k(self, k: u64) -> Chosen<'g> {
        self.apply(json!({ "top_k": k }), &[]).chosen()
    }

    /// k rounds of Phi-3.5-MoE's choice; values do not add up to 1 (arXiv 2409.12136).
    pub fn sparse_mixer(self, k: u64, eps: f64) -> Chosen<'g> {
        self.apply(json!({"sparse_mixer": {"k": k, "eps": eps}}), &[]).chosen()
    }

    fn chosen(self) -> Chosen<'g> {
        Chosen {
            index: self,
            value: self.result(1),
        }
    }

    /// The chosen elements of `[N, E]` or `[E]` by index `[N, k]`.
    pub fn gather(self, index: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("gather"), &[Some(index)])
    }

    /// A group of experts scores the sum of its `top` best; all but the best `keep` of `groups` groups become -inf.
    pub fn group_limit(self, groups: u64, keep: u64, top: u64) -> Tensor<'g> {
        self.apply(
            json!({"group_limit": {"groups": groups, "keep": keep, "top": top}}),
            &[],
        )
    }
}

impl<'g> Module<'g> {
    /// The sum over the chosen experts of weight * body(x). With `{e}` in `module` each expert has its own modules;
    /// without, dim 0 of every tensor is cut in `count` parts. The body sees its own x and parameters only. The weight
    /// may be `None` only if the results stay apart.
    ///
    /// # Panics
    /// No weight, and the results are to be added.
    pub fn experts<F>(
        &self,
        x: Tensor<'g>,
        module: &str,
        index: Tensor<'g>,
        weight: Option<Tensor<'g>>,
        options: Experts,
        body: F,
    ) -> Tensor<'g>
    where
        F: for<'e> FnOnce(&Module<'e>, Tensor<'e>) -> Tensor<'e>,
    {
        assert!(
            weight.is_some() || options.keep,
            "the results of experts are added by weight"
        );
        let storage = match module.contains("{e}") {
            true => Storage::Each,
            false => Storage::Packed,
        };
        let sheet = Sheet::new(Some(storage), BTreeSet::new());
        let out = {
            let inner = Module::new(&sheet, self.path.join(module), Rc::new(Frame::default()));
            body(&inner, inner.input(json!("x"))).on(&sheet)
        };
        let body = sheet.finish(vec![("out".to_owned(), out)], Vec::new()).prune();
        let op = json!({"experts": {
            "body": body,
            "count": options.count,
            "identity": options.identity,
            "scale_input": options.scale_input,
            "keep": options.keep,
            "capacity": options.capacity,
        }});
        x.apply(op, &[Some(index), weight])
    }
}
