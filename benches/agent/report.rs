//! The sheet for people: a table on stdout while the benches run, and target/bench/report.html with charts at the end.

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, io};

use super::chart::{self, Axis, Line, escape};
use super::sheet::{AGENT, Chart, Figure, Sheet};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench");

/// The figures of one scenario.
pub fn print(sheet: &Sheet, scenario: &str) {
    println!("\n{scenario}");
    for figure in sheet.figures.iter().filter(|figure| figure.scenario == scenario) {
        println!(
            "  {:<62} {:>24}  {:<24} {:<20} {}",
            name(figure),
            figure.shown(),
            figure.range(),
            figure.goal_shown(),
            verdict(figure)
        );
    }
}

pub fn name(figure: &Figure) -> String {
    if figure.subject == AGENT && figure.scenario != "peers" {
        figure.what.clone()
    } else {
        format!("{}: {}", figure.subject, figure.what)
    }
}

fn verdict(figure: &Figure) -> &'static str {
    match figure.is_reached() {
        None => "",
        Some(true) => "reached",
        Some(false) => "MISSED",
    }
}

/// Writes the report and its charts; gives where.
pub fn write(sheet: &Sheet, machine: &str) -> io::Result<PathBuf> {
    let directory = PathBuf::from(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>faraday-agent, measured</title>\n<style>body{{font:15px sans-serif;\
         margin:2em;max-width:70em}}table{{border-collapse:collapse}}td,th{{padding:.2em .8em;border-bottom:1px solid #d0d7de;\
         text-align:left}}td.n{{text-align:right}}.MISSED{{color:#cf222e}}</style>\n<h1>faraday-agent, measured</h1>\n<p>{}</p>\n",
        escape(machine)
    );
    for (name, svg) in charts(sheet) {
        fs::write(directory.join(format!("{name}.svg")), &svg)?;
        page.push_str(&svg);
    }
    page.push_str("<table>\n<tr><th>what<th>median<th>smallest – largest<th>goal<th>\n");
    for figure in &sheet.figures {
        let _ = writeln!(
            page,
            "<tr><td>{}<td class=\"n\">{}<td>{}<td>{}<td class=\"{v}\">{v}",
            escape(&name(figure)),
            escape(&figure.shown()),
            escape(&figure.range()),
            escape(&figure.goal_shown()),
            v = verdict(figure)
        );
    }
    page.push_str("</table>\n");
    for words in sheet.losses.iter().chain(&sheet.remarks) {
        let _ = writeln!(page, "<p>{}", escape(words));
    }
    let path = directory.join("report.html");
    fs::write(&path, page)?;
    Ok(path)
}

/// Name and SVG of every chart that there are figures for.
fn charts(sheet: &Sheet) -> Vec<(&'static str, String)> {
    let axis = |label, log| Axis { label, log };
    let documents = axis("documents/s", false);
    let drawn = [
        (
            Chart::Throughput,
            "executors",
            "Throughput, by the number of executors at once",
            axis("executors", true),
            documents,
        ),
        (
            Chart::Latency,
            "latency",
            "From a line written to its post received",
            axis("% of documents", false),
            axis("ms at most", true),
        ),
        (
            Chart::Memory,
            "memory",
            "Memory, by what waits for the server",
            axis("MB of backlog", false),
            axis("MiB", false),
        ),
    ];
    let drawn = drawn.into_iter().filter_map(|(which, name, title, x, y)| {
        let lines = lines(sheet, which);
        (!lines.is_empty()).then(|| (name, chart::lines(title, x, y, &lines)))
    });
    drawn.chain(peers(sheet).map(|svg| ("peers", svg))).collect()
}

fn lines(sheet: &Sheet, chart: Chart) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for point in sheet.points.iter().filter(|point| point.chart == chart) {
        let place = (point.x, point.y());
        match lines.iter_mut().find(|line| line.name == point.series) {
            Some(line) => line.points.push(place),
            None => lines.push(Line { name: point.series.clone(), points: vec![place] }),
        }
    }
    lines
}

/// Everybody's rate side by side.
pub fn peers(sheet: &Sheet) -> Option<String> {
    let rates = sheet.figures.iter().filter(|figure| figure.scenario == "peers" && figure.what == "rate");
    let bars: Vec<(String, f64)> = rates.map(|figure| (figure.subject.clone(), figure.median())).collect();
    (!bars.is_empty())
        .then(|| chart::bars("From a program's output to HTTP, documents of 200 bytes", "documents/s", &bars))
}
