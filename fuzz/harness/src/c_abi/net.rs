//! The cable between the stacks of an input, and what goes on while one of them is inside a call.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use mnet_ffi::*;

use super::contract::name;
use super::host;

/// Stacks that an input can have open. One of them has a device, the others are manual.
pub(super) const SLOTS: usize = 3;
/// More than a frame of any stack.
const FRAME: usize = 65_600;
/// Frames that one turn may cause, and that wait for the device.
const MAX_FRAMES: usize = 2_000;
const MAX_WAITING: usize = 256;

/// What is open in a slot.
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    /// 0: nothing.
    pub(super) stack: mnet_stack,
    pub(super) manual: bool,
}

#[derive(Default)]
pub(super) struct Net {
    pub(super) slots: [Open; SLOTS],
    /// Every so manieth frame is lost, or changed with the uppermost bit; 0: none.
    pub(super) loss: u8,
    count: usize,
    /// The transaction and the hardware address of the last question to a DHCP server.
    pub(super) question: Option<([u8; 4], [u8; 6])>,
    /// Leases are wanted.
    pub(super) wants_leases: bool,
    /// Sockets of the stack with the device, to be used while it is inside a call.
    pub(super) intruders: Vec<mnet_fd>,
    /// Intrusions that were refused, as they must be.
    pub(super) refused: usize,
}

thread_local! {
    static NET: RefCell<Net> = RefCell::default();
    /// For frames on their way out of a stack; made once, because turns are many.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Never held while the library is called.
pub(super) fn with<T>(action: impl FnOnce(&mut Net) -> T) -> T {
    NET.with_borrow_mut(action)
}

/// Begins anew.
pub(super) fn reset() {
    with(|net| *net = Net::default());
    host::with(|host| {
        *host = host::Host {
            now: 1_000_000_000,
            meanwhile: Some(Box::new(|now| {
                intrude();
                turn(now, true)
            })),
            ..host::Host::default()
        }
    });
}

/// Lets every stack work until nothing is on the cable; says when the next one has something to do.
/// While the one with the device is inside a call it works by itself.
pub(super) fn turn(now: u64, inside: bool) -> u64 {
    let mut buffer = BUFFER.take();
    buffer.resize(FRAME, 0);
    let next = exchange(now, inside, &mut buffer);
    BUFFER.set(buffer);
    next
}

fn exchange(now: u64, inside: bool, buffer: &mut [u8]) -> u64 {
    let mut moved = 0;
    loop {
        let (mut next, mut is_quiet) = (u64::MAX, true);
        for slot in 0..SLOTS {
            let open = with(|net| net.slots[slot]);
            if open.stack == 0 {
                continue;
            }
            if open.manual || !inside {
                let mut deadline = 0;
                // SAFETY: a place for the deadline.
                let result = unsafe { mnet_step(open.stack, now, &raw mut deadline) };
                assert_eq!(result, 0, "an open stack does not step");
                next = next.min(deadline);
            }
            while let Some(frame) = sent(open, now, buffer) {
                moved += 1;
                assert!(moved < MAX_FRAMES, "the stacks do not stop sending");
                is_quiet = false;
                if let Some(frame) = on_the_cable(frame) {
                    deliver(slot, now, &frame);
                }
            }
        }
        if is_quiet {
            return next;
        }
    }
}

/// The next frame that a stack has sent.
fn sent(open: Open, now: u64, buffer: &mut [u8]) -> Option<Vec<u8>> {
    if !open.manual {
        return host::with(|host| host.sent.pop_front());
    }
    // SAFETY: the buffer is as long as it is said to be.
    let len = unsafe { mnet_frame_out(open.stack, now, buffer.as_mut_ptr().cast(), buffer.len()) };
    assert!(len >= 0, "mnet_frame_out() says {}", name(len));
    let len = usize::try_from(len).expect("not negative");
    (len > 0).then(|| buffer[..len].to_vec())
}

/// What becomes of a frame on its way.
fn on_the_cable(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    assert!(frame.len() >= 14);
    // A datagram to a DHCP server: who asks, and in which transaction.
    if frame.len() > 76 && frame[12..14] == [8, 0] && frame[23] == 17 && frame[36..38] == [0, 67] {
        let xid = frame[46..50].try_into().expect("four");
        let hardware = frame[70..76].try_into().expect("six");
        with(|net| net.question = Some((xid, hardware)));
    }
    let (loss, count) = with(|net| {
        net.count += 1;
        (net.loss, net.count)
    });
    if loss & 0x7f == 0 || count % usize::from(loss & 0x7f) != 0 {
        return Some(frame);
    }
    if loss & 0x80 == 0 {
        return None;
    }
    let at = count * 31 % frame.len();
    frame[at] ^= 0x11;
    Some(frame)
}

/// Hands a frame to all but its sender.
pub(super) fn deliver(from: usize, now: u64, frame: &[u8]) {
    for slot in (0..SLOTS).filter(|&slot| slot != from) {
        let open = with(|net| net.slots[slot]);
        match (open.stack, open.manual) {
            (0, _) => {}
            (stack, true) => {
                // SAFETY: the frame is as long as it is said to be.
                let result =
                    unsafe { mnet_frame_in(stack, now, frame.as_ptr().cast(), frame.len()) };
                assert_eq!(result, 0);
            }
            (_, false) => host::with(|host| {
                if (14..=1_514).contains(&frame.len()) && host.arriving.len() < MAX_WAITING {
                    host.arriving.push_back(frame.to_vec());
                }
            }),
        }
    }
}

/// Calls on the stack with the device, from within a function that it calls.
fn intrude() {
    let (open, sockets) = with(|net| {
        let open = net
            .slots
            .iter()
            .find(|open| open.stack != 0 && !open.manual);
        (open.copied(), net.intruders.clone())
    });
    if let Some(open) = open.filter(|_| !sockets.is_empty()) {
        refused(open.stack, &sockets);
    }
}

/// A stack that is inside a call answers all others by MNET_EBUSY.
fn refused(stack: mnet_stack, sockets: &[mnet_fd]) {
    let (mut byte, mut address) = (0_u8, mnet_addr::default());
    let (text, mut usage) = (b"10.0.0.1:7", mnet_usage::default());
    let mut entry = mnet_pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    };
    let mut results = Vec::new();
    // SAFETY: every pointer leads to a variable above.
    unsafe {
        mnet_addr_parse(text.as_ptr().cast(), text.len(), &raw mut address);
        results.extend([
            mnet_step(stack, 0, ptr::null_mut()).into(),
            mnet_close_stack(stack).into(),
            mnet_usage(stack, &raw mut usage, size_of::<mnet_usage>()).into(),
            mnet_listen(stack, &raw const address, 1),
            mnet_connect(stack, &raw const address, ptr::null(), 0),
            mnet_poll(stack, &raw mut entry, 1, -1),
            mnet_random(stack, (&raw mut byte).cast(), 1).into(),
            mnet_dhcp_stop(stack, 0, 1).into(),
        ]);
        for &fd in sockets {
            results.extend([
                mnet_read(fd, (&raw mut byte).cast(), 1),
                mnet_write(fd, (&raw const byte).cast(), 1),
                mnet_accept(fd, ptr::null_mut()),
                mnet_close(fd).into(),
                mnet_set_nodelay(fd, 1).into(),
                mnet_readiness(fd).into(),
            ]);
        }
    }
    for result in &results {
        assert_eq!(name(*result), "MNET_EBUSY");
    }
    with(|net| net.refused += results.len());
}

/// Decides about a lease for the stack in the slot that `context` says.
pub(super) unsafe extern "C" fn accept(
    context: *mut c_void,
    offered: *const mnet_dhcp_lease,
    previous: *const mnet_dhcp_lease,
) -> c_int {
    for lease in [offered, previous] {
        assert!(lease != offered || !lease.is_null());
        if !lease.is_null() {
            // SAFETY: not NULL, so it is a lease.
            let lease = unsafe { lease.read() };
            assert_eq!(lease.address.family, MNET_AF_INET);
            assert_eq!(lease.address.port, 0);
        }
    }
    let (open, wanted) = with(|net| (net.slots[context.addr()], net.wants_leases));
    refused(open.stack, &[]);
    wanted.into()
}
