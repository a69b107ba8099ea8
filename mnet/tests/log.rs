//! The log of a runtime: handed to a function, and to the crate `log`.

mod common;

use std::sync::Mutex;
use std::time::Duration;

use common::World;
use log::{LevelFilter, Metadata, Record};
use mnet::log::{Filter, Level};

static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        RECORDS.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// A host that is given an address.
fn give_address(runtime: &mut mnet::Runtime<common::Side>, last: u8) {
    let interface = runtime.stack().interfaces().next().unwrap().id;
    let now = runtime.now();
    let address = [10, 7, 0, last].into();
    let added = runtime.stack_mut().add_address(now, interface, address, 24);
    added.unwrap();
    runtime.step(now);
}

const ADDED: [&str; 2] = [
    "interface 1: static address 10.7.0.1/24 is ours",
    "route to 10.7.0.0/24 on interface 1",
];

#[test]
fn the_crate_log_gets_records_with_targets() {
    log::set_logger(&Collector).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let world = World::new();
    let mut runtime = common::runtime(&world, 0);
    runtime.log_to_crate(Filter::all(Some(Level::Info)));
    give_address(&mut runtime, 1);
    let wanted = ADDED.map(|text| format!("INFO mnet::ip: {text}"));
    assert_eq!(*RECORDS.lock().unwrap(), wanted);
    // The logger's own limit holds as well.
    log::set_max_level(LevelFilter::Warn);
    give_address(&mut runtime, 2);
    assert_eq!(RECORDS.lock().unwrap().len(), wanted.len());
}

/// What a command has done is no riddle until something arrives.
#[test]
fn what_happened_between_two_turns_is_told_before_the_loop_sleeps() {
    let world = World::new();
    let mut runtime = common::runtime(&world, 0);
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (sink, clock) = (std::rc::Rc::clone(&told), std::rc::Rc::clone(&world));
    runtime.set_log(
        Filter::all(Some(Level::Debug)),
        Box::new(move |event| {
            sink.borrow_mut().push((event.to_string(), clock.now()));
        }),
    );
    let begin = world.now();
    let interface = runtime.stack().interfaces().next().unwrap().id;
    let added = runtime
        .stack_mut()
        .add_address(begin, interface, [10, 7, 0, 1].into(), 24);
    added.unwrap();
    runtime.turn(begin + Duration::from_secs(10));
    let told_at_once = |text: &str| (text.to_string(), begin);
    assert_eq!(told.take(), ADDED.map(told_at_once));
}

#[test]
fn a_function_gets_events_and_the_loop_wakes_for_them() {
    let world = World::new();
    let mut runtime = common::runtime(&world, 0);
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = std::rc::Rc::clone(&told);
    let filter = Filter::all(Some(Level::Info)).changed("link").unwrap();
    runtime.set_log(
        filter,
        Box::new(move |event| sink.borrow_mut().push(event.to_string())),
    );
    give_address(&mut runtime, 1);
    assert_eq!(told.take(), ADDED);
    // What is dropped is told within a second, though nothing else happens.
    world.send(0, vec![0; 5]);
    let until = runtime.now() + Duration::from_millis(1_500);
    runtime.wait_for(until, |_| None::<()>);
    assert_eq!(told.take(), ["eth_malformed: 1 more"]);
    runtime.end_log();
    give_address(&mut runtime, 2);
    assert!(told.take().is_empty());
    assert!(runtime.set_log_filter(filter).is_err());
}
