//! Packets that come in fragments: what each fragment is checked for, and what becomes of the packet
//! once it is complete. Which fragments are kept, and for how long, is decided in `ip::reassembly`.
//!
//! A packet that fits the frame of its first fragment goes up like any other. A longer one stays a
//! chain of frames, and can be a datagram or an echo request.

use super::receive::Packet;
use super::transmit::IpFields;
use super::{RX_OFFSET, Stack, within_frame};
use crate::checksum::{self, Sum, pseudo_header};
use crate::ip::{Fragment, PacketId, TIME_TO_LIVE, Whole};
use crate::pool::{Frame, FrameQueue};
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use crate::wire::icmpv4::{self, Icmpv4Header};
use crate::wire::icmpv6;
use crate::wire::ipv4::{self, Ipv4Header, protocol};
use crate::wire::ipv6::{self, ExtensionError, FragmentHeader, next_header};
use crate::wire::transport_header_len;
use core::net::IpAddr;
use zerocopy::FromBytes;
use zerocopy::byteorder::network_endian::U16;

/// Bytes of the longest packet (RFC 791 §3.1), and of the longest payload of IPv6 (RFC 8200 §3).
const LONGEST: usize = u16::MAX as usize;

impl Stack {
    /// A fragment of IPv4: `frame`'s descriptor delimits what is behind its header.
    #[cold]
    pub(super) fn fragment_arrives_v4(&mut self, frame: Frame, packet: Packet) {
        let whole = self.pool.buffer(&frame).get(usize::from(packet.start)..);
        let Ok((header, _)) = ipv4::parse_quoted(whole.unwrap_or_default()) else {
            return self.discard(frame, |c| &mut c.ip_truncated);
        };
        let content = self.pool.content(&frame);
        let (offset, more) = (header.fragment_offset(), header.more_fragments());
        if content.is_empty() || more && !content.len().is_multiple_of(8) {
            return self.discard(frame, |c| &mut c.ip_fragment_bad_length);
        }
        if header.header_len() + offset + content.len() > LONGEST {
            return self.discard(frame, |c| &mut c.ip_fragment_too_long);
        }
        // RFC 1858 §3, RFC 3128: nobody shall see half a header, or two of them.
        let tiny = match offset {
            0 => content.len() < transport_header_len(header.protocol, content),
            8 => header.protocol == protocol::TCP,
            _ => false,
        };
        if tiny {
            return self.discard(frame, |c| &mut c.ip_fragment_tiny);
        }
        let fragment = Fragment {
            offset,
            more,
            ecn: header.ecn(),
        };
        let key = (u32::from(header.identification.get()), header.protocol);
        if let Some(whole) = self.add_fragment(frame, packet, key, fragment) {
            self.reassembled_v4(whole, packet);
        }
    }

    /// A fragment of IPv6, whose payload is `start` bytes into the packet.
    #[cold]
    pub(super) fn fragment_arrives_v6(
        &mut self,
        frame: Frame,
        packet: Packet,
        (start, header, ecn): (usize, FragmentHeader, Ecn),
    ) {
        // Only neighbour discovery knows senders without an address, and refuses fragments.
        if packet.source.is_unspecified() {
            return self.discard(frame, |c| &mut c.ip_bad_source);
        }
        let content = self.pool.content(&frame);
        let len = usize::from(packet.len) - start;
        let (offset, more) = (header.offset(), header.more_fragments());
        let header_start = start - ipv6::FRAGMENT_HEADER_LEN;
        if len == 0 || more && !len.is_multiple_of(8) {
            self.counters.ip_fragment_bad_length += 1;
            return self.report_problem(frame, packet, ExtensionError::FRAGMENT_LENGTH);
        }
        if header_start - ipv6::HEADER_LEN + offset + len > LONGEST {
            self.counters.ip_fragment_too_long += 1;
            let error = ExtensionError::fragment_offset(header_start);
            return self.report_problem(frame, packet, error);
        }
        if offset == 0 && !ipv6::has_whole_chain(&content[..usize::from(packet.len)]) {
            self.counters.ip_fragment_tiny += 1;
            return self.report_problem(frame, packet, ExtensionError::INCOMPLETE_CHAIN);
        }
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start += within_frame(start);
        descriptor.len = within_frame(len);
        let fragment = Fragment { offset, more, ecn };
        let key = (header.identification.get(), 0);
        if let Some(whole) = self.add_fragment(frame, packet, key, fragment) {
            self.reassembled_v6(whole, packet);
        }
    }

    fn add_fragment(
        &mut self,
        frame: Frame,
        packet: Packet,
        (identification, protocol): (u32, u8),
        fragment: Fragment,
    ) -> Option<Whole> {
        let id = PacketId {
            source: packet.source.into(),
            destination: packet.destination.into(),
            identification,
            protocol,
            interface: packet.interface,
        };
        self.pool.descriptor_mut(&frame).sum = packet.start;
        let (pool, counters) = (&mut self.pool, &mut self.counters);
        let whole = self
            .reassembly
            .add(self.now, id, fragment, frame, pool, counters);
        self.datagrams_changed();
        whole
    }

    /// A packet of IPv4 is complete. Its first frame gets the header that it had before it was cut,
    /// for who quotes it.
    fn reassembled_v4(&mut self, whole: Whole, packet: Packet) {
        let Whole {
            first,
            mut rest,
            len,
            ecn,
        } = whole;
        let (start, header_len) = self.headers_of(&first);
        let buffer = self.pool.buffer_mut(&first);
        let headers = &mut buffer[start..start + header_len];
        let protocol = match (
            u16::try_from(header_len + len),
            Ipv4Header::mut_from_prefix(headers),
        ) {
            (Ok(total), Ok((header, _))) => {
                header.total_len = U16::new(total);
                header.flags_and_offset = U16::ZERO;
                header.checksum = U16::ZERO;
                header.protocol
            }
            // The first fragment has more options than the others.
            _ => {
                rest.clear(&mut self.pool);
                return self.discard(first, |c| &mut c.ip_fragment_too_long);
            }
        };
        let sum = checksum::sum(headers).finish().to_be_bytes();
        headers[10..12].copy_from_slice(&sum);
        let start = self.join(&first, &mut rest, start);
        let packet = self.packet_of(&first, start, packet);
        if rest.is_empty() {
            return self.deliver_reassembled_ipv4(first, packet, protocol, ecn);
        }
        self.deliver_long(first, rest, packet, protocol);
    }

    /// A packet of IPv6 is complete. Its first frame becomes that of a packet without a fragment
    /// header.
    fn reassembled_v6(&mut self, whole: Whole, packet: Packet) {
        let Whole {
            first,
            mut rest,
            len,
            ecn,
        } = whole;
        let (start, header_len) = self.headers_of(&first);
        let buffer = self.pool.buffer_mut(&first);
        let headers = &mut buffer[start..start + header_len];
        if ipv6::remove_fragment_header(headers, len).is_none() {
            rest.clear(&mut self.pool);
            return self.discard(first, |c| &mut c.ip_fragment_too_long);
        }
        let start = start + ipv6::FRAGMENT_HEADER_LEN;
        let start = self.join(&first, &mut rest, start);
        let packet = self.packet_of(&first, start, packet);
        let descriptor = self.pool.descriptor_mut(&first);
        (descriptor.start, descriptor.len) = (packet.start, packet.len);
        self.deliver_reassembled_ipv6(first, rest, packet, ecn);
    }

    /// Where a first fragment's packet starts in its buffer, and the bytes in front of its payload.
    fn headers_of(&self, first: &Frame) -> (usize, usize) {
        let descriptor = self.pool.descriptor(first);
        let start = usize::from(descriptor.sum);
        (start, usize::from(descriptor.start).saturating_sub(start))
    }

    /// What is known of a packet whose first frame this is, and whose header is at `start`.
    fn packet_of(&self, first: &Frame, start: usize, packet: Packet) -> Packet {
        let descriptor = self.pool.descriptor(first);
        let end = usize::from(descriptor.start) + usize::from(descriptor.len);
        Packet {
            start: within_frame(start),
            len: within_frame(end - start),
            verified: false,
            ..packet
        }
    }

    /// Moves the rest of a packet into its first frame, if there is room for all of it. Gives where the
    /// packet starts then.
    fn join(&mut self, first: &Frame, rest: &mut FrameQueue, start: usize) -> usize {
        let descriptor = self.pool.descriptor(first);
        let mut at = usize::from(descriptor.start) + usize::from(descriptor.len);
        let end = at + self.len_of(rest);
        let size = self.pool.frame_size();
        let shift = if end > size { start - RX_OFFSET } else { 0 };
        if end - shift > size {
            return start;
        }
        if shift > 0 {
            let buffer = self.pool.buffer_mut(first);
            buffer.copy_within(start..at, RX_OFFSET);
            self.pool.descriptor_mut(first).start -= within_frame(shift);
            at -= shift;
        }
        while let Some(frame) = rest.pop_front(&mut self.pool) {
            self.pool.copy_between(&frame, first.index(), at);
            at += usize::from(self.pool.descriptor(&frame).len);
            self.pool.free(frame);
        }
        let descriptor = self.pool.descriptor_mut(first);
        descriptor.len = within_frame(at) - descriptor.start;
        start - shift
    }

    /// Hands up a packet of more than one frame; `first`'s descriptor delimits the beginning of what
    /// its transport sees.
    pub(super) fn deliver_long(
        &mut self,
        first: Frame,
        mut rest: FrameQueue,
        packet: Packet,
        protocol: u8,
    ) {
        match (protocol, packet.source) {
            (protocol::UDP, _) => self.receive_udp(first, rest, packet),
            (protocol::ICMP, IpAddr::V4(_)) | (next_header::ICMPV6, IpAddr::V6(_)) => {
                self.receive_long_icmp(first, rest, packet);
            }
            _ => {
                rest.clear(&mut self.pool);
                self.discard(first, |c| &mut c.ip_reassembled_too_large);
            }
        }
    }

    /// ICMP of either family in more than one frame: only echo requests are that large. They are
    /// answered in the frames that they came in.
    fn receive_long_icmp(&mut self, first: Frame, mut rest: FrameQueue, packet: Packet) {
        self.counters.icmp_received += 1;
        let (ours, theirs) = (packet.destination, packet.source);
        let (request, reply, protocol, pseudo) = match theirs {
            IpAddr::V4(_) => (
                icmpv4::message_type::ECHO_REQUEST,
                icmpv4::message_type::ECHO_REPLY,
                protocol::ICMP,
                Sum::ZERO,
            ),
            IpAddr::V6(_) => {
                let protocol = next_header::ICMPV6;
                let len = self.pool.content(&first).len() + self.len_of(&rest);
                let pseudo = pseudo_header(theirs, ours, protocol, len);
                let (request, reply) = (
                    icmpv6::message_type::ECHO_REQUEST,
                    icmpv6::message_type::ECHO_REPLY,
                );
                (request, reply, protocol, pseudo)
            }
        };
        let intact = (pseudo + self.sum_of(&first, &rest)).is_valid();
        let content = self.pool.content_mut(&first);
        let refused = match Icmpv4Header::mut_from_prefix(content) {
            _ if !intact => Some(&mut self.counters.icmp_bad_checksum),
            Ok(_) if !packet.to_us => Some(&mut self.counters.icmp_not_unicast),
            Ok((header, _)) if (header.message_type, header.code) == (request, 0) => {
                header.message_type = reply;
                // RFC 1624 §3: addresses change places, so only the type counts.
                let rest = Sum::word(!header.checksum.get());
                let sum = rest.without(Sum::word(u16::from_be_bytes([request, 0])));
                let sum = sum + Sum::word(u16::from_be_bytes([reply, 0]));
                header.checksum = U16::new(sum.finish());
                None
            }
            _ => Some(&mut self.counters.ip_reassembled_too_large),
        };
        if let Some(counter) = refused {
            *counter += 1;
            rest.clear(&mut self.pool);
            return self.pool.free(first);
        }
        self.counters.icmp_echo_replied += 1;
        if self.pool_is_low() {
            rest.clear(&mut self.pool);
            return self.discard(first, |c| &mut c.tx_no_frame);
        }
        self.counters.icmp_sent += 1;
        rest.push_front(&mut self.pool, first);
        let fields = IpFields {
            source: ours.into(),
            destination: theirs.into(),
            protocol,
            hop_limit: TIME_TO_LIVE,
            traffic_class: 0,
        };
        self.send_in_fragments(fields, None, rest);
    }

    /// Bytes of all frames of a queue.
    pub(super) fn len_of(&self, queue: &FrameQueue) -> usize {
        let mut len = 0;
        let mut at = queue.first();
        while let Some(index) = at {
            len += usize::from(self.pool.descriptor_at(index).len);
            at = self.pool.next_in_queue(index);
        }
        len
    }

    /// The sum of a packet's bytes.
    pub(super) fn sum_of(&self, first: &Frame, rest: &FrameQueue) -> Sum {
        let content = self.pool.content(first);
        let (mut sum, mut len) = (checksum::sum(content), content.len());
        let mut at = rest.first();
        while let Some(index) = at {
            let content = self.pool.content_at(index);
            sum = sum.append(checksum::sum(content), len);
            len += content.len();
            at = self.pool.next_in_queue(index);
        }
        sum
    }

    /// Cuts off what is behind the first `len` bytes of a packet, which has as many.
    pub(super) fn truncate(&mut self, first: &Frame, rest: &mut FrameQueue, len: usize) {
        let descriptor = self.pool.descriptor_mut(first);
        descriptor.len = descriptor.len.min(within_frame(len));
        let mut left = len - usize::from(descriptor.len);
        if rest.is_empty() {
            return;
        }
        let mut behind = core::mem::take(rest);
        while let Some(frame) = behind.pop_front(&mut self.pool) {
            let descriptor = self.pool.descriptor_mut(&frame);
            let kept = left.min(usize::from(descriptor.len));
            descriptor.len = within_frame(kept);
            left -= kept;
            if kept == 0 {
                self.pool.free(frame);
            } else {
                rest.push_back(&mut self.pool, frame);
            }
        }
    }

    /// Copies a datagram into the buffer of who reads it, as far as there is room: the bytes that were
    /// copied. The frames are freed.
    pub(super) fn copy_out(
        &mut self,
        first: Frame,
        mut rest: FrameQueue,
        buffer: &mut [u8],
    ) -> usize {
        let mut copied = 0;
        let mut next = Some(first);
        while let Some(frame) = next {
            let content = self.pool.content(&frame);
            let room = &mut buffer[copied..];
            let part = content.len().min(room.len());
            room[..part].copy_from_slice(&content[..part]);
            copied += part;
            self.pool.free(frame);
            next = rest.pop_front(&mut self.pool);
        }
        copied
    }

    /// Drops the packets that were not complete in time, and tells their senders (RFC 792, RFC 8200
    /// §4.5), within the limit of all errors.
    #[cold]
    pub(super) fn expire_fragments(&mut self) {
        while let Some(first) =
            self.reassembly
                .next_expired(self.now, &mut self.pool, &mut self.counters)
        {
            self.report_expired(first);
        }
        self.datagrams_changed();
    }

    fn report_expired(&mut self, first: Frame) {
        let (start, _) = self.headers_of(&first);
        let buffer = self.pool.buffer(&first);
        let headers = buffer.get(start..).unwrap_or_default();
        let addresses = match (ipv6::parse_quoted(headers), ipv4::parse_quoted(headers)) {
            (Ok(header), _) => Some((header.source().into(), header.destination().into())),
            (_, Ok((header, _))) => Some((header.source().into(), header.destination().into())),
            _ => None,
        };
        let Some((source, destination)) = addresses else {
            return self.pool.free(first);
        };
        let packet = Packet {
            interface: 0,
            source,
            destination,
            to_us: self.owns(destination),
            start: within_frame(start),
            len: 0,
            verified: false,
        };
        let packet = self.packet_of(&first, start, packet);
        self.send_reassembly_timeout(first, packet);
    }

    /// When [`Stack::expire_fragments`] has something to do.
    pub(super) fn next_fragment_timeout(&self) -> Option<Instant> {
        Some(self.reassembly.next_timeout()).filter(|at| *at != Instant::FAR_FUTURE)
    }
}
