//! The hand-made inputs, a file for each kind of target.
//!
//! Each target starts from a few inputs that reach every branch of the usual case, so that the
//! fuzzer need not guess magic numbers. What fuzzing finds is added beside them by hand.

mod c_api;
mod services;
mod stack;
mod toolchain;
mod wire;

use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv4::Ipv4Header;
use std::cell::RefCell;
use std::net::Ipv4Addr;
use zerocopy::IntoBytes;

/// Inputs under construction.
#[derive(Default)]
struct Seeds(RefCell<Vec<Seed>>);

/// An input: its target, its name, its bytes.
pub(crate) type Seed = (&'static str, String, Vec<u8>);

impl Seeds {
    fn add(&self, target: &'static str, name: &str, bytes: &[u8]) {
        self.0
            .borrow_mut()
            .push((target, name.to_owned(), bytes.to_vec()));
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Seed> {
    let seeds = Seeds::default();
    wire::wire(&seeds);
    wire::tcp(&seeds);
    wire::ipv6(&seeds);
    services::cmdline(&seeds);
    services::dhcp(&seeds);
    services::dhcp6(&seeds);
    services::igmp(&seeds);
    toolchain::toolchain(&seeds);
    toolchain::hvt_guest(&seeds);
    toolchain::spt_relay(&seeds);
    toolchain::gdb_packets(&seeds);
    stack::stack(&seeds);
    c_api::fibers(&seeds);
    c_api::c_abi(&seeds);
    seeds.0.into_inner()
}

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const HW_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

const HW_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&HW_B.0[..], &HW_A.0, &ether_type.to_be_bytes(), payload].concat()
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).expect("small");
    [
        Ipv4Header::new(A, B, protocol, 64, total).as_bytes(),
        payload,
    ]
    .concat()
}

fn with(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = value;
    bytes
}
