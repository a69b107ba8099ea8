//! What of debugging the host's KVM can do. It says that it can; whether it does is seen by trying, in
//! a machine of a few instructions.

use std::sync::Arc;

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_guest_debug,
    kvm_guest_debug_arch,
};
use solo5_abi::constants::LOAD_BASE;
use solo5_tender::hvt::host::{GuestBytes, Host, HostFailure, Outcome};
use solo5_tender::hvt::memory::{Ram, Size};
use solo5_tender::hvt::monitor::Monitor;
use solo5_tender::hvt::paging::Layout;
use solo5_tender::hvt::prepare_ring0;
use solo5_tender::hvt::vm::{Event, Machine};
use solo5_tender::load::{GuestMemory, Protection};

/// What works, for guests in the ring that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Breakpoints and watchpoints in debug registers.
    pub(crate) registers: bool,
    /// Single steps by KVM. Guests in ring 3 do not need it.
    pub(crate) steps: bool,
}

/// The surroundings of a machine that asks for nothing.
struct Nothing;

// SAFETY: nothing is done with guest memory.
unsafe impl Host for Nothing {
    fn console(&self, _: GuestBytes) {}

    fn walltime(&self) -> u64 {
        0
    }

    fn poll(&self, _: u64) -> Result<u64, HostFailure> {
        Ok(0)
    }

    fn has_net(&self) -> bool {
        false
    }

    fn has_block(&self) -> bool {
        false
    }

    fn is_net(&self, _: u64) -> bool {
        false
    }

    fn net_write(&self, _: u64, _: GuestBytes) -> Outcome {
        Outcome::Invalid
    }

    fn net_read(&self, _: u64, _: GuestBytes) -> Result<usize, Outcome> {
        Err(Outcome::Invalid)
    }

    fn capacity(&self, _: u64) -> Option<u64> {
        None
    }

    fn block_write(&self, _: u64, _: u64, _: GuestBytes) -> Outcome {
        Outcome::Invalid
    }

    fn block_read(&self, _: u64, _: u64, _: GuestBytes) -> Outcome {
        Outcome::Invalid
    }
}

impl Abilities {
    /// Tries what works.
    pub(crate) fn of_host(ring0: bool) -> Self {
        const EXECUTE: u64 = 0b01 << 0;
        let mut at_second = kvm_guest_debug_arch::default();
        at_second.debugreg[0] = LOAD_BASE + 1;
        at_second.debugreg[7] = EXECUTE;
        let stops_at_second = |control, arch| {
            let control = KVM_GUESTDBG_ENABLE | control;
            let debug = kvm_guest_debug {
                control,
                arch,
                ..kvm_guest_debug::default()
            };
            tried(ring0, &debug) == Some(LOAD_BASE + 1)
        };
        Self {
            registers: stops_at_second(KVM_GUESTDBG_USE_HW_BP, at_second),
            steps: stops_at_second(KVM_GUESTDBG_SINGLESTEP, kvm_guest_debug_arch::default()),
        }
    }
}

/// Where a machine of a few instructions stops, if that is because of this.
fn tried(ring0: bool, debug: &kvm_guest_debug) -> Option<u64> {
    const CODE: [u8; 5] = [0x90, 0x90, 0x90, 0x0f, 0x0b]; // nop; nop; nop; ud2
    let mut ram = Ram::new(Size::new(2 << 20, false).ok()?, false).ok()?;
    let page = LOAD_BASE..LOAD_BASE + 0x1000;
    let code = ram.bytes_mut(LOAD_BASE..LOAD_BASE + CODE.len() as u64)?;
    code.copy_from_slice(&CODE);
    let protection = Protection {
        read: true,
        write: false,
        execute: true,
    };
    ram.protect(page, protection).ok()?;
    let monitor = if ring0 {
        prepare_ring0(&mut ram)?;
        None
    } else {
        let layout = Layout {
            boot_end: 0x1_1000,
            segments: ram.segments(),
            size: ram.memory_size().guest,
            ring: None,
            guard: None,
        };
        Some(Monitor::new(layout).ok()?)
    };
    let mut machine = Machine::new(LOAD_BASE, Arc::new(ram), monitor, Arc::new(Nothing)).ok()?;
    machine.vcpu().set_guest_debug(debug).ok()?;
    match machine.advance() {
        Event::Debug(_) => machine.vcpu().get_regs().ok().map(|regs| regs.rip),
        _ => None,
    }
}
