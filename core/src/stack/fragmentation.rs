//! Packets that leave in fragments (RFC 791 §3.2, RFC 8200 §4.5), because their path does not carry
//! them at once: datagrams, and answers to echo requests. All fragments of a packet leave, or wait
//! for their neighbour, together.

use super::transmit::{IpFields, Way};
use super::{Stack, within_frame};
use crate::ip::Destination;
use crate::pool::{Frame, FrameQueue, HEADROOM};
use crate::wire::ipv4::{self, Ipv4Header};
use crate::wire::ipv6::{self, FragmentHeader, Ipv6Header, next_header};
use zerocopy::IntoBytes;

/// Bytes of a packet's payload that fit a fragment that is not the last: a multiple of 8.
pub(super) fn fragment_len(is_ipv4: bool, mtu: usize) -> usize {
    let headers = if is_ipv4 {
        ipv4::HEADER_LEN
    } else {
        ipv6::HEADER_LEN + ipv6::FRAGMENT_HEADER_LEN
    };
    (mtu.saturating_sub(headers) & !7).max(8)
}

impl Stack {
    /// Sends a packet of a transport, which is in these frames: all have a multiple of 8 bytes but
    /// the last. Those that are too large for the path are cut. `link` is as for `send_with`. In front
    /// of each there is room for the headers of Ethernet and of a fragment.
    pub(super) fn send_in_fragments(
        &mut self,
        fields: IpFields,
        link: Option<u8>,
        mut pieces: FrameQueue,
    ) {
        let (from, to) = (fields.source, fields.destination);
        let way = self.way_over(link, from, to);
        let (Way::Direct(Destination { mtu, .. }) | Way::Waits { mtu, .. }) = way else {
            return pieces.clear(&mut self.pool);
        };
        let mtu = self.path_mtu(to.ip(), mtu);
        if !self.cut(&mut pieces, fragment_len(to.is_ipv4(), mtu)) {
            self.counters.tx_no_frame += 1;
            return pieces.clear(&mut self.pool);
        }
        let identification = self
            .identifications
            .next(from, to, fields.protocol, &mut self.rng);
        self.counters.ip_fragmented += 1;
        let mut waiting = FrameQueue::default();
        let mut offset = 0;
        while let Some(frame) = pieces.pop_front(&mut self.pool) {
            let len = usize::from(self.pool.descriptor(&frame).len);
            let place = (offset, !pieces.is_empty());
            self.prepend_fragment_headers(&frame, fields, identification, place);
            offset += len;
            self.counters.ip_sent += 1;
            self.counters.ip_fragments_sent += 1;
            match &way {
                Way::Direct(to) => self.push_ready(to.interface, frame, &to.header),
                Way::Waits { interface, .. } => {
                    self.pool.descriptor_mut(&frame).flags = u16::from(*interface);
                    waiting.push_back(&mut self.pool, frame);
                }
                Way::None => self.pool.free(frame),
            }
        }
        if let Way::Waits { entry, .. } = way
            && let Some(first) = waiting.pop_front(&mut self.pool)
        {
            let (pool, counters) = (&mut self.pool, &mut self.counters);
            self.neighbours.queue(entry, first, waiting, pool, counters);
        }
    }

    /// The headers of the piece at an offset, behind which there are more or not.
    fn prepend_fragment_headers(
        &mut self,
        frame: &Frame,
        fields: IpFields,
        identification: u32,
        (offset, more): (usize, bool),
    ) {
        let IpFields {
            source,
            destination,
            protocol,
            hop_limit: hops,
            traffic_class: class,
        } = fields;
        let len = usize::from(self.pool.descriptor(frame).len);
        if let (Some(source), Some(destination)) = (source.v4(), destination.v4()) {
            let total = within_frame(ipv4::HEADER_LEN + len);
            let mut header =
                Ipv4Header::with_class(class, source, destination, protocol, hops, total);
            let [.., high, low] = identification.to_be_bytes();
            header.set_fragment(u16::from_be_bytes([high, low]), offset, more);
            return self.prepend(frame, header.as_bytes());
        }
        let fragment = FragmentHeader::new(protocol, within_frame(offset), more, identification);
        self.prepend(frame, fragment.as_bytes());
        let len = within_frame(ipv6::FRAGMENT_HEADER_LEN + len);
        let (source, destination) = (source.v6(), destination.v6());
        let mut header = Ipv6Header::new(source, destination, next_header::FRAGMENT, hops, len);
        header.set_traffic_class(class);
        self.prepend(frame, header.as_bytes());
    }

    /// Cuts frames whose content is longer than `most` bytes, a multiple of 8. Whether there were
    /// frames for what was cut off.
    fn cut(&mut self, pieces: &mut FrameQueue, most: usize) -> bool {
        let mut at = pieces.first();
        while let Some(index) = at {
            let len = usize::from(self.pool.descriptor_at(index).len);
            if len > most {
                if self.pool_is_low() {
                    return false;
                }
                let Some(frame) = self.pool.allocate() else {
                    return false;
                };
                let descriptor = self.pool.descriptor_at_mut(index);
                descriptor.len = within_frame(most);
                let from = usize::from(descriptor.start) + most;
                let range = from..from + len - most;
                self.pool.copy_range(index, range, &frame, HEADROOM);
                let descriptor = self.pool.descriptor_mut(&frame);
                descriptor.start = within_frame(HEADROOM);
                descriptor.len = within_frame(len - most);
                pieces.insert_after(&mut self.pool, index, frame);
            }
            at = self.pool.next_in_queue(index);
        }
        true
    }
}
