//! Puts the figures into README.md, between two comments, and the chart beside the benches: `--readme`.

use std::fmt::Write;
use std::{fs, io};

use super::peers::RATIO;
use super::report;
use super::sheet::{Figure, Sheet};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const CHART: &str = "benches/throughput.svg";
const BEGIN: &str = "<!-- figures: cargo bench --bench agent -- --readme -->";
const END: &str = "<!-- end of figures -->";

pub fn replace(sheet: &Sheet, machine: &str) -> io::Result<()> {
    let readme = fs::read_to_string(README)?;
    let places = readme.find(BEGIN).zip(readme.find(END));
    let (begin, end) = places.ok_or_else(|| io::Error::other("README.md has no place for figures"))?;
    fs::write(README, format!("{}{}\n{}{}", &readme[..begin], BEGIN, block(sheet, machine), &readme[end..]))?;
    match report::peers(sheet) {
        Some(svg) => fs::write(format!("{}/{CHART}", env!("CARGO_MANIFEST_DIR")), svg),
        None => Ok(()),
    }
}

fn block(sheet: &Sheet, machine: &str) -> String {
    let mut text = format!("\n{machine}:\n\n");
    let _ = writeln!(text, "| what | median | smallest – largest | goal |\n|---|---|---|---|");
    for figure in sheet.figures.iter().filter(|figure| figure.is_reached().is_some()) {
        let missed = if figure.is_reached() == Some(false) { " (missed)" } else { "" };
        let name = report::name(figure);
        let _ =
            writeln!(text, "| {name} | {} | {} | {}{missed} |", figure.shown(), figure.range(), figure.goal_shown());
    }
    let rates: Vec<&Figure> =
        sheet.figures.iter().filter(|figure| figure.scenario == "peers" && figure.what == "rate").collect();
    if rates.is_empty() {
        return text + "\n";
    }
    let _ = writeln!(
        text,
        "\n| the same work | documents/s | CPU a document | peak memory | {RATIO} |\n|---|---|---|---|---|"
    );
    for rate in rates {
        let other = |what: &str| sheet.find("peers", &rate.subject, what).map(Figure::shown).unwrap_or_default();
        let (cpu, memory, ratio) = (other("CPU a document"), other("peak memory"), other(RATIO));
        let _ = writeln!(
            text,
            "| {} | {} | {cpu} | {memory} | {ratio} |",
            rate.subject,
            super::sheet::number(rate.median())
        );
    }
    text + &format!("\n![documents a second]({CHART})\n")
}
