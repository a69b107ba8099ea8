//! What the tenders tell about a guest: `--net-pcap` and `--stats`.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::both::in_namespace;
use crate::support::{Guest, Image, Outcome, Place, hvt_works, other_hvt_tender};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x2a];

/// Has the kernel send datagrams to a guest that sends every frame back, until the guest ends or,
/// with a signal's name, until it has sent ten and gets the signal.
const SCRIPT: &str = r#"
ip tuntap add dev tap0 mode tap
echo 1 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6
ip link set dev tap0 up
ip address add 10.99.0.1/24 dev tap0
ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:2a dev tap0
signal=$1
shift
"$@" &
guest=$!
sent() { awk '$1 == "tap0:" { print $3 }' /proc/net/dev; }
while kill -0 $guest 2>/dev/null; do
    echo x 2>/dev/null >/dev/udp/10.99.0.2/9
    if [ -n "$signal" ] && [ $(sent) -ge 10 ]; then
        kill -s $signal $guest
        signal=
    fi
done
wait $guest
status=$?
echo "the interface counted $(sent)"
exit $status
"#;

/// Runs the guest with these options and arguments; `None` where that is not possible.
fn run(image: &Image, signal: &str, options: &[&str], arguments: &[&str]) -> Option<Outcome> {
    let mut namespace = in_namespace()?;
    namespace.args(["timeout", "60", "bash", "-c", SCRIPT, "bash", signal]);
    namespace.arg(image.place().tender());
    namespace.args(image.place().options());
    let mac = MAC.map(|byte| format!("{byte:02x}")).join(":");
    namespace.args(["--mem=4", "--net:service=tap0"]);
    namespace.arg(format!("--net-mac:service={mac}"));
    namespace.args(options).arg("--").arg(image.path());
    namespace.args(arguments);
    Some(Outcome::of(&mut namespace))
}

/// Places where our own tenders run guests.
fn places() -> Vec<Place> {
    let mut places = vec![Place::Spt];
    if hvt_works() && !other_hvt_tender() {
        places.push(Place::Hvt);
    }
    if std::env::var_os("SOLO5_SPT").is_some() {
        places.remove(0);
    }
    places
}

fn echo(place: Place) -> Image {
    let devices = &[("service", "NET_BASIC")];
    Guest {
        devices,
        ..Guest::new("ethernet")
    }
    .build_for(place)
}

/// Directions and frames in a file with one interface, whose name and address are checked. The file
/// is whole.
#[track_caller]
fn recorded(path: &Path) -> Vec<(u32, Vec<u8>)> {
    let mut reader = PcapNgReader::new(File::open(path).expect("the file")).expect("a section");
    let mut frames = Vec::new();
    let mut last = std::time::Duration::ZERO;
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.expect("a whole block") else {
            continue;
        };
        assert_eq!(packet.interface_id, 0);
        assert!(packet.timestamp >= last, "time goes back");
        last = packet.timestamp;
        let flags = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Flags(flags) => Some(*flags),
            _ => None,
        });
        frames.push((flags.expect("flags"), packet.data.into_owned()));
    }
    let [interface] = reader.interfaces() else {
        panic!("{:?}", reader.interfaces());
    };
    for wanted in [
        InterfaceDescriptionOption::IfName("service".into()),
        InterfaceDescriptionOption::IfMacAddr(Cow::Borrowed(&MAC)),
    ] {
        assert!(interface.options.contains(&wanted), "{interface:?}");
    }
    frames
}

/// Each frame that was sent is the one that was received before, sent back.
#[track_caller]
fn echoes(frames: &[(u32, Vec<u8>)]) -> u64 {
    const IN: u32 = 1;
    const OUT: u32 = 2;
    let received = frames.iter().filter(|(way, _)| *way == IN);
    let sent = frames.iter().filter(|(way, _)| *way == OUT);
    for ((_, sent), (_, received)) in sent.clone().zip(received) {
        assert_eq!((&sent[..6], &sent[6..12]), (&received[6..12], &MAC[..]));
        assert_eq!(sent[12..], received[12..]);
    }
    sent.count() as u64
}

/// What a line of the tender's says behind these words.
#[track_caller]
fn number(text: &str, words: &str) -> u64 {
    let rest = text
        .split_once(words)
        .unwrap_or_else(|| panic!("no {words:?} in {text}"))
        .1;
    let end = rest.find(|byte: char| !byte.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().expect("a number")
}

#[test]
fn frames_are_recorded_and_counted_as_the_interface_saw_them() {
    for place in places() {
        let image = echo(place);
        let recording: &[&[&str]] = match place {
            Place::Spt => &[&[]],
            _ => &[&[], &["--no-net-ring"]],
        };
        for more in recording {
            let file = image.path().with_extension("pcapng");
            let record = format!("--net-pcap:service={}", file.display());
            let options = [&[record.as_str(), "--stats"], *more].concat();
            let Some(outcome) = run(&image, "", &options, &["20"]) else {
                return;
            };
            outcome.succeeded();
            let frames = recorded(&file);
            assert_eq!(echoes(&frames), 20, "{place:?} {outcome:#?}");
            assert_eq!(number(&outcome.console, "the interface counted "), 20);
            assert!(
                outcome.messages.contains("stats: net service: in "),
                "{outcome:#?}"
            );
            assert_eq!(
                number(&outcome.messages, " bytes, out "),
                20,
                "{outcome:#?}"
            );
            let received = frames.len() as u64 - 20;
            assert_eq!(number(&outcome.messages, "net service: in "), received);
            if place == Place::Spt {
                let counted = number(&outcome.messages, "the interface counted in frames ");
                assert!(counted >= received, "{outcome:#?}");
                assert_eq!(
                    number(&outcome.messages, " out frames "),
                    20,
                    "{outcome:#?}"
                );
            }
        }
    }
}

#[test]
fn a_signal_that_ends_a_guest_leaves_a_whole_recording_and_the_counts() {
    for place in places() {
        let image = echo(place);
        let file = image.path().with_extension("pcapng");
        let record = format!("--net-pcap:service={}", file.display());
        // A shell's background jobs ignore SIGINT, unless they handle it.
        let second = match place {
            Place::Spt => ("HUP", 1),
            _ => ("INT", 2),
        };
        for (signal, number_of_signal) in [("TERM", 15), second] {
            let Some(outcome) = run(&image, signal, &[&record, "--stats"], &[]) else {
                return;
            };
            let status = if place == Place::Spt {
                128 + number_of_signal
            } else {
                1
            };
            outcome.failed(status, "echoing\n");
            let sent = echoes(&recorded(&file));
            assert!(sent >= 10, "{sent} {outcome:#?}");
            assert_eq!(
                number(&outcome.messages, " bytes, out "),
                sent,
                "{outcome:#?}"
            );
            assert_eq!(number(&outcome.console, "the interface counted "), sent);
        }
    }
}

#[test]
fn a_recording_that_cannot_go_on_is_said_once_and_the_guest_does() {
    for place in places() {
        let image = echo(place);
        let file = image.path().with_extension("pcapng");
        let record = format!("--net-pcap:service={}", file.display());
        let Some(mut namespace) = in_namespace() else {
            return;
        };
        // No file of this process may be longer than two blocks of 512 bytes.
        let limited = format!("ulimit -f 1; {SCRIPT}");
        namespace.args(["timeout", "60", "bash", "-c", &limited, "bash", ""]);
        namespace.arg(place.tender()).args(place.options());
        namespace.args([
            "--mem=4",
            "--net:service=tap0",
            "--net-mac:service=2:0:0:0:0:2a",
        ]);
        namespace.arg(&record).arg("--").arg(image.path()).arg("40");
        let outcome = Outcome::of(&mut namespace);
        outcome.succeeded();
        let said = outcome.messages.matches("nothing more is recorded").count();
        assert_eq!(said, 1, "{outcome:#?}");
        let frames = recorded(&file);
        assert!(!frames.is_empty() && frames.len() < 40, "{}", frames.len());
    }
}

#[test]
fn a_guest_is_counted_without_a_recording() {
    for place in places() {
        let devices = &[("storage", "BLOCK_BASIC")];
        let image = Guest {
            devices,
            ..Guest::new("block")
        }
        .build_for(place);
        let disk = image.file("disk", 4 << 20);
        let attach = format!("--block:storage={}", disk.display());
        let outcome = image.run_with(&["--mem=2", &attach, "--stats"], &[]);
        outcome.succeeded();
        let messages = &outcome.messages;
        assert!(messages.contains("stats: ran "), "{outcome:#?}");
        if place == Place::Spt {
            assert!(
                number(messages, "all devices and console: ") > 100,
                "{messages}"
            );
            assert!(messages.contains("stats: not known, as an spt guest"));
        } else {
            assert!(number(messages, "block storage: ") > 100, "{messages}");
            assert_eq!(number(messages, " halt "), 1, "{messages}");
        }
    }
}

#[test]
fn a_supervised_spt_guest_ends_as_one_alone() {
    if std::env::var_os("SOLO5_SPT").is_some() {
        return;
    }
    let fault = Guest::new("fault").build();
    let options = ["--mem=2", "--stats"];
    fault.run_with(&options, &["zero"]).failed(139, "trying\n");
    fault
        .run_with(&options, &["illegal"])
        .failed(132, "trying\n");
    fault.run_with(&options, &["dup"]).failed(159, "trying\n");
    let status = Guest::new("status").build();
    for (argument, want) in [("e7", 7), ("a", 255), ("e0", 0)] {
        let outcome = status.run_with(&options, &[argument]);
        assert_eq!(outcome.status, want, "{outcome:#?}");
        assert!(outcome.messages.contains("stats: ran "), "{outcome:#?}");
    }
}
