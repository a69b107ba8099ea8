//! A debugger and a guest, by the GDB remote serial protocol, from the first instruction to the end.

use std::io;

use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use solo5_tender::hvt::Guest;
use solo5_tender::hvt::vm::End;

use crate::connection::Line;
use crate::debuggee::{Debuggee, Hard, Progress};
use crate::probe::Abilities;

impl Target for Debuggee<'_> {
    type Arch = X86_64_SSE;
    type Error = io::Error;

    fn base_ops(&mut self) -> BaseOps<'_, X86_64_SSE, io::Error> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadBase for Debuggee<'_> {
    fn read_registers(&mut self, regs: &mut X86_64CoreRegs) -> TargetResult<(), Self> {
        Ok(Debuggee::read_registers(self, regs)?)
    }

    fn write_registers(&mut self, regs: &X86_64CoreRegs) -> TargetResult<(), Self> {
        Ok(Debuggee::write_registers(self, regs)?)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        match self.read_memory(start, data) {
            0 if !data.is_empty() => Err(TargetError::NonFatal),
            len => Ok(len),
        }
    }

    fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
        self.write_memory(start, data).ok_or(TargetError::NonFatal)
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadResume for Debuggee<'_> {
    fn resume(&mut self, signal: Option<Signal>) -> io::Result<()> {
        Debuggee::resume(self, false, signal)
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        if self.can_step() { Some(self) } else { None }
    }
}

impl SingleThreadSingleStep for Debuggee<'_> {
    fn step(&mut self, signal: Option<Signal>) -> io::Result<()> {
        Debuggee::resume(self, true, signal)
    }
}

impl Breakpoints for Debuggee<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        self.abilities().registers.then_some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        self.abilities().registers.then_some(self)
    }
}

impl SwBreakpoint for Debuggee<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add_soft(address))
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_soft(address))
    }
}

impl HwBreakpoint for Debuggee<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add_hard(instruction(address)))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_hard(instruction(address)))
    }
}

impl HwWatchpoint for Debuggee<'_> {
    fn add_hw_watchpoint(
        &mut self,
        address: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let watch = Some(kind);
        Ok(self.add_hard(Hard {
            address,
            len,
            watch,
        }))
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let watch = Some(kind);
        Ok(self.remove_hard(Hard {
            address,
            len,
            watch,
        }))
    }
}

/// A breakpoint in a debug register.
const fn instruction(address: u64) -> Hard {
    Hard {
        address,
        len: 1,
        watch: None,
    }
}

/// Connects the two.
struct Loop<'a, 'l>(std::marker::PhantomData<(&'a (), &'l ())>);

impl<'a, 'l> BlockingEventLoop for Loop<'a, 'l> {
    type Target = Debuggee<'a>;
    type Connection = &'l mut Line;
    type StopReason = SingleThreadStopReason<u64>;

    fn wait_for_stop_reason(
        guest: &mut Debuggee<'a>,
        line: &mut &'l mut Line,
    ) -> Result<Event<Self::StopReason>, WaitForStopReasonError<io::Error, io::Error>> {
        let mut broken = None;
        let progress = guest.run(|| {
            line.peek().map(|byte| byte.is_some()).or_else(|error| {
                broken = Some(error);
                Ok(true)
            })
        });
        if let Some(error) = broken {
            return Err(WaitForStopReasonError::Connection(error));
        }
        match progress.map_err(WaitForStopReasonError::Target)? {
            Progress::Stopped(reason) => Ok(Event::TargetStopped(reason)),
            Progress::Incoming => {
                let byte = line.read().map_err(WaitForStopReasonError::Connection)?;
                Ok(Event::IncomingData(byte))
            }
        }
    }

    fn on_interrupt(guest: &mut Debuggee<'a>) -> io::Result<Option<Self::StopReason>> {
        Ok(Some(guest.interrupted()))
    }
}

/// The end of a guest whose debugger wants no more of it.
const KILLED: End = End::Halt {
    status: 1,
    trap: None,
};

/// Runs a guest as the debugger says: how it ended.
pub(crate) fn run(program: &str, machine: &mut Guest, mut line: Line, abilities: Abilities) -> End {
    let mut guest = Debuggee::new(machine, abilities);
    let reason = loop {
        let stub = GdbStub::new(&mut line);
        let error = match stub.run_blocking::<Loop<'_, '_>>(&mut guest) {
            Ok(reason) => break reason,
            Err(error) => error,
        };
        if error.is_connection_error() || error.is_target_error() {
            eprintln!("{program}: Debugger: {error}");
            return KILLED;
        }
        // A packet that is known but makes no sense: for the library no reason to go on, for us no
        // reason to end.
        if let Err(error) = line.refuse() {
            eprintln!("{program}: Debugger: {error}");
            return KILLED;
        }
    };
    match reason {
        DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => {
            guest.ended.take().unwrap_or(KILLED)
        }
        DisconnectReason::Disconnect => {
            let machine = guest.detach();
            Line::let_run(machine);
            machine.run()
        }
        DisconnectReason::Kill => {
            eprintln!("{program}: Debugger asked us to quit");
            KILLED
        }
    }
}
