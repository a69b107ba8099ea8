use super::*;
use std::vec;
use std::vec::Vec;

const GROUP: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456));
const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3));

/// A record as it was written: type, group, sources.
type Record = (u8, IpAddr, Vec<IpAddr>);

struct Bench {
    groups: Groups,
    rng: Rng,
    now: Instant,
    /// Bytes that a message has room for.
    room: usize,
}

fn host(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

fn filter(exclude: bool, sources: &[u8]) -> Filter {
    Filter {
        exclude,
        sources: sources.iter().map(|n| host(*n)).collect(),
    }
}

fn read(mut bytes: &[u8], ipv6: bool) -> Vec<Record> {
    let len = if ipv6 { 16 } else { 4 };
    let address = |bytes: &mut &[u8]| {
        let (address, rest) = bytes.split_at(len);
        *bytes = rest;
        match ipv6 {
            true => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).unwrap())),
            false => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).unwrap())),
        }
    };
    let mut records = Vec::new();
    while let [kind, 0, high, low, rest @ ..] = bytes {
        bytes = rest;
        let group = address(&mut bytes);
        let count = u16::from_be_bytes([*high, *low]);
        let sources = (0..count).map(|_| address(&mut bytes)).collect();
        records.push((*kind, group, sources));
    }
    assert!(bytes.is_empty());
    records
}

impl Bench {
    fn new() -> Self {
        Self {
            groups: Groups::new(),
            rng: Rng::new([5; 32]),
            now: Instant::from_millis(10_000),
            room: 1_400,
        }
    }

    /// Goes on to the next report: milliseconds until then, and what it is, with its records.
    fn next(&mut self) -> Option<(u64, Report, Vec<Record>)> {
        let start = self.now;
        let mut buffer = vec![0; self.room];
        while let Some(at) = self.groups.next_timeout() {
            self.now = self.now.max(at);
            let report =
                self.groups
                    .next_report(self.now, &mut self.rng, &mut buffer, [self.room; 2]);
            if let Some(report) = report {
                let records = match report {
                    Report::Records { ipv6, count, len } => {
                        let records = read(&buffer[..len], ipv6);
                        assert_eq!(records.len(), usize::from(count));
                        records
                    }
                    Report::Group { .. } => Vec::new(),
                };
                let millis = self.now.as_millis() - start.as_millis();
                return Some((millis, report, records));
            }
        }
        None
    }

    fn records(&mut self) -> Vec<Record> {
        self.next()
            .map(|(_, _, records)| records)
            .unwrap_or_default()
    }

    /// All that is still to be said.
    fn quiet(&mut self) {
        while self.next().is_some() {}
    }

    fn old_query(&mut self, version: Version, group: Option<IpAddr>) {
        let query = Query::old(version, group, Duration::from_secs(10));
        self.groups.query(self.now, &query, false, &mut self.rng);
    }

    fn query(&mut self, group: Option<IpAddr>, sources: &[u8]) {
        let ipv6 = group == Some(GROUP);
        self.query_within(group, sources, ipv6, Duration::from_secs(10));
    }

    fn query_within(&mut self, group: Option<IpAddr>, sources: &[u8], ipv6: bool, delay: Duration) {
        let [high, low] = u16::try_from(sources.len()).unwrap().to_be_bytes();
        let mut rest = vec![2, 125, high, low];
        for n in sources {
            rest.extend([10, 0, 0, *n]);
        }
        let query = Query::with_sources(group, delay, &rest, 4).unwrap();
        self.groups.query(self.now, &query, ipv6, &mut self.rng);
    }

    fn set(&mut self, filter: &Filter) {
        assert!(self.groups.set_filter(self.now, GROUP_V4, filter));
    }
}

#[test]
fn a_change_is_reported_twice_within_a_second() {
    let mut bench = Bench::new();
    assert!(bench.groups.join(bench.now, GROUP));
    assert!(bench.groups.listens_to(GROUP));
    let ethernet = EthernetAddress([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert!(bench.groups.listens_on(ethernet));
    for most in [0, 1_000] {
        let (delay, _, records) = bench.next().unwrap();
        assert!(delay <= most);
        assert_eq!(records, [(4, GROUP, vec![])]);
    }
    assert_eq!(bench.next(), None);
    bench.groups.leave(bench.now, GROUP);
    assert!(!bench.groups.listens_to(GROUP) && !bench.groups.listens_on(ethernet));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(3, GROUP, vec![])]);
    }
    assert_eq!((bench.next(), bench.groups.memberships.len()), (None, 0));
}

#[test]
fn who_shares_a_group_is_not_heard_of() {
    let mut bench = Bench::new();
    bench.groups.join(bench.now, GROUP);
    bench.quiet();
    bench.groups.join(bench.now, GROUP);
    let socket = bench
        .groups
        .set_filter(bench.now, GROUP, &Filter::everybody());
    assert!(socket);
    bench.groups.leave(bench.now, GROUP);
    bench.groups.leave(bench.now, GROUP);
    assert_eq!(bench.next(), None);
    assert!(bench.groups.listens_to(GROUP), "a socket still does");
    bench
        .groups
        .set_filter(bench.now, GROUP, &Filter::default());
    assert_eq!(bench.records(), [(3, GROUP, vec![])]);
}

#[test]
fn changes_of_sources_are_told_as_differences() {
    let mut bench = Bench::new();
    bench.set(&filter(false, &[1, 2]));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(5, GROUP_V4, vec![host(1), host(2)])]);
    }
    assert_eq!(bench.next(), None);
    bench.set(&filter(false, &[2, 3]));
    let both = [(5, GROUP_V4, vec![host(3)]), (6, GROUP_V4, vec![host(1)])];
    assert_eq!(bench.records(), both);
    // One more change before the second report: each source is told of twice, and once more at once.
    bench.set(&filter(false, &[3]));
    let (delay, _, records) = bench.next().unwrap();
    assert_eq!(delay, 0);
    assert_eq!(
        records,
        [
            (5, GROUP_V4, vec![host(3)]),
            (6, GROUP_V4, vec![host(1), host(2)])
        ]
    );
    assert_eq!(bench.records(), [(6, GROUP_V4, vec![host(2)])]);
    assert_eq!(bench.next(), None);
    // To all but some, and back: the records of a change of mode have all sources.
    bench.set(&filter(true, &[7]));
    assert_eq!(bench.records(), [(4, GROUP_V4, vec![host(7)])]);
    bench.set(&filter(true, &[7, 8]));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(4, GROUP_V4, vec![host(7), host(8)])]);
    }
    assert_eq!(bench.next(), None);
    bench.set(&filter(true, &[8]));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(5, GROUP_V4, vec![host(7)])]);
    }
    bench.set(&filter(false, &[8]));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(3, GROUP_V4, vec![host(8)])]);
    }
    bench.set(&filter(false, &[]));
    for _ in 0..2 {
        assert_eq!(bench.records(), [(6, GROUP_V4, vec![host(8)])]);
    }
    assert_eq!(bench.next(), None);
    assert_eq!(
        (bench.groups.memberships.len(), bench.groups.sources.len()),
        (0, 0)
    );
}

#[test]
fn a_query_is_answered_once_after_a_random_delay() {
    let mut bench = Bench::new();
    bench.groups.join(bench.now, GROUP);
    bench.quiet();
    for group in [None, Some(GROUP)] {
        for _ in 0..2 {
            bench.query_within(group, &[], true, Duration::from_secs(10));
        }
        let (delay, _, records) = bench.next().unwrap();
        assert!(delay < 10_000);
        assert_eq!(records, [(2, GROUP, vec![])]);
        assert_eq!(bench.next(), None);
    }
    bench.query_within(Some(ALL_ROUTERS.into()), &[], true, Duration::ZERO);
    assert_eq!(bench.next(), None, "not ours");
    // At once, where a querier gives no time.
    bench.query_within(None, &[], true, Duration::ZERO);
    assert_eq!(bench.next().unwrap().0, 0);
}

/// RFC 3376 §5.2: what of the sources asked for is listened to.
#[test]
fn queries_for_sources_are_answered_for_those() {
    let mut bench = Bench::new();
    bench.set(&filter(false, &[1, 2, 3]));
    bench.quiet();
    bench.query(Some(GROUP_V4), &[2, 3, 9]);
    assert_eq!(bench.records(), [(1, GROUP_V4, vec![host(2), host(3)])]);
    bench.query(Some(GROUP_V4), &[9]);
    assert_eq!(bench.next(), None, "nothing to say");
    // A second question adds its sources to what waits.
    bench.query(Some(GROUP_V4), &[1]);
    bench.query(Some(GROUP_V4), &[2]);
    assert_eq!(bench.records(), [(1, GROUP_V4, vec![host(1), host(2)])]);
    assert_eq!(bench.next(), None);
    // One for the whole group takes the place of what waits.
    bench.query(Some(GROUP_V4), &[1]);
    bench.query(Some(GROUP_V4), &[]);
    bench.query(Some(GROUP_V4), &[2]);
    let all = vec![host(1), host(2), host(3)];
    assert_eq!(bench.records(), [(1, GROUP_V4, all)]);
    assert_eq!(bench.next(), None);
    bench.set(&filter(true, &[1]));
    bench.quiet();
    bench.query(Some(GROUP_V4), &[1, 5]);
    assert_eq!(bench.records(), [(1, GROUP_V4, vec![host(5)])]);
    bench.query(Some(GROUP_V4), &[]);
    assert_eq!(bench.records(), [(2, GROUP_V4, vec![host(1)])]);
    assert_eq!(
        bench.groups.sources.len(),
        1,
        "what was asked for is forgotten"
    );
}

#[test]
fn older_versions_are_spoken_while_a_querier_does() {
    let mut bench = Bench::new();
    bench.set(&filter(false, &[1]));
    bench.quiet();
    let group = |version, leave| Report::Group {
        group: GROUP_V4,
        version,
        leave,
    };
    bench.old_query(Version::Groups, None);
    assert_eq!(bench.next().unwrap().1, group(Version::Groups, false));
    bench.old_query(Version::Members, None);
    bench.query(None, &[]);
    assert_eq!(bench.next().unwrap().1, group(Version::Members, false));
    assert_eq!(bench.next(), None);
    // Version 1 knows no end of membership.
    bench.set(&filter(false, &[]));
    assert_eq!(bench.next(), None);
    assert_eq!(bench.groups.memberships.len(), 0);
    bench.now = bench.now + OLDER_PRESENT;
    bench.old_query(Version::Groups, None);
    bench.set(&filter(true, &[]));
    let delays: Vec<_> = core::iter::from_fn(|| bench.next())
        .map(|(delay, report, _)| {
            assert_eq!(report, group(Version::Groups, false));
            delay
        })
        .collect();
    // The join at once and once more, and the answer.
    assert!(delays.len() >= 2 && delays[0] == 0, "{delays:?}");
    bench.set(&filter(false, &[]));
    assert_eq!(bench.next().unwrap().1, group(Version::Groups, true));
    assert_eq!(bench.next(), None, "told once");
    bench.set(&filter(true, &[]));
    bench.quiet();
    bench.now = bench.now + OLDER_PRESENT;
    bench.query(None, &[]);
    assert_eq!(bench.records(), [(2, GROUP_V4, vec![])]);
}

/// RFC 3376 §7.2.1: what waits is not said in another version.
#[test]
fn another_version_forgets_what_waits() {
    let mut bench = Bench::new();
    bench.set(&filter(true, &[]));
    assert_eq!(bench.records(), [(4, GROUP_V4, vec![])]);
    bench.query(None, &[]);
    bench.old_query(Version::Groups, Some(ALL_ROUTERS_V4.into()));
    assert_eq!(bench.next(), None);
    assert!(bench.groups.listens_to(GROUP_V4));
    // The other family goes on as it did.
    bench.groups.join(bench.now, GROUP);
    assert_eq!(bench.records(), [(4, GROUP, vec![])]);
}

#[test]
fn the_querier_says_how_often_changes_are_told() {
    let mut bench = Bench::new();
    let query = Query::with_sources(None, Duration::ZERO, &[5, 125, 0, 0], 4).unwrap();
    bench.groups.query(bench.now, &query, false, &mut bench.rng);
    bench.set(&filter(true, &[]));
    for _ in 0..5 {
        assert_eq!(bench.records(), [(4, GROUP_V4, vec![])]);
    }
    assert_eq!(bench.next(), None);
}

#[test]
fn groups_are_bounded_and_everybody_needs_none() {
    let mut bench = Bench::new();
    for everybody in [IpAddr::V6(ALL_NODES), IpAddr::V4(ALL_HOSTS)] {
        assert!(bench.groups.listens_to(everybody));
        assert!(bench.groups.join(bench.now, everybody));
        let filter = Filter::everybody();
        assert!(bench.groups.set_filter(bench.now, everybody, &filter));
    }
    assert_eq!(bench.next(), None);
    let group = |n: usize| IpAddr::V4(Ipv4Addr::from_bits(0xef00_0000 + u32::try_from(n).unwrap()));
    for n in 0..MAX_GROUPS {
        assert!(bench.groups.join(bench.now, group(n)));
    }
    assert!(!bench.groups.has_room_for(GROUP) && bench.groups.has_room_for(group(3)));
    assert!(!bench.groups.join(bench.now, GROUP));
    let filter = Filter::everybody();
    assert!(!bench.groups.set_filter(bench.now, GROUP, &filter));
    assert_eq!(bench.records().len(), MAX_GROUPS);
    bench.quiet();
    // What does not fit one message comes with the next ones.
    bench.room = 100;
    bench.query_within(None, &[], false, Duration::ZERO);
    let mut answered = Vec::new();
    while let Some((delay, _, records)) = bench.next() {
        assert_eq!((delay, records.len() <= 12), (0, true));
        answered.extend(records.into_iter().map(|(_, group, _)| group));
    }
    answered.sort();
    answered.dedup();
    assert_eq!(answered.len(), MAX_GROUPS);
}

#[test]
fn more_sources_than_can_be_remembered_open_the_group_to_everybody() {
    let mut bench = Bench::new();
    let group = |n: u8| IpAddr::V4(Ipv4Addr::new(232, 0, 0, n));
    let many: Vec<u8> = (0..32).collect();
    for n in 0..3 {
        assert!(
            bench
                .groups
                .set_filter(bench.now, group(n), &filter(false, &many))
        );
    }
    let records = bench.records();
    let kinds: Vec<_> = records
        .iter()
        .map(|(kind, _, s)| (*kind, s.len()))
        .collect();
    assert_eq!(kinds, [(5, 32), (4, 0), (4, 0)]);
    assert_eq!(bench.groups.sources.len(), MAX_SOURCES);
    bench.quiet();
    // A question about sources that cannot be remembered is answered for the whole group.
    bench.query(Some(group(2)), &[200]);
    assert_eq!(bench.records(), [(2, group(2), vec![])]);
    // So is one about more than are looked at.
    let asked: Vec<u8> = (0..40).collect();
    bench.query(Some(group(0)), &asked);
    assert_eq!(bench.records()[0].2.len(), 32);
}

/// A querier that does not stop costs one answer for each time that it allows.
#[test]
fn a_flood_of_queries_has_bounded_answers() {
    let mut bench = Bench::new();
    bench.set(&filter(true, &[1, 2, 3]));
    bench.quiet();
    for n in 0..10_000u32 {
        let source = n.to_be_bytes()[3];
        bench.query(Some(GROUP_V4), &[source]);
        bench.query(None, &[]);
    }
    assert!(bench.groups.sources.len() <= MAX_SOURCES);
    let mut answers = 0;
    while bench.next().is_some() {
        answers += 1;
    }
    assert!(answers <= 2, "{answers}");
}
