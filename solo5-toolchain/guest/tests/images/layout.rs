//! Objects and images as files: which symbols they show, and how they are laid out (solo5-abi
//! sections 3, 4 and 15.5). Linked with GNU ld and with the LLD that comes with Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Guest, Image, Place, lib_dir, succeed};
use object::elf::{
    EM_X86_64, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader64,
    ProgramType,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};
use solo5_abi::extension::{self, Extensions};

/// Everything that bindings show (solo5-abi section 15.5).
const EXPORTS: [&str; 19] = [
    "__stack_chk_fail",
    "__stack_chk_guard",
    "_start",
    "solo5_abort",
    "solo5_block_acquire",
    "solo5_block_read",
    "solo5_block_write",
    "solo5_clock_monotonic",
    "solo5_clock_wall",
    "solo5_console_write",
    "solo5_exit",
    "solo5_net_acquire",
    "solo5_net_read",
    "solo5_net_write",
    "solo5_set_tls_base",
    "solo5_tls_init",
    "solo5_tls_size",
    "solo5_tls_tp_offset",
    "solo5_yield",
];

/// Everything that real bindings may leave undefined.
const IMPORTS: [&str; 8] = [
    "_end",
    "_erodata",
    "_etext",
    "_ltbss",
    "_ltdata",
    "_stdata",
    "_stext",
    "solo5_app_main",
];

const PAGE: u64 = 4096;
const BASE: u64 = 0x10_0000;
const R: u32 = PF_R.0;
const W: u32 = PF_W.0;
const X: u32 = PF_X.0;

/// The defined and the undefined global symbols of an object file.
fn globals(path: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let bytes = fs::read(path).expect("the object");
    let file = object::File::parse(&*bytes).expect("an object");
    let (mut defined, mut undefined) = (BTreeSet::new(), BTreeSet::new());
    for symbol in file.symbols().filter(ObjectSymbol::is_global) {
        let set = if symbol.is_undefined() {
            &mut undefined
        } else {
            &mut defined
        };
        set.insert(symbol.name().expect("a name").to_owned());
    }
    (defined, undefined)
}

#[test]
fn bindings_show_and_need_exactly_what_is_documented() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    for object in ["solo5_hvt.o", "solo5_spt.o"] {
        let (defined, undefined) = globals(&lib_dir().join(object));
        assert_eq!((defined, undefined), (names(&EXPORTS), names(&IMPORTS)));
    }
    let (defined, undefined) = globals(&lib_dir().join("solo5_stub.o"));
    assert_eq!((defined, undefined), (names(&EXPORTS), names(&[])));
}

/// What the tests look at in an image.
struct Layout {
    bytes: Vec<u8>,
    entry: u64,
    headers: Vec<Header>,
    symbols: BTreeMap<String, u64>,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: ProgramType,
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    size: u64,
    align: u64,
}

impl Header {
    /// The segment of initialised thread-local variables in an image that has none.
    const EMPTY_TDATA: Self = Self {
        kind: PT_LOAD,
        flags: R,
        offset: 0,
        address: 0,
        file_size: 0,
        size: 0,
        align: PAGE,
    };

    fn new(header: &ProgramHeader64<Endianness>) -> Self {
        let endian = Endianness::Little;
        Self {
            kind: header.p_type(endian),
            flags: header.p_flags(endian).0,
            offset: header.p_offset(endian),
            address: header.p_vaddr(endian),
            file_size: header.p_filesz(endian),
            size: header.p_memsz(endian),
            align: header.p_align(endian),
        }
    }

    fn end(&self) -> u64 {
        self.address + self.size
    }
}

impl Layout {
    fn of(image: &Image, expected: &[(ProgramType, u32)]) -> Self {
        let bytes = fs::read(image.path()).expect("the image");
        let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
        let header = file.elf_header();
        let endian = Endianness::Little;
        assert_eq!(header.e_type(endian), ET_EXEC);
        assert_eq!(header.e_machine(endian), EM_X86_64);
        assert_eq!(header.e_phentsize(endian), 56);
        assert_eq!(header.e_ehsize(endian), 64);
        let symbols = file.symbols().filter(ObjectSymbol::is_global);
        let symbols = symbols.map(|symbol| {
            let name = symbol.name().expect("a name").to_owned();
            (name, symbol.address())
        });
        let mut headers: Vec<_> = file.elf_program_headers().iter().map(Header::new).collect();
        // LLD leaves out a segment for which there are no sections; GNU ld keeps an empty one.
        if headers.len() + 1 == expected.len() {
            headers.insert(headers.len() - 5, Header::EMPTY_TDATA);
        }
        Self {
            entry: header.e_entry(endian),
            headers,
            symbols: symbols.collect(),
            bytes: bytes.clone(),
        }
    }

    /// A header by its distance from the end, the last one being at 1.
    fn header_before_end(&self, distance: usize) -> Header {
        self.headers[self.headers.len() - distance]
    }

    fn symbol(&self, name: &str) -> u64 {
        self.symbols[name]
    }

    /// The bytes of the file that a header describes.
    fn content(&self, header: &Header) -> &[u8] {
        let start = usize::try_from(header.offset).expect("an offset");
        let size = usize::try_from(header.file_size).expect("a size");
        &self.bytes[start..][..size]
    }

    fn kinds_and_flags(&self) -> Vec<(ProgramType, u32)> {
        self.headers
            .iter()
            .map(|header| (header.kind, header.flags))
            .collect()
    }

    /// What holds for every image, whatever it contains.
    fn check(&self) {
        let interp = &self.headers[0];
        assert_eq!(self.content(interp), b"/nonexistent/solo5/\0\0\0\0\0");
        assert_eq!((interp.address, interp.align), (BASE, 8));
        assert_eq!(self.entry, self.symbol("_start"));

        // Segments: ascending whole pages of their own, not the ELF header, never writable code.
        let mut end = BASE;
        for header in self.headers.iter().filter(|header| header.kind == PT_LOAD) {
            assert_ne!(header.flags & (W | X), W | X);
            if header.size == 0 {
                continue;
            }
            assert_eq!(
                (header.align, header.address % PAGE),
                (PAGE, 0),
                "{header:?}"
            );
            assert!(header.address >= end, "{header:?}");
            assert!(header.file_size == 0 || header.offset >= PAGE, "{header:?}");
            end = header.end().next_multiple_of(PAGE);
        }

        // Symbols (section 3.3).
        let [text, rodata, data, tdata] =
            ["_stext", "_etext", "_erodata", "_stdata"].map(|name| self.symbol(name));
        assert_eq!(text, BASE);
        assert!(text < rodata && rodata < data && data <= tdata);
        assert!(
            [rodata, data, tdata]
                .iter()
                .all(|address| address % PAGE == 0)
        );
        assert_eq!(self.symbol("_ebss"), self.symbol("_end"));
        assert_eq!(self.symbol("_end"), end);
        assert_eq!(self.symbol("_ltdata"), self.symbol("_edata") - tdata);
        assert_eq!(self.symbol("_ltdata") % PAGE, 0);
        assert_eq!(self.symbol("_ltbss") % 64, 0);
        let tls = self
            .headers
            .iter()
            .find(|header| header.kind == PT_TLS)
            .unwrap();
        assert_eq!(tls.size, self.symbol("_ltbss"));
        assert!((BASE..rodata).contains(&self.entry));
    }
}

/// The program headers of an image for spt (section 3.2).
const SPT_HEADERS: [(ProgramType, u32); 9] = [
    (PT_INTERP, R),
    (PT_LOAD, R | X),
    (PT_LOAD, R | W),
    (PT_LOAD, R),
    (PT_TLS, 0),
    (PT_LOAD, R | W),
    (PT_NOTE, R),
    (PT_NOTE, R),
    (PT_NOTE, R),
];

/// The program headers of an image for hvt: code and constants are apart.
const HVT_HEADERS: [(ProgramType, u32); 10] = [
    (PT_INTERP, R),
    (PT_LOAD, X),
    (PT_LOAD, R),
    (PT_LOAD, R | W),
    (PT_LOAD, R),
    (PT_TLS, 0),
    (PT_LOAD, R | W),
    (PT_NOTE, R),
    (PT_NOTE, R),
    (PT_NOTE, R),
];

/// Options that make gcc link with the LLD of the Rust toolchain.
fn lld_options() -> [String; 2] {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = succeed(Command::new(rustc).args(["--print", "sysroot"]));
    let sysroot = String::from_utf8(output.stdout).expect("a path");
    let dir = PathBuf::from(sysroot.trim())
        .join("lib/rustlib")
        .join(mnet_relocatable::TRIPLE)
        .join("bin/gcc-ld");
    assert!(
        dir.join("ld.lld").exists(),
        "{} has no ld.lld",
        dir.display()
    );
    ["-fuse-ld=lld".to_owned(), format!("-B{}", dir.display())]
}

/// Runs `check` on the guest linked with GNU ld, then with LLD, for each target.
fn with_each_linker(guest: Guest<'_>, check: impl Fn(&Image, &Layout)) {
    let [choose, find] = lld_options();
    for (place, headers) in [
        (Place::Spt, &SPT_HEADERS[..]),
        (Place::Hvt, &HVT_HEADERS[..]),
    ] {
        for link_options in [&[][..], &[choose.as_str(), find.as_str()]] {
            let image = Guest {
                link_options,
                ..guest
            }
            .build_for(place);
            let layout = Layout::of(&image, headers);
            assert_eq!(layout.kinds_and_flags(), headers, "{link_options:?}");
            layout.check();
            check(&image, &layout);
        }
    }
}

/// Runs an image that has to succeed, if it can be run here.
fn run(image: &Image) {
    if Place::all().contains(&image.place()) {
        image.run(&[]).succeeded();
    }
}

#[test]
fn an_image_without_thread_locals_is_laid_out_as_documented() {
    with_each_linker(Guest::new("globals"), |image, layout| {
        let [bss, tdata] = [4, 6].map(|index| layout.header_before_end(index));
        assert_eq!(bss.file_size, 0);
        assert!(bss.size >= 75000, "zeroed and common data: {bss:?}");
        assert_eq!((tdata.file_size, tdata.size), (0, 0));
        assert_eq!((layout.symbol("_ltdata"), layout.symbol("_ltbss")), (0, 0));
        run(image);
    });
}

#[test]
fn thread_locals_have_pages_of_their_own() {
    let options = &["-DINITIALISED", "-DALIGNED", "-fdata-sections"];
    let guest = Guest {
        options,
        ..Guest::new("tls")
    };
    with_each_linker(guest, |image, layout| {
        let [data, tdata, tls, bss] = [7, 6, 5, 4].map(|index| layout.header_before_end(index));
        assert_eq!((tdata.file_size, tdata.size), (PAGE, PAGE));
        assert_eq!(tdata.address, layout.symbol("_stdata"));
        assert!(data.end() <= tdata.address && tdata.end() <= bss.address);
        assert_eq!(layout.symbol("_ltdata"), PAGE);
        assert_eq!((tls.address, tls.size), (tdata.end(), 64));
        run(image);
    });
}

#[test]
fn notes_have_exactly_the_documented_bytes_and_headers_of_their_own() {
    let devices = &[("service", "NET_BASIC"), ("storage", "BLOCK_BASIC")];
    with_each_linker(
        Guest {
            devices,
            ..Guest::new("net")
        },
        |image, layout| {
            let [openbsd, abi, manifest] = [3, 2, 1].map(|index| layout.header_before_end(index));
            let mut expected = b"\x08\0\0\0\x04\0\0\0\x01\0\0\0OpenBSD\0".to_vec();
            expected.extend([0; 4]);
            assert_eq!(layout.content(&openbsd), expected);

            let mut expected = b"\x06\0\0\0\x10\0\0\0ABI1Solo5\0\0\0".to_vec();
            let target = if image.place() == Place::Spt { 2 } else { 1 };
            expected.extend([target, 0, 0, 0, 2, 0, 0, 0]);
            expected.extend([0; 8]);
            let (first, rest) = layout.content(&abi).split_at(expected.len());
            assert_eq!(first, expected);
            // Behind it, unseen by other tenders: what the image can do beyond Solo5.
            let extensions = extension::find(rest);
            assert_eq!(extensions.is_some(), image.place() == Place::Hvt);
            if let Some(Extensions { features, answer }) = extensions {
                assert_eq!(features, extension::FEATURE_RING3);
                let data = layout.header_before_end(7);
                let file_end = data.address + data.file_size;
                assert!(
                    data.address <= answer && answer + 8 <= file_end,
                    "{answer:#x}"
                );
            }

            let entry = |name: &[u8], kind: u32| {
                let mut entry = name.to_vec();
                entry.resize(68, 0);
                entry.extend(kind.to_le_bytes());
                entry.resize(104, 0);
                entry
            };
            let mut expected = b"\x06\0\0\0\x44\x01\0\0MFT1Solo5\0\0\0".to_vec();
            expected.extend(b"\0\0\0\0\x01\0\0\0\x03\0\0\0");
            expected.extend(entry(b"", 0x4000_0000));
            expected.extend(entry(b"service", 2));
            expected.extend(entry(b"storage", 1));
            assert_eq!(layout.content(&manifest), expected);
            assert_eq!(manifest.align, 4);
        },
    );
}

#[test]
fn a_configure_test_links_with_the_stub_and_declares_no_abi() {
    let image = Guest::new("conftest").link_for("stub", Place::Spt);
    let layout = Layout::of(&image, &SPT_HEADERS);
    let mut expected = SPT_HEADERS;
    expected[5].1 = 0;
    // There is no .interp either: nothing of this is ever started.
    assert_eq!(layout.kinds_and_flags()[1..], expected[1..]);
    let [openbsd, abi, manifest] = [3, 2, 1].map(|index| layout.header_before_end(index));
    assert_eq!((openbsd.size, abi.size, manifest.size), (0, 0, 136));
    let outcome = image.run(&[]);
    outcome.failed(1, "");
    assert!(
        outcome
            .messages
            .contains("note does not fall within valid size"),
        "{outcome:#?}"
    );
}
