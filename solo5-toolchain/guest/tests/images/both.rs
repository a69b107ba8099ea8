//! Guests that are linked with our bindings, under each of the tenders: one guest for each property,
//! whose exit status and output are the contract (solo5-abi sections 2, 8.4, 15 and 18).

use std::process::Command;

use crate::support::{Guest, Outcome, Place, other_hvt_tender, succeed};

/// The lines that the bindings print before the application starts, in their order.
const START_LINES: [&str; 7] = [
    "Solo5: Bindings version ",
    "Solo5: Memory map: 2 MB addressable:",
    "Solo5:   reserved @ (0x0 - 0xfffff)",
    "Solo5:       text @ (0x100000 - 0x",
    "Solo5:     rodata @ (0x",
    "Solo5:       data @ (0x",
    "Solo5:       heap >= 0x",
];

#[test]
fn start_and_end_are_announced_in_the_documented_form() {
    for place in Place::all() {
        announced(&Guest::new("cmdline").build_for(place).run(&[]));
    }
}

/// Checks all that the bindings say.
#[track_caller]
fn announced(outcome: &Outcome) {
    outcome.succeeded();
    let mut lines = outcome
        .console
        .lines()
        .skip_while(|line| !line.starts_with("Solo5:"));
    for expected in START_LINES {
        let line = lines.next().unwrap_or_default();
        assert!(
            line.starts_with(expected),
            "{line:?} instead of {expected:?}"
        );
        if expected.contains("heap") {
            assert!(line.ends_with(" < stack < 0x200000"), "{line:?}");
        }
    }
    let rest: Vec<_> = lines.collect();
    assert_eq!(rest, ["[]", "SUCCESS", "Solo5: solo5_exit(0) called"]);
}

#[test]
fn quiet_guests_print_their_own_output_only() {
    for place in Place::all() {
        let image = Guest::new("cmdline").build_for(place);
        for option in ["--solo5:quiet", "--solo5:error", "--solo5:warn"] {
            let outcome = image.run(&[option, "Hello_Solo5"]);
            assert_eq!(outcome.console, "[Hello_Solo5]\nSUCCESS\n");
            assert_eq!((outcome.messages.as_str(), outcome.status), ("", 0));
        }
    }
}

#[test]
fn the_command_line_arrives_exactly() {
    for place in Place::all() {
        let image = Guest::new("cmdline").build_for(place);
        let long = "x".repeat(8000);
        for (arguments, expected) in [
            (&["Hello_Solo5"][..], "Hello_Solo5"),
            (&["a", "b  c", "", "d "], "a b  c  d "),
            (&["  lead"], "lead"),
            (&["--solo5:quietx"], "--solo5:quietx"),
            (&["--solo5:debug", " --solo5:quiet ", "x "], "x "),
            (&["x", "--solo5:quiet"], "x --solo5:quiet"),
            (&["--", "--mem=1"], "-- --mem=1"),
            (&[&long], &long),
        ] {
            let outcome = image.run(arguments);
            outcome.succeeded();
            let expected = format!("\n[{expected}]\n");
            let console = format!("\n{}", outcome.console);
            assert!(console.contains(&expected), "{arguments:?}: {console}");
        }
    }
}

#[test]
fn the_status_is_the_low_byte_of_what_the_application_says() {
    for place in Place::all() {
        let image = Guest::new("status").build_for(place);
        for (argument, status, message) in [
            ("r0", 0, "Solo5: solo5_exit(0) called\n"),
            ("r7", 7, "Solo5: solo5_exit(7) called\n"),
            ("e83", 83, "Solo5: solo5_exit(83) called\n"),
            ("e255", 255, "Solo5: solo5_exit(255) called\n"),
            ("e256", 0, "Solo5: solo5_exit(256) called\n"),
            ("r-2", 254, "Solo5: solo5_exit(-2) called\n"),
            ("a", 255, "Solo5: solo5_abort() called\n"),
        ] {
            let outcome = image.run(&[argument]);
            outcome.failed(status, message);
            assert!(outcome.console.ends_with(message), "{outcome:#?}");
            let quiet = image.run(&["--solo5:quiet", argument]);
            assert_eq!((quiet.status, quiet.console.as_str()), (status, ""));
        }
    }
}

#[test]
fn heap_and_stack_are_as_promised_in_every_size_of_memory() {
    for place in Place::fast() {
        let image = Guest::new("start").build_for(place);
        for megabytes in [2u64, 3, 64] {
            let outcome = image.run_with(&[&format!("--mem={megabytes}")], &[]);
            outcome.succeeded();
            // Machines have memory in units of 2 MiB.
            let there = if place == Place::Spt {
                megabytes
            } else {
                megabytes & !1
            };
            let expected = format!("memory is {}\n", there << 20);
            assert!(outcome.console.contains(&expected), "{outcome:#?}");
        }
    }
}

#[test]
fn an_image_that_leaves_too_little_memory_does_not_start() {
    for place in Place::all() {
        let image = Guest::new("bss").build_for(place);
        image.run_with(&["--mem=8"], &[]).succeeded();
        let outcome = image.run_with(&["--mem=2"], &["--solo5:quiet"]);
        outcome.failed(255, "Solo5: ABORT: ");
        assert!(
            outcome
                .console
                .ends_with(": Not enough memory: --mem=N gives more\n"),
            "{outcome:#?}"
        );
    }
}

#[test]
fn globals_of_every_kind_work() {
    for place in Place::all() {
        Guest::new("globals").build_for(place).run(&[]).succeeded();
        let options = &["-fdata-sections", "-ffunction-sections"];
        Guest {
            options,
            ..Guest::new("globals")
        }
        .build_for(place)
        .run(&[])
        .succeeded();
    }
}

#[test]
fn thread_local_variables_work_whatever_their_sizes_and_sections() {
    for place in Place::all() {
        for options in [
            &[][..],
            &["-DINITIALISED"],
            &["-DINITIALISED", "-fdata-sections"],
            &["-DALIGNED"],
            &["-DALIGNED", "-DINITIALISED", "-fdata-sections"],
        ] {
            Guest {
                options,
                ..Guest::new("tls")
            }
            .build_for(place)
            .run(&[])
            .succeeded();
        }
    }
}

#[test]
fn an_overrun_stack_ends_the_guest_at_every_level() {
    for place in Place::all() {
        let image = Guest {
            options: &["-O0"],
            ..Guest::new("ssp")
        }
        .build_for(place);
        for arguments in [&[][..], &["--solo5:quiet"]] {
            let outcome = image.run(arguments);
            outcome.failed(255, "Solo5: ABORT: Stack corruption detected\n");
            // The short run of the function came back.
            assert_eq!(
                outcome.console.matches("the end of the function\n").count(),
                2
            );
        }
    }
}

#[test]
fn the_guard_of_the_stack_protector_differs_from_run_to_run() {
    for place in Place::all() {
        let image = Guest::new("guard").build_for(place);
        let guards = [(); 3].map(|()| image.run(&["--solo5:quiet"]).console);
        assert!(guards[0].starts_with("guard "));
        assert!(guards[0] != guards[1] && guards[1] != guards[2] && guards[0] != guards[2]);
    }
}

#[test]
fn floating_point_works() {
    for place in Place::fast() {
        Guest {
            options: &["-O0"],
            ..Guest::new("fpu")
        }
        .build_for(place)
        .run(&[])
        .succeeded();
    }
}

#[test]
fn wide_registers_work_where_the_processor_offers_them_and_survive_calls() {
    for place in Place::fast() {
        let outcome = Guest::new("avx").build_for(place).run(&[]);
        outcome.succeeded();
        assert!(outcome.console.contains("AVX\n"), "{outcome:#?}");
    }
}

#[test]
fn clocks_and_waiting_keep_time() {
    for place in Place::all() {
        Guest::new("time").build_for(place).run(&[]).succeeded();
    }
}

#[test]
fn long_output_is_complete() {
    for place in Place::fast() {
        let outcome = Guest::new("console")
            .build_for(place)
            .run_with(&["--mem=4"], &["--solo5:quiet"]);
        assert_eq!(outcome.status, 0);
        let (text, rest) = outcome.console.split_at(1 << 20);
        assert!(rest == "a\0b\nSUCCESS\n", "{rest:?}");
        for (number, line) in text.lines().enumerate() {
            let digit = char::from(b'0' + u8::try_from(number % 64).unwrap());
            assert!(
                line.len() == 63 && line.chars().all(|c| c == digit),
                "line {number}"
            );
        }
    }
}

#[test]
fn block_devices_of_every_geometry_work_and_wrong_requests_are_refused() {
    for place in Place::fast() {
        let devices = &[("storage", "BLOCK_BASIC")];
        let image = Guest {
            devices,
            ..Guest::new("block")
        }
        .build_for(place);
        let disk = image.file("disk", 4 << 20);
        let attach = format!("--block:storage={}", disk.display());
        for size in [512, 4096, 32768] {
            image.file("disk", 4 << 20);
            let size_option = format!("--block-sector-size:storage={size}");
            let outcome = image.run_with(&["--mem=2", &attach, &size_option], &[]);
            outcome.succeeded();
            let expected = format!("capacity 4194304 block size {size}\n");
            assert!(outcome.console.contains(&expected), "{outcome:#?}");
        }
        image.file("disk", 512);
        image.run_with(&["--mem=2", &attach], &[]).succeeded();
    }
}

#[test]
fn block_devices_of_no_possible_geometry_are_the_tenders_to_refuse() {
    for place in Place::all() {
        let devices = &[("storage", "BLOCK_BASIC")];
        let image = Guest {
            devices,
            ..Guest::new("block")
        }
        .build_for(place);
        let attach = format!("--block:storage={}", image.file("disk", 6144).display());
        for (size, message) in [
            (4096, "Backing storage size must be block aligned"),
            (521, "Block size must be a multiple of 2"),
            (
                256,
                "Block size must be a multiple of 2 greater than or equal 512",
            ),
        ] {
            let size_option = format!("--block-sector-size:storage={size}");
            let outcome = image.run_with(&["--mem=2", &attach, &size_option], &[]);
            outcome.failed(1, "");
            assert!(outcome.messages.contains(message), "{outcome:#?}");
        }
    }
}

#[test]
fn the_first_and_the_last_of_63_devices_work() {
    for place in Place::all() {
        let names: Vec<String> = (0..63).map(|number| format!("storage{number}")).collect();
        let devices: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), "BLOCK_BASIC"))
            .collect();
        let devices = devices.as_slice();
        let image = Guest {
            devices,
            ..Guest::new("devices")
        }
        .build_for(place);
        let attach = names.iter().map(|name| {
            let file = image.file(name, 512);
            format!("--block:{name}={}", file.display())
        });
        let options: Vec<String> = std::iter::once("--mem=2".to_owned())
            .chain(attach)
            .collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        image.run_with(&options, &[]).succeeded();
    }
}

/// Sets two interfaces up, starts the guest, and has the kernel send ARP requests until it ends.
const NET_SCRIPT: &str = r#"
set -e
for tap in tap0 tap1; do
    ip tuntap add dev $tap mode tap
    echo 1 > /proc/sys/net/ipv6/conf/$tap/disable_ipv6
    ip link set dev $tap up
done
ip link set dev tap0 mtu "$1"
ip address add 10.99.0.1/24 dev tap0
tender=$2
image=$3
shift 3
timeout 60 "$tender" "$@" --net:service=tap0 --net:other=tap1 -- "$image" &
guest=$!
set +e
while kill -0 $guest 2>/dev/null; do
    echo x 2>/dev/null >/dev/udp/10.99.0.2/9
done
wait $guest
status=$?
grep tap0: /proc/net/dev
exit $status
"#;

/// A command in a network namespace of its own; `None`, with the reason printed, where that is not
/// possible.
pub(crate) fn in_namespace() -> Option<Command> {
    const NAMESPACE: [&str; 3] = ["--user", "--map-root-user", "--net"];
    let mut probe = Command::new("unshare");
    probe.args(NAMESPACE);
    probe.args(["ip", "tuntap", "add", "dev", "tap0", "mode", "tap"]);
    let possible = Outcome::of(&mut probe);
    if possible.status != 0 {
        let why = possible.messages;
        println!("skipped: no TAP in a network namespace: {why}");
        return None;
    }
    let mut namespace = Command::new("unshare");
    namespace.args(NAMESPACE);
    Some(namespace)
}

#[test]
fn network_devices_receive_send_and_refuse() {
    let devices = &[("service", "NET_BASIC"), ("other", "NET_BASIC")];
    let guest = Guest {
        devices,
        ..Guest::new("net")
    };
    let mut runs: Vec<(Place, u32, &[&str])> = Vec::new();
    for place in Place::all() {
        runs.push((place, 1500, &[]));
        // Writing a large frame takes long where instructions are interpreted.
        if Place::fast().contains(&place) {
            runs.push((place, 9000, &[]));
        }
        if place != Place::Spt && !other_hvt_tender() {
            runs.push((place, 1500, &["--no-net-ring"]));
        }
    }
    for (place, mtu, options) in runs {
        let Some(mut namespace) = in_namespace() else {
            return;
        };
        let image = guest.build_for(place);
        namespace.args(["bash", "-c", NET_SCRIPT, "bash", &mtu.to_string()]);
        namespace.arg(place.tender()).arg(image.path());
        namespace.arg("--mem=2").args(place.options()).args(options);
        let outcome = Outcome::of(&mut namespace);
        outcome.succeeded();
        let line = format!("MTU is {mtu}\n");
        assert!(outcome.console.contains(&line), "{outcome:#?}");
        // Bytes and frames that the interface got from the guest: the shortest and the longest.
        let received = outcome
            .console
            .lines()
            .find_map(|line| line.trim().strip_prefix("tap0:"));
        let mut received = received.expect("a line").split_whitespace();
        let received = (received.next(), received.next());
        let bytes = (14 + mtu + 14).to_string();
        let want = (Some(bytes.as_str()), Some("2"));
        assert_eq!(received, want, "{place:?} {options:?}");
    }
}

#[test]
fn an_image_that_is_executed_directly_does_not_run() {
    for place in Place::all() {
        let image = Guest::new("cmdline").build_for(place);
        let error = Command::new(image.path())
            .output()
            .expect_err("the kernel refuses");
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        let shell = Outcome::of(Command::new("sh").arg("-c").arg(image.path()));
        shell.failed(127, "");
    }
}

#[test]
fn a_stripped_image_still_runs() {
    for place in Place::all() {
        let image = Guest::new("cmdline").build_for(place);
        succeed(Command::new("strip").arg(image.path()));
        image.run(&[]).succeeded();
    }
}
