//! From the entry point to the application (solo5-abi sections 10.3, 14.2 and 15.1), and what an image
//! of any target tells about itself.

use core::arch::naked_asm;
use core::arch::x86_64::_rdtsc;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use solo5_abi::note::{Abi1Note, OpenBsdNote};
use solo5_sys::solo5_start_info;

use super::manifest;
use super::output::{log, set_level, solo5_exit};
use crate::guard;
use crate::memory::Memory;
use crate::options::{self, Level};
use crate::platform::{self, BootInfo};

unsafe extern "C" {
    /// The application.
    fn solo5_app_main(info: *const solo5_start_info) -> c_int;

    // Borders that the linker script defines: see [`Memory`].
    static _stext: u8;
    static _etext: u8;
    static _erodata: u8;
    static _end: u8;
}

/// Makes a kernel that is asked to execute an image directly refuse, instead of jumping into
/// something that expects a tender.
#[unsafe(link_section = ".interp")]
static INTERPRETER: Interpreter = Interpreter {
    _path: *b"/nonexistent/solo5/\0\0\0\0\0",
};

/// A path, as long as its place in the image.
#[repr(align(8))]
struct Interpreter {
    _path: [u8; 24],
}

/// Says what tender the image is for.
#[used]
#[unsafe(link_section = ".note.solo5.abi")]
static ABI_NOTE: Abi1Note = platform::ABI_NOTE;

/// Makes OpenBSD look at [`INTERPRETER`] too.
#[used]
#[unsafe(link_section = ".note.solo5.not_openbsd")]
static OPENBSD_NOTE: OpenBsdNote = OpenBsdNote::NOTE;

/// What functions with a stack protector put on their stack.
#[allow(non_upper_case_globals, reason = "the compiler's name")]
#[unsafe(no_mangle)]
static __stack_chk_guard: AtomicU64 = AtomicU64::new(guard::INITIAL);

/// The argument of the application, which may keep the pointer.
struct StartInfo(UnsafeCell<solo5_start_info>);

// SAFETY: there is one thread.
unsafe impl Sync for StartInfo {}

static START_INFO: StartInfo = StartInfo(UnsafeCell::new(solo5_start_info {
    cmdline: ptr::null(),
    heap_start: 0,
    heap_size: 0,
}));

/// Printed at start.
const BANNER: &str = concat!(
    r"           _       ____",
    "\n",
    r"  ___ ___ | | ___ | ___|",
    "\n",
    r" (_-</ _ \| |/ _ \|__ \",
    "\n",
    r" /__/\___/|_|\___/|___/",
    "\n",
    "Solo5: Bindings version mnet-",
    env!("CARGO_PKG_VERSION"),
    "\n",
);

/// The entry point. The tender leaves the address of the boot information in `rdi` and the end of
/// memory, minus 8, in `rsp`.
///
/// The relocation does nothing but keep [`INTERPRETER`] in the image.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "2:",
        ".reloc 2b, R_X86_64_NONE, {interpreter}",
        "xor ebp, ebp",
        "and rsp, -16",
        "call {start}",
        "ud2",
        interpreter = sym INTERPRETER,
        start = sym start,
    )
}

/// Everything between the entry point and the application.
///
/// # Safety
///
/// To be called once, with what the tender left.
unsafe extern "C" fn start(boot: *const BootInfo) -> ! {
    // SAFETY: every x86-64 has a time stamp counter, and the tender does not forbid to read it.
    let guard = unsafe { guard::from_time_stamps(_rdtsc(), _rdtsc()) };
    __stack_chk_guard.store(guard, Relaxed);

    // A tender may have left its own. At zero, accidental uses of ours fault.
    platform::set_thread_pointer(0);
    platform::prepare();

    // SAFETY: the tender's pointers are valid, and the information stays unchanged.
    let (boot, cmdline) = unsafe {
        let boot = &*boot;
        let cmdline = usize::try_from(boot.cmdline).unwrap_or(0);
        let cmdline = ptr::with_exposed_provenance::<c_char>(cmdline);
        (boot, CStr::from_ptr(cmdline))
    };
    let options = options::parse(cmdline.to_bytes());
    set_level(options.level);
    log(Level::Info, format_args!("{BANNER}"));

    let memory = Memory {
        text: (&raw const _stext).addr() as u64,
        rodata: (&raw const _etext).addr() as u64,
        data: (&raw const _erodata).addr() as u64,
        end: (&raw const _end).addr() as u64,
        size: boot.mem_size,
    };
    let Ok((heap_start, heap_size)) = memory.heap() else {
        panic!("Not enough memory: --mem=N gives more");
    };
    log(Level::Info, format_args!("{memory}"));

    // SAFETY: this is the tender's boot information, and nobody uses the heap yet.
    let used = unsafe {
        manifest::remember(boot.manifest);
        platform::start(boot, heap_start, heap_size)
    };

    let info = solo5_start_info {
        // At most its length, so it points to the rest or to the NUL.
        cmdline: cmdline.as_ptr().wrapping_add(options.rest),
        heap_start: heap_start + used,
        heap_size: heap_size - used,
    };
    // SAFETY: nobody else has a pointer to it yet. The application is as `solo5.h` says.
    let status = unsafe {
        START_INFO.0.get().write(info);
        solo5_app_main(START_INFO.0.get())
    };
    solo5_exit(status)
}
