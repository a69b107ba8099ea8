//! Groups of sockets, and what is said about groups on the links: IGMP (RFC 3376, 2236) and multicast
//! listener discovery (RFC 3810, 2710).

use super::receive::Packet;
use super::{Stack, within_frame};
use crate::checksum;
use crate::device::InterfaceId;
use crate::error::GroupError;
use crate::ip::{
    ALL_HOSTS, ALL_ROUTERS, ALL_ROUTERS_V4, Groups, Report, ethernet_group, is_everybody, is_host,
    records_of_a_group, v6,
};
use crate::pool::{Frame, HEADROOM};
use crate::rng::Rng;
use crate::socket::SocketId;
use crate::time::Instant;
use crate::udp::GroupChange;
use crate::wire::ethernet::ether_type;
use crate::wire::icmpv6::Icmpv6Header;
use crate::wire::igmp::{self, IgmpError, message_type};
use crate::wire::ipv4::{self, Ipv4Header, protocol};
use crate::wire::ipv6;
use crate::wire::membership::Version;
use crate::wire::mld;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of a report's head, in either family.
const HEAD_LEN: usize = size_of::<Icmpv6Header>();
/// What a report may take less than the MTU: headers of either family, with their options.
const OVERHEAD: usize = 64;
// What is due of a group always fits: otherwise it would be due for ever. Interfaces carry at least
// 576 bytes, and such as speak IPv6 1,280.
const _: () = assert!(
    records_of_a_group(false) <= 576 - OVERHEAD
        && records_of_a_group(true) <= ipv6::MIN_MTU - OVERHEAD
);
/// How long a report waits that finds no frame.
const RETRY: Duration = Duration::from_millis(100);

impl Stack {
    /// Lets a socket hear what is sent to a group: [`GroupChange::Join`].
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn udp_join(
        &mut self,
        now: Instant,
        id: SocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), GroupError> {
        self.udp_group(now, id, GroupChange::Join, group, interface)
    }

    /// Ends a membership: [`GroupChange::Leave`].
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn udp_leave(
        &mut self,
        now: Instant,
        id: SocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), GroupError> {
        self.udp_group(now, id, GroupChange::Leave, group, interface)
    }

    /// Changes what a socket hears of a group on one interface, and tells the routers and switches of
    /// the link. Datagrams to the group, and to the socket's port, come to sockets that are bound to all
    /// addresses of the family. Closing a socket ends its memberships.
    ///
    /// Without an interface it is, to join, the one that datagrams to the group leave by, and otherwise
    /// the one on which the socket is a member.
    ///
    /// # Errors
    /// [`GroupError`]; nothing was changed.
    pub fn udp_group(
        &mut self,
        now: Instant,
        id: SocketId,
        change: GroupChange,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), GroupError> {
        self.advance(now);
        let bad = |_| GroupError::BadHandle;
        let bound = self.udp.bound_to(id).map_err(bad)?;
        let is_source = |source: IpAddr| match source {
            IpAddr::V4(v4) => group.is_ipv4() && is_host(v4),
            IpAddr::V6(v6) => group.is_ipv6() && v6::is_host(v6),
        };
        let can_be = match group {
            IpAddr::V4(v4) => v4.is_multicast(),
            // RFC 4291 §2.7: the scope 0 is reserved.
            IpAddr::V6(v6) => v6.is_multicast() && v6.octets()[1] & 0xf != 0,
        };
        if !can_be
            || bound.is_ipv4() != group.is_ipv4()
            || !change.source().is_none_or(is_source)
            || (is_everybody(group) && change.source().is_some())
        {
            return Err(GroupError::Invalid);
        }
        let interface = match interface {
            Some(interface) => interface.0,
            None if change.needs_member() => self
                .udp
                .interface_of(id, group)
                .map_err(bad)?
                .ok_or(GroupError::NotMember)?,
            None => {
                let settings = self.udp.settings(id).map_err(bad)?;
                let chosen = settings.multicast_interface.map(|id| id.0);
                let ours = Some(bound).filter(|bound| !bound.is_unspecified());
                self.link_for(SocketAddr::new(group, 0), ours, chosen)
                    .ok_or(GroupError::NoInterface)?
            }
        };
        let entry = self.interfaces.get(usize::from(interface));
        let entry = entry.ok_or(GroupError::NoInterface)?;
        if group.is_ipv6() && entry.v6.is_none() {
            return Err(GroupError::NoInterface);
        }
        if !change.needs_member() && !entry.groups.has_room_for(group) {
            return Err(GroupError::LimitReached);
        }
        self.udp.change_group(id, interface, group, change)?;
        self.group_changed(interface, group);
        Ok(())
    }

    /// Ends all memberships of a socket.
    pub(super) fn leave_groups(&mut self, id: SocketId) {
        while let Some((interface, group)) = self.udp.leave_one_group(id) {
            self.group_changed(interface, group);
        }
    }

    /// What sockets want of a group has changed.
    fn group_changed(&mut self, interface: u8, group: IpAddr) {
        let (now, filter) = (self.now, self.udp.wanted_of(interface, group));
        if let Some((groups, _)) = self.groups_and_rng(interface) {
            groups.set_filter(now, group, &filter);
        }
    }

    /// The groups of an interface, to change, and what chance decides with.
    pub(super) fn groups_and_rng(&mut self, id: u8) -> Option<(&mut Groups, &mut Rng)> {
        self.ipv6_due = Instant::ZERO;
        let interface = self.interfaces.get_mut(usize::from(id))?;
        Some((&mut interface.groups, &mut self.rng))
    }

    #[inline(never)]
    pub(super) fn receive_igmp(&mut self, frame: Frame, packet: Packet) {
        self.counters.igmp_received += 1;
        let ip = self.pool.buffer(&frame).get(usize::from(packet.start)..);
        let Ok((ip, options, _)) = ipv4::parse(ip.unwrap_or_default()) else {
            return self.discard(frame, |c| &mut c.igmp_malformed);
        };
        let query = match igmp::parse_query(self.pool.content(&frame)) {
            Ok(query) => query,
            Err(IgmpError::Checksum) => return self.discard(frame, |c| &mut c.igmp_bad_checksum),
            // Whoever is in a group with us tells routers, not us.
            Err(IgmpError::NotAQuery) => return self.discard(frame, |c| &mut c.igmp_ignored_type),
            Err(_) => return self.discard(frame, |c| &mut c.igmp_malformed),
        };
        // RFC 3376 §4, §9.1: from the link, not forwarded; a question to all goes to all.
        let from_link = ip.time_to_live == igmp::TIME_TO_LIVE
            && (query.version == Version::Members || ipv4::has_router_alert(options))
            && (query.group.is_some() || packet.destination == IpAddr::V4(ALL_HOSTS));
        if !from_link {
            return self.discard(frame, |c| &mut c.igmp_malformed);
        }
        self.counters.igmp_queries += 1;
        let now = self.now;
        self.ipv6_due = Instant::ZERO;
        if let Some(interface) = self.interfaces.get_mut(usize::from(packet.interface)) {
            interface.groups.query(now, &query, false, &mut self.rng);
        }
        self.pool.free(frame);
    }

    /// Sends a report that is due on an interface. Whether one was.
    pub(super) fn report_groups(&mut self, id: u8) -> bool {
        let now = self.now;
        let Some(interface) = self.interfaces.get_mut(usize::from(id)) else {
            return false;
        };
        let room = |ipv6| interface.mtu_of(ipv6).saturating_sub(OVERHEAD);
        let rooms = [room(false), room(true)];
        let groups = &mut interface.groups;
        if groups.next_timeout().is_none_or(|at| at > now) {
            return false;
        }
        let Some(frame) = self.pool.allocate() else {
            self.counters.tx_no_frame += 1;
            groups.wait_until(now + RETRY);
            return false;
        };
        let buffer = self.pool.buffer_mut(&frame);
        let records = buffer.get_mut(HEADROOM + HEAD_LEN..).unwrap_or_default();
        let report = groups.next_report(now, &mut self.rng, records, rooms);
        let Some(report) = report else {
            self.pool.free(frame);
            return false;
        };
        let len = match report {
            Report::Records { len, .. } => HEAD_LEN + len,
            Report::Group { group, .. } if group.is_ipv6() => size_of::<mld::Message>(),
            Report::Group { .. } => size_of::<igmp::Message>(),
        };
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(HEADROOM);
        descriptor.len = within_frame(len);
        let to = match report {
            Report::Records { ipv6, count, .. } => {
                let head = self.pool.content_mut(&frame);
                if ipv6 {
                    let _ = mld::report(count).write_to_prefix(head);
                    IpAddr::V6(mld::ROUTERS)
                } else {
                    let _ = igmp::Message::report(count).write_to_prefix(head);
                    IpAddr::V4(igmp::ROUTERS)
                }
            }
            Report::Group {
                group,
                version,
                leave,
            } => {
                let content = self.pool.content_mut(&frame);
                match group {
                    IpAddr::V6(v6) => {
                        let _ = mld::version_1(v6, leave).write_to_prefix(content);
                        if leave { ALL_ROUTERS.into() } else { group }
                    }
                    IpAddr::V4(v4) => {
                        let kind = match (leave, version) {
                            (true, _) => message_type::LEAVE_V2,
                            (false, Version::Members) => message_type::REPORT_V1,
                            (false, _) => message_type::REPORT_V2,
                        };
                        let _ = igmp::Message::new(kind, v4).write_to_prefix(content);
                        if leave { ALL_ROUTERS_V4.into() } else { group }
                    }
                }
            }
        };
        match to {
            IpAddr::V6(to) => self.send_listener_report(id, to, frame),
            IpAddr::V4(to) => self.send_igmp(id, to, frame),
        }
        true
    }

    fn send_listener_report(&mut self, id: u8, to: Ipv6Addr, frame: Frame) {
        let interface = self.interfaces.get(usize::from(id));
        let addresses = interface.and_then(|i| Some(&i.v6.as_ref()?.addresses));
        // RFC 3590: before we have an address, reports come from nobody, for the switches.
        let source = addresses.and_then(|a| a.link_local());
        let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.counters.mld_reports_sent += 1;
        let fields = (source, to, mld::HOP_LIMIT);
        self.send_link_frame(id, fields, &mld::ROUTER_ALERT, frame);
    }

    /// Sends an IGMP message, its checksum still to be taken, with the Router Alert option (RFC 3376
    /// §4).
    fn send_igmp(&mut self, id: u8, to: Ipv4Addr, frame: Frame) {
        let interface = self.interfaces.get(usize::from(id));
        let source = interface.and_then(|i| i.v4.iter().next());
        // RFC 3376 §4.2.13: without an address, from nobody.
        let source = source.map_or(Ipv4Addr::UNSPECIFIED, |(address, _)| address);
        let content = self.pool.content_mut(&frame);
        let sum = checksum::sum(content).finish();
        if let Ok((message, _)) = igmp::Message::mut_from_prefix(content) {
            message.checksum.set(sum);
        }
        let len = content.len();
        let header = Ipv4Header::with_router_alert(
            igmp::TRAFFIC_CLASS,
            (source, to),
            protocol::IGMP,
            igmp::TIME_TO_LIVE,
            within_frame(len),
        );
        self.prepend(&frame, &header);
        self.counters.ip_sent += 1;
        self.counters.igmp_reports_sent += 1;
        let header = self.ethernet_header(id, ethernet_group(to.into()), ether_type::IPV4);
        self.push_ready(id, frame, &header);
    }
}
