//! Counters: every frame in and out, and every drop under the name of its reason.
//!
//! One list gives the fields, their documentation and their names, so that the three cannot
//! drift apart. Names say layer and reason; a packet that is dropped increments exactly one of
//! them.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What happened since the stack was created. A counter wraps after 2^64 events.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Counters {
            /// How many counters there are.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// All names and values, in the order of the declaration.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames handed to the stack.
    rx_frames,
    /// Bytes of the frames handed to the stack, Ethernet headers included.
    rx_bytes,
    /// Frames that the stack gave to be sent.
    tx_frames,
    /// Bytes of the frames that the stack gave to be sent, Ethernet headers included.
    tx_bytes,
    /// No frame was free to receive into: the device keeps the packet or drops it.
    rx_no_frame,
    /// Dropped: handed over for an interface that does not exist.
    rx_no_interface,
    /// Dropped: larger than a frame of the pool.
    rx_oversize,

    /// Dropped: shorter than an Ethernet header.
    eth_malformed,
    /// Dropped: the destination is neither us nor a group that we listen to.
    eth_bad_destination,
    /// Dropped: the source is a group address, or our own.
    eth_bad_source,
    /// Dropped: 802.1Q tagged; no VLAN is configured.
    eth_vlan_unsupported,
    /// Dropped: an EtherType that the stack does not speak.
    eth_unknown_type,

    /// ARP packets that were looked at.
    arp_received,
    /// Dropped: too short, or not about Ethernet and IPv4 addresses.
    arp_malformed,
    /// Dropped: neither request nor reply (RARP, InARP).
    arp_bad_operation,
    /// Dropped: sender addresses that no host has, or that contradict the Ethernet header.
    arp_bad_sender,
    /// Dropped: a question about, or an announcement of, an address that is of no concern.
    arp_not_for_us,
    /// Dropped: a reply from a host that was not asked.
    arp_unsolicited,
    /// Someone else uses one of our addresses (RFC 5227).
    arp_conflict,
    /// Our address was defended with an announcement (RFC 5227 §2.4).
    arp_defended,
    /// Requests sent, announcements and probes included.
    arp_requests_sent,
    /// Replies sent.
    arp_replies_sent,
    /// A neighbour left the cache to make room for another one.
    arp_cache_evicted,
    /// A neighbour did not answer any of the requests.
    arp_failed,
    /// Packets dropped: newer ones for the same neighbour pushed them out of its queue.
    arp_pending_dropped,
    /// Packets dropped: their neighbour did not answer.
    arp_pending_expired,

    /// IPv4 packets that were looked at.
    ip_received,
    /// IPv4 packets sent.
    ip_sent,
    /// Dropped: shorter than a header.
    ip_truncated,
    /// Dropped: the version is not 4.
    ip_bad_version,
    /// Dropped: a header length below 20 bytes or beyond the packet.
    ip_bad_header_length,
    /// Dropped: a total length below the header's or beyond the frame.
    ip_bad_total_length,
    /// Dropped: the header checksum is wrong.
    ip_bad_checksum,
    /// Dropped: the reserved flag is set, or DF together with a fragment.
    ip_bad_flags,
    /// Dropped: an option runs over the end of the header.
    ip_bad_option,
    /// Dropped: source routing is refused.
    ip_source_route_refused,
    /// Dropped: a fragment.
    ip_fragment_unsupported,
    /// Dropped: a source address that no host has, or our own.
    ip_bad_source,
    /// Dropped: not for us; hosts do not forward (RFC 1122 §3.3.1.1).
    ip_bad_destination,
    /// Dropped: to one host's IP address inside a link-layer broadcast (RFC 1122 §3.3.6).
    ip_link_broadcast,
    /// Dropped: a transport protocol that the stack does not speak.
    ip_unknown_protocol,
    /// Packets to send, dropped: no route leads there.
    ip_no_route,
    /// Packets to send, dropped: larger than the interface's MTU.
    ip_too_large,
    /// Packets to send, dropped: no frame was free to queue them in.
    ip_no_frame,

    /// ICMP messages that were looked at.
    icmp_received,
    /// ICMP messages sent.
    icmp_sent,
    /// Dropped: shorter than its header, or than the packet that it must quote.
    icmp_malformed,
    /// Dropped: the checksum is wrong.
    icmp_bad_checksum,
    /// Dropped: a type that hosts ignore.
    icmp_ignored_type,
    /// Dropped: to a broadcast or multicast address.
    icmp_not_unicast,
    /// Echo requests answered.
    icmp_echo_replied,
    /// Dropped: an error about a packet that we did not send, or cannot have.
    icmp_error_unrelated,
    /// An error that reached the socket that it is about.
    icmp_error_delivered,
    /// Errors not sent: the rate limit (RFC 1812 §4.3.2.8).
    icmp_rate_limited,
    /// Errors not sent: about a packet that must not be answered with one (RFC 1122 §3.2.2).
    icmp_suppressed,

    /// UDP datagrams that were looked at.
    udp_received,
    /// UDP datagrams handed down to be sent.
    udp_sent,
    /// Dropped: shorter than a header, a length field beyond the packet, or port 0.
    udp_malformed,
    /// Dropped: the checksum is wrong.
    udp_bad_checksum,
    /// Dropped: no socket has this port.
    udp_no_socket,
    /// Dropped: the socket's receive queue is full.
    udp_queue_full,
    /// Dropped: the frame pool runs low.
    udp_pool_low,

    /// TCP segments that were looked at.
    tcp_received,
    /// TCP segments sent.
    tcp_sent,
    /// Dropped: shorter than its header, a data offset that is wrong, or port 0.
    tcp_malformed,
    /// Dropped: the checksum is wrong.
    tcp_bad_checksum,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_the_fields_and_values_follow() {
        let counters = Counters {
            ip_bad_checksum: 7,
            ..Counters::default()
        };
        assert_eq!(counters.iter().len(), Counters::COUNT);
        let names: BTreeSet<_> = counters.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), Counters::COUNT, "no name twice");
        let set: std::vec::Vec<_> = counters.iter().filter(|(_, value)| *value != 0).collect();
        assert_eq!(set, [("ip_bad_checksum", 7)]);
    }
}
