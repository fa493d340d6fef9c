//! Messages of a server that wants the agent to take time or memory: values of every odd kind, each about as long as a frame may
//! be, in every place of a RUN that has room for one.

use super::Generation;

/// Where in a RUN a value may stand; `@` is the place.
const PLACES: [&str; 6] = [
    r#""execution_ids":@,"workspaces":["ws1"]"#,
    r#""execution_ids":[1],"workspaces":@"#,
    r#""execution_ids":[1],"workspaces":["ws1"],"executor":@"#,
    r#""execution_ids":[1],"workspaces":["ws1"],"executor":"e","args":@"#,
    r#""execution_ids":[1],"workspaces":["ws1"],"executor":"e","args":{"A":@}"#,
    r#""execution_ids":[1],"workspaces":["ws1"],"executor":"e","plugin_args":{"x":@}"#,
];

/// Values of about `bytes` bytes, each with a name.
fn values(bytes: usize) -> Vec<(&'static str, String)> {
    let list = |item: &str| format!("[{}]", separated(item, bytes));
    let text = |piece: &str| format!("\"{}\"", piece.repeat(bytes / piece.len()));
    let names: String = (0..bytes / 12).map(|n| format!("\"{n:07}\":0,")).collect();
    vec![
        ("lists without end", "[".repeat(bytes)),
        ("objects without end", "{\"a\":".repeat(bytes / 5)),
        ("empty lists", list("[]")),
        ("empty objects", list("{}")),
        ("objects of one", list("{\"\":0}")),
        ("lists of lists", list(&format!("{}{}", "[".repeat(100), "]".repeat(100)))),
        ("empty texts", list("\"\"")),
        ("short texts", list("\"abcd\"")),
        ("zeros", list("0")),
        ("floats", list("1e5")),
        ("nulls", list("null")),
        ("a long number", format!("1{}", "0".repeat(bytes))),
        ("a long text", text("x")),
        ("escapes", text("\\u0001")),
        ("half characters", text("\\ud800")),
        ("one name again and again", format!("{{{}}}", separated("\"a\":0", bytes))),
        ("many names", format!("{{{}}}", names.trim_end_matches(','))),
        ("blanks", " ".repeat(bytes)),
    ]
}

fn separated(item: &str, bytes: usize) -> String {
    vec![item; bytes / (item.len() + 1)].join(",")
}

/// Messages of about `bytes` bytes, each with a name. What is in a RUN is read alike on both channels, so each gets every other one.
pub fn messages(generation: Generation, bytes: usize) -> impl Iterator<Item = (String, String)> {
    let turn = usize::from(generation == Generation::Raw);
    let values = values(bytes.saturating_sub(150)).into_iter().enumerate();
    values.flat_map(move |(n, (name, value))| {
        let places = PLACES.iter().skip((n + turn) % 2).step_by(2);
        let runs = places.map(|place| format!("{{\"action\":\"RUN\",{}}}", place.replace('@', &value)));
        let frames: Vec<String> = match generation {
            Generation::Raw => runs.chain([format!("[{value}]")]).collect(),
            Generation::SocketIo => {
                let events = runs.map(|run| format!("42/dispatcher,[\"run\",{run}]"));
                let others = ["0@", "42/dispatcher,@", "42/dispatcher,[\"message\",@]"];
                events.chain(others.iter().map(|frame| frame.replace('@', &value))).collect()
            }
        };
        frames.into_iter().map(move |frame| (format!("{name} in {}…", &frame[..frame.len().min(100)]), frame))
    })
}
