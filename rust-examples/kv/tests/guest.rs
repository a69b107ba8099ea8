//! Tests that run in a guest: `cargo solo5 test`. Each has a disk of its own, in memory.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use kv::disk::{Database, Disk, open};
use solo5::Block;

solo5::test_main!();

/// A disk does not let anybody wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn disk() -> Disk {
    Disk::new(Block::acquire("storage").unwrap()).unwrap()
}

fn set(database: &Database, key: &str, value: &str) {
    let mut write = now(database.write_transaction());
    now(write.write(key.as_bytes(), value.as_bytes())).unwrap();
    now(write.commit()).unwrap();
}

fn get(database: &Database, key: &str) -> Option<alloc::vec::Vec<u8>> {
    let mut value = [0; 1024];
    let read = now(database.read_transaction());
    let len = now(read.read(key.as_bytes(), &mut value)).ok()?;
    Some(value[..len].to_vec())
}

#[solo5::test]
fn what_was_written_is_there_when_the_disk_is_opened_again() {
    let database = now(open(disk(), 1)).unwrap();
    for number in 0..50 {
        set(
            &database,
            &format!("key {number}"),
            &format!("value {number}"),
        );
    }
    drop(database);
    let database = now(open(disk(), 2)).unwrap();
    for number in 0..50 {
        let value = get(&database, &format!("key {number}")).unwrap();
        assert_eq!(value, format!("value {number}").as_bytes());
    }
    assert_eq!(get(&database, "key 50"), None);
}

/// Far more is written than the disk has room for: what is old makes room.
#[solo5::test]
fn a_key_may_be_written_for_ever() {
    let database = now(open(disk(), 1)).unwrap();
    for number in 0..3_000 {
        set(&database, "key", &format!("{number}"));
    }
    assert_eq!(get(&database, "key").unwrap(), b"2999");
}

#[solo5::test]
fn a_disk_with_something_else_is_not_touched() {
    let mut block = Block::acquire("storage").unwrap();
    let text = [b'x'; 512];
    block.write(0, &text).unwrap();
    drop(block);
    assert!(now(open(disk(), 1)).is_err());
    let mut block = Block::acquire("storage").unwrap();
    let mut found = [0; 512];
    block.read(0, &mut found).unwrap();
    assert_eq!(found, text);
}
