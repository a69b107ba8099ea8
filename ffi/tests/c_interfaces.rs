//! Several interfaces, VLANs and routes through the functions of the header.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, World, address, manual_config, name, open};
use mnet_ffi::*;
use std::ffi::{CStr, c_int};
use std::ptr;

const MILLISECOND: u64 = 1_000_000;
/// The hardware address of the second interface.
const SECOND: [u8; 6] = [2, 0, 0, 0, 1, 1];

/// What an error of a function that returns `int` is called.
fn error(code: c_int) -> &'static str {
    name(code.into())
}

fn info(stack: mnet_stack, interface: u32) -> mnet_interface {
    let mut info = std::mem::MaybeUninit::<mnet_interface>::uninit();
    let size = size_of::<mnet_interface>();
    let found = unsafe { mnet_interface_info(stack, interface, info.as_mut_ptr(), size) };
    assert_eq!(found, 1);
    unsafe { info.assume_init() }
}

fn device(info: &mnet_interface) -> &str {
    unsafe { CStr::from_ptr(info.device.as_ptr()) }
        .to_str()
        .unwrap()
}

fn add_address(stack: mnet_stack, interface: u32, text: &str, prefix_len: u32) {
    let addr = address(text);
    let status = unsafe { mnet_add_address(stack, interface, &raw const addr, prefix_len, 0) };
    assert_eq!(error(status), "0", "{text}");
}

fn route(destination: &str, prefix_len: u32, gateway: &str, interface: u32) -> mnet_route {
    mnet_route {
        size: size_of::<mnet_route>(),
        destination: address(destination),
        gateway: if gateway.is_empty() {
            mnet_addr::default()
        } else {
            address(gateway)
        },
        prefix_len,
        interface,
        metric: 0,
        flags: 0,
        expires: 0,
    }
}

fn add_route(stack: mnet_stack, route: &mnet_route) -> &'static str {
    error(unsafe { mnet_add_route(stack, route) })
}

fn routes(stack: mnet_stack) -> Vec<mnet_route> {
    let size = size_of::<mnet_route>();
    (0..)
        .map_while(|index| {
            let mut route = std::mem::MaybeUninit::<mnet_route>::uninit();
            let found = unsafe { mnet_route_list(stack, index, route.as_mut_ptr(), size) };
            (found == 1).then(|| unsafe { route.assume_init() })
        })
        .collect()
}

fn text(addr: &mnet_addr) -> String {
    let mut buffer = [0u8; 64];
    let len = unsafe { mnet_addr_format(addr, buffer.as_mut_ptr().cast(), buffer.len()) };
    let len = usize::try_from(len).unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

/// A stack with two interfaces and a VLAN on the second, and a neighbour on each of the three links:
/// 10.0.0.2, 10.1.0.2, 10.2.0.2. The gateways of the two links are these neighbours.
struct Links {
    stack: mnet_stack,
    neighbours: [mnet_stack; 3],
    now: u64,
    _world: World,
    _memory: Vec<Memory>,
}

impl Links {
    fn new() -> Self {
        let world = World::new();
        let mut memory: Vec<_> = (0..4).map(|_| Memory::new(1 << 20)).collect();
        let mut opened = memory.iter_mut().zip(1..).map(|(memory, host)| {
            let mut config = manual_config(memory, host);
            config.max_mtu = 1_600;
            config.max_interfaces = 8;
            if host > 1 {
                config.address = mnet_addr::default();
            }
            open(&config)
        });
        let stack = opened.next().unwrap();
        let neighbours = [(); 3].map(|()| opened.next().unwrap());
        drop(opened);
        let second = unsafe { mnet_add_manual_interface(stack, SECOND.as_ptr(), 1_400) };
        let vlan = mnet_add_vlan(stack, 2, 5, 3, 0);
        assert_eq!((second, vlan), (2, 3));
        add_address(stack, 2, "10.1.0.1", 24);
        add_address(stack, 3, "10.2.0.1", 24);
        add_address(neighbours[0], 0, "10.0.0.2", 24);
        add_address(neighbours[1], 1, "10.1.0.2", 24);
        assert_eq!(mnet_add_vlan(neighbours[2], 0, 5, 0, 1_400), 2);
        add_address(neighbours[2], 2, "10.2.0.2", 24);
        // All of them are foreign clients, too: behind their link, as it were.
        for (neighbour, interface, ours) in [
            (neighbours[0], 1, "10.0.0.1"),
            (neighbours[1], 1, "10.1.0.1"),
            (neighbours[2], 2, "10.2.0.1"),
        ] {
            let default = route("0.0.0.0", 0, ours, interface);
            assert_eq!(add_route(neighbour, &default), "0");
        }
        Self {
            stack,
            neighbours,
            now: 0,
            _world: world,
            _memory: memory,
        }
    }

    /// Lets time pass, and frames go where their links end.
    fn run(&mut self, millis: u64) {
        let mut frame = [0u8; 1_700];
        for _ in 0..millis {
            self.now += MILLISECOND;
            for _ in 0..4 {
                for (place, neighbour) in
                    [self.stack].into_iter().chain(self.neighbours).enumerate()
                {
                    let now = self.now;
                    assert_eq!(unsafe { mnet_step(neighbour, now, ptr::null_mut()) }, 0);
                    loop {
                        let mut interface = 0;
                        let (start, len) = (frame.as_mut_ptr().cast(), frame.len());
                        let len = unsafe {
                            mnet_frame_out_on(neighbour, &raw mut interface, now, start, len)
                        };
                        let len = usize::try_from(len).unwrap();
                        if len == 0 {
                            break;
                        }
                        let into = |stack, interface| {
                            let frame = frame.as_ptr().cast();
                            let status =
                                unsafe { mnet_frame_in_on(stack, interface, now, frame, len) };
                            assert_eq!(status, 0);
                        };
                        match (place, interface) {
                            (0, 1) => into(self.neighbours[0], 1),
                            (0, 2) => {
                                into(self.neighbours[1], 1);
                                into(self.neighbours[2], 1);
                            }
                            (1, 1) => into(self.stack, 1),
                            (2 | 3, 1) => into(self.stack, 2),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
        }
    }

    /// A connection from a neighbour to an address of the stack, with data both ways.
    fn talk(&mut self, neighbour: usize, to: &str) {
        let remote = address(to);
        let listener = unsafe { mnet_listen(self.stack, &raw const remote, 4) };
        assert!(listener > 0, "{}", name(listener));
        let stack = self.neighbours[neighbour];
        let client = unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) };
        assert!(client > 0, "{}", name(client));
        self.run(20);
        let server = unsafe { mnet_accept(listener, ptr::null_mut()) };
        assert!(server > 0, "{to}: {}", name(server));
        for (from, to) in [(client, server), (server, client)] {
            let data = [7u8; 5_000];
            let mut rest = &data[..];
            let mut got = Vec::new();
            for _ in 0..200 {
                let wrote = unsafe { mnet_write(from, rest.as_ptr().cast(), rest.len()) };
                rest = &rest[usize::try_from(wrote).unwrap_or(0)..];
                self.run(1);
                let mut buffer = [0u8; 6_000];
                let read = unsafe { mnet_read(to, buffer.as_mut_ptr().cast(), buffer.len()) };
                got.extend_from_slice(&buffer[..usize::try_from(read).unwrap_or(0)]);
            }
            assert_eq!(got, data);
        }
        for fd in [client, server, listener] {
            assert_eq!(mnet_close(fd), 0);
        }
        self.run(5);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for stack in self.neighbours.into_iter().chain([self.stack]) {
            mnet_close_stack(stack);
        }
    }
}

#[test]
fn connections_go_over_their_interface() {
    let mut links = Links::new();
    links.run(50);
    let frames = |links: &Links| [1, 2, 3].map(|number| info(links.stack, number).tx_frames);
    for (neighbour, to, used) in [
        (0, "10.0.0.1:80", [true, false, false]),
        (1, "10.1.0.1:80", [false, true, false]),
        // The frames of a VLAN count on its parent as well.
        (2, "10.2.0.1:80", [false, true, true]),
    ] {
        let before = frames(&links);
        links.talk(neighbour, to);
        let after = frames(&links);
        let grown = [0, 1, 2].map(|place| after[place] > before[place] + 4);
        assert_eq!(grown, used, "{to}");
    }
}

#[test]
fn interfaces_are_listed() {
    let links = Links::new();
    let [first, second, vlan] = [1, 2, 3].map(|number| info(links.stack, number));
    assert_eq!(
        (first.number, first.parent, first.vlan, first.mtu),
        (1, 0, 0, 1_500)
    );
    assert_eq!((second.number, second.mtu), (2, 1_400));
    assert_eq!(second.hardware_address, SECOND);
    assert_eq!(
        (vlan.number, vlan.parent, vlan.vlan, vlan.priority),
        (3, 2, 5, 3)
    );
    assert_eq!((vlan.mtu, vlan.hardware_address), (1_400, SECOND));
    assert_eq!((device(&first), device(&vlan)), ("", ""));
    assert_eq!(info(links.stack, 0).number, 1);
    let mut more = first;
    let size = size_of::<mnet_interface>();
    assert_eq!(
        unsafe { mnet_interface_info(links.stack, 4, &raw mut more, size) },
        0
    );
    let null = unsafe { mnet_interface_info(links.stack, 1, ptr::null_mut(), size) };
    assert_eq!(error(null), "MNET_EINVAL");
}

#[test]
fn routes_are_added_listed_and_removed() {
    let links = Links::new();
    let stack = links.stack;
    let default = route("0.0.0.0", 0, "10.1.0.2", 2);
    let nowhere = mnet_route {
        flags: MNET_ROUTE_UNREACHABLE,
        ..route("192.0.2.0", 24, "", 0)
    };
    let on_link = mnet_route {
        metric: 7,
        ..route("198.51.100.0", 25, "", 3)
    };
    for route in [&default, &nowhere, &on_link] {
        assert_eq!(add_route(stack, route), "0");
    }
    let listed: Vec<_> = routes(stack)
        .iter()
        .map(|route| {
            let gateway = match route.gateway.family {
                0 => String::new(),
                _ => text(&route.gateway),
            };
            assert_eq!(route.expires, MNET_NEVER);
            let destination = text(&route.destination);
            let numbers = (route.prefix_len, route.interface, route.metric, route.flags);
            (destination, gateway, numbers)
        })
        .collect();
    let find = |network: &str, len: u32| {
        let found = listed
            .iter()
            .find(|(destination, _, numbers)| destination.starts_with(network) && numbers.0 == len);
        found
            .cloned()
            .unwrap_or_else(|| panic!("{network}: {listed:?}"))
    };
    assert!(find("0.0.0.0", 0).1.starts_with("10.1.0.2"));
    assert_eq!(find("0.0.0.0", 0).2, (0, 2, 0, 0));
    assert_eq!(find("192.0.2.0", 24).2, (24, 0, 0, MNET_ROUTE_UNREACHABLE));
    assert_eq!(find("198.51.100.0", 25).2, (25, 3, 7, 0));
    assert_eq!(listed.len(), 6, "{listed:?}");
    let to = address("192.0.2.7:80");
    let refused = unsafe { mnet_connect(stack, &raw const to, ptr::null(), 0) };
    assert_eq!(name(refused), "MNET_ENETUNREACH");
    for route in [&nowhere, &default, &on_link] {
        assert_eq!(error(unsafe { mnet_remove_route(stack, route) }), "0");
        let again = unsafe { mnet_remove_route(stack, route) };
        assert_eq!(error(again), "MNET_ENETUNREACH");
    }
    assert_eq!(routes(stack).len(), 3);
    let bad = |route: mnet_route, expected| assert_eq!(add_route(stack, &route), expected);
    bad(mnet_route { size: 8, ..default }, "MNET_EINVAL");
    bad(
        mnet_route {
            flags: 2,
            ..default
        },
        "MNET_EINVAL",
    );
    bad(
        mnet_route {
            expires: 1,
            ..default
        },
        "MNET_EINVAL",
    );
    bad(
        mnet_route {
            interface: 4,
            ..default
        },
        "MNET_EINVAL",
    );
    bad(
        mnet_route {
            flags: 1,
            ..default
        },
        "MNET_EINVAL",
    );
    bad(
        mnet_route {
            interface: 1,
            ..default
        },
        "MNET_EGATEWAY",
    );
    bad(
        mnet_route {
            prefix_len: 33,
            ..on_link
        },
        "MNET_EADDRNOTAVAIL",
    );
    bad(
        mnet_route {
            prefix_len: 16,
            ..route("192.0.2.0", 0, "", 1)
        },
        "MNET_EADDRNOTAVAIL",
    );
    bad(
        mnet_route {
            destination: mnet_addr::default(),
            ..on_link
        },
        "MNET_EAFNOSUPPORT",
    );
    bad(route("2001:db8::", 32, "", 1), "MNET_EAFNOSUPPORT");
    let null = unsafe { mnet_add_route(stack, ptr::null()) };
    assert_eq!(error(null), "MNET_EINVAL");
}

#[test]
fn interfaces_that_cannot_be_are_refused() {
    let links = Links::new();
    let stack = links.stack;
    let add = |hardware: &[u8; 6], mtu| {
        error(unsafe { mnet_add_manual_interface(stack, hardware.as_ptr(), mtu) })
    };
    assert_eq!(add(&SECOND, 1_601), "MNET_EMSGSIZE");
    assert_eq!(add(&SECOND, 575), "MNET_EINVAL");
    assert_eq!(add(&[0xff; 6], 0), "MNET_EINVAL");
    assert_eq!(
        error(unsafe { mnet_add_manual_interface(stack, ptr::null(), 0) }),
        "MNET_EINVAL"
    );
    let device = unsafe { mnet_add_interface(stack, c"service".as_ptr()) };
    assert_eq!(error(device), "MNET_EINVAL", "a manual stack");
    for (parent, vlan, priority, mtu, expected) in [
        (2, 5, 0, 0, "MNET_EADDRINUSE"),
        (2, 0, 0, 0, "MNET_EINVAL"),
        (2, 4_095, 0, 0, "MNET_EINVAL"),
        (2, 70_000, 0, 0, "MNET_EINVAL"),
        (2, 6, 8, 0, "MNET_EINVAL"),
        (2, 6, 0, 1_401, "MNET_EINVAL"),
        (3, 6, 0, 0, "MNET_EINVAL"),
        (9, 6, 0, 0, "MNET_EINVAL"),
    ] {
        let refused = mnet_add_vlan(stack, parent, vlan, priority, mtu);
        assert_eq!(error(refused), expected, "VLAN {vlan} of {parent}");
    }
    for vlan in 10..15 {
        assert!(mnet_add_vlan(stack, 1, vlan, 0, 0) > 0);
    }
    assert_eq!(error(mnet_add_vlan(stack, 1, 99, 0, 0)), "MNET_ELIMIT");
    assert_eq!(add(&[2; 6], 0), "MNET_ELIMIT");
    let frame = [0u8; 64];
    let bad = unsafe { mnet_frame_in_on(stack, 99, 1, frame.as_ptr().cast(), 64) };
    assert_eq!(error(bad), "MNET_EINVAL");
}

#[test]
fn another_device_of_the_manifest_is_another_interface() {
    let _world = World::new();
    let mut memory = Memory::new(1 << 20);
    let mut config = common::config(&mut memory, 1);
    let small = open(&config);
    let refused = unsafe { mnet_add_interface(small, c"backend".as_ptr()) };
    assert_eq!(error(refused), "MNET_EMSGSIZE", "its MTU is 1600");
    assert_eq!(mnet_close_stack(small), 0);
    config.max_mtu = 1_499;
    assert_eq!(name(unsafe { mnet_open(&raw const config) }), "MNET_EINVAL");
    config.max_mtu = 1_600;
    config.max_interfaces = 65;
    assert_eq!(name(unsafe { mnet_open(&raw const config) }), "MNET_EINVAL");
    config.max_interfaces = 2;
    let stack = open(&config);
    let add = |device: &CStr| unsafe { mnet_add_interface(stack, device.as_ptr()) };
    assert_eq!(error(add(c"nothing")), "MNET_ENODEV");
    assert_eq!(error(add(c"service")), "MNET_EBUSY");
    assert_eq!(add(c"backend"), 2);
    assert_eq!(error(add(c"backend")), "MNET_EBUSY");
    let [first, second] = [1, 2].map(|number| info(stack, number));
    assert_eq!((device(&first), first.mtu), ("service", 1_500));
    assert_eq!((device(&second), second.mtu), ("backend", 1_600));
    assert_eq!(second.hardware_address, [2, 0, 0, 0, 0, 2]);
    add_address(stack, 2, "10.1.0.1", 24);
    let mut deadline = 0;
    let status = unsafe { mnet_step(stack, mnet_now(), &raw mut deadline) };
    assert_eq!(status, 0);
    assert!(
        info(stack, 2).tx_frames > 0,
        "the address is announced there"
    );
    assert_eq!(mnet_close_stack(stack), 0);
    // Both devices are free again.
    let stack = open(&config);
    let again = unsafe { mnet_add_interface(stack, c"backend".as_ptr()) };
    assert_eq!(again, 2);
    assert_eq!(mnet_close_stack(stack), 0);
}
