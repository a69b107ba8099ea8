//! A web server in a unikernel, with a task for each client.
//!
//! Its command line is its address: `10.0.0.2/24`.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../../mnet/examples/web/service.rs"]
mod service;

use alloc::boxed::Box;
use core::error::Error;
use core::net::{IpAddr, SocketAddr};

use mnet::aio::TcpListener;
use mnet::solo5::{NetDevice, Solo5};
use mnet::{Config, Net, Runtime};
use solo5::{StartInfo, println};

#[mnet::main]
fn main(start: StartInfo) -> Result<(), Box<dyn Error>> {
    let address = start.cmdline().to_str()?.trim().split_once('/');
    let (ip, prefix_len) = address.ok_or("an address such as 10.0.0.2/24 is wanted")?;
    let (ip, prefix_len): (IpAddr, u8) = (ip.parse()?, prefix_len.parse()?);

    // The stack takes its memory once, here: half of what there is. Tasks live in the other half.
    let config = Config {
        memory: start.heap().len() / 2,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, Solo5, None)?;
    let interface = runtime.attach(NetDevice::new(solo5::Net::acquire("service")?))?;
    let now = runtime.now();
    let stack = runtime.stack_mut();
    stack.add_address(now, interface, ip, prefix_len)?;

    let net = Net::new(runtime);
    let local = SocketAddr::new(ip, 80);
    let listener = TcpListener::bind(&net, local, 128)?;
    println!("listening on {local}");
    Ok(net.run(service::serve(&net, listener))?)
}
