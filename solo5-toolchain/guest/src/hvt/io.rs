//! Network and block devices (solo5-abi sections 2.2, 11 and 12).

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use solo5_abi::constants::{ETHERNET_HEADER_LEN, MAX_MANIFEST_ENTRIES, PAGE_SIZE};
use solo5_abi::hvt::{BlockIo, Hypercall, NetIo, Outcome};
use solo5_abi::manifest::{DeviceType, ManifestEntry};
use solo5_sys::{solo5_handle_t, solo5_off_t, solo5_result_t};

use super::hypercall::{call, ring_doorbell, zero};
use super::time;
use crate::bindings::manifest::devices;
use crate::ring::{Doorbell, GuestRing, Layout, NetError};

/// Bytes by which a frame may be longer than MTU and Ethernet header: a VLAN tag.
const VLAN_TAG_LEN: usize = 4;

/// Page size in bytes.
const PAGE: usize = 0x1000;
const _: () = assert!(PAGE as u64 == PAGE_SIZE);

/// The ring's buffers take at most one part in this many of the heap.
const SHARE_OF_HEAP: usize = 8;

/// Turns of waiting before the processor is given away: the tender's side may be waiting for it.
const PATIENCE: u32 = 1 << 11;

/// For how long it is then given away, in nanoseconds.
const PAUSE: u64 = 50_000;

/// How often a sleeping tender's side is let sleep and a hypercall made instead, after each wait for
/// input: a few frames are not worth waking it, many are.
const DIRECT: u32 = 8;

/// The same after the tender's side had to be waited for long: it has no processor to itself.
const DIRECT_WHEN_SLOW: u32 = 1024;

/// Hypercalls left to be made instead of waking the tender's side.
static DIRECT_LEFT: AtomicU32 = AtomicU32::new(DIRECT);

/// The ring, if there is one.
struct Shared(UnsafeCell<GuestRing>);

// SAFETY: there is one thread.
unsafe impl Sync for Shared {}

static RING: Shared = Shared(UnsafeCell::new(GuestRing::ABSENT));

/// The ring.
///
/// # Safety
///
/// The reference ends before this is called again.
unsafe fn ring() -> &'static mut GuestRing {
    // SAFETY: there is one thread, and the caller's reference is the only one.
    unsafe { &mut *RING.0.get() }
}

/// The machine as the ring sees it.
struct Machine;

impl Doorbell for Machine {
    fn ring(&mut self) {
        ring_doorbell();
    }

    fn wait(&mut self, turns: u32) {
        if turns < PATIENCE {
            spin_loop();
        } else {
            DIRECT_LEFT.store(DIRECT_WHEN_SLOW, Relaxed);
            time::poll(PAUSE);
        }
    }
}

/// Whether to ask the tender directly, past the ring.
fn is_direct(ring: &GuestRing) -> bool {
    let left = DIRECT_LEFT.load(Relaxed);
    if left == 0 || !ring.is_idle() {
        return false;
    }
    DIRECT_LEFT.store(left - 1, Relaxed);
    true
}

/// Handles of the network devices.
fn net_handles() -> impl Iterator<Item = (usize, &'static ManifestEntry)> {
    let net = |&(_, entry): &(usize, &ManifestEntry)| {
        entry.is_attached() && entry.device_type() == DeviceType::Net
    };
    devices().0.iter().enumerate().filter(net)
}

/// The longest frame of a device in bytes.
fn longest_frame(entry: &ManifestEntry) -> usize {
    usize::from(entry.mtu()) + ETHERNET_HEADER_LEN + VLAN_TAG_LEN
}

/// Takes the ring at this address into use, if there is one and memory for its buffers. Bytes at
/// the start of the heap that they use.
///
/// # Safety
///
/// `ring` comes from a tender's boot information, and nobody else uses the heap.
pub(super) unsafe fn start(ring_at: Option<u64>, heap_start: usize, heap_size: usize) -> usize {
    let Some(address) = ring_at.and_then(|address| usize::try_from(address).ok()) else {
        return 0;
    };
    let longest = net_handles().map(|(_, entry)| longest_frame(entry)).max();
    let layout = longest
        .and_then(|frame| Layout::new(net_handles().count(), frame, heap_size / SHARE_OF_HEAP));
    let Some(layout) = layout else {
        return 0;
    };
    let used = layout.total.next_multiple_of(PAGE);
    // SAFETY: the tender provides a fresh ring, aligned to a page; the buffers are the caller's
    // heap, which is larger than them; no other reference to the ring exists.
    unsafe {
        ring().open(
            address,
            heap_start,
            layout,
            net_handles().map(|(handle, _)| handle),
        );
    }
    used
}

/// Lets frames that were sent reach the tender before the end that the application wants. Not for
/// traps and panics, which may come while the ring is in use.
pub(super) fn finish() {
    // SAFETY: this reference ends here.
    let ring = unsafe { ring() };
    if net_handles().any(|(handle, _)| ring.has(handle)) {
        ring.drain(&mut Machine);
    }
}

/// Waits for input, at most so many nanoseconds: the devices that have some.
pub(super) fn wait(timeout: u64) -> u64 {
    // SAFETY: this reference ends before `poll`, which does not touch the ring.
    let ring = unsafe { ring() };
    let mut served = net_handles().filter(|&(handle, _)| ring.has(handle));
    let (first, more) = (served.next(), served.next().is_some());
    if first.is_none() {
        return time::poll(timeout);
    }
    // While the other side is awake, asking it is cheaper than leaving the machine.
    let held = if timeout == 0 && !ring.is_asleep() {
        return ring.look(&mut Machine);
    } else {
        ring.held(&mut Machine)
    };
    match held {
        0 => {
            DIRECT_LEFT.fetch_max(DIRECT, Relaxed);
            time::poll(timeout)
        }
        // A busy device must not hide the others.
        held if more => held | time::poll(0),
        held => held,
    }
}

/// What the tender's result means to the caller.
fn result(ret: i32) -> solo5_result_t {
    match Outcome::from_raw(ret) {
        Outcome::Ok => solo5_result_t::SOLO5_R_OK,
        Outcome::Again => solo5_result_t::SOLO5_R_AGAIN,
        Outcome::Invalid => solo5_result_t::SOLO5_R_EINVAL,
        Outcome::Unspecified => solo5_result_t::SOLO5_R_EUNSPEC,
    }
}

/// The index of a network device, if this is its handle, and its entry.
fn net_device(handle: solo5_handle_t) -> Option<(usize, &'static ManifestEntry)> {
    let entry = devices().get(handle, DeviceType::Net)?;
    let index = usize::try_from(handle).ok()?;
    (index < MAX_MANIFEST_ENTRIES).then_some((index, entry))
}

/// `solo5_net_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(
    handle: solo5_handle_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    let Some((index, entry)) = net_device(handle) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    // What is no frame ends some tenders.
    if size < ETHERNET_HEADER_LEN || size > longest_frame(entry) {
        return solo5_result_t::SOLO5_R_EUNSPEC;
    }
    // SAFETY: this reference ends here.
    let ring = unsafe { ring() };
    if ring.has(index) && !is_direct(ring) {
        // SAFETY: the caller keeps to `solo5.h`.
        return match unsafe { ring.send(index, buf, size, &mut Machine) } {
            Ok(()) => solo5_result_t::SOLO5_R_OK,
            Err(_) => solo5_result_t::SOLO5_R_EUNSPEC,
        };
    }
    let mut io = NetIo {
        handle,
        data: buf.expose_provenance() as u64,
        len: size as u64,
        ret: zero(),
        ..NetIo::default()
    };
    // SAFETY: the tender reads the frame and writes to the argument.
    unsafe { call(Hypercall::NetWrite, &mut io) };
    result(io.ret)
}

/// `solo5_net_read`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: solo5_handle_t,
    buf: *mut u8,
    size: usize,
    read_size: *mut usize,
) -> solo5_result_t {
    let Some((index, _)) = net_device(handle) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    if read_size.is_null() {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    // SAFETY: this reference ends here.
    let ring = unsafe { ring() };
    let len = if ring.has(index) && (ring.holds_frame(index) || !is_direct(ring)) {
        // SAFETY: the caller keeps to `solo5.h`.
        match unsafe { ring.receive(index, buf, size, &mut Machine) } {
            Ok(len) => len,
            Err(NetError::Again) => return solo5_result_t::SOLO5_R_AGAIN,
            Err(NetError::Unspecified) => return solo5_result_t::SOLO5_R_EUNSPEC,
        }
    } else {
        let mut io = NetIo {
            handle,
            data: buf.expose_provenance() as u64,
            len: size as u64,
            ret: zero(),
            ..NetIo::default()
        };
        // SAFETY: the tender writes a frame to the caller's buffer, and to the argument.
        unsafe { call(Hypercall::NetRead, &mut io) };
        if Outcome::from_raw(io.ret) != Outcome::Ok {
            return result(io.ret);
        }
        usize::try_from(io.len).unwrap_or(0)
    };
    // SAFETY: the caller keeps to `solo5.h`.
    unsafe { read_size.write_unaligned(len) };
    solo5_result_t::SOLO5_R_OK
}

/// Reads or writes one block.
fn block(
    number: Hypercall,
    handle: solo5_handle_t,
    offset: solo5_off_t,
    data: u64,
    size: usize,
) -> solo5_result_t {
    if devices().block(handle, offset, size).is_none() {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    let mut io = BlockIo {
        handle,
        offset,
        data,
        len: size as u64,
        ret: zero(),
        ..BlockIo::default()
    };
    // SAFETY: the tender reads or writes the caller's buffer, and writes to the argument.
    unsafe { call(number, &mut io) };
    result(io.ret)
}

/// `solo5_block_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    let data = buf.expose_provenance() as u64;
    block(Hypercall::BlockWrite, handle, offset, data, size)
}

/// `solo5_block_read`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *mut u8,
    size: usize,
) -> solo5_result_t {
    let data = buf.expose_provenance() as u64;
    block(Hypercall::BlockRead, handle, offset, data, size)
}
