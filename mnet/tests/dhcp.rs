//! A DHCP client of a [`Net`]: its lease, waiting for the address, and one loop for everything. The
//! server is at the other end of the cable.

mod common;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use common::{World, bare};

use mnet::mnet_core::ResolverOrigin;
use mnet::mnet_core::address::NetworkChanges;
use mnet::mnet_core::dhcp::{DhcpConfig, DhcpState};
use mnet::{AnyEvent, Instant};

/// Lends 10.0.0.50 and up, another one to each DISCOVER, for an hour. Returns how many DISCOVERs
/// there were.
fn serve(world: &Rc<World>) -> Rc<Cell<u8>> {
    let asked = Rc::new(Cell::new(0));
    let (discovers, cable) = (Rc::clone(&asked), Rc::downgrade(world));
    world.peer(move || {
        let cable = cable.upgrade().unwrap();
        while let Some(frame) = cable.take(1) {
            let Some(message) = frame.get(42..).filter(|_| frame[34..38] == [0, 68, 0, 67]) else {
                continue;
            };
            let kind = match message[242] {
                1 => 2,
                3 => 5,
                _ => continue,
            };
            discovers.set(discovers.get() + u8::from(kind == 2));
            let mut reply = message[..240].to_vec();
            reply[0] = 2;
            reply[16..20].copy_from_slice(&[10, 0, 0, 49 + discovers.get()]);
            reply.extend([53, 1, kind, 54, 4, 10, 0, 0, 2, 51, 4, 0, 0, 0x0e, 0x10]);
            reply.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2]);
            reply.extend([6, 4, 10, 0, 0, 53, 15, 4, b'x', b'.', b'y', b'z', 255]);
            cable.send(0, in_frame(&reply));
        }
        None
    });
    asked
}

/// A message of 10.0.0.2 to everybody: UDP without a checksum, IP with one.
fn in_frame(message: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + message.len()).unwrap();
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2];
    ip.extend([255; 4]);
    ip[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
    let words = ip.chunks(2);
    let sum: u32 = words
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&[255; 6][..], &[2, 0, 0, 0, 0, 2, 8, 0], &ip].concat();
    frame.extend([0, 67, 0, 68]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_address_of_a_lease_is_waited_for() {
    let world = World::new();
    let discovers = serve(&world);
    let (client, interface) = bare(&world, 0);
    let early = client.wait_address(interface, IpAddr::is_ipv4, MINUTE);
    assert_eq!(early, None, "nobody has asked yet");
    client.dhcp_start(interface, DhcpConfig::default()).unwrap();
    assert!(client.dhcp_start(interface, DhcpConfig::default()).is_err());
    let start = world.now();
    let address = client.wait_address(interface, IpAddr::is_ipv4, MINUTE);
    assert_eq!(address, Some([10, 0, 0, 50].into()));
    assert!(world.now() < start + Duration::from_secs(5));
    assert_eq!(client.dhcp_state(interface), Some(DhcpState::Bound));
    let lease = |lease: &mnet::mnet_core::dhcp::Lease| (lease.address, lease.server);
    assert_eq!(
        client.dhcp_lease(interface, lease),
        Some(([10, 0, 0, 50].into(), [10, 0, 0, 2].into()))
    );
    assert_eq!(discovers.get(), 1);
    let servers = client.dns_servers(interface);
    assert_eq!(servers.len(), 1);
    assert_eq!(
        (servers[0].address, servers[0].origin),
        ([10, 0, 0, 53].into(), ResolverOrigin::Dhcpv4)
    );
    let (name, origin, _) = &client.search_domains(interface)[0];
    assert_eq!(
        (name.to_string().as_str(), *origin),
        ("x.yz", ResolverOrigin::Dhcpv4)
    );
    let option = |lease: &mnet::mnet_core::dhcp::Lease| {
        let mut buffer = [0; 4];
        assert_eq!(lease.option(15, &mut buffer), Some(4));
        buffer
    };
    assert_eq!(client.dhcp_lease(interface, option), Some(*b"x.yz"));
    client.dhcp_stop(interface, false).unwrap();
    assert_eq!(client.dns_servers(interface), []);
    assert_eq!(client.dhcp_lease(interface, lease), None);
    let late = client.wait_address(interface, IpAddr::is_ipv4, MINUTE);
    assert_eq!(late, None);
}

#[test]
fn an_offer_that_the_program_refuses_is_not_taken() {
    let world = World::new();
    let discovers = serve(&world);
    let (client, interface) = bare(&world, 0);
    client
        .dhcp_start_with(interface, DhcpConfig::default(), |offered, previous| {
            assert_eq!(previous, None);
            offered.address.octets()[3] >= 52
        })
        .unwrap();
    let address = client.wait_address(interface, IpAddr::is_ipv4, 2 * MINUTE);
    assert_eq!(address, Some([10, 0, 0, 52].into()));
    assert_eq!(discovers.get(), 3);
}

#[test]
fn one_loop_learns_of_the_lease_and_of_sockets() {
    let world = World::new();
    serve(&world);
    let (client, interface) = bare(&world, 0);
    client.dhcp_start(interface, DhcpConfig::default()).unwrap();
    let mut changes = NetworkChanges::empty();
    while !changes.contains(NetworkChanges::LEASE | NetworkChanges::ADDRESS_USABLE) {
        match client.next_any_event(world.now() + MINUTE) {
            Some(AnyEvent::Network(event)) => {
                assert_eq!(event.interface, interface);
                changes |= event.changes;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.next_any_event(Instant::ZERO), None, "told once");
    // Nobody answers at the address of the server, which the connection learns.
    let remote = SocketAddr::from(([10, 0, 0, 2], 7));
    let stream = client.try_connect(remote).unwrap();
    match client.next_any_event(world.now() + MINUTE) {
        Some(AnyEvent::Socket(event)) => assert_eq!(event.socket, stream.id()),
        other => panic!("{other:?}"),
    }
}
