//! Text of plugins, made fit for a terminal.

/// `text` without control characters but line breaks (which become spaces) and of at most `limit` bytes.
pub fn clean(text: &str, limit: usize) -> String {
    let text = text.trim();
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        if out.len() + c.len_utf8() > limit {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Marks that turn the direction of text or are not seen at all: they could make a message read as another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn what_moves_the_cursor_or_turns_text_is_left_out() {
        assert_eq!(clean(" a\u{1b}[31mb\r\nc\u{202e}d ", 100), "a[31mb cd");
        assert_eq!(clean("äöü", 4), "äö…");
    }
}
