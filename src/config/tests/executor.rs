//! One executor of the section `agent`.

use super::*;

#[test]
fn every_executor_key() {
    let command = |text: &str| Program::Command(text.into());
    let official = |text: &str| Program::Official(text.into());
    let table = [
        ("cmd: exit 1", command("exit 1")),
        ("cmd: true", command("true")),
        ("cmd: x, repo_executor: ''", command("x")),
        ("cmd: x, repo_executor: null, max_size: '65536', varenvs: {}, params: {}", command("x")),
        ("cmd: x, max_size: , varenvs: , params: ", command("x")),
        ("repo_executor: nmap.py, repo_name: nmap, max_size: 1", official("nmap")),
        ("repo_executor: nmap, cmd: ''", official("nmap")),
        ("repo_executor: sublist3r.sh", official("sublist3r")),
    ];
    for (text, expected) in table {
        assert_eq!(executor(text).program, expected, "{text}");
    }
    assert_eq!(executor("cmd: x").timeout, None);
    assert_eq!(executor("cmd: x, timeout_s: '1.5'").timeout, Some(Duration::from_millis(1500)));
}

#[test]
fn variables_are_upper_case_and_texts_as_written() {
    let varenvs = executor("cmd: x, varenvs: {a: 1.50, b: yes, C: 'null', d: null, e: 0755, f: ''}");
    let varenvs: Vec<_> = varenvs_of(varenvs);
    let expected = [("A", "1.50"), ("B", "yes"), ("C", "null"), ("D", ""), ("E", "0755"), ("F", "")];
    assert_eq!(varenvs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn params_keep_their_names_and_order() {
    let params = executor(
        "cmd: x, params: {TARGET: {mandatory: True, type: [ip, url], base: string}, limit: {mandatory: 'no', type: integer, base: 5}}",
    );
    assert_eq!(
        params.params,
        [
            Param {
                name: "TARGET".into(),
                mandatory: true,
                types: vec![ParamType::Ip, ParamType::Url],
                base: "string".into(),
                accept: None,
            },
            Param {
                name: "limit".into(),
                mandatory: false,
                types: vec![ParamType::Integer],
                base: "5".into(),
                accept: None
            },
        ]
    );
}

/// Each row: what stands in the executor `e`, and the complaints about it, below its path. None shows a value that may be
/// secret.
fn check_executor_problems(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let found = problems(&in_executor(text));
        let expected: Vec<String> = expected.iter().map(|text| format!("agent.executors.e{text}")).collect();
        assert_eq!(found, expected, "{text}");
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
}

#[test]
fn what_is_wrong_with_an_executor() {
    let neither = ": expected cmd (a command) or repo_executor (such as nmap.py)";
    check_executor_problems(&[
        ("", &[neither]),
        ("cmd: , repo_executor: ''", &[neither]),
        ("cmd: [hunter2]", &[".cmd: a list is not a command"]),
        ("cmd: \"hunter2\\0\"", &[".cmd: the value (not shown) is not a command"]),
        ("repo_executor: ../nmap.py", &[".repo_executor: \"../nmap.py\" is not an official executor such as nmap.py"]),
        ("cmd: x, max_size: 64K", &[".max_size: \"64K\" is not a number"]),
        ("cmd: x, timeout_s: 0", &[".timeout_s: \"0\" is not a number of seconds (more than 0, at most 31622400)"]),
    ]);
}

#[test]
fn what_is_wrong_with_varenvs() {
    let name = "becomes the name of an environment variable, so it must not be empty or have = in it";
    check_executor_problems(&[
        ("cmd: x, varenvs: [hunter2]", &[".varenvs: a list where a mapping of keys to values is expected"]),
        (
            "cmd: x, varenvs: {a: [hunter2], b: \"hunter2\\0\"}",
            &[
                ".varenvs.a: a list is not a text, number or boolean",
                ".varenvs.b: the value (not shown) is not a text, number or boolean",
            ],
        ),
        (
            "cmd: x, varenvs: {'': hunter2, 'b=hunter2': hunter2}",
            &[&format!(".varenvs.\"\": {name}"), &format!(".varenvs.\"b=\"…: {name}")],
        ),
    ]);
}

#[test]
fn what_is_wrong_with_params() {
    let types = "a type (integer, string, password, boolean, list, domains, range, ip, float or url)";
    check_executor_problems(&[
        ("cmd: x, params: {T: true}", &[".params.T: a text where a mapping of keys to values is expected"]),
        (
            "cmd: x, params: {T: {}}",
            &[
                ".params.T.mandatory: missing; expected true or false",
                &format!(".params.T.type: missing; expected {types}"),
                ".params.T.base: missing; expected a text",
            ],
        ),
        (
            "cmd: x, params: {T: {mandatory: 2, type: strng, base: []}}",
            &[
                ".params.T.mandatory: \"2\" is not true or false",
                &format!(".params.T.type: \"strng\" is not {types}"),
                ".params.T.base: a list is not a text",
            ],
        ),
        (
            "cmd: x, params: {T: {mandatory: no, type: [ip, x, [url]], base: s}}",
            &[
                &format!(".params.T.type[1]: \"x\" is not {types}"),
                &format!(".params.T.type[2]: a list is not {types}"),
            ],
        ),
        (
            "cmd: x, params: {T: {mandatory: no, type: [], base: s}}",
            &[&format!(".params.T.type: an empty list; expected {types}, or several")],
        ),
    ]);
}
