//! Which values fit which types, and what an executor sees of them.

use serde_json::{Value, json};

use super::*;

fn param(types: &[ParamType]) -> Param {
    Param { name: "TARGET".to_owned(), mandatory: true, types: types.to_vec(), base: "string".to_owned(), accept: None }
}

fn taken(of: ParamType, value: &Value) -> Option<String> {
    param(&[of]).check(value).ok()
}

#[test]
fn a_fitting_value_becomes_the_text_of_the_environment() {
    use ParamType::*;
    let table = [
        (Integer, json!(80), "80"),
        (Integer, json!(-1), "-1"),
        (Integer, json!("80"), "80"),
        (Integer, json!("+80"), "+80"),
        (Integer, json!(80.0), "80"),
        (Integer, json!(18446744073709551615u64), "18446744073709551615"),
        (Integer, json!("123456789012345678901234567890"), "123456789012345678901234567890"),
        (String, json!("192.0.2.1"), "192.0.2.1"),
        (String, json!(""), ""),
        (String, json!("a b\n'c' \"d\" ü"), "a b\n'c' \"d\" ü"),
        (Password, json!("hunter2"), "hunter2"),
        (Boolean, json!(true), "True"),
        (Boolean, json!(false), "False"),
        (Boolean, json!("true"), "True"),
        (Boolean, json!("False"), "False"),
        (Boolean, json!("YES"), "True"),
        (Boolean, json!("off"), "False"),
        (Boolean, json!(1), "True"),
        (Boolean, json!(0), "False"),
        (Boolean, json!(1.0), "True"),
        (List, json!([]), "[]"),
        (List, json!(["10.0.0.1", 80, 1.5, true]), r#"["10.0.0.1",80,1.5,true]"#),
        (List, json!(["a \"b\"", "ü"]), r#"["a \"b\"","ü"]"#),
        (Domains, json!(["example.com", "a_b.example.org"]), r#"["example.com","a_b.example.org"]"#),
        (
            Domains,
            json!(["bücher.example", "xn--p1ai.xn--p1ai", "3.com", "EXAMPLE.COM"]),
            r#"["bücher.example","xn--p1ai.xn--p1ai","3.com","EXAMPLE.COM"]"#,
        ),
        (Domains, json!([]), "[]"),
        (Range, json!("1-10"), "1-10"),
        (Range, json!("0-0"), "0-0"),
        (Range, json!([1, 2, 3]), "[1,2,3]"),
        (Ip, json!("10.0.0.1"), "10.0.0.1"),
        (Ip, json!("2001:db8::1"), "2001:db8::1"),
        (Ip, json!("::ffff:1.2.3.4"), "::ffff:1.2.3.4"),
        (Ip, json!("fe80::1%eth0"), "fe80::1%eth0"),
        (Ip, json!("fe80::1%br-0_a.1"), "fe80::1%br-0_a.1"),
        (Float, json!(1.5), "1.5"),
        (Float, json!(1), "1"),
        (Float, json!("1.5"), "1.5"),
        (Float, json!("1e3"), "1e3"),
        (Float, json!("-.5"), "-.5"),
        (Url, json!("http://example.com"), "http://example.com"),
    ];
    for (of, value, expected) in table {
        assert_eq!(taken(of, &value).as_deref(), Some(expected), "{} {value}", of.name());
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    use ParamType::*;
    let long = "x".repeat(257);
    let (long_label, long_name) = (format!("{}.com", "a".repeat(64)), format!("{}com", "a.".repeat(130)));
    let table = [
        (Integer, json!(["abc", "1.0", 1.5, 1e30, true, "", "+-1", "-", "0x10", "1_000", "٣", [1], {"data": 1}])),
        (String, json!([5, true, long, ["a"], {"a": 1}])),
        (Password, json!([5, long])),
        (Boolean, json!(["maybe", "", 2, 0.5, ["true"]])),
        (List, json!(["a,b", r#"["a"]"#, 5, {"a": 1}, [["nested"]], [{}], [null]])),
        (Domains, json!(["example.com", ["localhost"], ["10.0.0.1"], [5], ["-a.com"], ["a-.com"], ["a..com"]])),
        (Domains, json!([[".com"], ["a.c"], ["example.com."], ["http://a.com"], ["a b.com"], ["*.a.com"]])),
        (Domains, json!([[long_label], [long_name]])),
        (Range, json!(["10-1", "1", "1-", "-1-5", "1-2-3", "1-99999999999999999999"])),
        (Range, json!([5, ["1"], [1.5], [true], [1, -1]])),
        (Ip, json!(["10.0.0.1/24", "010.0.0.1", "1.2.3", "example.com", 5, "[::1]"])),
        (Ip, json!(["10.0.0.1%eth0", "fe80::1%", "fe80::1%eth0%1"])),
        (Float, json!(["abc", "inf", "NaN", "1e999", "1,5", "", true, [1.5]])),
        (Url, json!([5, ""])),
    ];
    for (of, values) in table {
        for value in values.as_array().unwrap().iter().chain([&Value::Null]) {
            assert_eq!(taken(of, value), None, "{} {value}", of.name());
        }
    }
}

/// A script that takes a list apart line by line, or hands a number on, gets what it was sent.
#[test]
fn nothing_stands_around_a_value_or_breaks_its_line() {
    use ParamType::*;
    let around = ["\n", "\r", "\t", " ", "\u{b}", "\u{85}", "\u{a0}", "\u{2028}", "\u{2029}", "\u{1b}[31m", "\u{feff}"];
    let whole = [(Integer, "80"), (Float, "1.5"), (Boolean, "true"), (Range, "1-10"), (Ip, "::1"), (Ip, "fe80::1%a")];
    for (of, value) in whole {
        for text in around.iter().flat_map(|c| [format!("{c}{value}"), format!("{value}{c}"), format!("{value}{c}x")]) {
            assert_eq!(taken(of, &json!(text)), None, "{} {text:?}", of.name());
        }
    }
    for c in around {
        assert_eq!(taken(Domains, &json!(["b.com", format!("a.com{c}")])), None, "{c:?}");
        let is_on_one_line = matches!(c, " " | "\u{a0}" | "\u{feff}");
        assert_eq!(taken(List, &json!(["a", format!("b{c}c")])).is_some(), is_on_one_line, "{c:?}");
    }
}

#[test]
fn a_zone_is_the_name_of_an_interface() {
    for zone in ["../x", "/etc/passwd", "a b", "$(id)", "é", "@a", "a,b", "a;b", "a*", "a\n"] {
        assert_eq!(taken(ParamType::Ip, &json!(format!("fe80::1%{zone}"))), None, "{zone}");
    }
}

#[test]
fn urls_are_judged_by_scheme_host_and_port() {
    let good = [
        "http://a.com",
        "HTTP://A.COM",
        "https://a.com/x?y=1#z",
        "ftp://a.com",
        "ftps://a.com",
        "http://localhost:8080/",
        "http://intranet",
        "http://10.0.0.1",
        "http://[::1]:80/",
        "http://[2001:db8::1]",
        "http://user:p@w@a.com/",
        "http://a.com.",
        "http://sub_domain.a.com",
        "http://bücher.example/é",
        "http://256.1.1.1",
        "http://a.com?x=1",
        "http://a.com/a:b@c",
    ];
    for url in good {
        assert_eq!(taken(ParamType::Url, &json!(url)).as_deref(), Some(url));
    }
    let bad = [
        "a.com",
        "//a.com",
        "/x",
        "http://",
        "http:///x",
        "http://a b.com",
        "http://a.com/a b",
        " http://a.com",
        "http://a.com\n",
        "file:///etc/passwd",
        "ws://a.com",
        "javascript:alert(1)",
        "git+ssh://a.com",
        "http://a.com:",
        "http://a.com:99999",
        "http://a.com:8o",
        "http://a.com:80:80",
        "http://[::1",
        "http://[::1]x",
        "http://[::1]ü",
        "http://[1:2]",
        "http://[fe80::1%25eth0]/",
        "http://-a.com",
        "http://a..com",
        "http://user@",
        "http://a.com\\x",
        "://a.com",
    ];
    for url in bad {
        assert_eq!(taken(ParamType::Url, &json!(url)), None, "{url}");
    }
}

#[test]
fn the_limit_of_256_counts_characters() {
    for of in [ParamType::String, ParamType::Password] {
        assert!(taken(of, &json!("é".repeat(256))).is_some());
        assert!(taken(of, &json!("é".repeat(257))).is_none());
    }
}

#[test]
fn any_of_several_types_suffices_and_the_first_that_fits_gives_the_text() {
    let either = param(&[ParamType::Ip, ParamType::Url]);
    assert_eq!(either.check(&json!("10.0.0.1")).as_deref(), Ok("10.0.0.1"));
    assert_eq!(either.check(&json!("http://a.com")).as_deref(), Ok("http://a.com"));
    assert!(either.check(&json!("neither")).is_err());
    assert_eq!(param(&[ParamType::String, ParamType::Boolean]).check(&json!("yes")).as_deref(), Ok("yes"));
    assert_eq!(param(&[ParamType::Boolean, ParamType::String]).check(&json!("yes")).as_deref(), Ok("True"));
}

#[test]
fn a_refusal_names_the_parameter_the_value_and_what_was_expected() {
    use ParamType::*;
    let long = format!("TARGET = \"{}… is not an integer; expected a whole number such as 80", "x".repeat(79));
    let table: [(&[ParamType], Value, &str); 8] = [
        (&[List], json!(5), r#"TARGET = 5 is not a list; expected a JSON list such as ["10.0.0.1"]"#),
        (&[List], json!("10.0.0.1"), r#"TARGET = "10.0.0.1" is not a list; expected a JSON list such as ["10.0.0.1"]"#),
        (
            &[Ip, Url],
            json!("x"),
            "TARGET = \"x\" is not an ip or a url; expected an address such as 10.0.0.1 or 2001:db8::1 or a URL such as https://example.com/",
        ),
        (&[Boolean], Value::Null, "TARGET = null is not a boolean; expected true or false"),
        (&[Integer], json!("x".repeat(500)), &long),
        (&[Password], json!(12345), "TARGET is not a password; expected text of at most 256 characters"),
        (
            &[Integer, Password],
            json!(["hunter2"]),
            "TARGET is not an integer or a password; expected a whole number such as 80 or text of at most 256 characters",
        ),
        (
            &[String, Password],
            json!(7),
            "TARGET is not a string or a password; expected text of at most 256 characters",
        ),
    ];
    for (types, value, expected) in table {
        assert_eq!(param(types).check(&value), Err(expected.to_owned()), "{value}");
    }
}

#[test]
fn no_refusal_repeats_a_secret() {
    let secret = "hunter2";
    let values = [
        json!([secret]),
        json!({ "a": secret }),
        json!(format!("{secret}\0")),
        json!(format!("{secret}{}", "x".repeat(300))),
    ];
    for value in values {
        for types in [vec![ParamType::Password], vec![ParamType::Integer, ParamType::Password]] {
            let refusal = param(&types).check(&value).unwrap_err();
            assert!(!refusal.contains(secret), "{refusal}");
        }
    }
}

#[test]
fn a_nul_is_refused_wherever_it_is() {
    for value in [json!("a\0b"), json!(["a", "b\0"])] {
        let refusal = param(&[ParamType::String, ParamType::List]).check(&value).unwrap_err();
        assert!(refusal.starts_with("TARGET holds a NUL character"), "{refusal}");
    }
}

#[test]
fn what_no_environment_variable_can_hold_is_refused_before_the_executor_fails_to_start() {
    let fixed = "EXECUTOR_CONFIG_TARGET=".len() + 1 + r#"[""]"#.len();
    let fits = json!(["x".repeat(ENV_STRING_BYTES_MAX - fixed)]);
    let exceeds = json!(["x".repeat(ENV_STRING_BYTES_MAX - fixed + 1)]);
    assert!(param(&[ParamType::List]).check(&fits).is_ok());
    let refusal = param(&[ParamType::List]).check(&exceeds).unwrap_err();
    assert_eq!(
        refusal,
        "TARGET takes 131049 bytes, but an environment variable of this name holds 131048; split it over several runs"
    );
}

#[test]
fn names_of_types_lead_back_to_them() {
    for of in ParamType::ALL {
        assert_eq!(ParamType::from_name(of.name()), Some(of));
    }
    assert_eq!(ParamType::from_name("Integer"), None);
}

#[test]
fn an_argument_shows_its_text_unless_it_is_secret() {
    let argument = |secret| Argument { name: "A".to_owned(), text: "hunter2".to_owned(), secret };
    assert_eq!(format!("{:?}", argument(false)), r#"Argument { name: "A", text: "hunter2" }"#);
    assert_eq!(format!("{:?}", argument(true)), r#"Argument { name: "A", text: "[redacted]" }"#);
}
