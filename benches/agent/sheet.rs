//! What was measured: figures with a value from each repetition, and points of charts. Says nothing of how they look.

use std::fmt;

/// Where a figure should lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    None,
    AtLeast(f64),
    Below(f64),
}

#[derive(Clone, Debug)]
pub struct Figure {
    pub scenario: &'static str,
    /// Who was measured: the agent, a peer, or a limit of this machine.
    pub subject: String,
    pub what: String,
    pub unit: &'static str,
    pub goal: Goal,
    pub values: Vec<f64>,
}

/// A value of each repetition for one place in one line of one chart.
#[derive(Clone, Debug)]
pub struct Point {
    pub chart: Chart,
    pub series: String,
    pub x: f64,
    pub values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    Throughput,
    Latency,
    Memory,
}

#[derive(Debug, Default)]
pub struct Sheet {
    scenario: &'static str,
    pub figures: Vec<Figure>,
    pub points: Vec<Point>,
    /// What went wrong: documents lost, runs failed, peers absent.
    pub losses: Vec<String>,
    pub remarks: Vec<String>,
}

pub const AGENT: &str = "agent";

impl Sheet {
    /// Figures from now on are of this scenario.
    pub fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// A figure of the agent.
    pub fn put(&mut self, what: &str, unit: &'static str, value: f64) {
        self.put_goal(what, unit, value, Goal::None);
    }

    pub fn put_goal(&mut self, what: &str, unit: &'static str, value: f64, goal: Goal) {
        self.put_of(AGENT, what, unit, value, goal);
    }

    pub fn put_of(&mut self, subject: &str, what: &str, unit: &'static str, value: f64, goal: Goal) {
        let scenario = self.scenario;
        let same =
            |figure: &&mut Figure| figure.scenario == scenario && figure.subject == subject && figure.what == what;
        match self.figures.iter_mut().find(same) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure {
                scenario,
                subject: subject.to_owned(),
                what: what.to_owned(),
                unit,
                goal,
                values: vec![value],
            }),
        }
    }

    pub fn point(&mut self, chart: Chart, series: &str, x: f64, y: f64) {
        let same = |point: &&mut Point| point.chart == chart && point.series == series && point.x == x;
        match self.points.iter_mut().find(same) {
            Some(point) => point.values.push(y),
            None => self.points.push(Point { chart, series: series.to_owned(), x, values: vec![y] }),
        }
    }

    pub fn loss(&mut self, words: String) {
        println!("LOSS in {}: {words}", self.scenario);
        self.losses.push(format!("{}: {words}", self.scenario));
    }

    pub fn remark(&mut self, words: String) {
        if !self.remarks.contains(&words) {
            self.remarks.push(words);
        }
    }

    pub fn find(&self, scenario: &str, subject: &str, what: &str) -> Option<&Figure> {
        let fits = |figure: &&Figure| figure.scenario == scenario && figure.subject == subject && figure.what == what;
        self.figures.iter().find(fits)
    }
}

impl Figure {
    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    /// Whether the goal is reached; `None` without one.
    pub fn is_reached(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::AtLeast(least) => Some(self.median() >= least),
            Goal::Below(limit) => Some(self.median() < limit),
        }
    }

    pub fn shown(&self) -> String {
        format!("{} {}", number(self.median()), self.unit).trim_end().to_owned()
    }

    /// From the smallest to the largest.
    pub fn range(&self) -> String {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.values.len() < 2 { String::new() } else { format!("{} – {}", number(least), number(most)) }
    }

    pub fn goal_shown(&self) -> String {
        match self.goal {
            Goal::None => String::new(),
            goal => format!("{goal} {}", self.unit).trim_end().to_owned(),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::None => Ok(()),
            Goal::AtLeast(least) => write!(f, "≥ {}", number(*least)),
            Goal::Below(limit) => write!(f, "< {}", number(*limit)),
        }
    }
}

impl Point {
    pub fn y(&self) -> f64 {
        median(&self.values)
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// Three figures that matter, thousands apart.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        let places = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.places$}");
    }
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
