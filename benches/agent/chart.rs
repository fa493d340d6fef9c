//! Charts as SVG text. Knows lines and bars, and nothing of what they mean.

use std::fmt::Write;

use super::sheet::number;

/// Room for a chart and for what stands around it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1570a", "#2da44e", "#8250df"];
const BAR: f64 = 34.0;
const BAR_LABELS: f64 = 290.0;

/// One axis: what it shows, and whether equal steps stand for equal factors.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub label: &'static str,
    pub log: bool,
}

pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Where a value lies between the ends of an axis, from 0 to 1.
struct Scale {
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, log: bool) -> Scale {
        let most = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        let least = values.filter(|value| *value > 0.0).fold(most, f64::min);
        match log {
            true => Scale { from: 10f64.powf(least.log10().floor()), to: 10f64.powf(most.log10().ceil()), log },
            false => Scale { from: 0.0, to: round_up(most), log },
        }
    }

    fn place(&self, value: f64) -> f64 {
        let of = |value: f64| if self.log { value.max(self.from).log10() } else { value };
        let length = of(self.to) - of(self.from);
        if length > 0.0 { (of(value) - of(self.from)) / length } else { 0.5 }
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.log {
            return (0..=5).map(|n| self.to * f64::from(n) / 5.0).collect();
        }
        let (first, last) = (self.from.log10().round() as i32, self.to.log10().round() as i32);
        (first..=last).map(|power| 10f64.powi(power)).collect()
    }
}

/// The next 1, 2 or 5 with zeros.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|round| *round >= value).unwrap_or(value)
}

fn begin(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        RIGHT,
        escape(title)
    )
}

pub fn lines(title: &str, x: Axis, y: Axis, lines: &[Line]) -> String {
    let points = lines.iter().flat_map(|line| &line.points);
    let across = Scale::new(points.clone().map(|point| point.0), x.log);
    let up = Scale::new(points.map(|point| point.1), y.log);
    let place_x = |value: f64| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
    let place_y = |value: f64| HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin(WIDTH, HEIGHT, title);
    for tick in up.ticks() {
        let y = place_y(tick);
        let _ = writeln!(svg, r##"<path d="M{LEFT} {y:.1}H{}" stroke="#d0d7de"/>"##, WIDTH - RIGHT);
        let _ =
            writeln!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#, LEFT - 6.0, y + 4.0, number(tick));
    }
    for tick in across.ticks() {
        let (x, y) = (place_x(tick), HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{}</text>"#, number(tick));
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let _ =
        writeln!(svg, r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#, HEIGHT - 10.0, escape(x.label));
    let turned = (TOP + HEIGHT - BOTTOM) / 2.0;
    let _ = writeln!(
        svg,
        r#"<text x="14" y="{turned}" text-anchor="middle" transform="rotate(-90 14 {turned})">{}</text>"#,
        escape(y.label)
    );
    for (number, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let path: Vec<String> =
            line.points.iter().map(|(x, y)| format!("{:.1} {:.1}", place_x(*x), place_y(*y))).collect();
        let _ = writeln!(svg, r#"<path d="M{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.join("L"));
        for (x, y) in &line.points {
            let _ = writeln!(svg, r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{colour}"/>"#, place_x(*x), place_y(*y));
        }
        let (x, y) = (LEFT + 12.0, TOP + 14.0 + 18.0 * number as f64);
        let _ = writeln!(svg, r#"<text x="{x}" y="{y}" fill="{colour}">{}</text>"#, escape(&line.name));
    }
    svg + "</svg>\n"
}

/// Bars from the left, each with its name before and its value behind it.
pub fn bars(title: &str, unit: &str, bars: &[(String, f64)]) -> String {
    let most = bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
    let room = WIDTH - BAR_LABELS - 170.0;
    let height = TOP + BAR * bars.len() as f64 + 10.0;
    let mut svg = begin(WIDTH, height, title);
    for (number_of, (name, value)) in bars.iter().enumerate() {
        let y = TOP + BAR * number_of as f64;
        let (width, colour) = ((value / most * room).max(1.0), COLOURS[usize::from(number_of > 0)]);
        let text_y = y + BAR / 2.0 + 2.0;
        let _ =
            writeln!(svg, r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text>"#, BAR_LABELS - 8.0, escape(name));
        let _ = writeln!(
            svg,
            r#"<rect x="{BAR_LABELS}" y="{}" width="{width:.1}" height="{}" fill="{colour}"/>"#,
            y + 5.0,
            BAR - 10.0
        );
        let x = BAR_LABELS + width + 6.0;
        let _ = writeln!(svg, r#"<text x="{x:.1}" y="{text_y}">{} {unit}</text>"#, number(*value));
    }
    svg + "</svg>\n"
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
