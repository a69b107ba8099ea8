//! The tender's own part of a machine with a guest in ring 3: descriptor tables, and a few
//! instructions in ring 0 that turn every exception into an exit to the tender.
//!
//! All of it is in memory behind the guest's, which the guest's page tables reserve to ring 0. Each
//! exception has a gate, and behind each gate is a handler that writes to a port of its own and
//! returns. The tender finds the processor's frame on the handler's stack, and may change it.

use std::io;

use solo5_abi::hvt::{HYPERCALL_END, PORT_BASE, PORT_RING, has_error_code};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hvt::memory::Area;
use crate::hvt::paging::{Layout, Tables};
use crate::load::Protection;

/// Where the monitor's memory is in the machine: behind everything that a guest can have.
pub const BASE: u64 = 1 << 32;

/// Segment selectors.
pub mod selector {
    /// Code of the handlers.
    pub const KERNEL_CODE: u16 = 0x08;
    /// Data of ring 3.
    pub const USER_DATA: u16 = 0x18 | 3;
    /// Code of ring 3.
    pub const USER_CODE: u16 = 0x20 | 3;
    /// The task state segment.
    pub const TASK: u16 = 0x28;
}

const PAGE: usize = 4096;
/// Offsets of the parts, one page each, in front of the page tables.
const DESCRIPTORS: usize = 0;
const TASK_SEGMENT: usize = PAGE;
const HANDLERS: usize = 2 * PAGE;
const STACK: usize = 3 * PAGE;
const TABLES: usize = 4 * PAGE;

/// Descriptors: null, code and data of ring 0, data and code of ring 3, task state segment.
const GDT: [u64; 5] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];
/// Last byte of the global descriptor table, the task state segment's two words included.
pub const GDT_LIMIT: u16 = 7 * 8 - 1;
/// Where the interrupt descriptor table is on its page.
const IDT_OFFSET: usize = 0x200;
/// Last byte of the interrupt descriptor table.
pub const IDT_LIMIT: u16 = 32 * 16 - 1;

/// Bytes of a task state segment without its map of ports.
const TASK_LEN: usize = 104;
/// Ports that the map covers: all that mean something.
const PORTS: usize = PORT_RING as usize + 8;
/// Last byte of the task state segment: the map, and a byte of ones behind it.
pub const TASK_LIMIT: u32 = {
    #[allow(clippy::cast_possible_truncation, reason = "a few hundred")]
    let limit = (TASK_LEN + PORTS / 8) as u32;
    limit
};

/// First of the ports that handlers write to; exception `n` has the port `n` higher.
pub const PORT_EXCEPTION: u16 = 0xc0;
const EXCEPTIONS: u8 = 32;
/// Bytes from the handler of one exception to the next.
const HANDLER_LEN: usize = 16;

/// What the processor pushes for an exception in ring 3, as far as all have it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Frame {
    /// The instruction.
    pub rip: u64,
    /// Its code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

impl Frame {
    /// Whether it is the guest's code that was interrupted, not the handlers'.
    #[must_use]
    pub const fn is_of_guest(&self) -> bool {
        // Processors do not all say what they push beside the selector.
        self.cs & 0xffff == selector::USER_CODE as u64
    }
}

/// An exception of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its number, below 32.
    pub vector: u8,
    /// Its error code, 0 if it has none.
    pub error_code: u64,
    /// What the processor saved.
    pub frame: Frame,
    /// Where the frame is, as an offset in the monitor's memory.
    at: usize,
}

/// The monitor's memory.
#[derive(Debug)]
pub struct Monitor {
    area: Area,
}

/// A descriptor of a system segment.
const fn system_descriptor(base: u64, limit: u64, access: u64) -> [u64; 2] {
    let low = limit | (base & 0xff_ffff) << 16 | access << 40 | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// A gate to the handler of an exception.
const fn gate(handler: u64, stack: u64, privilege: u64) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00;
    let low = handler & 0xffff
        | (selector::KERNEL_CODE as u64) << 16
        | stack << 32
        | (PRESENT_INTERRUPT_GATE | privilege << 13) << 32
        | (handler & 0xffff_0000) << 32;
    [low, handler >> 32]
}

/// The instructions of a handler: writing to its port, dropping the error code, returning.
fn handler(vector: u8) -> Vec<u8> {
    let [port, _] = (PORT_EXCEPTION + u16::from(vector)).to_le_bytes();
    let mut code = vec![0xe6, port]; // out port, al
    if has_error_code(vector) {
        code.extend([0x48, 0x83, 0xc4, 0x08]); // add rsp, 8
    }
    code.extend([0x48, 0xcf]); // iretq
    code
}

/// A task state segment: the handlers' stack, and the ports that ring 3 may use.
fn task_segment() -> Vec<u8> {
    const RSP0: usize = 4;
    const IST1: usize = 36;
    const MAP_BASE: usize = 102;
    let mut task = vec![0; TASK_LEN];
    // The separate stack is for what may strike a handler, so the halves do not overlap.
    task[RSP0..RSP0 + 8].copy_from_slice(&(BASE + (STACK + PAGE) as u64).to_le_bytes());
    task[IST1..IST1 + 8].copy_from_slice(&(BASE + (STACK + PAGE / 2) as u64).to_le_bytes());
    task[MAP_BASE] = 104;
    let mut map = vec![0xff; PORTS / 8 + 1];
    let mut allow = |port: u16| {
        for port in usize::from(port)..usize::from(port) + 4 {
            map[port / 8] &= !(1 << (port % 8));
        }
    };
    (PORT_BASE..PORT_BASE + HYPERCALL_END).for_each(&mut allow);
    allow(PORT_RING);
    task.extend(map);
    task
}

impl Monitor {
    /// The monitor of a guest with this layout of memory.
    ///
    /// # Errors
    ///
    /// The host has no memory for it.
    pub fn new(layout: Layout<'_>) -> io::Result<Self> {
        const READ: Protection = Protection {
            read: true,
            write: false,
            execute: false,
        };
        const WRITE: Protection = Protection {
            write: true,
            ..READ
        };
        const EXECUTE: Protection = Protection {
            execute: true,
            ..READ
        };
        let at = |offset: usize| BASE + offset as u64;
        let mut tables = Tables::of_guest(at(TABLES), layout);
        for (part, protection) in [
            (DESCRIPTORS, READ),
            (TASK_SEGMENT, WRITE),
            (HANDLERS, EXECUTE),
            (STACK, WRITE),
        ] {
            tables.map_supervisor(at(part), at(part), protection);
        }
        let tables = tables.bytes();
        let mut area = Area::new(TABLES + tables.len())?;
        let mut put = |offset: usize, bytes: &[u8]| {
            if let Some(room) = area.bytes_mut(offset..offset + bytes.len()) {
                room.copy_from_slice(bytes);
            }
        };
        put(TABLES, &tables);
        put(TASK_SEGMENT, &task_segment());
        // Type 11: busy, as the processor leaves it that has loaded it.
        let task = system_descriptor(at(TASK_SEGMENT), TASK_LIMIT.into(), 0x8b);
        put(DESCRIPTORS, [&GDT[..], &task].concat().as_bytes());
        for vector in 0..EXCEPTIONS {
            let offset = HANDLERS + usize::from(vector) * HANDLER_LEN;
            put(offset, &handler(vector));
            let stack = u64::from(matches!(vector, 2 | 8 | 18));
            let privilege = if vector == 3 { 3 } else { 0 };
            let gate = gate(at(offset), stack, privilege);
            let entry = DESCRIPTORS + IDT_OFFSET + usize::from(vector) * 16;
            put(entry, gate.as_bytes());
        }
        Ok(Self { area })
    }

    /// Its memory.
    #[must_use]
    pub const fn area(&self) -> &Area {
        &self.area
    }

    /// Where its parts are in the machine: global descriptors, interrupt descriptors, task state
    /// segment, root of the page tables.
    #[must_use]
    pub const fn addresses(&self) -> [u64; 4] {
        [
            BASE + DESCRIPTORS as u64,
            BASE + (DESCRIPTORS + IDT_OFFSET) as u64,
            BASE + TASK_SEGMENT as u64,
            BASE + TABLES as u64,
        ]
    }

    /// The exception that wrote to this port, with the processor at `rip` and its stack at `rsp`.
    ///
    /// `None` if it was not a handler: ring 3 may reach these ports too on some machines, but it
    /// cannot be at these addresses.
    #[must_use]
    pub fn exception(&self, port: u16, rip: u64, rsp: u64) -> Option<Exception> {
        let vector = port
            .checked_sub(PORT_EXCEPTION)
            .and_then(|vector| u8::try_from(vector).ok())
            .filter(|&vector| vector < EXCEPTIONS)?;
        let handler = BASE + (HANDLERS + usize::from(vector) * HANDLER_LEN) as u64;
        if !(handler..handler + HANDLER_LEN as u64).contains(&rip) {
            return None;
        }
        let at = usize::try_from(rsp.checked_sub(BASE)?).ok()?;
        let (error_code, at) = if has_error_code(vector) {
            (self.read::<u64>(at)?, at + 8)
        } else {
            (0, at)
        };
        Some(Exception {
            vector,
            error_code,
            frame: self.read(at)?,
            at,
        })
    }

    /// The guest's frame, as of an exception, of a processor that was stopped at `rip` on its way
    /// back from a handler, with its stack at `rsp`.
    ///
    /// `None` if it is not there: it is elsewhere, or in front of the instruction that tells the tender.
    #[must_use]
    pub fn returning(&self, rip: u64, rsp: u64) -> Option<Exception> {
        let offset = usize::try_from(rip.checked_sub(BASE + HANDLERS as u64)?).ok()?;
        let vector = u8::try_from(offset / HANDLER_LEN).ok()?;
        if vector >= EXCEPTIONS || offset.is_multiple_of(HANDLER_LEN) {
            return None;
        }
        // Behind `out`, where there is an error code, it is still on the stack.
        let has_code = has_error_code(vector) && offset % HANDLER_LEN == 2;
        let at = usize::try_from(rsp.checked_sub(BASE)?).ok()? + if has_code { 8 } else { 0 };
        Some(Exception {
            vector,
            error_code: 0,
            frame: self.read(at)?,
            at,
        })
    }

    /// Whether this is an address in the monitor.
    #[must_use]
    pub const fn contains(rip: u64) -> bool {
        rip >= BASE && rip < BASE + TABLES as u64
    }

    /// Changes what the guest goes on with after the exception.
    pub fn resume_with(&self, exception: &Exception, frame: Frame) {
        if let Some(place) = self.on_stack(exception.at, size_of::<Frame>()) {
            // SAFETY: on the handlers' stack; the machine's processor is stopped.
            unsafe { place.cast::<Frame>().write_unaligned(frame) };
        }
    }

    fn read<T: FromBytes>(&self, at: usize) -> Option<T> {
        let place = self.on_stack(at, size_of::<T>())?;
        // SAFETY: on the handlers' stack; the machine's processor is stopped.
        Some(unsafe { place.cast::<T>().read_unaligned() })
    }

    /// Where so many bytes of the handlers' stack are, if they are on it.
    fn on_stack(&self, at: usize, len: usize) -> Option<*mut u8> {
        let end = at.checked_add(len)?;
        // SAFETY: the offset is inside the area.
        (at >= STACK && end <= STACK + PAGE).then(|| unsafe { self.area.as_ptr().add(at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor() -> Monitor {
        let layout = Layout {
            boot_end: 0x1_3000,
            segments: &[],
            size: 2 << 20,
            ring: None,
            guard: None,
        };
        Monitor::new(layout).unwrap()
    }

    #[test]
    fn exceptions_are_taken_from_handlers_only() {
        let monitor = monitor();
        let stack_end = BASE + (STACK + PAGE) as u64;
        let pushed = [7, 0x10_1234, 0x23, 0x202, 0x1f_fff8, 0x1b];
        let rsp = stack_end - 48;
        for (number, word) in pushed.iter().enumerate() {
            let place = monitor.on_stack(STACK + PAGE - 48 + 8 * number, 8).unwrap();
            // SAFETY: on the stack.
            unsafe { place.cast::<u64>().write_unaligned(*word) };
        }
        let page_fault = BASE + HANDLERS as u64 + 14 * 16;
        let port = PORT_EXCEPTION + 14;
        let exception = monitor.exception(port, page_fault + 2, rsp).unwrap();
        assert_eq!((exception.vector, exception.error_code), (14, 7));
        assert_eq!(exception.frame.rip, 0x10_1234);
        assert_eq!(exception.frame.ss, 0x1b);
        assert!(exception.frame.is_of_guest());
        // The handlers' code is not the guest's, nor is code that nobody has.
        for cs in [selector::KERNEL_CODE.into(), 0, 0x20] {
            assert!(
                !Frame {
                    cs,
                    ..exception.frame
                }
                .is_of_guest(),
                "{cs:#x}"
            );
        }
        let divide = BASE + HANDLERS as u64;
        let exception = monitor.exception(PORT_EXCEPTION, divide, rsp + 8).unwrap();
        assert_eq!((exception.vector, exception.error_code), (0, 0));
        assert_eq!(exception.frame.rip, 0x10_1234);

        for (port, rip, rsp) in [
            (port, 0x10_1234, rsp),
            (port, page_fault + 16, rsp),
            (port - 1, page_fault, rsp),
            (PORT_EXCEPTION + 32, page_fault, rsp),
            (PORT_EXCEPTION - 1, page_fault, rsp),
            (port, page_fault, stack_end),
            (port, page_fault, stack_end - 40),
            (port, page_fault, BASE),
            (port, page_fault, 0),
            (port, page_fault, u64::MAX),
        ] {
            assert_eq!(
                monitor.exception(port, rip, rsp),
                None,
                "{port:#x} {rip:#x}"
            );
        }
    }

    #[test]
    fn ring_3_may_use_the_ports_of_the_abi_only() {
        let task = task_segment();
        assert_eq!(task.len(), usize::try_from(TASK_LIMIT).unwrap() + 1);
        let map = &task[TASK_LEN..];
        let open = |port: usize| map[port / 8] & 1 << (port % 8) == 0;
        for port in 0..PORTS + 8 {
            let abi = (0x500..0x500 + 12).contains(&port) || (0x600..0x604).contains(&port);
            assert_eq!(open(port), abi, "{port:#x}");
        }
    }
}
