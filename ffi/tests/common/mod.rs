//! A Solo5 for the tests: a network device called "service" and an idle one called "backend", a clock that moves when one waits,
//! and a peer on the other end of the cable.
//!
//! The peer is a program of the test that runs inside `solo5_yield`, which is when a host lets
//! others run. It usually drives a manual stack of the same library. A test in which nobody would
//! ever wake again fails instead of hanging.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the imitation of a C interface in a test"
)]
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod fibers;
pub(crate) mod pair;

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mnet_ffi::*;

/// Runs when the device's owner sleeps; says when it wants to run again.
pub(crate) type Peer = Box<dyn FnMut(u64) -> u64 + Send>;

#[derive(Default)]
struct State {
    now: u64,
    console: Vec<u8>,
    sent: VecDeque<Vec<u8>>,
    arriving: VecDeque<Vec<u8>>,
    peer: Option<Peer>,
    yields: usize,
    at_clock: Option<Box<dyn FnOnce() + Send>>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Held by the test that runs: the library's tables are shared by the process.
static TURN: Mutex<()> = Mutex::new(());

fn with<T>(action: impl FnOnce(&mut State) -> T) -> T {
    action(
        STATE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default(),
    )
}

/// A fresh world for one test.
pub(crate) struct World {
    _turn: MutexGuard<'static, ()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        with(|state| {
            *state = State {
                now: 1_000_000_000,
                ..State::default()
            }
        });
        Self { _turn: turn }
    }

    pub(crate) fn peer(&self, peer: impl FnMut(u64) -> u64 + Send + 'static) {
        with(|state| state.peer = Some(Box::new(peer)));
    }

    /// Runs once, inside of the next reading of the clock.
    pub(crate) fn at_next_clock(&self, action: impl FnOnce() + Send + 'static) {
        with(|state| state.at_clock = Some(Box::new(action)));
    }

    /// What was written to the console since the last call.
    pub(crate) fn console(&self) -> String {
        let bytes = with(|state| std::mem::take(&mut state.console));
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn yields(&self) -> usize {
        with(|state| state.yields)
    }

    /// Frames that the device's owner has sent and the peer has not taken.
    pub(crate) fn sent(&self) -> usize {
        with(|state| state.sent.len())
    }
}

/// Moves the frames of the cable in and out of the manual stack `stack`.
pub(crate) fn pump(stack: mnet_stack, now: u64) -> u64 {
    while let Some(frame) = with(|state| state.sent.pop_front()) {
        let status = unsafe { mnet_frame_in(stack, now, frame.as_ptr().cast(), frame.len()) };
        assert_eq!(status, 0);
    }
    let mut next = 0;
    assert_eq!(unsafe { mnet_step(stack, now, &raw mut next) }, 0);
    let mut buffer = [0_u8; 1_514];
    loop {
        let pointer = buffer.as_mut_ptr().cast();
        let len = unsafe { mnet_frame_out(stack, now, pointer, buffer.len()) };
        match usize::try_from(len).unwrap() {
            0 => break,
            len => with(|state| state.arriving.push_back(buffer[..len].to_vec())),
        }
    }
    next
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> u64 {
    if let Some(action) = with(|state| state.at_clock.take()) {
        action();
    }
    with(|state| state.now)
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> u64 {
    solo5_clock_monotonic() + 1_700_000_000_000_000_000
}

#[unsafe(no_mangle)]
extern "C" fn solo5_yield(deadline: u64, ready: *mut u64) {
    with(|state| state.yields += 1);
    loop {
        let now = solo5_clock_monotonic();
        let next = match with(|state| state.peer.take()) {
            Some(mut peer) => {
                let next = peer(now);
                // The peer may have been replaced meanwhile.
                with(|state| {
                    state.peer.get_or_insert(peer);
                });
                next
            }
            None => u64::MAX,
        };
        let arrived = with(|state| !state.arriving.is_empty());
        if arrived || now >= deadline {
            unsafe { ready.write(u64::from(arrived) << 1) };
            return;
        }
        let wake = deadline.min(next);
        assert_ne!(wake, u64::MAX, "everybody would sleep for ever");
        with(|state| state.now = state.now.max(wake));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(text: *const c_char, len: usize) {
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    with(|state| state.console.extend_from_slice(text));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut solo5_sys::solo5_net_info,
) -> c_int {
    // The second device has a larger MTU, and a cable that ends nowhere.
    let (number, mtu) = match unsafe { CStr::from_ptr(name) } {
        name if name == c"service" => (1, 1_500),
        name if name == c"backend" => (2, 1_600),
        _ => return 2,
    };
    unsafe {
        handle.write(number.into());
        info.write(solo5_sys::solo5_net_info {
            mac_address: [2, 0, 0, 0, 0, number],
            mtu,
        });
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(handle: u64, frame: *const u8, len: usize) -> c_int {
    let frame = unsafe { std::slice::from_raw_parts(frame, len) };
    if handle == 1 {
        with(|state| state.sent.push_back(frame.to_vec()));
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: u64,
    buffer: *mut u8,
    len: usize,
    read: *mut usize,
) -> c_int {
    let arrived = with(|state| {
        let frame = (handle == 1).then(|| state.arriving.pop_front());
        frame.flatten()
    });
    match arrived {
        Some(frame) => {
            assert!(frame.len() <= len);
            unsafe {
                ptr::copy_nonoverlapping(frame.as_ptr(), buffer, frame.len());
                read.write(frame.len());
            }
            0
        }
        None => 1,
    }
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    panic!("solo5_abort was called");
}

/// Memory for an arena. It is never freed: a test that fails leaves its stacks open.
pub(crate) struct Memory(&'static mut [u8]);

impl Memory {
    pub(crate) fn new(len: usize) -> Self {
        Self(vec![0; len].leak())
    }

    pub(crate) fn start(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

pub(crate) fn address(text: &str) -> mnet_addr {
    let mut address = mnet_addr::default();
    let status = unsafe { mnet_addr_parse(text.as_ptr().cast(), text.len(), &raw mut address) };
    assert_eq!(status, 0, "{text}");
    address
}

/// Every address of a stack's first interface.
pub(crate) fn addresses(stack: mnet_stack) -> Vec<mnet_address_info> {
    let mut all = Vec::new();
    loop {
        let mut info = std::mem::MaybeUninit::<mnet_address_info>::uninit();
        let size = size_of::<mnet_address_info>();
        match unsafe { mnet_address(stack, 0, all.len(), info.as_mut_ptr(), size) } {
            1 => all.push(unsafe { info.assume_init() }),
            0 => return all,
            error => panic!("{}", name(error.into())),
        }
    }
}

static SEED: [u8; 32] = [1; 32];

/// The defaults, with this arena, the address 10.0.0.`host` and a fixed seed.
pub(crate) fn config(memory: &mut Memory, host: u8) -> mnet_config {
    let mut config = std::mem::MaybeUninit::<mnet_config>::uninit();
    let status = unsafe { mnet_config_default(config.as_mut_ptr(), size_of::<mnet_config>()) };
    assert_eq!(status, 0);
    let mut config = unsafe { config.assume_init() };
    config.arena = memory.start();
    config.arena_size = memory.len();
    config.address = address(&format!("10.0.0.{host}"));
    config.seed = SEED.as_ptr();
    config.seed_len = SEED.len();
    config
}

/// The same for a stack without a device.
pub(crate) fn manual_config(memory: &mut Memory, host: u8) -> mnet_config {
    let mut config = config(memory, host);
    config.flags = MNET_CONFIG_MANUAL;
    config.hardware_address = [2, 0, 0, 0, 0, host];
    config
}

pub(crate) fn open(config: &mnet_config) -> mnet_stack {
    let stack = unsafe { mnet_open(config) };
    assert!(stack > 0, "mnet_open: {}", name(stack));
    stack
}

/// What an error is called.
pub(crate) fn name(code: i64) -> &'static str {
    let name = mnet_error_name(c_int::try_from(code).unwrap_or(1));
    unsafe { CStr::from_ptr(name) }.to_str().unwrap()
}

/// An echo server for TCP and UDP on port 7 of a manual stack, one step of it at a time.
pub(crate) struct EchoServer {
    stack: mnet_stack,
    listener: mnet_fd,
    udp: mnet_fd,
}

impl EchoServer {
    pub(crate) fn new(stack: mnet_stack, host: u8) -> Self {
        let local = address(&format!("10.0.0.{host}:7"));
        let options = mnet_listen_options {
            size: size_of::<mnet_listen_options>(),
            backlog: 16,
            max_connections: 0,
            fast_open: 16,
        };
        let listener = unsafe { mnet_listen_with(stack, &raw const local, &raw const options) };
        let udp = unsafe { mnet_udp_bind(stack, &raw const local) };
        assert!(listener > 0 && udp > 0);
        Self {
            stack,
            listener,
            udp,
        }
    }

    /// Takes in what is on the cable, answers, and says when it wants to be called again.
    pub(crate) fn turn(&mut self, now: u64) -> u64 {
        pump(self.stack, now);
        self.serve();
        pump(self.stack, now)
    }

    /// Answers what has arrived.
    pub(crate) fn serve(&mut self) {
        let mut events = [mnet_event {
            fd: 0,
            ready: 0,
            reserved: 0,
        }; 4];
        loop {
            let count = unsafe { mnet_events(self.stack, events.as_mut_ptr(), 4, -1) };
            if count == 0 {
                break;
            }
            for event in &events[..usize::try_from(count).unwrap()] {
                if event.fd == self.listener {
                    self.accept();
                } else if event.fd == self.udp {
                    self.datagrams();
                } else {
                    Self::echo(event.fd);
                }
            }
        }
    }

    fn accept(&self) {
        loop {
            let fd = unsafe { mnet_accept(self.listener, ptr::null_mut()) };
            if fd < 0 {
                assert_eq!(name(fd), "MNET_EAGAIN");
                break;
            }
            Self::echo(fd);
        }
    }

    fn echo(fd: mnet_fd) {
        loop {
            let mut data = ptr::null();
            let len = unsafe { mnet_peek(fd, &raw mut data) };
            match len {
                _ if len == i64::from(MNET_EAGAIN) => return,
                1.. => {}
                _ => break,
            }
            let taken = unsafe { mnet_write(fd, data, usize::try_from(len).unwrap()) };
            match taken {
                _ if taken == i64::from(MNET_EAGAIN) => return,
                0.. => assert_eq!(mnet_consume(fd, usize::try_from(taken).unwrap()), 0),
                _ => break,
            }
        }
        // The handle may be stale already: an event of a connection that has been closed.
        mnet_close(fd);
    }

    fn datagrams(&self) {
        let mut buffer = [0_u8; 65_536];
        loop {
            let mut remote = mnet_addr::default();
            let start = buffer.as_mut_ptr().cast();
            let len = unsafe { mnet_recvfrom(self.udp, start, buffer.len(), &raw mut remote) };
            let Ok(len) = usize::try_from(len) else { break };
            unsafe { mnet_sendto(self.udp, start, len, &raw const remote) };
        }
    }
}
