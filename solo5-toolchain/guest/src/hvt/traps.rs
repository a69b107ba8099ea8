//! Descriptor tables, and what happens when the processor finds fault (solo5-abi sections 15.1 and
//! 15.3). Used in ring 0 only.
//!
//! Interrupts stay off. Every exception ends the machine; each of the handlers saves what the
//! processor knows and goes to [`trapped`], on a stack of its own.

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;

use solo5_abi::constants::EXIT_ABORT;
use solo5_abi::hvt::{HALT_COOKIE_LEN, TrapFrame, exception_name};

use crate::bindings::output::{log, write};
use crate::options::Level;

/// Memory that the processor reads or uses as a stack.
#[repr(align(16))]
struct Table<T>(UnsafeCell<T>);

// SAFETY: there is one thread.
unsafe impl<T> Sync for Table<T> {}

/// Vectors of exceptions.
const VECTORS: usize = 32;
/// Bytes from the handler of one vector to the next.
const HANDLER_SIZE: usize = 16;
/// Vectors that can strike while another is handled, or at any time, with a stack of their own.
const SEPARATE: [usize; 3] = [2, 8, 18];

/// Last byte of the interrupt descriptor table.
const IDT_LIMIT: u16 = 32 * 16 - 1;
const _: () = assert!(IDT_LIMIT as usize == VECTORS * 16 - 1);

const CODE: u16 = 0x08;
const DATA: u16 = 0x10;
const TASK: u16 = 0x18;

/// Null, code, data, and the two halves of the task state segment.
static GDT: Table<[u64; 5]> = Table(UnsafeCell::new([
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0,
    0,
]));
static IDT: Table<[[u64; 2]; VECTORS]> = Table(UnsafeCell::new([[0; 2]; VECTORS]));
/// The task state segment in words of 32 bits.
static TSS: Table<[u32; 26]> = Table(UnsafeCell::new([0; 26]));
static STACKS: Table<[[u8; 8192]; 2]> = Table(UnsafeCell::new([[0; 8192]; 2]));
static COOKIE: Table<[u8; HALT_COOKIE_LEN]> = Table(UnsafeCell::new([0; HALT_COOKIE_LEN]));

/// Operand of `lgdt` and `lidt`.
#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// The two halves of an address.
const fn halves(address: u64) -> [u32; 2] {
    #[allow(clippy::cast_possible_truncation, reason = "each half has 32 bits")]
    [address as u32, (address >> 32) as u32]
}

/// An interrupt gate to `handler`, on the stack with this number in the task state segment.
const fn gate(handler: u64, stack: u64) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00 << 32;
    let low = handler & 0xffff
        | (CODE as u64) << 16
        | stack << 32
        | PRESENT_INTERRUPT_GATE
        | (handler & 0xffff_0000) << 32;
    [low, handler >> 32]
}

/// The descriptor of a task state segment at `base`.
const fn task_descriptor(base: u64, limit: u64) -> [u64; 2] {
    const PRESENT_TASK: u64 = 0x89 << 40;
    let low = limit | (base & 0xff_ffff) << 16 | PRESENT_TASK | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// Loads tables of our own.
pub(super) fn prepare() {
    const TSS_LIMIT: u64 = 26 * 4 - 1;
    /// Where in the task state segment the first of the interrupt stacks is.
    const IST1: usize = 9;
    let handlers = (handlers as *const ()).expose_provenance() as u64;
    // SAFETY: there is one thread, and nobody else knows these tables.
    let (gdt, idt, tss) = unsafe { (&mut *GDT.0.get(), &mut *IDT.0.get(), &mut *TSS.0.get()) };

    let stack_top = |number: usize| {
        let stacks = STACKS.0.get().expose_provenance() as u64;
        stacks + (number as u64 + 1) * 8192
    };
    for number in 0..2 {
        let at = IST1 + 2 * number;
        tss[at..at + 2].copy_from_slice(&halves(stack_top(number)));
    }
    // The last word is where the I/O permission bitmap is: behind the end.
    tss[25] = (26 * 4) << 16;
    gdt[3..].copy_from_slice(&task_descriptor(
        TSS.0.get().expose_provenance() as u64,
        TSS_LIMIT,
    ));
    for (vector, entry) in idt.iter_mut().enumerate() {
        let stack = if SEPARATE.contains(&vector) { 2 } else { 1 };
        *entry = gate(handlers + (vector * HANDLER_SIZE) as u64, stack);
    }

    let gdt = Pointer {
        limit: 5 * 8 - 1,
        base: GDT.0.get().expose_provenance() as u64,
    };
    let idt = Pointer {
        limit: IDT_LIMIT,
        base: IDT.0.get().expose_provenance() as u64,
    };
    // SAFETY: the tables describe the same flat segments that the tender left, and last for ever.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "mov ds, {data:e}",
            "mov es, {data:e}",
            "ltr {task:x}",
            "lidt [{idt}]",
            gdt = in(reg) &raw const gdt,
            idt = in(reg) &raw const idt,
            code = in(reg) u64::from(CODE),
            data = in(reg) u32::from(DATA),
            task = in(reg) TASK,
            scratch = out(reg) _,
        );
    }
}

/// The handlers of all vectors, [`HANDLER_SIZE`] bytes each.
#[unsafe(naked)]
unsafe extern "C" fn handlers() {
    naked_asm!(
        ".set vector, 0",
        ".rept {vectors}",
        ".balign {size}",
        // The processor has pushed an error code for these.
        ".if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 \
            && vector != 29 && vector != 30",
        "push 0",
        ".endif",
        "push vector",
        "jmp {common}",
        ".set vector, vector + 1",
        ".endr",
        vectors = const VECTORS,
        size = const HANDLER_SIZE,
        common = sym common,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn common() -> ! {
    naked_asm!(
        "mov rdi, rsp",
        "and rsp, -16",
        "cld",
        "call {trapped}",
        "ud2",
        trapped = sym trapped,
    )
}

/// What is on the stack of a handler.
#[repr(C)]
struct Saved {
    vector: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Reports an exception and ends the machine.
extern "C" fn trapped(saved: &Saved) -> ! {
    let cr2: u64;
    // SAFETY: reading this register has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) cr2, options(nomem, nostack, preserves_flags)) };
    let Saved {
        vector,
        error_code,
        rip,
        cs,
        rflags,
        rsp,
        ss,
    } = *saved;
    let vector = u8::try_from(vector).unwrap_or(u8::MAX);
    let name = exception_name(vector);
    log(
        Level::Info,
        format_args!(
            "Solo5: trap: type={name} ec={error_code:#x} rip={rip:#x} rsp={rsp:#x} \
             rflags={rflags:#x}\n"
        ),
    );
    if name == "#PF" {
        log(Level::Info, format_args!("Solo5: trap: cr2={cr2:#x}\n"));
    }
    write(b"Solo5: ABORT: Fatal trap\n");
    let frame = TrapFrame {
        cr2,
        error_code,
        rip,
        cs,
        rflags,
        rsp,
        ss,
    };
    // SAFETY: there is one thread; the cookie is larger than a frame, and aligned.
    unsafe { COOKIE.0.get().cast::<TrapFrame>().write(frame) };
    super::halt(EXIT_ABORT, COOKIE.0.get().cast())
}
