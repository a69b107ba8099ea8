//! Guests under `solo5-hvt-debug`: with gdb, and with a client that does not keep to the protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Guest, Image, Place, debugger, hvt_works, succeed};

/// A guest that waits for a debugger. It ends with this value.
struct Waiting {
    tender: Child,
    port: u16,
}

impl Waiting {
    fn start(image: &Image, argument: &str) -> Self {
        // Not under `timeout`: what is killed in the end has to be the tender.
        let mut command = Command::new(debugger());
        command.args(image.place().options());
        command.args(["--mem=2", "--gdb", "--gdb-port=0", "--"]);
        command.arg(image.path()).args(["--solo5:quiet", argument]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut tender = command.stderr(Stdio::piped()).spawn().expect("the tender");
        let mut lines = BufReader::new(tender.stderr.as_mut().expect("a pipe"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert_ne!(lines.read_line(&mut line).expect("a line"), 0, "no port");
            if let Some((_, rest)) = line.split_once("localhost:") {
                let port = rest.split('"').next().expect("something");
                break port.parse().expect("a port");
            }
        };
        Self { tender, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a limit");
        stream.set_nodelay(true).expect("small packets");
        stream
    }

    /// Exit status and what the guest printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut printed = String::new();
        let mut console = self.tender.stdout.take().expect("a pipe");
        console.read_to_string(&mut printed).expect("text");
        let status = self.tender.wait().expect("an end");
        (status.code(), printed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.tender.kill();
        let _ = self.tender.wait();
    }
}

/// The guest for this place.
fn guest(place: Place) -> Image {
    let options = &["-g", "-O0", "-fno-stack-protector"];
    Guest {
        options,
        ..Guest::new("debug")
    }
    .build_for(place)
}

/// Where guests can be debugged here.
fn places() -> Vec<Place> {
    match hvt_works() && std::env::var_os("SOLO5_HVT").is_none() {
        true => vec![Place::Hvt, Place::Ring0],
        false => Vec::new(),
    }
}

/// What gdb prints when it is told this, one command a line.
fn gdb(waiting: &Waiting, image: &Image, commands: &str) -> Option<String> {
    let installed = Command::new("gdb").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("skipped: gdb is not installed (apt-get install gdb)");
        return None;
    }
    let mut gdb = Command::new("timeout");
    gdb.args(["50", "gdb", "-nx", "-batch"]);
    gdb.arg("-ex")
        .arg(format!("target remote localhost:{}", waiting.port));
    for command in commands.lines() {
        gdb.args(["-ex", command.trim()]);
    }
    let output = succeed(gdb.arg(image.path()).stdin(Stdio::null()));
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            panic!("no {part:?} in order in\n{text}");
        };
        rest = behind;
    }
}

#[test]
fn gdb_stops_a_guest_looks_at_it_steps_and_lets_it_end() {
    for place in places() {
        let image = guest(place);
        let waiting = Waiting::start(&image, "");
        let commands = "info registers rip
            break add
            continue
            print counter
            print value
            backtrace
            next
            print counter
            set var counter = 42
            finish
            delete
            stepi
            continue";
        let Some(text) = gdb(&waiting, &image, commands) else {
            return;
        };
        contains(
            &text,
            &[
                "rip ",
                "Breakpoint 1, add (value=1)",
                "$1 = 41",
                "$2 = 1",
                "#0  add (value=1)",
                "#1  ",
                "in solo5_app_main",
                "$3 = 42",
                "Value returned is $4 = 42",
                "exited with code 07",
            ],
        );
        assert_eq!(
            waiting.end(),
            (Some(7), "done\n".into()),
            "{place:?} {text}"
        );
    }
}

#[test]
fn an_exception_is_a_signal_that_can_be_looked_at_and_then_ends_the_guest() {
    for place in places() {
        let image = guest(place);
        let waiting = Waiting::start(&image, "f");
        let commands = "continue
            print $_siginfo
            print second
            print $mxcsr
            continue";
        let commands = match place {
            // There the guest's own handler has had it, and changed registers.
            Place::Ring0 => "continue\ncontinue",
            _ => commands,
        };
        let Some(text) = gdb(&waiting, &image, commands) else {
            return;
        };
        let stopped = "received signal SIGSEGV";
        let ended = "terminated with signal SIGSEGV";
        match place {
            Place::Ring0 => contains(&text, &[stopped, ended]),
            _ => contains(
                &text,
                &[stopped, "solo5_app_main", " = 84", " IM DM ZM", ended],
            ),
        }
        assert_eq!(waiting.end().0, Some(255), "{place:?} {text}");
    }
}

#[test]
fn debug_registers_are_used_where_they_work_and_refused_elsewhere() {
    for place in places() {
        let image = guest(place);
        let waiting = Waiting::start(&image, "");
        let commands = "hbreak add
            continue
            delete
            continue";
        // What fails ends gdb's list of commands: so it is asked for in a way that does not.
        let commands = commands.replace("continue\n            delete", "python\ntry:\n gdb.execute('continue')\nexcept gdb.error as error:\n print('refused:', error)\nend\ndelete");
        let script = image.path().with_extension("gdb");
        std::fs::write(&script, commands).expect("a file");
        let source = format!("source {}", script.display());
        let Some(text) = gdb(&waiting, &image, &source) else {
            return;
        };
        let hit = text.contains("Breakpoint 1, add (value=1)");
        assert!(hit || text.contains("refused: "), "{text}");
        assert_eq!(
            waiting.end(),
            (Some(7), "done\n".into()),
            "{place:?} {text}"
        );
    }
}

/// A client of our own.
struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("a connection");
    }

    /// Sends a packet; the answer, without what surrounds it.
    fn ask(&mut self, packet: &str) -> String {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        self.send(format!("${packet}#{sum:02x}").as_bytes());
        self.answer()
    }

    /// The next packet that comes.
    fn answer(&mut self) -> String {
        let mut byte = [0];
        let mut next = || {
            self.0.read_exact(&mut byte).expect("an answer");
            byte[0]
        };
        while next() != b'$' {}
        let mut text = String::new();
        loop {
            match next() {
                b'#' => break,
                // The character before, so many times more.
                b'*' => {
                    let (last, count) = (text.chars().last(), next() - 29);
                    text.extend(last.into_iter().cycle().take(count.into()));
                }
                byte => text.push(byte.into()),
            }
        }
        next();
        next();
        self.send(b"+");
        text
    }
}

#[test]
fn a_guest_that_computes_and_one_that_waits_are_interrupted_and_go_on_when_the_debugger_leaves() {
    for place in places() {
        let image = guest(place);
        for argument in ["s", "w"] {
            let waiting = Waiting::start(&image, argument);
            let mut client = Client(waiting.connect());
            assert!(client.ask("?").starts_with('T') || client.ask("?").starts_with('S'));
            for _ in 0..3 {
                client.send(b"$c#63");
                client.send(b"\x03");
                let stop = client.answer();
                assert!(stop.starts_with("T02") || stop.starts_with("S02"), "{stop}");
                let registers = client.ask("g");
                assert!(registers.len() > 500, "{place:?} {argument} {registers}");
            }
            assert_eq!(client.ask("D"), "OK");
            drop(client);
            // It runs on, alone: until it is killed.
            let mut waiting = waiting;
            assert!(waiting.tender.try_wait().expect("a process").is_none());
        }
    }
}

#[test]
fn a_client_that_does_not_keep_to_the_protocol_reaches_nothing_and_ends_nothing() {
    for place in places() {
        let image = guest(place);
        let waiting = Waiting::start(&image, "");
        let mut client = Client(waiting.connect());
        // Not packets, wrong sums, and packets without an end: all but the last are answered or not,
        // and forgotten.
        client.send(b"hello?!$$$#00+-+-$m0,4#ff$#00");
        client.send(&[0xff; 300]);
        client.send(b"$?#3f");
        while !client.answer().starts_with(['T', 'S']) {}
        for (packet, refused) in [
            ("m0,10", true),
            ("mffff,1", true),
            ("m200000,1", true),
            ("mffffffffffffffff,ffffffffffffffff", true),
            ("m100000,ffffffffffffffff", false),
            ("m10000g,4", true),
            ("m,", true),
            ("M0,1:00", true),
            ("M1fffff,2:0000", true),
            ("M100000,2:0", false),
            ("M100000,ffffffffffffffff:00", false),
            ("G00", true),
            ("Gzz", true),
            ("Z0,0,1", true),
            ("Z0,ffffffffffffffff,1", true),
            ("z0,100000,1", true),
            ("Z1,100000,9", false),
            ("Z2,100001,8", true),
            ("Z9,100000,1", true),
            ("vCont;x", true),
            ("qXfer:features:read:target.xml:0,ffffffffffffffff", false),
            ("qXfer:features:read::ffffffffffffffff,0", false),
            ("p", true),
            ("X100000,1:", false),
            ("bogus", true),
        ] {
            let answer = client.ask(packet);
            let is_refusal = answer.is_empty() || answer.starts_with('E');
            assert!(is_refusal || !refused, "{packet}: {answer}");
            assert!(client.ask("?").starts_with(['T', 'S']), "{packet}");
        }
        // As long as no packet may be.
        client.send(&[&b"$m"[..], &[b'0'; 100_000], b"#00"].concat());
        // Memory is what it was, with a breakpoint or without.
        let before = client.ask("m100000,20");
        assert_eq!(client.ask("Z0,100004,1"), "OK");
        assert_eq!(client.ask("m100000,20"), before);
        assert_eq!(client.ask("M100002,4:01020304"), "OK");
        assert_eq!(client.ask("m100002,4"), "01020304");
        assert_eq!(client.ask("z0,100004,1"), "OK");
        assert_eq!(client.ask("m100002,4"), "01020304");
        let bytes = &before[4..12];
        assert_eq!(client.ask(&format!("M100002,4:{bytes}")), "OK");
        assert_eq!(client.ask("m100000,20"), before);
        // Registers: what a guest cannot have is refused, what it cannot change stays.
        let registers = client.ask("g");
        let wild = registers.clone();
        let rip = 16 * 16;
        let wild = format!("{}ffffffffffffffff{}", &wild[..rip], &wild[rip + 16..]);
        assert!(client.ask(&format!("G{wild}")).starts_with('E'));
        let eflags = rip + 16;
        let zeros = "0".repeat(8 + 6 * 8);
        let tail = &registers[eflags + zeros.len()..];
        let plain = format!("G{}{zeros}{tail}", &registers[..eflags]);
        assert_eq!(client.ask(&plain), "OK");
        let now = client.ask("g");
        assert_eq!(now[eflags + 8..], registers[eflags + 8..]);
        let end = client.ask("c");
        assert_eq!(end, "W07", "{place:?}");
        assert_eq!(waiting.end(), (Some(7), "done\n".into()));
    }
}

#[test]
fn a_debugger_that_kills_or_vanishes_ends_the_guest() {
    for place in places() {
        let image = guest(place);
        for way in ["kills", "vanishes", "vanishes while the guest runs"] {
            let waiting = Waiting::start(&image, "w");
            let mut client = Client(waiting.connect());
            client.ask("?");
            match way {
                "kills" => client.send(b"$k#6b"),
                "vanishes" => {}
                _ => client.send(b"$c#63"),
            }
            drop(client);
            assert_eq!(waiting.end(), (Some(1), String::new()), "{place:?} {way}");
        }
    }
}

#[test]
fn without_a_debugger_it_is_the_tender_that_it_is_otherwise() {
    if !hvt_works() {
        return;
    }
    let image = guest(Place::Hvt);
    let run = |options: &[&str]| {
        let mut command = Command::new(debugger());
        command
            .arg("--mem=2")
            .args(options)
            .arg("--")
            .arg(image.path());
        let output = command.stdin(Stdio::null()).output().expect("the tender");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), errors)
    };
    assert_eq!(run(&[]), (Some(7), String::new()));
    for port in ["", "x", "65536", "-1"] {
        let (status, errors) = run(&[&format!("--gdb-port={port}")]);
        let want = "solo5-hvt-debug: Malformed argument to --gdb-port\n";
        assert_eq!((status, errors.as_str()), (Some(1), want));
    }
    // The others know nothing of it.
    for place in [Place::Hvt, Place::Spt] {
        let image = guest(place);
        for option in ["--gdb", "--gdb-port=1"] {
            let outcome = image.run_with(&[option], &[]);
            assert_eq!(outcome.status, 1);
            assert!(outcome.messages.contains("Invalid option: `--gdb"));
        }
    }
}
