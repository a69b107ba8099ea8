//! The processor as a guest finds it (solo5-abi section 10.3), in ring 0 and in ring 3.

use kvm_bindings::{CpuId, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use solo5_abi::hvt::BOOT_INFO;

use crate::hvt::monitor::{GDT_LIMIT, IDT_LIMIT, Monitor, TASK_LIMIT, selector};
use crate::hvt::paging::RING0_ROOT;

const CR0_PE: u64 = 1;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;

const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_UMIP: u64 = 1 << 11;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;

const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

/// What every guest may rely on.
const CR4_BASE: u64 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

const RFLAGS_FIXED: u64 = 1 << 1;
const RFLAGS_IF: u64 = 1 << 9;
const RFLAGS_IOPL3: u64 = 3 << 12;

/// Where the descriptors of a guest in ring 0 are.
pub const RING0_GDT: u64 = 0x1000;

/// The descriptors of a guest in ring 0, to be put at [`RING0_GDT`]: null, code, data.
pub const RING0_DESCRIPTORS: [u64; 3] = [0, 0x00af_9900_0000_ffff, 0x00cf_9300_0000_ffff];

/// General registers at the start.
#[must_use]
pub fn registers(entry: u64, memory: u64, ring0: bool) -> kvm_regs {
    // Nobody interrupts a guest, but a host must be able to get the processor back: some only do
    // while interrupts are enabled. The privilege for ports goes with a map of ports; there are
    // machines that look at one of them only.
    let rflags = if ring0 {
        RFLAGS_FIXED
    } else {
        RFLAGS_FIXED | RFLAGS_IF | RFLAGS_IOPL3
    };
    kvm_regs {
        rip: entry,
        rsp: memory - 8,
        rdi: BOOT_INFO,
        rflags,
        ..kvm_regs::default()
    }
}

/// A code or data segment.
fn flat_segment(selector: u16, code: bool) -> kvm_segment {
    let privilege = u8::try_from(selector & 3).unwrap_or(0);
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: if code { 11 } else { 3 },
        present: 1,
        dpl: privilege,
        db: u8::from(!code),
        s: 1,
        l: u8::from(code),
        g: 1,
        ..kvm_segment::default()
    }
}

/// A loaded task state segment.
fn task_segment(selector: u16, base: u64, limit: u32) -> kvm_segment {
    kvm_segment {
        base,
        limit,
        selector,
        type_: 11,
        present: 1,
        ..kvm_segment::default()
    }
}

fn set_segments(sregs: &mut kvm_sregs, code: kvm_segment, data: kvm_segment) {
    sregs.cs = code;
    sregs.ss = data;
    sregs.ds = data;
    sregs.es = data;
    sregs.fs = data;
    sregs.gs = data;
    sregs.ldt = kvm_segment {
        unusable: 1,
        ..kvm_segment::default()
    };
}

/// Changes the state of a fresh processor to that of a guest in ring 0.
pub fn enter_ring0(sregs: &mut kvm_sregs) {
    let mut code = flat_segment(0x08, true);
    code.type_ = 9;
    set_segments(sregs, code, flat_segment(0x10, false));
    sregs.tr = task_segment(0, 0, 0);
    sregs.gdt = kvm_dtable {
        base: RING0_GDT,
        limit: 3 * 8 - 1,
        ..kvm_dtable::default()
    };
    sregs.idt = kvm_dtable::default();
    sregs.cr0 = CR0_PE | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = RING0_ROOT;
    sregs.cr4 = CR4_BASE;
    sregs.efer = EFER_LME | EFER_LMA;
}

/// Changes the state of a fresh processor to that of a guest in ring 3.
///
/// What protects the guest is as the tables of `monitor` say. Of what the processor offers in
/// addition, `features` are switched on.
pub fn enter_ring3(sregs: &mut kvm_sregs, monitor: &Monitor, features: Features) {
    let [gdt, idt, task, root] = monitor.addresses();
    let code = flat_segment(selector::USER_CODE, true);
    set_segments(sregs, code, flat_segment(selector::USER_DATA, false));
    sregs.tr = task_segment(selector::TASK, task, TASK_LIMIT);
    sregs.gdt = kvm_dtable {
        base: gdt,
        limit: GDT_LIMIT,
        ..kvm_dtable::default()
    };
    sregs.idt = kvm_dtable {
        base: idt,
        limit: IDT_LIMIT,
        ..kvm_dtable::default()
    };
    sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = root;
    sregs.cr4 = CR4_BASE | features.cr4;
    sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
}

/// What a processor offers and a guest in ring 3 can use without having to switch it on itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    cr4: u64,
    /// State components to be switched on in XCR0; 0 if it is not there.
    pub xcr0: u64,
}

impl Features {
    /// What a processor with this CPUID offers.
    #[must_use]
    pub fn of(cpuid: &CpuId) -> Self {
        const XSAVE: u32 = 1 << 26;
        /// x87, SSE, AVX and AVX-512. Everything else costs or needs a permission.
        const COMPONENTS: u64 = 0xe7;
        let leaf = |function, index| {
            let found = cpuid
                .as_slice()
                .iter()
                .find(|entry| entry.function == function && entry.index == index);
            found.copied().unwrap_or_default()
        };
        let mut features = Self::default();
        let extended = leaf(7, 0);
        for (register, bit, cr4) in [
            (extended.ebx, 1, CR4_FSGSBASE),
            (extended.ebx, 1 << 7, CR4_SMEP),
            (extended.ecx, 1 << 2, CR4_UMIP),
        ] {
            if register & bit != 0 {
                features.cr4 |= cr4;
            }
        }
        let state = leaf(0xd, 0);
        if leaf(1, 0).ecx & XSAVE != 0 && state.eax & 3 == 3 {
            features.cr4 |= CR4_OSXSAVE;
            features.xcr0 = u64::from(state.eax) & COMPONENTS;
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::kvm_cpuid_entry2;

    use super::*;

    #[test]
    fn what_the_processor_offers_is_switched_on() {
        let entry = |function, eax, ebx, ecx| kvm_cpuid_entry2 {
            function,
            eax,
            ebx,
            ecx,
            ..kvm_cpuid_entry2::default()
        };
        let features = |entries: &[_]| Features::of(&CpuId::from_entries(entries).unwrap());
        assert_eq!(features(&[]), Features::default());
        let old = [entry(1, 0, 0, 0), entry(0xd, 7, 0, 0)];
        assert_eq!(features(&old), Features::default());
        let new = [
            entry(1, 0, 0, 1 << 26),
            entry(7, 0, 1 | 1 << 7, 1 << 2),
            entry(0xd, 0x6_00e7, 0, 0),
        ];
        let want = Features {
            cr4: CR4_FSGSBASE | CR4_SMEP | CR4_UMIP | CR4_OSXSAVE,
            xcr0: 0xe7,
        };
        assert_eq!(features(&new), want);
    }

    #[test]
    fn a_guest_in_ring_0_starts_as_documented() {
        let mut sregs = kvm_sregs::default();
        enter_ring0(&mut sregs);
        assert_eq!((sregs.cr0, sregs.cr3), (0x8001_0021, 0x2000));
        assert_eq!((sregs.cr4, sregs.efer), (0x620, 0x500));
        assert_eq!((sregs.cs.selector, sregs.cs.type_, sregs.cs.l), (8, 9, 1));
        assert_eq!(
            (sregs.ss.selector, sregs.ss.type_, sregs.ss.db),
            (0x10, 3, 1)
        );
        let registers = registers(0x10_0020, 0x40_0000, true);
        assert_eq!((registers.rsp, registers.rdi), (0x3f_fff8, 0x1_0000));
        assert_eq!(registers.rflags, 2);
    }
}
