//! The tender of virtual machines against its guest: hypercalls, the network ring, instructions that
//! are emulated, and exceptions that are none.
//!
//! An input is a list of operations, each a byte that says which and what it needs:
//!
//! | | |
//! |---|---|
//! | 0 | hypercall: port, a byte above [`PORT_BASE`]; address, 4 bytes |
//! | 1 | change guest memory: address, 4 bytes; length, a byte; that many bytes |
//! | 2 | change the ring: offset, 2 bytes; length, a byte; that many bytes |
//! | 3 | submit: number of entries, 2 bytes; then the ring is served |
//! | 4 | execute an instruction: length, a byte; that many bytes; `rcx` and `rdx`, 4 bytes each |
//! | 5 | write to a port of a handler: port, a byte; `rip` and `rsp`, 8 bytes each |
//!
//! What must hold: nothing outside guest memory is passed to the host, ever, and nothing that the
//! guest must not change is passed to be written to; what a guest does wrong is its fault, and ends it;
//! the ring's counters of the tender are the tender's own.
//!
//! Each input runs twice, the second time with what `--stats` and `--net-pcap` put between guest and
//! host: the guest cannot tell, what is counted is what happened, and what is recorded is what passed.

use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::ops::Range;

use kvm_bindings::kvm_regs;
use solo5_abi::constants::LOAD_BASE;
use solo5_abi::hvt::{PORT_BASE, RING_AREA, RING_ENTRIES, Ring};
use solo5_tender::capture::{Direction, Recorder};
use solo5_tender::devices::{Attached, BlockDevice, NetDevice};
use solo5_tender::hvt::emulate::{Effect, emulate};
use solo5_tender::hvt::host::{GuestBytes, Host, HostFailure, Outcome};
use solo5_tender::hvt::hypercall::{Fault, Next, hypercall};
use solo5_tender::hvt::memory::{Ram, Size};
use solo5_tender::hvt::monitor::{BASE, Frame, Monitor, PORT_EXCEPTION};
use solo5_tender::hvt::observed::Observed;
use solo5_tender::hvt::paging::Layout;
use solo5_tender::hvt::ring::HostRing;
use solo5_tender::load::{GuestMemory, Protection};
use solo5_tender::stats::{BlockCounters, NetCounters};

use crate::input::Input;
use crate::recording::{Passed, Recording};

/// Bytes of guest memory; the ring is behind.
const MEMORY: u64 = 2 << 20;
/// What is loaded: code, constants, and data that the guest may write to.
const TEXT: Range<u64> = LOAD_BASE..LOAD_BASE + 0x1000;
const CONSTANTS: Range<u64> = TEXT.end..TEXT.end + 0x1000;
const DATA: Range<u64> = CONSTANTS.end..CONSTANTS.end + 0x1000;
/// Network devices have these indices.
const NET: Range<u64> = 1..3;
/// The one that is recorded, if one is.
const RECORDED: u64 = 1;
/// The longest frame that they take.
const LONGEST: usize = 2048;
/// The block device.
const BLOCK: u64 = 3;
const CAPACITY: u64 = 1 << 20;

/// Whether a guest may write to all of this.
fn is_writable(range: Range<u64>) -> bool {
    range.start >= CONSTANTS.end && range.end <= MEMORY
}

/// A host that checks what it is asked for, and does what a device could do to the memory.
struct World {
    start: usize,
    /// Frames that wait.
    frames: Cell<u32>,
    net_reads: Cell<u32>,
    /// Frames of the recorded device are not in guest memory, but copies of the tender's.
    copied: bool,
    /// What happened.
    console: Cell<u64>,
    net: [NetCounters; 2],
    block: BlockCounters,
    passed: RefCell<Vec<Passed>>,
}

impl World {
    fn new(ram: &Ram, copied: bool) -> Self {
        Self {
            start: ram.area().as_ptr().addr(),
            frames: Cell::new(20),
            net_reads: Cell::new(0),
            copied,
            console: Cell::new(0),
            net: Default::default(),
            block: BlockCounters::default(),
            passed: RefCell::default(),
        }
    }

    fn counters(&self, index: u64) -> &NetCounters {
        let (first, second) = (&self.net[0], &self.net[1]);
        if index == NET.start { first } else { second }
    }

    fn is_copied(&self, index: u64) -> bool {
        self.copied && index == RECORDED
    }

    /// A frame passed, all of whose bytes were looked at.
    fn pass(&self, index: u64, direction: Direction, frame: &[u8]) {
        if index == RECORDED {
            let passed = Passed::new(direction, frame);
            self.passed.borrow_mut().push(passed);
        }
    }

    /// Checks that the bytes are the guest's.
    fn check(&self, bytes: GuestBytes) {
        let at = bytes.start.addr().get();
        let offset = at.checked_sub(self.start).expect("below guest memory");
        let end = offset.checked_add(bytes.len).expect("beyond all memory");
        assert!(end as u64 <= MEMORY, "behind guest memory");
    }

    /// Checks that the bytes are the guest's to write to.
    fn check_room(&self, room: GuestBytes) {
        self.check(room);
        let start = (room.start.addr().get() - self.start) as u64;
        let end = start + room.len as u64;
        assert!(
            room.len == 0 || is_writable(start..end),
            "{start:#x}..{end:#x}"
        );
    }

    /// Writes as much as a device might.
    fn fill(&self, room: GuestBytes, len: usize) {
        self.check_room(room);
        let len = len.min(room.len);
        // SAFETY: checked to be guest memory, which is mapped.
        unsafe { room.start.write_bytes(0xa5, len) };
    }

    /// Reads all of it.
    fn look(&self, bytes: GuestBytes) -> Vec<u8> {
        self.check(bytes);
        read(bytes)
    }
}

/// Bytes that are there.
fn read(bytes: GuestBytes) -> Vec<u8> {
    let byte = |at| {
        // SAFETY: checked to be guest memory, which is mapped, or made by the tender.
        unsafe { bytes.start.add(at).read_volatile() }
    };
    (0..bytes.len).map(byte).collect()
}

// SAFETY: `check` is called before the bytes are touched.
unsafe impl Host for World {
    fn console(&self, text: GuestBytes) {
        self.console.set(self.console.get() + text.len as u64);
        self.look(text);
    }

    fn walltime(&self) -> u64 {
        1
    }

    fn poll(&self, timeout: u64) -> Result<u64, HostFailure> {
        // Other hosts than ours fail, too.
        let failure = HostFailure {
            what: "poll",
            errno: 12,
        };
        if timeout == u64::MAX {
            Err(failure)
        } else {
            Ok(2)
        }
    }

    fn has_net(&self) -> bool {
        true
    }

    fn has_block(&self) -> bool {
        true
    }

    fn is_net(&self, index: u64) -> bool {
        NET.contains(&index)
    }

    fn net_write(&self, index: u64, frame: GuestBytes) -> Outcome {
        assert!(self.is_net(index));
        let bytes = match self.is_copied(index) {
            true => read(frame),
            false => self.look(frame),
        };
        if frame.len > LONGEST {
            self.counters(index).refused.one();
            return Outcome::Unspecified;
        }
        self.counters(index).sent(frame.len);
        self.pass(index, Direction::Out, &bytes);
        Outcome::Ok
    }

    fn net_read(&self, index: u64, room: GuestBytes) -> Result<usize, Outcome> {
        assert!(self.is_net(index));
        if !self.is_copied(index) {
            self.check_room(room);
        }
        self.net_reads.set(self.net_reads.get() + 1);
        let Some(left) = self.frames.get().checked_sub(1) else {
            self.counters(index).empty.one();
            return Err(Outcome::Again);
        };
        self.frames.set(left);
        let frame = [u8::try_from(left).expect("few"); 60];
        let len = room.len.min(frame.len());
        // SAFETY: checked to be guest memory, which is mapped, or made by the tender.
        unsafe { room.start.as_ptr().copy_from(frame.as_ptr(), len) };
        self.counters(index).received(len);
        self.pass(index, Direction::In, &frame[..len]);
        Ok(len)
    }

    fn capacity(&self, index: u64) -> Option<u64> {
        (index == BLOCK).then_some(CAPACITY)
    }

    fn block_write(&self, index: u64, offset: u64, data: GuestBytes) -> Outcome {
        assert!(index == BLOCK && offset < CAPACITY);
        assert!(
            offset
                .checked_add(data.len as u64)
                .is_some_and(|end| end <= CAPACITY)
        );
        self.block.writes.one();
        self.block.bytes_written.add(data.len as u64);
        self.look(data);
        Outcome::Ok
    }

    fn block_read(&self, index: u64, offset: u64, room: GuestBytes) -> Outcome {
        assert!(index == BLOCK && offset < CAPACITY);
        assert!(
            offset
                .checked_add(room.len as u64)
                .is_some_and(|end| end <= CAPACITY)
        );
        self.block.reads.one();
        self.block.bytes_read.add(room.len as u64);
        self.fill(room, room.len);
        Outcome::Ok
    }
}

/// The world, as it is or as it is observed.
trait Surroundings: Host {
    fn world(&self) -> &World;
}

impl Surroundings for World {
    fn world(&self) -> &World {
        self
    }
}

impl Surroundings for Observed<World> {
    fn world(&self) -> &World {
        self.inner()
    }
}

/// The world, observed; frames of one device are recorded.
fn observed(ram: &Ram, recorder: Recorder) -> Observed<World> {
    let net = |(number, index): (u64, u64)| NetDevice {
        index: usize::try_from(index).expect("small"),
        name: format!("net{number}"),
        recorder: (index == RECORDED).then(|| recorder.clone()),
        ..NetDevice::default()
    };
    let block = BlockDevice {
        index: usize::try_from(BLOCK).expect("small"),
        name: "storage".to_owned(),
        ..BlockDevice::default()
    };
    let mut attached = Attached {
        manifest: Vec::new(),
        net: (0..).zip(NET).map(net).collect(),
        block: vec![block],
    };
    Observed::new(&mut attached, |_| World::new(ram, true))
}

/// What is printed of a guest is what happened to the one that was not observed.
fn check_counts(observed: &Observed<World>, plain: &World) {
    let mut text = String::new();
    observed.print("", &mut text).expect("a string takes it");
    let World {
        net,
        block,
        console,
        ..
    } = plain;
    for (number, counters) in net.iter().enumerate() {
        let line = format!("stats: net net{number}: {counters}\n");
        assert!(text.contains(&line), "no {line} in {text}");
    }
    let line = format!("stats: block storage: {block}\n");
    assert!(text.contains(&line), "no {line} in {text}");
    let console = format!(" console {} bytes", console.get());
    assert!(text.contains(&console), "no {console} in {text}");
}

/// A guest that does what the input says.
struct Guest<H> {
    ram: Ram,
    ring: HostRing,
    world: H,
    /// What the guest says it has submitted.
    submitted: u32,
}

/// A guest's end.
struct Ended;

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        let text = fault.to_string();
        assert!(text.starts_with("Invalid guest "), "{text}");
        Self
    }
}

impl<H: Surroundings> Guest<H> {
    fn new(world: impl FnOnce(&Ram) -> H) -> Self {
        let size = Size::new(MEMORY, true).expect("a size that there is");
        let mut ram = Ram::new(size, false).expect("memory");
        for (pages, write, execute) in [
            (TEXT, false, true),
            (CONSTANTS, false, false),
            (DATA, true, false),
        ] {
            let protection = Protection {
                read: true,
                write,
                execute,
            };
            ram.protect(pages, protection).expect("memory");
        }
        let ring = HostRing::new(&ram).expect("a ring");
        Self {
            world: world(&ram),
            ram,
            ring,
            submitted: 0,
        }
    }

    /// The ring's area as the guest writes to it.
    fn ring_write(&self, offset: usize, bytes: &[u8]) {
        let area = self.ram.ring_area().expect("a ring");
        let room = usize::try_from(RING_AREA).expect("2 MiB");
        for (at, &byte) in (offset..room).zip(bytes) {
            // SAFETY: inside the area.
            unsafe { area.add(at).write_volatile(byte) };
        }
    }

    fn ring_word(&self, offset: usize) -> u32 {
        let area = self.ram.ring_area().expect("a ring");
        // SAFETY: inside the ring, and aligned.
        unsafe { area.add(offset).cast::<u32>().read_volatile() }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<Result<(), Ended>> {
        Some(match input.byte()? % 6 {
            0 => {
                let port = PORT_BASE + u16::from(input.byte()?);
                let gpa = input.word()?;
                match hypercall(&self.ram, &self.world, port, gpa) {
                    Ok(Next::Continue) => Ok(()),
                    Ok(Next::Halt { .. } | Next::Failed(_)) => Err(Ended),
                    Err(fault) => Err(fault.into()),
                }
            }
            1 => {
                let gpa = u64::from(input.word()?);
                for (address, byte) in (gpa..).zip(input.counted()?) {
                    let inside = self.ram.write(address, byte).is_ok();
                    assert_eq!(inside, is_writable(address..address + 1));
                }
                Ok(())
            }
            2 => {
                let offset = input.half()?;
                self.ring_write(offset.into(), input.counted()?);
                self.submitted = self.ring_word(offset_of!(Ring, guest));
                Ok(())
            }
            3 => {
                let before = self.submitted;
                self.submitted = before.wrapping_add(input.half()?.into());
                let tail = offset_of!(Ring, guest);
                self.ring_write(tail, &self.submitted.to_le_bytes());
                self.world.world().net_reads.set(0);
                let result = self.ring.process(&self.ram, &self.world);
                // One pass is one pass, and no device is asked again that was empty.
                assert!(self.world.world().net_reads.get() <= RING_ENTRIES);
                if result.is_ok() {
                    // Whatever the guest wrote there, the tender's counter is right again.
                    let head = self.ring_word(offset_of!(Ring, host));
                    assert_eq!(head, self.submitted);
                    assert!(!self.ring.has_work());
                }
                result.map_err(Ended::from)
            }
            4 => {
                let code = input.counted()?;
                let registers = kvm_regs {
                    rcx: input.word()?.into(),
                    rdx: input.word()?.into(),
                    ..kvm_regs::default()
                };
                self.execute(code, &registers);
                Ok(())
            }
            _ => {
                let port = u16::from(input.byte()?);
                forge_exception(port, input.quad()?, input.quad()?);
                Ok(())
            }
        })
    }

    fn execute(&self, code: &[u8], registers: &kvm_regs) {
        let before = Frame {
            rip: 0x10_0000,
            cs: 0x23,
            rflags: 0x3202,
            rsp: 0x1f_0000,
            ss: 0x1b,
        };
        let mut frame = before;
        let stack = |address| self.ram.read(address).ok();
        let effect = emulate(code, registers, &mut frame, stack);
        let privilege = (frame.cs, frame.ss, frame.rflags);
        assert_eq!(privilege, (before.cs, before.ss, before.rflags));
        match effect {
            None => assert_eq!(frame, before),
            Some(Effect::None) => assert_ne!(frame.rip, before.rip),
            Some(Effect::FsBase(base) | Effect::GsBase(base)) => {
                assert!(base >> 47 == 0 || base >> 47 == 0x1_ffff);
            }
        }
    }
}

/// A guest that writes to a handler's port itself is not taken for the handler.
fn forge_exception(port: u16, rip: u64, rsp: u64) {
    thread_local! {
        static MONITOR: Monitor = {
            let layout = Layout {
                boot_end: 0x1_4000,
                segments: &[],
                size: MEMORY,
                ring: Some(MEMORY),
                guard: None,
            };
            Monitor::new(layout).expect("memory")
        };
    }
    MONITOR.with(|monitor| {
        let exception = monitor.exception(port, rip, rsp);
        if let Some(exception) = exception {
            // Only code in ring 0 is there, with its stack.
            assert!(rip >= BASE && rsp >= BASE && port >= PORT_EXCEPTION);
            assert!(exception.vector < 32);
        }
    });
}

impl<H: Surroundings> Guest<H> {
    /// Runs to the end of the input or of the guest: how much of the input is left.
    fn run(&mut self, data: &[u8]) -> usize {
        let mut input = Input(data);
        while let Some(Ok(())) = self.step(&mut input) {}
        input.0.len()
    }

    /// All that the guest can read.
    fn memory(&self) -> [&[u8]; 2] {
        let area = self.ram.ring_area().expect("a ring");
        let (size, ring) = (usize::try_from(MEMORY), usize::try_from(RING_AREA));
        // SAFETY: so much is mapped, and nobody writes now.
        unsafe {
            let memory = self.ram.area().as_ptr().cast_const().cast();
            let memory = std::slice::from_raw_parts(memory, size.expect("2 MiB"));
            [
                memory,
                std::slice::from_raw_parts(area.as_ptr(), ring.expect("2 MiB")),
            ]
        }
    }
}

/// A hostile guest of `solo5-hvt`.
pub fn hvt_guest(data: &[u8]) {
    let mut plain = Guest::new(|ram| World::new(ram, false));
    let left = plain.run(data);
    let (recording, recorder) = Recording::new();
    let mut watched = Guest::new(|ram| observed(ram, recorder));
    assert_eq!(watched.run(data), left, "they end elsewhere");
    assert!(plain.memory() == watched.memory(), "the guest can tell");
    check_counts(&watched.world, &plain.world);
    let passed = watched.world.inner().passed.take();
    assert_eq!(passed, plain.world.passed.take());
    assert_eq!(recording.frames(), passed);
}
