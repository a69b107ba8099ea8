//! What a guest in ring 3 is told about the processor: what a program in a virtual machine with one processor
//! and no devices can use. A guest in ring 0 is told everything that KVM supports.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// Leaf 1, ECX: SSE3, PCLMULQDQ, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE,
/// OSXSAVE, AVX, F16C, RDRAND, and that there is a hypervisor.
const FEATURES_ECX: u32 = 1
    | 1 << 1
    | 1 << 9
    | 1 << 12
    | 1 << 13
    | 1 << 19
    | 1 << 20
    | 1 << 22
    | 1 << 23
    | 1 << 25
    | 1 << 26
    | 1 << 27
    | 1 << 28
    | 1 << 29
    | 1 << 30
    | 1 << 31;

/// Leaf 1, EDX: x87, TSC, MSRs, PAE, CMPXCHG8B, conditional moves, CLFLUSH, MMX, FXSR, SSE, SSE2.
const FEATURES_EDX: u32 = 1
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 8
    | 1 << 15
    | 1 << 19
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 26;

/// The leaf that names the hypervisor.
const HYPERVISOR: u32 = 0x4000_0000;

/// Removed from leaf 7, EBX: SGX, TSX (HLE and RTM), and monitoring, allocation and tracing of
/// resources.
const EXTENDED_EBX_REMOVED: u32 = 1 << 2 | 1 << 4 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 25;

/// Removed from leaf 7, ECX: protection keys (PKU, OSPKE, PKS), WAITPKG, shadow stacks, LA57, and SGX
/// launch control.
const EXTENDED_ECX_REMOVED: u32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 16 | 1 << 30 | 1 << 31;

/// Removed from leaf 0x80000001, ECX: SVM, and what belongs to performance counters.
const AMD_ECX_REMOVED: u32 = 1 << 2 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 23 | 1 << 24 | 1 << 28;

/// Leaf 1 without what names a processor among several.
fn first(mut entry: kvm_cpuid_entry2) -> kvm_cpuid_entry2 {
    entry.ecx &= FEATURES_ECX;
    entry.edx &= FEATURES_EDX;
    // The number of logical processors, 1, and of this one, 0.
    entry.ebx = entry.ebx & 0xffff | 1 << 16;
    entry
}

/// The part of `supported` that is of use to a guest.
///
/// Kept are the leaves about the maker, features, caches, the extended state, the counter's
/// frequency and the name of the hypervisor. Dropped are power management, performance counters, tracing, topology, nested
/// virtualisation and what hypervisors offer to kernels.
#[must_use]
pub fn for_guest(supported: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    let keep = |&entry: &kvm_cpuid_entry2| {
        Some(match entry.function {
            0 | 2 | 4 | 0xd | 0x15 | 0x16 => entry,
            1 => first(entry),
            7 => kvm_cpuid_entry2 {
                ebx: entry.ebx & !EXTENDED_EBX_REMOVED,
                ecx: entry.ecx & !EXTENDED_ECX_REMOVED,
                ..entry
            },
            0x8000_0001 => kvm_cpuid_entry2 {
                ecx: entry.ecx & !AMD_ECX_REMOVED,
                ..entry
            },
            // Who the hypervisor is, and that it has no more to say.
            HYPERVISOR => kvm_cpuid_entry2 {
                eax: HYPERVISOR,
                ..entry
            },
            0x8000_0000 | 0x8000_0002..=0x8000_0008 => entry,
            _ => return None,
        })
    };
    supported.iter().filter_map(keep).collect()
}

/// [`for_guest`] in the form that KVM takes.
///
/// # Errors
///
/// There are more leaves than KVM takes, which cannot be as they come from it.
pub fn table(supported: &CpuId) -> Result<CpuId, vmm_sys_util::fam::Error> {
    CpuId::from_entries(&for_guest(supported.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_kernels_and_hosts_use_is_not_there() {
        let entry = |function| kvm_cpuid_entry2 {
            function,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            ..kvm_cpuid_entry2::default()
        };
        let all = [
            0,
            1,
            4,
            5,
            6,
            7,
            0xa,
            0xb,
            0xd,
            0x14,
            0x15,
            0x4000_0000,
            0x4000_0001,
            0x8000_0001,
            0x8000_000a,
        ];
        let kept = for_guest(&all.map(entry));
        let functions: Vec<_> = kept.iter().map(|entry| entry.function).collect();
        assert_eq!(functions, [0, 1, 4, 7, 0xd, 0x15, 0x4000_0000, 0x8000_0001]);
        assert_eq!((kept[6].eax, kept[6].ebx), (0x4000_0000, u32::MAX));
        let first = kept[1];
        for (register, bit) in [
            (first.ecx, 5),
            (first.ecx, 3),
            (first.ecx, 21),
            (first.ecx, 24),
        ] {
            assert_eq!(
                register & 1 << bit,
                0,
                "VMX, MONITOR, x2APIC, TSC deadline: {bit}"
            );
        }
        assert_eq!(first.edx & 1 << 9, 0, "APIC");
        assert_eq!(first.ebx >> 16, 1);
        assert_ne!(first.ecx & 1 << 30, 0, "RDRAND");
        assert_ne!(kept[3].ebx & 1 << 5, 0, "AVX2");
        assert_ne!(kept[3].ebx & 1 << 18, 0, "RDSEED");
        assert_eq!(kept[3].ebx & 1 << 2, 0, "SGX");
        assert_eq!(kept[7].ecx & 1 << 2, 0, "SVM");
    }
}
