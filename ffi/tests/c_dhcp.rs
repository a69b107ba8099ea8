//! The DHCP client through the functions of the header, against a server that the test plays.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, address, addresses, manual_config, name, open};
use mnet_ffi::*;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

struct Client {
    stack: mnet_stack,
    now: u64,
    /// Names of the kinds of message that the client has sent.
    sent: Vec<u8>,
    /// The options of the last of them.
    options: Vec<u8>,
    _world: common::World,
    _memory: Memory,
}

impl Client {
    fn new() -> Self {
        let world = common::World::new();
        let mut memory = Memory::new(2 << 20);
        let mut config = manual_config(&mut memory, 1);
        config.address = mnet_addr::default();
        Self {
            stack: open(&config),
            now: 0,
            sent: Vec::new(),
            options: Vec::new(),
            _world: world,
            _memory: memory,
        }
    }

    /// Lets time pass, while a server lends 10.0.0.50 and up, another one to each question.
    fn run(&mut self, millis: u64) {
        let mut frame = [0u8; 1_600];
        for _ in 0..millis / 10 {
            self.now += 10_000_000;
            unsafe { assert_eq!(mnet_step(self.stack, self.now, ptr::null_mut()), 0) };
            loop {
                let place = frame.as_mut_ptr().cast();
                let len = unsafe { mnet_frame_out(self.stack, self.now, place, frame.len()) };
                let Ok(len @ 1..) = usize::try_from(len) else {
                    break;
                };
                if let Some(answer) = self.answer(&frame[..len]) {
                    let start = answer.as_ptr().cast();
                    let taken = unsafe { mnet_frame_in(self.stack, self.now, start, answer.len()) };
                    assert_eq!(taken, 0);
                }
            }
        }
    }

    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let message = frame
            .get(42..)
            .filter(|_| frame[34..38] == [0, 68, 0, 67])?;
        let kind = message[242];
        self.sent.push(kind);
        self.options = message[240..].to_vec();
        let discovers = self.sent.iter().filter(|kind| **kind == 1).count();
        let last = 49 + u8::try_from(discovers).unwrap();
        let kind = match kind {
            1 => 2,
            3 => 5,
            _ => return None,
        };
        let mut reply = message[..240].to_vec();
        reply[0] = 2;
        reply[16..20].copy_from_slice(&[10, 0, 0, last]);
        reply.extend([53, 1, kind, 54, 4, 10, 0, 0, 9, 51, 4, 0, 0, 0x0e, 0x10]);
        reply.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 9, 26, 2, 5, 0xdc]);
        reply.extend([6, 8, 10, 0, 0, 53, 10, 0, 0, 54, 15, 4]);
        reply.extend(b"x.yz");
        reply.extend([200, 3, b'a', b'b', b'c', 255]);
        // UDP without a checksum, IP with one, from 10.0.0.9 to everybody.
        let udp_len = u16::try_from(8 + reply.len()).unwrap();
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9];
        ip.extend([255; 4]);
        ip[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
        let mut sum: u32 = ip
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        sum = (sum & 0xffff) + (sum >> 16);
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut answer = [&HARDWARE[..], &[2, 0, 0, 0, 0, 9, 8, 0], &ip].concat();
        answer.extend([0, 67, 0, 68]);
        answer.extend(udp_len.to_be_bytes());
        answer.extend([0, 0]);
        answer.extend(reply);
        Some(answer)
    }

    fn lease(&self) -> Option<mnet_dhcp_lease> {
        let mut lease = MaybeUninit::<mnet_dhcp_lease>::uninit();
        let size = size_of::<mnet_dhcp_lease>();
        match unsafe { mnet_dhcp_lease(self.stack, 0, lease.as_mut_ptr(), size) } {
            1 => Some(unsafe { lease.assume_init() }),
            0 => None,
            error => panic!("{}", name(error.into())),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        mnet_close_stack(self.stack);
    }
}

fn defaults() -> mnet_dhcp {
    let mut dhcp = MaybeUninit::<mnet_dhcp>::uninit();
    let status = unsafe { mnet_dhcp_default(dhcp.as_mut_ptr(), size_of::<mnet_dhcp>()) };
    assert_eq!(status, 0);
    unsafe { dhcp.assume_init() }
}

#[test]
fn a_lease_is_obtained_told_and_given_back() {
    let mut client = Client::new();
    assert_eq!(unsafe { mnet_dhcp_start(client.stack, 0, ptr::null()) }, 0);
    assert_eq!(client.lease(), None);
    client.run(1_000);
    let lease = client.lease().expect("a lease");
    assert_eq!(lease.address, address("10.0.0.50"));
    assert_eq!(
        (lease.server, lease.gateway),
        (address("10.0.0.9"), address("10.0.0.9"))
    );
    assert_eq!(
        (lease.prefix_len, lease.interface, lease.mtu),
        (24, 1, 1_500)
    );
    assert_eq!(lease.duration_ns, 3_600_000_000_000);
    assert!(lease.valid_ns < lease.duration_ns && lease.renew_ns < lease.valid_ns);
    let info = addresses(client.stack)[0];
    assert_eq!(
        (info.origin, info.state),
        (MNET_ORIGIN_DHCPV4, MNET_ADDRESS_USABLE)
    );
    let mut event = mnet_network_event::default();
    assert_eq!(
        unsafe { mnet_network_events(client.stack, &raw mut event, 1, 0) },
        1
    );
    assert_ne!(event.changes & MNET_CHANGE_LEASE, 0);
    let mut addr = mnet_addr::default();
    let found = unsafe { mnet_wait_address(client.stack, 0, MNET_AF_INET, 0, &raw mut addr) };
    assert_eq!((found, addr), (1, lease.address));

    let option = |tag, buffer: &mut [u8], len: &mut usize| {
        let start = buffer.as_mut_ptr().cast();
        unsafe { mnet_dhcp_option(client.stack, 0, tag, start, buffer.len(), len) }
    };
    let (mut buffer, mut len) = ([0; 8], 0);
    assert_eq!(option(200, &mut buffer, &mut len), 1);
    assert_eq!(&buffer[..len], b"abc");
    assert_eq!(option(201, &mut buffer, &mut len), 0);
    assert_eq!(option(200, &mut buffer[..2], &mut len), MNET_EMSGSIZE);

    for (index, server) in (0..).zip(["10.0.0.53", "10.0.0.54"]) {
        let (mut origin, null) = (0, ptr::null_mut());
        let status = unsafe {
            mnet_dns_server(client.stack, 0, index, &raw mut addr, &raw mut origin, null)
        };
        assert_eq!(
            (status, addr, origin),
            (1, address(server), MNET_ORIGIN_DHCPV4)
        );
    }
    let domain = |index, buffer: &mut [u8]| {
        let (start, null) = (buffer.as_mut_ptr().cast(), ptr::null_mut());
        let (len, lifetime) = (buffer.len(), ptr::null_mut());
        unsafe { mnet_search_domain(client.stack, 0, index, start, len, null, lifetime) }
    };
    let mut text = [1; 5];
    assert_eq!((domain(0, &mut text), &text), (4, b"x.yz\0"));
    assert_eq!(domain(0, &mut text[..4]), MNET_EMSGSIZE.into());
    assert_eq!(domain(1, &mut text), 0);

    assert_eq!(mnet_dhcp_stop(client.stack, 0, 1), 0);
    client.run(100);
    assert_eq!(client.sent, [1, 3, 7]);
    assert_eq!((client.lease(), addresses(client.stack).len()), (None, 0));
    assert_eq!(mnet_dhcp_stop(client.stack, 0, 1), MNET_EINVAL);
}

#[test]
fn the_server_is_asked_for_options_of_choice() {
    static OPTIONS: [u8; 2] = [43, 200];
    let mut client = Client::new();
    let mut dhcp = defaults();
    (dhcp.requests, dhcp.requests_len) = (OPTIONS.as_ptr(), OPTIONS.len());
    let start = unsafe { mnet_dhcp_start(client.stack, 0, &raw const dhcp) };
    assert_eq!(start, 0);
    client.run(1_000);
    let mut rest = &client.options[..];
    let list = loop {
        let [tag, len, more @ ..] = rest else {
            panic!("no list: {:?}", client.options);
        };
        let (value, others) = more.split_at((*len).into());
        if *tag == 55 {
            break value;
        }
        rest = others;
    };
    assert!(OPTIONS.iter().all(|tag| list.contains(tag)), "{list:?}");
}

/// What the callback has seen: how often, and the last byte of the last address.
struct Seen {
    calls: u32,
    last: u8,
    accepted: u8,
}

unsafe extern "C" fn accept_only(
    context: *mut c_void,
    offered: *const mnet_dhcp_lease,
    previous: *const mnet_dhcp_lease,
) -> c_int {
    let seen = unsafe { &mut *context.cast::<Seen>() };
    let offered = unsafe { *offered };
    assert!(previous.is_null());
    seen.calls += 1;
    seen.last = offered.address.ip[3];
    c_int::from(seen.last == seen.accepted)
}

#[test]
fn the_callback_refuses_and_takes() {
    let mut client = Client::new();
    let mut seen = Seen {
        calls: 0,
        last: 0,
        accepted: 52,
    };
    let mut dhcp = defaults();
    dhcp.accept = Some(accept_only);
    dhcp.context = (&raw mut seen).cast();
    assert_eq!(
        unsafe { mnet_dhcp_start(client.stack, 0, &raw const dhcp) },
        0
    );
    client.run(20_000);
    assert_eq!((seen.calls, seen.last), (3, 52));
    let lease = client.lease().expect("the third one");
    assert_eq!(lease.address, address("10.0.0.52"));
}

/// Offers that come together are decided together: nothing would wake a program for the second one.
#[test]
fn offers_to_two_interfaces_in_one_batch_are_both_answered() {
    const SECOND: [u8; 6] = [2, 0, 0, 0, 1, 1];
    let mut client = Client::new();
    let stack = client.stack;
    let second = unsafe { mnet_add_manual_interface(stack, SECOND.as_ptr(), 0) };
    assert_eq!(second, 2);
    let mut seen = [50, 51].map(|accepted| Seen {
        calls: 0,
        last: 0,
        accepted,
    });
    for (seen, interface) in seen.iter_mut().zip(1..) {
        let mut dhcp = defaults();
        dhcp.accept = Some(accept_only);
        dhcp.context = ptr::from_mut(seen).cast();
        let started = unsafe { mnet_dhcp_start(stack, interface, &raw const dhcp) };
        assert_eq!(started, 0);
    }
    let step = |now| unsafe { assert_eq!(mnet_step(stack, now, ptr::null_mut()), 0) };
    let sent = || {
        let (mut frame, mut by) = ([0u8; 1_600], 0);
        let place = frame.as_mut_ptr().cast();
        let len = unsafe { mnet_frame_out_on(stack, &raw mut by, 0, place, frame.len()) };
        (by, frame[..usize::try_from(len).unwrap()].to_vec())
    };
    step(0);
    let discovers = [sent(), sent()];
    assert_eq!(discovers.each_ref().map(|(by, _)| *by), [1, 2]);
    for (interface, discover) in discovers {
        let mut offer = client.answer(&discover).unwrap();
        if interface == 2 {
            offer[..6].copy_from_slice(&SECOND);
        }
        let start = offer.as_ptr().cast();
        let taken = unsafe { mnet_frame_in_on(stack, interface, 0, start, offer.len()) };
        assert_eq!(taken, 0);
    }
    step(0);
    assert_eq!(seen.each_ref().map(|seen| seen.calls), [1, 1]);
    client.sent.clear();
    for _ in 0..2 {
        client.answer(&sent().1);
    }
    assert_eq!(client.sent, [3, 3], "requests");
}

#[test]
fn what_cannot_be_is_refused() {
    let client = Client::new();
    static TEXT: [u8; 80] = [b'x'; 80];
    let refused = |expected: &str, change: &dyn Fn(&mut mnet_dhcp)| {
        let mut dhcp = defaults();
        change(&mut dhcp);
        let status = unsafe { mnet_dhcp_start(client.stack, 0, &raw const dhcp) };
        assert_eq!(name(status.into()), expected);
    };
    refused("MNET_EINVAL", &|d| d.size = 8);
    refused("MNET_EINVAL", &|d| d.flags = 32);
    refused("MNET_EINVAL", &|d| {
        d.flags = MNET_DHCP_NO_PROBE | MNET_DHCP_PROBE_FULL
    });
    refused("MNET_EINVAL", &|d| d.reserved = 1);
    refused("MNET_EINVAL", &|d| d.hostname_len = 1);
    let name_of = |len: usize| {
        move |d: &mut mnet_dhcp| {
            (d.hostname, d.hostname_len) = (TEXT.as_ptr().cast(), len);
        }
    };
    refused("MNET_EINVAL", &name_of(64));
    for len in [1, 65] {
        refused("MNET_EINVAL", &|d| {
            (d.client_id, d.client_id_len) = (TEXT.as_ptr(), len);
        });
    }
    refused("MNET_EINVAL", &|d| {
        (d.client_id, d.client_id_len) = (TEXT.as_ptr(), 9);
        d.flags = MNET_DHCP_NODE_ID;
    });
    refused("MNET_EINVAL", &|d| {
        (d.requests, d.requests_len) = (TEXT.as_ptr(), 33)
    });
    refused("MNET_EAFNOSUPPORT", &|d| {
        d.previous = address("2001:db8::1")
    });
    let mut len = 0;
    unsafe {
        let (stack, none) = (client.stack, ptr::null());
        assert_eq!(mnet_dhcp_start(stack, 2, none), MNET_EINVAL);
        assert_eq!(mnet_dhcp_start(99, 0, none), MNET_EBADF);
        assert_eq!(mnet_dhcp_start(stack, 0, none), 0);
        assert_eq!(mnet_dhcp_start(stack, 0, none), MNET_EINVAL, "already");
        assert_eq!(mnet_dhcp_default(ptr::null_mut(), 104), MNET_EINVAL);
        assert_eq!(mnet_dhcp_lease(stack, 0, ptr::null_mut(), 0), MNET_EINVAL);
        let mut byte = 0_u8;
        let place = (&raw mut byte).cast();
        assert_eq!(
            mnet_dhcp_option(stack, 0, 1, ptr::null_mut(), 1, &raw mut len),
            MNET_EINVAL
        );
        assert_eq!(
            mnet_dhcp_option(stack, 0, 1, place, 1, ptr::null_mut()),
            MNET_EINVAL
        );
        assert_eq!(mnet_dhcp_option(stack, 0, 1, place, 1, &raw mut len), 0);
    }
}
