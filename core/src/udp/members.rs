//! Which sockets are in which groups, on which interface, and from which sources (RFC 3376 §3,
//! RFC 3678 §4.1).

use crate::error::GroupError;
use crate::ip::{Filter, is_everybody};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Most sources that a socket names for one group.
const MAX_SOURCES: usize = 16;

/// What a socket wants of a group from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// What anybody sends to it.
    Join,
    /// Nothing more, from whatever sources.
    Leave,
    /// After [`GroupChange::Join`]: not what this source sends.
    Block(IpAddr),
    /// The opposite of [`GroupChange::Block`].
    Unblock(IpAddr),
    /// Only what this source sends, and others that are named so: at most 16.
    JoinSource(IpAddr),
    /// The opposite of [`GroupChange::JoinSource`]; with the last source the group is left.
    LeaveSource(IpAddr),
}

impl GroupChange {
    /// The source that it names.
    pub(crate) fn source(self) -> Option<IpAddr> {
        match self {
            Self::Join | Self::Leave => None,
            Self::Block(source)
            | Self::Unblock(source)
            | Self::JoinSource(source)
            | Self::LeaveSource(source) => Some(source),
        }
    }

    /// Whether it ends or narrows what another change began.
    pub(crate) fn needs_member(self) -> bool {
        !matches!(self, Self::Join | Self::JoinSource(_))
    }
}

#[derive(Clone, Debug)]
struct Member {
    socket: u32,
    interface: u8,
    group: IpAddr,
    exclude: bool,
    sources: heapless::Vec<IpAddr, MAX_SOURCES>,
}

/// Bytes for a member.
pub(crate) const MEMBER_BYTES: usize = size_of::<Member>();

/// All memberships of sockets.
#[derive(Debug)]
pub(super) struct Members {
    members: Vec<Member>,
    most: usize,
}

impl Members {
    /// Room for so many. All memory is allocated here.
    pub(super) fn new(most: usize) -> Self {
        Self {
            members: Vec::with_capacity(most),
            most,
        }
    }

    fn find(&self, socket: u32, interface: u8, group: IpAddr) -> Option<usize> {
        self.members
            .iter()
            .position(|m| m.socket == socket && m.interface == interface && m.group == group)
    }

    /// The interface on which a socket is in a group.
    pub(super) fn interface_of(&self, socket: u32, group: IpAddr) -> Option<u8> {
        let member = |m: &&Member| m.socket == socket && m.group == group;
        self.members.iter().find(member).map(|m| m.interface)
    }

    /// Takes in what a socket wants.
    pub(super) fn change(
        &mut self,
        socket: u32,
        interface: u8,
        group: IpAddr,
        change: GroupChange,
    ) -> Result<(), GroupError> {
        let known = self.find(socket, interface, group);
        let is_full = self.members.len() >= self.most;
        match (change, known) {
            (GroupChange::Join | GroupChange::JoinSource(_), None) if is_full => {
                Err(GroupError::LimitReached)
            }
            (GroupChange::Join | GroupChange::JoinSource(_), None) => {
                self.members.push(Member {
                    socket,
                    interface,
                    group,
                    exclude: change == GroupChange::Join,
                    sources: change.source().into_iter().collect(),
                });
                Ok(())
            }
            (GroupChange::Join, Some(_)) => Err(GroupError::AlreadyMember),
            (_, None) => Err(GroupError::NotMember),
            (GroupChange::Leave, Some(at)) => {
                self.members.swap_remove(at);
                Ok(())
            }
            (GroupChange::Block(source), Some(at)) => self.name(at, source, true),
            (GroupChange::JoinSource(source), Some(at)) => self.name(at, source, false),
            (GroupChange::Unblock(source), Some(at)) => self.forget(at, source, true),
            (GroupChange::LeaveSource(source), Some(at)) => {
                self.forget(at, source, false)?;
                if self.members[at].sources.is_empty() {
                    self.members.swap_remove(at);
                }
                Ok(())
            }
        }
    }

    fn name(&mut self, at: usize, source: IpAddr, exclude: bool) -> Result<(), GroupError> {
        let member = &mut self.members[at];
        if member.exclude != exclude {
            return Err(GroupError::OtherMode);
        }
        if member.sources.contains(&source) {
            return Err(GroupError::AlreadyMember);
        }
        let pushed = member.sources.push(source);
        pushed.map_err(|_| GroupError::LimitReached)
    }

    fn forget(&mut self, at: usize, source: IpAddr, exclude: bool) -> Result<(), GroupError> {
        let member = &mut self.members[at];
        if member.exclude != exclude {
            return Err(GroupError::OtherMode);
        }
        let place = member.sources.iter().position(|known| *known == source);
        let place = place.ok_or(GroupError::NotMember)?;
        member.sources.swap_remove(place);
        Ok(())
    }

    /// A group that a socket is in, taken away from it.
    pub(super) fn take_one_of(&mut self, socket: u32) -> Option<(u8, IpAddr)> {
        let at = self.members.iter().position(|m| m.socket == socket)?;
        let member = self.members.swap_remove(at);
        Some((member.interface, member.group))
    }

    /// Whether a socket is to have what `source` sends to a group. What everybody is in, everybody has.
    pub(super) fn wants(&self, socket: u32, interface: u8, group: IpAddr, source: IpAddr) -> bool {
        let Some(at) = self.find(socket, interface, group) else {
            return is_everybody(group);
        };
        let member = &self.members[at];
        member.sources.contains(&source) != member.exclude
    }

    /// What all sockets together want of a group (RFC 3376 §3.2). Where their sources are too many,
    /// everybody is listened to, which is always enough.
    pub(super) fn union(&self, interface: u8, group: IpAddr) -> Filter {
        let members = || {
            let here = move |m: &&Member| m.interface == interface && m.group == group;
            self.members.iter().filter(here)
        };
        let included = |source: &IpAddr| {
            let mut including = members().filter(|m| !m.exclude);
            including.any(|m| m.sources.contains(source))
        };
        let mut filter = Filter::default();
        if let Some(first) = members().find(|m| m.exclude) {
            filter.exclude = true;
            for source in &first.sources {
                let mut excluding = members().filter(|m| m.exclude);
                if excluding.all(|m| m.sources.contains(source)) && !included(source) {
                    // No more than one socket names.
                    let _ = filter.sources.push(*source);
                }
            }
            return filter;
        }
        for source in members().flat_map(|m| &m.sources) {
            if !filter.sources.contains(source) && filter.sources.push(*source).is_err() {
                return Filter::everybody();
            }
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::vec;

    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(232, 1, 2, 3));

    fn host(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    fn union(members: &Members) -> (bool, std::vec::Vec<IpAddr>) {
        let filter = members.union(0, GROUP);
        let mut sources = filter.sources.to_vec();
        sources.sort();
        (filter.exclude, sources)
    }

    #[test]
    fn the_union_is_as_rfc_3376_defines_it() {
        let mut members = Members::new(8);
        let change = |members: &mut Members, socket, change| {
            members.change(socket, 0, GROUP, change).unwrap();
        };
        // The examples of RFC 3376 §3.2, with a to g as 1 to 7.
        for n in [2, 3, 4] {
            change(&mut members, 3, GroupChange::JoinSource(host(n)));
        }
        assert_eq!(union(&members), (false, vec![host(2), host(3), host(4)]));
        for n in [1, 5] {
            change(&mut members, 4, GroupChange::JoinSource(host(n)));
        }
        assert_eq!(union(&members).1.len(), 5);
        change(&mut members, 1, GroupChange::Join);
        for n in 1..=4 {
            change(&mut members, 1, GroupChange::Block(host(n)));
        }
        assert_eq!(
            union(&members),
            (true, vec![]),
            "all are included by others"
        );
        change(&mut members, 4, GroupChange::Leave);
        change(&mut members, 3, GroupChange::LeaveSource(host(4)));
        assert_eq!(union(&members), (true, vec![host(1), host(4)]));
        change(&mut members, 2, GroupChange::Join);
        for n in [4, 5] {
            change(&mut members, 2, GroupChange::Block(host(n)));
        }
        assert_eq!(union(&members), (true, vec![host(4)]));
        change(&mut members, 1, GroupChange::Leave);
        change(&mut members, 2, GroupChange::Leave);
        assert_eq!(union(&members), (false, vec![host(2), host(3)]));
        change(&mut members, 3, GroupChange::LeaveSource(host(2)));
        change(&mut members, 3, GroupChange::LeaveSource(host(3)));
        assert_eq!(union(&members), (false, vec![]));
        assert!(members.members.is_empty());
    }

    #[test]
    fn each_socket_hears_its_own_sources() {
        let mut members = Members::new(8);
        members.change(1, 0, GROUP, GroupChange::Join).unwrap();
        members
            .change(1, 0, GROUP, GroupChange::Block(host(9)))
            .unwrap();
        members
            .change(2, 0, GROUP, GroupChange::JoinSource(host(9)))
            .unwrap();
        let wants = |socket, source| members.wants(socket, 0, GROUP, host(source));
        assert_eq!((wants(1, 8), wants(1, 9)), (true, false));
        assert_eq!((wants(2, 8), wants(2, 9)), (false, true));
        assert!(!wants(3, 9), "not a member");
        assert!(!members.wants(1, 1, GROUP, host(8)), "another link");
        assert!(members.wants(3, 0, Ipv4Addr::new(224, 0, 0, 1).into(), host(8)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let mut members = Members::new(2);
        let mut change = |socket, change| members.change(socket, 0, GROUP, change);
        assert_eq!(change(1, GroupChange::Leave), Err(GroupError::NotMember));
        let source = host(1);
        for missing in [
            GroupChange::Block(source),
            GroupChange::Unblock(source),
            GroupChange::LeaveSource(source),
        ] {
            assert_eq!(change(1, missing), Err(GroupError::NotMember));
        }
        change(1, GroupChange::Join).unwrap();
        assert_eq!(change(1, GroupChange::Join), Err(GroupError::AlreadyMember));
        let other = Err(GroupError::OtherMode);
        assert_eq!(change(1, GroupChange::JoinSource(source)), other);
        assert_eq!(change(1, GroupChange::LeaveSource(source)), other);
        assert_eq!(
            change(1, GroupChange::Unblock(source)),
            Err(GroupError::NotMember)
        );
        for n in 0..16 {
            change(1, GroupChange::Block(host(n))).unwrap();
        }
        let twice = change(1, GroupChange::Block(source));
        assert_eq!(twice, Err(GroupError::AlreadyMember));
        let more = change(1, GroupChange::Block(host(99)));
        assert_eq!(more, Err(GroupError::LimitReached));
        change(2, GroupChange::JoinSource(source)).unwrap();
        assert_eq!(change(2, GroupChange::Block(source)), other);
        assert_eq!(change(3, GroupChange::Join), Err(GroupError::LimitReached));
    }
}
