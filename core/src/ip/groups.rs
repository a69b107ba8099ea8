//! The IPv6 multicast groups that an interface listens to, and what the routers and switches of the
//! link hear of it: MLD version 2 (RFC 3810), every source welcome, and version 1 (RFC 2710) while
//! a querier speaks that.

use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::ethernet::EthernetAddress;
use crate::wire::mld::{Query, RecordType};
use core::net::Ipv6Addr;
use core::time::Duration;

/// Most groups of an interface: one for each address, and some for sockets.
pub(crate) const MAX_GROUPS: usize = 32;
/// How often a change is reported: Robustness Variable of RFC 3810 §9.1.
const ROBUSTNESS: u8 = 2;
/// The largest random delay between these reports: Unsolicited Report Interval of RFC 3810 §9.11.
const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);
/// For how long a querier of version 1 is remembered: Older Version Querier Present Timeout of
/// RFC 3810 §9.12, with the default values of what it is made of.
const VERSION_1_PRESENT: Duration = Duration::from_secs(260);
/// Everybody: nobody tells that they listen to it (RFC 3810 §6).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

#[derive(Clone, Copy, Debug)]
struct Membership {
    group: Ipv6Addr,
    /// How many want it: addresses and sockets. With none, the end of listening is being reported.
    users: u16,
    /// Reports of the last change that are left, and when the next one is due.
    changes_left: u8,
    change_at: Instant,
    /// When a query for this group is to be answered.
    answer_at: Instant,
}

/// A report that is due. Version 2 puts all records into one message, version 1 has one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) version_1: bool,
    pub(crate) records: heapless::Vec<(RecordType, Ipv6Addr), MAX_GROUPS>,
}

/// The groups of an interface.
#[derive(Debug)]
pub(crate) struct Groups {
    memberships: heapless::Vec<Membership, MAX_GROUPS>,
    /// When a query for all groups is to be answered.
    answer_at: Instant,
    version_1_until: Instant,
    /// When the earliest report is due; never later.
    next: Instant,
}

impl Groups {
    pub(crate) fn new() -> Self {
        Self {
            memberships: heapless::Vec::new(),
            answer_at: Instant::FAR_FUTURE,
            version_1_until: Instant::ZERO,
            next: Instant::FAR_FUTURE,
        }
    }

    /// Whether packets to this group are for us.
    pub(crate) fn listens_to(&self, group: Ipv6Addr) -> bool {
        group == ALL_NODES
            || self
                .memberships
                .iter()
                .any(|membership| membership.group == group && membership.users > 0)
    }

    /// Whether frames to this Ethernet address may carry such packets (RFC 2464 §7).
    pub(crate) fn listens_on(&self, destination: EthernetAddress) -> bool {
        ethernet_group(ALL_NODES) == destination
            || self
                .memberships
                .iter()
                .any(|m| m.users > 0 && ethernet_group(m.group) == destination)
    }

    /// One more listens to a group. `false`: there is no room for another group.
    pub(crate) fn join(&mut self, now: Instant, group: Ipv6Addr) -> bool {
        if group == ALL_NODES {
            return true;
        }
        let known = self
            .memberships
            .iter_mut()
            .find(|membership| membership.group == group);
        let membership = match known {
            Some(membership) => {
                membership.users = membership.users.saturating_add(1);
                if membership.users > 1 {
                    return true;
                }
                membership
            }
            None => {
                let fresh = Membership {
                    group,
                    users: 1,
                    changes_left: 0,
                    change_at: Instant::FAR_FUTURE,
                    answer_at: Instant::FAR_FUTURE,
                };
                if self.memberships.push(fresh).is_err() {
                    return false;
                }
                let Some(last) = self.memberships.last_mut() else {
                    return false;
                };
                last
            }
        };
        membership.changes_left = ROBUSTNESS;
        membership.change_at = now;
        self.next = self.next.min(now);
        true
    }

    /// One less listens to a group.
    pub(crate) fn leave(&mut self, now: Instant, group: Ipv6Addr) {
        if let Some(membership) = self
            .memberships
            .iter_mut()
            .find(|membership| membership.group == group && membership.users > 0)
        {
            membership.users -= 1;
            if membership.users == 0 {
                membership.changes_left = ROBUSTNESS;
                membership.change_at = now;
                membership.answer_at = Instant::FAR_FUTURE;
                self.next = self.next.min(now);
            }
        }
    }

    /// A querier asks (RFC 3810 §6.2): the answer waits for a random time, so that not all answer
    /// at once.
    pub(crate) fn query(&mut self, now: Instant, query: &Query, rng: &mut Rng) {
        if query.version_1 {
            self.version_1_until = now + VERSION_1_PRESENT;
        }
        let at = now + random_delay(query.max_response_delay, rng);
        if self.answer_at <= at {
            // An answer about everything is due earlier.
            return;
        }
        match query.group {
            None => self.answer_at = at,
            Some(group) => {
                let Some(membership) = self
                    .memberships
                    .iter_mut()
                    .find(|membership| membership.group == group && membership.users > 0)
                else {
                    return;
                };
                membership.answer_at = membership.answer_at.min(at);
            }
        }
        self.next = self.next.min(at);
    }

    /// When [`Groups::next_report`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next != Instant::FAR_FUTURE)
    }

    /// The report that is due.
    pub(crate) fn next_report(&mut self, now: Instant, rng: &mut Rng) -> Option<Report> {
        if now < self.next {
            return None;
        }
        let version_1 = now < self.version_1_until;
        let answer_all = self.answer_at <= now;
        if answer_all {
            self.answer_at = Instant::FAR_FUTURE;
        }
        let mut records = heapless::Vec::new();
        for membership in &mut self.memberships {
            let listening = membership.users > 0;
            let change = membership.changes_left > 0 && membership.change_at <= now;
            let answer = listening && (answer_all || membership.answer_at <= now);
            if change {
                membership.changes_left -= 1;
                membership.change_at = now + random_delay(UNSOLICITED_INTERVAL, rng);
            }
            if answer {
                membership.answer_at = Instant::FAR_FUTURE;
            }
            let record_type = match (change, answer, listening) {
                (true, _, true) => RecordType::ChangeToExclude,
                (true, _, false) => RecordType::ChangeToInclude,
                (false, true, _) => RecordType::ModeIsExclude,
                (false, false, _) => continue,
            };
            // As many as there are memberships.
            let _ = records.push((record_type, membership.group));
        }
        self.memberships
            .retain(|membership| membership.users > 0 || membership.changes_left > 0);
        let deadlines = self.memberships.iter().map(|membership| {
            let change = match membership.changes_left {
                0 => Instant::FAR_FUTURE,
                _ => membership.change_at,
            };
            change.min(membership.answer_at)
        });
        self.next = deadlines
            .chain([self.answer_at])
            .min()
            .unwrap_or(Instant::FAR_FUTURE);
        Some(Report { version_1, records }).filter(|report| !report.records.is_empty())
    }
}

fn random_delay(most: Duration, rng: &mut Rng) -> Duration {
    let millis = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(rng.u32() % millis.max(1)))
}

/// The Ethernet address that frames to a group go to (RFC 2464 §7).
pub(crate) fn ethernet_group(group: Ipv6Addr) -> EthernetAddress {
    let [.., a, b, c, d] = group.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);

    struct Bench {
        groups: Groups,
        rng: Rng,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                groups: Groups::new(),
                rng: Rng::new([5; 32]),
                now: Instant::from_millis(10_000),
            }
        }

        /// Goes on to the next report: milliseconds until then, and what it says.
        fn next(&mut self) -> Option<(u64, Report)> {
            let start = self.now;
            while let Some(at) = self.groups.next_timeout() {
                self.now = self.now.max(at);
                if let Some(report) = self.groups.next_report(self.now, &mut self.rng) {
                    let millis = self.now.as_millis() - start.as_millis();
                    return Some((millis, report));
                }
            }
            None
        }

        fn query(&mut self, group: Option<Ipv6Addr>, version_1: bool) {
            let query = Query {
                group,
                max_response_delay: Duration::from_secs(10),
                version_1,
            };
            self.groups.query(self.now, &query, &mut self.rng);
        }
    }

    #[track_caller]
    fn assert_record(report: &Report, record_type: RecordType) {
        assert_eq!(report.records, [(record_type, GROUP)]);
    }

    #[test]
    fn a_change_is_reported_twice_within_a_second() {
        let mut bench = Bench::new();
        assert!(bench.groups.join(bench.now, GROUP));
        assert!(bench.groups.listens_to(GROUP));
        assert!(
            bench
                .groups
                .listens_on(EthernetAddress([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]))
        );
        for most in [0, 1_000] {
            let (delay, report) = bench.next().unwrap();
            assert!(delay <= most);
            assert_record(&report, RecordType::ChangeToExclude);
        }
        assert_eq!(bench.next(), None);
        bench.groups.leave(bench.now, GROUP);
        assert!(!bench.groups.listens_to(GROUP));
        for _ in 0..2 {
            assert_record(&bench.next().unwrap().1, RecordType::ChangeToInclude);
        }
        assert_eq!((bench.next(), bench.groups.memberships.len()), (None, 0));
    }

    #[test]
    fn who_shares_a_group_is_not_heard_of() {
        let mut bench = Bench::new();
        bench.groups.join(bench.now, GROUP);
        while bench.next().is_some() {}
        bench.groups.join(bench.now, GROUP);
        bench.groups.leave(bench.now, GROUP);
        assert_eq!(bench.next(), None);
        assert!(bench.groups.listens_to(GROUP));
    }

    #[test]
    fn a_query_is_answered_once_after_a_random_delay() {
        let mut bench = Bench::new();
        bench.groups.join(bench.now, GROUP);
        while bench.next().is_some() {}
        for group in [None, Some(GROUP)] {
            bench.query(group, false);
            bench.query(group, false);
            let (delay, report) = bench.next().unwrap();
            assert!(delay < 10_000);
            assert!(!report.version_1);
            assert_record(&report, RecordType::ModeIsExclude);
            assert_eq!(bench.next(), None);
        }
        bench.query(Some(ALL_ROUTERS), false);
        assert_eq!(bench.next(), None, "not ours");
    }

    #[test]
    fn version_1_is_spoken_while_a_querier_does() {
        let mut bench = Bench::new();
        bench.groups.join(bench.now, GROUP);
        while bench.next().is_some() {}
        bench.query(None, true);
        assert!(bench.next().unwrap().1.version_1);
        bench.now = bench.now + VERSION_1_PRESENT;
        bench.query(None, false);
        assert!(!bench.next().unwrap().1.version_1);
    }

    #[test]
    fn groups_are_bounded_and_everybody_needs_none() {
        let mut bench = Bench::new();
        assert!(bench.groups.join(bench.now, ALL_NODES));
        assert_eq!(bench.next(), None);
        for i in 0..MAX_GROUPS {
            let group = Ipv6Addr::from_bits(GROUP.to_bits() + i as u128);
            assert!(bench.groups.join(bench.now, group));
        }
        assert!(
            !bench
                .groups
                .join(bench.now, Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2))
        );
        assert_eq!(bench.next().unwrap().1.records.len(), MAX_GROUPS);
    }
}
