//! Two networks with an impaired path between them: clients here, servers there.
//!
//! ```text
//!   client network              |          server network
//!   Linux 10.0.0.1 == tap "wan" <- path -> tap "wan" == bridge == Linux 10.0.0.3
//!                                                         |
//!                                                  tap "tap0", for an image at 10.0.0.2
//! ```
//!
//! Whoever serves, the packets take the same way through the same path: what differs between an
//! image and Linux is not the network. No device has any offload, so every frame is one packet.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::bridge;
use crate::impair::{Forwarder, Impairment, Port};
use crate::namespace::Network;
use crate::tap::Tap;

/// Linux, on the clients' side.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The image, on the servers' side.
pub const IMAGE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Linux, on the servers' side.
pub const LINUX: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// Frames that wait in a device for the path: never what limits.
const QUEUE: u16 = 20_000;

/// Networks, devices and the path; gone when dropped.
#[derive(Debug)]
pub struct Path {
    /// Where the clients are.
    pub client: Network,
    /// Where the servers are.
    pub server: Network,
    /// What lies between. Forth is from the client to the server.
    pub forwarder: Forwarder,
    /// The client's device.
    pub client_tap: Tap,
    /// The image's device, `tap0`, in the server's network; nobody is attached.
    pub image_tap: Tap,
    /// What joins image, Linux and path on the servers' side.
    pub bridge: Tap,
}

impl Path {
    /// Makes it all. The calling thread stays in its network, which is not used.
    ///
    /// # Errors
    ///
    /// When the kernel refuses something.
    pub fn new(forth: &Impairment, back: &Impairment, seed: u64) -> Result<Self> {
        let (client, server) = (Network::new()?, Network::new()?);
        let client_tap = client.within(|| {
            tune()?;
            let wan = Tap::new("wan")?;
            wan.set_queue(QUEUE)?;
            wan.set_address(CLIENT, 24)?;
            Ok(wan)
        })?;
        let (wan, image_tap, bridge) = server.within(|| {
            tune()?;
            let (wan, image) = (Tap::new("wan")?, Tap::new("tap0")?);
            for tap in [&wan, &image] {
                tap.set_queue(QUEUE)?;
            }
            let bridge = bridge::join("lan", &[&wan, &image])?;
            bridge.set_address(LINUX, 24)?;
            Ok((wan, image, bridge))
        })?;
        let ports = [
            client.within(|| Port::tap(&client_tap))?,
            server.within(|| Port::tap(&wan))?,
        ];
        let forwarder = Forwarder::start(ports, [forth.clone(), back.clone()], seed)?;
        Ok(Self {
            client,
            server,
            forwarder,
            client_tap,
            image_tap,
            bridge,
        })
    }
}

/// Settings of Linux in the calling thread's network: windows for long and fast paths, and nothing
/// remembered from one connection to the next.
fn tune() -> Result<()> {
    for (name, value) in [
        ("net/ipv4/tcp_wmem", "4096 65536 8388608"),
        ("net/ipv4/tcp_rmem", "4096 131072 8388608"),
        ("net/ipv4/tcp_no_metrics_save", "1"),
    ] {
        let file = format!("/proc/sys/{name}");
        fs::write(&file, value).with_context(|| format!("cannot write {file}"))?;
    }
    // Neighbour discovery would be impaired traffic that nobody asked for.
    let ipv6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    if fs::exists(ipv6)? {
        fs::write(ipv6, "1").with_context(|| format!("cannot write {ipv6}"))?;
    }
    Ok(())
}
