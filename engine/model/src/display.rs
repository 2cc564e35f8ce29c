//! Graphs and plans as text: one node a line, for listings, tests and bug reports.
//!
//! ```text
//! %3 = linear(%1, param layers.0.self_attn.q_proj.weight) : [tokens, 64]
//! ```
//! Parameters and numbers stand where they are used; every other node has its own line.

pub(crate) mod attributes;

use crate::bind::BoundGraph;
use crate::{Base, Graph, GraphInput, ModelPlan, Node, Op, Param, ParamForm, Scalar, StackValue, Value};
use std::fmt::{self, Display, Formatter};

/// A graph to print, with types if it is bound.
pub struct GraphText<'a> {
    graph: &'a Graph,
    bound: Option<&'a BoundGraph>,
    indent: usize,
}

impl Graph {
    /// The text of this graph with the types of its nodes.
    pub fn with_types<'a>(&'a self, bound: &'a BoundGraph) -> GraphText<'a> {
        GraphText {
            graph: self,
            bound: Some(bound),
            indent: 0,
        }
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        GraphText {
            graph: self,
            bound: None,
            indent: 0,
        }
        .fmt(f)
    }
}

impl Display for GraphText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pad = " ".repeat(self.indent);
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if matches!(node.op, Op::Param(_) | Op::Const(_)) {
                continue;
            }
            write!(f, "{pad}%{index} = ")?;
            self.node(f, node)?;
            self.types(f, index)?;
            writeln!(f)?;
            let (graph, bound) = match &node.op {
                Op::Experts(options) => (&options.body, self.bound.and_then(|bound| bound.body(index as u32))),
                Op::PairBias(pair) => (&pair.body, None),
                _ => continue,
            };
            let indent = self.indent + 4;
            GraphText { graph, bound, indent }.fmt(f)?;
        }
        for (name, value) in &self.graph.outputs {
            writeln!(f, "{pad}{name} = {}", self.value(*value))?;
        }
        Ok(())
    }
}

impl GraphText<'_> {
    fn node(&self, f: &mut Formatter<'_>, node: &Node) -> fmt::Result {
        if let Op::Input(input) = &node.op {
            return write!(f, "{input}");
        }
        let inputs = node.inputs.iter().map(|input| match input {
            Some(value) => self.value(*value),
            None => "none".to_string(),
        });
        let attributes = attributes::of(&node.op)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"));
        let all: Vec<String> = inputs.chain(attributes).collect();
        write!(f, "{}({})", node.op.name(), all.join(", "))
    }

    fn value(&self, value: Value) -> String {
        match self.graph.nodes.get(value.node as usize).map(|node| &node.op) {
            Some(Op::Param(id)) => match self.graph.params.get(id.0 as usize) {
                Some(param) => param.to_string(),
                None => format!("param #{}", id.0),
            },
            Some(Op::Const(Scalar::Int(n))) => n.to_string(),
            Some(Op::Const(Scalar::Float(x))) => format!("{:?}", x.0),
            _ if value.out > 0 => format!("%{}.{}", value.node, value.out),
            _ => format!("%{}", value.node),
        }
    }

    fn types(&self, f: &mut Formatter<'_>, index: usize) -> fmt::Result {
        let Some(types) = self
            .bound
            .and_then(|bound| bound.types.get(index))
            .filter(|types| !types.is_empty())
        else {
            return Ok(());
        };
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        write!(f, " : {}", types.join(", "))
    }
}

impl Display for Param {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let slash = if self.name.base == Base::File { "/" } else { "" };
        write!(f, "param {slash}{}", self.name.path)?;
        match self.form {
            ParamForm::One | ParamForm::Expert => {}
            ParamForm::Stack { count } => write!(f, " x {count}")?,
            ParamForm::Slice => f.write_str(" cut")?,
        }
        if let Some(shape) = &self.shape {
            write!(f, " as {shape:?}")?;
        }
        if self.optional {
            f.write_str(" if present")
        } else {
            Ok(())
        }
    }
}

impl Display for GraphInput {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            GraphInput::X => f.write_str("x"),
            GraphInput::Tokens => f.write_str("tokens"),
            GraphInput::Positions => f.write_str("positions"),
            GraphInput::TokenTypes => f.write_str("token_type_ids"),
            GraphInput::Field(name) => write!(f, "input.{name}"),
            GraphInput::Let(name) => write!(f, "let.{name}"),
            GraphInput::Carry(name) => write!(f, "carry.{name}"),
            GraphInput::Pair(index) => f.write_str(index.name()),
            GraphInput::Stack {
                stack,
                value: StackValue::Final,
            } => write!(f, "{stack}.final"),
            GraphInput::Stack {
                stack,
                value: StackValue::Out,
            } => write!(f, "{stack}.out"),
            GraphInput::Stack {
                stack,
                value: StackValue::Hidden(k),
            } => write!(f, "{stack}.hidden[{k}]"),
        }
    }
}

impl Display for ModelPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "family {}", self.family)?;
        let part = |f: &mut Formatter<'_>, title: String, graph: &Graph| {
            writeln!(f, "{title}:")?;
            GraphText {
                graph,
                bound: None,
                indent: 2,
            }
            .fmt(f)
        };
        for stack in &self.stacks {
            part(
                f,
                format!("stack {} over {}, enter", stack.name, stack.tokens),
                &stack.enter,
            )?;
            for (i, layer) in stack.layers.iter().enumerate() {
                part(f, format!("{}.{i} ({})", stack.name, layer.class), &layer.graph)?;
            }
            if let Some(last) = &stack.last {
                part(f, format!("{} last", stack.name), last)?;
            }
        }
        part(f, "head".to_string(), &self.head)
    }
}

#[cfg(test)]
mod tests {
    use crate::bind::{BindResult, bind};
    use crate::testing::{llama, llama_tensors};

    #[test]
    fn a_bound_layer_reads_like_its_equations() {
        let plan = llama(1);
        let BindResult { binding, report } = bind(&plan, &llama_tensors(1));
        let binding = binding.unwrap_or_else(|| panic!("{report}"));
        let text = plan.stacks[0].layers[0]
            .graph
            .with_types(&binding.stacks[0].layers[0])
            .to_string();
        let expected = [
            "%0 = x : [tokens, 8]",
            "%2 = rms_norm(%0, param layers.0.input_layernorm.weight, eps: 1e-5) : [tokens, 8]",
            "%5 = linear(%2, param layers.0.self_attn.q_proj.weight, param layers.0.self_attn.q_proj.bias if present) : [tokens, 8]",
            "%6 = split_heads(%5, heads: 2, dim: 4) : [tokens, 2, 4]",
        ];
        for line in expected {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(text.ends_with("out = %36\n"), "{text}");
        assert!(
            plan.to_string()
                .contains("stack decoder over input_ids, enter:\n  %0 = tokens\n")
        );
    }
}
