//! A debugger that sends anything: its bytes are sorted as `solo5-hvt-debug` does, and gdbstub answers for
//! a guest that is memory and registers only.
//!
//! What must hold: gdbstub gets nothing but acknowledgements, interrupts, and packets whose sum is right
//! and which it has room for; nothing panics; registers keep what a debugger may not change.

use gdbstub::common::Signal;
use gdbstub::conn::{Connection, ConnectionExt};
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{GdbStub, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, SwBreakpoint, SwBreakpointOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use kvm_bindings::{kvm_regs, kvm_sregs, kvm_xsave};
use solo5_debug::packets::{AGAIN, INTERRUPT, LONGEST_PACKET, Packets, REFUSAL};
use solo5_debug::registers::{FLAGS, from_debugger, to_debugger};

/// Bytes of the guest's memory.
const MEMORY: usize = 4096;

/// The end of the input.
#[derive(Debug)]
struct Closed;

/// A guest that stops whenever it is to run.
struct Stopped {
    memory: Vec<u8>,
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: kvm_xsave,
    breakpoints: Vec<u64>,
}

impl Target for Stopped {
    type Arch = X86_64_SSE;
    type Error = Closed;

    fn base_ops(&mut self) -> BaseOps<'_, X86_64_SSE, Closed> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadBase for Stopped {
    fn read_registers(&mut self, to: &mut X86_64CoreRegs) -> TargetResult<(), Self> {
        to_debugger(&self.regs, &self.sregs, &self.xsave, to);
        Ok(())
    }

    fn write_registers(&mut self, from: &X86_64CoreRegs) -> TargetResult<(), Self> {
        let before = self.regs;
        let changed = from_debugger(from, &mut self.regs, &mut self.xsave);
        assert_eq!(before.rflags & !FLAGS, self.regs.rflags & !FLAGS);
        if changed.is_none() {
            assert_eq!(before, self.regs);
            return Err(TargetError::NonFatal);
        }
        // What was written is what is read.
        let mut again = X86_64CoreRegs::default();
        to_debugger(&self.regs, &self.sregs, &self.xsave, &mut again);
        assert_eq!((again.regs, again.rip), (from.regs, from.rip));
        assert_eq!((again.st, again.xmm), (from.st, from.xmm));
        Ok(())
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        let rest = usize::try_from(start).ok();
        let rest = rest.and_then(|start| self.memory.get(start..));
        let rest = rest.filter(|rest| !rest.is_empty() || data.is_empty());
        let rest = rest.ok_or(TargetError::NonFatal)?;
        let len = rest.len().min(data.len());
        data[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
        let start = usize::try_from(start).ok();
        let end = start.and_then(|start| start.checked_add(data.len()));
        let room = start.zip(end);
        let room = room.and_then(|(start, end)| self.memory.get_mut(start..end));
        room.ok_or(TargetError::NonFatal)?.copy_from_slice(data);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadResume for Stopped {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Closed> {
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Stopped {
    fn step(&mut self, _: Option<Signal>) -> Result<(), Closed> {
        Ok(())
    }
}

impl Breakpoints for Stopped {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Stopped {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let there = address < MEMORY as u64;
        if there && !self.breakpoints.contains(&address) {
            self.breakpoints.push(address);
        }
        Ok(there)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let before = self.breakpoints.len();
        self.breakpoints.retain(|&other| other != address);
        Ok(self.breakpoints.len() < before)
    }
}

/// A packet in part.
#[derive(Default)]
struct Packet {
    len: usize,
    sum: u8,
    /// What is behind the body.
    end: String,
}

/// The debugger's end of the line.
struct Line<'a> {
    input: &'a [u8],
    packets: Packets,
    /// The packet that gdbstub reads.
    packet: Option<Packet>,
    answers: usize,
}

impl Line<'_> {
    /// Sorts bytes until one can be read.
    fn fill(&mut self) -> Result<(), Closed> {
        while self.packets.peek().is_none() {
            let (&byte, rest) = self.input.split_first().ok_or(Closed)?;
            self.input = rest;
            if !self.packets.sort(byte) {
                self.answers += AGAIN.len();
            }
        }
        Ok(())
    }

    /// Checks what can be read: an acknowledgement, an interrupt, or a part of a packet.
    fn check(&mut self, byte: u8) {
        let Some(packet) = &mut self.packet else {
            assert!(matches!(byte, b'$' | b'+' | INTERRUPT), "{byte:#x}");
            self.packet = (byte == b'$').then(Packet::default);
            return;
        };
        packet.len += 1;
        assert!(packet.len <= LONGEST_PACKET);
        if byte == b'#' || !packet.end.is_empty() {
            packet.end.push(char::from(byte));
        } else {
            packet.sum = packet.sum.wrapping_add(byte);
        }
        if packet.end.len() == 3 {
            let want = format!("#{:02x}", packet.sum);
            assert!(packet.end.eq_ignore_ascii_case(&want), "{}", packet.end);
            self.packet = None;
        }
    }
}

impl Connection for &mut Line<'_> {
    type Error = Closed;

    fn write(&mut self, _: u8) -> Result<(), Closed> {
        self.answers += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Closed> {
        Ok(())
    }
}

impl ConnectionExt for &mut Line<'_> {
    fn read(&mut self) -> Result<u8, Closed> {
        self.fill()?;
        let byte = self.packets.take().ok_or(Closed)?;
        self.check(byte);
        Ok(byte)
    }

    fn peek(&mut self) -> Result<Option<u8>, Closed> {
        self.fill()?;
        Ok(self.packets.peek())
    }
}

/// A guest that has stopped before it ran, unless the debugger was quicker.
struct Loop<'a, 'l>(std::marker::PhantomData<&'a mut Line<'l>>);

impl<'a, 'l: 'a> BlockingEventLoop for Loop<'a, 'l> {
    type Target = Stopped;
    type Connection = &'a mut Line<'l>;
    type StopReason = SingleThreadStopReason<u64>;

    fn wait_for_stop_reason(
        _: &mut Stopped,
        line: &mut &'a mut Line<'l>,
    ) -> Result<Event<Self::StopReason>, WaitForStopReasonError<Closed, Closed>> {
        match line.packets.peek() {
            Some(_) => line
                .read()
                .map(Event::IncomingData)
                .map_err(WaitForStopReasonError::Connection),
            None => Ok(Event::TargetStopped(SingleThreadStopReason::SwBreak(()))),
        }
    }

    fn on_interrupt(_: &mut Stopped) -> Result<Option<Self::StopReason>, Closed> {
        Ok(Some(SingleThreadStopReason::Signal(Signal::SIGINT)))
    }
}

/// A debugger of `solo5-hvt-debug`.
pub fn gdb_packets(data: &[u8]) {
    let mut guest = Stopped {
        memory: vec![0; MEMORY],
        regs: kvm_regs {
            rflags: 0x3202,
            ..kvm_regs::default()
        },
        sregs: kvm_sregs::default(),
        xsave: kvm_xsave::default(),
        breakpoints: Vec::new(),
    };
    let mut line = Line {
        input: data,
        packets: Packets::default(),
        packet: None,
        answers: 0,
    };
    loop {
        let stub = GdbStub::new(&mut line);
        match stub.run_blocking::<Loop<'_, '_>>(&mut guest) {
            // It asked for the end.
            Ok(_) => break,
            Err(error) if error.is_connection_error() => break,
            // The guest has none.
            Err(error) if error.is_target_error() => panic!("{error:?}"),
            // A packet that makes no sense is refused, and the next one is read.
            Err(_) => line.answers += REFUSAL.len(),
        }
    }
    // As much is said as was asked for: a packet of 4,000 bytes asks for as many.
    assert!(line.answers <= 64 + data.len() * 2 * LONGEST_PACKET);
}
