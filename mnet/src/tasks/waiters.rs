//! Who waits for which socket: found by the socket's place, whatever the number of sockets.

use alloc::vec::Vec;
use core::mem;
use core::task::Waker;

use mnet_core::socket::SocketKind;
use mnet_core::{Readiness, SocketId};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Data, a datagram, a connection, the end, an error.
    Read,
    /// Room, the end of connecting, acknowledgement of the end, an error.
    Write,
}

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Read, Self::Write];

    /// Whether this readiness is a reason to look again.
    pub(crate) fn is_concerned(self, readiness: Readiness) -> bool {
        let own = match self {
            Self::Read => Readiness::READABLE,
            Self::Write => Readiness::WRITABLE,
        };
        readiness.intersects(own | Readiness::ERROR | Readiness::CLOSED)
    }
}

/// Proof of having a place in a list, or of having had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Those who wait for one direction of one socket. Nearly always one.
#[derive(Debug, Default)]
pub(super) enum List {
    #[default]
    Empty,
    One(Ticket, Waker),
    Many(Vec<(Ticket, Waker)>),
}

impl List {
    pub(super) fn wake(self) {
        match self {
            Self::Empty => {}
            Self::One(_, waker) => waker.wake(),
            Self::Many(all) => all.into_iter().for_each(|(_, waker)| waker.wake()),
        }
    }

    fn waker_of(&mut self, ticket: Ticket) -> Option<&mut Waker> {
        match self {
            Self::Empty => None,
            Self::One(one, waker) => (*one == ticket).then_some(waker),
            Self::Many(all) => all
                .iter_mut()
                .find_map(|(one, waker)| (*one == ticket).then_some(waker)),
        }
    }

    fn add(&mut self, ticket: Ticket, waker: Waker) {
        *self = match mem::take(self) {
            Self::Empty => Self::One(ticket, waker),
            Self::One(first_ticket, first) => {
                Self::Many(Vec::from([(first_ticket, first), (ticket, waker)]))
            }
            Self::Many(mut all) => {
                all.push((ticket, waker));
                Self::Many(all)
            }
        };
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        match mem::take(self) {
            Self::One(one, waker) if one == ticket => Some(waker),
            Self::Many(mut all) => {
                let place = all.iter().position(|(one, _)| *one == ticket);
                let removed = place.map(|place| all.swap_remove(place).1);
                *self = if all.is_empty() {
                    Self::Empty
                } else {
                    Self::Many(all)
                };
                removed
            }
            other => {
                *self = other;
                None
            }
        }
    }
}

/// The lists of a socket, by [`Direction`].
type Lists = [List; 2];

/// All lists, by kind of socket and the socket's place. They grow to the highest place in use.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    tables: [Vec<Lists>; 3],
    last_ticket: u64,
}

impl Waiters {
    fn table(&mut self, socket: SocketId) -> &mut Vec<Lists> {
        &mut self.tables[match socket.kind() {
            SocketKind::Listener => 0,
            SocketKind::Connection => 1,
            SocketKind::Udp => 2,
        }]
    }

    fn list(&mut self, socket: SocketId, direction: Direction) -> Option<&mut List> {
        let lists = self.table(socket).get_mut(socket.index())?;
        Some(&mut lists[direction as usize])
    }

    /// Puts `waker` into the list, or into its earlier place there. Returns what was in that place,
    /// to be dropped by the caller.
    pub(super) fn wait(
        &mut self,
        socket: SocketId,
        direction: Direction,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Waker> {
        let index = socket.index();
        if self.table(socket).len() <= index {
            self.table(socket).resize_with(index + 1, Lists::default);
        }
        if let Some(ticket) = *ticket
            && let Some(own) = self.list(socket, direction)?.waker_of(ticket)
        {
            return (!own.will_wake(waker)).then(|| mem::replace(own, waker.clone()));
        }
        self.last_ticket += 1;
        let new = Ticket(self.last_ticket);
        *ticket = Some(new);
        self.list(socket, direction)?.add(new, waker.clone());
        None
    }

    pub(super) fn leave(
        &mut self,
        socket: SocketId,
        direction: Direction,
        ticket: Ticket,
    ) -> Option<Waker> {
        self.list(socket, direction)?.remove(ticket)
    }

    /// Takes everybody who waits.
    pub(super) fn take(&mut self, socket: SocketId, direction: Direction) -> List {
        self.list(socket, direction)
            .map(mem::take)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use alloc::task::Wake;
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The socket of `kind` at `index`: handles carry the kind in the lowest bits.
    fn socket(kind: u64, index: u64) -> SocketId {
        SocketId::from_bits(index << 2 | kind).unwrap()
    }

    #[test]
    fn everybody_who_waits_is_woken_once_and_nobody_else() {
        let mut waiters = Waiters::default();
        let counts: [Arc<Count>; 4] = Default::default();
        let wakers = counts
            .each_ref()
            .map(|count| Waker::from(Arc::clone(count)));
        let (this, other) = (socket(2, 5), socket(2, 4));
        let mut tickets = [None; 4];
        for (place, (direction, id)) in [
            (Direction::Read, this),
            (Direction::Read, this),
            (Direction::Write, this),
            (Direction::Read, other),
        ]
        .into_iter()
        .enumerate()
        {
            waiters.wait(id, direction, &mut tickets[place], &wakers[place]);
            // Asking again does not give a second place.
            waiters.wait(id, direction, &mut tickets[place], &wakers[place]);
        }
        waiters.take(this, Direction::Read).wake();
        waiters.take(this, Direction::Read).wake();
        assert_eq!(
            counts.map(|count| count.0.load(Ordering::Relaxed)),
            [1, 1, 0, 0]
        );
    }

    #[test]
    fn who_leaves_is_not_woken_and_an_old_ticket_removes_nobody() {
        let mut waiters = Waiters::default();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let id = socket(1, 0);
        let (mut first, mut second) = (None, None);
        waiters.wait(id, Direction::Read, &mut first, &waker);
        waiters.take(id, Direction::Read).wake();
        waiters.wait(id, Direction::Read, &mut second, &waker);
        assert!(waiters.leave(id, Direction::Read, first.unwrap()).is_none());
        assert!(
            waiters
                .leave(id, Direction::Read, second.unwrap())
                .is_some()
        );
        waiters.take(id, Direction::Read).wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&count), 2, "no waker is left behind");
    }
}
