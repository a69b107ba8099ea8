//! The functions of the header that need no stack, called as C calls them: addresses as text, and
//! versions.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use std::ffi::CStr;
use std::ptr;

use common::{address, name};
use mnet_ffi::*;

#[test]
fn addresses_and_text() {
    let parse = |text: &[u8]| {
        let mut addr = mnet_addr {
            port: 77,
            ..mnet_addr::default()
        };
        let status = unsafe { mnet_addr_parse(text.as_ptr().cast(), text.len(), &raw mut addr) };
        if status != 0 {
            assert_eq!(
                (status, addr.port),
                (MNET_EINVAL, 77),
                "nothing is written on an error"
            );
        }
        (status == 0).then_some((addr.ip[..4].to_vec(), addr.port))
    };
    assert_eq!(parse(b"10.0.0.2"), Some((vec![10, 0, 0, 2], 0)));
    assert_eq!(
        parse(b"255.255.255.255:65535"),
        Some((vec![255; 4], 65_535))
    );
    let wrong: [&[u8]; 13] = [
        b"",
        b"10.0.0",
        b"10.0.0.2.3",
        b"10.0.0.256",
        b"10.0.0.2:",
        b"10.0.0.2:65536",
        b":7",
        b"10.0.0.2:+7",
        b"10.0.0.2 ",
        b"010.0.0.2",
        b"10.0.0.2:7:7",
        b"10.0.0.2\0",
        b"\xff",
    ];
    for text in wrong {
        assert_eq!(parse(text), None, "{}", text.escape_ascii());
    }

    let parse = |text: &str| {
        let mut addr = mnet_addr::default();
        let status = unsafe { mnet_addr_parse(text.as_ptr().cast(), text.len(), &raw mut addr) };
        (status == 0).then_some((addr.family, addr.ip, addr.port, addr.zone))
    };
    let six = MNET_AF_INET6;
    let (mut host, mut local) = ([0; 16], [0; 16]);
    host[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    local[..2].copy_from_slice(&[0xfe, 0x80]);
    (host[15], local[15]) = (2, 2);
    for (text, expected) in [
        ("2001:db8::2", (six, host, 0, 0)),
        ("[2001:db8::2]", (six, host, 0, 0)),
        ("[2001:db8::2]:7", (six, host, 7, 0)),
        ("fe80::2%1", (six, local, 0, 1)),
        ("[fe80::2%3]:65535", (six, local, 65_535, 3)),
        ("::", (six, [0; 16], 0, 0)),
    ] {
        assert_eq!(parse(text), Some(expected), "{text}");
    }
    for text in [
        "2001:db8::2::",
        "[2001:db8::2",
        "[2001:db8::2]7",
        "[2001:db8::2]:",
        "[10.0.0.2]:7",
        "2001:db8::2%1",
        "fe80::2%",
        "fe80::2%eth0",
        "[]:7",
        ":",
        ":::",
        "2001:db8::2/64",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }

    let cidr = |text: &str| {
        let (mut addr, mut len) = (mnet_addr::default(), 99);
        let start = text.as_ptr().cast();
        let status = unsafe { mnet_cidr_parse(start, text.len(), &raw mut addr, &raw mut len) };
        (status == 0).then_some((addr.ip[..4].to_vec(), len))
    };
    assert_eq!(cidr("10.0.0.2/24"), Some((vec![10, 0, 0, 2], 24)));
    assert_eq!(
        cidr("2001:db8::2/128"),
        Some((vec![0x20, 1, 0xd, 0xb8], 128))
    );
    for text in [
        "10.0.0.2",
        "10.0.0.2/",
        "10.0.0.2/33",
        "10.0.0.2/0",
        "10.0.0.2/+4",
        "10.0.0/24",
        "2001:db8::2",
        "2001:db8::2/0",
        "2001:db8::2/129",
        "[2001:db8::2]/64",
    ] {
        assert_eq!(cidr(text), None, "{text}");
    }

    let format = |addr: &mnet_addr, len: usize| {
        let mut buffer = [b'?'; 70];
        let written = unsafe { mnet_addr_format(addr, buffer.as_mut_ptr().cast(), len) };
        (written, buffer)
    };
    let (len, buffer) = format(&address("10.0.0.2:7"), 11);
    assert_eq!((len, &buffer[..12]), (10, &b"10.0.0.2:7\0?"[..]));
    assert_eq!(&format(&address("1.2.3.4"), 64).1[..8], b"1.2.3.4\0");
    for text in [
        "2001:db8::2",
        "[2001:db8::2]:7",
        "fe80::2%1",
        "[fe80::2%1]:7",
    ] {
        let (len, buffer) = format(&address(text), 64);
        let len = usize::try_from(len).unwrap();
        assert_eq!(&buffer[..=len], format!("{text}\0").as_bytes());
    }
    let (len, buffer) = format(&address("10.0.0.2:7"), 10);
    assert_eq!((name(len), buffer), ("MNET_EMSGSIZE", [b'?'; 70]));
    assert_eq!(name(format(&mnet_addr::default(), 64).0), "MNET_EINVAL");
    let strange = mnet_addr {
        family: 9,
        ..mnet_addr::default()
    };
    assert_eq!(name(format(&strange, 64).0), "MNET_EAFNOSUPPORT");
    unsafe {
        assert_eq!(
            mnet_addr_parse(ptr::null(), 4, &mut address("1.1.1.1")),
            MNET_EINVAL
        );
        assert_eq!(
            mnet_addr_parse(c"1.1.1.1".as_ptr(), 7, ptr::null_mut()),
            MNET_EINVAL
        );
        assert_eq!(
            mnet_addr_format(ptr::null(), ptr::null_mut(), 0),
            i64::from(MNET_EINVAL)
        );
    }
}

#[test]
fn versions_agree_with_the_package() {
    let version = unsafe { CStr::from_ptr(mnet_version()) }.to_str().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let [major, minor, patch] = version
        .split('.')
        .map(|n| n.parse::<i32>().unwrap())
        .collect::<Vec<_>>()[..]
    else {
        panic!("three numbers");
    };
    assert_eq!(
        mnet_version_number(),
        major * 1_000_000 + minor * 1_000 + patch
    );
    assert_eq!(mnet_abi_version(), MNET_ABI_VERSION);
}
