//! Addresses, interfaces, routes, IPv6, DNS servers and counters of a [`Net`], and what UDP sockets are
//! told, on two hosts joined by a cable.

mod common;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use std::time::Duration;

use common::{Plug, Side, World, address, attached, bare, follow, net, plug, socket};
use mnet::mnet_core::address::{AddressOrigin, AddressState, NetworkChanges, Probing};
use mnet::mnet_core::config::Ipv6Config;
use mnet::mnet_core::device::{InterfaceId, RxInfo, TxFrame};
use mnet::mnet_core::error::{ConfigError, RecvError, RecvFromError, SendToError};
use mnet::mnet_core::udp::UdpSetting;
use mnet::mnet_core::{AddressOptions, ResolverOrigin};
use mnet::{
    Config, Device, Instant, Net, NextHop, NoEntropy, Platform, Runtime, TransmitError, VlanConfig,
};

const SECOND: Duration = Duration::from_secs(1);

/// An EtherType that is free for experiments (IEEE 802).
const OWN_TYPE: u16 = 0x88b5;

/// A frame of some kind from host 1 to host 0.
fn of_kind(kind: u16, content: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.resize(60, content);
    frame
}

/// Lets both hosts go on for some time.
fn pass(world: &World, net: &Net<Side>, time: Duration) {
    net.poll(&mut [], world.now() + time);
}

/// All that has changed on the network, once it has been quiet for a second.
fn changes(world: &World, net: &Net<Side>) -> NetworkChanges {
    let mut all = NetworkChanges::empty();
    while let Some(event) = net.next_network_event(world.now() + SECOND) {
        all |= event.changes;
    }
    all
}

fn state(net: &Net<Side>, interface: InterfaceId, wanted: IpAddr) -> Option<AddressState> {
    let listed = net.addresses(interface);
    let found = listed.iter().find(|info| info.address == wanted)?;
    Some(found.state)
}

#[test]
fn an_address_of_somebody_else_is_not_taken_and_that_is_told() {
    let world = World::new();
    let (here, interface) = bare(&world, 0);
    let there = net(&world, 1);
    follow(&world, &there);
    let probed = AddressOptions {
        probing: Probing::Brief,
        ..AddressOptions::default()
    };
    let (theirs, free) = (address(1), address(2));
    here.add_address(interface, theirs, 24, probed).unwrap();
    assert_eq!(
        state(&here, interface, theirs),
        Some(AddressState::Tentative)
    );
    assert_eq!(
        changes(&world, &here),
        NetworkChanges::ADDRESS_CONFLICT,
        "somebody has it"
    );
    assert_eq!(
        state(&here, interface, theirs),
        Some(AddressState::Duplicate)
    );
    here.add_address(interface, free, 24, probed).unwrap();
    assert_eq!(changes(&world, &here), NetworkChanges::ADDRESS_USABLE);
    assert_eq!(state(&here, interface, free), Some(AddressState::Usable));
    assert_eq!(
        here.add_address(interface, free, 24, probed),
        Err(ConfigError::BadAddress)
    );
}

#[test]
fn a_connection_ends_with_its_address() {
    let world = World::new();
    let (here, interface) = bare(&world, 0);
    let there = net(&world, 1);
    follow(&world, &there);
    let options = AddressOptions::default();
    here.add_address(interface, address(0), 24, options)
        .unwrap();
    let _listener = there.listen(socket(1, 7), 4).unwrap();
    let stream = here.connect(socket(1, 7)).unwrap();
    changes(&world, &here);
    here.remove_address(interface, address(0)).unwrap();
    assert_eq!(changes(&world, &here), NetworkChanges::ADDRESS_GONE);
    assert_eq!(stream.read(&mut [0; 10]), Err(RecvError::AddressGone));
    assert_eq!(here.addresses(interface), []);
    assert_eq!(
        here.remove_address(interface, address(0)),
        Err(ConfigError::NoSuchAddress)
    );
}

#[test]
fn connections_and_datagrams_go_over_ipv6_as_over_ipv4() {
    let world = World::new();
    let given = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host + 1]);
    let [(here, interface), (there, _)] = [0, 1].map(|host| {
        let (mut runtime, interface) = attached(&world, host);
        let now = runtime.now();
        let stack = runtime.stack_mut();
        stack
            .enable_ipv6(now, interface, Ipv6Config::default())
            .unwrap();
        let net = Net::new(runtime);
        net.add_address(interface, given(host.into()), 64, AddressOptions::default())
            .unwrap();
        (net, interface)
    });
    follow(&world, &there);
    let usable = here.wait_address(interface, IpAddr::is_ipv6, 5 * SECOND);
    assert_eq!(usable, Some(given(0)));
    pass(&world, &here, 5 * SECOND);

    let any: IpAddr = Ipv6Addr::UNSPECIFIED.into();
    let listener = there.listen(SocketAddr::new(any, 7), 4).unwrap();
    let stream = here.connect(SocketAddr::new(given(1), 7)).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), given(0));
    stream.write_all(b"hello").unwrap();
    pass(&world, &here, SECOND);
    let accepted = listener.try_accept().unwrap();
    assert_eq!(accepted.peer_addr(), stream.local_addr());
    let mut buffer = [0; 10];
    assert_eq!(accepted.try_read(&mut buffer), Ok(5));
    assert_eq!(&buffer[..5], b"hello");

    // Link-local addresses, which have a zone: the number of the interface, counted from 1.
    let listed = there.addresses(interface);
    let made = |info: &&mnet::mnet_core::AddressInfo| info.origin == AddressOrigin::LinkLocal;
    let IpAddr::V6(link_local) = listed.iter().find(made).unwrap().address else {
        panic!("{listed:?}");
    };
    let receiver = there.bind(SocketAddr::new(any, 9)).unwrap();
    let sender = here.bind(SocketAddr::new(any, 0)).unwrap();
    let remote = SocketAddrV6::new(link_local, 9, 0, 1).into();
    sender.send_to(b"datagram", remote).unwrap();
    pass(&world, &here, SECOND);
    let received = receiver.try_recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..received.len], b"datagram");
    receiver.try_send_to(b"answer", received.remote).unwrap();
    let answer = sender.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..answer.len], answer.remote),
        (&b"answer"[..], remote)
    );
}

#[test]
fn a_vlan_is_an_interface_with_addresses_and_routes_of_its_own() {
    let world = World::new();
    let (here, there) = (net(&world, 0), net(&world, 1));
    follow(&world, &there);
    let parent = here.interfaces()[0].id;
    let inside = |host: u8| IpAddr::from([10, 1, 0, host + 1]);
    let vlans = [(&here, 0), (&there, 1)].map(|(net, host)| {
        let vlan = net.add_vlan(parent, VlanConfig::new(7)).unwrap();
        let options = AddressOptions::default();
        net.add_address(vlan, inside(host), 24, options).unwrap();
        vlan
    });
    let listed = here.interfaces();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].id, vlans[0]);
    assert_eq!(listed[1].vlan.map(|vlan| vlan.id), Some(7));

    let listener = there.listen(SocketAddr::new(inside(1), 7), 4).unwrap();
    let stream = here.connect(SocketAddr::new(inside(1), 7)).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), inside(0));
    pass(&world, &here, SECOND);
    listener.try_accept().unwrap();
    assert!(here.interfaces()[1].counters.rx_frames >= 2);

    // What lies behind the other host is reached by the route there, and by none without it.
    let (behind, gateway) = (Ipv4Addr::new(192, 0, 2, 0).into(), inside(1));
    let next_hop = NextHop::Gateway {
        interface: vlans[0],
        address: gateway,
    };
    let udp = here.bind(socket(0, 0)).unwrap();
    let remote = "192.0.2.1:7".parse().unwrap();
    assert_eq!(udp.send_to(b"x", remote), Err(SendToError::NoRoute));
    here.add_route(behind, 24, next_hop, 0).unwrap();
    assert!(
        here.routes()
            .iter()
            .any(|route| (route.destination, route.next_hop) == (behind, next_hop))
    );
    let before = here.interfaces()[1].counters.tx_frames;
    let udp = here.bind(SocketAddr::new(inside(0), 0)).unwrap();
    udp.send_to(b"x", remote).unwrap();
    pass(&world, &here, SECOND);
    assert!(here.interfaces()[1].counters.tx_frames > before);
    here.remove_route(behind, 24, next_hop).unwrap();
    assert_eq!(udp.send_to(b"x", remote), Err(SendToError::NoRoute));
}

#[test]
fn another_device_is_another_interface_up_to_the_limit() {
    let world = World::new();
    let here = net(&world, 0);
    let limit = loop {
        let count = here.interfaces().len();
        match here.add_interface(plug(&world, 0)) {
            Ok(_) => assert_eq!(here.interfaces().len(), count + 1),
            Err(error) => {
                assert_eq!(error, ConfigError::TooMany);
                break count;
            }
        }
    };
    assert!((2..=8).contains(&limit), "{limit}");
}

#[test]
fn servers_that_the_program_names_are_listed() {
    let world = World::new();
    let here = net(&world, 0);
    let interface = here.interfaces()[0].id;
    assert_eq!(here.dns_servers(interface), []);
    for host in [1, 2] {
        here.add_dns_server(interface, address(host)).unwrap();
    }
    let listed = here.dns_servers(interface);
    let listed: Vec<_> = listed.iter().map(|dns| (dns.address, dns.origin)).collect();
    let named = [1, 2].map(|host| (address(host), ResolverOrigin::Static));
    assert_eq!(listed, named);
    assert!(here.search_domains(interface).is_empty());
}

#[test]
fn udp_sockets_hear_what_became_of_their_datagrams() {
    let world = World::new();
    let (here, there) = (net(&world, 0), net(&world, 1));
    follow(&world, &there);
    let udp = here.bind(socket(0, 0)).unwrap();
    udp.send_to(b"x", socket(1, 99)).unwrap();
    assert_eq!(udp.recv_from(&mut [0]), Err(RecvFromError::Refused));
    let last = udp.last_error().unwrap().unwrap();
    assert_eq!(
        (last.error, last.remote),
        (RecvFromError::Refused, socket(1, 99))
    );

    // What does not fit leaves in fragments, or not at all if the socket wants that.
    let receiver = there.bind(socket(1, 7)).unwrap();
    let long = [7; 3_000];
    udp.send_to(&long, socket(1, 7)).unwrap();
    pass(&world, &here, SECOND);
    let mut buffer = [0; 4_000];
    let received = receiver.try_recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..received.len], long);
    udp.set(UdpSetting::DontFragment(true)).unwrap();
    assert_eq!(
        udp.send_to(&long, socket(1, 7)),
        Err(SendToError::MessageTooLong)
    );
}

#[test]
fn what_is_dropped_is_counted_under_its_reason() {
    let world = World::new();
    let here = net(&world, 0);
    // Its address was announced twice by then.
    pass(&world, &here, 5 * SECOND);
    let before = here.counters();
    world.send(0, vec![0xff; 10]);
    world.send(0, of_kind(OWN_TYPE, 0));
    pass(&world, &here, SECOND);
    let changed: Vec<_> = (before.iter().zip(here.counters().iter()))
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| (name, after - before))
        .collect();
    assert_eq!(
        changed,
        [
            ("rx_frames", 2),
            ("rx_bytes", 70),
            ("eth_malformed", 1),
            ("eth_unknown_type", 1)
        ]
    );
}

/// Frames of the program's own, in and out.
type Queue = Rc<RefCell<Vec<Vec<u8>>>>;

/// A device that keeps frames of its own kind from the stack, and sends what the program gives it.
struct Shared {
    plug: Plug,
    world: Rc<World>,
    kept: Queue,
    given: Queue,
}

impl Device for Shared {
    fn hardware_address(&self) -> [u8; 6] {
        self.plug.hardware_address()
    }

    fn mtu(&self) -> usize {
        self.plug.mtu()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        for frame in self.given.take() {
            self.world.send(1, frame);
        }
        loop {
            let info = self.plug.receive(buffer)?;
            let frame = &buffer[..info.len];
            if frame.get(12..14) != Some(&OWN_TYPE.to_be_bytes()) {
                return Some(info);
            }
            self.kept.borrow_mut().push(frame.to_vec());
        }
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        self.plug.transmit(frame)
    }
}

struct SharedSide(Side);

impl Platform for SharedSide {
    type Device = Shared;

    fn now(&mut self) -> Instant {
        self.0.now()
    }

    fn wait(&mut self, _devices: &mut [Shared], deadline: Instant) {
        self.0.wait(&mut [], deadline);
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        Err(NoEntropy)
    }
}

#[test]
fn a_program_has_frames_of_its_own_beside_the_stack() {
    let world = World::new();
    let (kept, given) = (Queue::default(), Queue::default());
    let side = Side {
        world: Rc::clone(&world),
        host: 0,
    };
    let config = Config {
        memory: 4 << 20,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, SharedSide(side), Some([1; 32])).unwrap();
    let device = Shared {
        plug: plug(&world, 0),
        world: Rc::clone(&world),
        kept: Rc::clone(&kept),
        given: Rc::clone(&given),
    };
    let interface = runtime.attach(device).unwrap();
    let here = Net::new(runtime);
    world.send(0, of_kind(OWN_TYPE, 7));
    world.send(0, of_kind(OWN_TYPE + 1, 8));
    given.borrow_mut().push(of_kind(OWN_TYPE, 9));
    here.poll(&mut [], world.now() + SECOND);
    assert_eq!(kept.take(), [of_kind(OWN_TYPE, 7)]);
    assert_eq!(world.take(1), Some(of_kind(OWN_TYPE, 9)));
    let counters = here.counters();
    assert_eq!((counters.rx_frames, counters.eth_unknown_type), (1, 1));
    // What is the stack's goes on as ever.
    here.add_address(interface, address(0), 24, AddressOptions::default())
        .unwrap();
    here.poll(&mut [], world.now() + SECOND);
    let announced = world.take(1).unwrap();
    assert_eq!(announced[12..14], [8, 6]);
}

#[test]
fn random_numbers_fill_the_buffer_and_differ() {
    let world = World::new();
    let here = net(&world, 0);
    let [mut one, mut two] = [[0; 64]; 2];
    here.random(&mut one);
    here.random(&mut two);
    assert_ne!(one, two);
    // That eight bytes in a row stay zero does not happen by chance.
    assert!(one.chunks(8).all(|bytes| bytes != [0; 8]));
}
