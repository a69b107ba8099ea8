//! Privileged instructions of a guest in ring 3.
//!
//! Images that expect ring 0 execute a few at start: they load descriptor tables and segment
//! registers, and set their thread pointer. In ring 3 each of them is an exception. The tables are
//! the tender's, so loading others means nothing; the rest is done for the guest.
//!
//! The instruction is decoded from one copy of the guest's memory. There is no loop: one exception,
//! one instruction.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use kvm_bindings::kvm_regs;

use crate::hvt::monitor::Frame;

/// The longest instruction in bytes.
pub const MAX_LENGTH: u64 = 15;

/// What an emulated instruction changes besides the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The base of the segment register FS.
    FsBase(u64),
    /// The base of the segment register GS.
    GsBase(u64),
}

const MSR_FS_BASE: u64 = 0xc000_0100;
const MSR_GS_BASE: u64 = 0xc000_0101;

/// Executes the instruction in `code`, which is at `frame.rip`, for a guest with these registers.
///
/// `stack` gives the 64-bit word of the guest's memory at an address. On success `frame` says where
/// the guest goes on. `None` if this is none of the instructions that are emulated; the frame is
/// then unchanged.
pub fn emulate(
    code: &[u8],
    registers: &kvm_regs,
    frame: &mut Frame,
    stack: impl Fn(u64) -> Option<u64>,
) -> Option<Effect> {
    let mut decoder = Decoder::with_ip(64, code, frame.rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let mut next = Frame {
        rip: instruction.next_ip(),
        ..*frame
    };
    let effect = match instruction.mnemonic() {
        // Descriptors are the tender's, interrupts never come.
        Mnemonic::Lgdt | Mnemonic::Lidt | Mnemonic::Ltr | Mnemonic::Cli | Mnemonic::Sti => {
            Effect::None
        }
        // So are segments, which are flat before and after.
        Mnemonic::Mov if is_data_segment(&instruction) => Effect::None,
        Mnemonic::Retf if instruction.code() == iced_x86::Code::Retfq => {
            // The processor would not return there: its own fault would follow, in ring 0.
            next.rip = stack(frame.rsp).filter(|&address| is_canonical(address))?;
            next.rsp = frame.rsp.wrapping_add(16);
            Effect::None
        }
        Mnemonic::Wrmsr => {
            let half = |register: u64| register & 0xffff_ffff;
            let value = half(registers.rax) | half(registers.rdx) << 32;
            match half(registers.rcx) {
                MSR_FS_BASE => Effect::FsBase(value),
                MSR_GS_BASE => Effect::GsBase(value),
                _ => return None,
            }
        }
        Mnemonic::Wrfsbase => Effect::FsBase(operand(&instruction, registers, frame)?),
        Mnemonic::Wrgsbase => Effect::GsBase(operand(&instruction, registers, frame)?),
        _ => return None,
    };
    if let Effect::FsBase(base) | Effect::GsBase(base) = effect
        && !is_canonical(base)
    {
        return None;
    }
    *frame = next;
    Some(effect)
}

/// Whether the processor takes this as an address.
fn is_canonical(address: u64) -> bool {
    let upper = address >> 47;
    upper == 0 || upper == 0x1_ffff
}

/// Whether the instruction loads a segment register other than CS.
fn is_data_segment(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && matches!(
            instruction.op0_register(),
            Register::SS | Register::DS | Register::ES | Register::FS | Register::GS
        )
}

/// The value of the register that is the instruction's operand.
fn operand(instruction: &Instruction, registers: &kvm_regs, frame: &Frame) -> Option<u64> {
    let register = instruction.op0_register();
    let value = match register.full_register() {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        // The register itself holds the handler's.
        Register::RSP => frame.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        _ => return None,
    };
    Some(if register.size() == 4 {
        value & 0xffff_ffff
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTERS: kvm_regs = kvm_regs {
        rax: 0x11_2233_4455,
        rbx: 0x20_0000,
        rcx: MSR_FS_BASE,
        rdx: 0x1,
        rsi: 0,
        rdi: 0,
        rsp: 0xdead,
        rbp: 0,
        r8: 0,
        r9: 0,
        r10: 0,
        r11: 0,
        r12: 0,
        r13: 0,
        r14: 0,
        r15: 0x30_0000,
        rip: 0xdead,
        rflags: 2,
    };

    const FRAME: Frame = Frame {
        rip: 0x10_0000,
        cs: 0x23,
        rflags: 0x202,
        rsp: 0x1f_ff00,
        ss: 0x1b,
    };

    fn run(code: &[u8], registers: &kvm_regs) -> (Option<Effect>, Frame) {
        let mut frame = FRAME;
        let stack = |address| (address == FRAME.rsp).then_some(0x10_4000);
        (emulate(code, registers, &mut frame, stack), frame)
    }

    #[test]
    fn loading_tables_and_segments_is_skipped() {
        for (code, length) in [
            (&[0x0f, 0x01, 0x12][..], 3), // lgdt [rdx]
            (&[0x0f, 0x01, 0x18], 3),     // lidt [rax]
            (&[0x0f, 0x00, 0xd8], 3),     // ltr ax
            (&[0x8e, 0xd0], 2),           // mov ss, eax
            (&[0x8e, 0xd8], 2),           // mov ds, eax
            (&[0x48, 0x8e, 0xc0], 3),     // mov es, rax
            (&[0xfa], 1),                 // cli
            (&[0xfb, 0x90, 0x90], 1),     // sti
        ] {
            let (effect, frame) = run(code, &REGISTERS);
            assert_eq!(effect, Some(Effect::None), "{code:x?}");
            let rip = FRAME.rip + length;
            assert_eq!(frame, Frame { rip, ..FRAME }, "{code:x?}");
        }
    }

    #[test]
    fn a_far_return_goes_on_in_ring_3() {
        let (effect, frame) = run(&[0x48, 0xcb], &REGISTERS);
        assert_eq!(effect, Some(Effect::None));
        let want = Frame {
            rip: 0x10_4000,
            rsp: FRAME.rsp + 16,
            ..FRAME
        };
        assert_eq!(frame, want);
        let mut frame = Frame { rsp: 0, ..FRAME };
        assert_eq!(
            emulate(&[0x48, 0xcb], &REGISTERS, &mut frame, |_| None),
            None
        );
        assert_eq!(frame, Frame { rsp: 0, ..FRAME });
        for (target, taken) in [
            (1 << 47, false),
            (u64::MAX >> 1, false),
            (0xffff_7fff_ffff_ffff, false),
            ((1 << 47) - 1, true),
            (0xffff_8000_0000_0000, true),
        ] {
            let mut frame = FRAME;
            let effect = emulate(&[0x48, 0xcb], &REGISTERS, &mut frame, |_| Some(target));
            assert_eq!(effect.is_some(), taken, "{target:#x}");
            assert_eq!(frame.rip, if taken { target } else { FRAME.rip });
        }
    }

    #[test]
    fn thread_pointers_are_set_by_both_ways() {
        let wrmsr = &[0x0f, 0x30][..];
        let value = Effect::FsBase(0x1_2233_4455);
        assert_eq!(run(wrmsr, &REGISTERS).0, Some(value));
        let gs = kvm_regs {
            rcx: 0xffff_ffff_c000_0101,
            ..REGISTERS
        };
        assert_eq!(run(wrmsr, &gs).0, Some(Effect::GsBase(0x1_2233_4455)));
        for (code, effect) in [
            (
                &[0xf3, 0x48, 0x0f, 0xae, 0xd0][..],
                Effect::FsBase(0x11_2233_4455),
            ),
            (&[0xf3, 0x0f, 0xae, 0xd0], Effect::FsBase(0x2233_4455)),
            (&[0xf3, 0x49, 0x0f, 0xae, 0xdf], Effect::GsBase(0x30_0000)),
            (&[0xf3, 0x48, 0x0f, 0xae, 0xd4], Effect::FsBase(FRAME.rsp)),
        ] {
            let (got, frame) = run(code, &REGISTERS);
            assert_eq!(got, Some(effect), "{code:x?}");
            assert_eq!(frame.rip, FRAME.rip + code.len() as u64);
        }
    }

    #[test]
    fn everything_else_stays_an_exception() {
        let efer = kvm_regs {
            rcx: 0xc000_0080,
            ..REGISTERS
        };
        assert_eq!(run(&[0x0f, 0x30], &efer), (None, FRAME));
        let not_canonical = kvm_regs {
            rdx: 0x8000,
            ..REGISTERS
        };
        assert_eq!(run(&[0x0f, 0x30], &not_canonical), (None, FRAME));
        for code in [
            &[][..],
            &[0x0f],
            &[0x0f, 0x0b],       // ud2
            &[0xf4],             // hlt
            &[0x0f, 0x22, 0xd8], // mov cr3, rax
            &[0x0f, 0x20, 0xd0], // mov rax, cr2
            &[0x0f, 0x32],       // rdmsr
            &[0xcb],             // retf with 32 bits
            &[0x48, 0xcf],       // iretq
            &[0x88, 0x00],       // mov [rax], al
            &[0x0f, 0x01, 0xd1], // xsetbv
            &[0xee],             // out dx, al
        ] {
            assert_eq!(run(code, &REGISTERS), (None, FRAME), "{code:x?}");
        }
    }
}
