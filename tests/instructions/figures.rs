//! The committed figures: a line for each unit, with the instructions at 1, 4 and 16 times its smallest number.

use std::fs;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions/figures.txt");
/// What a figure may differ by, in percent.
const TOLERANCE: u64 = 10;

type Figures = [u64; 3];

/// Four times as many must not cost more, each.
#[track_caller]
pub fn check_linear(unit: &str, figures: Figures) {
    for pair in figures.windows(2) {
        assert!(pair[1] <= above(pair[0]), "a {unit} costs more the more there are: {figures:?}");
    }
}

#[track_caller]
pub fn check_committed(unit: &str, figures: Figures) {
    let text = fs::read_to_string(PATH).expect("it is committed");
    if std::env::var_os("UPDATE_FIGURES").is_some() {
        fs::write(PATH, updated(&text, unit, figures)).expect("a file of ours");
        return;
    }
    let committed = committed(&text, unit).unwrap_or_else(|| panic!("figures.txt has no line for {unit}"));
    let pairs = || figures.into_iter().zip(committed);
    let hint = format!("a {unit}: {figures:?}, committed are {committed:?}; UPDATE_FIGURES=1 if that is meant");
    assert!(pairs().all(|(now, then)| now <= above(then)), "costs more: {hint}");
    assert!(pairs().all(|(now, then)| now >= below(then)), "costs less, which is worth committing: {hint}");
}

fn above(figure: u64) -> u64 {
    figure + figure * TOLERANCE / 100
}

fn below(figure: u64) -> u64 {
    figure - figure * TOLERANCE / 100
}

/// `unit: 1 2 3`.
fn committed(text: &str, unit: &str) -> Option<Figures> {
    let figures = text.lines().find_map(|line| line.strip_prefix(unit)?.strip_prefix(": "))?;
    let figures: Vec<u64> = figures.split(' ').map(|figure| figure.parse().expect("a number")).collect();
    figures.try_into().ok()
}

/// The text with the unit's line changed, or with one more.
fn updated(text: &str, unit: &str, figures: Figures) -> String {
    let own = format!("{unit}: ");
    let line = format!("{own}{} {} {}", figures[0], figures[1], figures[2]);
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter_mut().find(|line| line.starts_with(&own)) {
        Some(old) => *old = &line,
        None => lines.push(&line),
    }
    lines.join("\n") + "\n"
}

#[test]
fn figures_are_found_and_changed() {
    let text = updated("# about\nhost: 1 2 3\n", "document", [4, 5, 6]);
    assert_eq!(text, "# about\nhost: 1 2 3\ndocument: 4 5 6\n");
    assert_eq!(committed(&text, "document"), Some([4, 5, 6]));
    assert_eq!(updated(&text, "host", [7, 8, 9]), "# about\nhost: 7 8 9\ndocument: 4 5 6\n");
    assert_eq!(committed(&text, "doc"), None);
}
