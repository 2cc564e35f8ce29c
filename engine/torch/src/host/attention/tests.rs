//! Against plain loops over the same bf16 numbers. Processors without AVX512-BF16 have nothing to test here.

use super::*;
use crate::testing::{close, floats, random};
use tch::Kind;

struct Case {
    sequences: Vec<Range<usize>>,
    seen: Vec<Range<usize>>,
    heads: usize,
    key_heads: usize,
    dim: usize,
    width: usize,
}

impl Case {
    /// Causal sequences of these lengths whose queries see `window` keys at most.
    fn new(lengths: &[usize], window: usize, heads: [usize; 2], dims: [usize; 2]) -> Case {
        let (mut sequences, mut seen) = (Vec::new(), Vec::new());
        for length in lengths {
            let start = seen.len();
            sequences.push(start..start + length);
            seen.extend((0..*length).map(|i| start + (i + 1).saturating_sub(window)..start + i + 1));
        }
        Case {
            sequences,
            seen,
            heads: heads[0],
            key_heads: heads[1],
            dim: dims[0],
            width: dims[1],
        }
    }

    fn inputs(&self) -> [Tensor; 3] {
        let rows = self.seen.len() as i64;
        let of = |heads: usize, width: usize, seed| {
            let x = random(&[rows, heads as i64, width as i64], seed);
            x.f_mul_scalar(2.0).unwrap().f_to_kind(Kind::BFloat16).unwrap()
        };
        [
            of(self.heads, self.dim, 1),
            of(self.key_heads, self.dim, 2),
            of(self.key_heads, self.width, 3),
        ]
    }

    fn run(&self, [q, k, v]: &[Tensor; 3]) -> Option<Tensor> {
        attention(&Attention {
            q,
            k,
            v,
            sequences: &self.sequences,
            seen: &self.seen,
            scale: 0.3,
        })
        .unwrap()
    }

    fn naive(&self, inputs: &[Tensor; 3]) -> Vec<f32> {
        let [q, k, v] = inputs.each_ref().map(floats);
        let mut out = Vec::new();
        for (row, seen) in self.seen.iter().enumerate() {
            for head in 0..self.heads {
                let of = head * self.key_heads / self.heads;
                let at = |row: usize, heads: usize, head: usize, width: usize| (row * heads + head) * width;
                let query = &q[at(row, self.heads, head, self.dim)..][..self.dim];
                let weight = |key: usize| {
                    let key = &k[at(key, self.key_heads, of, self.dim)..][..self.dim];
                    let score: f64 = query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    (0.3 * score).exp()
                };
                let weights: Vec<f64> = seen.clone().map(weight).collect();
                let total: f64 = weights.iter().sum();
                out.extend((0..self.width).map(|feature| {
                    let value = |key: usize| f64::from(v[at(key, self.key_heads, of, self.width) + feature]);
                    let sum: f64 = seen.clone().zip(&weights).map(|(key, w)| w * value(key)).sum();
                    if seen.is_empty() { 0.0 } else { (sum / total) as f32 }
                }));
            }
        }
        out
    }
}

#[test]
fn causal_windowed_and_grouped_heads_are_those_of_the_definition() {
    for (lengths, window, heads, dims) in [
        (vec![1], 9, [1, 1], [2, 16]),
        (vec![5, 8, 33, 1], 100, [4, 2], [64, 64]),
        (vec![70], 20, [6, 1], [10, 48]),
        (vec![40, 100], 33, [2, 2], [80, 32]),
        (vec![1100], 64, [2, 1], [16, 16]),
    ] {
        let case = Case::new(&lengths, window, heads, dims);
        let inputs = case.inputs();
        let Some(y) = case.run(&inputs) else { return };
        assert_eq!(y.size(), [case.seen.len() as i64, heads[0] as i64, dims[1] as i64]);
        // weights and results are rounded to bf16
        close(&floats(&y), &case.naive(&inputs), 6e-3);
    }
}

#[test]
fn queries_that_see_nothing_get_zeros() {
    let mut case = Case::new(&[20], 20, [2, 1], [16, 16]);
    case.seen[3] = 7..7;
    case.seen[19] = 0..0;
    let inputs = case.inputs();
    let Some(y) = case.run(&inputs) else { return };
    close(&floats(&y), &case.naive(&inputs), 6e-3);
    case.seen.fill(0..0);
    assert!(floats(&case.run(&inputs).unwrap()).iter().all(|y| *y == 0.0));
}

#[test]
fn columns_of_a_wider_tensor_are_read_in_place() {
    let case = Case::new(&[12, 5], 17, [2, 2], [16, 16]);
    let inputs = case.inputs();
    let wide = Tensor::f_cat(&inputs, 1).unwrap();
    let cut = [0, 2, 4].map(|at| wide.f_narrow(1, at, 2).unwrap());
    let Some(y) = case.run(&inputs) else { return };
    assert_eq!(floats(&case.run(&cut).unwrap()), floats(&y));
}

#[test]
fn neither_company_nor_threads_change_a_sequence() {
    let (alone, both) = (
        Case::new(&[300], 300, [8, 2], [64, 64]),
        Case::new(&[300, 37], 300, [8, 2], [64, 64]),
    );
    let inputs = both.inputs();
    let own = inputs.each_ref().map(|x| x.f_narrow(0, 0, 300).unwrap());
    let Some(y) = both.run(&inputs) else { return };
    let threads = crate::threads();
    crate::set_threads(1);
    let single = alone.run(&own).unwrap();
    crate::set_threads(threads);
    assert_eq!(floats(&y.f_narrow(0, 0, 300).unwrap()), floats(&single));
}

#[test]
fn what_does_not_fit_is_left_to_libtorch() {
    let odd = Case::new(&[4], 4, [1, 1], [7, 16]);
    assert!(odd.run(&odd.inputs()).is_none());
    let narrow = Case::new(&[4], 4, [1, 1], [8, 8]);
    assert!(narrow.run(&narrow.inputs()).is_none());
    let case = Case::new(&[4], 4, [1, 1], [8, 16]);
    let wide = case.inputs().map(|x| x.f_to_kind(Kind::Float).unwrap());
    assert!(case.run(&wide).is_none());
}
