//! Multicast listener discovery (RFC 3810): queries received, reports sent.

use super::super::Stack;
use super::super::receive::Packet;
use super::Arrival;
use crate::pool::Frame;
use crate::time::Instant;
use crate::wire::mld::{self, Record, RecordType};
use core::net::{IpAddr, Ipv6Addr};
use zerocopy::IntoBytes;

impl Stack {
    pub(super) fn receive_query(&mut self, frame: Frame, packet: Packet, arrival: Arrival) {
        let now = self.now;
        let from_router =
            matches!(packet.source, IpAddr::V6(source) if source.is_unicast_link_local());
        let query = mld::parse_query(self.pool.content(&frame));
        let from_link = arrival.hop_limit == mld::HOP_LIMIT && arrival.router_alert;
        let Some(query) = query.filter(|_| from_router && from_link) else {
            // RFC 3810 §6.2: not from the link, or not a query at all.
            return self.discard(frame, |c| &mut c.mld_malformed);
        };
        self.counters.mld_queries += 1;
        self.ipv6_due = Instant::ZERO;
        self.pool.free(frame);
        if let Some((v6, rng)) = self.ipv6_and_rng(packet.interface) {
            v6.groups.query(now, &query, rng);
        }
    }

    /// Sends the report that is due on an interface. Whether one was.
    pub(super) fn report_groups(&mut self, id: u8) -> bool {
        let now = self.now;
        let Some((v6, rng)) = self.ipv6_and_rng(id) else {
            return false;
        };
        let Some(report) = v6.groups.next_report(now, rng) else {
            return false;
        };
        // RFC 3590: before we have an address, reports come from nobody, for the switches.
        let source = v6.addresses.link_local().unwrap_or(Ipv6Addr::UNSPECIFIED);
        if report.version_1 {
            for (record_type, group) in &report.records {
                let done = *record_type == RecordType::ChangeToInclude;
                let message = mld::version_1(*group, done);
                let destination = if done { crate::ip::ALL_ROUTERS } else { *group };
                self.send_report(id, source, destination, &[message.as_bytes()]);
            }
            return true;
        }
        let records: heapless::Vec<Record, { crate::ip::MAX_GROUPS }> = report
            .records
            .iter()
            .map(|(record_type, group)| Record::new(*record_type, *group))
            .collect();
        let header = mld::report(u16::try_from(records.len()).unwrap_or(0));
        let parts = [header.as_bytes(), records.as_bytes()];
        self.send_report(id, source, mld::ROUTERS, &parts);
        true
    }

    fn send_report(&mut self, id: u8, source: Ipv6Addr, destination: Ipv6Addr, parts: &[&[u8]]) {
        self.counters.mld_reports_sent += 1;
        let fields = (source, destination, mld::HOP_LIMIT);
        self.send_link_message(id, fields, &mld::ROUTER_ALERT, parts);
    }
}
