//! One case for each rule of a manifest's source.

use super::*;

#[track_caller]
fn accepts(text: &str) -> Vec<Device> {
    parse("m.json", text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn refuses(text: &str, want: &str) {
    let got = parse("m.json", text.as_bytes()).unwrap_err().to_string();
    assert_eq!(got, want, "{text}");
}

/// A manifest with this list of devices, all on line 1.
fn with_devices(devices: &str) -> String {
    format!(r#"{{"type":"solo5.manifest","version":1,"devices":[{devices}]}}"#)
}

#[test]
fn devices_keep_their_order() {
    let text =
        with_devices(r#"{"name":"service0","type":"NET_BASIC"},{"type":"BLOCK_BASIC","name":"b"}"#);
    let device = |name: &str, device_type| Device {
        name: name.into(),
        device_type,
    };
    assert_eq!(
        accepts(&text),
        [device("service0", Type::Net), device("b", Type::Block)]
    );
    assert_eq!(accepts(&with_devices("")), []);
}

#[test]
fn commas_may_be_missing_or_trail() {
    let text = r#"{"type":"solo5.manifest" "version":1, "devices":[
        {"name":"a","type":"NET_BASIC",} {"name":"b","type":"NET_BASIC"},],}"#;
    assert_eq!(accepts(text).len(), 2);
}

#[test]
fn escapes_in_strings_are_resolved() {
    let text = with_devices(r#"{"name":"\u0061b","type":"NET_BASIC"}"#);
    assert_eq!(accepts(&text)[0].name, "ab");
}

#[test]
fn the_root_is_an_object_with_three_known_members() {
    refuses(
        "[]",
        "m.json:1: (root): expected OBJECT, got ARRAY (column 1)",
    );
    refuses(
        "3",
        "m.json:1: (root): expected OBJECT, got INTEGER (column 1)",
    );
    refuses("{}", "m.json:1: missing .type (column 1)");
    refuses(
        r#"{"type":"solo5.manifest"}"#,
        "m.json:1: missing .version (column 1)",
    );
    refuses(
        r#"{"type":"solo5.manifest","version":1}"#,
        "m.json:1: missing .devices[] (column 1)",
    );
    refuses(
        "{\n  \"x\"\n  : 1}",
        "m.json:3: (root): unknown key: x (column 3)",
    );
    refuses(
        r#"{"type":1,"type":1}"#,
        "m.json:1: (root): duplicate key: type (column 17)",
    );
}

#[test]
fn type_version_and_devices_have_their_types() {
    refuses(
        r#"{"type":null}"#,
        "m.json:1: .type: expected STRING, got NULL (column 8)",
    );
    refuses(
        r#"{"type":"solo5"}"#,
        "m.json:1: .type: invalid value, expected \"solo5.manifest\" (column 8)",
    );
    let version = |value: &str| format!("{{\"type\":\"solo5.manifest\",\n\"version\":{value}}}");
    for (value, got) in [
        ("1.0", "REAL"),
        ("1e0", "REAL"),
        ("true", "BOOLEAN"),
        ("\"1\"", "STRING"),
    ] {
        let want = format!("m.json:2: .version: expected INTEGER, got {got} (column 10)");
        refuses(&version(value), &want);
    }
    for value in ["2", "-1", "99999999999999999999"] {
        let want = format!("m.json:2: .version: invalid version {value}, expected 1 (column 10)");
        refuses(&version(value), &want);
    }
    refuses(
        r#"{"type":"solo5.manifest","version":1,"devices":{}}"#,
        "m.json:1: .devices: expected ARRAY, got OBJECT (column 47)",
    );
}

#[test]
fn devices_are_objects_with_name_and_type() {
    let at = |devices: &str, want: &str| refuses(&with_devices(devices), want);
    at(
        "1",
        "m.json:1: .devices[]: expected OBJECT, got INTEGER (column 49)",
    );
    at("{}", "m.json:1: .devices[...]: missing .name (column 49)");
    at(
        r#"{"name":"a"}"#,
        "m.json:1: .devices[...]: missing .type (column 49)",
    );
    at(
        r#"{"mtu":1}"#,
        "m.json:1: .devices[...]: unknown key: mtu (column 55)",
    );
    at(
        r#"{"name":1}"#,
        "m.json:1: .devices[...]: expected STRING, got INTEGER (column 56)",
    );
    at(
        r#"{"name":"a","type":[]}"#,
        "m.json:1: .devices[...]: expected STRING, got ARRAY (column 67)",
    );
}

#[test]
fn names_are_short_and_alphanumeric() {
    let named = |name: &str| with_devices(&format!(r#"{{"name":"{name}","type":"NET_BASIC"}}"#));
    refuses(
        &named(""),
        "m.json:1: .devices[...]: .name may not be empty (column 56)",
    );
    assert_eq!(accepts(&named(&"n".repeat(67))).len(), 1);
    let long = "m.json:1: .devices[...]: name too long, maximum 67 (column 56)";
    refuses(&named(&"n".repeat(68)), long);
    for bad in ["a-b", "a b", "é", r#"a\"b"#, r"a\u0000"] {
        refuses(
            &named(bad),
            "m.json:1: .devices[...]: name is not alphanumeric (column 56)",
        );
    }
}

#[test]
fn types_that_no_image_can_have_are_refused() {
    refuses(
        &with_devices(r#"{"name":"a","type":"NET"}"#),
        "m.json:1: .devices[...]: unknown device type: NET, \
         expected BLOCK_BASIC or NET_BASIC (column 67)",
    );
}

#[test]
fn two_devices_of_one_type_need_two_names() {
    let net = r#"{"name":"a","type":"NET_BASIC"}"#;
    let text = with_devices(&format!("{net},\n{net}"));
    refuses(
        &text,
        "m.json:2: .devices[...]: duplicate name: a (column 1)",
    );
    let block = r#"{"name":"a","type":"BLOCK_BASIC"}"#;
    assert_eq!(accepts(&with_devices(&format!("{net},{block}"))).len(), 2);
}

#[test]
fn there_are_at_most_63_devices() {
    let devices = |count| {
        let device = |i| format!(r#"{{"name":"storage{i}","type":"BLOCK_BASIC"}}"#);
        with_devices(&(0..count).map(device).collect::<Vec<_>>().join(","))
    };
    assert_eq!(accepts(&devices(63)).len(), 63);
    refuses(
        &devices(64),
        "m.json:1: .devices[]: too many entries, maximum 63 (column 47)",
    );
}

#[test]
fn syntax_errors_have_line_and_column() {
    let problem = "problem on line 2 in JSON data (column 3): ";
    refuses(
        "{\n  type: 1}",
        &format!("{problem}expected string for object property"),
    );
    refuses(
        "{\n  'type': 1}",
        &format!("{problem}single-quoted strings are not allowed"),
    );
    refuses(
        "[\n  +1]",
        &format!("{problem}unary plus on numbers is not allowed"),
    );
    refuses(
        "[\n  /* x */]",
        &format!("{problem}comments are not allowed"),
    );
    refuses(
        "[\n  ]]",
        "problem on line 2 in JSON data (column 4): text cannot contain more than one JSON value",
    );
}

#[test]
fn early_ends_are_told_apart() {
    refuses(
        "",
        "premature EOF in JSON data (line 1, column 1): there is no value",
    );
    refuses(
        "{\n \"a\": [1",
        "premature EOF in JSON data (line 2, column 7): unterminated array",
    );
    refuses(
        "{",
        "premature EOF in JSON data (line 1, column 1): unterminated object",
    );
    refuses(
        "[\"é",
        "premature EOF in JSON data (line 1, column 2): unterminated string literal",
    );
}

#[test]
fn text_that_is_not_utf_8_is_refused_where_it_stops_being_text() {
    let got = parse("m.json", b"{\n\"\xc3\xa9\xff\"")
        .unwrap_err()
        .to_string();
    assert_eq!(got, "problem on line 2 in JSON data (column 3): not UTF-8");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
    let text = "[".repeat(MAX_SOURCE_LEN);
    let got = parse("m.json", text.as_bytes()).unwrap_err().to_string();
    assert!(got.contains("nesting depth"), "{got}");
}
