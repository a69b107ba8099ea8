//! What guests do under `solo5-hvt` only: traps, protection, and what a guest must not ask for
//! (solo5-abi sections 8.4, 10.4, 13.2 and 15.3).

use crate::both::in_namespace;
use crate::support::{Guest, Image, Outcome, Place, hvt_works, other_hvt_tender};

/// The guest that does what is forbidden, for this place; `None` where there is no KVM.
fn fault(place: Place) -> Option<Image> {
    hvt_works().then(|| Guest::new("fault").build_for(place))
}

/// Faults of a guest in ring 3: what it does, the exit status, and what the tender says.
const RING3_FAULTS: &[(&str, i32, &str)] = &[
    ("unmapped", 255, "trap: type=#PF ec=0x6 "),
    ("zero", 255, "trap: cr2=0x8\n"),
    ("zero-call", 255, "trap: type=#PF ec=0x14 rip=0x0 "),
    ("beyond", 255, "trap: cr2=0x200000\n"),
    ("text", 1, "trap: type=#PF ec=0x7 "),
    ("rodata", 1, "KVM: host/guest translation fault: rip=0x"),
    ("boot-info", 1, "trap: cr2=0x10000\n"),
    ("data-call", 1, "trap: type=#PF ec=0x15 "),
    ("rodata-call", 1, "trap: type=#PF ec=0x15 "),
    ("heap-call", 1, "trap: type=#PF ec=0x15 "),
    ("stack-call", 1, "trap: type=#PF ec=0x15 "),
    ("page-tables", 255, "trap: cr2=0x2000\n"),
    ("monitor", 1, "trap: cr2=0x100000000\n"),
    ("illegal", 255, "trap: type=#UD ec=0x0 "),
    ("divide", 255, "trap: type=#DE ec=0x0 "),
    ("breakpoint", 255, "trap: type=#BP ec=0x0 "),
    ("halt", 255, "trap: type=#GP ec=0x0 "),
    ("cr3", 255, "trap: type=#GP ec=0x0 "),
];

#[test]
fn what_a_guest_in_ring_3_must_not_do_ends_it_with_a_report() {
    if other_hvt_tender() {
        return;
    }
    let Some(image) = fault(Place::Hvt) else {
        return;
    };
    for &(what, status, message) in RING3_FAULTS {
        let outcome = image.run(&["--solo5:quiet", what]);
        outcome.failed(status, "trying\n");
        assert!(outcome.messages.contains(message), "{what}: {outcome:#?}");
        // A guest that the tender ends is aborted as one that ends itself.
        assert_eq!(outcome.messages.contains("ABORT"), status == 255, "{what}");
    }
    // No system calls here: there is nobody to call.
    image.run(&["dup"]).failed(255, "trying\n");
}

#[test]
fn traps_in_ring_0_are_reported_by_the_guest_and_end_it() {
    let Some(image) = fault(Place::Ring0) else {
        return;
    };
    for (what, report) in [
        ("unmapped", "Solo5: trap: cr2=0x400000000\n"),
        ("zero", "Solo5: trap: type=#PF ec=0x2 rip=0x"),
        ("illegal", "Solo5: trap: type=#UD ec=0x0 rip=0x"),
        ("boot-info", "Solo5: trap: type=#PF ec=0x3 rip=0x"),
        // There is nobody to call.
        ("dup", "Solo5: trap: "),
    ] {
        let outcome = image.run(&[what]);
        outcome.failed(255, "trying\n");
        assert!(outcome.console.contains(report), "{what}: {outcome:#?}");
        assert!(outcome.console.ends_with("Solo5: ABORT: Fatal trap\n"));
        let quiet = image.run(&["--solo5:quiet", what]);
        quiet.failed(255, "trying\nSolo5: ABORT: Fatal trap\n");
    }
}

#[test]
fn a_trap_in_ring_0_ends_a_guest_whose_ring_is_broken_and_leaves_a_core_file() {
    if other_hvt_tender() || !hvt_works() {
        return;
    }
    let Some(mut namespace) = in_namespace() else {
        return;
    };
    let guest = Guest {
        devices: &[("service", "NET_BASIC")],
        ..Guest::new("fault")
    };
    let image = guest.build_for(Place::Ring0);
    let script = "ip tuntap add dev tap0 mode tap && ip link set dev tap0 up && \
                  exec timeout 30 \"$@\"";
    namespace.args(["bash", "-c", script, "bash"]);
    namespace.arg(Place::Ring0.tender());
    namespace.args(["--ring0", "--mem=2", "--net:service=tap0"]);
    // The descriptors of the ring are closed before, and one of them may become the file's.
    let dir = image.path().with_extension("cores");
    std::fs::create_dir(&dir).expect("a directory");
    namespace
        .arg(format!("--dumpcore={}", dir.display()))
        .arg("--");
    namespace.arg(image.path());
    namespace.args(["--solo5:quiet", "ring-trap"]);
    let outcome = Outcome::of(&mut namespace);
    outcome.failed(255, "trying\nSolo5: ABORT: Fatal trap\n");
    assert_eq!(
        std::fs::read_dir(&dir).expect("it").count(),
        1,
        "{outcome:#?}"
    );
    assert!(outcome.messages.contains(" pages of total 512 pages\n"));
}

#[test]
fn code_and_constants_of_a_guest_in_ring_0_are_protected_by_the_host() {
    if other_hvt_tender() {
        return;
    }
    let Some(image) = fault(Place::Ring0) else {
        return;
    };
    for what in ["text", "rodata"] {
        let outcome = image.run(&["--solo5:quiet", what]);
        outcome.failed(1, "trying\n");
        let message = "KVM: host/guest translation fault: rip=0x";
        assert!(outcome.messages.contains(message), "{outcome:#?}");
    }
}

#[test]
fn what_is_no_hypercall_ends_the_guest_and_blames_it() {
    let Some(image) = fault(Place::Hvt) else {
        return;
    };
    for (what, message) in [
        ("port-in", "Invalid guest port access: port=0x500\n"),
        ("call-0", "Invalid guest hypercall: num=0\n"),
        ("net-call", "Invalid guest hypercall: num=6\n"),
        ("doorbell", "Invalid guest port access: port=0x600\n"),
        ("pointer", "Invalid guest access: gpa=0xfffffff8, sz=16\n"),
    ] {
        let outcome = image.run(&["--solo5:quiet", what]);
        outcome.failed(1, "trying\n");
        assert!(outcome.messages.ends_with(message), "{what}: {outcome:#?}");
    }
    // Where ring 3 may not even try, it is an exception; where it may, the tender is not fooled.
    for what in ["port", "handler-port"] {
        let outcome = image.run(&["--solo5:quiet", what]);
        let refused = outcome.messages.contains("Invalid guest port access")
            || outcome.messages.contains("trap: type=#GP ec=0x0 ");
        assert!(refused && outcome.status != 0, "{what}: {outcome:#?}");
    }
}

#[test]
fn the_tender_does_not_write_where_the_guest_must_not() {
    if other_hvt_tender() {
        return;
    }
    for place in [Place::Hvt, Place::Ring0] {
        let Some(image) = fault(place) else {
            return;
        };
        for what in ["clock-text", "clock-rodata", "poll-boot-info"] {
            let outcome = image.run(&["--solo5:quiet", what]);
            outcome.failed(1, "trying\n");
            let refused = outcome.messages.contains("Invalid guest access: gpa=0x1");
            assert!(refused, "{place:?} {what}: {outcome:#?}");
        }
    }
}

#[test]
fn a_page_below_the_stack_is_kept_on_request() {
    if other_hvt_tender() {
        return;
    }
    let Some(image) = fault(Place::Hvt) else {
        return;
    };
    let outcome = image.run_with(&["--mem=4", "--stack=64"], &["stack"]);
    outcome.failed(255, "trying\n");
    // 64 KiB below the end, and the page below that.
    let guard = (4u64 << 20) - (64 << 10) - 4096;
    let cr2 = outcome
        .messages
        .lines()
        .find_map(|line| line.strip_prefix("solo5-hvt: trap: cr2=0x"))
        .map(|digits| u64::from_str_radix(digits, 16).expect("a number"));
    assert!(cr2.is_some_and(|cr2| cr2 & !4095 == guard), "{outcome:#?}");
    // Without, the stack grows down to the image, and what is below that cannot be written.
    let outcome = image.run_with(&["--mem=4"], &["stack"]);
    assert!(outcome.messages.contains("ec=0x7"), "{outcome:#?}");
    let outcome = image.run_with(&["--mem=4", "--stack=4096"], &["none"]);
    assert_eq!(outcome.status, 1);
    assert!(
        outcome.messages.contains("leaves no memory"),
        "{outcome:#?}"
    );
}

#[test]
fn a_guest_that_aborts_leaves_a_core_file_on_request() {
    if other_hvt_tender() || !hvt_works() {
        return;
    }
    for (guest, argument, status) in [
        ("status", "a", 255),
        ("status", "e255", 255),
        ("status", "e7", 7),
        ("fault", "zero", 255),
    ] {
        let image = Guest::new(guest).build_for(Place::Hvt);
        let dir = image.path().with_extension("cores");
        std::fs::create_dir(&dir).expect("a directory");
        let option = format!("--dumpcore={}", dir.display());
        let outcome = image.run_with(&["--mem=2", &option], &[argument]);
        outcome.failed(status, "");
        let cores: Vec<_> = std::fs::read_dir(&dir).expect("it").collect();
        if status != 255 {
            assert!(cores.is_empty() && !outcome.messages.contains("core"));
            continue;
        }
        let [core] = &cores[..] else {
            panic!("{cores:?}: {outcome:#?}");
        };
        let core = core.as_ref().expect("an entry").path();
        let line = format!("dumpcore: dumping guest core to: {}\n", core.display());
        assert!(outcome.messages.contains(&line), "{outcome:#?}");
        assert!(outcome.messages.contains(" pages of total 512 pages\n"));
        let bytes = std::fs::read(&core).expect("the file");
        assert_eq!(bytes.len(), 0x214 + (2 << 20));
        // The image's interpreter is where the image is.
        assert_eq!(&bytes[0x214 + (1 << 20)..][..18], b"/nonexistent/solo5");
    }
    let image = Guest::new("status").build_for(Place::Hvt);
    let outcome = image.run_with(&["--dumpcore=/nonexistent"], &[]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.messages.contains("dumpcore: cannot open dir"));
}
