//! Multicast listener discovery (RFC 3810): queries received. What is said, `stack/groups.rs` does.

use super::super::Stack;
use super::super::receive::Packet;
use super::Arrival;
use crate::pool::Frame;
use crate::time::Instant;
use crate::wire::mld;
use core::net::IpAddr;

impl Stack {
    pub(super) fn receive_query(&mut self, frame: Frame, packet: Packet, arrival: Arrival) {
        let from_router =
            matches!(packet.source, IpAddr::V6(source) if source.is_unicast_link_local());
        let query = mld::parse_query(self.pool.content(&frame));
        let from_link = arrival.hop_limit == mld::HOP_LIMIT && arrival.router_alert;
        let Some(query) = query.filter(|_| from_router && from_link) else {
            // RFC 3810 §6.2: not from the link, or not a query at all.
            return self.discard(frame, |c| &mut c.mld_malformed);
        };
        self.counters.mld_queries += 1;
        let now = self.now;
        self.ipv6_due = Instant::ZERO;
        if let Some(interface) = self.interfaces.get_mut(usize::from(packet.interface)) {
            interface.groups.query(now, &query, true, &mut self.rng);
        }
        self.pool.free(frame);
    }
}
