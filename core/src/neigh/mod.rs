//! Neighbours: which Ethernet address belongs to an IPv4 address on a link (RFC 826).
//!
//! [`Neighbours`] keeps what is known and decides when to ask; it builds no packets. The stack
//! reads and writes the ARP packets.

mod cache;
mod list;

pub(crate) use cache::{Due, Evidence, Learned, Neighbours, Request, Resolution};
