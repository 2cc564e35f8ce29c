//! Weights from a hash of tensor name and element index, the same as in `parity/fixture.py`.
//! The rule is written down in `parity/README.md`.

/// FNV-1a of the name.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// In [-1, 1), exact in f32.
fn unit(name_hash: u64, index: u64) -> f32 {
    let mut z = name_hash.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / 8_388_608.0 - 1.0
}

/// One element, by the first line of the table that fits.
fn element(hash: u64, name: &str, shape: &[u64], index: u64) -> f32 {
    let u = unit(hash, index);
    let last = shape.last().copied().unwrap_or(1) as f64;
    match shape.len() {
        0 | 1 if name.ends_with(".bias") || name.ends_with("_bias") => u * 0.1,
        0 | 1 => 1.0 + 0.2 * u,
        2 if ["embed", "wte", "wpe"].iter().any(|part| name.contains(part)) => u,
        _ => u * (3.0 / last).sqrt() as f32,
    }
}

/// The elements of a tensor, row-major.
pub fn values(name: &str, shape: &[u64]) -> Vec<f32> {
    let hash = name_hash(name);
    (0..shape.iter().product())
        .map(|index| element(hash, name, shape, index))
        .collect()
}

/// `values`, or offset + scale * u for a name that a glob of `fill` fits (`*` stands for anything, `?` for one character); the first one decides.
pub fn filled(name: &str, shape: &[u64], fill: &[(String, f32, f32)]) -> Vec<f32> {
    let Some((_, offset, scale)) = fill.iter().find(|(glob, ..)| fits(glob.as_bytes(), name.as_bytes())) else {
        return values(name, shape);
    };
    let hash = name_hash(name);
    (0..shape.iter().product())
        .map(|index| offset + scale * unit(hash, index))
        .collect()
}

/// As Python's fnmatch, without classes: `*` is anything, `?` one character.
fn fits(glob: &[u8], name: &[u8]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|k| fits(rest, &name[k..])),
        Some((first, rest)) => name
            .split_first()
            .is_some_and(|(byte, name)| (*first == b'?' || first == byte) && fits(rest, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_of_fill_decides_before_the_rule() {
        let fill = vec![("*.A_log".to_owned(), 2.0, 0.0), ("a.*.b".to_owned(), 3.0, 0.0)];
        assert_eq!(filled("x.0.A_log", &[2], &fill), [2.0, 2.0]);
        assert_eq!(filled("a.7.b", &[1], &fill), [3.0]);
        let one = vec![("*.x_?".to_owned(), 4.0, 0.0)];
        assert_eq!(filled("l.x_r", &[1], &one), [4.0]);
        assert_eq!(filled("l.x_rr", &[1], &one), values("l.x_rr", &[1]));
        assert_eq!(filled("a.7.bc", &[3], &fill), values("a.7.bc", &[3]));
    }

    #[test]
    fn known_values_of_the_generator_are_met_bit_for_bit() {
        let known: Vec<serde_json::Value> = serde_json::from_str(include_str!("../parity/weights.json")).unwrap();
        assert!(known.len() > 20);
        for row in known {
            let shape: Vec<u64> = row["shape"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d.as_u64().unwrap())
                .collect();
            let name = row["name"].as_str().unwrap();
            let value = element(name_hash(name), name, &shape, row["index"].as_u64().unwrap());
            assert_eq!(u64::from(value.to_bits()), row["bits"].as_u64().unwrap(), "{row}");
        }
    }
}
