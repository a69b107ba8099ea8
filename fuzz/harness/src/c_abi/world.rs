//! What is open, what was, and the operations on whole stacks.

use std::collections::BTreeSet;
use std::ptr;

use mnet_ffi::*;

use super::call;
use super::host;
use super::memory::{Input, Memory};
use super::net::{self, Open, SLOTS};

/// Bytes of the arenas, and of what lies around them.
const ARENA: usize = 640 << 10;
const GUARD: usize = 64;
const FILL: u8 = 0x5a;
/// How long a wait may be that an input asks for.
const LONGEST_WAIT: u64 = 10_000_000_000;
/// After closing, the longest that anything can take: the user timeout, with room.
const LONGEST_REST: u64 = 3_000_000_000_000;
const MAX_TURNS: usize = 5_000;

/// A socket that was given out.
#[derive(Clone, Copy)]
pub(super) struct Socket {
    pub(super) fd: mnet_fd,
    pub(super) slot: usize,
    pub(super) open: bool,
}

/// What an input has achieved, for the tests of the seeds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    pub(super) accepted: usize,
    pub(super) read: usize,
    pub(super) datagrams: usize,
    pub(super) waited: usize,
    pub(super) refused: usize,
    pub(super) leases: usize,
}

/// A handle for an argument, and whether it names something that is open.
#[derive(Clone, Copy)]
pub(super) struct Handle {
    pub(super) number: i64,
    pub(super) is_open: bool,
}

pub(super) struct World {
    arenas: Vec<Vec<u8>>,
    pub(super) sockets: Vec<Socket>,
    /// Every handle that was ever given out.
    given: BTreeSet<i64>,
    old_stacks: Vec<mnet_stack>,
    /// Channels that were opened, and their memory.
    pub(super) channels: Vec<(mnet_channel, Memory)>,
    /// The input has changed what decides how long a connection may take to end.
    pub(super) may_take_long: bool,
    /// How many sockets wait for a limited time on the stack with the device.
    pub(super) reached: Reached,
}

impl World {
    /// Three stacks, unless the input wants to open them itself.
    pub(super) fn new(features: u8) -> Self {
        net::reset();
        let mut world = Self {
            arenas: (0..SLOTS).map(|_| vec![FILL; ARENA + 2 * GUARD]).collect(),
            sockets: Vec::new(),
            given: BTreeSet::new(),
            old_stacks: Vec::new(),
            channels: Vec::new(),
            may_take_long: false,
            reached: Reached::default(),
        };
        for slot in 0..SLOTS {
            if features & 1 << slot == 0 {
                let result = world.open(slot, &world.config(slot));
                assert!(result > 0, "the defaults are right: {result}");
            }
        }
        world
    }

    pub(super) fn now() -> u64 {
        host::with(|host| host.now)
    }

    pub(super) fn slot(slot: usize) -> Open {
        net::with(|net| net.slots[slot])
    }

    fn set_slot(slot: usize, open: Open) {
        net::with(|net| net.slots[slot] = open);
    }

    /// Where the arena of an open stack lies, for memory that must be refused.
    pub(super) fn arena(&self) -> Option<*mut u8> {
        let slot = (0..SLOTS).find(|&slot| Self::slot(slot).stack != 0)?;
        let inside = &self.arenas[slot][ARENA / 2..];
        Some(inside.as_ptr().cast_mut())
    }

    fn config(&self, slot: usize) -> mnet_config {
        static SEED: [u8; 32] = [1; 32];
        let mut config = std::mem::MaybeUninit::<mnet_config>::zeroed();
        call!(mnet_config_default(
            config.as_mut_ptr(),
            size_of::<mnet_config>()
        ));
        let mut config = unsafe { config.assume_init() };
        let host = u8::try_from(slot + 1).expect("few");
        config.arena = self.arenas[slot][GUARD..].as_ptr().cast_mut().cast();
        config.arena_size = ARENA;
        (config.seed, config.seed_len) = (SEED.as_ptr(), SEED.len());
        config.address.family = MNET_AF_INET;
        config.address.ip[..4].copy_from_slice(&[10, 0, 0, host]);
        if slot + 1 < SLOTS {
            config.flags = MNET_CONFIG_MANUAL;
            config.hardware_address = [2, 0, 0, 0, 0, host];
            config.now = Self::now();
        }
        config
    }

    fn open(&mut self, slot: usize, config: &mnet_config) -> i64 {
        let stack = call!(mnet_open(config));
        self.opened(slot, config, stack)
    }

    /// Notes what opening has given.
    fn opened(&mut self, slot: usize, config: &mnet_config, stack: i64) -> i64 {
        if stack > 0 {
            assert!(!self.old_stacks.contains(&stack), "a number is used twice");
            self.old_stacks.push(stack);
            let manual = config.flags & MNET_CONFIG_MANUAL != 0;
            Self::set_slot(slot, Open { stack, manual });
        }
        stack
    }

    /// A stack as an argument: open, closed, a socket, or invented.
    pub(super) fn stack(&self, input: &mut Input<'_>) -> (Handle, usize) {
        let how = input.byte();
        let slot = usize::from(how) % SLOTS;
        let open = Self::slot(slot).stack;
        let number = match how / 32 {
            0..=5 if open != 0 => open,
            6 => self.old_stacks.first().map_or(0, |old| *old),
            7 => match how % 4 {
                0 => -1,
                1 => self.sockets.first().map_or(1, |socket| socket.fd),
                2 => open ^ 1 << (how % 60),
                _ => i64::from_le_bytes(input.bytes()),
            },
            _ => 0,
        };
        let is_open = (0..SLOTS).any(|slot| number != 0 && Self::slot(slot).stack == number);
        (Handle { number, is_open }, slot)
    }

    /// A socket as an argument: open, closed, a stack, or invented.
    pub(super) fn socket(&self, input: &mut Input<'_>) -> Handle {
        let how = input.byte();
        let pick =
            |list: &[Socket]| (!list.is_empty()).then(|| list[usize::from(how) % list.len()].fd);
        let open: Vec<Socket> = self.sockets.iter().copied().filter(|s| s.open).collect();
        let number = match how / 16 {
            0..=12 => pick(&open),
            13 => pick(&self.sockets),
            14 => pick(&open).map(|fd| fd ^ 1 << (input.byte() % 64)),
            _ => Some(match how % 4 {
                0 => 0,
                1 => -1,
                2 => self.old_stacks.last().copied().unwrap_or(1),
                _ => i64::from_le_bytes(input.bytes()),
            }),
        };
        let number = number.unwrap_or(0);
        let is_open = open.iter().any(|socket| socket.fd == number);
        Handle { number, is_open }
    }

    /// Whether a call on the socket can wait, so that it must have a limit.
    fn has_device(slot: usize) -> bool {
        !Self::slot(slot).manual
    }

    /// Notes a socket that a call has given out on this stack.
    pub(super) fn given(&mut self, stack: i64, fd: mnet_fd) {
        if fd <= 0 {
            return;
        }
        assert!(self.given.insert(fd), "a handle is used twice");
        let slot = (0..SLOTS).find(|&slot| Self::slot(slot).stack == stack);
        let slot = slot.expect("sockets come of open stacks");
        self.sockets.push(Socket {
            fd,
            slot,
            open: true,
        });
        if Self::has_device(slot) {
            assert_eq!(call!(mnet_set_timeout(fd, 3, 5_000_000)), 0);
            net::with(|net| net.intruders.push(fd));
        }
    }

    /// The stack that an open socket belongs to.
    pub(super) fn stack_of(&self, fd: mnet_fd) -> i64 {
        let socket = self.sockets.iter().find(|s| s.fd == fd && s.open);
        socket.map_or(0, |socket| Self::slot(socket.slot).stack)
    }

    pub(super) fn is_manual(&self, fd: mnet_fd) -> bool {
        let socket = self.sockets.iter().find(|s| s.fd == fd);
        socket.is_some_and(|socket| !Self::has_device(socket.slot))
    }

    pub(super) fn closed(&mut self, fd: mnet_fd) {
        for socket in self.sockets.iter_mut().filter(|s| s.fd == fd) {
            socket.open = false;
        }
        net::with(|net| net.intruders.retain(|&other| other != fd));
    }

    /// A time to wait that ends, where waiting is possible.
    pub(super) fn wait(stack: Handle, input: &mut Input<'_>) -> i64 {
        let time = input.number();
        let waits = (0..SLOTS).any(|slot| {
            let open = Self::slot(slot);
            open.stack == stack.number && !open.manual
        });
        if waits {
            (time % LONGEST_WAIT).cast_signed()
        } else {
            time.cast_signed()
        }
    }

    pub(super) fn step(&mut self, input: &mut Input<'_>) {
        let before = host::with(|host| std::mem::take(&mut host.yields));
        self.reached.waited += usize::from(before > 0);
        self.reached.refused = net::with(|net| net.refused);
        match input.byte() {
            operation @ 0..=7 => self.whole(operation, input),
            12 | 13 => self.channels(input),
            operation @ 8..=15 => {
                net::turn(Self::now(), false);
                if operation == 15 {
                    net::with(|net| net.loss = input.byte());
                }
            }
            operation @ 16..=111 => self.streams(operation - 16, input),
            operation @ 112..=175 => self.datagrams(operation - 112, input),
            operation => self.network(operation - 176, input),
        }
    }

    /// Operations on whole stacks, frames and time.
    fn whole(&mut self, operation: u8, input: &mut Input<'_>) {
        match operation {
            0 => self.reopen(input),
            1 => {
                let (stack, _) = self.stack(input);
                let result = call!(mnet_close_stack(stack.number));
                assert_eq!(result == 0, stack.is_open || stack.number <= 0);
                if stack.is_open {
                    self.gone(stack.number);
                }
            }
            2 => {
                let (stack, _) = self.stack(input);
                // Not so far that no timer can be set any more.
                let now = match input.number() {
                    u64::MAX => u64::MAX,
                    ahead => Self::now().saturating_add(ahead % (1 << 36)),
                };
                let next = Memory::of::<u64>(input, self.arena());
                let result = call!(mnet_step(stack.number, now, next.get()));
                next.check("mnet_step", result, 8);
                assert!(result < 0 || (stack.is_open && now != u64::MAX));
            }
            3 => {
                let (stack, _) = self.stack(input);
                let bytes = input.some();
                let mut frame = Memory::new(input, bytes.len(), self.arena());
                frame.fill(bytes);
                let interface = input.number32() % 4;
                let (now, len) = (Self::now(), frame.len);
                if interface == 0 {
                    call!(mnet_frame_in(stack.number, now, frame.void(), len));
                } else {
                    call!(mnet_frame_in_on(
                        stack.number,
                        interface,
                        now,
                        frame.void(),
                        len
                    ));
                }
            }
            4 => {
                let (stack, _) = self.stack(input);
                let room = if input.byte() < 128 {
                    65_600
                } else {
                    input.size() % 2_000
                };
                let buffer = Memory::new(input, room, self.arena());
                let interface = Memory::of::<u32>(input, self.arena());
                let (now, place) = (Self::now(), interface.get());
                let (pointer, len) = (buffer.void(), buffer.len);
                let result = call!(mnet_frame_out_on(stack.number, place, now, pointer, len));
                buffer.check(
                    "mnet_frame_out_on",
                    result,
                    usize::try_from(result).unwrap_or(0),
                );
                interface.check("mnet_frame_out_on", result, 4);
            }
            5 => host::with(|host| host.now += 1 << (input.byte() % 40)),
            6 => {
                net::with(|net| net.wants_leases = true);
                self.answer_dhcp(input);
            }
            _ => {
                let (stack, _) = self.stack(input);
                let size = input.size() % 120;
                let usage = Memory::new(input, size, self.arena());
                let result = call!(mnet_usage(stack.number, usage.get(), usage.len));
                usage.check("mnet_usage", result, size);
                let buffer = Memory::new(input, size, self.arena());
                let result = call!(mnet_random(stack.number, buffer.void(), buffer.len));
                buffer.check("mnet_random", result, size);
                let value = Memory::of::<u64>(input, self.arena());
                let index = input.size();
                let result = call!(mnet_counter_value(stack.number, index, value.get()));
                value.check("mnet_counter_value", result, 8);
                assert_eq!(
                    mnet_counter_name(index).is_null(),
                    index >= mnet_counter_count()
                );
            }
        }
    }

    /// Opens a stack in a slot that is free, or where one is already, with a few members changed.
    fn reopen(&mut self, input: &mut Input<'_>) {
        let slot = input.below(SLOTS);
        let mut config = self.config(slot);
        for _ in 0..input.below(4) {
            self.change(&mut config, slot, input);
        }
        let busy = Self::slot(slot).stack != 0;
        let memory = sized(input, &config);
        let stack = call!(mnet_open(memory.get()));
        assert!(stack <= 0 || !busy, "an arena is used twice");
        if stack > 0 {
            // As much of it as the library has seen.
            let known = memory.read::<usize>().min(size_of::<mnet_config>());
            if known < std::mem::offset_of!(mnet_config, flags) + 4 {
                config.flags = 0;
            }
            self.opened(slot, &config, stack);
        }
    }

    fn change(&self, config: &mut mnet_config, slot: usize, input: &mut Input<'_>) {
        static NAMES: [&std::ffi::CStr; 4] = [c"service", c"", c"backend", c"\xff"];
        match input.byte() % 24 {
            0 => config.arena = ptr::null_mut(),
            1 => config.arena_size = input.size().min(ARENA),
            2 => config.device = NAMES[input.below(4)].as_ptr(),
            3 => config.device = ptr::null(),
            4 => config.address = input.address(),
            5 => config.gateway = input.address(),
            6 => config.prefix_len = input.number32(),
            // Without the promise that the arena is zero, which it is not.
            7 => config.flags = input.number32() & !MNET_CONFIG_ARENA_ZERO,
            8 => config.flags ^= 1 << (input.byte() % 7) & !MNET_CONFIG_ARENA_ZERO,
            9 => config.seed_len = input.size() % 32,
            10 => config.busy_poll_ns = input.number() % 1_000,
            11 => config.max_connections = input.number32(),
            12 => config.max_half_open = input.number32(),
            13 => config.max_time_wait = input.number32(),
            14 => config.max_listeners = input.number32(),
            15 => config.max_udp_sockets = input.number32(),
            16 => config.tcp_receive_buffer = input.number32(),
            17 => config.tcp_send_buffer = input.number32(),
            18 => config.mtu = input.number32(),
            19 => config.hardware_address = input.bytes(),
            20 => config.max_mtu = input.number32(),
            21 => config.max_interfaces = input.number32(),
            22 => {
                config.tcp_congestion = input.number32() % 4;
                config.tcp_ecn = input.number32() % 6;
                config.tcp_syn_cookies = input.number32() % 5;
                config.tcp_ttl = input.number32();
                config.tcp_dscp = input.number32();
                config.tcp_syn_retries = input.number32();
            }
            _ => {
                config.tcp_keepalive_idle_ns = input.number();
                config.tcp_keepalive_interval_ns = input.number();
                config.tcp_keepalive_count = input.number32();
                config.tcp_delayed_ack_ns = input.number();
                config.reserved2 = input.number32() % 2;
            }
        }
        // Others' arenas are at other places.
        let own = self.arenas[slot][GUARD..].as_ptr();
        assert!(config.arena.is_null() || ptr::eq(config.arena.cast_const().cast(), own));
    }

    /// Opens a stack as a command line says.
    pub(super) fn open_args(&mut self, args: &mnet_args, input: &mut Input<'_>) {
        let slot = input.below(SLOTS);
        let config = self.config(slot);
        let busy = Self::slot(slot).stack != 0;
        let stack = call!(mnet_open_args(&config, args));
        assert!(stack <= 0 || !busy, "an arena is used twice");
        self.opened(slot, &config, stack);
    }

    /// A stack was closed, and its sockets with it.
    fn gone(&mut self, stack: i64) {
        for slot in 0..SLOTS {
            if Self::slot(slot).stack == stack {
                Self::set_slot(slot, Open::default());
                let sockets: Vec<_> = self.sockets.iter().filter(|s| s.slot == slot).collect();
                for fd in sockets.iter().map(|s| s.fd).collect::<Vec<_>>() {
                    self.closed(fd);
                }
            }
        }
        assert_eq!(call!(mnet_close_stack(stack)), MNET_EBADF.into());
    }

    /// Closes everything, and looks for what is left.
    pub(super) fn finish(&mut self) {
        net::with(|net| net.loss = 0);
        for socket in self.sockets.clone() {
            if socket.open {
                assert_ne!(call!(mnet_close(socket.fd)), MNET_EBADF.into());
                self.closed(socket.fd);
            }
        }
        let start = Self::now();
        let mut turns = 0;
        while let Some(rest) = Self::rest() {
            let now = Self::now();
            let next = net::turn(now, false);
            if Self::rest().is_none() {
                break;
            }
            turns += 1;
            let waited = now.saturating_sub(start);
            if self.may_take_long && (waited > LONGEST_REST || turns > MAX_TURNS) {
                break;
            }
            assert!(
                next != u64::MAX && waited < LONGEST_REST && turns < MAX_TURNS,
                "after closing, this is left: {rest:?}; {waited} ns, {turns} turns"
            );
            host::with(|host| host.now = now.max(next));
        }
        for slot in 0..SLOTS {
            let stack = Self::slot(slot).stack;
            if stack != 0 {
                assert_eq!(call!(mnet_close_stack(stack)), 0);
                self.gone(stack);
            }
            let arena = &self.arenas[slot];
            let guards = arena[..GUARD].iter().chain(&arena[ARENA + GUARD..]);
            assert!(guards.copied().all(|byte| byte == FILL), "beside the arena");
        }
        for socket in &self.sockets {
            assert_eq!(call!(mnet_index(socket.fd)), MNET_EBADF.into());
        }
    }

    /// What a stack still has in use.
    fn rest() -> Option<mnet_usage> {
        (0..SLOTS)
            .map(|slot| Self::slot(slot).stack)
            .find_map(|stack| {
                let mut usage = mnet_usage::default();
                if stack == 0 {
                    return None;
                }
                let result = call!(mnet_usage(stack, &raw mut usage, size_of::<mnet_usage>()));
                assert_eq!(result, 0);
                let busy = usage.connections + usage.half_open + usage.udp_sockets > 0;
                (busy || usage.frames_free < usage.frames).then_some(usage)
            })
    }
}

/// A structure that starts with its size, in memory that is as long as it says, and with other sizes
/// than it has.
pub(super) fn sized<T: Copy>(input: &mut Input<'_>, value: &T) -> Memory {
    let exact = size_of::<T>();
    let size = match input.byte() {
        0..=199 => exact,
        200..=219 => exact - 8,
        220..=234 => exact + 16,
        235..=244 => input.size() % exact / 8 * 8,
        245 => 1 << 17,
        _ => input.size() % (1 << 16) / 8 * 8,
    };
    let mut memory = Memory::room(input, size.clamp(8, 1 << 16), None);
    // SAFETY: the value is a structure of integers and pointers, as long as it is said to be.
    let bytes = unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast::<u8>(), exact) };
    // What is behind it is zero, as in a later version, or not.
    let behind = if input.byte() < 200 { 0 } else { 1 };
    memory.fill(size.to_ne_bytes());
    memory.fill_after(
        8,
        bytes[8..].iter().copied().chain(std::iter::repeat(behind)),
    );
    memory
}
