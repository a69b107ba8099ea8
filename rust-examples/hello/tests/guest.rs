//! Tests that run in guests: `cargo solo5 test`.
#![no_std]
#![no_main]

use hello_rust::greeting;

solo5::test_main!();

#[solo5::test]
fn a_name_is_greeted() {
    assert_eq!(greeting("Ada"), "Hello, Ada, from a unikernel!");
}

#[solo5::test]
fn nobody_is_greeted_too() {
    assert_eq!(greeting("  "), "Hello from a unikernel!");
}

#[solo5::test]
fn time_passes() {
    let start = solo5::clock_monotonic();
    solo5::yield_until(start + 1_000_000);
    assert!(solo5::clock_monotonic() >= start + 1_000_000);
}
