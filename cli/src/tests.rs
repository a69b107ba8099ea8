extern crate std;

use super::*;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use mnet_core::log::{Filter, Level, Module};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

#[derive(Debug, Default, PartialEq)]
struct Said {
    port: u16,
    verbose: bool,
    name: String,
    count: u64,
    from: Option<IpAddr>,
    peer: Option<SocketAddr>,
    wait: Duration,
    files: Vec<String>,
}

const PROGRAM: Program<'_> = Program {
    name: "test",
    summary: "Tries everything.",
    devices: &["service", "backend"],
};

/// Reads a line; what it says, and what was written.
fn read(line: &str) -> (Outcome, Said, NetworkArgs, String) {
    let mut said = Said::default();
    let (mut network, mut text) = (NetworkArgs::default(), String::new());
    let mut file = |value: Value<'_>| match value {
        Value::Text(text) => said.files.push(text.to_string()),
        other => panic!("{other:?}"),
    };
    let second = Duration::from_secs(1);
    let mut options = [
        Opt::port("port", &mut said.port, "where to listen").short('p'),
        Opt::flag("verbose", &mut said.verbose, "tell more").short('v'),
        Opt::text("name", &mut said.name, "who to greet"),
        Opt::number("count", 0..=9, &mut said.count, "how often"),
        Opt::address("from", &mut said.from, "where to start"),
        Opt::endpoint("peer", &mut said.peer, "whom to call"),
        Opt::duration("wait", Duration::ZERO..=second, &mut said.wait, "how long"),
        Opt::each(
            "FILE",
            Kind::Text { max_len: 10 },
            2,
            &mut file,
            "what to read",
        )
        .positional(),
    ];
    let outcome = parse(line, &PROGRAM, &mut options, Some(&mut network), &mut text);
    (outcome, said, network, text)
}

#[test]
fn good_lines_give_their_values() {
    let v4 = |a, b, c, d| Ipv4Addr::new(a, b, c, d);
    let ours = InterfaceArgs {
        ipv4: Some(Ipv4Args::Static(v4(10, 0, 0, 2), 24)),
        ..InterfaceArgs::default()
    };
    for line in [
        "--ipv4=10.0.0.2/24",
        " --ipv4  10.0.0.2/24 ",
        "--ipv4:service='10.0.0.2/24'",
    ] {
        let (outcome, said, network, text) = read(line);
        assert_eq!((outcome, text.as_str()), (Outcome::Run, ""), "{line}");
        assert_eq!(said, Said::default());
        assert_eq!(network.interfaces[..], [ours, InterfaceArgs::default()]);
    }
    let (outcome, said, network, text) = read(
        "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 --ipv6=eui64 --ipv6-gateway=fe80::1 \
         --ipv4:backend=10.1.0.2/16 --ipv6:backend=2001:db8::2/64 --vlan:backend=4094 -n 10.0.0.53 \
         --nameserver=udp:2001:db8::53 -p8080 -v --name='J. Doe' --count=0 --from=2001:db8::9 \
         --peer=[::1]:80 --wait=250ms a -- -b",
    );
    assert_eq!((outcome, text.as_str()), (Outcome::Run, ""));
    let expected = Said {
        port: 8_080,
        verbose: true,
        name: "J. Doe".into(),
        count: 0,
        from: Some("2001:db8::9".parse().unwrap()),
        peer: Some("[::1]:80".parse().unwrap()),
        wait: Duration::from_millis(250),
        files: std::vec!["a".into(), "-b".into()],
    };
    assert_eq!(said, expected);
    let first = InterfaceArgs {
        ipv4_gateway: Some(v4(10, 0, 0, 1)),
        ipv6: Some(Ipv6Args::Eui64),
        ipv6_gateway: Some("fe80::1".parse().unwrap()),
        ..ours
    };
    let second = InterfaceArgs {
        ipv4: Some(Ipv4Args::Static(v4(10, 1, 0, 2), 16)),
        ipv6: Some(Ipv6Args::Static("2001:db8::2".parse().unwrap(), 64)),
        vlan: Some(4_094),
        ..InterfaceArgs::default()
    };
    assert_eq!(network.interfaces[..], [first, second]);
    let servers: [IpAddr; 2] = [v4(10, 0, 0, 53).into(), "2001:db8::53".parse().unwrap()];
    assert_eq!(network.nameservers[..], servers);
    let (_, _, network, _) = read("--ipv4=dhcp --dhcp-hostname=web-1.example");
    assert_eq!(network.interfaces[0].ipv4, Some(Ipv4Args::Dhcp));
    assert_eq!(network.dhcp_hostname, "web-1.example");
    let (_, _, network, _) = read("--ipv4=link-local");
    assert_eq!(network.interfaces[0].ipv4, Some(Ipv4Args::LinkLocal));
    // Without IPv4.
    assert_eq!(read("--ipv6=random").0, Outcome::Run);
}

#[test]
fn bad_lines_are_explained() {
    let with_address = |line: &str| std::format!("--ipv4=10.0.0.2/24 {line}");
    let long = "x".repeat(2_000);
    let much = std::format!("unexpected word {}...", "x".repeat(64));
    for (line, expected) in [
        ("--prot=7", "unknown option --prot; did you mean --port?"),
        (
            "--ipv4-gatway=10.0.0.1",
            "unknown option --ipv4-gatway; did you mean --ipv4-gateway?",
        ),
        ("--frobnicate", "unknown option --frobnicate"),
        ("--", ""),
        ("---port=7", "unknown option ---port; did you mean --port?"),
        ("--=7", "unknown option --"),
        ("-x", "unknown option -x"),
        ("-\u{e4}", "unknown option -\u{e4}"),
        ("--port", "--port needs a value: a number from 1 to 65535"),
        (
            "--port -v",
            "--port needs a value: a number from 1 to 65535",
        ),
        (
            "--port=",
            "--port expected a number from 1 to 65535, not nothing",
        ),
        (
            "--port=0",
            "--port expected a number from 1 to 65535, not 0",
        ),
        (
            "--port 65536",
            "--port expected a number from 1 to 65535, not 65536",
        ),
        (
            "--port=+7",
            "--port expected a number from 1 to 65535, not +7",
        ),
        ("-p 7 --port=8", "--port was given too often"),
        ("--verbose=yes", "--verbose takes no value"),
        ("-vv", "--verbose takes no value"),
        ("-v -v", "--verbose was given too often"),
        ("--count=10", "--count expected a number up to 9, not 10"),
        (
            "--wait=2s",
            "--wait expected a time such as 250ms up to 1s, not 2s",
        ),
        (
            "--from=10.0.0.1:7",
            "--from expected an address such as 10.0.0.2 or 2001:db8::2, not 10.0.0.1:7",
        ),
        (
            "--peer=10.0.0.1",
            "--peer expected an address and a port such as 10.0.0.2:7 or [2001:db8::2]:7, not 10.0.0.1",
        ),
        ("a b c", "unexpected word c"),
        (
            "abcdefghijk",
            "FILE expected a text of at most 10 bytes, not abcdefghijk",
        ),
        ("--name='a", "a quotation mark (') is not closed"),
        ("--name=\"a", "a quotation mark (\") is not closed"),
        ("--name=a\\", "there is nothing after the last \\"),
        (
            "\u{1b}[31mred\u{7}ABCDEF",
            "FILE expected a text of at most 10 bytes, not ?[31mred?ABCDEF",
        ),
        (&long, "a word is longer than 1024 bytes"),
        (&std::format!("a b {}", "x".repeat(99)), &much),
        ("--ipv4=10.0.0.3/24", "--ipv4 was given too often"),
        (
            "--ipv4:other=10.0.0.3/24",
            "there is no network device other; there is service backend",
        ),
        (
            "--ipv4:=10.0.0.3/24",
            "there is no network device ; there is service backend",
        ),
        (
            "--ipv4:backend=10.0.0.3",
            "--ipv4:backend expected an address such as 10.0.0.2/24, dhcp or link-local, not 10.0.0.3",
        ),
        (
            "--ipv4-gateway=2001:db8::1",
            "--ipv4-gateway expected an address such as 10.0.0.1, not 2001:db8::1",
        ),
        (
            "--ipv4-gateway:backend=10.0.0.1",
            "--ipv4:backend is missing",
        ),
        ("--ipv6-gateway=fe80::1", "--ipv6 is missing"),
        (
            "--ipv6=on",
            "--ipv6 expected random, eui64, or an address such as 2001:db8::2/64, not on",
        ),
        (
            "--ipv6=eui64 --ipv6-gateway=fe80::1%1",
            "--ipv6-gateway expected an address such as fe80::1, not fe80::1%1",
        ),
        (
            "--dhcp-hostname=a",
            "--dhcp-hostname is of no use without --ipv4=dhcp",
        ),
        (
            "--dhcp-hostname=a_b",
            "--dhcp-hostname expected a name of at most 63 letters, digits, hyphens and dots, not a_b",
        ),
        (
            "--dhcp-hostname=a --dhcp-hostname=b",
            "--dhcp-hostname was given too often",
        ),
        (
            "--vlan=0",
            "--vlan expected a VLAN identifier from 1 to 4094, not 0",
        ),
        (
            "--vlan:backend=4095",
            "--vlan:backend expected a VLAN identifier from 1 to 4094, not 4095",
        ),
        (
            "-n tls:10.0.0.53",
            "--nameserver expected an address such as 10.0.0.53 or udp:10.0.0.53, not tls:10.0.0.53",
        ),
        (
            "-n1.1.1.1 -n1.1.1.2 -n1.1.1.3 -n1.1.1.4 -n1.1.1.5",
            "--nameserver was given too often",
        ),
        (
            "--nameserver:backend=10.0.0.53",
            "--nameserver is not about one device",
        ),
    ] {
        let (outcome, _, _, text) = read(&with_address(line));
        if expected.is_empty() {
            assert_eq!((outcome, text.as_str()), (Outcome::Run, ""), "{line}");
            continue;
        }
        let usage = "usage: test --ipv4=ADDRESS/PREFIX [OPTIONS] [FILE...]\n";
        let whole = std::format!("test: {expected}\n{usage}");
        assert_eq!((outcome, text), (Outcome::Refused, whole), "{line}");
    }
    for (line, missing) in [
        ("", "--ipv4 or --ipv6"),
        ("-v", "--ipv4 or --ipv6"),
        ("--ipv4-gateway=10.0.0.1", "--ipv4"),
        ("--ipv6-gateway=fe80::1", "--ipv6"),
    ] {
        let (outcome, _, _, text) = read(line);
        assert_eq!(outcome, Outcome::Refused);
        assert!(
            text.starts_with(&std::format!("test: {missing} is missing\n")),
            "{text}"
        );
    }
}

#[test]
fn the_help_is_made_of_the_tables() {
    for line in ["--help", "-h", "--port=7 --help --nonsense", "-v -h"] {
        let (outcome, _, _, text) = read(line);
        assert_eq!(outcome, Outcome::Help, "{line}");
        let expected = "\
usage: test --ipv4=ADDRESS/PREFIX [OPTIONS] [FILE...]

Tries everything.

options:
  -p, --port=PORT             where to listen
  -v, --verbose               tell more
  --name=TEXT                 who to greet
  --count=NUMBER              how often
  --from=ADDRESS              where to start
  --peer=ADDRESS:PORT         whom to call
  --wait=TIME                 how long
  FILE                        what to read
  -h, --help                  print this text and end

network:
  --ipv4=ADDRESS/PREFIX|dhcp|link-local
                              our address and the length of its network's prefix; or what a DHCP server lends; or one of 169.254/16
  --ipv4-gateway=ADDRESS      the default gateway; without it only that network is reachable
  --ipv6=random|eui64|ADDRESS/PREFIX
                              speak IPv6: addresses with random ends, with the Ethernet address at their ends, or also this one
  --ipv6-gateway=ADDRESS      the default gateway of IPv6; without it, what routers tell
  --vlan=ID                   all that in this VLAN of the device (802.1Q), 1 to 4094
  -n, --nameserver=[udp:]ADDRESS
                              a DNS server, before those of DHCP and routers; up to 4 times
  --dhcp-hostname=NAME        what DHCP servers hear as our name

The network options are about the device service. About others: --ipv4:backend=...
";
        assert_eq!(text, expected);
    }
    let (outcome, .., text) = read("--help=yes");
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.starts_with("test: --help takes no value\n"), "{text}");
}

#[test]
fn a_program_without_network_has_only_its_own_options() {
    let mut name = String::new();
    let mut text = String::new();
    let program = Program {
        name: "hello",
        summary: "",
        devices: &[],
    };
    let mut options = [Opt::text("NAME", &mut name, "whom to greet")
        .positional()
        .required()];
    let outcome = parse(
        "--ipv4=10.0.0.2/24",
        &program,
        &mut options,
        None,
        &mut text,
    );
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(
        text,
        "hello: unknown option --ipv4\nusage: hello [OPTIONS] NAME\n"
    );
    text.clear();
    assert_eq!(
        parse("", &program, &mut options, None, &mut text),
        Outcome::Refused
    );
    assert!(text.starts_with("hello: NAME is missing\n"));
    let outcome = parse("you", &program, &mut options, None, &mut text);
    assert_eq!((outcome, name.as_str()), (Outcome::Run, "you"));
}

#[test]
fn two_options_of_one_name_are_a_mistake_of_the_program() {
    for name in ["ipv4", "help", "twice", ""] {
        let (mut a, mut b) = (false, false);
        let mut options = [Opt::flag("twice", &mut a, ""), Opt::flag(name, &mut b, "")];
        let (mut network, mut text) = (NetworkArgs::default(), String::new());
        let line = "--ipv4=10.0.0.2/24";
        let outcome = parse(line, &PROGRAM, &mut options, Some(&mut network), &mut text);
        assert_eq!(outcome, Outcome::Refused, "{name}");
        assert!(text.starts_with("test: a mistake of the program"), "{text}");
    }
}

#[test]
fn what_the_log_tells_is_for_programs_that_keep_one() {
    let parse = |line: &str, network: &mut NetworkArgs| {
        let mut text = String::new();
        let line = format!("--ipv4=10.0.0.2/24 {line}");
        let outcome = parse(&line, &PROGRAM, &mut NoOptions, Some(network), &mut text);
        (outcome, text)
    };
    let mut network = NetworkArgs::with_log();
    let line = "-l tcp=debug,udp=off --verbosity=info --log dhcp";
    assert_eq!(parse(line, &mut network).0, Outcome::Run);
    assert_eq!(network.log.as_deref(), Some("tcp=debug,udp=off,info,dhcp"));
    let filter = network.log_filter();
    for (module, level) in [
        (Module::Tcp, Some(Level::Debug)),
        (Module::Udp, None),
        (Module::Dhcp, Some(Level::Debug)),
        (Module::Ip, Some(Level::Info)),
    ] {
        assert_eq!(filter.level(module), level, "{module:?}");
    }
    assert!(
        parse("--help", &mut network)
            .1
            .contains("\n  -l, --log=FILTER")
    );
    for (line, error) in [
        (
            "-l nonsense",
            "--log expected a list such as tcp=debug,*=warn, not nonsense",
        ),
        (
            "--verbosity=tcp",
            "--verbosity expected quiet, error, warning, info or debug, not tcp",
        ),
        (&"-l tcp=debug ".repeat(20), "--log was given too often"),
    ] {
        let (outcome, text) = parse(line, &mut network);
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains(error), "{text}");
    }

    let mut network = NetworkArgs::default();
    let (outcome, text) = parse("-l tcp", &mut network);
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.contains("unknown option -l"), "{text}");
    assert!(!parse("--help", &mut network).1.contains("--log"));
    assert_eq!(network.log_filter(), Filter::default());
}

#[test]
fn names_that_are_near_are_found() {
    for (a, b, expected) in [
        ("", "", 0),
        ("port", "port", 0),
        ("prot", "port", 2),
        ("por", "port", 1),
        ("ports", "port", 1),
        ("post", "port", 1),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
    ] {
        assert_eq!(distance(a, b), expected, "{a} {b}");
        assert_eq!(distance(b, a), expected, "{b} {a}");
    }
    assert_eq!(distance(&"a".repeat(33), "a"), usize::MAX);
}
