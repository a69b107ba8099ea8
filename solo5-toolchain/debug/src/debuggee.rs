//! The guest as a debugger sees it: stopped or running, with breakpoints in its memory.
//!
//! A guest in ring 3 is stopped by the tender's own handlers: breakpoints are `int3`, steps are the
//! trap flag. Both work wherever ring 3 does. The guest then is where the processor's frame on the
//! handlers' stack says. In ring 0 the handlers are the guest's own, so breakpoints are `hlt`, which
//! ends every run of a machine, and steps are made by KVM.

use std::collections::BTreeMap;
use std::io;

use gdbstub::common::Signal;
use gdbstub::stub::SingleThreadStopReason as Reason;
use gdbstub::target::ext::breakpoints::WatchKind;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use kvm_bindings::{
    KVM_EXIT_HLT, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    kvm_guest_debug, kvm_regs,
};
use solo5_abi::hvt::{BOOT_INFO, TrapFrame};
use solo5_debug::registers::{self, TRAP_FLAG};
use solo5_tender::hvt::Guest;
use solo5_tender::hvt::hypercall::Fault;
use solo5_tender::hvt::monitor::{Exception, Frame, Monitor};
use solo5_tender::hvt::vm::{End, Event, Stop};

use crate::probe::Abilities;

const BREAKPOINT_RING3: u8 = 0xcc;
const BREAKPOINT_RING0: u8 = 0xf4;

const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;

/// A breakpoint or watchpoint in a debug register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hard {
    pub(crate) address: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub(crate) len: u64,
    /// What is watched for; an instruction that is executed if nothing.
    pub(crate) watch: Option<WatchKind>,
}

/// Where a stopped guest's instruction, stack and flags are.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// In the processor's registers.
    Processor,
    /// On the stack of the tender's handlers.
    Handler(Exception),
    /// The guest's own trap handler has them, and has given up.
    Trap(TrapFrame),
}

/// An end that a guest is at unless the debugger does something about it.
#[derive(Debug)]
struct Pending {
    end: End,
    signal: Signal,
    /// There is no way back.
    last: bool,
}

/// A guest under a debugger.
pub(crate) struct Debuggee<'a> {
    machine: &'a mut Guest,
    abilities: Abilities,
    position: Position,
    /// Addresses of breakpoints, and the bytes that are there without them.
    soft: BTreeMap<u64, u8>,
    hard: [Option<Hard>; 4],
    stepping: bool,
    /// An exception is on its way to the tender: it comes before whatever the debugger wants.
    arriving: bool,
    pending: Option<Pending>,
    /// How the guest ended.
    pub(crate) ended: Option<End>,
}

/// What a guest that runs leads to.
pub(crate) enum Progress {
    /// It stopped.
    Stopped(Reason<u64>),
    /// The debugger sent something.
    Incoming,
}

/// The signal that Linux sends for an exception.
fn signal_of(vector: u8) -> Signal {
    match vector {
        0 | 16 | 19 => Signal::SIGFPE,
        DEBUG | BREAKPOINT => Signal::SIGTRAP,
        6 => Signal::SIGILL,
        12 | 17 => Signal::SIGBUS,
        _ => Signal::SIGSEGV,
    }
}

impl<'a> Debuggee<'a> {
    /// A guest in front of its first instruction.
    pub(crate) fn new(machine: &'a mut Guest, abilities: Abilities) -> Self {
        Self {
            machine,
            abilities,
            position: Position::Processor,
            soft: BTreeMap::new(),
            hard: [None; 4],
            stepping: false,
            arriving: false,
            pending: None,
            ended: None,
        }
    }

    /// What the debugger can have.
    pub(crate) const fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn is_ring0(&self) -> bool {
        self.machine.monitor().is_none()
    }

    /// Whether it can be made to take single steps.
    pub(crate) fn can_step(&self) -> bool {
        !self.is_ring0() || self.abilities.steps
    }

    /// General registers, as the guest has them.
    fn general(&mut self) -> io::Result<kvm_regs> {
        let mut regs = self.machine.vcpu().get_regs()?;
        let frame = match self.position {
            Position::Processor => return Ok(regs),
            Position::Handler(Exception { frame, .. }) => frame,
            Position::Trap(trap) => Frame {
                rip: trap.rip,
                rflags: trap.rflags,
                rsp: trap.rsp,
                ..Frame::default()
            },
        };
        (regs.rip, regs.rsp, regs.rflags) = (frame.rip, frame.rsp, frame.rflags);
        Ok(regs)
    }

    /// Changes them.
    fn set_general(&mut self, mut regs: kvm_regs) -> io::Result<()> {
        match &mut self.position {
            Position::Processor => {}
            Position::Handler(exception) => {
                let frame = &mut exception.frame;
                (frame.rip, frame.rsp, frame.rflags) = (regs.rip, regs.rsp, regs.rflags);
                let frame = *frame;
                let exception = *exception;
                if let Some(monitor) = self.machine.monitor() {
                    monitor.resume_with(&exception, frame);
                }
                // The processor stays in the handler.
                let now = self.machine.vcpu().get_regs()?;
                (regs.rip, regs.rsp, regs.rflags) = (now.rip, now.rsp, now.rflags);
            }
            // It is at its end.
            Position::Trap(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(self.machine.vcpu().set_regs(&regs)?)
    }

    pub(crate) fn read_registers(&mut self, to: &mut X86_64CoreRegs) -> io::Result<()> {
        let regs = self.general()?;
        let vcpu = self.machine.vcpu();
        let mut sregs = vcpu.get_sregs()?;
        if let Position::Handler(Exception { frame, .. }) = self.position {
            sregs.cs.selector = u16::try_from(frame.cs & 0xffff).unwrap_or(0);
            sregs.ss.selector = u16::try_from(frame.ss & 0xffff).unwrap_or(0);
        }
        registers::to_debugger(&regs, &sregs, &vcpu.get_xsave()?, to);
        Ok(())
    }

    pub(crate) fn write_registers(&mut self, from: &X86_64CoreRegs) -> io::Result<()> {
        let mut regs = self.general()?;
        let mut xsave = self.machine.vcpu().get_xsave()?;
        registers::from_debugger(from, &mut regs, &mut xsave).ok_or(io::ErrorKind::InvalidInput)?;
        self.set_general(regs)?;
        // SAFETY: a structure of the size that it has without permissions for more, which nobody gave.
        Ok(unsafe { self.machine.vcpu().set_xsave(&xsave) }?)
    }

    /// A copy of the guest's memory without breakpoints, as much as there is; none of what the guest
    /// itself could never read.
    pub(crate) fn read_memory(&self, address: u64, to: &mut [u8]) -> usize {
        if address < BOOT_INFO {
            return 0;
        }
        let bytes = self.machine.ram().peek(address, to.len() as u64);
        to[..bytes.len()].copy_from_slice(&bytes);
        for (&at, &byte) in self.soft.range(address..) {
            match usize::try_from(at - address) {
                Ok(offset) if offset < bytes.len() => to[offset] = byte,
                _ => break,
            }
        }
        bytes.len()
    }

    /// Changes the guest's memory below breakpoints.
    pub(crate) fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        if address < BOOT_INFO {
            return None;
        }
        let end = address.checked_add(bytes.len() as u64)?;
        self.machine.ram().patch(address, bytes).ok()?;
        let instruction = self.breakpoint();
        for (&at, byte) in self.soft.range_mut(address..end) {
            *byte = bytes[usize::try_from(at - address).ok()?];
            self.machine.ram().patch(at, &[instruction]).ok()?;
        }
        Some(())
    }

    fn breakpoint(&self) -> u8 {
        match self.is_ring0() {
            true => BREAKPOINT_RING0,
            false => BREAKPOINT_RING3,
        }
    }

    /// Puts a breakpoint into memory; whether there is any at that address.
    pub(crate) fn add_soft(&mut self, address: u64) -> bool {
        if self.soft.contains_key(&address) {
            return true;
        }
        let mut byte = [0];
        let there = self.read_memory(address, &mut byte) == 1
            && self
                .machine
                .ram()
                .patch(address, &[self.breakpoint()])
                .is_ok();
        if there {
            self.soft.insert(address, byte[0]);
        }
        there
    }

    pub(crate) fn remove_soft(&mut self, address: u64) -> bool {
        let byte = self.soft.remove(&address);
        byte.is_some_and(|byte| self.machine.ram().patch(address, &[byte]).is_ok())
    }

    /// Takes a debug register; whether one was free and can do this.
    pub(crate) fn add_hard(&mut self, hard: Hard) -> bool {
        let fits = matches!(hard.len, 1 | 2 | 4 | 8) && hard.address.is_multiple_of(hard.len);
        // There is no register that watches for reading alone.
        let there = hard.watch != Some(WatchKind::Read);
        let free = self.hard.iter_mut().find(|place| place.is_none());
        match free.filter(|_| fits && there) {
            Some(place) => {
                *place = Some(hard);
                self.set_debug().is_ok()
            }
            None => false,
        }
    }

    pub(crate) fn remove_hard(&mut self, hard: Hard) -> bool {
        match self.hard.iter_mut().find(|place| **place == Some(hard)) {
            Some(place) => {
                *place = None;
                self.set_debug().is_ok()
            }
            None => false,
        }
    }

    /// Tells KVM of debug registers and steps.
    fn set_debug(&mut self) -> io::Result<()> {
        let mut debug = kvm_guest_debug::default();
        for (number, hard) in (0..).zip(&self.hard) {
            let Some(hard) = hard else { continue };
            let kind = match hard.watch {
                None => 0b00,
                Some(WatchKind::Write) => 0b01,
                Some(_) => 0b11,
            };
            let len = match hard.len {
                1 => 0b00,
                2 => 0b01,
                8 => 0b10,
                _ => 0b11,
            };
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
            debug.arch.debugreg[number] = hard.address;
            debug.arch.debugreg[7] |= 0b10 << (2 * number) | (len << 2 | kind) << (16 + 4 * number);
        }
        if self.stepping && self.is_ring0() {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
        }
        Ok(self.machine.vcpu().set_guest_debug(&debug)?)
    }

    /// Takes a step, or goes on. A signal ends a guest that stopped because of one.
    pub(crate) fn resume(&mut self, step: bool, signal: Option<Signal>) -> io::Result<()> {
        self.stepping = step;
        let ends = signal.is_some() || self.pending.as_ref().is_some_and(|pending| pending.last);
        if !ends {
            self.pending = None;
        }
        if self.pending.is_some() {
            return Ok(());
        }
        if self.is_ring0() {
            return self.set_debug();
        }
        let mut regs = self.general()?;
        regs.rflags &= !TRAP_FLAG;
        if step {
            regs.rflags |= TRAP_FLAG;
        }
        self.set_general(regs)
    }

    /// Runs until the guest stops or the debugger sends something, which `incoming` tells.
    pub(crate) fn run(
        &mut self,
        mut incoming: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<Progress> {
        if let Some(Pending { end, signal, .. }) = self.pending.take() {
            self.ended = Some(end);
            return Ok(Progress::Stopped(Reason::Terminated(signal)));
        }
        loop {
            // What comes from now on interrupts the run.
            self.machine.vcpu().set_kvm_immediate_exit(0);
            if !std::mem::take(&mut self.arriving) && incoming()? {
                return Ok(Progress::Incoming);
            }
            self.position = Position::Processor;
            match self.machine.advance() {
                Event::Interrupted => self.locate()?,
                Event::Debug(dr6) => return self.debug_event(dr6).map(Progress::Stopped),
                Event::End(end) => return self.end(end).map(Progress::Stopped),
            }
        }
    }

    /// Finds out where a guest is that was interrupted.
    fn locate(&mut self) -> io::Result<()> {
        let regs = self.machine.vcpu().get_regs()?;
        let Some(monitor) = self.machine.monitor() else {
            return Ok(());
        };
        if !Monitor::contains(regs.rip) {
            return Ok(());
        }
        if let Some(exception) = monitor.returning(regs.rip, regs.rsp) {
            self.position = Position::Handler(exception);
            return Ok(());
        }
        // In front of the instruction that tells of an exception: the guest is not stopped yet.
        self.arriving = true;
        Ok(())
    }

    /// Lets KVM end what it began before the last exit: registers can be changed then.
    fn settle(&mut self) {
        let vcpu = self.machine.vcpu();
        vcpu.set_kvm_immediate_exit(1);
        let _ = vcpu.run();
        vcpu.set_kvm_immediate_exit(0);
    }

    /// A debug register, or a step of KVM's.
    fn debug_event(&mut self, dr6: u64) -> io::Result<Reason<u64>> {
        let mut regs = self.machine.vcpu().get_regs()?;
        regs.rflags &= !TRAP_FLAG;
        self.machine.vcpu().set_regs(&regs)?;
        let hit = (0..4).find(|number| dr6 & 1 << number != 0);
        let hit = hit.and_then(|number: usize| self.hard[number]);
        Ok(match hit {
            Some(Hard {
                watch: Some(kind),
                address,
                ..
            }) => Reason::Watch {
                tid: (),
                kind,
                addr: address,
            },
            Some(_) => Reason::HwBreak(()),
            None if self.stepping => Reason::DoneStep,
            None => Reason::Signal(Signal::SIGTRAP),
        })
    }

    /// The guest is at an end, or at a breakpoint.
    fn end(&mut self, end: End) -> io::Result<Reason<u64>> {
        let (signal, last) = match &end {
            &End::Exception { exception, .. } => {
                self.settle();
                self.position = Position::Handler(exception);
                let mut regs = self.general()?;
                regs.rflags &= !TRAP_FLAG;
                let before = regs.rip.wrapping_sub(1);
                if exception.vector == BREAKPOINT && self.soft.contains_key(&before) {
                    regs.rip = before;
                    self.set_general(regs)?;
                    return Ok(Reason::SwBreak(()));
                }
                self.set_general(regs)?;
                if exception.vector == DEBUG && self.stepping {
                    return Ok(Reason::DoneStep);
                }
                (signal_of(exception.vector), false)
            }
            &End::Stopped(Stop::Unhandled { reason, rip })
                if reason == KVM_EXIT_HLT && self.is_ring0() =>
            {
                let before = rip.wrapping_sub(1);
                let mut regs = self.machine.vcpu().get_regs()?;
                if self.soft.contains_key(&before) {
                    regs.rip = before;
                    self.machine.vcpu().set_regs(&regs)?;
                    return Ok(Reason::SwBreak(()));
                }
                (Signal::SIGILL, true)
            }
            End::Violation { .. } => {
                self.settle();
                (Signal::SIGSEGV, false)
            }
            &End::Halt {
                trap: Some(trap), ..
            } => {
                self.position = Position::Trap(trap);
                (Signal::SIGSEGV, true)
            }
            End::Fault(Fault::Access(_)) => (Signal::SIGSEGV, true),
            End::Fault(_) => (Signal::SIGSYS, true),
            End::Halt { status, trap: None } => {
                let status = u8::try_from(status & 0xff).unwrap_or(0);
                self.ended = Some(end);
                return Ok(Reason::Exited(status));
            }
            End::Stopped(_) => (Signal::SIGABRT, true),
        };
        self.pending = Some(Pending { end, signal, last });
        Ok(Reason::Signal(signal))
    }

    /// The debugger wants the guest to stop where it is.
    pub(crate) fn interrupted(&mut self) -> Reason<u64> {
        Reason::Signal(Signal::SIGINT)
    }

    /// Forgets the debugger.
    pub(crate) fn detach(mut self) -> &'a mut Guest {
        for address in self.soft.keys().copied().collect::<Vec<_>>() {
            self.remove_soft(address);
        }
        self.hard = [None; 4];
        self.pending = None;
        let _ = self.resume(false, None);
        let _ = self.set_debug();
        self.machine
    }
}
