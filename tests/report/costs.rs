//! What a scanned host makes a scanner print costs time in proportion to its length, whatever it is.

use std::fs;
use std::hint::black_box;

use faraday_agent::report::{self, Options};

/// Eight times as much may take three times eight as long: caches and a busy machine cost some, a square would be sixty-four.
const GROWTH: usize = 8;
const TIMES_MAX: u64 = 24;
const SMALL: usize = 4_000;
/// Some ticks, in nanoseconds.
const MEASURED_MIN: u64 = 40_000_000;

/// A shape of reports, of any size: what stands inside a host, or a port, or a script's output.
type Shape = fn(usize) -> String;

fn all(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect()
}

fn script(id: &str, output: &str) -> String {
    format!(r#"<script id="{id}" output="{output}"/>"#)
}

const SHAPES: [(&str, Shape); 17] = [
    ("names of CVEs", |n| script("a", &format!("VULNERABLE {}", all(n, |i| format!("CVE-2020-{i:07} "))))),
    ("one name of a CVE again and again", |n| script("a", &format!("VULNERABLE {}", "CVE-2020-1234567 ".repeat(n)))),
    ("beginnings of names", |n| script("a", &format!("VULNERABLE {}{}", "CVE-".repeat(n), "CVE-2020-1".repeat(n)))),
    ("a name without end", |n| script("a", &format!("VULNERABLE CVE-2020-{}", "1".repeat(8 * n)))),
    ("references", |n| script("a", &format!("References: {}", all(n, |i| format!("https://a/{i} "))))),
    ("verdicts", |n| script("a", &"NOT VULNERABLE ".repeat(n))),
    ("entries of vulners", |n| script("vulners", &all(n, |i| format!("CVE-2020-{i:07} 5.0 https://a/{i}&#xa;")))),
    ("one entry of vulners again and again", |n| script("vulners", &"CVE-2020-1234 5.0 https://a/&#xa;".repeat(n))),
    ("words on one line of vulners", |n| script("vulners", &"CVE-2020-1234 ".repeat(n))),
    ("scripts", |n| all(n, |i| script(&format!("http-{i}"), "x"))),
    ("one script again and again", |n| script("a", "x").repeat(n)),
    ("references to characters", |n| script("a", &"&#xa;&amp;&x;".repeat(n))),
    ("attributes", |n| format!(r#"<script id="a" output="x" {}/>"#, all(n, |i| format!(r#"a{i}="x" "#)))),
    ("elements in elements", |n| format!("{}{}", "<table>".repeat(n), "</table>".repeat(n))),
    ("elements beside elements", |n| format!("<table>{}</table>", "<elem key='a'>x</elem>".repeat(n))),
    ("a text", |n| format!("<elem>{}</elem>", "x &gt; ".repeat(n))),
    ("a comment", |n| format!("<!--{}-->", "- ".repeat(n))),
];

const OF_A_HOST: [(&str, Shape); 6] = [
    ("hostnames", |n| format!("<hostnames>{}</hostnames>", all(n, |i| format!(r#"<hostname name="h{i}.example"/>"#)))),
    ("one hostname again and again", |n| {
        format!("<hostnames>{}</hostnames>", r#"<hostname name="h.example"/>"#.repeat(n))
    }),
    ("ports", |n| {
        format!("<ports>{}</ports>", all(n, |i| format!(r#"<port protocol="tcp" portid="{}"/>"#, i % 65_536)))
    }),
    ("one port again and again", |n| {
        format!("<ports>{}</ports>", r#"<port protocol="tcp" portid="1"><script id="a" output="x"/></port>"#.repeat(n))
    }),
    ("addresses", |n| all(n, |i| format!(r#"<address addr="::{i:x}" addrtype="ipv6"/>"#))),
    ("guesses", |n| format!("<os>{}</os>", all(n, |i| format!(r#"<osmatch name="{i}" accuracy="{}"/>"#, i % 101)))),
];

fn report_of(inside: &str) -> String {
    format!(
        r#"<nmaprun><host><address addr="10.0.0.1" addrtype="ipv4"/>{inside}</host><runstats><hosts total="1"/></runstats></nmaprun>"#
    )
}

/// What one conversion costs of a CPU, in nanoseconds; others on the machine do not count.
fn cost(report: &str) -> u64 {
    let tags = (0..20).map(|i| format!("tag{i}")).collect::<Vec<_>>().join(",");
    let options = Options::from_environment(|name| name.ends_with("_TAG").then(|| tags.clone())).unwrap();
    let (start, mut rounds) = (spent(), 0);
    loop {
        let mut output = Vec::new();
        report::run("nmap", report.as_bytes(), &mut output, &options).unwrap();
        black_box(output);
        rounds += 1;
        let spent = spent() - start;
        if spent > MEASURED_MIN {
            return spent / rounds;
        }
    }
}

/// Of this thread, in nanoseconds: see schedstat in proc(5). The kernel counts in ticks.
fn spent() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_cost_of_a_report_grows_no_faster_than_the_report() {
    let below_a_port = SHAPES.map(|(name, shape)| {
        let ports = move |n| {
            let inside: String = shape(n);
            format!(r#"<ports><port protocol="tcp" portid="80">{inside}</port></ports>"#)
        };
        (name, Box::new(ports) as Box<dyn Fn(usize) -> String>)
    });
    let of_a_host = OF_A_HOST.map(|(name, shape)| (name, Box::new(shape) as Box<dyn Fn(usize) -> String>));
    for (name, shape) in below_a_port.into_iter().chain(of_a_host) {
        let (small, large) = (report_of(&shape(SMALL)), report_of(&shape(GROWTH * SMALL)));
        let (small, large) = (cost(&small), cost(&large));
        println!("{name}: {} µs, {} µs", small / 1_000, large / 1_000);
        assert!(large < TIMES_MAX * small, "{name}: {GROWTH} times as much takes {} times as long", large / small);
    }
}
