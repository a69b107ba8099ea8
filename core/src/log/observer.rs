//! Finds out what has happened in a stack since it was asked last.

use super::{Change, Filter, Level, LogEvent, LogKind, Module};
use crate::address::AddressInfo;
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

/// How often counters are compared. So each reason for drops is told once in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// Addresses, routes and leases beyond these are not told.
const ADDRESSES: usize = 64;
const ROUTES: usize = 64;
const LEASES: usize = 8;

/// What is told of an address.
#[derive(Clone, Copy, Debug)]
struct Address {
    interface: InterfaceId,
    info: AddressInfo,
}

impl Address {
    fn is(&self, other: &Self) -> bool {
        (self.interface, self.info.address) == (other.interface, other.info.address)
    }

    fn is_like(&self, other: &Self) -> bool {
        let what = |address: &Self| (address.info.state, address.info.prefix_len);
        what(self) == what(other)
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
    /// One that takes nothing in.
    const EMPTY: Self = Self {
        addresses: Vec::new(),
        routes: Vec::new(),
        leases: Vec::new(),
    };

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
                push(&mut self.addresses, Address { interface, info });
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

/// Watches a stack for whoever keeps its log.
///
/// [`observe`](Observer::observe) after each turn of the loop, then [`next`](Observer::next) until it
/// gives nothing, and again at [`next_timeout`](Observer::next_timeout) at the latest. Its cost in a
/// turn in which nothing happened is a few comparisons. It is some 20 KiB large, allocates nothing, and
/// belongs to one stack.
#[derive(Debug)]
pub struct Observer {
    filter: Filter,
    waiting: VecDeque<LogEvent>,
    /// Not in the value itself: whoever makes one may have a small stack.
    counters: Box<Counters>,
    /// What was there, and room for what is.
    seen: Network,
    spare: Network,
    /// The stack's counts of changes, when they were looked at: of addresses and routes, and of what
    /// TCP and UDP know of paths.
    routes_generation: u32,
    paths: [u32; 2],
    /// Events that may be told now, and when that was true.
    budget: u32,
    filled_at: Instant,
    compared_at: Instant,
    /// When it was told last how much was missed.
    missed_at: Instant,
    /// The counters may be others since.
    stale: bool,
    /// Changes of the network that there was no room to tell.
    missed: u64,
}

impl Observer {
    /// Begins to watch: what is there now is not told, but what changes.
    #[must_use]
    pub fn new(stack: &mut Stack, now: Instant, filter: Filter) -> Self {
        stack.keep_journal(true);
        let mut seen = Network::new();
        seen.read(stack);
        Self {
            filter,
            waiting: VecDeque::with_capacity(BURST as usize),
            counters: Box::new(*stack.counters()),
            seen,
            spare: Network::new(),
            routes_generation: stack.routes_generation(),
            paths: stack.latest_paths().map(|(count, _)| count),
            budget: BURST,
            filled_at: now,
            compared_at: now,
            missed_at: now,
            stale: false,
            missed: 0,
        }
    }

    /// Ends it: the stack writes nothing down any more.
    pub fn end(self, stack: &mut Stack) {
        stack.keep_journal(false);
    }

    /// What is told from now on.
    pub fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// What is told.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The next event.
    #[allow(clippy::should_implement_trait, reason = "an observer is not used up")]
    pub fn next(&mut self) -> Option<LogEvent> {
        self.waiting.pop_front()
    }

    /// When [`Observer::observe`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.stale.then_some(self.compared_at + INTERVAL)
    }

    /// Looks at the stack.
    pub fn observe(&mut self, stack: &mut Stack, now: Instant) {
        self.fill(now);
        if stack.has_journal() {
            self.read_journals(stack, now);
        }
        let filter = self.filter;
        let routes = stack.routes_generation();
        if routes != self.routes_generation && self.has_room() {
            self.routes_generation = routes;
            self.compare_network(stack, now, &filter);
        }
        for (place, (count, latest)) in stack.latest_paths().into_iter().enumerate() {
            if count != self.paths[place]
                && self.has_room()
                && let Some((address, mtu)) = latest
            {
                self.paths[place] = count;
                let kind = LogKind::PathMtu { address, mtu };
                self.tell(&filter, now, Module::Ip, Level::Info, kind);
            }
        }
        if self.missed > 0 && self.has_room() {
            let kind = LogKind::Missed {
                events: core::mem::take(&mut self.missed),
            };
            self.tell(&filter, now, Module::Ip, Level::Warn, kind);
        }
        let counters = stack.counters();
        let moved =
            |counters: &Counters| (counters.rx_frames, counters.tx_frames, counters.rx_no_frame);
        self.stale |= moved(counters) != moved(&self.counters);
        if self.stale && now >= self.compared_at + INTERVAL {
            self.compare_counters(stack, now);
        }
    }

    /// So much may be told again.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_since(self.filled_at);
        let step = Duration::from_secs(1) / PER_SECOND;
        let more = passed.as_nanos() / step.as_nanos();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(BURST);
            self.budget = self.budget.saturating_add(more).min(BURST);
            self.filled_at = now;
        }
    }

    fn has_room(&self) -> bool {
        self.budget > 0 && self.waiting.len() < BURST as usize
    }

    /// Queues an event, if somebody wants it. Whether there was room.
    #[inline(never)]
    fn tell(
        &mut self,
        filter: &Filter,
        at: Instant,
        module: Module,
        level: Level,
        kind: LogKind,
    ) -> bool {
        if !filter.lets_through(module, level) {
            return true;
        }
        let event = LogEvent {
            at,
            level,
            module,
            kind,
        };
        if !self.has_room() {
            return false;
        }
        self.waiting.push_back(event);
        self.budget -= 1;
        true
    }

    #[cold]
    fn read_journals(&mut self, stack: &mut Stack, now: Instant) {
        let filter = self.filter;
        // First, or a flood would hide how large it is.
        if now >= self.missed_at + INTERVAL
            && self.has_room()
            && let Some((module, events)) = stack.take_missed()
        {
            self.missed_at = now;
            let kind = LogKind::Missed { events };
            self.tell(&filter, now, module, Level::Warn, kind);
        }
        while self.has_room()
            && let Some((at, change)) = stack.take_change()
        {
            let (module, level, kind) = event_of(change);
            self.tell(&filter, at, module, level, kind);
        }
    }

    /// [`Observer::tell`] of what is not found again.
    #[inline(never)]
    fn tell_of_network(
        &mut self,
        filter: &Filter,
        at: Instant,
        module: Module,
        level: Level,
        kind: LogKind,
    ) {
        if !self.tell(filter, at, module, level, kind) {
            self.missed += 1;
        }
    }

    /// What has come and gone of addresses, leases and routes. What there is no room for is
    /// counted.
    #[cold]
    fn compare_network(&mut self, stack: &Stack, now: Instant, filter: &Filter) {
        self.spare.read(stack);
        core::mem::swap(&mut self.seen, &mut self.spare);
        // Out of their place while events are told of them.
        let before = core::mem::replace(&mut self.spare, Network::EMPTY);
        let after = core::mem::replace(&mut self.seen, Network::EMPTY);
        self.tell_leases(now, filter, &before.leases, &after.leases);
        self.tell_addresses(now, filter, &before.addresses, &after.addresses);
        self.tell_routes(now, filter, &before.routes, &after.routes);
        (self.seen, self.spare) = (after, before);
    }

    fn tell_leases(&mut self, now: Instant, filter: &Filter, before: &[Leased], leases: &[Leased]) {
        for lease in before {
            if !leases.iter().any(|now| now.interface == lease.interface) {
                let kind = LogKind::LeaseGone {
                    interface: lease.interface,
                    address: lease.address,
                };
                self.tell_of_network(filter, now, Module::Dhcp, Level::Warn, kind);
            }
        }
        for lease in leases.iter().filter(|lease| !before.contains(lease)) {
            let kind = LogKind::Lease {
                interface: lease.interface,
                address: lease.address,
                server: lease.server,
                duration: lease.duration,
            };
            self.tell_of_network(filter, now, Module::Dhcp, Level::Info, kind);
        }
    }

    fn tell_addresses(
        &mut self,
        now: Instant,
        filter: &Filter,
        before: &[Address],
        addresses: &[Address],
    ) {
        for gone in before
            .iter()
            .filter(|old| !addresses.iter().any(|new| new.is(old)))
        {
            let kind = LogKind::AddressGone {
                interface: gone.interface,
                address: gone.info.address,
                prefix_len: gone.info.prefix_len,
            };
            self.tell_of_network(filter, now, Module::Ip, Level::Info, kind);
        }
        for new in addresses {
            let old = before.iter().find(|old| old.is(new));
            if old.is_some_and(|old| old.is_like(new)) {
                continue;
            }
            let (level, info) = (level_of(new), new.info);
            let kind = LogKind::Address {
                interface: new.interface,
                address: info.address,
                prefix_len: info.prefix_len,
                state: info.state,
                origin: info.origin,
            };
            self.tell_of_network(filter, now, Module::Ip, level, kind);
        }
    }

    fn tell_routes(
        &mut self,
        now: Instant,
        filter: &Filter,
        before: &[RouteEntry],
        routes: &[RouteEntry],
    ) {
        let same = |a: &RouteEntry, b: &RouteEntry| {
            let what = |route: &RouteEntry| (route.destination, route.prefix_len, route.next_hop);
            what(a) == what(b)
        };
        for gone in before
            .iter()
            .filter(|old| !routes.iter().any(|new| same(old, new)))
        {
            self.tell_of_network(filter, now, Module::Ip, Level::Info, route(gone, false));
        }
        for new in routes {
            match before.iter().find(|old| same(old, new)) {
                None => {
                    self.tell_of_network(filter, now, Module::Ip, Level::Info, route(new, true));
                }
                Some(old) if old.answers != new.answers => {
                    if let NextHop::Gateway { address, .. } = new.next_hop {
                        let (answers, level) = match new.answers {
                            true => (true, Level::Info),
                            false => (false, Level::Warn),
                        };
                        let kind = LogKind::Gateway { address, answers };
                        self.tell_of_network(filter, now, Module::Ip, level, kind);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// What was dropped, and what else is unusual. A counter that there is no room for is compared with
    /// the same value again the next time.
    #[cold]
    fn compare_counters(&mut self, stack: &Stack, now: Instant) {
        self.compared_at = now;
        self.stale = false;
        let filter = self.filter;
        for (place, value) in stack.counters().values().iter().enumerate() {
            let (name, told) = (Counters::NAMES[place], self.counters.values()[place]);
            if *value == told {
                continue;
            }
            let kind = LogKind::Counted {
                counter: name,
                times: value.wrapping_sub(told),
            };
            let unusual = Counters::DROPS[place] || name == "neighbour_failed";
            let module = Module::of_counter(name);
            if !unusual || self.tell(&filter, now, module, Level::Debug, kind) {
                self.counters.values_mut()[place] = *value;
            } else {
                self.stale = true;
            }
        }
        // Lifetimes end, and nobody counts that: addresses are looked at as well.
        if self.has_room() {
            self.compare_network(stack, now, &filter);
        }
    }
}

fn level_of(address: &Address) -> Level {
    use crate::address::AddressState;
    match address.info.state {
        AddressState::Duplicate => Level::Error,
        AddressState::Usable | AddressState::Deprecated => Level::Info,
        AddressState::Tentative => Level::Debug,
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

fn event_of(change: Change) -> (Module, Level, LogKind) {
    use super::End;
    match change {
        Change::Opened { key, passive } => {
            let kind = LogKind::Opened {
                local: key.local_addr(),
                remote: key.remote_addr(),
                passive,
            };
            (Module::Tcp, Level::Debug, kind)
        }
        Change::Ended { key, how } => {
            let level = match how {
                End::Closed | End::Aborted => Level::Debug,
                End::Reset | End::Refused | End::TimedOut | End::Unreachable | End::AddressGone => {
                    Level::Info
                }
            };
            let kind = LogKind::Ended {
                local: key.local_addr(),
                remote: key.remote_addr(),
                how,
            };
            (Module::Tcp, level, kind)
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
            (Module::Neighbour, Level::Warn, kind)
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
            (Module::Neighbour, Level::Debug, kind)
        }
    }
}
