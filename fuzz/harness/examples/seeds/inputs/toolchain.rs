//! Images and manifests, hostile guests, and what debuggers send.

use super::{Seeds, with};
use gdbstub::arch::Registers;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::manifest::ManifestEntry;
use solo5_abi::note::{Abi1Note, Mft1Note};
use solo5_tender::image::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use zerocopy::IntoBytes;

pub(super) fn toolchain(seeds: &Seeds) {
    let net = ManifestEntry::declare("service", 2);
    let block = ManifestEntry::declare("storage", 1);
    let note = Mft1Note::new([ManifestEntry::RESERVED, net, block]);
    let note_bytes = [note.start.as_bytes(), note.entries.as_bytes()].concat();
    let manifest = [note.start.manifest.as_bytes(), note.entries.as_bytes()].concat();
    seeds.add("manifest_note", "two_devices", &manifest);
    seeds.add(
        "manifest_note",
        "attached",
        &with(&manifest, 8 + 104 + 96, 1),
    );
    seeds.add("manifest_note", "too_many", &with(&manifest, 4, 65));
    seeds.add(
        "manifest_note",
        "no_end_of_name",
        &with(&manifest, 8 + 104 + 67, b'x'),
    );
    seeds.add("manifest_note", "short", &manifest[..20]);

    let header = |p_type, p_flags, p_offset, p_vaddr, bytes: &[u8], p_memsz| ProgramHeader {
        p_type,
        p_flags,
        p_offset,
        p_vaddr,
        p_paddr: p_vaddr,
        p_filesz: bytes.len() as u64,
        p_memsz,
        p_align: if p_type == PT_LOAD { 0x1000 } else { 4 },
    };
    let abi = Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION);
    let (code, data) = ([0xf4; 16], [7; 16]);
    let at = |before: usize| (64 + 4 * 56 + before) as u64;
    let headers = [
        header(PT_LOAD, PF_R | PF_X, at(0), 0x10_0000, &code, 16),
        header(PT_LOAD, PF_R | PF_W, at(16), 0x10_1000, &data, 0x1800),
        header(PT_NOTE, PF_R, at(32), 0, abi.as_bytes(), 36),
        header(
            PT_NOTE,
            PF_R,
            at(32 + 36),
            0,
            &note_bytes,
            note_bytes.len() as u64,
        ),
    ];
    let mut image = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    image.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    image.extend(0x10_0000u64.to_le_bytes());
    image.extend(64u64.to_le_bytes());
    image.extend([0; 12]);
    for field in [64u16, 56, 4, 0, 0, 0] {
        image.extend(field.to_le_bytes());
    }
    image.extend(headers.as_bytes());
    image.extend([&code[..], &data, abi.as_bytes(), &note_bytes].concat());
    seeds.add("elf_image", "spt", &image);
    seeds.add("elf_image", "entry_0", &with(&image, 26, 0));
    seeds.add("elf_image", "write_and_execute", &with(&image, 64 + 4, 7));
    seeds.add(
        "elf_image",
        "wraps",
        &[&image[..64 + 40], &[0xff; 8], &image[64 + 48..]].concat(),
    );
    seeds.add("elf_image", "cut", &image[..300]);

    let source = r#"{ "type": "solo5.manifest", "version": 1, "devices": [ { "name": "service", "type": "NET_BASIC" }, { "name": "storage", "type": "BLOCK_BASIC" } ] }"#;
    seeds.add("manifest_source", "two_devices", source.as_bytes());
    seeds.add(
        "manifest_source",
        "no_devices",
        br#"{"type":"solo5.manifest","version":1,"devices":[]}"#,
    );
    seeds.add(
        "manifest_source",
        "bad_name",
        source.replace("storage", "st-rage").as_bytes(),
    );
    seeds.add(
        "manifest_source",
        "same_name",
        source.replace("storage", "service").as_bytes(),
    );
    seeds.add(
        "manifest_source",
        "unknown_key",
        source.replace("version", "Version").as_bytes(),
    );
    seeds.add("manifest_source", "cut", &source.as_bytes()[..60]);
    seeds.add("manifest_source", "deep", &[b'['; 500]);
}

/// A segment of peer `index` with nothing spoiled.
/// A guest that does everything right, and guests that each do one thing wrong.
pub(super) fn hvt_guest(seeds: &Seeds) {
    let hypercall = |number: u8, gpa: u32| [&[0, number][..], &gpa.to_le_bytes()].concat();
    let memory = |gpa: u32, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("small");
        [&[1][..], &gpa.to_le_bytes(), &[len], bytes].concat()
    };
    let ring = |offset: u16, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("small");
        [&[2][..], &offset.to_le_bytes(), &[len], bytes].concat()
    };
    let submit = |count: u16| [&[3][..], &count.to_le_bytes()].concat();
    let words = |words: &[u64]| {
        words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect::<Vec<_>>()
    };
    const AT: u32 = 0x20_0000 - 0x1000;
    let block = words(&[3, 512, 0x11_0000, 512, 0]);
    let net = |handle, data, len| words(&[handle, data, len, 0]);
    let entry = |operation: u32, handle: u32, data: u64, len: u32, id: u32| {
        let submission = solo5_abi::hvt::Submission {
            operation,
            handle,
            data,
            len,
            id,
            reserved: 0,
        };
        submission.as_bytes().to_vec()
    };
    let all = [
        hypercall(1, AT),
        memory(AT, &words(&[0x10_0000, 20])),
        hypercall(2, AT),
        memory(AT, &words(&[1000, 0, 0])),
        hypercall(3, AT),
        memory(AT, &block),
        hypercall(4, AT),
        hypercall(5, AT),
        memory(AT, &net(1, 0x12_0000, 60)),
        hypercall(6, AT),
        memory(AT, &net(2, 0x12_0000, 1514)),
        hypercall(7, AT),
        memory(AT, &words(&[0x11_0000, 7])),
        hypercall(8, AT),
    ];
    seeds.add("hvt_guest", "hypercalls", &all.concat());
    for (name, bytes) in [
        ("number_0", hypercall(0, AT)),
        ("number_9", hypercall(9, AT)),
        ("argument_at_the_end", hypercall(1, 0x20_0000 - 7)),
        ("argument_beyond", hypercall(3, u32::MAX)),
        (
            "text_beyond",
            [memory(AT, &words(&[0x10_0000, u64::MAX])), hypercall(2, AT)].concat(),
        ),
        (
            "frame_in_the_ring",
            [memory(AT, &net(1, 0x20_0000, 60)), hypercall(7, AT)].concat(),
        ),
        (
            "block_beyond",
            [
                memory(AT, &words(&[3, u64::MAX - 511, 0, 512, 0])),
                hypercall(5, AT),
            ]
            .concat(),
        ),
        (
            "cookie_beyond",
            [memory(AT, &words(&[0x20_0000 - 511, 0])), hypercall(8, AT)].concat(),
        ),
    ] {
        seeds.add("hvt_guest", name, &bytes);
    }
    let entries = [
        ring(128, &entry(1, 1, 0x11_0000, 60, 0)),
        ring(160, &entry(2, 1, 0x12_0000, 1514, 1)),
        ring(192, &entry(2, 2, 0x13_0000, 1514, 2)),
        ring(224, &entry(1, 99, u64::MAX, u32::MAX, 0)),
        ring(256, &entry(2, 0, 0, 0, 3)),
        ring(288, &entry(7, 1, 0, 0, 4)),
        submit(6),
    ]
    .concat();
    seeds.add("hvt_guest", "ring", &entries);
    // Counters of the tender overwritten, between two rounds.
    let overwritten = [
        &entries[..],
        &ring(64, &[0xff; 12]),
        &submit(0),
        &submit(40),
    ]
    .concat();
    seeds.add("hvt_guest", "ring_counters", &overwritten);
    seeds.add("hvt_guest", "ring_too_many", &submit(1025));
    let beyond = [ring(128, &entry(2, 1, 0x20_0000 - 8, 9, 0)), submit(1)].concat();
    seeds.add("hvt_guest", "ring_frame_beyond", &beyond);
    let full = [submit(1024), submit(1024)].concat();
    seeds.add("hvt_guest", "ring_full", &full);
    let instruction = |code: &[u8], rcx: u32| {
        let len = u8::try_from(code.len()).expect("small");
        [&[4, len][..], code, &rcx.to_le_bytes(), &[0; 4]].concat()
    };
    let instructions = [
        instruction(&[0x0f, 0x01, 0x12], 0),
        instruction(&[0x48, 0xcb], 0),
        instruction(&[0x0f, 0x30], 0xc000_0100),
        instruction(&[0x0f, 0x30], 0xc000_0080),
        instruction(&[0xf3, 0x48, 0x0f, 0xae, 0xd0], 0),
        instruction(&[0x8e, 0xd0], 0),
    ];
    seeds.add("hvt_guest", "instructions", &instructions.concat());
    let forged = |port: u8, rip: u64, rsp: u64| [&[5, port][..], &words(&[rip, rsp])].concat();
    let exceptions = [
        forged(0xce, 0x10_0000, 0x1f_0000),
        forged(0xce, 0x1_0000_20e2, 0x1_0000_3fd0),
        forged(0xce, 0x1_0000_20e2, 0x1_0000_3ff8),
    ];
    seeds.add("hvt_guest", "exceptions", &exceptions.concat());
}

pub(super) fn spt_relay(seeds: &Seeds) {
    let frame = |operation: u8, len: u16| [&[operation][..], &len.to_le_bytes()].concat();
    let (come, send) = (|len| frame(0, len), |len| frame(1, len));
    let both = [
        come(60),
        send(60),
        vec![4],
        come(1514),
        send(1514),
        vec![4, 2, 9, 3, 9],
        come(1),
        send(1),
        vec![4, 2, 1, 3, 1],
    ];
    seeds.add("spt_relay", "both_ways", &both.concat());
    let odd = [
        send(60),
        send(0),
        send(0xffff),
        send(9014),
        send(0),
        send(61),
    ];
    seeds.add("spt_relay", "empty_and_too_long", &odd.concat());
    let busy: Vec<_> = (0..150).flat_map(|_| come(9014)).collect();
    let asleep = [&busy[..], &[4, 4, 2, 40, 4, 4, 2, 200, 4, 2, 200]].concat();
    seeds.add("spt_relay", "the_guest_sleeps", &asleep);
    let flood: Vec<_> = (0..300).flat_map(|_| send(1514)).collect();
    let full = [&flood[..], &[4], &flood, &[3, 20, 4]].concat();
    seeds.add("spt_relay", "the_interface_is_full", &full);
}

pub(super) fn gdb_packets(seeds: &Seeds) {
    let packet = |body: &[u8]| {
        let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        [b"$", body, format!("#{sum:02x}").as_bytes()].concat()
    };
    let packets = |bodies: &[&str]| -> Vec<u8> {
        let bodies = bodies.iter().map(|body| packet(body.as_bytes()));
        bodies
            .flat_map(|packet| [&b"+"[..], &packet].concat())
            .collect()
    };
    let session = packets(&[
        "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+",
        "vCont?",
        "QStartNoAckMode",
        "Hg0",
        "?",
        "qfThreadInfo",
        "g",
        "p10",
        "P10=1122334455667788",
        "m10,40",
        "M20,4:deadbeef",
        "Z0,20,1",
        "vCont;c:p1.-1",
        "vCont;s:p1.1;c",
        "z0,20,1",
        "c",
        "s",
        "C05",
        "qXfer:features:read:target.xml:0,ffb",
        "D;1",
    ]);
    seeds.add("gdb_packets", "session", &session);
    seeds.add("gdb_packets", "kill", &packets(&["?", "k"]));
    let mut registers = b"G".to_vec();
    let all = X86_64CoreRegs {
        eflags: u32::MAX,
        mxcsr: u32::MAX,
        ..X86_64CoreRegs::default()
    };
    all.gdb_serialize(|byte| {
        let byte = byte.unwrap_or_default();
        registers.extend(format!("{byte:02x}").bytes());
    });
    let far = [&registers[..129], b"ffffffffffffffff", &registers[145..]].concat();
    let all = [packet(&registers), packet(b"g"), packet(&far), packet(b"g")];
    seeds.add("gdb_packets", "registers", &all.concat());
    let long = [b"m".repeat(3996), b"m".repeat(4100)].map(|body| packet(&body));
    seeds.add("gdb_packets", "long", &long.concat());
    seeds.add("gdb_packets", "interrupts", b"\x03+\x03$?#3f\x03-\x03");
    seeds.add("gdb_packets", "binary", &packet(b"X20,4:}\x03}\x04a#b"));
    // What a parser of numbers takes for five.
    seeds.add("gdb_packets", "sum_with_a_sign", b"$\x05#+5$?#3f");
    seeds.add("gdb_packets", "sums", b"$g#00$g#6$?#3F$g#zz+$$g#67");
    let none = packets(&[
        "m",
        "M20,4",
        "Z9,0,0",
        "vCont;x",
        "Pzz=1",
        "G00",
        "mffffffffffffffff,8",
    ]);
    seeds.add("gdb_packets", "packets_without_sense", &none);
}
