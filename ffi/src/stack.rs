//! Opening and closing stacks, and driving them from outside.

use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_int};
use core::mem::offset_of;
use core::net::IpAddr;
use core::time::Duration;

use mnet::mnet_core::config::Limits;
use mnet::solo5::{NetDevice, Solo5};
use mnet::{Config, Device, Instant, InterfaceConfig, Platform, Runtime};

use crate::arena::Claim;
use crate::error::{Error, length, status, value};
use crate::interfaces::number_of;
use crate::pointer::{self, Out};
use crate::registry::{self, DEVICE_NAME_SIZE, Host, Opened, Place, Tables};
use crate::settings;
use crate::types::{
    MNET_CONFIG_ARENA_ZERO, MNET_CONFIG_MANUAL, MNET_CONFIG_NETWORK_EVENTS,
    MNET_CONFIG_NO_AUTOTUNING, MNET_CONFIG_NO_MTU_PROBING, MNET_CONFIG_NO_PACING,
    MNET_CONFIG_NODELAY, MNET_CONFIG_NONBLOCKING, MNET_NEVER, mnet_addr, mnet_config, mnet_stack,
};

/// Longest device name of a manifest, without the NUL.
const MAX_NAME: usize = 67;
/// What an arena needs beside the memory that the core accounts for: the stack's own structures and
/// the allocator's tables.
const BASE_OVERHEAD: usize = 32 << 10;
/// The core's account of its tables is an estimate: one part in so many is kept back.
const ESTIMATE_MARGIN: usize = 32;
/// By default there is room for an interface in each so many bytes of the arena, within bounds.
const ARENA_PER_INTERFACE: usize = 256 << 10;

/// Fills a configuration with the defaults: no arena yet, device "service", no address, prefix
/// length 24, seed from the processor, limits derived from the arena.
///
/// - config: the structure to fill.
/// - size: sizeof (struct mnet_config), so that the library knows how old the caller is.
///
/// Returns 0, or MNET_EINVAL: config is NULL, or size is not that of any version.
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_config_default(config: *mut mnet_config, size: usize) -> c_int {
    let fill = || {
        if size < offset_of!(mnet_config, now) + size_of::<u64>() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let defaults = mnet_config {
            size,
            arena: core::ptr::null_mut(),
            arena_size: 0,
            device: c"service".as_ptr(),
            address: mnet_addr::default(),
            gateway: mnet_addr::default(),
            prefix_len: 24,
            flags: 0,
            seed: core::ptr::null(),
            seed_len: 0,
            busy_poll_ns: 0,
            max_connections: 0,
            max_half_open: 0,
            max_time_wait: 0,
            max_listeners: 0,
            max_udp_sockets: 0,
            tcp_receive_buffer: 0,
            tcp_send_buffer: 0,
            mtu: 0,
            hardware_address: [0; 6],
            reserved: [0; 2],
            now: 0,
            tcp_keepalive_idle_ns: 0,
            tcp_keepalive_interval_ns: 0,
            tcp_user_timeout_ns: 0,
            tcp_connect_timeout_ns: 0,
            tcp_delayed_ack_ns: 0,
            tcp_keepalive_count: 0,
            tcp_congestion: 0,
            tcp_ttl: 0,
            tcp_dscp: 0,
            tcp_ecn: 0,
            max_connections_per_peer: 0,
            tcp_zero_window_timeout_ns: 0,
            tcp_syn_cookies: 0,
            tcp_syn_retries: 0,
            tcp_syn_ack_retries: 0,
            reserved2: 0,
            max_mtu: 0,
            max_interfaces: 0,
            fiber_memory: 0,
        };
        // SAFETY: as the header says: NULL, or `size` bytes that may be written.
        unsafe { pointer::write_sized(config, size, &defaults) }
    };
    status(fill())
}

/// Opens a stack on a network device of the manifest.
///
/// - config: see struct mnet_config. Copied; only the arena is used after the call.
///
/// Returns the stack, or
///   MNET_EINVAL          NULL, a member out of range, a seed that is not 32 bytes, an unknown flag
///   MNET_ENOMEM          the arena is too small, or the limits are too large for it
///   MNET_EBUSY           the device or part of the arena belongs to another stack
///   MNET_ENODEV          the manifest has no network device of this name
///   MNET_EADDRNOTAVAIL   not an address that a host can have (multicast, broadcast, 0.0.0.0)
///   MNET_EGATEWAY        the gateway is not on the network of the address
///   MNET_EAFNOSUPPORT    not an IPv4 address
///   MNET_ENTROPY         no seed was given, and the processor has no random source
///   MNET_ELIMIT          8 stacks are open
/// On an error nothing has changed. Does not block. The address is announced by ARP (RFC 5227
/// section 3) with the first frames that are sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_open(config: *const mnet_config) -> mnet_stack {
    let smallest = offset_of!(mnet_config, now) + size_of::<u64>();
    // SAFETY: as the header says: NULL, or a structure of the size in its first member. Its
    // members are integers and pointers, so every bit pattern is a value.
    let config = match unsafe { pointer::read_sized(config, smallest) } {
        Ok(config) => config,
        Err(error) => return i64::from(error.code()),
    };
    // SAFETY: as the header says: what the structure points to exists.
    value(registry::insert(|place| unsafe { open(&config, place) }))
}

/// # Safety
/// What `config` points to exists, and the arena belongs to the stack until it is closed.
unsafe fn open(config: &mnet_config, place: Place) -> Result<(Box<Opened>, Claim), Error> {
    const FLAGS: u32 = MNET_CONFIG_MANUAL
        | MNET_CONFIG_NONBLOCKING
        | MNET_CONFIG_NODELAY
        | MNET_CONFIG_ARENA_ZERO
        | MNET_CONFIG_NO_AUTOTUNING
        | MNET_CONFIG_NO_PACING
        | MNET_CONFIG_NETWORK_EVENTS
        | MNET_CONFIG_NO_MTU_PROBING;
    if config.flags & !FLAGS != 0 || config.reserved != [0; 2] || config.reserved2 != 0 {
        return Err(Error::INVALID);
    }
    let manual = config.flags & MNET_CONFIG_MANUAL != 0;
    // SAFETY: the caller vouches for the seed.
    let seed = unsafe { seed(config) }?;
    let address = config.address.optional()?.map(|address| address.ip());
    let gateway = config.gateway.optional()?.map(|gateway| gateway.ip());
    let prefix_len = u8::try_from(config.prefix_len).map_err(|_| Error::INVALID)?;
    if !(1..=32).contains(&prefix_len) {
        return Err(Error::INVALID);
    }
    let (device, name) = if manual {
        (None, [0; DEVICE_NAME_SIZE])
    } else {
        // SAFETY: the caller vouches for the name.
        let (device, name) = unsafe { acquire(config.device) }?;
        (Some(device), name)
    };
    let mtu = match (&device, config.mtu) {
        (Some(device), 0) => device.mtu(),
        (None, 0) => 1_500,
        (None, mtu) => size(mtu),
        (Some(_), _) => return Err(Error::INVALID),
    };

    let max_mtu = match config.max_mtu {
        0 => mtu,
        max_mtu => size(max_mtu),
    };
    if max_mtu < mtu {
        return Err(Error::INVALID);
    }

    let mut core_config = core_config(config, max_mtu)?;
    let stack_size = config.arena_size.saturating_sub(config.fiber_memory);
    let tables = reserve(&mut core_config, stack_size)?;
    let zeroed = config.flags & MNET_CONFIG_ARENA_ZERO != 0;
    // SAFETY: the caller grants the arena.
    let claim = unsafe {
        let (arena, size) = (config.arena.cast::<u8>(), config.arena_size);
        Claim::new(place.slot, arena, stack_size..size, zeroed)
    }?;
    let stack = claim.provide(|| {
        let host = Host {
            manual: manual.then(|| Instant::from_nanos(config.now)),
        };
        let mut runtime = Runtime::new(&core_config, host, seed)?;
        runtime.set_busy_poll(Duration::from_nanos(config.busy_poll_ns));
        let now = runtime.now();
        let interface = match device {
            Some(device) => runtime.attach(device)?,
            None => {
                let hardware_address = config.hardware_address;
                let interface = InterfaceConfig {
                    hardware_address,
                    mtu,
                };
                runtime.stack_mut().add_interface(now, interface)?
            }
        };
        if let Some(address) = address {
            runtime
                .stack_mut()
                .add_address(now, interface, address, prefix_len)?;
        }
        if let Some(gateway) = gateway {
            let everything = IpAddr::from([0, 0, 0, 0]);
            runtime
                .stack_mut()
                .add_route(everything, 0, gateway, interface)?;
        }
        let nonblocking = manual || config.flags & MNET_CONFIG_NONBLOCKING != 0;
        let mut opened = Opened::new(runtime, (interface, manual), nonblocking, &tables, place);
        opened.note_interface(mtu, name);
        opened.fiber_memory = (
            config.arena.cast::<u8>().wrapping_add(stack_size),
            config.fiber_memory,
        );
        opened.network_events = config.flags & MNET_CONFIG_NETWORK_EVENTS != 0;
        Ok::<_, Error>(Box::new(opened))
    })?;
    Ok((stack, claim))
}

/// A 32-bit number of the configuration as a size.
pub(crate) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// # Safety
/// The seed is NULL or has as many bytes as `config` says.
unsafe fn seed(config: &mnet_config) -> Result<Option<[u8; 32]>, Error> {
    if config.seed.is_null() && config.seed_len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise is the one asked for.
    let bytes = unsafe { pointer::input(config.seed.cast(), config.seed_len) }?;
    bytes.try_into().map(Some).map_err(|_| Error::INVALID)
}

/// A network device of the manifest, and its name with zeros behind it.
///
/// # Safety
/// `name` is NULL or a C string.
pub(crate) unsafe fn acquire(
    name: *const c_char,
) -> Result<(NetDevice, [u8; DEVICE_NAME_SIZE]), Error> {
    if name.is_null() {
        return Err(Error::INVALID);
    }
    let mut copy = [0_u8; DEVICE_NAME_SIZE];
    for (index, byte) in copy.iter_mut().take(MAX_NAME + 1).enumerate() {
        // SAFETY: every byte before this one was no NUL, so the string goes on.
        *byte = unsafe { name.cast::<u8>().add(index).read() };
        if *byte == 0 {
            break;
        }
    }
    let name = CStr::from_bytes_until_nul(&copy).map_err(|_| Error::NO_DEVICE)?;
    let name = name.to_str().map_err(|_| Error::NO_DEVICE)?;
    match solo5::Net::acquire(name) {
        Ok(net) => Ok((NetDevice::new(net), copy)),
        Err(solo5::AcquireError::InUse) => Err(Error::BUSY),
        Err(_) => Err(Error::NO_DEVICE),
    }
}

/// The core's configuration, with everything but the memory.
fn core_config(config: &mnet_config, mtu: usize) -> Result<Config, Error> {
    let limit = |number: u32| (number != 0).then(|| size(number));
    let mut core_config = Config {
        max_mtu: mtu,
        max_interfaces: limit(config.max_interfaces)
            .unwrap_or((config.arena_size / ARENA_PER_INTERFACE).clamp(2, 8)),
        max_connections: limit(config.max_connections),
        max_half_open: limit(config.max_half_open),
        max_time_wait: limit(config.max_time_wait),
        max_connections_per_peer: limit(config.max_connections_per_peer),
        ..Config::default()
    };
    let set = |to: &mut usize, number: u32| *to = limit(number).unwrap_or(*to);
    set(&mut core_config.max_listeners, config.max_listeners);
    set(&mut core_config.max_udp_sockets, config.max_udp_sockets);
    set(
        &mut core_config.tcp.receive_buffer,
        config.tcp_receive_buffer,
    );
    set(&mut core_config.tcp.send_buffer, config.tcp_send_buffer);
    let tcp = &mut core_config.tcp;
    tcp.nodelay = config.flags & MNET_CONFIG_NODELAY != 0;
    if config.tcp_keepalive_idle_ns != 0 {
        tcp.keepalive = Some(settings::keepalive(
            config.tcp_keepalive_idle_ns,
            config.tcp_keepalive_interval_ns,
            config.tcp_keepalive_count,
        )?);
    }
    if let Some(time) = settings::optional(config.tcp_user_timeout_ns) {
        tcp.user_timeout = time;
    }
    tcp.connect_timeout = settings::optional(config.tcp_connect_timeout_ns);
    if let Some(time) = settings::optional(config.tcp_delayed_ack_ns) {
        tcp.delayed_ack = time;
    }
    if let Some(algorithm) = settings::algorithm(config.tcp_congestion)? {
        tcp.congestion = algorithm;
    }
    if let Some(mode) = settings::ecn_mode(config.tcp_ecn)? {
        tcp.ecn = mode;
    }
    if config.tcp_ttl != 0 {
        tcp.time_to_live = u8::try_from(config.tcp_ttl).map_err(|_| Error::INVALID)?;
    }
    if let Some(mode) = settings::syn_cookies(config.tcp_syn_cookies)? {
        tcp.syn_cookies = mode;
    }
    if let Some(retries) = settings::retries(config.tcp_syn_retries)? {
        tcp.syn_retries = retries;
    }
    if let Some(retries) = settings::retries(config.tcp_syn_ack_retries)? {
        tcp.syn_ack_retries = retries;
    }
    tcp.zero_window_timeout = settings::optional(config.tcp_zero_window_timeout_ns);
    tcp.autotuning = config.flags & MNET_CONFIG_NO_AUTOTUNING == 0;
    tcp.pacing = config.flags & MNET_CONFIG_NO_PACING == 0;
    tcp.mtu_probing = config.flags & MNET_CONFIG_NO_MTU_PROBING == 0;
    tcp.dscp = u8::try_from(config.tcp_dscp).map_err(|_| Error::INVALID)?;
    Ok(core_config)
}

/// Decides how much of the arena the core gets. An allocation that fails ends the program, so all
/// that could fail for want of memory is refused here.
fn reserve(core_config: &mut Config, arena_size: usize) -> Result<Tables, Error> {
    let fixed = BASE_OVERHEAD + size_of::<Opened>() + 2 * core_config.max_mtu;
    // First with everything, for the limits that follow; then less what they cost beside.
    core_config.memory = arena_size.saturating_sub(fixed) / ESTIMATE_MARGIN * (ESTIMATE_MARGIN - 1);
    let limits = Limits::derive(core_config)?;
    let tables = Tables::new(core_config, &limits);
    core_config.memory = core_config.memory.saturating_sub(tables.extra_bytes());
    // With less memory the derived limits can only shrink.
    Limits::derive(core_config)?;
    Ok(tables)
}

/// Closes a stack: its sockets become stale, its device is released, its arena is the caller's
/// again. Peers are not told; to part from them, close the sockets and go on driving the stack
/// until mnet_usage() shows no connections.
///
/// Returns 0, or
///   MNET_EBADF   no such stack; 0 and below are accepted as "none" and harmless
///   MNET_EBUSY   a call on this stack has not returned, or a fiber of it has not ended: mnet_cancel_all()
///                first. Fibers that have ended and channels go with the stack.
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_close_stack(stack: mnet_stack) -> c_int {
    if stack <= 0 {
        return 0;
    }
    status(registry::remove(stack))
}

/// The clock of all stacks that have a device: nanoseconds since some fixed point before the
/// program started. Never goes back. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_now() -> u64 {
    Solo5.now().as_nanos()
}

/// Drives a stack from outside: sends what is queued, takes in what the device has received (64
/// frames at most), runs the timers that are due, and fibers that are ready. Never sleeps.
///
/// For owners of an event loop. Call it when a frame has arrived, when the deadline has come, and
/// after calls that queue something to send; then look at mnet_events() or mnet_poll() with
/// timeout 0. On a manual stack it only runs the timers and the fibers.
///
/// - now: the time, mnet_now() for a stack with a device. A time before one seen earlier counts as
///   that one.
/// - next_deadline: receives when to call again at the latest; MNET_NEVER: only when a frame
///   arrives or something was queued. May be NULL.
///
/// Returns 0, or
///   MNET_EBADF    no such stack
///   MNET_EBUSY    a call on this stack has not returned
///   MNET_EINVAL   now is MNET_NEVER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_step(stack: mnet_stack, now: u64, next_deadline: *mut u64) -> c_int {
    let step = || {
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::optional(next_deadline) }?;
        let now = instant(now)?;
        let (mut next, fibers) = registry::with_stack(stack, |stack| {
            if !stack.manual {
                return Ok((stack.runtime.step(now), stack.fibers));
            }
            stack.runtime.set_now(now);
            stack.runtime.handle_timeout();
            Ok((stack.runtime.next_timeout(), stack.fibers))
        })?;
        if let Some(fibers) = fibers {
            next = (fibers.hooks.step)(stack)?;
        }
        out.write(next.map_or(MNET_NEVER, Instant::as_nanos));
        Ok(())
    };
    status(step())
}

fn instant(now: u64) -> Result<Instant, Error> {
    if now == MNET_NEVER {
        Err(Error::INVALID)
    } else {
        Ok(Instant::from_nanos(now))
    }
}

/// Hands a received frame to a manual stack (MNET_CONFIG_MANUAL): to its first interface, as
/// mnet_frame_in_on() does to any.
///
/// - now: the time, as for mnet_step().
/// - frame, len: the frame with its Ethernet header and without checksum (FCS). Copied.
///
/// Returns 0: the stack has looked at the frame, and counted it if it dropped it; or
///   MNET_EBADF    no such stack
///   MNET_EBUSY    a call on this stack has not returned
///   MNET_EINVAL   not a manual stack, frame is NULL, or now is MNET_NEVER
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_frame_in(
    stack: mnet_stack,
    now: u64,
    frame: *const core::ffi::c_void,
    len: usize,
) -> c_int {
    // SAFETY: what the header says is the same.
    unsafe { mnet_frame_in_on(stack, 0, now, frame, len) }
}

/// Hands a received frame to an interface of a manual stack (MNET_CONFIG_MANUAL). A frame with the tag
/// of a VLAN goes to the VLAN's parent.
///
/// - interface: counted from 1; 0: the first.
/// - now: the time, as for mnet_step().
/// - frame, len: the frame with its Ethernet header and without checksum (FCS). Copied.
///
/// Returns 0: the stack has looked at the frame, and counted it if it dropped it; or
///   MNET_EBADF    no such stack
///   MNET_EBUSY    a call on this stack has not returned
///   MNET_EINVAL   not a manual stack, no such interface, frame is NULL, or now is MNET_NEVER
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_frame_in_on(
    stack: mnet_stack,
    interface: u32,
    now: u64,
    frame: *const core::ffi::c_void,
    len: usize,
) -> c_int {
    let receive = || {
        // SAFETY: as the header says: NULL, or `len` bytes.
        let frame = unsafe { pointer::input(frame, len) }?;
        let now = instant(now)?;
        registry::with_stack(stack, |stack| {
            if !stack.manual {
                return Err(Error::INVALID);
            }
            let interface = stack.interface_of(interface)?;
            stack.runtime.set_now(now);
            let now = stack.runtime.now();
            stack
                .runtime
                .stack_mut()
                .receive_copy(now, interface, frame);
            Ok(())
        })
    };
    status(receive())
}

/// Takes the next frame that a manual stack (MNET_CONFIG_MANUAL) has to send. Call it until it
/// returns 0 after each batch of other calls.
///
/// - now: the time, as for mnet_step().
/// - buf, len: where the frame goes; len must be at least the MTU plus 14, or plus 18 if there are
///   VLANs.
///
/// Which interface it leaves by, mnet_frame_out_on() tells as well.
///
/// Returns the length of the frame, 0 if there is none, or
///   MNET_EBADF      no such stack
///   MNET_EBUSY      a call on this stack has not returned
///   MNET_EINVAL     not a manual stack, buf is NULL, or now is MNET_NEVER
///   MNET_EMSGSIZE   len is too small; no frame was taken
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_frame_out(
    stack: mnet_stack,
    now: u64,
    buf: *mut core::ffi::c_void,
    len: usize,
) -> i64 {
    // SAFETY: what the header says is the same, and NULL means that the interface is not asked for.
    unsafe { mnet_frame_out_on(stack, core::ptr::null_mut(), now, buf, len) }
}

/// Takes the next frame that a manual stack (MNET_CONFIG_MANUAL) has to send, as mnet_frame_out()
/// does, and tells where.
///
/// - interface: receives the number of the interface that it leaves by, counted from 1; for a frame of
///   a VLAN, which has its tag, the number of the parent. NULL: not asked for.
/// - now: the time, as for mnet_step().
/// - buf, len: where the frame goes; len must be at least the largest MTU plus 14, or plus 18 if there
///   are VLANs.
///
/// Returns the length of the frame, 0 if there is none, or
///   MNET_EBADF      no such stack
///   MNET_EBUSY      a call on this stack has not returned
///   MNET_EINVAL     not a manual stack, buf is NULL, or now is MNET_NEVER
///   MNET_EMSGSIZE   len is too small; no frame was taken
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_frame_out_on(
    stack: mnet_stack,
    interface: *mut u32,
    now: u64,
    buf: *mut core::ffi::c_void,
    len: usize,
) -> i64 {
    let transmit = || {
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::optional(interface) }?;
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        let now = instant(now)?;
        registry::with_stack(stack, |stack| {
            if !stack.manual {
                return Err(Error::INVALID);
            }
            if buffer.len() < stack.frame_len {
                return Err(Error::TOO_LONG);
            }
            stack.runtime.set_now(now);
            let now = stack.runtime.now();
            let Some(frame) = stack.runtime.stack_mut().transmit(now) else {
                return Ok(0);
            };
            let interface = number_of(frame.interface);
            let mut rest = buffer;
            let mut total = 0;
            for slice in &frame.slices {
                let (place, after) = rest
                    .split_at_mut_checked(slice.len())
                    .ok_or(Error::TOO_LONG)?;
                place.copy_from_slice(slice);
                total += slice.len();
                rest = after;
            }
            out.write(interface);
            Ok(length(total))
        })
    };
    value(transmit())
}
