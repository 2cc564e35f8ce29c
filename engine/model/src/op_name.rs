//! The names of ops, as the language spells their functions.

use crate::{BinaryOp, Op, UnaryOp};

impl Op {
    /// The name for messages and listings: the function of the language that makes this node.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Param(_) => "param",
            Op::Const(_) => "const",
            Op::Range(_) => "range",
            Op::Numbers(_) => "numbers",
            Op::Linear { .. } => "linear",
            Op::Embedding => "embedding",
            Op::MatMul => "matmul",
            Op::LayerNorm { .. } => "layer_norm",
            Op::RmsNorm { .. } => "rms_norm",
            Op::L2Norm { .. } => "l2_norm",
            Op::Normalize { .. } => "normalize",
            Op::Unary(unary) => unary.name(),
            Op::Activation(_) => "activation",
            Op::Binary(binary) => binary.name(),
            Op::Where => "where",
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
            Op::JoinRows => "join_rows",
            Op::Transpose => "transpose",
            Op::Shift(_) => "shift",
            Op::FirstToken => "first_token",
            Op::LastToken => "last_token",
            Op::MeanRows => "mean_rows",
            Op::RowPositions => "row_positions",
            Op::FirstIndex(_) => "first_index",
            Op::LastIndex { .. } => "last_index",
            Op::RowAt => "row_at",
            Op::Spread => "spread",
            Op::Rotary(_) => "rotary",
            Op::Attend(_) => "attend",
            Op::Alibi { .. } => "alibi",
            Op::RelativeBias { .. } => "relative_bias",
            Op::RelativeScores(_) => "relative_scores",
            Op::SegmentScores => "segment_scores",
            Op::KeyBias => "key_bias",
            Op::TopKeys(_) => "top_keys",
            Op::PairBias(_) => "pair_bias",
            Op::AddBias => "add_bias",
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
            Op::Foreign(_) => "foreign",
        }
    }
}

impl UnaryOp {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            UnaryOp::Neg => "neg",
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
            UnaryOp::Bf16 => "bf16",
            UnaryOp::Int => "int",
            UnaryOp::F16 => "f16",
            UnaryOp::Step => "step",
        }
    }
}

impl BinaryOp {
    /// The operation as a word.
    pub fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
            BinaryOp::Pow => "pow",
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
            BinaryOp::Mod => "mod",
        }
    }
}
