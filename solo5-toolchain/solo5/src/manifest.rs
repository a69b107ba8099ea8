//! The devices of a program, declared in its code.

/// Declares the devices of the program, in the order of their handles.
///
/// ```ignore
/// solo5::manifest! {
///     net "service";
///     block "storage";
/// }
/// ```
///
/// `net` is a network device, `block` a block device. A name is 1 to 67 ASCII letters and digits, and
/// may be a constant: `net SERVICE`. At most 63 devices; `solo5::manifest! {}` stands for none. What
/// is wrong is an error of the compiler.
///
/// This puts the image's manifest, the note that tenders read, into the program, so it stands once in
/// a program and the libraries of its package: in `src/lib.rs` if the tests in `tests/` have the same
/// devices. Then they must use the library, if only by `use NAME as _;`. `cargo solo5` refuses a second
/// one. `cargo solo5 manifest` prints what an image has.
///
/// `cargo solo5` takes the devices from here if `solo5.toml` lists none. Whoever links the program
/// otherwise needs nothing more for them: this is what `manifest.c` is for a C program.
///
/// (Images only have a use for it, so this is not compiled here; a test builds what is above.)
#[macro_export]
macro_rules! manifest {
    ($($kind:ident $name:expr);* $(;)?) => {
        const _: () = {
            const DEVICES: &[$crate::__rt::Declaration] = &[$($crate::__rt::Declaration {
                name: $name,
                type_raw: $crate::__device_type!($kind),
            }),*];
            const WORDS: usize = $crate::__rt::note_words(DEVICES.len());
            // Without a name that others could have: of two in a program both are linked, and seen.
            #[used]
            #[unsafe(link_section = ".note.solo5.manifest")]
            static MANIFEST: [u32; WORDS] = $crate::__rt::note(DEVICES);
        };
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "devices are declared as in `net \"service\"; block \"storage\"`"
        );
    };
}

/// The number of a type of device.
#[doc(hidden)]
#[macro_export]
macro_rules! __device_type {
    (net) => {
        $crate::__rt::TYPE_NET_BASIC
    };
    (block) => {
        $crate::__rt::TYPE_BLOCK_BASIC
    };
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "a device is `net` or `block`, not `",
            ::core::stringify!($other),
            "`"
        ))
    };
}
