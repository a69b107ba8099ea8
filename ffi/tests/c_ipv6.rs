//! IPv6 through the functions of the header: two stacks that C drives by hand, on one link.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, address, manual_config, name, open};
use mnet_ffi::*;
use std::ptr;

struct Link {
    stacks: [mnet_stack; 2],
    now: u64,
    _world: common::World,
    _memory: [Memory; 2],
}

const MILLISECOND: u64 = 1_000_000;

impl Link {
    fn new() -> Self {
        let world = common::World::new();
        let mut memory = [Memory::new(2 << 20), Memory::new(2 << 20)];
        let mut host = 0;
        let stacks = memory.each_mut().map(|memory| {
            host += 1;
            let mut seed = [host; 32];
            let mut config = manual_config(memory, host);
            config.seed = seed.as_mut_ptr();
            open(&config)
        });
        Self {
            stacks,
            now: 0,
            _world: world,
            _memory: memory,
        }
    }

    /// Lets time pass, and frames go from each to the other.
    fn run(&mut self, millis: u64) {
        let mut frame = [0u8; 1_600];
        for _ in 0..millis {
            self.now += MILLISECOND;
            for _ in 0..3 {
                for (from, to) in [(0, 1), (1, 0)] {
                    let (from, to) = (self.stacks[from], self.stacks[to]);
                    unsafe {
                        assert_eq!(mnet_step(from, self.now, ptr::null_mut()), 0);
                        loop {
                            let place = frame.as_mut_ptr().cast();
                            let len = mnet_frame_out(from, self.now, place, frame.len());
                            if len <= 0 {
                                break;
                            }
                            let len = usize::try_from(len).unwrap();
                            assert_eq!(mnet_frame_in(to, self.now, frame.as_ptr().cast(), len), 0);
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for stack in self.stacks {
            mnet_close_stack(stack);
        }
    }
}

fn defaults() -> mnet_ipv6 {
    let mut ipv6 = std::mem::MaybeUninit::<mnet_ipv6>::uninit();
    let status = unsafe { mnet_ipv6_default(ipv6.as_mut_ptr(), size_of::<mnet_ipv6>()) };
    assert_eq!(status, 0);
    unsafe { ipv6.assume_init() }
}

/// The usable IPv6 addresses that a stack has.
fn addresses(stack: mnet_stack) -> Vec<(mnet_addr, u32)> {
    let listed = common::addresses(stack);
    let usable = listed
        .iter()
        .filter(|info| info.address.family == MNET_AF_INET6 && info.state == MNET_ADDRESS_USABLE);
    usable.map(|info| (info.address, info.prefix_len)).collect()
}

#[test]
fn connections_over_a_given_and_a_link_local_address() {
    let mut link = Link::new();
    let [a, b] = link.stacks;
    for (stack, text) in [(a, "2001:db8::1"), (b, "2001:db8::2")] {
        let mut ipv6 = defaults();
        ipv6.address = address(text);
        ipv6.gateway = address("fe80::99");
        assert_eq!(unsafe { mnet_enable_ipv6(stack, &raw const ipv6) }, 0);
    }
    assert_eq!(addresses(a), [], "not yet");
    link.run(2_500);
    let theirs = addresses(b);
    assert_eq!(theirs.len(), 2);
    assert_eq!(theirs.iter().map(|(addr, _)| addr.zone).max(), Some(1));
    let any = address("[::]:7");
    let listener = unsafe { mnet_listen(b, &raw const any, 4) };
    assert!(listener > 0, "{}", name(listener));
    for (mut remote, len) in theirs {
        assert_eq!(len, 64);
        remote.port = 7;
        let client = unsafe { mnet_connect(a, &raw const remote, ptr::null(), MNET_NONBLOCK) };
        assert!(client > 0, "{}", name(client));
        link.run(20);
        let mut peer = mnet_addr::default();
        let server = unsafe { mnet_accept(listener, &raw mut peer) };
        assert!(server > 0, "{}", name(server));
        assert_eq!((peer.family, peer.zone), (MNET_AF_INET6, remote.zone));
        let data = b"over IPv6";
        let sent = unsafe { mnet_write(client, data.as_ptr().cast(), data.len()) };
        assert_eq!(sent, 9);
        link.run(20);
        let mut buffer = [0u8; 16];
        let got = unsafe { mnet_read(server, buffer.as_mut_ptr().cast(), buffer.len()) };
        assert_eq!((got, &buffer[..9]), (9, &data[..]));
        assert_eq!((mnet_close(client), mnet_close(server)), (0, 0));
    }
}

/// The DNS servers of a stack with their origins and lifetimes.
fn servers(stack: mnet_stack) -> Vec<(mnet_addr, u32, u64)> {
    let mut all = Vec::new();
    loop {
        let (mut server, mut origin, mut lifetime) = (mnet_addr::default(), 0, 0);
        let (out, from, ns) = (&raw mut server, &raw mut origin, &raw mut lifetime);
        match unsafe { mnet_dns_server(stack, 0, all.len(), out, from, ns) } {
            1 => all.push((server, origin, lifetime)),
            0 => return all,
            error => panic!("{}", name(error.into())),
        }
    }
}

#[test]
fn servers_that_the_program_names_are_listed() {
    let link = Link::new();
    let [stack, _] = link.stacks;
    assert_eq!(servers(stack), []);
    let [first, second] = [address("10.0.0.53"), address("fe80::53")];
    for server in [&first, &second] {
        assert_eq!(unsafe { mnet_add_dns_server(stack, 1, server) }, 0);
    }
    let zoned = mnet_addr { zone: 1, ..second };
    let expected = [first, zoned].map(|server| (server, MNET_ORIGIN_STATIC, u64::MAX));
    assert_eq!(servers(stack), expected);
    let mut name = [1; 254];
    unsafe {
        let buf = name.as_mut_ptr().cast();
        let none = (ptr::null_mut(), ptr::null_mut());
        assert_eq!(mnet_search_domain(stack, 0, 0, buf, 254, none.0, none.1), 0);
        assert_eq!(name, [1; 254], "nothing was written");
        let refused = mnet_search_domain(stack, 9, 0, buf, 254, none.0, none.1);
        assert_eq!(refused, MNET_EINVAL.into());
        let null = ptr::null_mut();
        let refused = mnet_search_domain(stack, 0, 0, null, 0, none.0, none.1);
        assert_eq!(refused, MNET_EINVAL.into());
        let refused = mnet_dns_server(stack, 0, 0, ptr::null_mut(), none.0, none.1);
        assert_eq!(refused, MNET_EINVAL);
        let bad = address("255.255.255.255");
        let refused = mnet_add_dns_server(stack, 0, &raw const bad);
        assert_eq!(refused, MNET_EADDRNOTAVAIL);
        assert_eq!(mnet_add_dns_server(stack, 0, ptr::null()), MNET_EINVAL);
        assert_eq!(mnet_add_dns_server(stack, 2, &raw const first), MNET_EINVAL);
        for last in 2..5 {
            let expected = if last < 4 { 0 } else { MNET_ELIMIT };
            let server = address(&format!("10.0.0.{last}"));
            let status = mnet_add_dns_server(stack, 0, &raw const server);
            assert_eq!(status, expected);
        }
    }
    assert_eq!(mnet_clear_dns_servers(stack, 0), 0);
    assert_eq!(servers(stack), []);
    assert_eq!(mnet_clear_dns_servers(stack, 2), MNET_EINVAL);
}

#[test]
fn the_same_secret_gives_the_same_addresses() {
    static SECRET: [u8; 16] = [9; 16];
    let of = |flags| {
        let mut link = Link::new();
        let mut ipv6 = defaults();
        ipv6.secret = SECRET.as_ptr();
        ipv6.secret_len = SECRET.len();
        ipv6.flags = flags;
        assert_eq!(
            unsafe { mnet_enable_ipv6(link.stacks[0], &raw const ipv6) },
            0
        );
        link.run(2_500);
        addresses(link.stacks[0])[0].0.ip
    };
    assert_eq!(of(0), of(0));
    let eui_64 = of(MNET_IPV6_EUI64);
    assert_eq!(eui_64[8..], [0, 0, 0, 0xff, 0xfe, 0, 0, 1]);
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let frames = |seed: u8| {
        let _world = common::World::new();
        let mut memory = Memory::new(2 << 20);
        let mut seed = [seed; 32];
        let mut config = manual_config(&mut memory, 1);
        config.seed = seed.as_mut_ptr();
        let stack = open(&config);
        assert_eq!(unsafe { mnet_enable_ipv6(stack, ptr::null()) }, 0);
        let (mut frame, mut all) = ([0_u8; 1_600], Vec::new());
        for now in (0..10_000).map(|millis| millis * MILLISECOND) {
            assert_eq!(unsafe { mnet_step(stack, now, ptr::null_mut()) }, 0);
            while let len @ 1.. =
                unsafe { mnet_frame_out(stack, now, frame.as_mut_ptr().cast(), frame.len()) }
            {
                all.push((now, frame[..usize::try_from(len).unwrap()].to_vec()));
            }
        }
        assert_eq!(mnet_close_stack(stack), 0);
        all
    };
    let first = frames(1);
    assert!(first.len() > 5, "{}", first.len());
    assert!(frames(1) == first, "two runs differ");
    assert!(frames(2) != first);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |expected: &str, change: &dyn Fn(&mut mnet_ipv6)| {
        let link = Link::new();
        let mut ipv6 = defaults();
        change(&mut ipv6);
        let status = unsafe { mnet_enable_ipv6(link.stacks[0], &raw const ipv6) };
        assert_eq!(name(status.into()), expected);
    };
    refused("MNET_EINVAL", &|c| c.size = 8);
    refused("MNET_EINVAL", &|c| c.flags = 32);
    refused("MNET_EINVAL", &|c| {
        c.flags = MNET_IPV6_DHCP | MNET_IPV6_NO_DHCP
    });
    refused("MNET_EINVAL", &|c| c.prefix_len = 0);
    refused("MNET_EINVAL", &|c| c.prefix_len = 129);
    refused("MNET_EINVAL", &|c| c.secret_len = 16);
    refused("MNET_EINVAL", &|c| {
        (c.secret, c.secret_len) = ([1; 15].as_ptr(), 15)
    });
    refused("MNET_EAFNOSUPPORT", &|c| c.address = address("10.0.0.9"));
    refused("MNET_EAFNOSUPPORT", &|c| c.address.family = 9);
    for text in ["ff02::1", "::1", "::ffff:1.2.3.4"] {
        refused("MNET_EADDRNOTAVAIL", &|c| c.address = address(text));
    }
    refused("MNET_EGATEWAY", &|c| c.gateway = address("2001:db8::1"));
    // Without room for the route of the address, the interface speaks IPv6 all the same.
    let link = Link::new();
    let [stack, _] = link.stacks;
    let status = (0..=64).find_map(|n| {
        let route = mnet_route {
            size: size_of::<mnet_route>(),
            destination: address(&format!("192.168.{n}.0")),
            gateway: address("10.0.0.9"),
            prefix_len: 24,
            ..unsafe { std::mem::zeroed() }
        };
        let status = unsafe { mnet_add_route(stack, &raw const route) };
        (status != 0).then_some(status)
    });
    assert_eq!(status, Some(MNET_ELIMIT));
    let mut ipv6 = defaults();
    ipv6.address = address("2001:db8::1");
    let enable = |ipv6: &mnet_ipv6| unsafe { mnet_enable_ipv6(stack, ipv6) };
    assert_eq!(enable(&ipv6), MNET_ELIMIT);
    ipv6.address = mnet_addr::default();
    assert_eq!(enable(&ipv6), MNET_EINVAL, "it does already");
    drop(link);
    let link = Link::new();
    let [stack, _] = link.stacks;
    unsafe {
        assert_eq!(mnet_enable_ipv6(stack, ptr::null()), 0);
        assert_eq!(
            mnet_enable_ipv6(stack, ptr::null()),
            MNET_EINVAL,
            "it does already"
        );
        assert_eq!(mnet_enable_ipv6(stack + 99, ptr::null()), MNET_EBADF);
        assert_eq!(
            mnet_ipv6_default(ptr::null_mut(), size_of::<mnet_ipv6>()),
            MNET_EINVAL
        );
        assert_eq!(mnet_address(stack, 0, 0, ptr::null_mut(), 0), MNET_EINVAL);
    }
}
