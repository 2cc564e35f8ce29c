//! Equations as syntax trees: CEL text, parsed by the `cel` crate, reduced to what the language uses.

use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::Parser;
use sli_config::Diagnostic;
use sli_config::family::Equation;

/// How deep an equation may nest, in brackets and as the parser counts.
const MAX_DEPTH: u16 = 64;
/// How long an equation may be, in bytes. With the depth it bounds the parser's stack.
const MAX_LENGTH: usize = 8192;

/// A parsed equation with the text it came from.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The text and its place.
    pub(crate) equation: Equation,
    /// Its tree.
    pub(crate) root: Expr,
}

/// A node of the tree and the part of the text it stands for, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) node: Node,
    pub(crate) span: (usize, usize),
}

/// What the language uses of CEL.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Name(String),
    Member(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Has(Box<Expr>),
    Call(String, Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
}

/// `+ - * / %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

/// Comparisons of plan values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
}

impl Expr {
    /// This node and all below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// The nodes directly below.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.node {
            Node::Member(a, _) | Node::Has(a) | Node::Not(a) | Node::Negate(a) => vec![a],
            Node::Index(a, b) | Node::Arithmetic(_, a, b) | Node::Compare(_, a, b) => vec![a, b],
            Node::If(a, b, c) => vec![a, b, c],
            Node::Call(_, list) | Node::List(list) | Node::And(list) | Node::Or(list) => list.iter().collect(),
            Node::Map(entries) => entries.iter().map(|entry| &entry.1).collect(),
            Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Str(_) | Node::Name(_) => Vec::new(),
        }
    }
}

/// Parses an equation.
///
/// # Errors
/// Syntax errors and uses of CEL that the language refuses, each with its place.
pub(crate) fn parse(equation: &Equation) -> Result<Arc<Parsed>, Vec<Diagnostic>> {
    if let Some(why) = too_large(&equation.text) {
        return Err(vec![
            Diagnostic::error(why).primary(equation.label("cut it in several equations")),
        ]);
    }
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH);
    let (tree, info) = parser.parse_with_source_info(&equation.text).map_err(|errors| {
        let mut found: Vec<Diagnostic> = errors
            .errors
            .iter()
            .map(|e| syntax_error(equation, e.pos, &e.msg))
            .collect();
        found.truncate(1); // one slip makes the parser report several
        found
    })?;
    let mut reducer = Reducer {
        equation,
        info,
        errors: Vec::new(),
    };
    let root = reducer.reduce(&tree);
    if reducer.errors.is_empty() {
        Ok(Arc::new(Parsed {
            equation: equation.clone(),
            root,
        }))
    } else {
        Err(reducer.errors)
    }
}

/// The parser recurses once per bracket and per prefix operator before it looks at its own limit.
fn too_large(text: &str) -> Option<String> {
    if text.len() > MAX_LENGTH {
        return Some(format!(
            "this equation has {} bytes; at most {MAX_LENGTH} are read",
            text.len()
        ));
    }
    let (mut depth, mut deepest, mut prefixes) = (0usize, 0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        prefixes = if matches!(byte, b'!' | b'-' | b' ') {
            prefixes + 1
        } else {
            0
        };
        deepest = deepest.max(depth).max(prefixes);
    }
    (deepest > MAX_DEPTH as usize).then(|| format!("this equation nests deeper than {MAX_DEPTH}"))
}

fn syntax_error(equation: &Equation, pos: (isize, isize), message: &str) -> Diagnostic {
    let column = (pos.1.max(1) - 1) as usize;
    let line_start: usize = (equation.text.split_inclusive('\n').take((pos.0.max(1) - 1) as usize))
        .map(str::len)
        .sum();
    let at = (line_start + column).min(equation.text.len());
    let end = (at + 1).min(equation.text.len());
    let plain = match message.trim_start_matches("Syntax error: ") {
        conditional if conditional.contains("_?_:_") => {
            "a `?:` inside the first branch of another needs brackets around it"
        }
        other => other,
    };
    Diagnostic::error(format!("this equation cannot be read: {plain}"))
        .primary(equation.label_at(at, end, "here"))
        .note("equations are written in CEL, as `linear(x, 'q_proj') * scale`")
}

struct Reducer<'a> {
    equation: &'a Equation,
    info: SourceInfo,
    errors: Vec<Diagnostic>,
}

impl Reducer<'_> {
    fn reduce(&mut self, tree: &IdedExpr) -> Expr {
        let own = self.info.offset_for(tree.id).map(|(a, b)| self.bytes(a, b));
        let node = match &tree.expr {
            Cel::Literal(literal) => self.literal(literal, own),
            Cel::Ident(name) => Node::Name(name.trim_start_matches('.').to_owned()),
            Cel::Select(select) => {
                let operand = self.reduce(&select.operand);
                if select.test {
                    Node::Has(Box::new(Expr {
                        span: operand.span,
                        node: Node::Member(Box::new(operand), select.field.clone()),
                    }))
                } else {
                    Node::Member(Box::new(operand), select.field.clone())
                }
            }
            Cel::List(list) => Node::List(list.elements.iter().map(|e| self.reduce(e)).collect()),
            Cel::Map(map) => Node::Map(map.entries.iter().filter_map(|e| self.entry(&e.expr, own)).collect()),
            Cel::Call(call) => {
                if call.target.is_some() {
                    self.refuse(
                        own,
                        &format!("methods such as `a.{}(…)` are not part of the language", call.func_name),
                    );
                }
                let args = call.args.iter().map(|a| self.reduce(a)).collect();
                self.call(&call.func_name, args, own)
            }
            Cel::Comprehension(_) => {
                self.refuse(own, "macros such as `all` and `map` are not part of the language");
                Node::Null
            }
            Cel::Struct(_) | Cel::Unspecified => {
                self.refuse(own, "this form is not part of the language");
                Node::Null
            }
        };
        let mut expr = Expr {
            node,
            span: own.unwrap_or((usize::MAX, 0)),
        };
        let inner: Vec<(usize, usize)> = expr.children().iter().map(|c| c.span).collect();
        for span in inner {
            expr.span = (expr.span.0.min(span.0), expr.span.1.max(span.1));
        }
        if expr.span.0 > expr.span.1 {
            expr.span = (0, self.equation.text.len());
        }
        self.close(&mut expr);
        expr
    }

    /// CEL gives a call the place of its opening bracket and a selection that of its dot: widen to the
    /// name before and the bracket or word behind.
    fn close(&self, expr: &mut Expr) {
        match &expr.node {
            Node::Call(..) | Node::Has(_) => {
                let name = if let Node::Call(name, _) = &expr.node {
                    name
                } else {
                    "has"
                };
                if let Some(before) = expr.span.0.checked_sub(name.len())
                    && self.equation.text.get(before..expr.span.0) == Some(name)
                {
                    expr.span.0 = before;
                }
                expr.span.1 = self.after_bracket(expr.span.1, b')');
            }
            Node::List(_) | Node::Index(..) => expr.span.1 = self.after_bracket(expr.span.1, b']'),
            Node::Map(_) => expr.span.1 = self.after_bracket(expr.span.1, b'}'),
            Node::Member(_, field) => {
                let rest = &self.equation.text[expr.span.1.min(self.equation.text.len())..];
                let skipped = rest.len() - rest.trim_start_matches(['.', ' ']).len();
                if rest[skipped..].starts_with(field.as_str()) {
                    expr.span.1 += skipped + field.len();
                }
            }
            _ => {}
        }
    }

    fn after_bracket(&self, end: usize, bracket: u8) -> usize {
        let text = self.equation.text.as_bytes();
        if end > 0 && end <= text.len() && text[end - 1] == bracket && end - 1 > 0 {
            // the span may already hold its own bracket or that of its last child: look one further
            if text.get(end) != Some(&bracket) {
                return end;
            }
        }
        let mut at = end;
        while at < text.len() && (text[at].is_ascii_whitespace() || text[at] == b',') {
            at += 1;
        }
        if text.get(at) == Some(&bracket) { at + 1 } else { end }
    }

    /// Character offsets, as the parser counts them, to byte offsets; the parser's end is inclusive.
    fn bytes(&self, start: u32, stop: u32) -> (usize, usize) {
        let text = &self.equation.text;
        let byte = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |c| c.0);
        let start = byte(start as usize);
        (start, byte(stop as usize + 1).max(start))
    }

    fn literal(&mut self, literal: &LiteralValue, own: Option<(usize, usize)>) -> Node {
        match literal {
            LiteralValue::Null => Node::Null,
            LiteralValue::Boolean(b) => Node::Bool(*b.inner()),
            LiteralValue::Int(i) => Node::Int(*i.inner()),
            LiteralValue::Double(x) => Node::Float(*x.inner()),
            LiteralValue::String(s) => Node::Str(s.inner().to_owned()),
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                self.refuse(own, "unsigned numbers and bytes are not part of the language");
                Node::Null
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, own: Option<(usize, usize)>) -> Option<(String, Expr)> {
        let EntryExpr::MapEntry(entry) = entry else {
            self.refuse(own, "messages are not part of the language");
            return None;
        };
        let key = self.reduce(&entry.key);
        let value = self.reduce(&entry.value);
        match key.node {
            Node::Str(name) => Some((name, value)),
            _ => {
                self.refuse(Some(key.span), "the keys of a map are strings in quotes");
                None
            }
        }
    }

    fn call(&mut self, name: &str, args: Vec<Expr>, own: Option<(usize, usize)>) -> Node {
        let arithmetic = match name {
            operators::ADD => Some(Arithmetic::Add),
            operators::SUBSTRACT => Some(Arithmetic::Sub),
            operators::MULTIPLY => Some(Arithmetic::Mul),
            operators::DIVIDE => Some(Arithmetic::Div),
            operators::MODULO => Some(Arithmetic::Rem),
            _ => None,
        };
        let compare = match name {
            operators::EQUALS => Some(Compare::Eq),
            operators::NOT_EQUALS => Some(Compare::Ne),
            operators::LESS => Some(Compare::Lt),
            operators::LESS_EQUALS => Some(Compare::Le),
            operators::GREATER => Some(Compare::Gt),
            operators::GREATER_EQUALS => Some(Compare::Ge),
            operators::IN => Some(Compare::In),
            _ => None,
        };
        let mut args = args.into_iter();
        let mut next = || {
            Box::new(args.next().unwrap_or(Expr {
                node: Node::Null,
                span: own.unwrap_or_default(),
            }))
        };
        if let Some(op) = arithmetic {
            return Node::Arithmetic(op, next(), next());
        }
        if let Some(op) = compare {
            return Node::Compare(op, next(), next());
        }
        match name {
            operators::CONDITIONAL => Node::If(next(), next(), next()),
            operators::LOGICAL_NOT => Node::Not(next()),
            operators::NEGATE => Node::Negate(next()),
            operators::INDEX => Node::Index(next(), next()),
            operators::LOGICAL_AND => Node::And(args.collect()),
            operators::LOGICAL_OR => Node::Or(args.collect()),
            _ => Node::Call(name.to_owned(), args.collect()),
        }
    }

    fn refuse(&mut self, span: Option<(usize, usize)>, why: &str) {
        let (start, end) = span.unwrap_or((0, self.equation.text.len()));
        self.errors
            .push(Diagnostic::error(why).primary(self.equation.label_at(start, end, "refused here")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_config::SourceFile;

    fn equation(text: &str) -> Equation {
        let file = SourceFile::new("t.toml", format!("\"{text}\""));
        Equation {
            text: text.to_owned(),
            span: 0..text.len() + 2,
            file,
        }
    }

    fn spans(text: &str) -> Vec<String> {
        let parsed = parse(&equation(text)).unwrap();
        let mut out = Vec::new();
        parsed.root.walk(&mut |e| out.push(text[e.span.0..e.span.1].to_owned()));
        out
    }

    #[test]
    fn every_node_knows_its_text() {
        assert_eq!(
            spans("h + mlp(norm(h, 'a'), 'mlp')"),
            [
                "h + mlp(norm(h, 'a'), 'mlp')",
                "h",
                "mlp(norm(h, 'a'), 'mlp')",
                "norm(h, 'a')",
                "h",
                "'a'",
                "'mlp'"
            ]
        );
        assert_eq!(
            spans("get(config.a.b, 1)"),
            ["get(config.a.b, 1)", "config.a.b", "config.a", "config", "1"]
        );
        assert_eq!(spans("f(x, {'k': [1, 2]})")[0], "f(x, {'k': [1, 2]})");
        assert_eq!(spans("has(config.a) ? v[0] : null")[0], "has(config.a) ? v[0] : null");
    }

    #[test]
    fn refused_syntax_is_named() {
        for (text, word) in [
            ("a.f(x)", "methods"),
            ("[1].all(v, v > 0)", "macros"),
            ("1u", "unsigned"),
            ("b'x'", "bytes"),
            ("M{a: 1}", "form"),
        ] {
            let errors = parse(&equation(text)).unwrap_err();
            assert!(errors[0].message.contains(word), "{text}: {}", errors[0].message);
        }
        assert!(parse(&equation("linear(x,")).is_err());
        for piece in ["(", "[", "{", "!", "-", "f(", "a?", "a.", "a[", "a+", "x ? 1 : "] {
            assert!(parse(&equation(&piece.repeat(800))).is_err(), "{piece}");
        }
    }
}
