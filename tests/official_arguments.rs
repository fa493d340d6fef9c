//! Every argument of every executor in this binary, attacked: what a server sends that a tool could take for a file, an option, a
//! URL of another kind or code is refused before anything runs.
//!
//! What is expected is written here by hand, apart from `accepts.json` and from the code that reads it: each argument is of a
//! kind, and each attack says which kinds may take it, because to them it is what it says and nothing else.

#[path = "support/mod.rs"]
mod support;

use faraday_agent::official;
use faraday_agent::proto::param::{Param, ParamType};
use serde_json::{Value, json};

use support::{AgentProcess, SOON, Standin};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    /// A number from 0 or 1 up to 65,535 or a year in seconds.
    Number,
    Ports,
    Scripts,
    Target,
}
use Kind::{Flag, Number, Ports, Scripts, Target};

/// What each argument is. One that is missing here fails the test, and so does one that there is not.
const ARGUMENTS: [(&str, &str, Kind); 9] = [
    ("nmap", "TARGET", Target),
    ("nmap", "PORT_LIST", Ports),
    ("nmap", "OPTION_SC", Flag),
    ("nmap", "OPTION_SV", Flag),
    ("nmap", "OPTION_PN", Flag),
    ("nmap", "SCRIPT_TIMEOUT", Number),
    ("nmap", "HOST_TIMEOUT", Number),
    ("nmap", "TOP_PORTS", Number),
    ("nmap", "SCRIPT_CMD", Scripts),
];

/// Attacks, and the kinds for which the text is none.
const ATTACKS: [(&str, &[Kind]); 100] = [
    // Files.
    ("/proc/self/environ", &[]),
    ("/etc/passwd", &[]),
    ("/", &[]),
    (".", &[]),
    ("..", &[]),
    ("../x", &[]),
    ("x/../../y", &[]),
    ("./x", &[]),
    ("~", &[]),
    ("~/.nmap/x", &[]),
    ("scripts/", &[]),
    ("scripts/x", &[]),
    ("C:\\x", &[]),
    ("\\\\host\\share", &[]),
    ("x;/etc/passwd", &[]),
    ("default,/tmp/x", &[]),
    // To a scanner this is the name of a host, and nmap looks for services of this name.
    ("planted.nse", &[Target, Ports]),
    ("10.0.0.0/24/../..", &[]),
    ("10.0.0.0/x", &[]),
    ("@file", &[]),
    ("default,@file", &[]),
    ("+planted", &[]),
    ("default,+planted", &[]),
    // Options.
    ("-oN", &[]),
    ("-oN/tmp/x", &[]),
    ("-oN /tmp/x", &[]),
    ("-iL", &[]),
    ("-iR", &[]),
    ("--script", &[]),
    ("--script=/tmp/x", &[]),
    ("--datadir=/tmp", &[]),
    ("--", &[]),
    // All ports.
    ("-", &[Ports]),
    // A range from the first port.
    ("-1", &[Ports]),
    ("-1.0.0.1", &[]),
    ("80 -oN x", &[]),
    ("10.0.0.1 -oN x", &[]),
    ("default -oN x", &[]),
    ("x,-oN", &[]),
    ("(-oN)", &[]),
    // URLs.
    ("file:///etc/passwd", &[]),
    ("FILE://x", &[]),
    ("ftp://10.0.0.1/", &[]),
    ("gopher://10.0.0.1/", &[]),
    ("dict://10.0.0.1/", &[]),
    ("javascript:alert(1)", &[]),
    ("data:,x", &[]),
    ("//10.0.0.1/x", &[]),
    ("http://", &[]),
    ("http:///etc/passwd", &[]),
    ("http://-oN/", &[]),
    ("http://@file", &[Target]),
    ("http://a@-oN/", &[]),
    ("http://a\\@b/", &[]),
    ("http://a/`id`", &[]),
    ("http://a/\"", &[]),
    ("http://a b/", &[]),
    ("http://a:80 -oN x", &[]),
    ("http://[fe80::1%25../x]/", &[]),
    // Only a URL: its path goes nowhere near a shell.
    ("http://a.example/$(id)?../..", &[Target]),
    // Line breaks and characters that end or colour a line.
    ("10.0.0.1\n-oN", &[]),
    ("80\n-oN", &[]),
    ("default\n-oN", &[]),
    ("True\n", &[]),
    ("10.0.0.1\r", &[]),
    ("10.0.0.1\0", &[]),
    ("\0", &[]),
    ("\n", &[]),
    ("\t", &[]),
    ("10.0.0.1\u{2028}-oN", &[]),
    ("\u{1b}[31mred", &[]),
    // File name patterns.
    ("*", &[Ports, Scripts]),
    ("http*", &[Ports, Scripts]),
    ("?", &[]),
    ("[a-z]", &[]),
    ("{a,b}", &[]),
    ("10.0.0.*", &[Target]),
    // A shell's and Lua's code.
    ("$(id)", &[]),
    ("`id`", &[]),
    ("${IFS}", &[]),
    ("$PATH", &[]),
    ("; id", &[]),
    ("10.0.0.1;id", &[]),
    ("80|id", &[]),
    ("80&id", &[]),
    ("80>x", &[]),
    ("'", &[]),
    ("\"", &[]),
    ("os.execute('id')", &[]),
    ("os.execute[[id]]", &[]),
    ("return os.exit()", &[]),
    ("default) or os.exit(", &[]),
    ("--[[", &[]),
    ("x=1", &[]),
    // Names of categories are names of hosts, too.
    ("default", &[Target, Ports, Scripts]),
    ("True", &[Flag, Target, Ports, Scripts]),
    // Letters and digits of other scripts.
    ("\u{ff0f}etc\u{ff0f}passwd", &[]),
    ("\u{2010}oN", &[]),
    ("\u{430}dmin", &[]),
    ("\u{ff18}\u{ff10}", &[]),
];

/// The same with some that are long.
fn attacks() -> Vec<(String, &'static [Kind])> {
    let long: [(String, &[Kind]); 5] = [
        ("9".repeat(300), &[]),
        ("9".repeat(200_000), &[]),
        ("../".repeat(60_000), &[]),
        (format!("/{}", "x".repeat(255)), &[]),
        (format!("{}.example", "x".repeat(64)), &[Ports]),
    ];
    ATTACKS.into_iter().map(|(text, kinds)| (text.to_owned(), kinds)).chain(long).collect()
}

/// The ways to send a text: alone, and as an element of a list or of what has no business in an argument.
fn forms(text: &str) -> [Value; 5] {
    [json!(text), json!([text]), json!(["10.0.0.1", text, 443]), json!([[text]]), json!({ "x": text })]
}

/// Whether `value`, made of an attack that `kinds` may take, may reach the executor.
fn is_harmless(param: &Param, kind: Kind, value: &Value, kinds: &[Kind]) -> bool {
    let is_list = param.types == [ParamType::List];
    match value {
        Value::String(_) => !is_list && kinds.contains(&kind),
        Value::Array(elements) => {
            // `10.0.0.1` and `443` stand beside some attacks; as ports and targets they are at least digits and dots.
            let others_fit = elements.len() == 1 || kind == Target;
            is_list && others_fit && kinds.contains(&kind) && elements.iter().all(|element| !element.is_array())
        }
        _ => false,
    }
}

/// Every argument of every official executor, with what it is.
fn arguments() -> Vec<(&'static str, Param, Kind)> {
    let mut arguments = Vec::new();
    for name in official::names() {
        for param in official::find(name).expect("a name out of the list").manifest.params {
            let row = ARGUMENTS.iter().find(|(executor, argument, _)| (*executor, *argument) == (name, &param.name));
            let (_, _, kind) = row.unwrap_or_else(|| panic!("{name}.{}: say here what it is", param.name));
            arguments.push((name, param, *kind));
        }
    }
    assert_eq!(arguments.len(), ARGUMENTS.len(), "a row is of an argument that there is not");
    arguments
}

#[test]
fn every_argument_of_every_official_executor_refuses_every_attack_or_takes_it_for_what_it_says() {
    for (executor, param, kind) in arguments() {
        for (attack, kinds) in attacks() {
            for value in forms(&attack) {
                let checked = param.check(&value);
                let shown: String = value.to_string().chars().take(100).collect();
                let expected = is_harmless(&param, kind, &value, kinds);
                assert_eq!(checked.is_ok(), expected, "{executor}.{} = {shown}: {checked:?}", param.name);
                if let Err(refusal) = checked {
                    assert!(refusal.starts_with(&param.name), "{refusal}");
                    assert!(refusal.len() < 1_000 && !refusal.contains(char::is_control), "{refusal}");
                }
            }
        }
    }
}

/// The texts that the table calls harmless are not all there is: what people scan with passes.
#[test]
fn what_people_ask_for_passes() {
    for (argument, values) in [
        (
            "TARGET",
            json!([["localhost"], ["10.0.0.0/24", "10.0.0-5.1-20", "2001:db8::1"], ["https://a.example:8443/x"]]),
        ),
        ("PORT_LIST", json!([[80, "443", "1-1024", "U:53,T:25", "-"], []])),
        ("OPTION_SC", json!([true, "False"])),
        ("SCRIPT_TIMEOUT", json!([0, 30, "30", 31_536_000])),
        ("TOP_PORTS", json!(["1", "65535", ""])),
        ("SCRIPT_CMD", json!(["vulners", "(default or safe) and not http-*", "smb-vuln-*,banner", ""])),
    ] {
        let params = official::find("nmap").expect("nmap").manifest.params;
        let param = params.iter().find(|param| param.name == argument).expect("an argument");
        for value in values.as_array().expect("a list of values") {
            assert_eq!(param.check(value).err(), None, "{argument} = {value}");
        }
    }
}

/// The same on the way that a RUN takes, with the real agent.
#[test]
fn nothing_runs_for_an_attack() {
    let server = Standin::builder().workspace("ws1").start();
    let builder = official::names().fold(AgentProcess::builder(&server), |builder, name| {
        builder.executor_entry(name, json!({ "repo_executor": name }))
    });
    let _agent = builder.start();
    server.wait_joined(SOON);
    for (executor, param, kind) in arguments() {
        for (attack, kinds) in attacks().into_iter().filter(|(attack, _)| attack.len() < 1_000) {
            let value = if param.types == [ParamType::List] { json!([attack]) } else { json!(attack) };
            if is_harmless(&param, kind, &value, kinds) {
                continue;
            }
            let mut args = mandatory(executor);
            args[&param.name] = value;
            let id = server.run(executor, args, &["ws1"])[0];
            let status = server.wait_over(id, SOON);
            let refusal = format!("Executor {executor} was not started: {}", param.name);
            assert!(status.message.starts_with(&refusal), "{attack:?}: {}", status.message);
            assert_eq!(server.statuses(id).len(), 1, "{attack:?}: it is never said to run");
        }
    }
    assert_eq!(server.attempts("ws1").len(), 0);
}

/// Something harmless for every argument that has to be there.
fn mandatory(executor: &str) -> Value {
    let needed = arguments().into_iter().filter(|(name, param, _)| *name == executor && param.mandatory);
    let plain = |param: &Param| if param.types == [ParamType::List] { json!(["10.0.0.1"]) } else { json!("10.0.0.1") };
    needed.map(|(_, param, _)| (param.name.clone(), plain(&param))).collect()
}
