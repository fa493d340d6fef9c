//! Which known word somebody probably meant. Driven by `section`.

/// The word of `known` that takes the fewest slips to become `word`; `None` when nothing is near.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let slips_max = (word.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= slips_max && *slips < candidate.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters that are missing, too many, wrong, or swapped with their neighbour (optimal string alignment); case and the
/// difference of `-` and `_` cost nothing.
fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(folded).collect();
    let b: Vec<char> = b.chars().map(folded).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut cost = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

fn folded(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let table = [
            ("", "", 0),
            ("ssl", "ssl", 0),
            ("SSL-Cert", "ssl_cert", 0),
            ("api_prot", "api_port", 1),
            ("timeout", "timeout_s", 2),
            ("", "cmd", 3),
            ("kitten", "sitting", 3),
        ];
        for (a, b, expected) in table {
            assert_eq!(slips(a, b), expected, "{a} {b}");
            assert_eq!(slips(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_is_named_and_nothing_far() {
        let known = ["host", "api_port", "websocket_port", "ssl", "ssl_cert", "ssl_ignore"];
        let table = [
            ("api_prot", Some("api_port")),
            ("websocket_ports", Some("websocket_port")),
            ("ssl-cert", Some("ssl_cert")),
            ("hots", Some("host")),
            ("proxy", None),
            ("x", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
