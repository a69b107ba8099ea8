//! Sockets without a stack: binding, ports, queues, events, errors.

use super::*;
use crate::counters::Counters;
use crate::time::Instant;
use crate::wire::ipv4;
use core::net::Ipv4Addr;
use zerocopy::IntoBytes;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const PEER: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4_000);

/// A packet from the peer with a payload of one byte.
fn ipv4_packet(payload: u8) -> std::vec::Vec<u8> {
    let address = Ipv4Addr::new(10, 0, 0, 1);
    let header = ipv4::Ipv4Header::new(address, Ipv4Addr::BROADCAST, 17, 64, 21);
    [header.as_bytes(), &[payload]].concat()
}

struct Bench {
    udp: Udp,
    pool: FramePool,
    rng: Rng,
    counters: Counters,
}

impl Bench {
    fn new() -> Self {
        let config = Config {
            max_udp_sockets: 4,
            udp_receive_buffer: 1_000,
            ..Config::default()
        };
        let limits = Limits {
            frames: 40,
            frame_size: 256,
            reserved_frames: 8,
            connections: 1,
            half_open: 1,
            time_wait: 1,
        };
        let mut rng = Rng::new([1; 32]);
        let udp = Udp::new(&config, &limits, &mut rng);
        Self {
            udp,
            pool: FramePool::new(40, 256),
            rng,
            counters: Counters::default(),
        }
    }

    fn bind(&mut self, address: IpAddr, port: u16) -> Result<SocketId, BindError> {
        self.udp
            .bind(address, port, UdpOptions::default(), &mut self.rng)
    }

    /// A datagram of one byte arrives; whether a socket has its port.
    fn receive(&mut self, to: (IpAddr, u16), mark: u8) -> bool {
        let frame = self.pool.allocate().unwrap();
        let packet = ipv4_packet(mark);
        let descriptor = self.pool.descriptor_mut(&frame);
        (descriptor.start, descriptor.len) = (20, 1);
        self.pool.buffer_mut(&frame)[..packet.len()].copy_from_slice(&packet);
        let mut cx = Context {
            now: Instant::ZERO,
            pool: &mut self.pool,
            rng: &mut self.rng,
            counters: &mut self.counters,
        };
        let arrival = Arrival {
            interface: 0,
            header: 0,
            source: PEER,
            destination: to,
            to_us: to.0 == OURS,
        };
        let rest = FrameQueue::default();
        match self.udp.receive(&mut cx, frame, rest, &arrival) {
            Ok(()) => true,
            Err(frame) => {
                self.pool.free(frame);
                false
            }
        }
    }

    /// An error about a datagram from port 53; whether it is ours.
    fn error(&mut self, remote: (IpAddr, u16), error: IcmpError) -> bool {
        let mut cx = Context {
            now: Instant::ZERO,
            pool: &mut self.pool,
            rng: &mut self.rng,
            counters: &mut self.counters,
        };
        self.udp.icmp_error(&mut cx, (OURS, 53), remote, error)
    }

    fn read(&mut self, id: SocketId) -> Result<(u8, SocketAddr), RecvFromError> {
        let (index, received) = self.udp.peek(id, &self.pool)?;
        let mark = self.pool.content_at(index)[0];
        let (frame, _) = self.udp.take(id, &mut self.pool)?;
        self.pool.free(frame);
        Ok((mark, received.remote))
    }

    fn events(&mut self) -> std::vec::Vec<Event> {
        core::iter::from_fn(|| self.udp.poll_event(&self.pool)).collect()
    }
}

#[test]
fn a_socket_bound_to_the_address_goes_before_one_bound_to_any() {
    let mut bench = Bench::new();
    let any = bench.bind(ANY, 53).unwrap();
    let ours = bench.bind(OURS, 53).unwrap();
    assert!(bench.receive((OURS, 53), 1));
    assert!(bench.receive((Ipv4Addr::BROADCAST.into(), 53), 2));
    assert!(!bench.receive((OURS, 54), 3));
    assert_eq!(bench.read(ours), Ok((1, SocketAddr::from(PEER))));
    assert_eq!(bench.read(any), Ok((2, SocketAddr::from(PEER))));
    assert_eq!(bench.read(any), Err(RecvFromError::WouldBlock));
    assert_eq!(bench.pool.free_frames(), 40);
}

#[test]
fn an_address_and_port_belong_to_one_socket() {
    let mut bench = Bench::new();
    let id = bench.bind(OURS, 53).unwrap();
    assert_eq!(bench.bind(OURS, 53), Err(BindError::AddressInUse));
    bench.udp.close(id, &mut bench.pool).unwrap();
    bench.bind(OURS, 53).unwrap();
    for _ in 0..3 {
        bench.bind(ANY, 0).unwrap();
    }
    assert_eq!(bench.bind(ANY, 99), Err(BindError::LimitReached));
    assert_eq!(bench.udp.sockets(), 4);
}

#[test]
fn places_are_taken_again_in_any_order_and_old_handles_stay_dead() {
    let mut bench = Bench::new();
    let mut ids: std::vec::Vec<_> = (1..=4).map(|n| bench.bind(ANY, n).unwrap()).collect();
    for closed in [2, 0, 3, 1] {
        let old = ids[closed];
        bench.udp.close(old, &mut bench.pool).unwrap();
        let port = bench.bind(ANY, 0).unwrap();
        assert_eq!(bench.bind(ANY, 99), Err(BindError::LimitReached));
        assert_eq!(bench.udp.local_addr(old), Err(BadHandle));
        ids[closed] = port;
    }
    for id in [ids[3], ids[0], ids[1], ids[2]] {
        bench.udp.close(id, &mut bench.pool).unwrap();
    }
    for n in 1..=4 {
        bench.bind(ANY, n).unwrap();
    }
    assert_eq!(bench.udp.sockets(), 4);
}

/// All ports but two are taken: the random tries mostly find none of them.
#[test]
fn the_last_ephemeral_ports_are_found() {
    let config = Config {
        memory: 64 << 20,
        max_udp_sockets: 1 << 16,
        ..Config::default()
    };
    let limits = Limits::derive(&config).unwrap();
    let mut rng = Rng::new([1; 32]);
    let mut udp = Udp::new(&config, &limits, &mut rng);
    let left = [FIRST_EPHEMERAL, 40_000];
    for port in (FIRST_EPHEMERAL..=u16::MAX).filter(|port| !left.contains(port)) {
        udp.bind(ANY, port, UdpOptions::default(), &mut rng)
            .unwrap();
    }
    let mut found = [0, 0];
    for port in &mut found {
        let id = udp.bind(OURS, 0, UdpOptions::default(), &mut rng).unwrap();
        *port = udp.local_addr(id).unwrap().port();
    }
    found.sort_unstable();
    assert_eq!(found, left);
    assert_eq!(
        udp.bind(OURS, 0, UdpOptions::default(), &mut rng),
        Err(BindError::AddressInUse)
    );
}

#[test]
fn ephemeral_ports_are_spread_over_the_range() {
    let mut bench = Bench::new();
    let mut ports = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let id = bench.bind(ANY, 0).unwrap();
        ports.insert(bench.udp.local_addr(id).unwrap().port());
        bench.udp.close(id, &mut bench.pool).unwrap();
    }
    assert!(ports.len() > 190, "{}", ports.len());
    assert!(*ports.first().unwrap() >= FIRST_EPHEMERAL);
    assert!(*ports.last().unwrap() > 50_000);
}

#[test]
fn the_queue_is_bounded_and_what_it_holds_comes_back_on_close() {
    let mut bench = Bench::new();
    let id = bench.bind(ANY, 53).unwrap();
    for mark in 0..5 {
        assert!(bench.receive((OURS, 53), mark));
    }
    assert_eq!(
        (bench.counters.udp_queue_full, bench.pool.free_frames()),
        (2, 37)
    );
    assert_eq!(bench.read(id).unwrap().0, 0, "the oldest ones stay");
    bench.udp.close(id, &mut bench.pool).unwrap();
    assert_eq!((bench.pool.free_frames(), bench.udp.queued), (40, 0));
    assert_eq!(bench.read(id), Err(RecvFromError::BadHandle));
    assert_eq!(bench.udp.close(id, &mut bench.pool), Err(BadHandle));
}

#[test]
fn datagrams_do_not_take_the_reserve_of_the_pool() {
    let mut bench = Bench::new();
    bench.bind(ANY, 53).unwrap();
    let others: std::vec::Vec<_> = (0..32).map(|_| bench.pool.allocate().unwrap()).collect();
    assert!(bench.receive((OURS, 53), 0));
    assert_eq!(
        (bench.counters.udp_pool_low, bench.pool.free_frames()),
        (1, 8)
    );
    for frame in others {
        bench.pool.free(frame);
    }
}

#[test]
fn one_event_announces_that_a_queue_is_no_longer_empty() {
    let mut bench = Bench::new();
    let id = bench.bind(ANY, 53).unwrap();
    assert_eq!(bench.events(), []);
    bench.receive((OURS, 53), 0);
    bench.receive((OURS, 53), 1);
    let readiness = Readiness::READABLE | Readiness::WRITABLE;
    assert_eq!(
        bench.events(),
        [Event {
            socket: id,
            readiness
        }]
    );
    bench.receive((OURS, 53), 2);
    assert_eq!(bench.events(), []);
    for _ in 0..3 {
        bench.read(id).unwrap();
    }
    bench.receive((OURS, 53), 3);
    assert_eq!(bench.events().len(), 1);
    bench.read(id).unwrap();
    bench.receive((OURS, 53), 4);
    bench.udp.close(id, &mut bench.pool).unwrap();
    assert_eq!(bench.events(), [], "a closed socket has no events");
}

#[test]
fn a_refused_sender_hears_when_frames_are_free_again() {
    let mut bench = Bench::new();
    let id = bench.bind(ANY, 53).unwrap();
    let others: std::vec::Vec<_> = (0..32).map(|_| bench.pool.allocate().unwrap()).collect();
    assert_eq!(bench.udp.readiness(id, &bench.pool), Ok(Readiness::empty()));
    bench.udp.block(id, 1);
    assert_eq!(bench.events(), []);
    for frame in others {
        bench.pool.free(frame);
    }
    assert_eq!(
        bench.events(),
        [Event {
            socket: id,
            readiness: Readiness::WRITABLE
        }]
    );
    assert_eq!(bench.events(), []);
}

#[test]
fn an_event_that_was_repeated_is_not_lost_if_the_frames_are_taken_meanwhile() {
    let mut bench = Bench::new();
    let id = bench.bind(ANY, 53).unwrap();
    bench.udp.block(id, 1);
    assert_eq!(bench.events().len(), 1);
    bench.udp.repeat_event(id);
    let others: std::vec::Vec<_> = (0..32).map(|_| bench.pool.allocate().unwrap()).collect();
    assert_eq!(bench.events(), []);
    for frame in others {
        bench.pool.free(frame);
    }
    assert_eq!(bench.events().len(), 1);
    assert_eq!(bench.events(), []);
}

#[test]
fn icmp_errors_reach_only_who_sent_to_that_destination() {
    let mut bench = Bench::new();
    let id = bench.bind(ANY, 53).unwrap();
    assert!(
        !bench.error(PEER, IcmpError::PortUnreachable),
        "nothing was sent"
    );
    bench.udp.sent(Instant::ZERO, id, OURS, PEER, false);
    assert!(
        !bench.error((PEER.0, 1), IcmpError::PortUnreachable),
        "another port"
    );
    assert!(
        !bench.error((OURS, PEER.1), IcmpError::PortUnreachable),
        "another host"
    );
    assert!(bench.error(PEER, IcmpError::ParameterProblem));
    assert_eq!(bench.events(), [], "nothing that the user can do");
    assert!(bench.error(PEER, IcmpError::TimeExceeded));
    assert!(bench.error(PEER, IcmpError::PortUnreachable));
    let readiness = Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR;
    assert_eq!(
        bench.events(),
        [Event {
            socket: id,
            readiness
        }]
    );
    assert_eq!(bench.read(id), Err(RecvFromError::Refused));
    assert_eq!(
        bench.read(id),
        Err(RecvFromError::WouldBlock),
        "reported once"
    );
    for port in 1..=4 {
        bench
            .udp
            .sent(Instant::ZERO, id, OURS, (PEER.0, port), false);
    }
    assert!(!bench.error(PEER, IcmpError::Unreachable), "forgotten");
    assert!(bench.error((PEER.0, 4), IcmpError::Unreachable));
    assert_eq!(bench.read(id), Err(RecvFromError::Unreachable));
}

#[test]
fn path_mtus_are_believed_only_of_sockets_that_have_sent_much() {
    let mut bench = Bench::new();
    let too_big = IcmpError::FragmentationNeeded { mtu: 1_000 };
    let id = bench.bind(ANY, 53).unwrap();
    bench.udp.sent(Instant::ZERO, id, OURS, PEER, false);
    assert!(!bench.error(PEER, too_big), "a small datagram");
    bench.udp.sent(Instant::ZERO, id, OURS, PEER, true);
    assert!(!bench.error((PEER.0, 1), too_big), "another port");
    assert!(bench.error(PEER, too_big));
    let known = bench.udp.path_mtu(Instant::ZERO, PEER.0);
    assert_eq!(known, Some(1_000));
    bench.udp.close(id, &mut bench.pool).unwrap();
    assert!(!bench.error(PEER, too_big), "closed");
    bench.bind(ANY, 54).unwrap();
    assert!(!bench.error(PEER, too_big), "another socket in its place");
}
