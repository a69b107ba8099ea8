//! mnet-core: the mnet protocols as state machines.
//!
//! The core never reads a clock, a device or a random source: packets and time go in, packets and
//! events come out. The same code runs in a unikernel, in a unit test under virtual time, under a
//! fuzzer and in the replay of a recorded incident, with the same result each time.
//!
//! Start at [`Stack`]: its documentation gives the calling order. The layers below it, from the
//! wire upwards: `wire` (bytes to typed values, no state), `neigh` (ARP and neighbour discovery), `ip`
//! (addresses and routes of both families, ICMP), `udp`, `tcp`. `stack` is the only module that knows them all.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
pub mod checksum;
pub mod config;
pub mod counters;
pub mod device;
pub mod dhcp;
pub mod error;
pub mod log;
pub mod pool;
pub mod route;
pub mod socket;
pub mod stack;
pub mod tcp;
pub mod time;
pub mod udp;
pub mod wire;

mod bucket;
mod context;
mod demux;
mod dhcp6;
mod ip;
mod neigh;
mod rng;
mod timer_wheel;

pub use address::{AddressInfo, AddressOptions, NetworkChanges, NetworkEvent};
pub use config::{Config, ConnectOptions, InterfaceConfig, ListenOptions};
pub use counters::Counters;
pub use ip::{DnsServer, Origin as ResolverOrigin, SearchDomain};
pub use socket::{Event, Readiness, SocketId};
pub use stack::{PoolStats, Stack, UdpDatagram, UdpReceived, Usage};
pub use time::Instant;
