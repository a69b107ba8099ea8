//! The virtual machine: setting it up, and running it until it ends (solo5-abi sections 10.3, 10.4).

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use kvm_bindings::{KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_bindings::{kvm_regs, kvm_sregs, kvm_xcrs};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, NoDatamatch, VcpuExit, VcpuFd, VmFd};
use solo5_abi::hvt::{PORT_BASE, PORT_RING, TrapFrame, exception_name};
use thiserror::Error;
use vmm_sys_util::errno;
use vmm_sys_util::eventfd::EventFd;

use crate::errno::Strerror;
use crate::hvt::cpu::{self, Features};
use crate::hvt::cpuid;
use crate::hvt::emulate::{self, Effect};
use crate::hvt::host::{Host, HostFailure};
use crate::hvt::hypercall::{Fault, Next, hypercall};
use crate::hvt::memory::Ram;
use crate::hvt::monitor::{BASE, Exception, Monitor, PORT_EXCEPTION};

/// Why there is no machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VmError {
    /// There is no `/dev/kvm`, or it is not for us.
    #[error("Could not open: /dev/kvm: {}", Strerror(.0))]
    Open(io::Error),
    /// KVM of another time.
    #[error("KVM: API version {0}, expected {KVM_API_VERSION}")]
    Version(i32),
    /// KVM without something that is needed.
    #[error("KVM: {0} is not supported on this host")]
    Missing(&'static str),
    /// The time stamp counter cannot serve as a clock.
    #[error("KVM: host TSC is unstable, cannot continue")]
    Clock,
    /// A step fails.
    #[error("KVM: {what} failed: {}", Strerror(.error))]
    Step {
        /// Which one.
        what: &'static str,
        /// What the host says.
        error: io::Error,
    },
}

/// Names a step that failed.
fn step(what: &'static str) -> impl Fn(errno::Error) -> VmError {
    move |error| VmError::Step {
        what,
        error: error.into(),
    }
}

/// How a machine ended.
#[derive(Debug)]
pub enum End {
    /// The guest wanted it.
    Halt {
        /// With this exit status.
        status: i32,
        /// Because of this trap, which it has reported itself.
        trap: Option<TrapFrame>,
    },
    /// An exception in ring 3 that the guest has not been told of.
    Exception {
        /// What it is.
        exception: Exception,
        /// What a page fault was about.
        cr2: u64,
    },
    /// The guest, in ring 0, wrote to memory that the host's page tables protect.
    Violation {
        /// Its instruction.
        rip: u64,
    },
    /// The guest did what it must not.
    Fault(Fault),
    /// The machine cannot go on.
    Stopped(Stop),
}

/// Why a machine cannot go on.
#[derive(Clone, Copy, Debug, Error)]
pub enum Stop {
    /// The processor refuses to run the guest.
    #[error("KVM: entry failure: hw_entry_failure_reason={0:#x}")]
    Entry(u64),
    /// KVM cannot do what the guest's instruction asks for.
    #[error("KVM: internal error exit: suberror={0:#x}")]
    Internal(u32),
    /// An exit that means nothing.
    #[error("KVM: unhandled exit: exit_reason={reason:#x}, rip={rip:#x}")]
    Unhandled {
        /// Its number.
        reason: u32,
        /// The guest's instruction.
        rip: u64,
    },
    /// The host does not do what the machine or the guest needs. The guest is not to blame.
    #[error(transparent)]
    Host(#[from] HostFailure),
    /// The tender's own code in the machine met with an exception. Neither is the guest here.
    #[error("KVM: {} in the tender's own code: rip={rip:#x}", exception_name(*.vector))]
    Monitor {
        /// Which one.
        vector: u8,
        /// The instruction.
        rip: u64,
    },
}

/// A request to KVM that failed while the guest ran.
fn failed(what: &'static str) -> impl Fn(errno::Error) -> End {
    move |error| {
        End::Stopped(Stop::Host(HostFailure {
            what,
            errno: error.errno(),
        }))
    }
}

impl End {
    /// Whether a page fault was about what the guest may do with memory that is there.
    #[must_use]
    pub const fn is_violation(&self) -> bool {
        match self {
            Self::Violation { .. } => true,
            Self::Exception { exception, .. } => {
                exception.vector == 14 && exception.error_code & 1 != 0
            }
            _ => false,
        }
    }
}

/// Why a machine does not go on of its own accord.
#[derive(Debug)]
pub enum Event {
    /// The guest is at its end.
    End(End),
    /// A debug register, or a step: the processor's register DR6.
    Debug(u64),
    /// A signal came.
    Interrupted,
}

/// A machine that is ready to run, with a guest loaded.
pub struct Machine<H> {
    vcpu: VcpuFd,
    vm: VmFd,
    monitor: Option<Monitor>,
    ram: Arc<Ram>,
    host: Arc<H>,
}

impl<H> std::fmt::Debug for Machine<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("ram", &self.ram)
            .finish_non_exhaustive()
    }
}

/// What an exit asks for, taken out of the structure that the processor's next run overwrites.
enum Exit {
    Out(u16, Option<u32>),
    MmioWrite(u64),
    Entry(u64),
    Internal,
    Other,
}

impl<H: Host> Machine<H> {
    /// A machine with this memory, in which a guest's image lies ready to be started at `entry`: in
    /// ring 3 with a `monitor`, in ring 0 without.
    ///
    /// # Errors
    ///
    /// See [`VmError`].
    pub fn new(
        entry: u64,
        ram: Arc<Ram>,
        monitor: Option<Monitor>,
        host: Arc<H>,
    ) -> Result<Self, VmError> {
        let kvm = Kvm::new().map_err(|error| VmError::Open(error.into()))?;
        let version = kvm.get_api_version();
        if u32::try_from(version) != Ok(KVM_API_VERSION) {
            return Err(VmError::Version(version));
        }
        for (capability, name) in [
            (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
            (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ"),
        ] {
            if !kvm.check_extension(capability) {
                return Err(VmError::Missing(name));
            }
        }
        let vm = kvm.create_vm().map_err(step("CREATE_VM"))?;
        let mut areas = vec![(0, ram.area())];
        areas.extend(monitor.as_ref().map(|monitor| (BASE, monitor.area())));
        for (slot, (guest_phys_addr, area)) in (0..).zip(areas) {
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr,
                memory_size: area.len() as u64,
                userspace_addr: area.as_ptr().expose_provenance() as u64,
            };
            // SAFETY: the area stays mapped as long as this object, which keeps `ram` and `monitor`
            // and is dropped first. The guest's accesses are not seen by Rust.
            unsafe { vm.set_user_memory_region(region) }.map_err(step("SET_USER_MEMORY_REGION"))?;
        }

        let vcpu = vm.create_vcpu(0).map_err(step("CREATE_VCPU"))?;
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        let supported = supported.map_err(step("GET_SUPPORTED_CPUID"))?;
        let table = match &monitor {
            // A kernel of its own in ring 0 gets to know all there is.
            None => supported,
            Some(_) => cpuid::table(&supported).map_err(|_| VmError::Missing("so long a CPUID"))?,
        };
        vcpu.set_cpuid2(&table).map_err(step("SET_CPUID2"))?;
        let size = ram.memory_size().guest;
        let fresh = vcpu.get_sregs().map_err(step("GET_SREGS"))?;
        let mut sregs = fresh;
        match &monitor {
            Some(monitor) => {
                let features = Features::of(&table);
                cpu::enter_ring3(&mut sregs, monitor, features);
                set_features(&vcpu, &sregs, features, || {
                    let mut sregs = fresh;
                    cpu::enter_ring3(&mut sregs, monitor, Features::default());
                    sregs
                })?;
            }
            None => {
                cpu::enter_ring0(&mut sregs);
                vcpu.set_sregs(&sregs).map_err(step("SET_SREGS"))?;
            }
        }
        let registers = cpu::registers(entry, size, monitor.is_none());
        vcpu.set_regs(&registers).map_err(step("SET_REGS"))?;
        Ok(Self {
            vcpu,
            vm,
            monitor,
            ram,
            host,
        })
    }

    /// Frequency of the guest's time stamp counter in Hz.
    ///
    /// # Errors
    ///
    /// The host's is unstable.
    pub fn clock_frequency(&self) -> Result<u64, VmError> {
        match self.vcpu.get_tsc_khz() {
            Ok(khz) if khz > 0 => Ok(u64::from(khz) * 1000),
            _ => Err(VmError::Clock),
        }
    }

    /// Lets the guest ring a bell without leaving the machine.
    ///
    /// # Errors
    ///
    /// The host cannot.
    pub fn connect_doorbell(&self, doorbell: &EventFd) -> io::Result<()> {
        let at = IoEventAddress::Pio(PORT_RING.into());
        Ok(self.vm.register_ioevent(doorbell, &at, NoDatamatch)?)
    }

    /// Descriptor of the machine.
    #[must_use]
    pub fn vm_fd(&self) -> i32 {
        self.vm.as_raw_fd()
    }

    /// Descriptor of the processor.
    #[must_use]
    pub fn vcpu_fd(&self) -> i32 {
        self.vcpu.as_raw_fd()
    }

    /// The processor's registers, at an end.
    ///
    /// # Errors
    ///
    /// Whatever KVM says.
    pub fn registers(&self) -> io::Result<(kvm_regs, kvm_sregs)> {
        Ok((self.vcpu.get_regs()?, self.vcpu.get_sregs()?))
    }

    /// Runs the guest to its end.
    pub fn run(&mut self) -> End {
        loop {
            match self.advance() {
                Event::End(end) => return end,
                Event::Interrupted => {}
                // Nobody asked for it.
                Event::Debug(_) => {
                    let (reason, rip) = (kvm_bindings::KVM_EXIT_DEBUG, self.rip());
                    return End::Stopped(Stop::Unhandled { reason, rip });
                }
            }
        }
    }

    /// Runs the guest until it ends, or a signal or a debug register interrupts it.
    pub fn advance(&mut self) -> Event {
        loop {
            let exit = match self.vcpu.run() {
                Ok(VcpuExit::IoOut(port, data)) => {
                    let word = <[u8; 4]>::try_from(data).ok().map(u32::from_le_bytes);
                    Exit::Out(port, word)
                }
                Ok(VcpuExit::IoIn(port, _)) => return Event::End(End::Fault(Fault::Port(port))),
                Ok(VcpuExit::Debug(debug)) => return Event::Debug(debug.dr6),
                Ok(VcpuExit::MmioWrite(address, _)) => Exit::MmioWrite(address),
                Ok(VcpuExit::FailEntry(reason, _)) => Exit::Entry(reason),
                Ok(VcpuExit::InternalError) => Exit::Internal,
                Ok(_) => Exit::Other,
                Err(error) => match error.errno() {
                    libc::EINTR => return Event::Interrupted,
                    // Memory that the host protects, which is so for guests in ring 0 only.
                    libc::EFAULT if self.monitor.is_none() => {
                        return Event::End(End::Violation { rip: self.rip() });
                    }
                    _ => return Event::End(failed("KVM: VCPU_RUN")(error)),
                },
            };
            if let Some(end) = self.handle(exit) {
                return Event::End(end);
            }
        }
    }

    /// The machine's processor, for a debugger.
    pub const fn vcpu(&mut self) -> &mut VcpuFd {
        &mut self.vcpu
    }

    /// The machine's memory.
    #[must_use]
    pub fn ram(&self) -> &Ram {
        &self.ram
    }

    /// What the guest does the host's work through.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The tender's part of the machine of a guest in ring 3.
    #[must_use]
    pub const fn monitor(&self) -> Option<&Monitor> {
        self.monitor.as_ref()
    }

    fn rip(&self) -> u64 {
        self.vcpu.get_regs().map_or(0, |registers| registers.rip)
    }

    /// Does what the guest asks for; how it ends, if it does.
    fn handle(&mut self, exit: Exit) -> Option<End> {
        match exit {
            Exit::Out(port, _) if (PORT_EXCEPTION..PORT_BASE).contains(&port) => {
                self.exception(port)
            }
            Exit::Out(port, Some(gpa)) => match hypercall(&self.ram, &*self.host, port, gpa) {
                Ok(Next::Continue) => None,
                Ok(Next::Halt { status, trap }) => Some(End::Halt { status, trap }),
                Ok(Next::Failed(failure)) => Some(End::Stopped(failure.into())),
                Err(fault) => Some(End::Fault(fault)),
            },
            Exit::Out(port, None) => Some(End::Fault(Fault::Port(port))),
            // Where ring 0 is emulated, a write to memory that the host protects, as it does for
            // guests in ring 0, is taken for one to a device.
            Exit::MmioWrite(address)
                if self.monitor.is_none() && address < self.ram.memory_size().guest =>
            {
                Some(End::Violation { rip: self.rip() })
            }
            Exit::Entry(reason) => Some(End::Stopped(Stop::Entry(reason))),
            Exit::Internal => {
                let run = self.vcpu.get_kvm_run();
                // SAFETY: the exit was of this kind, so the union holds this; all fields are integers.
                let suberror = unsafe { run.__bindgen_anon_1.internal.suberror };
                Some(End::Stopped(Stop::Internal(suberror)))
            }
            Exit::MmioWrite(_) | Exit::Other => {
                let reason = self.vcpu.get_kvm_run().exit_reason;
                let rip = self.rip();
                Some(End::Stopped(Stop::Unhandled { reason, rip }))
            }
        }
    }

    /// An exception in ring 3: done for the guest if it is one of its instructions that expect ring
    /// 0, its end otherwise.
    fn exception(&mut self, port: u16) -> Option<End> {
        self.try_exception(port).unwrap_or_else(Some)
    }

    /// [`exception`](Self::exception); on the error's side are ends for which the host is to blame.
    fn try_exception(&mut self, port: u16) -> Result<Option<End>, End> {
        const UNDEFINED: u8 = 6;
        const PROTECTION: u8 = 13;
        let port_fault = End::Fault(Fault::Port(port));
        let Some(monitor) = &self.monitor else {
            return Ok(Some(port_fault));
        };
        let registers = self.vcpu.get_regs().map_err(failed("KVM: GET_REGS"))?;
        let Some(exception) = monitor.exception(port, registers.rip, registers.rsp) else {
            return Ok(Some(port_fault));
        };
        let (vector, mut frame) = (exception.vector, exception.frame);
        if !frame.is_of_guest() {
            let rip = frame.rip;
            return Ok(Some(End::Stopped(Stop::Monitor { vector, rip })));
        }
        if matches!(vector, UNDEFINED | PROTECTION) {
            let code = self.ram.peek(frame.rip, emulate::MAX_LENGTH);
            let stack = |address| self.ram.read(address).ok();
            if let Some(effect) = emulate::emulate(&code, &registers, &mut frame, stack) {
                self.set_base(effect)?;
                monitor.resume_with(&exception, frame);
                return Ok(None);
            }
        }
        let sregs = self.vcpu.get_sregs().map_err(failed("KVM: GET_SREGS"))?;
        let cr2 = sregs.cr2;
        Ok(Some(End::Exception { exception, cr2 }))
    }

    fn set_base(&self, effect: Effect) -> Result<(), End> {
        let mut sregs = match effect {
            Effect::None => return Ok(()),
            _ => self.vcpu.get_sregs().map_err(failed("KVM: GET_SREGS"))?,
        };
        match effect {
            Effect::None => {}
            Effect::FsBase(base) => sregs.fs.base = base,
            Effect::GsBase(base) => sregs.gs.base = base,
        }
        self.vcpu
            .set_sregs(&sregs)
            .map_err(failed("KVM: SET_SREGS"))
    }
}

/// Sets a processor's special registers, with as many features as the host lets through.
fn set_features(
    vcpu: &VcpuFd,
    wanted: &kvm_sregs,
    features: Features,
    plain: impl Fn() -> kvm_sregs,
) -> Result<(), VmError> {
    if vcpu.set_sregs(wanted).is_err() {
        return vcpu.set_sregs(&plain()).map_err(step("SET_SREGS"));
    }
    if features.xcr0 != 0 {
        let mut xcrs = kvm_xcrs {
            nr_xcrs: 1,
            ..kvm_xcrs::default()
        };
        xcrs.xcrs[0].value = features.xcr0;
        // A guest sees by XGETBV what it has.
        let _ = vcpu.set_xcrs(&xcrs);
    }
    Ok(())
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Halt { status, .. } => write!(f, "Halt with status {status}"),
            Self::Exception { exception, cr2 } => {
                let Exception {
                    vector,
                    error_code,
                    frame,
                    ..
                } = exception;
                let name = exception_name(*vector);
                let (rip, rsp, rflags) = (frame.rip, frame.rsp, frame.rflags);
                writeln!(
                    f,
                    "trap: type={name} ec={error_code:#x} rip={rip:#x} rsp={rsp:#x} \
                     rflags={rflags:#x}"
                )?;
                if *vector == 14 {
                    writeln!(f, "trap: cr2={cr2:#x}")?;
                }
                if self.is_violation() {
                    write!(f, "KVM: host/guest translation fault: rip={rip:#x}")
                } else {
                    write!(f, "ABORT: Fatal trap")
                }
            }
            Self::Violation { rip } => {
                write!(f, "KVM: host/guest translation fault: rip={rip:#x}")
            }
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Stopped(stop) => write!(f, "{stop}"),
        }
    }
}
