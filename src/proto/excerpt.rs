//! Foreign text made fit for one line of a log or a status: short, and without characters that could forge another line.
//! Must not judge what is secret; whoever quotes a value has to know that. Used wherever words of a server or of a RUN are repeated.

/// The text on one line: runs of blanks and control characters become one space, and what does not fit into `bytes_max` is
/// cut off, which a `…` shows.
pub fn excerpt(text: &str, bytes_max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let gap = (!line.is_empty()).then_some(' ');
        for c in gap.into_iter().chain(word.chars()) {
            if line.len() + c.len_utf8() > bytes_max {
                line.push('…');
                return line;
            }
            line.push(c);
        }
    }
    line
}

/// As much of the text as fits into `bytes_max`, never half a character.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The text, or as much of it as fits into `bytes_max` and a `…`.
pub fn bounded(text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max { format!("{}…", cut(&text, bytes_max)) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_and_says_that_it_was_cut() {
        let table = [
            ("", 10, ""),
            ("  plain  ", 10, "plain"),
            ("two\n\n lines\tand\r\n", 20, "two lines and"),
            ("a\u{0}b\u{1b}[31mred", 20, "a b [31mred"),
            ("exact", 5, "exact"),
            ("exactly", 5, "exact…"),
            ("größer", 3, "gr…"),
            ("größer", 4, "grö…"),
            ("ab cd", 3, "ab …"),
            ("x", 0, "…"),
        ];
        for (text, bytes_max, expected) in table {
            assert_eq!(excerpt(text, bytes_max), expected, "{text:?} at {bytes_max}");
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let table =
            [("", 4, ""), ("abc", 4, "abc"), ("abcde", 4, "abcd"), ("aé", 2, "a"), ("aé", 3, "aé"), ("🦀", 3, "")];
        for (text, bytes_max, expected) in table {
            assert_eq!(cut(text, bytes_max), expected, "{text:?} at {bytes_max}");
        }
    }
}
