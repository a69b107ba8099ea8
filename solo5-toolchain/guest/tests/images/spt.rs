//! What guests do under `solo5-spt` only (solo5-abi sections 8.4 and 14.6).

use crate::support::Guest;

#[test]
fn what_memory_protection_forbids_is_a_plain_signal() {
    let image = Guest::new("fault").build();
    for what in [
        "unmapped",
        "zero",
        "zero-call",
        "text",
        "rodata",
        "data-call",
        "heap-call",
        // Instructions of ring 0.
        "halt",
        "cr3",
        "port",
    ] {
        let outcome = image.run(&["--solo5:quiet", what]);
        outcome.failed(139, "trying\n");
        assert_eq!(outcome.messages, "", "{what}");
    }
    image.run(&["illegal"]).failed(132, "trying\n");
}

#[test]
fn a_system_call_outside_the_filter_is_sigsys() {
    Guest::new("fault")
        .build()
        .run(&["dup"])
        .failed(159, "trying\n");
}

#[test]
fn an_executable_heap_is_the_tenders_choice() {
    let image = Guest::new("fault").build();
    let options = ["--mem=2", "--x-exec-heap"];
    image.run_with(&options, &["heap-call"]).succeeded();
}

#[test]
fn thread_local_access_without_a_thread_pointer_is_a_fault() {
    Guest::new("notls")
        .build()
        .run(&[])
        .failed(139, "reading\n");
}
