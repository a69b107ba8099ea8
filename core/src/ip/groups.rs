//! The groups that an interface listens to, and what the routers and switches of the link hear of it:
//! IGMP (RFC 3376, 2236, 1112) and multicast listener discovery (RFC 3810, 2710), which are one state
//! machine with two formats.
//!
//! What sockets and addresses want of a group comes in as one filter, the union of theirs (RFC 3376
//! §3.2). What there is to say comes out as records, or group by group where a querier speaks an older
//! version.

use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::ethernet::EthernetAddress;
use crate::wire::membership::{HEAD_LEN, Query, RecordType, Records, Version};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// Most groups of an interface, of both families: one for each IPv6 address, and those of sockets.
pub(crate) const MAX_GROUPS: usize = 32;
/// Most sources that are remembered on an interface. A group that needs more listens to everybody:
/// sockets still get what they want only.
const MAX_SOURCES: usize = 32;
/// Most sources of one group, so that a record always fits a message.
pub(crate) const MAX_FILTER: usize = 32;
/// Most bytes that are due of one group at once: new sources, old ones, which are together as many as
/// it has, and the answer to a query.
pub(crate) const fn records_of_a_group(ipv6: bool) -> usize {
    let address_len = if ipv6 { 16 } else { 4 };
    3 * (HEAD_LEN + address_len) + 2 * MAX_FILTER * address_len
}
/// Most sources of one query that are looked at; one for more is answered for the whole group.
const MAX_ASKED: usize = 32;
/// How often a change is reported if no querier says: Robustness Variable of RFC 3376 §8.1 and
/// RFC 3810 §9.1.
const ROBUSTNESS: u8 = 2;
/// The largest random delay between these reports: Unsolicited Report Interval of RFC 3376 §8.11 and
/// RFC 3810 §9.11, and of RFC 2236 §8.10.
const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);
const UNSOLICITED_INTERVAL_OLD: Duration = Duration::from_secs(10);
/// For how long a querier of an older version is remembered: Older Version Querier Present Timeout of
/// RFC 3376 §8.12 and RFC 3810 §9.12, with the default values of what it is made of, so that no
/// message can make it longer.
const OLDER_PRESENT: Duration = Duration::from_secs(260);
/// Everybody: nobody tells that they listen to it (RFC 3376 §4.2.12, RFC 3810 §6).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// All routers.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const ALL_ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);

/// Whether everybody is in this group, without joining it.
pub(crate) fn is_everybody(group: IpAddr) -> bool {
    group == IpAddr::V4(ALL_HOSTS) || group == IpAddr::V6(ALL_NODES)
}

/// Which sources of a group are listened to: only these, or all but these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) exclude: bool,
    pub(crate) sources: heapless::Vec<IpAddr, MAX_FILTER>,
}

impl Filter {
    /// Every source.
    pub(crate) fn everybody() -> Self {
        Self {
            exclude: true,
            ..Self::default()
        }
    }

    /// Whether anything is listened to.
    fn is_wanted(&self) -> bool {
        self.exclude || !self.sources.is_empty()
    }
}

#[derive(Clone, Copy, Debug)]
struct Membership {
    group: IpAddr,
    /// How many of our addresses need it, which listen to everybody.
    users: u16,
    /// Whether sockets want something of it.
    sockets: bool,
    exclude: bool,
    /// Without it, the end of listening is being reported.
    wanted: bool,
    /// Reports of the last change of `exclude` that are left.
    changes_left: u8,
    /// When the next report of a change is due, of `exclude` or of sources.
    change_at: Instant,
    /// When a query for this group is to be answered, and whether for all sources.
    answer_at: Instant,
    answer_whole: bool,
}

/// A source of a group.
#[derive(Clone, Copy, Debug)]
struct Source {
    group: IpAddr,
    address: IpAddr,
    /// It is on the list: of those listened to, or not listened to, as the membership says.
    listed: bool,
    /// Reports of its last change that are left.
    changes_left: u8,
    /// A query asks for it.
    asked: bool,
}

/// What is known of the queriers of a family.
#[derive(Clone, Copy, Debug)]
struct Querier {
    /// When a query for all groups is to be answered.
    answer_at: Instant,
    /// Until when one of an older, and of the oldest, version is remembered.
    groups_until: Instant,
    members_until: Instant,
    robustness: u8,
}

impl Querier {
    const NONE: Self = Self {
        answer_at: Instant::FAR_FUTURE,
        groups_until: Instant::ZERO,
        members_until: Instant::ZERO,
        robustness: ROBUSTNESS,
    };

    fn version(&self, now: Instant) -> Version {
        if now < self.members_until {
            Version::Members
        } else if now < self.groups_until {
            Version::Groups
        } else {
            Version::Sources
        }
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// So many records, of so many bytes, were written.
    Records { ipv6: bool, count: u16, len: usize },
    /// One group, for queriers of an older version: that it is listened to, or no longer.
    Group {
        group: IpAddr,
        version: Version,
        leave: bool,
    },
}

/// The groups of an interface.
#[derive(Debug)]
pub(crate) struct Groups {
    memberships: Vec<Membership>,
    sources: Vec<Source>,
    v4: Querier,
    v6: Querier,
    /// When the earliest report is due; never later.
    next: Instant,
}

impl Groups {
    /// Bytes of its tables.
    pub(crate) const BYTES: usize =
        MAX_GROUPS * size_of::<Membership>() + MAX_SOURCES * size_of::<Source>();

    /// No groups. All memory for them is allocated here.
    pub(crate) fn new() -> Self {
        Self {
            memberships: Vec::with_capacity(MAX_GROUPS),
            sources: Vec::with_capacity(MAX_SOURCES),
            v4: Querier::NONE,
            v6: Querier::NONE,
            next: Instant::FAR_FUTURE,
        }
    }

    /// Whether packets to this group are for us.
    pub(crate) fn listens_to(&self, group: IpAddr) -> bool {
        is_everybody(group)
            || self
                .memberships
                .iter()
                .any(|m| m.wanted && m.group == group)
    }

    /// Whether frames to this Ethernet address may carry such packets.
    pub(crate) fn listens_on(&self, destination: EthernetAddress) -> bool {
        ethernet_group(ALL_HOSTS.into()) == destination
            || ethernet_group(ALL_NODES.into()) == destination
            || self
                .memberships
                .iter()
                .any(|m| m.wanted && ethernet_group(m.group) == destination)
    }

    /// One more of our addresses listens to a group. `false`: there is no room for another group.
    pub(crate) fn join(&mut self, now: Instant, group: IpAddr) -> bool {
        if is_everybody(group) {
            return true;
        }
        let Some(at) = self.place_for(group) else {
            return false;
        };
        let membership = &mut self.memberships[at];
        membership.users = membership.users.saturating_add(1);
        self.apply(now, at, &Filter::everybody());
        true
    }

    /// One less of our addresses listens to a group. Where sockets do as well, everybody is listened to
    /// until they change what they want.
    pub(crate) fn leave(&mut self, now: Instant, group: IpAddr) {
        let Some(at) = self.memberships.iter().position(|m| m.group == group) else {
            return;
        };
        let membership = &mut self.memberships[at];
        if membership.users == 0 {
            return;
        }
        membership.users -= 1;
        if membership.users == 0 && !membership.sockets {
            self.apply(now, at, &Filter::default());
        }
    }

    /// What all sockets together want of a group now. `false`: there is no room for another group.
    pub(crate) fn set_filter(&mut self, now: Instant, group: IpAddr, filter: &Filter) -> bool {
        if is_everybody(group) {
            return true;
        }
        let known = self.memberships.iter().any(|m| m.group == group);
        if !known && !filter.is_wanted() {
            return true;
        }
        let Some(at) = self.place_for(group) else {
            return false;
        };
        let membership = &mut self.memberships[at];
        membership.sockets = filter.is_wanted();
        if membership.users == 0 {
            self.apply(now, at, filter);
        }
        true
    }

    /// The place of a group, which is a new one if it is not known.
    fn place_for(&mut self, group: IpAddr) -> Option<usize> {
        if let Some(at) = self.memberships.iter().position(|m| m.group == group) {
            return Some(at);
        }
        if self.memberships.len() >= MAX_GROUPS {
            return None;
        }
        self.memberships.push(Membership {
            group,
            users: 0,
            sockets: false,
            exclude: false,
            wanted: false,
            changes_left: 0,
            change_at: Instant::FAR_FUTURE,
            answer_at: Instant::FAR_FUTURE,
            answer_whole: false,
        });
        Some(self.memberships.len() - 1)
    }

    /// Takes in a filter, and lets a change be reported (RFC 3376 §5.1).
    fn apply(&mut self, now: Instant, at: usize, filter: &Filter) {
        let group = self.memberships[at].group;
        let everybody = Filter::everybody();
        let known = |source: &IpAddr| {
            let mut sources = self.sources.iter();
            sources.any(|s| s.group == group && s.address == *source)
        };
        let fresh = filter
            .sources
            .iter()
            .filter(|source| !known(source))
            .count();
        let filter = if self.sources.len() + fresh > MAX_SOURCES {
            &everybody
        } else {
            filter
        };
        let robustness = self.querier(group).robustness;
        let membership = &mut self.memberships[at];
        let mut mode_changes = membership.exclude != filter.exclude;
        let mut changes = mode_changes;
        if mode_changes {
            self.sources.retain(|s| s.group != group);
        }
        for source in self.sources.iter_mut().filter(|s| s.group == group) {
            let listed = filter.sources.contains(&source.address);
            if source.listed != listed {
                (source.listed, source.changes_left) = (listed, robustness);
                changes = true;
            }
        }
        for address in &filter.sources {
            let mut sources = self.sources.iter();
            if !sources.any(|s| s.group == group && s.address == *address) {
                self.sources.push(Source {
                    group,
                    address: *address,
                    listed: true,
                    changes_left: robustness,
                    asked: false,
                });
                changes = true;
            }
        }
        // While a change of the mode is reported, its records have all sources.
        mode_changes |= changes && membership.changes_left > 0;
        membership.exclude = filter.exclude;
        membership.wanted = filter.is_wanted();
        if !membership.wanted {
            membership.answer_at = Instant::FAR_FUTURE;
        }
        if mode_changes {
            membership.changes_left = robustness;
            self.sources.retain(|s| s.group != group || s.listed);
            for source in self.sources.iter_mut().filter(|s| s.group == group) {
                source.changes_left = 0;
            }
        }
        if changes {
            membership.change_at = now;
            self.next = self.next.min(now);
        }
    }

    /// Lets all IPv6 groups be reported like such that have just been joined: what was said without an
    /// address, no router has taken in (RFC 3590 §4, RFC 3810 §5.2.13).
    pub(crate) fn report_again(&mut self, now: Instant) {
        let robustness = self.v6.robustness;
        let wanted = |m: &&mut Membership| m.wanted && m.group.is_ipv6();
        for membership in self.memberships.iter_mut().filter(wanted) {
            membership.changes_left = robustness;
            membership.change_at = now;
            let group = membership.group;
            for source in self.sources.iter_mut().filter(|s| s.group == group) {
                // The records of the mode have all sources.
                source.changes_left = 0;
            }
            self.next = self.next.min(now);
        }
    }

    fn querier(&mut self, group: IpAddr) -> &mut Querier {
        if group.is_ipv6() {
            &mut self.v6
        } else {
            &mut self.v4
        }
    }

    /// A querier asks (RFC 3376 §5.2, RFC 3810 §6.2): the answer waits for a random time, so that not
    /// all answer at once.
    pub(crate) fn query(&mut self, now: Instant, query: &Query<'_>, ipv6: bool, rng: &mut Rng) {
        let querier = if ipv6 { &mut self.v6 } else { &mut self.v4 };
        let before = querier.version(now);
        match query.version {
            Version::Sources => {
                querier.robustness = match query.robustness {
                    0 => ROBUSTNESS,
                    robustness => robustness,
                };
            }
            Version::Groups => querier.groups_until = now + OLDER_PRESENT,
            Version::Members => querier.members_until = now + OLDER_PRESENT,
        }
        if querier.version(now) != before {
            self.forget_pending(ipv6);
        }
        let at = now + random_delay(query.max_response_delay, rng);
        let querier = if ipv6 { &mut self.v6 } else { &mut self.v4 };
        if querier.answer_at <= at {
            // An answer about everything is due earlier.
            return;
        }
        match query.group {
            None => querier.answer_at = at,
            Some(group) => {
                let is_it = |m: &&mut Membership| m.group == group && m.wanted;
                let Some(membership) = self.memberships.iter_mut().find(is_it) else {
                    return;
                };
                let pending = membership.answer_at != Instant::FAR_FUTURE;
                membership.answer_at = membership.answer_at.min(at);
                let whole = query.sources().len() == 0
                    || query.sources().len() > MAX_ASKED
                    || (pending && membership.answer_whole);
                membership.answer_whole = whole
                    || query
                        .sources()
                        .any(|source| !ask(&mut self.sources, membership, source));
            }
        }
        self.next = self.next.min(at);
    }

    /// The version that is spoken changes: what waited is not said (RFC 3376 §7.2.1).
    fn forget_pending(&mut self, ipv6: bool) {
        for membership in &mut self.memberships {
            if membership.group.is_ipv6() == ipv6 {
                membership.answer_at = Instant::FAR_FUTURE;
                membership.change_at = Instant::FAR_FUTURE;
                membership.changes_left = 0;
            }
        }
        for source in &mut self.sources {
            if source.group.is_ipv6() == ipv6 {
                (source.changes_left, source.asked) = (0, false);
            }
        }
        let querier = if ipv6 { &mut self.v6 } else { &mut self.v4 };
        querier.answer_at = Instant::FAR_FUTURE;
        self.clean_up();
    }

    /// Whether there is room to listen to a group.
    pub(crate) fn has_room_for(&self, group: IpAddr) -> bool {
        self.memberships.len() < MAX_GROUPS || self.memberships.iter().any(|m| m.group == group)
    }

    /// Lets what is due wait.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        self.next = at;
    }

    /// When [`Groups::next_report`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next != Instant::FAR_FUTURE)
    }

    /// What is due, one message after the other. Records are written into `buffer`, as many bytes of it
    /// as `rooms` says for each family, IPv4 first: at least [`records_of_a_group`].
    pub(crate) fn next_report(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        buffer: &mut [u8],
        rooms: [usize; 2],
    ) -> Option<Report> {
        if now < self.next {
            return None;
        }
        let report = [false, true]
            .into_iter()
            .zip(rooms)
            .find_map(|(ipv6, room)| {
                let room = room.min(buffer.len());
                self.report_of(ipv6, now, rng, &mut buffer[..room])
            });
        self.clean_up();
        report
    }

    fn report_of(
        &mut self,
        ipv6: bool,
        now: Instant,
        rng: &mut Rng,
        buffer: &mut [u8],
    ) -> Option<Report> {
        let querier = if ipv6 { &mut self.v6 } else { &mut self.v4 };
        let version = querier.version(now);
        let of_family = |m: &&mut Membership| m.group.is_ipv6() == ipv6;
        if querier.answer_at <= now {
            querier.answer_at = Instant::FAR_FUTURE;
            for membership in self.memberships.iter_mut().filter(of_family) {
                if membership.wanted {
                    (membership.answer_at, membership.answer_whole) = (now, true);
                }
            }
        }
        let due = self
            .memberships
            .iter_mut()
            .filter(of_family)
            .filter(|m| m.change_at <= now || m.answer_at <= now);
        if version == Version::Sources {
            let mut records = Records::new(buffer);
            for membership in due {
                if !write_records(membership, &mut self.sources, now, rng, &mut records) {
                    // It stays due, for the next message.
                    break;
                }
            }
            return (!records.is_empty()).then_some(Report::Records {
                ipv6,
                count: records.count(),
                len: records.len(),
            });
        }
        for membership in due {
            let group = membership.group;
            let mut sources = self.sources.iter_mut().filter(|s| s.group == group);
            let mut changes_left = membership.changes_left.saturating_sub(1);
            membership.changes_left = changes_left;
            sources.by_ref().for_each(|source| {
                source.changes_left = source.changes_left.saturating_sub(1);
                changes_left = changes_left.max(source.changes_left);
            });
            let leave = !membership.wanted;
            membership.answer_at = Instant::FAR_FUTURE;
            membership.change_at = if changes_left == 0 || leave {
                Instant::FAR_FUTURE
            } else {
                now + random_delay(UNSOLICITED_INTERVAL_OLD, rng)
            };
            // Version 1 knows no end of membership.
            if !(leave && version == Version::Members) {
                return Some(Report::Group {
                    group,
                    version,
                    leave,
                });
            }
        }
        None
    }

    /// Forgets what nothing more is to be said of, and finds out when something is.
    fn clean_up(&mut self) {
        self.memberships
            .retain(|m| m.wanted || m.users > 0 || m.change_at != Instant::FAR_FUTURE);
        let memberships = &self.memberships;
        self.sources.retain(|source| {
            let needed = source.listed || source.changes_left > 0 || source.asked;
            needed && memberships.iter().any(|m| m.group == source.group)
        });
        let deadlines = memberships.iter().map(|m| m.change_at.min(m.answer_at));
        self.next = deadlines
            .chain([self.v4.answer_at, self.v6.answer_at])
            .min()
            .unwrap_or(Instant::FAR_FUTURE);
    }
}

/// Notes that a source is asked for. `false`: there is no room to.
fn ask(sources: &mut Vec<Source>, membership: &Membership, address: IpAddr) -> bool {
    let group = membership.group;
    let mut known = sources.iter_mut();
    if let Some(source) = known.find(|s| s.group == group && s.address == address) {
        source.asked = true;
        return true;
    }
    if !membership.exclude {
        // Not listened to, and so nothing to say.
        return true;
    }
    if sources.len() >= MAX_SOURCES {
        return false;
    }
    sources.push(Source {
        group,
        address,
        listed: false,
        changes_left: 0,
        asked: true,
    });
    true
}

/// Writes what is due of a group. `false`: it does not fit, and stays due.
fn write_records(
    membership: &mut Membership,
    sources: &mut [Source],
    now: Instant,
    rng: &mut Rng,
    records: &mut Records<'_>,
) -> bool {
    let (group, exclude) = (membership.group, membership.exclude);
    let of_group = || sources.iter().filter(move |s| s.group == group);
    let listed = of_group().filter(|s| s.listed).map(|s| s.address);
    let change = membership.change_at <= now;
    if change && membership.changes_left > 0 {
        let record_type = if exclude {
            RecordType::ChangeToExclude
        } else {
            RecordType::ChangeToInclude
        };
        if !records.push(record_type, group, listed) {
            return false;
        }
        membership.changes_left -= 1;
        // It says all that an answer would.
        if membership.answer_at <= now {
            membership.answer_at = Instant::FAR_FUTURE;
        }
    } else if change {
        for (allows, record_type) in [
            (true, RecordType::AllowNewSources),
            (false, RecordType::BlockOldSources),
        ] {
            let changed = of_group().filter(|s| s.changes_left > 0);
            let changed = changed.filter(|s| (s.listed != exclude) == allows);
            let changed = changed.map(|s| s.address);
            if changed.clone().next().is_some() && !records.push(record_type, group, changed) {
                return false;
            }
        }
        for source in sources.iter_mut().filter(|s| s.group == group) {
            source.changes_left = source.changes_left.saturating_sub(1);
        }
    }
    if change {
        let mut left = sources.iter().filter(|s| s.group == group);
        let more = membership.changes_left > 0 || left.any(|s| s.changes_left > 0);
        membership.change_at = if more {
            now + random_delay(UNSOLICITED_INTERVAL, rng)
        } else {
            Instant::FAR_FUTURE
        };
    }
    if membership.answer_at > now {
        return true;
    }
    let of_group = || sources.iter().filter(move |s| s.group == group);
    let fits = if membership.answer_whole {
        let record_type = if exclude {
            RecordType::ModeIsExclude
        } else {
            RecordType::ModeIsInclude
        };
        let listed = of_group().filter(|s| s.listed).map(|s| s.address);
        records.push(record_type, group, listed)
    } else {
        // Those of the sources asked for that are listened to.
        let wanted = of_group().filter(|s| s.asked && s.listed != exclude);
        let wanted = wanted.map(|s| s.address);
        wanted.clone().next().is_none() || records.push(RecordType::ModeIsInclude, group, wanted)
    };
    if fits {
        membership.answer_at = Instant::FAR_FUTURE;
        for source in sources.iter_mut().filter(|s| s.group == group) {
            source.asked = false;
        }
    }
    fits
}

fn random_delay(most: Duration, rng: &mut Rng) -> Duration {
    let millis = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(rng.u32() % millis.max(1)))
}

/// The Ethernet address that frames to a group go to (RFC 1112 §6.4, RFC 2464 §7).
pub(crate) fn ethernet_group(group: IpAddr) -> EthernetAddress {
    match group {
        IpAddr::V4(group) => {
            let [_, a, b, c] = group.octets();
            EthernetAddress([0x01, 0x00, 0x5e, a & 0x7f, b, c])
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            EthernetAddress([0x33, 0x33, a, b, c, d])
        }
    }
}

#[cfg(test)]
mod tests;
