//! A unikernel that returns what it is sent over TCP, on port 7 (RFC 862).
//!
//! Its command line is its address: `10.0.0.2/24`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::error::Error;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use echo_rust::Address;
use mnet::solo5::{NetDevice, Solo5};
use mnet::{Config, Net, Runtime, TcpStream};
use solo5::{StartInfo, println};

const PORT: u16 = 7;
/// A client that is silent for longer has to make room for the next one.
const PATIENCE: Duration = Duration::from_secs(30);

#[mnet::main]
fn main(start: StartInfo) -> Result<(), Box<dyn Error>> {
    let Address { ip, prefix_len } = start.cmdline().to_str()?.parse()?;

    // The stack takes its memory once, here: half of what there is.
    let config = Config {
        memory: start.heap().len() / 2,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, Solo5, None)?;
    let interface = runtime.attach(NetDevice::new(solo5::Net::acquire("service")?))?;
    let now = runtime.now();
    let stack = runtime.stack_mut();
    stack.add_address(now, interface, IpAddr::V4(ip), prefix_len)?;

    let net = Net::new(runtime);
    let local = SocketAddr::new(IpAddr::V4(ip), PORT);
    let listener = net.listen(local, 64)?;
    println!("listening on {local}");
    loop {
        let client = listener.accept()?;
        match client.peer_addr() {
            Ok(peer) => println!("{peer} is there"),
            Err(_) => continue,
        }
        // What goes wrong with one client does not concern the next.
        if let Err(error) = serve(&client) {
            println!("a client has failed: {error}");
        }
    }
}

/// Returns what a client sends, until it has finished.
fn serve(client: &TcpStream<Solo5>) -> Result<(), Box<dyn Error>> {
    client.set_read_timeout(Some(PATIENCE));
    client.set_write_timeout(Some(PATIENCE));
    let mut buffer = [0; 4096];
    loop {
        let len = client.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        client.write_all(&buffer[..len])?;
    }
}
