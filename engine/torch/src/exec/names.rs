//! Operations and inputs as the language calls them.

use sli_model::{BinaryOp, GraphInput, Op, StackValue, UnaryOp};

/// The name of an operation, as in equations.
pub(super) fn op(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "input",
        Op::Param(_) => "param",
        Op::Const(_) => "number",
        Op::Range(_) => "range",
        Op::Numbers(_) => "numbers",
        Op::Linear { .. } => "linear",
        Op::Embedding => "embedding",
        Op::MatMul => "matmul",
        Op::LayerNorm { .. } => "layer_norm",
        Op::RmsNorm { .. } => "rms_norm",
        Op::L2Norm { .. } => "l2_norm",
        Op::Normalize { .. } => "normalize",
        Op::Unary(unary) => self::unary(*unary),
        Op::Activation(_) => "activation",
        Op::Binary(binary) => self::binary(*binary),
        Op::Clamp { .. } => "clamp",
        Op::Softcap(_) => "softcap",
        Op::Softmax => "softmax",
        Op::Sum => "sum",
        Op::Mean => "mean",
        Op::SplitHeads { .. } => "split_heads",
        Op::MergeHeads => "merge_heads",
        Op::RepeatHeads { .. } => "repeat_heads",
        Op::PerHead => "per_head",
        Op::Split(_) => "split",
        Op::Slice { .. } => "slice",
        Op::Concat => "concat",
        Op::JoinRows => "joined parameters",
        Op::Transpose => "transpose",
        Op::Shift(_) => "shift",
        Op::FirstToken => "first_token",
        Op::LastToken => "last_token",
        Op::MeanRows => "mean_rows",
        Op::RowPositions => "row_positions",
        Op::FirstIndex(_) => "first_index",
        Op::Rotary(_) => "rotary",
        Op::Attend(_) => "attend",
        Op::Alibi { .. } => "alibi",
        Op::RelativeBias { .. } => "relative_bias",
        Op::RelativeScores(_) => "relative_scores",
        Op::SegmentScores => "segment_scores",
        Op::KeyBias => "key_bias",
        Op::TopKeys(_) => "top_keys",
        Op::AddBias => "sum of score biases",
        Op::ByBlock(_) => "by_block",
        Op::Distances => "distances",
        Op::BlockSums(_) => "block_sums",
        Op::JoinAttention => "join_attention",
        Op::TopK(_) => "top_k",
        Op::Gather => "gather",
        Op::GroupLimit { .. } => "group_limit",
        Op::SparseMixer { .. } => "sparse_mixer",
        Op::Experts(_) => "experts",
        Op::CausalConv1d => "causal_conv1d",
        Op::SelectiveScan => "selective_scan",
        Op::Recurrence => "recurrence",
        Op::LinearScan(_) => "linear_scan",
        Op::LongConv => "long_conv",
        Op::ModalConv => "modal_conv",
        Op::DynamicConv => "dynamic_conv",
        Op::RowConv { .. } => "row_conv",
        Op::Fourier => "fourier",
    }
}

fn unary(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Neg => "-",
        UnaryOp::Exp => "exp",
        UnaryOp::Log => "log",
        UnaryOp::Sqrt => "sqrt",
        UnaryOp::Rsqrt => "rsqrt",
        UnaryOp::Sin => "sin",
        UnaryOp::Cos => "cos",
        UnaryOp::Tanh => "tanh",
        UnaryOp::Abs => "abs",
        UnaryOp::Floor => "floor",
        UnaryOp::Ceil => "ceil",
    }
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Pow => "pow",
    }
}

/// A value from outside, as in equations.
pub(super) fn input(input: &GraphInput) -> String {
    match input {
        GraphInput::X => "`x`".to_string(),
        GraphInput::Tokens => "`tokens`".to_string(),
        GraphInput::Positions => "`positions`".to_string(),
        GraphInput::TokenTypes => "`token_type_ids`".to_string(),
        GraphInput::Field(name) => format!("`input.{name}`"),
        GraphInput::Let(name) => format!("`{name}` of `let`"),
        GraphInput::Carry(name) => format!("`carry.{name}`"),
        GraphInput::Stack { stack, value } => match value {
            StackValue::Final => format!("`{stack}.final`"),
            StackValue::Out => format!("`{stack}.out`"),
            StackValue::Hidden(k) => format!("`{stack}.hidden[{k}]`"),
        },
    }
}
