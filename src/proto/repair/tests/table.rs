//! Every rule by itself, what it must leave alone, and all of them in one host.

use super::*;

/// A host with these vulnerabilities.
fn with(vulnerabilities: &str) -> String {
    format!(r#"{{"ip":"10.0.0.1","description":"","vulnerabilities":[{vulnerabilities}]}}"#)
}

#[track_caller]
fn check_vulnerabilities(printed: &str, expected: &str, words: &str) {
    check(&with(printed), &with(expected), words);
    let in_service = |vulnerabilities| format!(r#"{{"services":[{{"vulnerabilities":[{vulnerabilities}]}}]}}"#);
    check(&in_service(printed), &in_service(expected), words);
}

#[track_caller]
fn check_clean_vulnerabilities(printed: &str) {
    check_clean(&with(printed));
}

#[test]
fn usual_hosts_pass_as_printed() {
    for piece in [
        r#"{"ip":"10.0.0.1","description":"","hostnames":["a"],"services":[{"name":"http","port":65535,"protocol":"tcp"}]}"#,
        r#" { "ip" : "10.0.0.1" , "services" : [ ] , "vulnerabilities" : null } "#,
        r#"{"a":{"id":1,"services":[{"port":99999}]},"tags":[{"command_id":1}],"credentials":[{"id":1}]}"#,
        "{}",
        "[]",
        "1",
        "null",
        r#""text""#,
        r#"[{"id":1}]"#,
        r#"{"ip":5,"hostnames":"a","services":{"id":1},"vulnerabilities":[[{"id":1}]]}"#,
    ] {
        check_clean(piece);
    }
    check_clean_vulnerabilities(
        r#"{"type":"Vulnerability","name":"a","desc":"x\ny","refs":[{"name":"r\/1","type":"other"},{"name":"r2","type":"patch"}],"cve":["CVE-2020-1"],"owasp":[],"run_date":1700000000.5},
           {"type":"Vulnerability","name":"a","desc":"x\nz","refs":[],"cwe":["79"],"run_date":"1700000000","status_code":200}"#,
    );
}

#[test]
fn sample_reports_pass_as_printed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/nmap");
    let mut hosts = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            for host in document["hosts"].as_array().unwrap() {
                hosts += 1;
                check_clean(&host.to_string());
            }
        }
    }
    assert!(hosts > 5, "{hosts} hosts in {folder}");
}

#[test]
fn bad_characters_are_taken_out_wherever_they_are() {
    check(
        r#"{"a":{"b\u0000":["\ud800"]}}"#,
        r#"{"a":{"b":["\ufffd"]}}"#,
        "1 NUL character taken out, 1 lone surrogate replaced",
    );
    let mut repairs = Repairs::default();
    let credential = |piece: &str, repairs: &mut Repairs| super::credential(piece.as_bytes(), repairs);
    assert_eq!(credential(r#"{"username":"a\u0000"}"#, &mut repairs).as_deref(), Some(&br#"{"username":"a"}"#[..]));
    assert_eq!(credential(r#"{"username":"a","id":1,"vulnerabilities":[{"id":1}]}"#, &mut repairs), None);
    assert_eq!(repairs.to_string(), "1 NUL character taken out");
}

/// What is not taken apart costs no stack, which is small in a worker.
#[test]
fn depth_and_numbers_are_no_obstacle() {
    let small = std::thread::Builder::new().stack_size(128 << 10);
    small.spawn(mend_deep_hosts).unwrap().join().unwrap();
}

fn mend_deep_hosts() {
    let deep = ["[".repeat(500), "]".repeat(500)].concat();
    let rest = format!(r#""x":{deep},"n":[1.10,1e400,123456789012345678901234567890,-0.0E+1]}}"#);
    check(&format!(r#"{{"id":1,{rest}"#), &format!("{{{rest}"), "1 id left out");
    check_clean(&format!("{{{rest}"));
    let within = format!(r#"{{"refs":[{deep}],"custom_fields":{deep}}}"#);
    check_vulnerabilities(&format!("{within},{within}"), &within, "1 duplicate vulnerability merged");
}

#[test]
fn ids_are_left_out() {
    check(r#"{"id":1,"ip":"a","command_id":null}"#, r#"{"ip":"a"}"#, "2 ids left out");
    check(
        r#"{"services":[{"id":1,"port":80},{"command_id":2}]}"#,
        r#"{"services":[{"port":80},{}]}"#,
        "2 ids left out",
    );
    check(r#"{"\u0069d":1,"id":2}"#, "{}", "1 id left out");
    check_vulnerabilities(r#"{"id":"x","name":"a"}"#, r#"{"name":"a"}"#, "1 id left out");
}

#[test]
fn what_the_server_shows_with_a_vulnerability_is_left_out() {
    check_vulnerabilities(
        r#"{"metadata":{"creator":"x"},"name":"a"}"#,
        r#"{"name":"a"}"#,
        "1 metadata or issuetracker left out",
    );
    check_vulnerabilities(
        r#"{"issuetracker":[]},{"name":"a"}"#,
        r#"{},{"name":"a"}"#,
        "1 metadata or issuetracker left out",
    );
    check_clean(r#"{"metadata":{},"services":[{"metadata":{},"issuetracker":{}}]}"#);
}

#[test]
fn owasp_is_left_out_unless_it_is_empty() {
    for owasp in [r#"["A1:2017"]"#, r#""A1""#, r#"{"a":1}"#, "1", "true", "[null]"] {
        check_vulnerabilities(&format!(r#"{{"owasp":{owasp},"name":"a"}}"#), r#"{"name":"a"}"#, "1 owasp left out");
    }
    check_clean_vulnerabilities(r#"{"owasp":[]},{"name":"a","owasp":""},{"name":"b","owasp":null}"#);
    assert_eq!(repair(&with(r#"{"owasp":[ ]}"#)), None);
}

#[test]
fn all_vulnerabilities_have_ease_of_resolution_or_none() {
    let words = "1 vulnerability given an empty easeofresolution";
    check_vulnerabilities(
        r#"{"name":"a","easeofresolution":"simple"},{"name":"b"}"#,
        r#"{"name":"a","easeofresolution":"simple"},{"name":"b","easeofresolution":null}"#,
        words,
    );
    check_vulnerabilities(
        r#"{"name":"a"},5,{"name":"b","easeofresolution":null}"#,
        r#"{"name":"a","easeofresolution":null},5,{"name":"b","easeofresolution":null}"#,
        words,
    );
    check_clean_vulnerabilities(r#"{"name":"a","easeofresolution":"simple"},{"name":"b","easeofresolution":null}"#);
}

#[test]
fn all_vulnerabilities_have_custom_fields_or_none() {
    let words = "1 vulnerability given empty custom_fields";
    check_vulnerabilities(
        r#"{"name":"a","custom_fields":{}},{"name":"b"}"#,
        r#"{"name":"a","custom_fields":{}},{"name":"b","custom_fields":{}}"#,
        words,
    );
    check_vulnerabilities(
        r#"{"name":"a"},{"name":"b","custom_fields":{"c":1}}"#,
        r#"{"name":"a","custom_fields":{}},{"name":"b","custom_fields":{"c":1}}"#,
        words,
    );
    check_clean_vulnerabilities(r#"{"name":"a","custom_fields":{"c":1}},{"name":"b","custom_fields":{}}"#);
}

#[test]
fn references_without_name_are_left_out() {
    check_vulnerabilities(
        r#"{"refs":[{"type":"other"},{"name":"a","type":"other"},{},"text",{"name":null,"type":"other"}]}"#,
        r#"{"refs":[{"name":"a","type":"other"},"text",{"name":null,"type":"other"}]}"#,
        "2 references without name left out",
    );
    check_clean_vulnerabilities(
        r#"{"refs":["text",5,{"name":"","type":"other"}]},{"name":"b","refs":{"type":"other"}}"#,
    );
}

#[test]
fn references_have_a_type() {
    check_vulnerabilities(
        r#"{"refs":[{"name":"a"},{"type":"paper","name":"b"},{"name":"c","type":""},{"name":"d","type":"exploit"}]}"#,
        r#"{"refs":[{"name":"a","type":"other"},{"type":"other","name":"b"},{"name":"c","type":"other"},{"name":"d","type":"exploit"}]}"#,
        "3 references given the type other",
    );
    assert_eq!(repair(&with(r#"{"refs":[{"name":"a","type":null},{"name":"b","type":5}]}"#)), None, "it is refused");
}

#[test]
fn run_dates_become_epoch_seconds() {
    for (printed, expected, words) in [
        (r#","run_date":"2026-11-23T18:10:12Z""#, r#","run_date":1795457412"#, "1 run_date turned into epoch seconds"),
        (r#","run_date":1700000000000"#, r#","run_date":1700000000"#, "1 run_date turned into epoch seconds"),
        (r#","run_date":"yesterday""#, "", "1 unreadable run_date left out"),
        (r#","run_date":1e18"#, "", "1 unreadable run_date left out"),
    ] {
        let vulnerability = |run_date| format!(r#"{{"name":"a"{run_date}}}"#);
        check_vulnerabilities(&vulnerability(printed), &vulnerability(expected), words);
    }
}

#[test]
fn ports_out_of_range_become_zero_and_are_told() {
    let words = "1 port out of range set to 0";
    for (printed, expected) in [
        (r#"{"port":65536}"#, r#"{"port":0,"description":"port out of range: 65536"}"#),
        (r#"{"port":"99999","description":null}"#, r#"{"port":0,"description":"port out of range: \"99999\""}"#),
        (r#"{"port":1e10,"description":"a\u00e9"}"#, r#"{"port":0,"description":"aé\nport out of range: 1e10"}"#),
        (r#"{"port":70000,"description":5}"#, r#"{"port":0,"description":5}"#),
        (r#"{"port":1,"port":70000}"#, r#"{"port":1,"port":0,"description":"port out of range: 70000"}"#),
    ] {
        let host = |service| format!(r#"{{"services":[{service}]}}"#);
        check(&host(printed), &host(expected), words);
    }
    for clean in ["-1", "65535", "8e1", "null", r#""-70000""#, r#""many""#, "true"] {
        check_clean(&format!(r#"{{"services":[{{"port":{clean}}}]}}"#));
    }
    assert_eq!(repair(r#"{"services":[{"port":70000,"port":1}]}"#), None, "the last one counts");
}

#[test]
fn status_codes_out_of_range_are_left_out() {
    let words = "1 status_code out of range left out";
    check_vulnerabilities(r#"{"status_code":2147483648}"#, "{}", words);
    check_vulnerabilities(r#"{"status_code":-3e9,"name":"a"}"#, r#"{"name":"a"}"#, words);
    check_clean_vulnerabilities(r#"{"name":"a","status_code":-1},{"name":"b","status_code":null}"#);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let (long, kept) = ("é".repeat(1_001), "é".repeat(1_000));
    let words = "1 over-long text cut";
    for (before, behind) in [
        (r#"{"ip":""#, r#""}"#),
        (r#"{"hostnames":["a",""#, r#""]}"#),
        (r#"{"services":[{"protocol":""#, r#""}]}"#),
        (r#"{"vulnerabilities":[{"refs":[{"type":"other","name":""#, r#""}]}]}"#),
        (r#"{"vulnerabilities":[{"cwe":["79",""#, r#""]}]}"#),
        (r#"{"services":[{"vulnerabilities":[{"policyviolations":[""#, r#""]}]}]}"#),
    ] {
        check(&[before, &long, behind].concat(), &[before, &kept, behind].concat(), words);
        check(&[before, "x", &long, behind].concat(), &[before, "x", &kept[..1_998], behind].concat(), words);
        check_clean(&[before, &kept, behind].concat());
        assert_eq!(repair(&[before, &r"\u00e9".repeat(1_000), behind].concat()), None, "2,000 bytes");
    }
    check_clean(&format!(r#"{{"description":"{long}","os":"{long}"}}"#));
}

/// All that a credential is known by stands in one index.
#[test]
fn long_credentials_of_a_vulnerability_are_cut() {
    let credential = |username: &str, password: &str| {
        format!(r#"{{"credentials":[{{"username":"{username}","password":"{password}","owned":true}}]}}"#)
    };
    let (long, kept) = ("k".repeat(1_991), "k".repeat(666));
    check_vulnerabilities(&credential("somebody12", &long), &credential("somebody12", &kept), "1 over-long text cut");
    check_vulnerabilities(&credential(&long, &long), &credential(&kept, &kept), "2 over-long texts cut");
    check_clean_vulnerabilities(&credential("somebody", &long[..1_980]));
    assert_eq!(repair(&with(&credential("somebody1", &long))), None, "2,000 bytes");
}

#[test]
fn description_is_taken_as_desc() {
    let words = "1 description taken as desc";
    check_vulnerabilities(r#"{"description":"a\n"}"#, r#"{"desc":"a\n"}"#, words);
    check_vulnerabilities(r#"{"desc":"","description":"a"}"#, r#"{"desc":"a"}"#, words);
    for clean in [r#"{"desc":"a","description":"b"}"#, r#"{"description":""}"#, r#"{"description":null}"#] {
        check_clean_vulnerabilities(clean);
    }
    assert_eq!(repair(&with(r#"{"desc":null,"description":"a"}"#)), None, "null is refused");
}

#[test]
fn duplicates_are_merged_into_the_first() {
    for (first, second, merged) in [
        (r#"{"name":"a"}"#, r#"{"name":"a"}"#, r#"{"name":"a"}"#),
        (r#"{"name":null}"#, r#"{"name":"","desc":""}"#, r#"{"name":null,"desc":""}"#),
        (r#"{"name":"a/b"}"#, r#"{"n\u0061me":"a\/b"}"#, r#"{"name":"a/b"}"#),
        (r#"{"severity":"low"}"#, r#"{"severity":"high","tool":"t"}"#, r#"{"severity":"low","tool":"t"}"#),
        (r#"{"data":"","tool":null}"#, r#"{"data":"x","tool":"t"}"#, r#"{"data":"x","tool":"t"}"#),
        (r#"{"data":"x"}"#, r#"{"data":"y"}"#, r#"{"data":"x\n\ny"}"#),
        (r#"{"data":"x"}"#, r#"{"data":"\u0078"}"#, r#"{"data":"x"}"#),
        (r#"{"cve":["a","b"]}"#, r#"{"cve":["b","c"]}"#, r#"{"cve":["a","b","c"]}"#),
        (
            r#"{"refs":[{"name":"r","type":"other"}]}"#,
            r#"{"refs":[ {"name" : "r","type":"other"}, {"name":"s","type":"other"}]}"#,
            r#"{"refs":[{"name":"r","type":"other"},{"name":"s","type":"other"}]}"#,
        ),
        (r#"{"cwe":[]}"#, r#"{"cwe":["79"],"policyviolations":["p"]}"#, r#"{"cwe":["79"],"policyviolations":["p"]}"#),
        (r#"{"impact":{}}"#, r#"{"impact":{"integrity":true}}"#, r#"{"impact":{"integrity":true}}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":3,"b":4,"b":5}"#, r#"{"a":1,"a":2,"b":5}"#),
        (
            r#"{"type":"Vulnerability","path":"/a"}"#,
            r#"{"type":"Vulnerability","path":"/b"}"#,
            r#"{"type":"Vulnerability","path":"/a"}"#,
        ),
    ] {
        check_vulnerabilities(&format!("{first},{second}"), merged, "1 duplicate vulnerability merged");
    }
    let others = |number| format!(r#"{{"name":"other {number}","desc":"","severity":"low"}}"#);
    check_vulnerabilities(
        &[
            r#"{"name":"a","data":"1"}"#,
            &others(1),
            r#"{"name":"a","data":"2"}"#,
            "5",
            &others(2),
            r#"{"name":"a","data":"3"}"#,
        ]
        .join(","),
        &[r#"{"name":"a","data":"1\n\n2\n\n3"}"#, &others(1), "5", &others(2)].join(","),
        "2 duplicate vulnerabilities merged",
    );
}

#[test]
fn what_differs_is_not_merged() {
    for (first, second) in [
        (r#"{"name":"a"}"#, r#"{"name":"A"}"#),
        (r#"{"name":"a"}"#, r#"{"name":"a "}"#),
        (r#"{"name":"a","desc":"x\n"}"#, r#"{"name":"a","desc":"x\\n"}"#),
        (r#"{"type":"VulnerabilityWeb","path":"/a"}"#, r#"{"type":"VulnerabilityWeb","path":"/b"}"#),
        (r#"{"type":"VulnerabilityWeb","pname":"a"}"#, r#"{"type":"VulnerabilityWeb","path":"a"}"#),
    ] {
        check_clean_vulnerabilities(&format!("{first},{second}"));
    }
    assert_eq!(repair(&with(r#"{"name":5},{"name":5}"#)), None, "the server refuses it");
    let one = r#"[{"name":"a"}]"#;
    check_clean(&format!(
        r#"{{"services":[{{"vulnerabilities":{one}}},{{"vulnerabilities":{one}}}],"vulnerabilities":{one}}}"#
    ));
}

/// Two that differ only in a field of a rule are the same when it has been applied.
#[test]
fn rules_work_together() {
    check(
        r#"{"ip":"10.0.0.1\u0000","id":7,"x":1.10,
            "services":[{"port":70000,"protocol":"tcp","vulnerabilities":[{"name":"s","run_date":"2026-11-23"}]}],
            "vulnerabilities":[
              {"name":"a","desc":"d","refs":[{"type":"other"}],"owasp":["A1"],"command_id":1},
              {"name":"a\u0000","description":"d","easeofresolution":"simple","refs":[{"name":"r","type":"other"}]},
              {"name":"b"}]}"#,
        concat!(
            r#"{"ip":"10.0.0.1","x":1.10,"services":[{"port":0,"protocol":"tcp","#,
            r#""vulnerabilities":[{"name":"s","run_date":1795392000}],"description":"port out of range: 70000"}],"#,
            r#""vulnerabilities":[{"name":"a","desc":"d","refs":[{"name":"r","type":"other"}],"easeofresolution":"simple"},"#,
            r#"{"name":"b","easeofresolution":null}]}"#
        ),
        "2 NUL characters taken out, 1 duplicate vulnerability merged, 2 ids left out, 1 owasp left out, \
         1 vulnerability given an empty easeofresolution, 1 reference without name left out, \
         1 run_date turned into epoch seconds, 1 port out of range set to 0, 1 description taken as desc",
    );
}

/// Anything that is not linear would take minutes.
#[test]
fn thousands_of_vulnerabilities_are_merged_in_no_time() {
    let one = |number: usize| {
        let refs: Vec<String> = (0..5).map(|i| format!(r#"{{"name":"r{number}.{i}","type":"other"}}"#)).collect();
        let fields: Vec<String> = (0..20).map(|i| format!(r#""field {i}.{number}":1"#)).collect();
        format!(r#"{{"name":"a","data":"{number}","refs":[{}],{}}}"#, refs.join(","), fields.join(","))
    };
    let all: Vec<String> = (0..5_000).map(one).collect();
    let (repaired, words) = repair(&with(&all.join(","))).unwrap();
    assert_eq!(words, "4999 duplicate vulnerabilities merged");
    assert!(repaired.contains("0\\n\\n1\\n\\n2") && repaired.contains("r4999.4") && repaired.contains("field 19.4999"));
    let many_members: Vec<String> = (0..50_000).map(|i| format!(r#""field {i}":1"#)).collect();
    let wide = format!("{{{}}}", many_members.join(","));
    check_vulnerabilities(&format!("{wide},{wide}"), &wide, "1 duplicate vulnerability merged");
}
