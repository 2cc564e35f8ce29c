//! Diagnostics as people read them.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Label, Severity};

/// Widest line before long equations are cut around their underline; fixed, so that output is the same everywhere.
const WIDTH: usize = 140;

/// All `diagnostics` as text, one block each with an empty line between: message, file:line:column, the line
/// with a caret, notes and help. Without `colour` the text is plain ASCII apart from what it quotes. Ends with
/// a newline unless there is nothing to say.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let blocks: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| {
            let text = renderer.render(&[group(diagnostic)]);
            let placeless = diagnostic.primary.is_none() && diagnostic.secondary.is_empty();
            // without a place there is no margin to draw
            text.lines()
                .filter(|line| !(placeless && is_margin(line)))
                .map(str::trim_end)
                .collect::<Vec<_>>()
                .join("\n")
                + "\n"
        })
        .collect();
    blocks.join("\n")
}

/// A line that holds only the margin, whatever its colour.
fn is_margin(line: &str) -> bool {
    let plain = line.split('\u{1b}').enumerate().map(|(k, part)| match k {
        0 => part,
        _ => part.split_once('m').map_or("", |split| split.1),
    });
    plain.collect::<String>().trim() == "|"
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .elements(snippets(diagnostic));
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// One snippet per file, the primary label's first, so that labels in one file are shown together.
fn snippets(diagnostic: &Diagnostic) -> Vec<Snippet<'_, annotate_snippets::Annotation<'_>>> {
    let labels: Vec<(&Label, AnnotationKind)> = diagnostic
        .primary
        .as_deref()
        .into_iter()
        .map(|label| (label, AnnotationKind::Primary))
        .chain(
            diagnostic
                .secondary
                .iter()
                .map(|label| (label, AnnotationKind::Context)),
        )
        .collect();
    let mut files = Vec::new();
    for (label, _) in &labels {
        if !files.contains(&&label.file) {
            files.push(&label.file);
        }
    }
    files
        .into_iter()
        .map(|file| {
            let annotations = labels
                .iter()
                .filter(|(label, _)| &label.file == file)
                .map(|(label, kind)| {
                    let text = (!label.text.is_empty()).then_some(label.text.as_str());
                    kind.span(within(label)).label(text)
                });
            Snippet::source(file.text.as_str())
                .path(file.name.as_str())
                .annotations(annotations)
        })
        .collect()
}

/// The label's span, cut to the text and widened to whole characters: a wrong span must not hide the message.
fn within(label: &Label) -> std::ops::Range<usize> {
    let text = &label.file.text;
    let mut start = label.span.start.min(text.len());
    let mut end = label.span.end.clamp(start, text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}
