//! A unikernel that keeps keys and values on a block device, and serves them over TCP, on port 4000.
//!
//! Its command line: `--ipv4=10.0.0.2/24`, and what `--help` tells.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::error::Error;
use core::net::{IpAddr, SocketAddr};

use kv::disk::{self, Disk};
use kv::service;
use mnet::aio::TcpListener;
use mnet::cli::{self, ConsoleLines, NetworkArgs, NoOptions, Outcome, Program};
use mnet::solo5::{NetDevice, Solo5, log_to_console};
use mnet::{Config, Net, Runtime};
use solo5::{Block, StartInfo, println};

#[mnet::main]
fn main(start: StartInfo) -> Result<u8, Box<dyn Error>> {
    let program = Program {
        name: "kv",
        summary: "Keys and values on a block device, served on port 4000.",
        devices: &["service"],
    };
    let line = start.cmdline().to_str()?;
    let (mut network, mut console) = (NetworkArgs::with_log(), ConsoleLines::new());
    match cli::parse(
        line,
        &program,
        &mut NoOptions,
        Some(&mut network),
        &mut console,
    ) {
        Outcome::Run => {}
        Outcome::Help => return Ok(0),
        Outcome::Refused => return Ok(1),
    }

    let config = Config {
        memory: start.heap().len() / 2,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, Solo5, None)?;
    runtime.set_log(network.log_filter(), Box::new(log_to_console));
    let interface = runtime.attach(NetDevice::new(solo5::Net::acquire("service")?))?;
    let now = runtime.now();
    network.apply(runtime.stack_mut(), now, 0, interface)?;
    let mut random = [0; 4];
    runtime.stack_mut().random(&mut random);

    let net = Net::new(runtime);
    let disk = Disk::new(Block::acquire("storage")?)?;
    let database = net.block_on(disk::open(disk, u32::from_ne_bytes(random)))?;
    let local = SocketAddr::new(IpAddr::from([0; 4]), 4000);
    let listener = TcpListener::bind(&net, local, 64)?;
    println!("listening on port 4000");
    net.run(service::serve(&net, listener, database))?;
    Ok(0)
}
