//! A document that breaks off never takes the next one with it.

use super::*;

const HOST: &str = r#"{"ip":"10.0.0.1","credentials":[{"username":"a"}],"services":[{"port":80,"vulnerabilities":[{"name":"v","refs":[]}]}],"n":[-1.5e3,true,null,"é"]}"#;

/// One-line documents that are broken off at every place.
fn broken() -> Vec<String> {
    vec![
        format!(r#"{{"hosts":[{HOST},{{"ip":"b"}}],"command":{{"tool":"x"}},"credentials":[{{"username":"u"}}]}}"#),
        r#"{ "credentials" : [ {"username":"u"} , {"username":"v"} ] , "hosts" : [ { "ip" : "c" } , [ 1 , 2 ] ] }"#
            .into(),
        r#"{"execution_id":4,"x":[{"y":[{"z":{}}]}],"command":{"command":"a"},"hosts":[1,2,{}]}"#.into(),
        r#"{"hosts":{"a":[{"b":1}]},"credentials":5,"credentials":[{"a":[]}]}"#.into(),
    ]
}

/// Documents of which nothing may be missing.
fn good() -> Vec<String> {
    let compact = [
        format!(r#"{{"hosts":[{HOST},2]}}"#),
        r#"{"hosts":[]}"#.into(),
        r#"{"credentials":[{"username":"g"},{"username":"h"}],"hosts":[{"ip":"d"},{"credentials":[],"ip":"e"}]}"#
            .into(),
        r#"{"credentials":[{"username":"g"}]}"#.into(),
        r#"{"credentials":[{"username":"g"}],"execution_id":4}"#.into(),
        r#"{"command":{"tool":"y","command":"z"},"credentials":[1],"hosts":[2,3]}"#.into(),
        r#"{"execution_id":4,"command":{"tool":"y"},"hosts":[2,3],"credentials":[{"a":1}]}"#.into(),
        r#"{"execution_id":4,"credentials":[{"a":1}]}"#.into(),
        r#"{"tool":"y","x":[{"ip":1}],"hosts":[2,3]}"#.into(),
        r#"{"tool":"y","credentials":["a"],"hosts":[2,3]}"#.into(),
    ];
    let printed = compact.iter().flat_map(|document| {
        let document = serde_json::from_str(document).unwrap();
        ["", "  "].map(|indent| print(&document, indent))
    });
    compact.iter().cloned().chain(printed).collect()
}

fn check_cuts(newline: &str) {
    for bad in broken() {
        let pieces_of_bad = read([bad.as_bytes()], 1 << 20);
        for good in good() {
            let expected = read([good.as_bytes()], 1 << 20);
            for cut in (1..bad.len()).filter(|&cut| bad.is_char_boundary(cut)) {
                let stream = format!("{}{newline}{good}\n", &bad[..cut]);
                let told = read([stream.as_bytes()], 1 << 20);
                let (head, tail) = told.split_at(told.len().saturating_sub(expected.len()));
                assert_eq!(tail, expected, "{stream}");
                let [pieces @ .., fault] = head else { panic!("no fault: {stream}") };
                assert!(fault.starts_with("NotJson {") || fault.starts_with("Unfinished {"), "{fault}: {stream}");
                // The last number before the cut may have been longer.
                let known = pieces.iter().zip(&pieces_of_bad).all(|(a, b)| b.starts_with(a.as_str()));
                assert!(known && pieces.len() <= pieces_of_bad.len(), "{head:?}: {stream}");
            }
        }
    }
}

#[test]
fn a_cut_anywhere_costs_nothing_of_the_next_document() {
    check_cuts("\n");
}

#[test]
fn a_cut_with_carriage_return_costs_nothing_of_the_next_document() {
    check_cuts("\r\n");
}

#[test]
fn a_cut_does_not_depend_on_the_split() {
    let mut random = Random::new(1);
    for bad in broken() {
        for good in good() {
            for cut in (1..bad.len()).filter(|&cut| bad.is_char_boundary(cut)) {
                let stream = format!("{}\n{good}\n{good}", &bad[..cut]);
                let whole = read([stream.as_bytes()], 1 << 20);
                let chunks = random.split(stream.as_bytes());
                assert_eq!(read(chunks, 1 << 20), whole, "{stream}");
                assert_eq!(read(stream.as_bytes().chunks(1), 1 << 20), whole, "{stream}");
            }
        }
    }
}

#[test]
fn a_document_in_place_of_a_host_is_told_by_its_keys() {
    let cases: [(&str, &[&str]); 6] = [
        // Credentials first, hosts later: read again from the brace.
        (
            "{\"hosts\":[\n{\"credentials\":[1],\"hosts\":[2]}",
            &["Unfinished {\\\"hosts\\\":[", "credential 1", "host 2", "document of both"],
        ),
        // Credentials only: known when it ends.
        (
            "{\"hosts\":[{\"services\":[\n{\"credentials\":[1]}\n{\"hosts\":[2]}",
            &[
                "Unfinished {\\\"hosts\\\":[{\\\"services\\\":[",
                "credential 1",
                "document of credentials",
                "host 2",
                "document",
            ],
        ),
        // A host, whatever comes first.
        (
            "{\"hosts\":[\n{\"credentials\":[1],\"ip\":2},\n{\"ip\":3,\"credentials\":[4]}]}",
            &["host {\"credentials\":[1],\"ip\":2}", "host {\"ip\":3,\"credentials\":[4]}", "document"],
        ),
        // A host in column 0 breaks off, and a document follows.
        (
            "{\"hosts\":[\n{\"ip\":3,\"vulnerabilities\":[\n{\"credentials\":[1],\"hosts\":[2]}",
            &[
                "Unfinished {\\\"hosts\\\":[\\n{\\\"ip\\\":3,\\\"vulnerabilities\\\":[",
                "credential 1",
                "host 2",
                "document of both",
            ],
        ),
        // Outside hosts nothing has credentials.
        (
            "{\"credentials\":[\n{\"credentials\":[1]}",
            &["Unfinished {\\\"credentials\\\":[", "credential 1", "document of credentials"],
        ),
        // Not in column 0.
        ("{\"hosts\":[\n {\"hosts\":[1]}]}", &["host {\"hosts\":[1]}", "document"]),
    ];
    for (stream, expected) in cases {
        check(stream, expected);
    }
}

#[test]
fn going_back_keeps_within_the_limit() {
    let filler = "1,".repeat(200);
    let stream = format!("{{\"hosts\":[\n{{\"credentials\":[{filler}1],\"hosts\":[2]}}\n{{\"hosts\":[3]}}");
    let told = read_split(stream.as_bytes(), 300);
    assert_eq!(told, ["Unfinished {\\\"hosts\\\":[", "host 2", "document", "host 3", "document"]);
}

#[test]
fn documents_may_break_off_one_after_the_other() {
    let stream = "{\"hosts\":[\n".repeat(5) + "{\"hosts\":[1]}\n";
    let unfinished = "Unfinished {\\\"hosts\\\":[";
    check(stream, &[unfinished, unfinished, unfinished, unfinished, unfinished, "host 1", "document"]);
}
