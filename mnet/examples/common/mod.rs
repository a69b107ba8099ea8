//! A network on a TAP device, for the examples: `NAME TAP ADDRESS/PREFIX`.
//!
//! ```sh
//! sudo ip tuntap add dev tap0 mode tap user "$USER"
//! sudo ip address add 10.0.0.1/24 dev tap0
//! sudo ip link set dev tap0 up
//! ```

use std::error::Error;
use std::net::IpAddr;

use mnet::tap::{Tap, TapDevice};
use mnet::{Config, Net, Runtime};

/// What the command line says.
#[allow(dead_code, reason = "each example uses a part")]
pub(crate) struct Host {
    /// The network.
    pub(crate) net: Net<Tap>,
    /// Our address in it.
    pub(crate) ip: IpAddr,
    /// The arguments that are left.
    pub(crate) arguments: Vec<String>,
}

/// Opens the network of the command line.
pub(crate) fn start() -> Result<Host, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(tap), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("the first two arguments are TAP and ADDRESS/PREFIX".into());
    };
    let (ip, prefix_len) = address.split_once('/').ok_or("no prefix length")?;
    let (ip, prefix_len) = (ip.parse()?, prefix_len.parse()?);
    let mut runtime = Runtime::new(&Config::default(), Tap::default(), None)?;
    let interface = runtime.attach(TapDevice::open(&tap)?)?;
    let now = runtime.now();
    let stack = runtime.stack_mut();
    stack.add_address(now, interface, ip, prefix_len)?;
    Ok(Host {
        net: Net::new(runtime),
        ip,
        arguments: arguments.collect(),
    })
}
