//! The bindings for the hvt target: a virtual machine with eight hypercalls.
//!
//! - `hypercall`: making them
//! - `traps`: descriptor tables, and what happens when the processor finds fault
//! - `io`: devices
//! - `time`: clocks, and waiting
//!
//! Other tenders start an image in ring 0. Then its descriptor tables are ours to set up, and it
//! is us who report a trap. Our tender starts it in ring 3 and says so (`EXTENSIONS`): the tables are
//! the tender's, out of our reach, and so are traps.

mod hypercall;
mod io;
mod time;
mod traps;

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use solo5_abi::constants::{AbiTarget, HVT_ABI_VERSION};
use solo5_abi::extension::{FEATURE_RING3, Note};
use solo5_abi::hvt::{Halt, HvtBootInfo, Hypercall, Puts};
use solo5_abi::note::Abi1Note;

pub(crate) use solo5_abi::hvt::HvtBootInfo as BootInfo;

use hypercall::{call, zero};

/// Says what tender the image is for.
pub(crate) const ABI_NOTE: Abi1Note = Abi1Note::new(AbiTarget::Hvt, HVT_ABI_VERSION);

/// Says that the image can start in ring 3.
#[used]
#[unsafe(link_section = ".note.mnet")]
static EXTENSIONS: Note<&AtomicU64> = Note::new(FEATURE_RING3, &ANSWER);

/// What the tender makes of [`EXTENSIONS`].
///
/// It is among the data that come from the file, so that it is there before the tender starts us.
#[unsafe(link_section = ".data.answer")]
static ANSWER: AtomicU64 = AtomicU64::new(0);

/// Whether the tender started us in ring 3.
fn in_ring3() -> bool {
    ANSWER.load(Relaxed) & FEATURE_RING3 != 0
}

/// Takes over the processor, if it was left to us.
pub(crate) fn prepare() {
    if !in_ring3() {
        traps::prepare();
    }
}

/// Starts clock and devices. The number of bytes at the start of the heap that they use, a multiple
/// of the page size.
///
/// # Safety
///
/// `boot` must be what a tender left, and nobody else uses the heap.
pub(crate) unsafe fn start(boot: &HvtBootInfo, heap_start: usize, heap_size: usize) -> usize {
    time::start(boot.cpu_cycle_freq);
    // SAFETY: the caller vouches for both.
    unsafe { io::start(boot.ring(), heap_start, heap_size) }
}

/// Sets the thread pointer. Whether that worked: `base` must be an address of the lower half, as
/// the processor does not take all others.
pub(crate) fn set_thread_pointer(base: usize) -> bool {
    const MSR_FS_BASE: u32 = 0xc000_0100;
    let base = base as u64;
    if base >= 1 << 47 {
        return false;
    }
    // SAFETY: the bindings have no thread-local variables, so nothing of Rust's moves. In ring 3
    // the tender emulates the instruction where the processor does not have it.
    unsafe {
        if in_ring3() {
            asm!("wrfsbase {}", in(reg) base, options(nostack, preserves_flags));
        } else {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the instruction takes the value in two halves"
            )]
            let (low, high) = (base as u32, (base >> 32) as u32);
            asm!(
                "wrmsr",
                in("ecx") MSR_FS_BASE,
                in("eax") low,
                in("edx") high,
                options(nostack, preserves_flags),
            );
        }
    }
    true
}

/// Writes to the console.
///
/// # Safety
///
/// As for a C function that reads `size` bytes at `buf`.
pub(crate) unsafe fn write_console(buf: *const u8, size: usize) {
    let mut puts = Puts {
        data: buf.expose_provenance() as u64,
        len: size as u64,
    };
    // SAFETY: the tender only reads memory.
    unsafe { call(Hypercall::Puts, &mut puts) };
}

/// Ends the machine, as the application wants it.
pub(crate) fn exit(status: i32) -> ! {
    io::finish();
    halt(status, ptr::null())
}

/// Ends the machine at once, because something is wrong, perhaps in the midst of these bindings.
/// Devices are left as they are: the ring may be in use, and is not to be trusted.
pub(crate) fn abandon(status: i32) -> ! {
    halt(status, ptr::null())
}

/// Ends the machine, with a cookie that is null or points to as many bytes as a cookie has.
///
/// Touches nothing but its own stack, so that a trap handler can call it.
fn halt(exit_status: i32, cookie: *const u8) -> ! {
    let mut halt = Halt {
        cookie: cookie.expose_provenance() as u64,
        exit_status,
        padding: zero(),
    };
    loop {
        // SAFETY: the tender only reads memory. It does not return; the loop is for the compiler.
        unsafe { call(Hypercall::Halt, &mut halt) };
    }
}
