//! Recurrences and convolutions along the sequence.

use super::text::json;

use super::{Bias, Module, Tensor, Weight};

/// How [`Tensor::linear_scan`] divides its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// y / n, n the same scan with v = 1 (RWKV-4).
    Sum,
    /// y / max(abs n, 1) (mLSTM).
    Max1,
}

/// Options of [`Tensor::linear_scan`]; section 12 of the language has the formulas.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan<'g> {
    /// Queries `[N, G, K]`; `None` with `k`: ones of width 1.
    pub q: Option<Tensor<'g>>,
    /// Keys `[N, G, K]`.
    pub k: Option<Tensor<'g>>,
    /// The LOG of the decay, broadcasts to `[N, H, K]`.
    pub decay: Option<Tensor<'g>>,
    /// Delta rule: broadcasts to `[N, H, 1]`.
    pub beta: Option<Tensor<'g>>,
    /// RWKV-7: a and b, each `[N, G, K]`.
    pub erase: Option<(Tensor<'g>, Tensor<'g>)>,
    /// `[H, K]`: y = q' (S_old + diag(u) k v').
    pub bonus: Option<Tensor<'g>>,
    /// k v' enters as exp(g) k v'; broadcasts to `[N, H, 1]`.
    pub gain: Option<Tensor<'g>>,
    /// Division of the output.
    pub normalize: Option<Normalize>,
}

/// Options of [`Module::row_conv`].
#[derive(Clone, Copy, Debug)]
pub struct RowConv<'g> {
    /// Step between outputs.
    pub stride: u64,
    /// Zeros before and after each sequence.
    pub padding: (u64, u64),
    /// Channel groups.
    pub groups: u64,
    /// Distance between taps.
    pub dilation: u64,
    /// What is added.
    pub bias: Bias<'g>,
}

impl Default for RowConv<'_> {
    fn default() -> Self {
        RowConv {
            stride: 1,
            padding: (0, 0),
            groups: 1,
            dilation: 1,
            bias: Bias::AsStored,
        }
    }
}

impl<'g> Tensor<'g> {
    /// Linear recurrences with a matrix state, of values v `[N, H, V]` (this).
    pub fn linear_scan(self, scan: Scan<'g>) -> Tensor<'g> {
        let normalize = scan.normalize.map(|normalize| match normalize {
            Normalize::Sum => "sum",
            Normalize::Max1 => "max1",
        });
        let on = |x: Option<Tensor<'g>>| x.map(|x| x.on(self.sheet));
        let inputs = vec![
            on(scan.q),
            on(scan.k),
            Some(self.value),
            on(scan.decay),
            on(scan.beta),
            on(scan.erase.map(|pair| pair.0)),
            on(scan.erase.map(|pair| pair.1)),
            on(scan.bonus),
            on(scan.gain),
        ];
        Tensor {
            value: self
                .sheet
                .push(json!({"linear_scan": {"normalize": normalize}}), inputs),
            ..self
        }
    }

    /// h = exp(dt A) h + dt x B, y = h·C for x and dt `[N, .., C]`, A `[.., C, S]`, B and C `[N, .., S]`.
    pub fn selective_scan(self, dt: Tensor<'g>, a: Tensor<'g>, b: Tensor<'g>, c: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("selective_scan"), &[Some(dt), Some(a), Some(b), Some(c)])
    }

    /// h_t = a_t h_(t-1) + b_t with this a and b `[N, C]`, in f32.
    pub fn recurrence(self, b: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("recurrence"), &[Some(b)])
    }

    /// y_t = sum over s <= t of h[t - s] x_s; h `[L, C]`, L at least the longest sequence.
    pub fn long_conv(self, h: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("long_conv"), &[Some(h)])
    }

    /// z = p z + x, y = Re(sum r z); poles and residues `[C, S, 2]` (re, im).
    pub fn modal_conv(self, poles: Tensor<'g>, residues: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("modal_conv"), &[Some(poles), Some(residues)])
    }

    /// y_t = sum_j w[t, h, j] x[t + j - (K-1)/2]; x `[N, H, D]`, w `[N, H, K]` or `[H, K]`.
    pub fn dynamic_conv(self, w: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("dynamic_conv"), &[Some(w)])
    }

    /// Real part of the 2-D Fourier transform over the tokens of a sequence and the features.
    pub fn fourier(self) -> Tensor<'g> {
        self.apply(json!("fourier"), &[])
    }
}

impl<'g> Module<'g> {
    /// Depthwise convolution of x `[N, C]` with `[C, 1, K]`; the last tap meets the token itself.
    pub fn causal_conv1d(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, bias: Bias<'g>) -> Tensor<'g> {
        let (weight, module) = self.weight(weight.into());
        let bias = self.bias(bias, module);
        x.apply(json!("causal_conv1d"), &[Some(weight), bias])
    }

    /// Convolution along the rows of each sequence, as PyTorch's `Conv1d`; `[B, A/groups, K]`.
    pub fn row_conv(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, options: RowConv<'g>) -> Tensor<'g> {
        let (weight, module) = self.weight(weight.into());
        let bias = self.bias(options.bias, module);
        let op = json!({"row_conv": {
            "stride": options.stride,
            "padding": options.padding,
            "groups": options.groups,
            "dilation": options.dilation,
        }});
        x.apply(op, &[Some(weight), bias])
    }
}
