//! A unikernel that says hello to whom its command line names.
#![no_std]
#![no_main]

use hello_rust::greeting;
use solo5::{StartInfo, println};

#[solo5::main]
fn main(start: StartInfo) {
    let name = start.cmdline().to_string_lossy();
    println!("{}", greeting(&name));
}
