//! A guest's registers, between KVM and the debugger.

use gdbstub_arch::x86::reg::X86_64CoreRegs;
use kvm_bindings::{kvm_guest_debug, kvm_regs, kvm_sregs, kvm_xsave};
use solo5_tender::hvt::sandbox::request;

/// Requests to KVM that a debugger needs, besides those of every tender.
pub const REQUESTS: [u64; 3] = [
    request(2, 0xa4, 4096),                         // KVM_GET_XSAVE
    request(1, 0xa5, 4096),                         // KVM_SET_XSAVE
    request(1, 0x9b, size_of::<kvm_guest_debug>()), // KVM_SET_GUEST_DEBUG
];

/// Flags that a debugger may change: those of results, direction, alignment and identification.
pub const FLAGS: u64 = 0x24_0cd5;
/// The flag that makes every instruction a step.
pub const TRAP_FLAG: u64 = 1 << 8;

/// Floating point and vector registers, as the instruction FXSAVE lays them out.
mod area {
    use std::ops::Range;

    pub(super) const CONTROL: Range<usize> = 0..2;
    pub(super) const STATUS: Range<usize> = 2..4;
    /// One bit for each register that is in use.
    pub(super) const TAGS: usize = 4;
    pub(super) const OPCODE: Range<usize> = 6..8;
    pub(super) const INSTRUCTION: Range<usize> = 8..12;
    pub(super) const OPERAND: Range<usize> = 16..20;
    pub(super) const MXCSR: Range<usize> = 24..28;
    pub(super) const ST: usize = 32;
    pub(super) const XMM: usize = 160;
    pub(super) const LEN: usize = 512;
    /// Which parts are not as they are at the start: x87 is bit 0, SSE bit 1.
    pub(super) const IN_USE: usize = 512;
}

/// Bytes of KVM's structure.
fn bytes(xsave: &kvm_xsave) -> Vec<u8> {
    xsave
        .region
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

fn word<const N: usize>(bytes: &[u8], at: std::ops::Range<usize>) -> [u8; N] {
    bytes[at].try_into().unwrap_or([0; N])
}

/// All of them as the debugger has them. Where the guest is interrupted, instruction, stack and flags
/// are in `regs` as the guest has them.
pub fn to_debugger(regs: &kvm_regs, sregs: &kvm_sregs, xsave: &kvm_xsave, to: &mut X86_64CoreRegs) {
    to.regs = [
        regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8,
        regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    to.rip = regs.rip;
    to.eflags = low(regs.rflags & !TRAP_FLAG);
    let segments = &mut to.segments;
    for (to, from) in [
        (&mut segments.cs, sregs.cs),
        (&mut segments.ss, sregs.ss),
        (&mut segments.ds, sregs.ds),
        (&mut segments.es, sregs.es),
        (&mut segments.fs, sregs.fs),
        (&mut segments.gs, sregs.gs),
    ] {
        *to = from.selector.into();
    }
    let state = bytes(xsave);
    let half = |at| u32::from(u16::from_le_bytes(word(&state, at)));
    let whole = |at| u32::from_le_bytes(word(&state, at));
    for (to, from) in to.st.iter_mut().zip(state[area::ST..].chunks(16)) {
        to.copy_from_slice(&from[..10]);
    }
    // One bit for each register in use becomes two, which say what is in it: here, that something is.
    let tags = (0..8).filter(|bit| state[area::TAGS] & 1 << bit == 0);
    to.fpu.ftag = tags.map(|bit| 3 << (2 * bit)).sum();
    to.fpu.fctrl = half(area::CONTROL);
    to.fpu.fstat = half(area::STATUS);
    to.fpu.fioff = whole(area::INSTRUCTION);
    to.fpu.fooff = whole(area::OPERAND);
    to.fpu.fop = half(area::OPCODE);
    for (to, from) in to.xmm.iter_mut().zip(state[area::XMM..].chunks(16)) {
        *to = u128::from_le_bytes(word(from, 0..16));
    }
    to.mxcsr = whole(area::MXCSR);
}

/// The lower half of a register.
fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// Changes the registers to what the debugger wants, but for segments, and flags that the guest itself
/// could not change. `None`, and nothing is changed, if there are no such addresses.
#[must_use]
pub fn from_debugger(
    from: &X86_64CoreRegs,
    regs: &mut kvm_regs,
    xsave: &mut kvm_xsave,
) -> Option<()> {
    const LOWER_HALF: u64 = 1 << 47;
    /// Bits of MXCSR that mean something everywhere.
    const MXCSR: u32 = 0xffbf;
    if from.rip >= LOWER_HALF || from.regs[7] >= LOWER_HALF {
        return None;
    }
    let general = [
        &mut regs.rax,
        &mut regs.rbx,
        &mut regs.rcx,
        &mut regs.rdx,
        &mut regs.rsi,
        &mut regs.rdi,
        &mut regs.rbp,
        &mut regs.rsp,
        &mut regs.r8,
        &mut regs.r9,
        &mut regs.r10,
        &mut regs.r11,
        &mut regs.r12,
        &mut regs.r13,
        &mut regs.r14,
        &mut regs.r15,
    ];
    for (to, from) in general.into_iter().zip(from.regs) {
        *to = from;
    }
    regs.rip = from.rip;
    regs.rflags = regs.rflags & !FLAGS | u64::from(from.eflags) & FLAGS;
    let mut state = bytes(xsave);
    for (to, from) in state[area::ST..].chunks_mut(16).zip(&from.st) {
        to[..10].copy_from_slice(from);
    }
    let half = |value: u32| u16::try_from(value & 0xffff).unwrap_or(0).to_le_bytes();
    state[area::CONTROL].copy_from_slice(&half(from.fpu.fctrl));
    state[area::STATUS].copy_from_slice(&half(from.fpu.fstat));
    let used = (0..8).filter(|bit| from.fpu.ftag >> (2 * bit) & 3 != 3);
    state[area::TAGS] = used.map(|bit| 1u8 << bit).sum();
    for (to, from) in state[area::XMM..].chunks_mut(16).zip(from.xmm) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    state[area::MXCSR].copy_from_slice(&(from.mxcsr & MXCSR).to_le_bytes());
    let changed = bytes(xsave)[..area::LEN] != state[..area::LEN];
    if changed {
        state[area::IN_USE] |= 3;
    }
    for (to, from) in xsave.region.iter_mut().zip(state.chunks(4)) {
        *to = u32::from_le_bytes(word(from, 0..4));
    }
    Some(())
}
