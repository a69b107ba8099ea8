//! Finds out what has happened in a stack since it was asked last.

use super::{Change, Filter, Level, LogEvent, LogKind, Missed, Module};
use crate::address::{AddressOrigin, AddressState};
use crate::bucket::{Bucket, Rate};
use crate::counters::Counters;
use crate::device::InterfaceId;
use crate::dhcp::Lease;
use crate::route::{NextHop, RouteEntry};
use crate::stack::Stack;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// Events that are told at once, after a quiet time.
pub const BURST: u32 = 64;
/// Events that are told in a second, for as long as it takes.
pub const PER_SECOND: u32 = 16;

const RATE: Rate = Rate::new(
    BURST,
    Duration::from_nanos(1_000_000_000 / PER_SECOND as u64),
);

/// How often counters are compared. So each reason for drops is told once in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most events that tell how many were missed.
const MISSED: u32 = 4;
/// Addresses, routes and leases beyond these are not told.
const ADDRESSES: usize = 64;
const ROUTES: usize = 64;
const LEASES: usize = 8;

/// What is told of an address.
#[derive(Clone, Copy, Debug)]
struct Address {
    interface: InterfaceId,
    address: IpAddr,
    prefix_len: u8,
    state: AddressState,
    origin: AddressOrigin,
}

impl Address {
    fn is(&self, other: &Self) -> bool {
        (self.interface, self.address) == (other.interface, other.address)
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.state, self.prefix_len) == (other.state, other.prefix_len)
    }

    fn level(&self) -> Level {
        match self.state {
            AddressState::Duplicate => Level::Error,
            AddressState::Usable | AddressState::Deprecated => Level::Info,
            AddressState::Tentative => Level::Debug,
        }
    }
}

/// What is told of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leased {
    interface: InterfaceId,
    address: IpAddr,
    server: IpAddr,
    duration: Option<Duration>,
}

impl Leased {
    fn new(interface: InterfaceId, lease: &Lease) -> Self {
        Self {
            interface,
            address: lease.address.into(),
            server: lease.server.into(),
            duration: lease.duration,
        }
    }
}

/// Addresses, routes and leases: tables that never grow, so that nothing is allocated later, and
/// nothing large lies on the stack of whoever turns the loop.
#[derive(Debug)]
struct Network {
    addresses: Vec<Address>,
    routes: Vec<RouteEntry>,
    leases: Vec<Leased>,
}

impl Network {
    fn new() -> Self {
        Self {
            addresses: Vec::with_capacity(ADDRESSES),
            routes: Vec::with_capacity(ROUTES),
            leases: Vec::with_capacity(LEASES),
        }
    }

    /// What there is now.
    fn read(&mut self, stack: &Stack) {
        self.addresses.clear();
        self.leases.clear();
        self.routes.clear();
        for interface in stack.interfaces().map(|interface| interface.id) {
            for info in stack.address_list(interface) {
                let address = Address {
                    interface,
                    address: info.address,
                    prefix_len: info.prefix_len,
                    state: info.state,
                    origin: info.origin,
                };
                push(&mut self.addresses, address);
            }
            if let Some(lease) = stack.dhcp_lease(interface) {
                push(&mut self.leases, Leased::new(interface, lease));
            }
        }
        for route in stack.routes() {
            push(&mut self.routes, route);
        }
    }
}

/// As long as there is room.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < list.capacity() {
        list.push(item);
    }
}

/// What is told, and how much more may be.
#[derive(Debug)]
struct Queue {
    filter: Filter,
    waiting: VecDeque<LogEvent>,
    budget: Bucket,
    /// Changes of the network that there was no room to tell: of addresses and routes, and of leases.
    missed: [Missed; 2],
}

impl Queue {
    fn has_room(&self) -> bool {
        !self.budget.is_empty() && self.waiting.len() < BURST as usize
    }

    /// Queues an event, if somebody wants it. Whether there was room.
    #[inline(never)]
    fn tell(&mut self, at: Instant, module: Module, level: Level, kind: LogKind) -> bool {
        if !self.filter.lets_through(module, level) {
            return true;
        }
        let has_room = self.has_room();
        if has_room {
            self.waiting.push_back(LogEvent {
                at,
                level,
                module,
                kind,
            });
            self.budget.take(1);
        }
        has_room
    }

    /// [`Queue::tell`] of what is not found again.
    #[inline(never)]
    fn tell_once(&mut self, at: Instant, module: Module, level: Level, kind: LogKind) {
        if !self.tell(at, module, level, kind) {
            self.missed[usize::from(module == Module::Dhcp)].add(level);
        }
    }

    fn tell_leases(&mut self, now: Instant, before: &[Leased], leases: &[Leased]) {
        for lease in before {
            if !leases.iter().any(|now| now.interface == lease.interface) {
                let kind = LogKind::LeaseGone {
                    interface: lease.interface,
                    address: lease.address,
                };
                self.tell_once(now, Module::Dhcp, Level::Warn, kind);
            }
        }
        for lease in leases.iter().filter(|lease| !before.contains(lease)) {
            let kind = LogKind::Lease {
                interface: lease.interface,
                address: lease.address,
                server: lease.server,
                duration: lease.duration,
            };
            self.tell_once(now, Module::Dhcp, Level::Info, kind);
        }
    }

    fn tell_addresses(&mut self, now: Instant, before: &[Address], addresses: &[Address]) {
        for gone in before
            .iter()
            .filter(|old| !addresses.iter().any(|new| new.is(old)))
        {
            let kind = LogKind::AddressGone {
                interface: gone.interface,
                address: gone.address,
                prefix_len: gone.prefix_len,
            };
            self.tell_once(now, Module::Ip, Level::Info, kind);
        }
        for new in addresses {
            let old = before.iter().find(|old| old.is(new));
            if old.is_some_and(|old| old.is_like(new)) {
                continue;
            }
            let kind = LogKind::Address {
                interface: new.interface,
                address: new.address,
                prefix_len: new.prefix_len,
                state: new.state,
                origin: new.origin,
            };
            self.tell_once(now, Module::Ip, new.level(), kind);
        }
    }

    fn tell_routes(&mut self, now: Instant, before: &[RouteEntry], routes: &[RouteEntry]) {
        let same = |a: &RouteEntry, b: &RouteEntry| {
            let what = |route: &RouteEntry| (route.destination, route.prefix_len, route.next_hop);
            what(a) == what(b)
        };
        for gone in before
            .iter()
            .filter(|old| !routes.iter().any(|new| same(old, new)))
        {
            self.tell_once(now, Module::Ip, Level::Info, route(gone, false));
        }
        for new in routes {
            match before.iter().find(|old| same(old, new)) {
                None => self.tell_once(now, Module::Ip, Level::Info, route(new, true)),
                Some(old) if old.answers != new.answers => {
                    if let NextHop::Gateway { address, .. } = new.next_hop {
                        let (answers, level) = match new.answers {
                            true => (true, Level::Info),
                            false => (false, Level::Warn),
                        };
                        let kind = LogKind::Gateway { address, answers };
                        self.tell_once(now, Module::Ip, level, kind);
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// Watches a stack for whoever keeps its log.
///
/// [`observe`](Observer::observe) after each turn of the loop, then [`next`](Observer::next) until it
/// gives nothing, and again at [`next_timeout`](Observer::next_timeout) at the latest. Before a loop
/// sleeps, [`is_behind`](Observer::is_behind) says whether commands since the last turn are worth
/// another look. Its cost in a turn in which nothing happened is a few comparisons. With the journals in
/// the stack it takes some 26 KiB, allocates nothing later, and belongs to one stack.
#[derive(Debug)]
pub struct Observer {
    queue: Queue,
    /// Not in the value itself: whoever makes one may have a small stack.
    counters: Box<Counters>,
    /// What was there, and room for what is.
    seen: Network,
    spare: Network,
    /// The stack's counts of changes, when they were looked at: of addresses and routes, and of what
    /// TCP and UDP know of paths.
    routes_generation: u32,
    paths: [u32; 2],
    /// [`moved`], when this looked last.
    moved: [u64; 3],
    compared_at: Instant,
    /// When it was told last how much was missed.
    missed_at: Instant,
    /// When there is something to do.
    due: Option<Instant>,
}

/// What counts wherever frames pass, or should have.
fn moved(stack: &Stack) -> [u64; 3] {
    let counters = stack.counters();
    [counters.rx_frames, counters.tx_frames, counters.rx_no_frame]
}

impl Observer {
    /// Begins to watch: what is there now is not told, but what changes.
    #[must_use]
    pub fn new(stack: &mut Stack, now: Instant, filter: Filter) -> Self {
        stack.keep_journal(true);
        let mut seen = Network::new();
        seen.read(stack);
        Self {
            queue: Queue {
                filter,
                waiting: VecDeque::with_capacity(BURST as usize),
                budget: Bucket::full(&RATE, now),
                missed: [Missed::default(); 2],
            },
            counters: Box::new(*stack.counters()),
            seen,
            spare: Network::new(),
            routes_generation: stack.routes_generation(),
            paths: stack.latest_paths().map(|(count, _)| count),
            moved: moved(stack),
            compared_at: now,
            missed_at: now,
            due: None,
        }
    }

    /// Ends it: the stack writes nothing down any more.
    pub fn end(self, stack: &mut Stack) {
        stack.keep_journal(false);
    }

    /// What is told from now on.
    pub fn set_filter(&mut self, filter: Filter) {
        self.queue.filter = filter;
    }

    /// What is told.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.queue.filter
    }

    /// The next event.
    #[allow(clippy::should_implement_trait, reason = "an observer is not used up")]
    pub fn next(&mut self) -> Option<LogEvent> {
        self.queue.waiting.pop_front()
    }

    /// When [`Observer::observe`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether [`Observer::observe`] may find something that it has not told yet.
    #[must_use]
    pub fn is_behind(&self, stack: &Stack) -> bool {
        // Frames are worth a look only if none is due: what they have moved waits for that.
        self.has_more(stack) || (self.due.is_none() && self.moved != moved(stack))
    }

    /// Whether there is something that room is needed for.
    fn has_more(&self, stack: &Stack) -> bool {
        stack.has_changes()
            || stack.routes_generation() != self.routes_generation
            || stack.latest_paths().map(|(count, _)| count) != self.paths
    }

    /// Looks at the stack.
    pub fn observe(&mut self, stack: &mut Stack, now: Instant) {
        self.queue.budget.refill(now, &RATE);
        // First, or a flood would hide how large it is.
        let is_missed_due = self.has_missed(stack) && now >= self.missed_at + INTERVAL;
        if is_missed_due && !self.tell_missed(stack, now) {
            // Room for it is saved up, so nothing else may take any.
            self.moved = moved(stack);
            self.due = self.due(stack, false);
            return;
        }
        if stack.has_changes() {
            self.read_journals(stack);
        }
        let routes = stack.routes_generation();
        if routes != self.routes_generation && self.queue.has_room() {
            self.routes_generation = routes;
            self.compare_network(stack, now);
        }
        for (place, (count, latest)) in stack.latest_paths().into_iter().enumerate() {
            if count != self.paths[place] && self.queue.has_room() {
                self.paths[place] = count;
                if let Some((address, mtu)) = latest {
                    let kind = LogKind::PathMtu { address, mtu };
                    self.queue.tell(now, Module::Ip, Level::Info, kind);
                }
            }
        }
        self.moved = moved(stack);
        // Not only frames are counted, so any turn may have changed the counters.
        let is_stale = now < self.compared_at + INTERVAL || self.compare_counters(stack, now);
        self.due = self.due(stack, is_stale);
    }

    /// When the next look is due. `is_stale`: the counters may be others than they were.
    fn due(&self, stack: &Stack, is_stale: bool) -> Option<Instant> {
        let room = self.queue.budget.next(&RATE);
        let counters = is_stale.then(|| self.compared_at + INTERVAL);
        let more = self.has_more(stack).then_some(room);
        let missed = self
            .has_missed(stack)
            .then(|| room.max(self.missed_at + INTERVAL));
        [counters, more, missed].into_iter().flatten().min()
    }

    fn has_missed(&self, stack: &Stack) -> bool {
        stack.has_missed() || self.queue.missed.iter().any(|missed| !missed.is_empty())
    }

    /// All at once, or those of one part of the stack would hide those of another. `false`: there is no
    /// room, which has to be saved up.
    #[cold]
    fn tell_missed(&mut self, stack: &mut Stack, now: Instant) -> bool {
        if !self.queue.budget.has(MISSED)
            || self.queue.waiting.len() + MISSED as usize > BURST as usize
        {
            return false;
        }
        self.missed_at = now;
        let [network, leases] = core::mem::take(&mut self.queue.missed);
        let own = [(Module::Ip, network), (Module::Dhcp, leases)];
        for (module, missed) in stack.take_missed().into_iter().chain(own) {
            let least = self.queue.filter.level(module);
            if let Some((level, events)) = least.and_then(|least| missed.down_to(least)) {
                let kind = LogKind::Missed { events };
                self.queue.tell(now, module, level, kind);
            }
        }
        true
    }

    #[cold]
    fn read_journals(&mut self, stack: &mut Stack) {
        while self.queue.has_room()
            && let Some((at, change)) = stack.take_change()
        {
            let (module, kind) = event_of(change);
            self.queue.tell(at, module, change.level(), kind);
        }
    }

    /// What has come and gone of addresses, leases and routes. What there is no room for is
    /// counted.
    #[cold]
    fn compare_network(&mut self, stack: &Stack, now: Instant) {
        self.spare.read(stack);
        core::mem::swap(&mut self.seen, &mut self.spare);
        let (before, after) = (&self.spare, &self.seen);
        self.queue.tell_leases(now, &before.leases, &after.leases);
        self.queue
            .tell_addresses(now, &before.addresses, &after.addresses);
        self.queue.tell_routes(now, &before.routes, &after.routes);
    }

    /// What was dropped. Whether there was no room for all: such a counter is compared with the same
    /// value again the next time.
    #[cold]
    fn compare_counters(&mut self, stack: &Stack, now: Instant) -> bool {
        self.compared_at = now;
        let mut is_stale = false;
        for (place, value) in stack.counters().values().iter().enumerate() {
            let (name, told) = (Counters::NAMES[place], self.counters.values()[place]);
            if *value == told {
                continue;
            }
            let kind = LogKind::Counted {
                counter: name,
                times: value.wrapping_sub(told),
            };
            let module = Module::of_counter(name);
            if !Counters::DROPS[place] || self.queue.tell(now, module, Level::Debug, kind) {
                self.counters.values_mut()[place] = *value;
            } else {
                is_stale = true;
            }
        }
        // Lifetimes end, and nobody counts that: addresses are looked at as well.
        if !self.queue.has_room() {
            return true;
        }
        self.compare_network(stack, now);
        is_stale
    }
}

fn route(entry: &RouteEntry, there: bool) -> LogKind {
    LogKind::Route {
        destination: entry.destination,
        prefix_len: entry.prefix_len,
        next_hop: entry.next_hop,
        there,
    }
}

fn event_of(change: Change) -> (Module, LogKind) {
    match change {
        Change::Opened { key, passive } => {
            let kind = LogKind::Opened {
                local: key.local_addr(),
                remote: key.remote_addr(),
                passive,
            };
            (Module::Tcp, kind)
        }
        Change::Ended { key, how } => {
            let kind = LogKind::Ended {
                local: key.local_addr(),
                remote: key.remote_addr(),
                how,
            };
            (Module::Tcp, kind)
        }
        Change::Conflict {
            interface,
            address,
            hardware,
        } => {
            let kind = LogKind::Conflict {
                interface: InterfaceId(interface),
                address,
                hardware,
            };
            (Module::Neighbour, kind)
        }
        Change::Neighbour {
            interface,
            address,
            hardware,
        } => {
            let kind = LogKind::Neighbour {
                interface: InterfaceId(interface),
                address,
                hardware,
            };
            (Module::Neighbour, kind)
        }
    }
}
