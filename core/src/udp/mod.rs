//! UDP (RFC 768, RFC 8085): sockets, their receive queues, and who gets a datagram.
//!
//! A received datagram stays in its frame until it is read. What waits in a queue is counted by
//! the frames it occupies, not by its payload, so that small datagrams cannot hold more memory
//! than large ones.

mod datagrams;
mod members;
mod recent;
mod settings;
mod sockets;

pub use members::GroupChange;
pub(crate) use members::MEMBER_BYTES;
pub use settings::{UdpOptions, UdpSetting, UdpSettings};
pub use sockets::UdpError;
pub(crate) use sockets::{Arrival, Peer, Received, SOCKET_BYTES, Udp};
