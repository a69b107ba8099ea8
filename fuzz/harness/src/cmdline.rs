//! The command line of a unikernel.

use mnet::cli::{self, Kind, NetworkArgs, Opt, Outcome, Program, Value};
use std::time::Duration;

const DEVICES: [&str; 2] = ["service", "backend"];

/// Any line: read, refused with one message and the usage, or answered with the help. Then what the
/// help says: each option that it names is known.
pub fn cmdline(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    let (outcome, said) = read(&line);
    match outcome {
        Outcome::Run => assert_eq!(said, ""),
        Outcome::Help => assert!(said.starts_with("usage: ")),
        Outcome::Refused => {
            let lines: Vec<_> = said.lines().collect();
            let [message, usage] = lines[..] else {
                panic!("{said}");
            };
            assert!(message.starts_with("fuzz: ") && usage.starts_with("usage: fuzz "));
            assert!(message.len() < 250, "{message}");
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
    // With its words quoted once more it says the same.
    let quoted: String = line
        .chars()
        .map(|c| {
            if c == '\'' {
                "'\\''".to_owned()
            } else {
                c.to_string()
            }
        })
        .collect();
    if !quoted.is_empty() && line.len() < 1_000 && !line.starts_with('-') {
        let (outcome, said) = read(&format!("--ipv4=10.0.0.2/24 '{quoted}'"));
        let fits = line.len() <= 64;
        assert_eq!(outcome == Outcome::Run, fits, "{said}");
    }
}

fn read(line: &str) -> (Outcome, String) {
    let (mut port, mut verbose, mut size) = (7, false, 0);
    let (mut text, mut from, mut peer) = (String::new(), None, None);
    let mut wait = Duration::ZERO;
    let mut words = 0;
    let mut word = |value: Value<'_>| {
        assert!(matches!(value, Value::Text(text) if text.len() <= 64));
        words += 1;
    };
    let mut options = [
        Opt::port("port", &mut port, "a port").short('p'),
        Opt::flag("verbose", &mut verbose, "a flag").short('v'),
        Opt::size("size", 1..=1 << 30, &mut size, "a size"),
        Opt::text("text", &mut text, "a text"),
        Opt::address("from", &mut from, "an address"),
        Opt::endpoint("peer", &mut peer, "an endpoint"),
        Opt::duration("wait", Duration::ZERO..=Duration::MAX, &mut wait, "a time"),
        Opt::each("WORD", Kind::Text { max_len: 64 }, 3, &mut word, "a word").positional(),
    ];
    let program = Program {
        name: "fuzz",
        summary: "",
        devices: &DEVICES,
    };
    let (mut network, mut said) = (NetworkArgs::default(), String::new());
    let outcome = cli::parse(line, &program, &mut options, Some(&mut network), &mut said);
    assert_eq!(network.interfaces.len(), 2);
    if outcome == Outcome::Run {
        let first = network.interfaces[0];
        assert!(first.ipv4.is_some() || first.ipv6.is_some());
        assert!(words <= 3 && port > 0 && size <= 1 << 30 && text.len() <= 1_024);
        assert!(peer.is_none_or(|peer| peer.port() != 0));
    }
    (outcome, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_that_the_help_names_is_known() {
        let (_, help) = read("--help");
        let mut names = 0;
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            let Some((_, option)) = line.split_once("--") else {
                continue;
            };
            let end = option.find(['=', ' ']).unwrap_or(option.len());
            let (outcome, said) = read(&format!("--{}", &option[..end]));
            assert!(
                outcome != Outcome::Refused || !said.contains("unknown"),
                "{said}"
            );
            names += 1;
        }
        assert!(names >= 13, "{names}: {help}");
    }
}
