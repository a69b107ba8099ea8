//! The command line through the functions of the header, and stacks that are opened by it.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, World, address, config, name};
use mnet_ffi::*;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

/// Where the values of the options go.
#[repr(C)]
#[derive(Debug, PartialEq)]
struct Values {
    port: u64,
    verbose: c_int,
    label: [c_char; 8],
    peer: mnet_addr,
    wait: u64,
    memory: u64,
    files: [[c_char; 4]; 2],
}

impl Values {
    fn new() -> Self {
        Self {
            port: 7,
            verbose: 0,
            label: [1; 8],
            peer: mnet_addr::default(),
            wait: 5,
            memory: 6,
            files: [[1; 4]; 2],
        }
    }

    fn options(&mut self) -> [mnet_option; 7] {
        let option = |name: &'static CStr, kind, value| mnet_option {
            name: name.as_ptr(),
            help: c"what it is for".as_ptr(),
            value_name: ptr::null(),
            value,
            value_size: 0,
            min: 0,
            max: 0,
            kind,
            flags: 0,
            letter: 0,
            times: 0,
            given: 99,
            reserved: 0,
        };
        [
            mnet_option {
                min: 1,
                max: 65_535,
                letter: u32::from('p'),
                value_name: c"PORT".as_ptr(),
                ..option(c"port", MNET_OPTION_NUMBER, (&raw mut self.port).cast())
            },
            mnet_option {
                times: 3,
                ..option(c"verbose", MNET_OPTION_FLAG, (&raw mut self.verbose).cast())
            },
            mnet_option {
                value_size: 8,
                ..option(c"label", MNET_OPTION_TEXT, (&raw mut self.label).cast())
            },
            option(c"peer", MNET_OPTION_ENDPOINT, (&raw mut self.peer).cast()),
            option(c"wait", MNET_OPTION_TIME, (&raw mut self.wait).cast()),
            option(c"memory", MNET_OPTION_SIZE, (&raw mut self.memory).cast()),
            mnet_option {
                value_size: 4,
                times: 2,
                flags: MNET_OPTION_POSITIONAL,
                ..option(c"FILE", MNET_OPTION_TEXT, (&raw mut self.files).cast())
            },
        ]
    }
}

fn defaults() -> mnet_args {
    let mut args = std::mem::MaybeUninit::<mnet_args>::uninit();
    let status = unsafe { mnet_args_default(args.as_mut_ptr(), size_of::<mnet_args>()) };
    assert_eq!(status, 0);
    unsafe { args.assume_init() }
}

fn with_options(options: &mut [mnet_option]) -> mnet_args {
    let mut args = defaults();
    args.program = c"test".as_ptr();
    args.options = options.as_mut_ptr();
    args.option_count = options.len();
    args.option_size = size_of::<mnet_option>();
    args
}

fn parse(args: &mut mnet_args, line: &str) -> c_int {
    let line = CString::new(line).unwrap();
    unsafe { mnet_args_parse(args, line.as_ptr()) }
}

fn text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|c| c.to_ne_bytes()[0]).collect();
    CStr::from_bytes_until_nul(&bytes)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn values_arrive_in_their_places() {
    let world = World::new();
    let mut values = Values::new();
    let mut options = values.options();
    let mut args = with_options(&mut options);
    let line = "--ipv4=10.0.0.2/24 --port 80 --verbose --verbose --label='a b' --peer=[::1]:9 \
                --wait=3ms --memory=2KiB one two -n 10.0.0.53 --ipv6=2001:db8::2/48";
    assert_eq!(parse(&mut args, line), 1, "{}", world.console());
    let given: Vec<u32> = options.iter().map(|option| option.given).collect();
    assert_eq!(given, [1, 2, 1, 1, 1, 1, 2]);
    assert_eq!((values.port, values.verbose), (80, 1));
    assert_eq!((values.wait, values.memory), (3_000_000, 2_048));
    assert_eq!(values.peer, address("[::1]:9"));
    assert_eq!(
        (text(&values.label), values.label[4..].to_vec()),
        ("a b".into(), vec![1; 4])
    );
    assert_eq!(values.files.map(|file| text(&file)), ["one", "two"]);
    assert_eq!(
        (args.nameserver_count, args.nameservers[0]),
        (1, address("10.0.0.53"))
    );
    let device = args.device[0];
    assert_eq!(
        (device.ipv4, device.ipv6),
        (MNET_ARGS_IPV4_STATIC, MNET_ARGS_IPV6_STATIC)
    );
    assert_eq!(
        (device.ipv4_address, device.ipv4_prefix_len),
        (address("10.0.0.2"), 24)
    );
    assert_eq!(
        (device.ipv6_address, device.ipv6_prefix_len),
        (address("2001:db8::2"), 48)
    );
    assert_eq!(device.ipv4_gateway.family, MNET_AF_NONE);
    assert_eq!(world.console(), "");
}

#[test]
fn help_and_errors_go_to_the_console() {
    let world = World::new();
    let mut values = Values::new();
    let mut options = values.options();
    let mut args = with_options(&mut options);
    args.summary = c"A test.".as_ptr();
    assert_eq!(parse(&mut args, "--help"), 0);
    let help = world.console();
    assert!(help.starts_with("usage: test --ipv4=ADDRESS/PREFIX [OPTIONS] [FILE...]\n\nA test.\n"));
    assert!(
        help.contains("\n  -p, --port=PORT             what it is for\n"),
        "{help}"
    );
    assert_eq!(
        parse(&mut args, "--ipv4=10.0.0.2/24 --label=12345678"),
        MNET_EINVAL
    );
    let error = world.console();
    let expected = "test: --label expected a text of at most 7 bytes, not 12345678\nusage: test ";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(values, Values::new(), "nothing was written");
}

#[test]
fn a_table_that_cannot_be_is_refused() {
    let _world = World::new();
    let refused = |change: &dyn Fn(&mut mnet_option)| {
        let mut values = Values::new();
        let mut options = values.options();
        change(&mut options[2]);
        let status = parse(&mut with_options(&mut options), "--ipv4=10.0.0.2/24");
        assert_eq!(name(status.into()), "MNET_EINVAL");
    };
    refused(&|o| o.name = ptr::null());
    refused(&|o| o.name = c"".as_ptr());
    refused(&|o| o.name = c"a=b".as_ptr());
    refused(&|o| o.name = c"-a".as_ptr());
    refused(&|o| o.name = c"\xff".as_ptr());
    refused(&|o| o.name = c"port".as_ptr());
    refused(&|o| o.name = c"ipv4".as_ptr());
    refused(&|o| o.help = c"a\nb".as_ptr());
    refused(&|o| o.value = ptr::null_mut());
    refused(&|o| o.value_size = 0);
    refused(&|o| o.value_size = 1_026);
    refused(&|o| o.kind = 0);
    refused(&|o| o.kind = 8);
    refused(&|o| o.flags = 4);
    refused(&|o| o.letter = u32::from('-'));
    refused(&|o| o.letter = u32::MAX);
    refused(&|o| o.letter = u32::from('p'));
    refused(&|o| o.reserved = 1);
    refused(&|o| (o.kind, o.min, o.max) = (MNET_OPTION_NUMBER, 2, 1));
    refused(&|o| (o.kind, o.flags) = (MNET_OPTION_FLAG, MNET_OPTION_POSITIONAL));
    let refused = |change: &dyn Fn(&mut mnet_args)| {
        let mut values = Values::new();
        let mut options = values.options();
        let mut args = with_options(&mut options);
        change(&mut args);
        let status = parse(&mut args, "--ipv4=10.0.0.2/24");
        assert_eq!(name(status.into()), "MNET_EINVAL");
    };
    refused(&|a| a.size = 8);
    refused(&|a| a.program = ptr::null());
    refused(&|a| a.options = ptr::null_mut());
    refused(&|a| a.option_size -= 1);
    refused(&|a| a.option_count = 257);
    refused(&|a| a.option_count = usize::MAX);
    refused(&|a| a.flags = 2);
    refused(&|a| a.device_count = 1);
    refused(&|a| a.device_count = 9);
    let mut args = defaults();
    unsafe {
        assert_eq!(mnet_args_parse(ptr::null_mut(), c"".as_ptr()), MNET_EINVAL);
        assert_eq!(mnet_args_parse(&raw mut args, ptr::null()), MNET_EINVAL);
        assert_eq!(
            mnet_args_parse(&raw mut args, c"\xff".as_ptr()),
            MNET_EINVAL
        );
        let size = size_of::<mnet_args>();
        assert_eq!(mnet_args_default(ptr::null_mut(), size), MNET_EINVAL);
        assert_eq!(mnet_args_default(&raw mut args, 8), MNET_EINVAL);
    }
}

#[test]
fn a_stack_opens_as_the_line_says() {
    let _world = World::new();
    let mut memory = Memory::new(2 << 20);
    let mut args = defaults();
    let line = "--ipv4=10.0.0.9/24 --ipv4-gateway=10.0.0.1 --ipv6=eui64 -n 10.0.0.53 -n fe80::53";
    assert_eq!(parse(&mut args, line), 1);
    let config = config(&mut memory, 1);
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert!(stack > 0, "{}", name(stack));
    let mut ours = std::mem::MaybeUninit::<mnet_address_info>::uninit();
    let size = size_of::<mnet_address_info>();
    let found = unsafe { mnet_address(stack, 0, 0, ours.as_mut_ptr(), size) };
    assert_eq!(found, 1);
    let ours = unsafe { ours.assume_init() };
    let expected = (address("10.0.0.9"), 24);
    assert_eq!(
        (ours.address, ours.prefix_len),
        expected,
        "not the configuration's"
    );
    let none = ptr::null_mut();
    for (index, text) in ["10.0.0.53", "fe80::53"].into_iter().enumerate() {
        let mut server = mnet_addr::default();
        let out = &raw mut server;
        assert_eq!(
            unsafe { mnet_dns_server(stack, 0, index, out, none, ptr::null_mut()) },
            1
        );
        assert_eq!(server.ip, address(text).ip);
    }
    assert_eq!(
        unsafe { mnet_enable_ipv6(stack, ptr::null()) },
        MNET_EINVAL,
        "it does already"
    );
    assert_eq!(mnet_close_stack(stack), 0);
    // What the stack refuses leaves nothing behind.
    let refused = |args: &mnet_args, expected: &str| {
        let stack = unsafe { mnet_open_args(&raw const config, args) };
        assert_eq!(name(stack), expected);
    };
    for (line, expected) in [
        ("--ipv4=224.0.0.1/24", "MNET_EADDRNOTAVAIL"),
        (
            "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.1.1",
            "MNET_EGATEWAY",
        ),
        ("--ipv4=10.0.0.2/24 -n 0.0.0.0", "MNET_EADDRNOTAVAIL"),
    ] {
        assert_eq!(parse(&mut args, line), 1);
        refused(&args, expected);
        refused(&args, expected);
    }
    assert_eq!(parse(&mut args, "--ipv4=10.0.0.2/24"), 1);
    let change = |change: &dyn Fn(&mut mnet_args)| {
        let mut args = args;
        change(&mut args);
        args
    };
    refused(&change(&|a| a.flags = MNET_ARGS_NO_NETWORK), "MNET_EINVAL");
    refused(&change(&|a| a.nameserver_count = 5), "MNET_EINVAL");
    refused(&change(&|a| a.device[0].ipv4 = 9), "MNET_EINVAL");
    refused(&change(&|a| a.device[0].ipv6 = 9), "MNET_EINVAL");
    refused(&change(&|a| a.device[0].reserved[0] = 1), "MNET_EINVAL");
    refused(
        &change(&|a| a.device[0].ipv4_address = address("::1")),
        "MNET_EAFNOSUPPORT",
    );
    refused(&change(&|a| a.device_count = 9), "MNET_EINVAL");
    let stack = unsafe { mnet_open_args(ptr::null(), &raw const args) };
    assert_eq!(name(stack), "MNET_EINVAL");
    let stack = unsafe { mnet_open_args(&raw const config, ptr::null()) };
    assert_eq!(name(stack), "MNET_EINVAL");
}

#[test]
fn a_line_can_ask_for_dhcp() {
    let _world = World::new();
    let mut memory = Memory::new(2 << 20);
    let mut args = defaults();
    assert_eq!(parse(&mut args, "--ipv4=dhcp --dhcp-hostname=web"), 1);
    assert_eq!(args.device[0].ipv4, MNET_ARGS_IPV4_DHCP);
    assert_eq!(text(&args.dhcp_hostname), "web");
    let config = config(&mut memory, 1);
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert!(stack > 0, "{}", name(stack));
    let again = unsafe { mnet_dhcp_start(stack, 0, ptr::null()) };
    assert_eq!(again, MNET_EINVAL, "it has a client");
    assert_eq!(mnet_close_stack(stack), 0);
    assert_eq!(parse(&mut args, "--ipv4=10.0.0.2/24"), 1);
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    let started = unsafe { mnet_dhcp_start(stack, 0, ptr::null()) };
    assert_eq!(started, 0, "it had none");
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn a_program_without_network_has_no_options_of_it() {
    let world = World::new();
    let mut values = Values::new();
    let mut options = values.options();
    let mut args = with_options(&mut options);
    args.flags = MNET_ARGS_NO_NETWORK;
    assert_eq!(parse(&mut args, "--port=9"), 1);
    assert_eq!(values.port, 9);
    assert_eq!(parse(&mut args, "--ipv4=10.0.0.2/24"), MNET_EINVAL);
    assert!(world.console().starts_with("test: unknown option --ipv4\n"));
}

#[test]
fn each_device_and_its_vlan_become_interfaces() {
    let _world = World::new();
    let mut memory = Memory::new(4 << 20);
    let names = [c"service".as_ptr(), c"backend".as_ptr()];
    let mut args = defaults();
    (args.devices, args.device_count) = (names.as_ptr(), names.len());
    let line = "--ipv4=10.0.0.9/24 --ipv4:backend=10.1.0.9/24 --vlan:backend=7 -n 10.0.0.53 \
                --ipv4-gateway:backend=10.1.0.1 --ipv6:backend=random";
    assert_eq!(parse(&mut args, line), 1);
    assert_eq!((args.device[0].vlan, args.device[1].vlan), (0, 7));
    let mut config = config(&mut memory, 1);
    config.max_mtu = 1_600;
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert!(stack > 0, "{}", name(stack));
    let addresses = |interface| {
        let mut info = std::mem::MaybeUninit::<mnet_address_info>::uninit();
        let size = size_of::<mnet_address_info>();
        let found = unsafe { mnet_address(stack, interface, 0, info.as_mut_ptr(), size) };
        (found == 1).then(|| unsafe { info.assume_init() }.address)
    };
    assert_eq!(addresses(1), Some(address("10.0.0.9")));
    assert_eq!(addresses(2), None, "the device itself has none");
    assert_eq!(addresses(3), Some(address("10.1.0.9")));
    let mut server = mnet_addr::default();
    let none = ptr::null_mut();
    let mut listed = |interface| unsafe {
        mnet_dns_server(stack, interface, 0, &raw mut server, none, ptr::null_mut())
    };
    assert_eq!((listed(1), listed(3)), (1, 0));
    assert_eq!(mnet_close_stack(stack), 0);
    // A device that the manifest does not have leaves nothing behind.
    let names = [c"service".as_ptr(), c"nowhere".as_ptr()];
    args.devices = names.as_ptr();
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert_eq!(name(stack), "MNET_ENODEV");
    args.device_count = 1;
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert!(stack > 0, "{}", name(stack));
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn a_program_with_a_log_has_its_options() {
    let world = World::new();
    let mut memory = Memory::new(2 << 20);
    let mut args = defaults();
    assert_eq!(parse(&mut args, "--ipv4=10.0.0.2/24 --log=ip"), MNET_EINVAL);
    assert!(world.console().contains("unknown option --log"));
    args.log = Some(mnet_log_console);
    let line = "--ipv4=10.0.0.2/24 --verbosity=error -l ip=info";
    assert_eq!(parse(&mut args, line), 1);
    let filter = unsafe { CStr::from_ptr(args.log_filter.as_ptr()) };
    assert_eq!(filter, c"error,ip=info");
    let config = config(&mut memory, 1);
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert!(stack > 0, "{}", name(stack));
    let added = address("10.7.0.1");
    let status = unsafe { mnet_add_address(stack, 0, &raw const added, 24, 0) };
    assert_eq!(status, 0);
    assert_eq!(unsafe { mnet_step(stack, 1, ptr::null_mut()) }, 0);
    assert_eq!(
        world.console(),
        "info ip: interface 1: static address 10.7.0.1/24 is ours\n\
         info ip: route to 10.7.0.0/24 on interface 1\n"
    );
    assert_eq!(mnet_close_stack(stack), 0);
    // Text without an end is none.
    args.log_filter.fill(1);
    let stack = unsafe { mnet_open_args(&raw const config, &raw const args) };
    assert_eq!(stack, i64::from(MNET_EINVAL));
}
