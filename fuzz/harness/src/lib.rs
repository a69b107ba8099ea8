//! The bodies of the fuzz targets.
//!
//! Each is a function of bytes that panics if something is wrong: a property does not hold, or the
//! code under test panics itself. `cargo fuzz` calls them with bytes of its own making, and the
//! test `corpus` replays the committed corpora on stable Rust.

mod c_abi;
mod cmdline;
mod dhcp;
mod dhcp6;
mod fibers;
mod gdb;
mod hvt;
mod igmp;
mod image;
mod input;
mod ipv6;
mod packets;
mod recording;
mod relay;
mod stack;
mod wire;

pub use c_abi::c_abi;
pub use cmdline::cmdline;
pub use dhcp::dhcp;
pub use dhcp6::dhcp6;
pub use fibers::fibers;
pub use gdb::gdb_packets;
pub use hvt::hvt_guest;
pub use igmp::igmp;
pub use image::{elf_image, manifest_note, manifest_source};
pub use ipv6::{ipv6, ndp, stack_ipv6};
pub use relay::spt_relay;
pub use stack::{stack_frames, stack_raw};
pub use wire::{arp, ethernet, icmp, ipv4, tcp_header, tcp_options, udp};

/// A target's body.
pub type Target = fn(&[u8]);

/// All targets, under the names of their files and corpora.
pub const TARGETS: [(&str, Target); 24] = [
    ("arp", arp),
    ("c_abi", c_abi),
    ("cmdline", cmdline),
    ("dhcp", dhcp),
    ("dhcp6", dhcp6),
    ("elf_image", elf_image),
    ("ethernet", ethernet),
    ("fibers", fibers),
    ("gdb_packets", gdb_packets),
    ("hvt_guest", hvt_guest),
    ("icmp", icmp),
    ("igmp", igmp),
    ("ipv4", ipv4),
    ("ipv6", ipv6),
    ("manifest_note", manifest_note),
    ("manifest_source", manifest_source),
    ("ndp", ndp),
    ("spt_relay", spt_relay),
    ("stack_frames", stack_frames),
    ("stack_ipv6", stack_ipv6),
    ("stack_raw", stack_raw),
    ("tcp_header", tcp_header),
    ("tcp_options", tcp_options),
    ("udp", udp),
];
