//! A unikernel that makes a zip archive of the files that are uploaded to it, while they come in.
//!
//! Its command line: `--ipv4=10.0.0.2/24`, and what `--help` tells.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::error::Error;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use mnet::aio::TcpListener;
use mnet::cli::{self, ConsoleLines, NetworkArgs, Opt, Outcome, Program};
use mnet::solo5::{NetDevice, Solo5, log_to_console};
use mnet::{Config, Net, Runtime};
use solo5::{StartInfo, println};
use upload::service;

#[mnet::main]
fn main(start: StartInfo) -> Result<u8, Box<dyn Error>> {
    let mut patience = Duration::from_secs(30);
    let mut options = [Opt::duration(
        "patience",
        Duration::from_millis(100)..=Duration::from_secs(3600),
        &mut patience,
        "how long we wait for a client that is silent; default 30s",
    )];
    let program = Program {
        name: "upload",
        summary: "Makes a zip archive of the files that are uploaded, on port 80.",
        devices: &["service"],
    };
    let line = start.cmdline().to_str()?;
    let (mut network, mut console) = (NetworkArgs::with_log(), ConsoleLines::new());
    match cli::parse(
        line,
        &program,
        &mut options,
        Some(&mut network),
        &mut console,
    ) {
        Outcome::Run => {}
        Outcome::Help => return Ok(0),
        Outcome::Refused => return Ok(1),
    }

    // The stack takes its memory once, here: half of what there is. Uploads live in the other half.
    let config = Config {
        memory: start.heap().len() / 2,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, Solo5, None)?;
    // `--verbosity=info` and `--log=tcp` say what is told.
    runtime.set_log(network.log_filter(), Box::new(log_to_console));
    let interface = runtime.attach(NetDevice::new(solo5::Net::acquire("service")?))?;
    let now = runtime.now();
    let stack = runtime.stack_mut();
    network.apply(stack, now, 0, interface)?;

    let net = Net::new(runtime);
    let listen = |any: IpAddr| TcpListener::bind(&net, SocketAddr::new(any, 80), 128);
    let listeners = [listen([0; 4].into())?, listen([0; 16].into())?];
    println!("listening on port 80");
    net.run(service::serve(&net, listeners, patience))?;
    Ok(0)
}
