//! Quantiles of all values of each point, in one pass and little memory.
//!
//! Values are counted in bins that are cut out of their own bits: sign, exponent and the first bits of the fraction.
//! A bin is as wide as a share of its values, so every quantile is wrong by at most that share, whatever the scale of a
//! layer; no logarithm is needed and nothing depends on the order of the blocks.

mod bins;

use bins::Bins;
use serde::Deserialize;
use sli_pipe_plugin::reducer::{Block, Cell, ColumnKind, PointState, Reducer, Table, column};

/// The reducer.
pub struct ActivationQuantiles(Options);

sli_pipe_plugin::reducer!(ActivationQuantiles);

/// The stage's `with` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    #[serde(default = "usual")]
    quantiles: Vec<f64>,
    #[serde(default)]
    absolute: bool,
    #[serde(default = "seven")]
    bits: u32,
}

fn usual() -> Vec<f64> {
    vec![0.01, 0.25, 0.5, 0.75, 0.99]
}

fn seven() -> u32 {
    7
}

impl Reducer for ActivationQuantiles {
    type Options = Options;

    fn new(options: Options) -> Result<ActivationQuantiles, String> {
        match options.quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            Some(q) => Err(format!("a quantile lies between 0 and 1, {q} does not")),
            None if !(1..=12).contains(&options.bits) => Err(format!("`bits` is 1 to 12, not {}", options.bits)),
            None => Ok(ActivationQuantiles(options)),
        }
    }

    fn step(&self, state: Vec<u8>, block: Block) -> Result<Vec<u8>, String> {
        let mut bins = Bins::read(&state, self.0.bits)?;
        for value in block.values {
            bins.count(if self.0.absolute { value.abs() } else { value });
        }
        Ok(bins.write())
    }

    fn finish(&self, states: Vec<PointState>) -> Result<Table, String> {
        let mut columns = vec![
            column("point", ColumnKind::Text),
            column("width", ColumnKind::Integer),
            column("count", ColumnKind::Integer),
            column("nan", ColumnKind::Integer),
            column("min", ColumnKind::Number),
            column("max", ColumnKind::Number),
        ];
        let quantiles = self.0.quantiles.iter();
        columns.extend(quantiles.map(|q| column(&format!("q{q}"), ColumnKind::Number)));
        let rows: Result<_, String> = states.into_iter().map(|state| self.row(state)).collect();
        Ok(Table { columns, rows: rows? })
    }
}

impl ActivationQuantiles {
    fn row(&self, state: PointState) -> Result<Vec<Cell>, String> {
        let bins = Bins::read(&state.state, self.0.bits)?;
        let number = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
        let mut row = vec![
            Cell::Text(state.point),
            Cell::Integer(state.width as i64),
            Cell::Integer(bins.total() as i64),
            Cell::Integer(bins.nan as i64),
            number(bins.quantile(0.0)),
            number(bins.quantile(1.0)),
        ];
        row.extend(self.0.quantiles.iter().map(|q| number(bins.quantile(*q))));
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(options: &str, blocks: &[&[f32]]) -> Table {
        let reducer = ActivationQuantiles::new(serde_json::from_str(options).unwrap()).unwrap();
        let mut state = Vec::new();
        for values in blocks {
            let block = Block {
                point: "decoder.0".into(),
                width: 1,
                values: values.to_vec(),
                pieces: Vec::new(),
                tokens: Vec::new(),
            };
            state = reducer.step(state, block).unwrap();
        }
        let point = "decoder.0".to_owned();
        reducer.finish(vec![PointState { point, width: 1, state }]).unwrap()
    }

    fn numbers(table: &Table) -> Vec<f64> {
        let number = |cell: &Cell| match cell {
            Cell::Number(x) => Some(*x),
            _ => None,
        };
        table.rows[0].iter().filter_map(number).collect()
    }

    #[test]
    fn quantiles_are_near_the_sorted_values() {
        let values: Vec<f32> = (0..10_001)
            .map(|i| ((i as f32 * 0.7548777).fract() - 0.3) * 50.0)
            .collect();
        let (a, b) = values.split_at(3_000);
        let found = numbers(&table("{}", &[a, b]));
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        let wanted = [0.0, 1.0, 0.01, 0.25, 0.5, 0.75, 0.99].map(|q| f64::from(sorted[(q * 10_000.0) as usize]));
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(
                (found - wanted).abs() <= wanted.abs() / 256.0,
                "{found} instead of {wanted}"
            );
        }
        assert_eq!(found[..2], wanted[..2], "the extremes are exact");
    }

    #[test]
    fn the_order_of_the_blocks_does_not_matter() {
        let (a, b) = ([1.0, -2.0, 0.0, f32::NAN], [5.5, -0.25, f32::INFINITY]);
        assert_eq!(table("{}", &[&a, &b]), table("{}", &[&b, &a]));
        assert_eq!(
            table("{}", &[&a, &b]).rows[0][2..4],
            [Cell::Integer(6), Cell::Integer(1)]
        );
    }

    #[test]
    fn magnitudes_and_points_without_values() {
        let found = numbers(&table(
            r#"{"absolute": true, "quantiles": [0.5]}"#,
            &[&[-4.0, 4.0, -4.0]],
        ));
        assert_eq!(found[..2], [4.0, 4.0]);
        assert!((found[2] - 4.0).abs() <= 4.0 / 256.0);
        assert!(numbers(&table("{}", &[])).is_empty());
        assert!(ActivationQuantiles::new(serde_json::from_str(r#"{"quantiles": [2]}"#).unwrap()).is_err());
    }
}
