//! `solo5-hvt-debug`: `solo5-hvt` with a server for gdb (solo5-abi section 13.3).
//!
//! - [`options`]: `--gdb` and `--gdb-port`
//! - [`connection`]: the debugger's end of the line
//! - [`debuggee`]: the guest as a debugger sees it
//! - [`probe`]: what of debugging the host's KVM can do
//! - [`session`]: a debugger and a guest, from the first instruction to the end
//!
//! The debugger is not trusted: it reaches the guest's memory and registers, and nothing else. The
//! tender is in its usual box, with the connection in it.
//!
//! The program starts at the C library's `main`, for the reasons that `solo5-hvt` has.
#![no_main]

mod connection;
mod debuggee;
mod options;
mod probe;
mod session;

use std::ffi::{OsStr, c_char, c_int};

use seccompiler::{BackendError, SeccompCmpOp as Op};
use solo5_debug::registers;
use solo5_tender::cli::{self, Program, Tender};
use solo5_tender::filter::{Rules, register};
use solo5_tender::hvt::vm::End;
use solo5_tender::hvt::{self, Driver, Guest};

use connection::Line;
use options::Options;
use probe::Abilities;

const TENDER: Tender = Tender {
    name: "solo5-hvt-debug",
    modules: "core net block dumpcore gdb",
    usage: "    --gdb (wait for a debugger before the guest's first instruction)
  [ --gdb-port=1234 ] (where to wait, on this machine only; 0 for a port that is free)
    --ring0 (start the guest in ring 0: it can change its own page tables)
    --stack=N (keep a page N KiB below the end of memory that must not be touched)
    --no-net-ring (exchange frames by hypercalls)
    --dumpcore=DIR (write the memory of a guest that aborts to a file in DIR)
",
    ..hvt::TENDER
};

/// Runs a guest under a debugger, if that was asked for.
#[derive(Default)]
struct Debug {
    options: Options,
    session: Option<(Line, Abilities)>,
    program: String,
}

impl Driver for Debug {
    fn option(&mut self, option: &OsStr) -> Result<bool, String> {
        self.options.read(option)
    }

    fn prepare(
        &mut self,
        program: &Program,
        kernel: &str,
        machine: &mut Guest,
    ) -> Result<(), String> {
        self.program = program.name().to_owned();
        if !self.options.debugger {
            return Ok(());
        }
        let abilities = Abilities::of_host(machine.monitor().is_none());
        let line = Line::wait(program, self.options.port, kernel)?;
        line.interrupt(machine)
            .map_err(|error| format!("Could not be told of the debugger: {error}"))?;
        self.session = Some((line, abilities));
        Ok(())
    }

    fn descriptors(&self) -> Vec<i32> {
        self.session.iter().map(|(line, _)| line.fd()).collect()
    }

    fn allow(&self, rules: &mut Rules, vcpu: i32) -> Result<(), BackendError> {
        let number = |number: libc::c_long| number.cast_unsigned();
        for fd in self.descriptors() {
            for call in [libc::SYS_recvfrom, libc::SYS_sendto] {
                rules.allow(number(call), &[(0, Op::Eq, register(fd))])?;
            }
        }
        if self.session.is_some() {
            let vcpu = (0, Op::Eq, register(vcpu));
            for request in registers::REQUESTS {
                let request = (1, Op::Eq, request);
                rules.allow(number(libc::SYS_ioctl), &[vcpu.clone(), request])?;
            }
        }
        Ok(())
    }

    fn run(&mut self, machine: &mut Guest) -> End {
        match self.session.take() {
            None => machine.run(),
            Some((line, abilities)) => session::run(&self.program, machine, line, abilities),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    hvt::run_with(TENDER, &cli::arguments(), &mut Debug::default())
}
