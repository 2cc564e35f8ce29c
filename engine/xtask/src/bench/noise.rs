//! Random bf16 numbers at the speed of a disk: a counter is hashed, and each 16 bits of the hash pick one of a table of
//! normal numbers. Any part of a tensor can be made on its own, so threads need no order.

use half::bf16;

/// Normal numbers with mean 0 and deviation 1, so many that a tensor's own statistics are right to a per cent.
pub(super) struct Table(Vec<f64>);

impl Table {
    /// Draws the table: Box and Muller's transform of hashed counters.
    pub(super) fn new() -> Self {
        let uniform = |counter: u64| (mix(counter) >> 11) as f64 / (1_u64 << 53) as f64;
        let normal = |at: u64| {
            let (u, v) = (1.0 - uniform(2 * at), uniform(2 * at + 1));
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        Self((0..1 << 16).map(normal).collect())
    }

    /// The table as bytes of bf16 numbers with the standard deviation `std`.
    pub(super) fn scaled(&self, std: f64) -> Vec<[u8; 2]> {
        self.0.iter().map(|z| bf16::from_f64(z * std).to_le_bytes()).collect()
    }
}

/// Fills `block` with numbers of `table`; `seed` names the tensor, `start` is the number of the first element, a multiple of 4.
pub(super) fn fill(block: &mut [u8], table: &[[u8; 2]], seed: u64, start: u64) {
    debug_assert!(start.is_multiple_of(4) && table.len() == 1 << 16);
    let mut counter = mix(seed).wrapping_add(start / 4);
    for eight in block.chunks_mut(8) {
        let mut bits = mix(counter);
        counter = counter.wrapping_add(1);
        for two in eight.chunks_exact_mut(2) {
            two.copy_from_slice(&table[(bits & 0xffff) as usize]);
            bits >>= 16;
        }
    }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): a counter in, 64 well mixed bits out.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(block: &[u8]) -> Vec<f64> {
        let number = |two: &[u8]| f64::from(bf16::from_le_bytes([two[0], two[1]]));
        block.chunks_exact(2).map(number).collect()
    }

    #[test]
    fn the_numbers_are_normal_with_the_deviation_asked_for() {
        let mut block = vec![0; 2 << 18];
        fill(&mut block, &Table::new().scaled(0.5), 7, 0);
        let numbers = numbers(&block);
        let moment = |power| numbers.iter().map(|x: &f64| x.powi(power)).sum::<f64>() / numbers.len() as f64;
        assert!(moment(1).abs() < 0.01, "{}", moment(1));
        assert!((moment(2) - 0.25).abs() < 0.005, "{}", moment(2));
        assert!(
            (moment(4) / moment(2).powi(2) - 3.0).abs() < 0.15,
            "a normal number's kurtosis is 3"
        );
    }

    #[test]
    fn a_part_is_the_same_whoever_makes_it_and_tensors_differ() {
        let table = Table::new().scaled(1.0);
        let (mut whole, mut part, mut other) = (vec![0; 4000], vec![0; 2000], vec![0; 4000]);
        fill(&mut whole, &table, 1, 0);
        fill(&mut part, &table, 1, 1000);
        fill(&mut other, &table, 2, 0);
        assert_eq!(whole[2000..], part[..]);
        assert_ne!(whole, other);
    }
}
