//! The DHCPv4 client on an interface: its messages to and from the wire, and its lease in addresses,
//! routes and what is known of DNS.
//!
//! All of it hangs on the object that [`Stack::dhcp_start`] makes, so that programs which never call
//! that do not have it in their images.

use super::receive::Packet;
use super::{Stack, within_frame};
use crate::address::{AddressInfo, AddressOptions, AddressOrigin, NetworkChanges, OnConflict};
use crate::checksum::{self, pseudo_header};
use crate::device::InterfaceId;
use crate::dhcp::{Action, Client, DhcpConfig, DhcpState, Lease, LeaseRoute, Sending, Verdict};
use crate::error::ConfigError;
use crate::ip::{Origin, Prefix, Route, TIME_TO_LIVE};
use crate::pool::{Frame, HEADROOM};
use crate::time::Instant;
use crate::wire::dhcp::{self as wire, CLIENT_PORT, MessageType, SERVER_PORT};
use crate::wire::ethernet::{EthernetAddress, ether_type};
use crate::wire::ipv4::{self, Ipv4Header, protocol};
use crate::wire::ndp::Preference;
use crate::wire::udp::UdpHeader;
use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// What happens to a client.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Time, and what is to be done after another input.
    Time,
    /// A datagram to its port.
    Message(&'a [u8]),
    /// Nobody has the address that was probed.
    Probed(Ipv4Addr),
    /// Somebody has an address of ours.
    Conflict(Ipv4Addr),
    /// Its owner has decided about the offer.
    Answer(bool),
    /// It ends; whether the lease is given back.
    Stop(bool),
}

/// A client as the stack sees it. `Interface` has one, if DHCP was started there.
pub(crate) trait DhcpClient: fmt::Debug + Send + Sync {
    /// Does everything that follows from an input.
    fn run(&mut self, stack: &mut Stack, id: u8, input: Input<'_>);
    /// When [`Input::Time`] is due.
    fn next_timeout(&self) -> Instant;
    fn state(&self) -> DhcpState;
    /// The lease in force.
    fn lease(&self) -> Option<&Lease>;
    /// What waits for its owner's word.
    fn offer(&self) -> Option<&Lease>;
}

impl Stack {
    /// Starts a DHCPv4 client on an interface (RFC 2131). The address that it is lent is asked for on
    /// the link, then it is ours, with the server's routes and DNS servers, for as long as the lease
    /// is renewed. It stands beside addresses of its owner. Of routes to the same network the owner's
    /// goes first; but a server may tell of longer prefixes (option 121), which are preferred as those
    /// of any route are.
    /// [`Stack::poll_network_event`] tells what changes. This allocates, and nothing afterwards.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::AlreadyEnabled`].
    pub fn dhcp_start(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        config: DhcpConfig,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        let entry = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        if entry.dhcp.is_some() {
            return Err(ConfigError::AlreadyEnabled);
        }
        entry.dhcp = Some(Box::new(Bound {
            client: Client::new(config, entry.hardware, interface.0, self.now),
            mtu: entry.mtu,
            link_local: false,
        }));
        self.ipv4_due = Instant::ZERO;
        Ok(())
    }

    /// Ends the client of an interface; its address goes, with its routes and connections. With
    /// `release` the server is told that it may lend it to others (DHCPRELEASE).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::NotEnabled`].
    pub fn dhcp_stop(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        release: bool,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        self.dhcp_client(interface)?;
        self.run_dhcp(interface.0, Input::Stop(release));
        if let Some(entry) = self.interfaces.get_mut(interface.index()) {
            entry.dhcp = None;
        }
        Ok(())
    }

    /// What the client of an interface is about; `None`: there is none.
    #[must_use]
    pub fn dhcp_state(&self, interface: InterfaceId) -> Option<DhcpState> {
        let client = self.dhcp_client(interface).ok()?;
        Some(client.state())
    }

    /// The lease of an interface, if it has one.
    #[must_use]
    pub fn dhcp_lease(&self, interface: InterfaceId) -> Option<&Lease> {
        self.dhcp_client(interface).ok()?.lease()
    }

    /// The offer of an interface that waits for [`Stack::dhcp_answer`], where
    /// [`DhcpConfig::ask`] is set.
    #[must_use]
    pub fn dhcp_offer(&self, interface: InterfaceId) -> Option<&Lease> {
        self.dhcp_client(interface).ok()?.offer()
    }

    /// An interface with an offer that waits for its owner's word.
    #[must_use]
    pub fn dhcp_next_offer(&self) -> Option<InterfaceId> {
        if !self.offers_wait {
            return None;
        }
        let offers = |interface: &crate::ip::Interface| {
            let client = interface.dhcp.as_ref();
            client.is_some_and(|client| client.offer().is_some())
        };
        let place = self.interfaces.iter().position(offers)?;
        u8::try_from(place).ok().map(InterfaceId)
    }

    /// Takes the offer of [`Stack::dhcp_offer`], or leaves it: then the client looks for another. One
    /// without an answer is left after a minute.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::NotEnabled`], also if no offer waits.
    pub fn dhcp_answer(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        accept: bool,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        if self.dhcp_client(interface)?.offer().is_none() {
            return Err(ConfigError::NotEnabled);
        }
        self.run_dhcp(interface.0, Input::Answer(accept));
        Ok(())
    }

    fn dhcp_client(&self, interface: InterfaceId) -> Result<&dyn DhcpClient, ConfigError> {
        let entry = self.interfaces.get(interface.index());
        let entry = entry.ok_or(ConfigError::NoSuchInterface)?;
        entry.dhcp.as_deref().ok_or(ConfigError::NotEnabled)
    }

    /// Lets the client of an interface do what follows from an input, if there is one.
    #[cold]
    pub(super) fn run_dhcp(&mut self, id: u8, input: Input<'_>) {
        let place = usize::from(id);
        let client = self.interfaces.get_mut(place).and_then(|i| i.dhcp.take());
        if let Some(mut client) = client {
            client.run(self, id, input);
            if let Some(entry) = self.interfaces.get_mut(place) {
                entry.dhcp = Some(client);
            }
            self.ipv4_due = Instant::ZERO;
        }
    }

    /// Lets a client whose time has come do what is due. Whether there was one.
    pub(super) fn run_due_dhcp(&mut self) -> bool {
        let due = self.interfaces.iter().position(|interface| {
            let client = interface.dhcp.as_ref();
            client.is_some_and(|client| client.next_timeout() <= self.now)
        });
        let Some(id) = due.and_then(|place| u8::try_from(place).ok()) else {
            return false;
        };
        self.run_dhcp(id, Input::Time);
        true
    }

    /// Whether a packet that is not for an address of ours is for the client of the interface: a
    /// server may send to the address that it lends (RFC 2131 §4.1).
    #[cold]
    pub(super) fn is_for_dhcp(&self, id: u8, frame: &Frame) -> bool {
        let entry = self.interfaces.get(usize::from(id));
        if entry.is_none_or(|entry| entry.dhcp.is_none()) {
            return false;
        }
        let Ok((header, _, payload)) = ipv4::parse(self.pool.content(frame)) else {
            return false;
        };
        let ports = self
            .pool
            .content(frame)
            .get(payload.start..payload.start + 4);
        let port = CLIENT_PORT.to_be_bytes();
        header.protocol == protocol::UDP && ports.is_some_and(|ports| ports[2..] == port)
    }

    /// A datagram to the port of clients. `Err`: there is none on its interface.
    pub(super) fn receive_dhcp(&mut self, frame: Frame, packet: Packet) -> Result<(), Frame> {
        let entry = self.interfaces.get_mut(usize::from(packet.interface));
        let entry = entry.filter(|_| packet.source.is_ipv4());
        let Some(mut client) = entry.and_then(|entry| entry.dhcp.take()) else {
            return Err(frame);
        };
        // The client needs the whole stack, so what it reads is taken out of the pool for a moment.
        let mut message = [0; MAX_READ];
        let content = self.pool.content(&frame);
        let len = content.len().min(MAX_READ);
        message[..len].copy_from_slice(&content[..len]);
        self.pool.free(frame);
        self.counters.dhcp_received += 1;
        client.run(self, packet.interface, Input::Message(&message[..len]));
        if let Some(entry) = self.interfaces.get_mut(usize::from(packet.interface)) {
            entry.dhcp = Some(client);
        }
        self.ipv4_due = Instant::ZERO;
        Ok(())
    }
}

/// Bytes of a message that are looked at: more than we ask for, and what is cut off is malformed.
const MAX_READ: usize = 1_500;

/// A client, and what it has done to its interface.
#[derive(Debug)]
struct Bound {
    client: Client,
    /// The interface's own MTU.
    mtu: usize,
    /// The link-local address of the interface is this client's wish.
    link_local: bool,
}

impl DhcpClient for Bound {
    fn run(&mut self, stack: &mut Stack, id: u8, input: Input<'_>) {
        let now = stack.now;
        match input {
            Input::Time => {}
            Input::Message(bytes) => self.message(stack, bytes),
            Input::Probed(address) => self.client.probed(address),
            Input::Conflict(address) => self.client.conflict(now, address),
            Input::Answer(accepted) => {
                self.client.answer(now, accepted);
            }
            Input::Stop(release) => return self.stop(stack, id, release),
        }
        while let Some(action) = self.client.poll(now, &mut stack.rng) {
            self.act(stack, id, action);
        }
        stack.offers_wait = stack.interfaces.iter().any(|interface| {
            let client = interface.dhcp.as_ref();
            client.is_some_and(|client| client.offer().is_some())
        }) || self.offer().is_some();
    }

    fn next_timeout(&self) -> Instant {
        self.client.next_timeout()
    }

    fn state(&self) -> DhcpState {
        self.client.state()
    }

    fn lease(&self) -> Option<&Lease> {
        self.client.lease()
    }

    fn offer(&self) -> Option<&Lease> {
        let pending = self.client.pending();
        pending.filter(|_| self.client.state() == DhcpState::Offered)
    }
}

impl Bound {
    fn message(&mut self, stack: &mut Stack, bytes: &[u8]) {
        let counters = &mut stack.counters;
        match wire::parse(bytes) {
            Err(_) => counters.dhcp_malformed += 1,
            Ok(message) => match self.client.message(stack.now, &message) {
                Verdict::Taken => {}
                Verdict::Ignored => counters.dhcp_ignored += 1,
                Verdict::Refused => counters.dhcp_refused += 1,
                Verdict::Nak => counters.dhcp_naks += 1,
            },
        }
    }

    fn act(&mut self, stack: &mut Stack, id: u8, action: Action) {
        match action {
            Action::Send(sending) => send(stack, id, &sending),
            Action::Probe => self.probe(stack, id),
            Action::Apply => self.apply(stack, id),
            Action::Withdraw => self.withdraw(stack, id),
            Action::Ask => stack.changed(id, NetworkChanges::DHCP_OFFER),
            Action::LinkLocal => {
                let interface = InterfaceId(id);
                self.link_local |= stack.enable_link_local(stack.now, interface).is_ok();
            }
        }
    }

    /// The address was lent: it is ours unless somebody has it.
    fn probe(&mut self, stack: &mut Stack, id: u8) {
        let Some((address, prefix_len)) = self.client.pending().map(|l| (l.address, l.prefix_len))
        else {
            return;
        };
        let options = AddressOptions {
            probing: self.client.config.probing,
            on_conflict: OnConflict::DefendOnce,
        };
        let (network, origin) = ((address, prefix_len), AddressOrigin::Dhcp);
        match stack.add_ipv4_address(InterfaceId(id), network, origin, options) {
            // One that the owner gave here already: somebody has it.
            Err(_) if claims(stack, id, address) => self.client.conflict(stack.now, address),
            Err(_) => {
                stack.counters.dhcp_no_room += 1;
                self.client.give_back(stack.now, address);
            }
            Ok(()) if stack.owns(address.into()) => self.client.probed(address),
            Ok(()) => {}
        }
    }

    /// The lease takes the place of the one before: what both say stays as it is.
    fn apply(&mut self, stack: &mut Stack, id: u8) {
        let Some(lease) = self.client.lease() else {
            return;
        };
        let previous = self.client.previous();
        stack.counters.dhcp_leases += 1;
        let mut changed = previous.is_none();
        if let Some(old) = previous
            && old.prefix_len != lease.prefix_len
        {
            changed = true;
            let old_network = (old.address, old.prefix_len);
            stack.change_prefix(id, old_network, lease.prefix_len);
        }
        let (old, new) = (
            previous.map(Lease::routes).unwrap_or_default(),
            lease.routes(),
        );
        let mut routes = false;
        for route in old.iter().filter(|route| !new.contains(*route)) {
            routes |= withdraw_route(stack, id, *route);
        }
        for (place, route) in new.iter().enumerate() {
            routes |= add_route(stack, id, *route, place);
        }
        if routes {
            changed = true;
            stack.routes_changed();
        }
        let same_dns = previous.is_some_and(|old| old.same_dns(lease));
        if let Some(entry) = stack.interfaces.get_mut(usize::from(id)) {
            let resolvers = &mut entry.resolvers;
            if !same_dns {
                changed = true;
                resolvers.forget(Origin::Dhcpv4);
            }
            let (now, until) = (stack.now, lease.expires_at);
            // As many as there is room for: the first ones.
            let servers = lease.dns_servers().take(4).map(IpAddr::V4);
            resolvers.add_servers(now, Origin::Dhcpv4, until, servers);
            resolvers.add_domains(now, Origin::Dhcpv4, until, &lease.search_list());
            stack.ipv6_due = Instant::ZERO;
            if self.client.config.adopt_mtu {
                let mtu = lease.mtu().map_or(self.mtu, usize::from);
                let mtu = if mtu < 576 {
                    self.mtu
                } else {
                    mtu.min(self.mtu)
                };
                if entry.mtu != mtu {
                    entry.mtu = mtu;
                    stack.routes_changed();
                }
            }
        }
        if changed {
            stack.changed(id, NetworkChanges::LEASE);
        }
        if core::mem::take(&mut self.link_local) {
            // Its owner may have ended it meanwhile.
            let _ = stack.disable_link_local(stack.now, InterfaceId(id));
        }
    }

    /// Nothing of the previous lease holds any longer.
    fn withdraw(&mut self, stack: &mut Stack, id: u8) {
        let Some(old) = self.client.previous() else {
            return;
        };
        stack.counters.dhcp_leases_lost += 1;
        for route in old.routes() {
            withdraw_route(stack, id, route);
        }
        drop_lent(stack, id, old.address);
        if let Some(entry) = stack.interfaces.get_mut(usize::from(id)) {
            entry.resolvers.forget(Origin::Dhcpv4);
            entry.mtu = self.mtu;
        }
        stack.routes_changed();
        stack.changed(id, NetworkChanges::LEASE);
    }

    fn stop(&mut self, stack: &mut Stack, id: u8, release: bool) {
        if let Some(lease) = self.client.pending() {
            drop_lent(stack, id, lease.address);
        }
        if let Some(sending) = self.client.stop(stack.now, release) {
            send(stack, id, &sending);
        }
        if self.client.previous().is_some() {
            self.withdraw(stack, id);
        }
        if self.link_local {
            let _ = stack.disable_link_local(stack.now, InterfaceId(id));
        }
    }
}

/// Whether an address is one of ours on an interface, in use or not.
fn claims(stack: &Stack, id: u8, address: Ipv4Addr) -> bool {
    let entry = stack.interfaces.get(usize::from(id));
    entry.is_some_and(|entry| entry.v4.claims(address))
}

/// Takes an address of a server's away, lent or being probed: not one that the owner gave, which a server
/// may offer all the same.
fn drop_lent(stack: &mut Stack, id: u8, address: Ipv4Addr) {
    let is_lent = |info: AddressInfo| {
        (info.address, info.origin) == (IpAddr::V4(address), AddressOrigin::Dhcp)
    };
    if stack.address_list(InterfaceId(id)).any(is_lent) {
        stack.drop_ipv4_address(id, address);
    }
}

fn route_of(id: u8, (network, len, router): LeaseRoute) -> Option<(Prefix, Option<IpAddr>, Route)> {
    let prefix = Prefix::new(network.into(), len)?;
    let gateway = router.map(IpAddr::V4);
    Some((prefix, gateway, Route::new(prefix, gateway, id)))
}

/// Adds a route of a lease, after those of its owner. Whether packets may take another way now.
fn add_route(stack: &mut Stack, id: u8, route: LeaseRoute, place: usize) -> bool {
    let preference = match place {
        0 => Preference::High,
        1 => Preference::Medium,
        _ => Preference::Low,
    };
    let Some((.., route)) = route_of(id, route) else {
        return false;
    };
    let route = route.leased(preference);
    match stack.routes.add(route) {
        Ok(changed) => changed,
        Err(_) => {
            stack.counters.dhcp_routes_left_out += 1;
            false
        }
    }
}

fn withdraw_route(stack: &mut Stack, id: u8, route: LeaseRoute) -> bool {
    route_of(id, route)
        .is_some_and(|(prefix, gateway, _)| stack.routes.withdraw(prefix, gateway, id))
}

/// Sends a message: to everybody on the link, or to a server.
fn send(stack: &mut Stack, id: u8, sending: &Sending) {
    let Sending {
        message,
        source,
        destination,
        message_type,
    } = sending;
    let Some(frame) = stack.pool.allocate() else {
        stack.counters.tx_no_frame += 1;
        return;
    };
    let len = message.len();
    let place = stack
        .pool
        .buffer_mut(&frame)
        .get_mut(HEADROOM..HEADROOM + len);
    let Some(place) = place else {
        return stack.discard(frame, |c| &mut c.ip_too_large);
    };
    place.copy_from_slice(message);
    let descriptor = stack.pool.descriptor_mut(&frame);
    descriptor.start = within_frame(HEADROOM);
    descriptor.len = within_frame(len);
    let udp_len = size_of::<UdpHeader>() + len;
    let mut header = UdpHeader {
        source_port: U16::new(CLIENT_PORT),
        destination_port: U16::new(SERVER_PORT),
        len: U16::new(within_frame(udp_len)),
        checksum: U16::ZERO,
    };
    let (from, to) = (IpAddr::V4(*source), IpAddr::V4(*destination));
    let pseudo = pseudo_header(from, to, protocol::UDP, udp_len);
    let sum = pseudo + checksum::sum(header.as_bytes()) + checksum::sum(message);
    header.checksum = U16::new(match sum.finish() {
        0 => 0xffff,
        sum => sum,
    });
    stack.prepend(&frame, header.as_bytes());
    stack.counters.dhcp_sent += 1;
    stack.counters.udp_sent += 1;
    if *message_type == MessageType::Decline {
        stack.counters.dhcp_declines += 1;
    }
    // A release leaves while its address goes, or of one that was never used, so it cannot wait for a
    // neighbour's answer.
    let at_once = stack.interfaces.get(usize::from(id)).is_some_and(|entry| {
        *message_type == MessageType::Release
            && (entry.v4.is_on_link(*destination) || !entry.v4.owns(*source))
    });
    if destination.is_broadcast() || at_once {
        let total = within_frame(ipv4::HEADER_LEN + udp_len);
        let header = Ipv4Header::new(*source, *destination, protocol::UDP, TIME_TO_LIVE, total);
        stack.prepend(&frame, header.as_bytes());
        stack.counters.ip_sent += 1;
        let header = stack.ethernet_header(id, EthernetAddress::BROADCAST, ether_type::IPV4);
        stack.push_ready(id, frame, &header);
    } else {
        stack.send_owned(from, to, protocol::UDP, frame);
    }
}
