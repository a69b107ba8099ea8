//! Addresses under virtual time.

use super::*;
use std::vec::Vec;
use zerocopy::byteorder::network_endian::U32;

const HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);
const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0);

struct Bench {
    addresses: Ipv6Addresses,
    rng: Rng,
    now: Instant,
}

impl Bench {
    fn new(config: Ipv6Config) -> Self {
        let mut rng = Rng::new([9; 32]);
        let now = Instant::from_millis(5_000);
        Self {
            addresses: Ipv6Addresses::new(config, HW, 0, now, &mut rng),
            rng,
            now,
        }
    }

    /// Goes on to the next event: milliseconds until then, and what it is.
    fn next(&mut self) -> Option<(u64, AddressEvent)> {
        let start = self.now;
        while let Some(at) = self.addresses.next_timeout() {
            self.now = self.now.max(at);
            match self.addresses.next_event(self.now, &mut self.rng) {
                // It comes with the first probe.
                Some(AddressEvent::Listen { .. }) | None => {}
                Some(event) => return Some((self.now.as_millis() - start.as_millis(), event)),
            }
        }
        None
    }

    /// Everything that happens within so many seconds.
    fn events(&mut self, seconds: u64) -> Vec<AddressEvent> {
        let end = self.now + Duration::from_secs(seconds);
        let mut events = Vec::new();
        while let Some(at) = self.addresses.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let event = self.addresses.next_event(self.now, &mut self.rng);
            events.extend(event.filter(|event| !matches!(event, AddressEvent::Listen { .. })));
        }
        self.now = end;
        events
    }

    fn advertise(&mut self, valid: u32, preferred: u32) -> bool {
        let information = PrefixInformation {
            prefix_len: 64,
            flags: 0x40,
            valid_lifetime: U32::new(valid),
            preferred_lifetime: U32::new(preferred),
            prefix: PREFIX.octets(),
            ..PrefixInformation::default()
        };
        self.addresses
            .prefix_advertised(self.now, &information, &mut self.rng)
    }

    fn ours(&self) -> Vec<Ipv6Addr> {
        self.addresses.iter().map(|(address, _)| address).collect()
    }

    fn source(&self, destination: &str) -> Ipv6Addr {
        self.addresses
            .source_for(self.now, destination.parse().unwrap(), None)
            .unwrap()
    }
}

fn with(change: impl FnOnce(&mut Ipv6Config)) -> Bench {
    let mut config = Ipv6Config {
        secret: Some([3; 16]),
        ..Ipv6Config::default()
    };
    change(&mut config);
    Bench::new(config)
}

/// RFC 4862 §5.4.2.
#[test]
fn the_group_is_listened_to_before_the_first_probe() {
    let mut bench = with(|_| {});
    bench.now = bench.addresses.next_timeout().unwrap();
    let mut next = || bench.addresses.next_event(bench.now, &mut bench.rng);
    let Some(AddressEvent::Listen { address }) = next() else {
        panic!("not listening");
    };
    assert!(
        matches!(next(), Some(AddressEvent::Probe { address: probed, .. }) if probed == address)
    );
    assert_eq!(next(), None);
}

/// RFC 4862 §5.4.
#[test]
fn an_address_is_ours_a_second_after_its_probe() {
    let mut bench = with(|_| {});
    let (delay, probe) = bench.next().unwrap();
    let AddressEvent::Probe { address, .. } = probe else {
        panic!("{probe:?}");
    };
    assert!(delay < 1_000 && address.is_unicast_link_local());
    assert!(bench.addresses.claims(address) && !bench.addresses.owns(address));
    assert_eq!(
        bench.next(),
        Some((1_000, AddressEvent::Assigned { address }))
    );
    assert!(bench.addresses.owns(address));
    assert_eq!(bench.addresses.link_local(), Some(address));
    assert_eq!(bench.next(), None);
}

#[test]
fn without_probes_an_address_is_ours_at_once() {
    let mut bench = with(|config| config.dad_transmits = 0);
    assert!(matches!(
        bench.next(),
        Some((0, AddressEvent::Assigned { .. }))
    ));
}

/// RFC 7217 §6.
#[test]
fn a_conflict_makes_another_stable_address_three_times() {
    let mut bench = with(|_| {});
    let mut seen = Vec::new();
    while let Some((_, AddressEvent::Probe { address, .. })) = bench.next() {
        assert!(!seen.contains(&address));
        seen.push(address);
        let (now, rng) = (bench.now, &mut bench.rng);
        assert_eq!(
            bench.addresses.conflict(now, address, rng),
            Conflict::GivenUp { listening: true }
        );
        assert_eq!(bench.addresses.conflict(now, address, rng), Conflict::None);
    }
    assert_eq!((seen.len(), bench.ours()), (4, Vec::new()));
}

/// RFC 4862 §5.4.5.
#[test]
fn an_address_made_of_the_hardware_is_given_up_at_the_first_conflict() {
    let mut bench = with(|config| config.identifiers = InterfaceIdentifiers::Eui64);
    let Some((_, AddressEvent::Probe { address, .. })) = bench.next() else {
        panic!("a probe");
    };
    assert_eq!(address, "fe80::ff:fe00:7".parse::<Ipv6Addr>().unwrap());
    bench.addresses.conflict(bench.now, address, &mut bench.rng);
    assert_eq!((bench.next(), bench.ours()), (None, Vec::new()));
}

#[test]
fn an_assigned_address_is_not_given_up() {
    let mut bench = with(|_| {});
    bench.events(10);
    let address = bench.ours()[0];
    let conflict = bench.addresses.conflict(bench.now, address, &mut bench.rng);
    assert_eq!(
        (conflict, bench.ours()),
        (Conflict::None, std::vec![address])
    );
}

/// RFC 4862 §5.5.3, §5.5.4.
#[test]
fn an_address_of_a_prefix_is_deprecated_and_then_goes() {
    let mut bench = with(|_| {});
    assert!(bench.advertise(7_200, 3_600));
    bench.events(10);
    let global = bench.source("2001:db8:9::1");
    assert_eq!(global.to_bits() >> 64, PREFIX.to_bits() >> 64);
    bench
        .addresses
        .add_static(
            bench.now,
            "2001:db8:1:3::5".parse().unwrap(),
            64,
            &mut bench.rng,
        )
        .unwrap();
    bench.events(10);
    assert_eq!(bench.source("2001:db8:1:2::9"), global);
    bench.events(3_600);
    assert_ne!(bench.source("2001:db8:1:2::9"), global, "deprecated");
    assert!(bench.addresses.owns(global), "and yet ours");
    assert_eq!(
        bench.events(3_600),
        [AddressEvent::Expired {
            address: global,
            left: LeftAddress {
                prefix_len: 64,
                listening: true
            }
        }]
    );
    assert!(!bench.addresses.owns(global));
}

/// RFC 4862 §5.5.3 (e).
#[test]
fn a_forged_lifetime_cannot_end_an_address_within_two_hours() {
    let mut bench = with(|_| {});
    bench.advertise(1_000_000, 500_000);
    bench.events(10);
    let global = bench.source("2001:db8:9::1");
    bench.advertise(1, 1);
    assert_eq!(bench.events(7_100), []);
    assert!(bench.addresses.owns(global));
    bench.advertise(60, 60);
    assert_eq!(bench.events(101).len(), 1, "no longer, either");
    bench.advertise(90_000, 80_000);
    bench.events(7_300);
    assert_eq!(bench.ours().len(), 2, "it comes back");
}

#[test]
fn impossible_prefixes_are_passed_over() {
    let mut bench = with(|_| {});
    bench.events(5);
    bench.advertise(100, 200);
    for (prefix, len) in [("fe80::", 64), ("ff02::", 64), ("2001:db8::", 63)] {
        let information = PrefixInformation {
            prefix_len: len,
            valid_lifetime: U32::new(1_000),
            prefix: prefix.parse::<Ipv6Addr>().unwrap().octets(),
            ..PrefixInformation::default()
        };
        bench
            .addresses
            .prefix_advertised(bench.now, &information, &mut bench.rng);
    }
    assert_eq!((bench.events(100), bench.ours().len()), (Vec::new(), 1));
}

/// RFC 8981 §3.4.
#[test]
fn a_temporary_address_is_preferred_and_replaced_every_day() {
    let mut bench = with(|config| config.temporary_addresses = true);
    bench.advertise(u32::MAX, u32::MAX);
    bench.events(10);
    assert_eq!(bench.ours().len(), 3);
    let first = bench.source("2001:db8:9::1");
    let assigned = |events: &[AddressEvent]| {
        let assigned = |event: &&AddressEvent| matches!(event, AddressEvent::Assigned { .. });
        events.iter().filter(assigned).count()
    };
    let events = bench.events(24 * 3_600);
    assert!((1..=2).contains(&assigned(&events)), "{events:?}");
    let second = bench.source("2001:db8:9::1");
    assert_ne!(first, second);
    let events = bench.events(30 * 24 * 3_600);
    assert!(
        (30..=51).contains(&assigned(&events)),
        "{}",
        assigned(&events)
    );
    assert!(bench.ours().len() <= 6);
}

/// RFC 8981 §3.4: a prefix that was deprecated for a while gets temporary addresses again.
#[test]
fn temporary_addresses_come_back_with_their_prefix() {
    let mut bench = with(|config| config.temporary_addresses = true);
    bench.advertise(u32::MAX, u32::MAX);
    bench.events(10);
    let stable_and_temporary = bench.ours().len();
    bench.advertise(u32::MAX, 0);
    bench.events(100);
    bench.advertise(u32::MAX, u32::MAX);
    bench.events(10);
    assert_eq!(bench.ours().len(), stable_and_temporary + 1);
    let source = bench.source("2001:db8:9::1");
    let newest = *bench.ours().last().unwrap();
    assert_eq!(source, newest);
}

/// RFC 7217 §6, RFC 8981 §3.4: who objects to everything ends it, also over new advertisements.
#[test]
fn conflicts_over_a_prefix_end() {
    let mut bench = with(|config| config.temporary_addresses = true);
    bench.events(10);
    let mut probes = 0;
    for _ in 0..50 {
        bench.advertise(u32::MAX, u32::MAX);
        for event in bench.events(3) {
            if let AddressEvent::Probe { address, .. } = event {
                probes += 1;
                bench.addresses.conflict(bench.now, address, &mut bench.rng);
            }
        }
    }
    assert!((2..=8).contains(&probes), "{probes}");
}

/// An address that the owner gave is not made once more of a prefix.
#[test]
fn a_prefix_makes_no_address_that_is_there() {
    let mut bench = with(|config| config.identifiers = InterfaceIdentifiers::Eui64);
    let made = identifier::address(PREFIX, identifier::eui_64(HW));
    bench
        .addresses
        .add_static(bench.now, made, 64, &mut bench.rng)
        .unwrap();
    bench.events(10);
    assert!(bench.advertise(7_200, 3_600));
    assert_eq!((bench.events(10).len(), bench.ours().len()), (0, 2));
}

/// CVE-2010-4669.
#[test]
fn routers_cannot_cause_more_than_their_share_of_addresses() {
    let mut bench = with(|_| {});
    let mut made = 0;
    for i in 0..1_000u16 {
        let information = PrefixInformation {
            prefix_len: 64,
            valid_lifetime: U32::new(u32::MAX),
            preferred_lifetime: U32::new(u32::MAX),
            prefix: Ipv6Addr::new(0x2001, 0xdb8, i, 0, 0, 0, 0, 0).octets(),
            ..PrefixInformation::default()
        };
        let (now, rng) = (bench.now, &mut bench.rng);
        made += usize::from(bench.addresses.prefix_advertised(now, &information, rng));
    }
    assert_eq!(made, MAX_FROM_ROUTERS);
    let ours = "2001:db8:ffff::1".parse().unwrap();
    bench
        .addresses
        .add_static(bench.now, ours, 64, &mut bench.rng)
        .unwrap();
}

#[test]
fn what_no_host_can_have_is_refused() {
    let mut bench = with(|_| {});
    for bad in ["::", "::1", "ff02::1", "::ffff:10.0.0.1"] {
        let result =
            bench
                .addresses
                .add_static(bench.now, bad.parse().unwrap(), 64, &mut bench.rng);
        assert_eq!(result, Err(ConfigError::BadAddress), "{bad}");
    }
    let good: Ipv6Addr = "2001:db8::1".parse().unwrap();
    for (len, expected) in [
        (0, Err(ConfigError::BadAddress)),
        (129, Err(ConfigError::BadAddress)),
        (64, Ok(())),
        (64, Err(ConfigError::BadAddress)),
    ] {
        assert_eq!(
            bench
                .addresses
                .add_static(bench.now, good, len, &mut bench.rng),
            expected
        );
    }
}
