//! The chart: one bar a measure, how much of its target it reaches.

use std::path::Path;

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::measure::Measure;
use crate::failure::Failure;

/// Bars end here; half as much again as the target is good enough for a picture.
const LONGEST: f64 = 1.5;

/// Size of a bar with its surroundings, and of the rest, in points.
const BAR: (u32, u32) = (1000, 34);

/// Where bars start: what stands left of it is the words.
const LEFT: i32 = 520;

/// Where a bar that reaches its target ends.
const GOAL: i32 = LEFT + 200;

/// Writes the chart of the measures that have values.
///
/// # Errors
/// [`Failure::Io`] where the file cannot be written.
pub(super) fn write(path: &Path, measures: &[Measure]) -> Result<(), Failure> {
    std::fs::write(path, svg(measures)).map_err(Failure::io("write", path))
}

/// The chart as text.
fn svg(measures: &[Measure]) -> String {
    let shown: Vec<(&Measure, f64)> = (measures.iter())
        .filter_map(|measure| Some((measure, measure.summary()?.median)))
        .collect();
    let mut text = String::new();
    let height = BAR.1 * shown.len() as u32 + 60;
    // Drawing into memory has nothing that fails; a part that did would be missing, and a test looks at all parts.
    let _ = draw(
        &SVGBackend::with_string(&mut text, (BAR.0, height)).into_drawing_area(),
        &shown,
    );
    text
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(area: &Area<'_>, shown: &[(&Measure, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let words = |size: f64, horizontal| {
        let style = TextStyle::from(("sans-serif", size).into_font());
        style
            .pos(Pos::new(horizontal, VPos::Center))
            .color(&RGBColor(40, 40, 40))
    };
    let bottom = 40 + BAR.1 as i32 * shown.len() as i32;
    area.draw(&Text::new("target", (GOAL, 18), words(15.0, HPos::Center)))?;
    for (at, (measure, median)) in shown.iter().enumerate() {
        let middle = 40 + BAR.1 as i32 * at as i32 + BAR.1 as i32 / 2;
        let reached = measure.target.reached(*median).min(LONGEST);
        let end = LEFT + (f64::from(GOAL - LEFT) * reached) as i32;
        // blue and orange differ for every eye, and the text says it again
        let colour = match measure.target.is_met(*median) {
            true => RGBColor(49, 104, 172),
            false => RGBColor(221, 132, 46),
        };
        area.draw(&Rectangle::new(
            [(LEFT, middle - 9), (end, middle + 9)],
            colour.filled(),
        ))?;
        let label = format!("{}: {}", measure.key, short(&measure.what));
        area.draw(&Text::new(label, (LEFT - 8, middle), words(14.0, HPos::Right)))?;
        let value = format!("{} ({})", measure.median(), measure.wanted());
        area.draw(&Text::new(value, (end.max(GOAL) + 8, middle), words(14.0, HPos::Left)))?;
    }
    let line = vec![(GOAL, 30), (GOAL, bottom)];
    area.draw(&PathElement::new(line, RGBColor(40, 40, 40).stroke_width(2)))?;
    Ok(area.present()?)
}

/// As much of `text` as fits beside a bar.
fn short(text: &str) -> String {
    const ROOM: usize = 66;
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::measure::Target, *};

    #[test]
    fn every_measured_row_has_a_bar_with_its_numbers() {
        let measure = |key, values: &[f64]| Measure {
            key,
            what: "growth".into(),
            target: Target::AtMost(5.0),
            unit: " %",
            values: values.to_vec(),
            note: String::new(),
            command: String::new(),
        };
        let text = svg(&[
            measure("met", &[2.5]),
            measure("missed", &[10.0]),
            measure("blank", &[]),
        ]);
        assert!(
            text.contains("met: growth") && text.contains("2.50 % (≤ 5 %)"),
            "{text}"
        );
        assert!(text.contains("missed: growth") && !text.contains("blank"), "{text}");
        // background and two bars; the missed one is half as long as the target
        assert_eq!(text.matches("<rect").count(), 3, "{text}");
        assert!(
            text.contains(r#"width="100""#) && text.contains(r#"width="300""#),
            "{text}"
        );
        assert!(text.trim_end().ends_with("</svg>"));
    }
}
