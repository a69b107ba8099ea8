//! Counters: every frame in and out, and every drop under the name of its reason.
//!
//! One list gives the fields, their documentation and their names, so that the three cannot
//! drift apart. Names say layer and reason; a packet that is dropped increments exactly one of
//! them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_mut, transmute_ref};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What happened since the stack was created. A counter wraps after 2^64 events.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
        #[repr(C)]
        pub struct Counters { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Counters {
            /// All names, in the order of the declaration.
            pub const NAMES: [&'static str; Self::COUNT] = [$(stringify!($name)),+];

            /// Whether a counter stands for something that was dropped, in the order of the declaration.
            pub(crate) const DROPS: [bool; Self::COUNT] =
                [$(says_dropped(concat!($($doc),+))),+];

            /// How many counters there are.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// All values, in the order of the declaration.
            #[must_use]
            pub fn values(&self) -> &[u64; Self::COUNT] {
                transmute_ref!(self)
            }

            /// All values, in the order of the declaration.
            pub(crate) fn values_mut(&mut self) -> &mut [u64; Self::COUNT] {
                transmute_mut!(self)
            }

            /// All names and values, in the order of the declaration.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, u64)> + use<> {
                Self::NAMES.into_iter().zip(*self.values())
            }
        }
    };
}

/// Whether the words about a counter say "dropped" of what it counts.
const fn says_dropped(words: &str) -> bool {
    let (words, dropped) = (words.as_bytes(), b"ropped");
    let mut at = 0;
    while at + dropped.len() < words.len() {
        let mut same = 0;
        while same < dropped.len() && words[at + same] == dropped[same] {
            same += 1;
        }
        // What stands before the colon or comma is dropped; "dropped what" is about something else.
        if same == dropped.len() && matches!(words[at + same], b':' | b',') {
            return true;
        }
        at += 1;
    }
    false
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
    /// Frames to send, dropped: too few frames of the pool were free.
    tx_no_frame,
    /// Times that no frame was free to receive into: packets are dropped, or wait in the device.
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
    /// Dropped: tagged for a VLAN that the interface does not have (IEEE 802.1Q).
    eth_vlan_unknown,
    /// Dropped: a tag within a tag, with which frames hop from one VLAN into another.
    eth_vlan_double,
    /// Dropped: a service tag (IEEE 802.1ad), which is for bridges of providers.
    eth_vlan_service,
    /// Dropped: an EtherType that the stack does not speak.
    eth_unknown_type,

    /// Probes for addresses of ours to be (RFC 5227 §2.1), which are counted as requests as well.
    arp_probes_sent,
    /// IPv4 addresses that were given up or never used, because somebody else has them.
    arp_given_up,
    /// ARP packets that were looked at.
    arp_received,
    /// Dropped: too short, or not about Ethernet and IPv4 addresses.
    arp_malformed,
    /// Dropped: neither request nor reply (RARP, InARP).
    arp_bad_operation,
    /// Dropped: sender addresses that no host on this link has.
    arp_bad_sender,
    /// Dropped: a question about, or an announcement of, an address that is of no concern.
    arp_not_for_us,
    /// Dropped: a reply from a host that was not asked.
    arp_unsolicited,
    /// Dropped: somebody else uses one of our addresses (RFC 5227 §2.4).
    arp_conflict,
    /// Our address was defended with an announcement (RFC 5227 §2.4 (c)).
    arp_defended,
    /// A claim to a neighbour's address that contradicts what is known: the neighbour is probed.
    neighbour_contested,
    /// Packets to send, dropped: too many neighbours are being asked for.
    neighbour_rate_limited,
    /// Requests sent, announcements and probes included.
    arp_requests_sent,
    /// Replies sent.
    arp_replies_sent,
    /// A neighbour left the cache to make room for another one.
    neighbour_evicted,
    /// Neighbours dropped: they did not answer any of the requests.
    neighbour_failed,
    /// Packets dropped: newer ones for the same neighbour pushed them out of its queue.
    neighbour_pending_dropped,
    /// Packets dropped: their neighbour did not answer.
    neighbour_pending_expired,

    /// Neighbour discovery messages that were looked at (RFC 4861).
    nd_received,
    /// Dropped: from another link, a fragment, or malformed (RFC 4861 §6.1, §7.1, §8.1, RFC 6980).
    nd_malformed,
    /// Dropped: a question about an address that is not ours.
    nd_not_for_us,
    /// Dropped: sender addresses that no neighbour on this link has.
    nd_bad_sender,
    /// Dropped: an advertisement of a neighbour that was not asked.
    nd_unsolicited,
    /// Dropped: from a router, where none is believed, or a redirect not from the first hop.
    nd_ignored,
    /// Addresses, groups or routes that were not taken, because there are as many as may be.
    nd_limit,
    /// Router advertisements taken in.
    nd_router_advertisements,
    /// Redirects followed.
    nd_redirects,
    /// Addresses that were not used, because somebody has them (RFC 4862 §5.4).
    nd_duplicate_address,
    /// Somebody else says that an address in use is theirs.
    nd_conflict,
    /// Solicitations sent, of neighbours and routers, probes of our own addresses included.
    nd_solicitations_sent,
    /// Neighbour advertisements sent.
    nd_advertisements_sent,
    /// Queries for multicast listeners (RFC 3810).
    mld_queries,
    /// Dropped: a query from another link, or malformed.
    mld_malformed,
    /// Reports of groups that we listen to.
    mld_reports_sent,

    /// Information-requests sent (RFC 8415).
    dhcp6_requests_sent,
    /// Replies taken in.
    dhcp6_replies,
    /// Replies of servers that cannot help.
    dhcp6_refused,
    /// Dropped: to the port of DHCPv6 clients, but no Reply, or malformed.
    dhcp6_malformed,
    /// Dropped: a Reply to another question or host, or to a group.
    dhcp6_unmatched,

    /// IGMP messages that were looked at (RFC 3376).
    igmp_received,
    /// Queries of them.
    igmp_queries,
    /// Dropped: a query from another link, without Router Alert, or malformed.
    igmp_malformed,
    /// Dropped: the checksum is wrong.
    igmp_bad_checksum,
    /// Dropped: what members tell routers.
    igmp_ignored_type,
    /// Reports of groups that we listen to, and of their end.
    igmp_reports_sent,

    /// IP packets that were looked at.
    ip_received,
    /// IP packets sent.
    ip_sent,
    /// Dropped: shorter than a header.
    ip_truncated,
    /// Dropped: the version is not the one that its EtherType says.
    ip_bad_version,
    /// Dropped: IPv6, which the interface does not speak.
    ip_family_disabled,
    /// Dropped: an extension header of IPv6 that is wrong, refused, or one too many.
    ip_bad_extension,
    /// Dropped: nothing follows the headers (No Next Header, RFC 8200 §4.7).
    ip_no_payload,
    /// Dropped: a header length below 20 bytes or beyond the packet.
    ip_bad_header_length,
    /// Dropped: a length below the header's or beyond the frame.
    ip_bad_total_length,
    /// Dropped: the header checksum is wrong.
    ip_bad_checksum,
    /// Dropped: the reserved flag is set.
    ip_bad_flags,
    /// Dropped: an option runs over the end of the header.
    ip_bad_option,
    /// Dropped: source routing is refused.
    ip_source_route_refused,
    /// Packets put together from fragments.
    ip_reassembled,
    /// Fragments dropped: empty, or not the last and no multiple of 8 bytes.
    ip_fragment_bad_length,
    /// Fragments dropped: the packet would be longer than packets can be.
    ip_fragment_too_long,
    /// Fragments dropped: the first one has not all headers, that of the transport included (RFC
    /// 1858, RFC 3128, RFC 7112).
    ip_fragment_tiny,
    /// Fragments dropped: a second time the same.
    ip_fragment_duplicate,
    /// Fragments dropped: one overlaps another one of its packet (RFC 5722).
    ip_fragment_overlap,
    /// Fragments dropped: they do not agree on where their packet ends.
    ip_fragment_bad_end,
    /// Fragments dropped: a packet has more than 128 of them.
    ip_fragment_too_many,
    /// Fragments dropped: the memory for them, or what one source may have of it, is used up, or the
    /// frame pool runs low.
    ip_fragment_no_room,
    /// Fragments dropped: the others of their packet were, for one of the reasons before.
    ip_fragment_condemned,
    /// Fragments dropped: not marked as ECN-capable, unlike others of their packet, which carry a
    /// mark of congestion (RFC 3168 §5.3).
    ip_fragment_bad_ecn,
    /// Fragments dropped: the packet gave way to those of others.
    ip_fragment_evicted,
    /// Fragments dropped: the others of their packet did not come in time.
    ip_fragment_expired,
    /// Dropped: put together from fragments, and larger than a frame, which only datagrams and
    /// echo requests may be.
    ip_reassembled_too_large,
    /// Packets sent in fragments.
    ip_fragmented,
    /// Fragments sent.
    ip_fragments_sent,
    /// Dropped: a source address that no host has, or our own.
    ip_bad_source,
    /// Dropped: not for us; hosts do not forward (RFC 1122 §3.3.1.1).
    ip_bad_destination,
    /// Dropped: to one host's IP address inside a link-layer broadcast or multicast (RFC 1122
    /// §3.3.6).
    ip_link_broadcast,
    /// Dropped: a broadcast or multicast of a protocol that only takes unicasts.
    ip_broadcast_refused,
    /// Dropped: a transport protocol that the stack does not speak.
    ip_unknown_protocol,
    /// Packets to send, dropped: no route leads there.
    ip_no_route,
    /// Times that a gateway did not answer any more: other routes go first.
    ip_gateway_lost,
    /// Packets to send, dropped: larger than the interface's MTU.
    ip_too_large,

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
    /// Messages that name an MTU which cannot be true, or which is too small to be believed.
    icmp_bad_mtu,
    /// An error that reached the socket that it is about.
    icmp_error_delivered,
    /// Errors not sent: the rate limit (RFC 1812 §4.3.2.8).
    icmp_rate_limited,
    /// Errors not sent: about a packet that must not be answered with one (RFC 1122 §3.2.2).
    icmp_suppressed,

    /// Datagrams to the DHCP client.
    dhcp_received,
    /// Dropped: no message of a DHCP server, or its options are out of bounds.
    dhcp_malformed,
    /// Dropped: a DHCP message for somebody else, or one that was not waited for.
    dhcp_ignored,
    /// Dropped: a DHCP server lends what cannot be used.
    dhcp_refused,
    /// DHCP messages sent.
    dhcp_sent,
    /// DHCP servers took back what they had lent or offered (DHCPNAK).
    dhcp_naks,
    /// Addresses that DHCP servers lent and somebody else has (DHCPDECLINE).
    dhcp_declines,
    /// Addresses that DHCP servers lent and were given back: no room for them, or ours on another
    /// interface.
    dhcp_no_room,
    /// Leases obtained and renewed.
    dhcp_leases,
    /// Leases that are over: expired, taken back, given back.
    dhcp_leases_lost,
    /// Routes of leases for which there was no room.
    dhcp_routes_left_out,
    /// UDP datagrams that were looked at.
    udp_received,
    /// UDP datagrams handed down to be sent.
    udp_sent,
    /// Dropped: shorter than a header, a length field beyond the packet, or port 0.
    udp_malformed,
    /// Dropped: the checksum is wrong.
    udp_bad_checksum,
    /// Dropped: no socket has this port, or none wants what this source sends to the group.
    udp_no_socket,
    /// Dropped: it waited in a socket that was connected to somebody else then.
    udp_not_from_peer,
    /// Dropped: the socket's receive queue is full.
    udp_queue_full,
    /// Dropped: the frame pool runs low.
    udp_pool_low,
    /// Times that ICMP has told of a path that carries smaller datagrams (RFC 8085 §3.2).
    udp_path_mtu_lowered,

    /// TCP segments that were looked at.
    tcp_received,
    /// TCP segments sent.
    tcp_sent,
    /// Dropped: shorter than its header, a data offset that is wrong, or port 0.
    tcp_malformed,
    /// Dropped: the checksum is wrong.
    tcp_bad_checksum,
    /// Dropped: an option's length is 0 or 1, or runs over the end of the header.
    tcp_bad_option,
    /// Dropped: source and destination address are the same.
    tcp_from_ourselves,
    /// Answered with a reset: for no connection and no listener.
    tcp_no_connection,
    /// Dropped: a reset for no connection.
    tcp_stray_reset,
    /// Dropped: a SYN, or the end of a handshake, for a listener whose backlog is full.
    tcp_backlog_full,
    /// Dropped: a SYN for which no half-open connection is left, where a cookie is not allowed.
    tcp_half_open_full,
    /// Dropped: a SYN, or the end of a handshake, for a listener that has as many connections as it
    /// may. The latter is answered with a reset.
    tcp_listener_full,
    /// Dropped: a SYN, or the end of a handshake, of a peer that has as many connections as it may.
    /// The latter is answered with a reset.
    tcp_peer_full,
    /// Dropped: a SYN or its last acknowledgement, when all connections that may exist do.
    tcp_connections_full,
    /// Answered with a reset, or ignored if a cookie has found the backlog full lately: no valid cookie
    /// in an acknowledgement to a listener that has sent some.
    tcp_cookies_failed,
    /// Dropped: no ACK flag where there must be one.
    tcp_no_ack,
    /// Dropped: it acknowledges what was not sent, or what is too old (RFC 5961 §5).
    tcp_bad_ack,
    /// Dropped: a SYN inside a connection (RFC 5961 §4).
    tcp_unexpected_syn,
    /// Dropped: beyond the receive window.
    tcp_out_of_window,
    /// Dropped: all of it was received before.
    tcp_old_segment,
    /// Dropped: its timestamp is old (PAWS, RFC 7323 §5).
    tcp_paws,
    /// Dropped: without the timestamp that was agreed on (RFC 7323 §3.2).
    tcp_timestamp_missing,
    /// Data dropped: the peer had sent its FIN before.
    tcp_data_after_fin,
    /// Data dropped, and the connection reset: the user had closed it.
    tcp_data_after_close,
    /// Data dropped: the receive window was full. Zero-window probes are among them.
    tcp_window_probe,
    /// Data dropped: the memory for data in order was used up. The peer sends it again.
    tcp_receive_memory,
    /// Data dropped: the memory for data out of order was used up. The peer sends it again.
    tcp_out_of_order_memory,
    /// Data dropped: more holes than are kept. The peer sends it again.
    tcp_too_many_ranges,
    /// Dropped: a reset for a connection in TIME-WAIT (RFC 1337).
    tcp_time_wait_reset,
    /// Dropped: a SYN that may replace TIME-WAIT, but the number of the cookie that would answer it is
    /// one of the old connection's.
    tcp_time_wait_kept,
    /// Dropped: another late segment for a connection in TIME-WAIT.
    tcp_time_wait_segment,
    /// Challenge ACKs sent (RFC 5961).
    tcp_challenge_acks,
    /// Acknowledgements not sent: their limit per connection and second (RFC 5961 §7).
    tcp_challenge_limited,
    /// Resets and other answers not sent: too many in one batch.
    tcp_reply_queue_full,
    /// Resets sent.
    tcp_resets_sent,
    /// Resets received and believed.
    tcp_resets_received,
    /// Connections that users asked for.
    tcp_active_opens,
    /// Connections that peers asked for.
    tcp_passive_opens,
    /// SYNs answered with a cookie (RFC 4987 §3.6).
    tcp_cookies_sent,
    /// Connections opened by a cookie.
    tcp_cookies_accepted,
    /// Connections whose first data came with the SYN (RFC 7413).
    tcp_fast_opens_accepted,
    /// Fast Open cookies that were not ours: data waits for the handshake.
    tcp_fast_open_bad_cookie,
    /// SYNs with a good cookie whose data has to wait: as many such connections as the listener may
    /// have, or no memory.
    tcp_fast_open_limited,
    /// Connections that have sent data with their SYN.
    tcp_fast_opens_sent,
    /// Those of them whose peer took it.
    tcp_fast_opens_taken,
    /// SYNs with the Fast Open option that were lost: the peer is not tried so for a while.
    tcp_fast_open_lost,
    /// Connections without a user that were reset to make room for new ones.
    tcp_orphans_reaped,
    /// Connections that failed because the peer's window stayed closed for too long (RFC 6429).
    tcp_zero_window_reaped,
    /// Half-open connections that their peers never completed.
    tcp_half_open_timeouts,
    /// Connections that failed because their local address is not ours any more.
    tcp_address_gone,
    /// Connections that failed because their neighbour, peer or gateway, answers no ARP.
    tcp_neighbour_failed,
    /// Connections that failed because the peer stopped answering.
    tcp_timed_out,
    /// Closed connections whose peers never sent their FIN.
    tcp_fin_wait_2_timeouts,
    /// TIME-WAIT states that ended early because the table was full.
    tcp_time_wait_full,
    /// TIME-WAIT states that ended early because the peer connected again.
    tcp_time_wait_reused,
    /// Segments sent again.
    tcp_retransmits,
    /// Retransmission timeouts, those of the handshake aside.
    tcp_timeouts,
    /// Fast retransmits.
    tcp_fast_retransmits,
    /// Partial acknowledgements in fast recovery.
    tcp_partial_acks,
    /// Duplicate acknowledgements received.
    tcp_duplicate_acks,
    /// Acknowledgements that waited for company in vain.
    tcp_delayed_acks,
    /// Segments received out of order and kept.
    tcp_out_of_order,
    /// SACK blocks that were ignored: no room for them between what is acknowledged and what was
    /// sent.
    tcp_sack_bad,
    /// Acknowledgements whose blocks, or whose losses, took more steps than one may cost: the rest
    /// comes with later ones.
    tcp_scan_limited,
    /// Peers dropped what they had acknowledged selectively (RFC 2018 §8).
    tcp_sack_reneged,
    /// Reports of data that arrived twice (DSACK, RFC 2883).
    tcp_dsack_received,
    /// Segments that were found lost by time (RACK, RFC 8985).
    tcp_rack_losses,
    /// Reordering timers that expired (RFC 8985 §6.2).
    tcp_reordering_timeouts,
    /// Loss probes sent (TLP, RFC 8985 §7.3).
    tcp_loss_probes,
    /// Losses that a probe has repaired (RFC 8985 §7.4).
    tcp_tlp_recoveries,
    /// Times that segments became smaller because ICMP said so (RFC 1191).
    tcp_path_mtu_lowered,
    /// Claims of a smaller MTU that wait for a timer or a loss to show them true, for full segments
    /// had arrived (RFC 5927 §7.2).
    tcp_path_mtu_doubted,
    /// Claims of an MTU that segments fit already.
    tcp_path_mtu_stale,
    /// Times that segments became smaller because full ones were swallowed (RFC 4821).
    tcp_black_holes,
    /// Segments sent to find out whether the path carries larger ones.
    tcp_mtu_probes,
    /// Those that were lost.
    tcp_mtu_probes_lost,
    /// Those that arrived: segments became larger.
    tcp_path_mtu_raised,
    /// Times that data waited for its pace.
    tcp_paced,
    /// Times that a receive window was allowed to grow, because the user kept up with it.
    tcp_window_grown,
    /// New segments that duplicate acknowledgements have let go (RFC 3042).
    tcp_limited_transmits,
    /// Timeouts without a loss, by what arrived afterwards (F-RTO, RFC 5682).
    tcp_spurious_timeouts,
    /// Recoveries without a loss, by timestamps (Eifel, RFC 3522).
    tcp_spurious_eifel,
    /// Recoveries without a loss, by reports of duplicates (RFC 3708).
    tcp_spurious_dsack,
    /// Connections that use ECN (RFC 3168).
    tcp_ecn_agreed,
    /// Those of them that use Accurate ECN (RFC 9768).
    tcp_ecn_accurate,
    /// Handshakes that were reset: the peer asked for both kinds of ECN (RFC 9768 §3.1.5).
    tcp_ecn_conflict,
    /// Connections whose packets are not ECN-capable any more: path or peer change the fields that
    /// tell of marks (RFC 9768 §3.2.2.3).
    tcp_ecn_stopped,
    /// SYNs sent without asking for ECN, because those that asked stayed unanswered.
    tcp_ecn_fallbacks,
    /// Segments received with a mark (CE) on connections that use ECN.
    tcp_ecn_marks_received,
    /// Reductions of the congestion window for marks that peers have echoed.
    tcp_ecn_reductions,
    /// Data that arrived twice and was reported as such (DSACK, RFC 2883).
    tcp_dsack_sent,
    /// Zero-window probes sent.
    tcp_zero_window_probes,
    /// Probes of idle connections sent (keepalive, RFC 9293 §3.8.4).
    tcp_keepalive_probes,
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
