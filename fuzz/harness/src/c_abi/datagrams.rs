//! Calls on UDP sockets.

use std::ffi::c_void;
use std::ptr;

use mnet_ffi::*;

use super::call;
use super::memory::{Input, Memory};
use super::world::{World, sized};

fn len(result: i64) -> usize {
    usize::try_from(result).unwrap_or(0)
}

impl World {
    pub(super) fn datagrams(&mut self, operation: u8, input: &mut Input<'_>) {
        match operation {
            0..=7 => {
                let (stack, _) = self.stack(input);
                let address = input.address();
                let local = Memory::with(input, address, None);
                let fd = if input.byte() < 160 {
                    call!(mnet_udp_bind(stack.number, local.get()))
                } else {
                    call!(mnet_udp_bind_shared(stack.number, local.get()))
                };
                assert!(fd < 0 || stack.is_open);
                self.given(stack.number, fd);
            }
            8..=11 => {
                let socket = self.socket(input);
                let address = input.address();
                let remote = Memory::with(input, address, None);
                let result = call!(mnet_udp_connect(socket.number, remote.get()));
                assert!(result < 0 || socket.is_open);
            }
            12..=15 => {
                let socket = self.socket(input);
                let (setting, value) = (u32::from(input.byte() % 12), input.number());
                let result = call!(mnet_udp_set(socket.number, setting, value));
                assert!(result < 0 || socket.is_open);
            }
            16..=20 => {
                let socket = self.socket(input);
                let (change, [group, source]) =
                    (u32::from(input.byte() % 8), [0; 2].map(|_| input.address()));
                let group = Memory::with(input, group, None);
                let source = Memory::with(input, source, None);
                let source = if change < 3 {
                    ptr::null()
                } else {
                    source.get()
                };
                let interface = input.number32() % 4;
                let fd = socket.number;
                let result = call!(mnet_group(fd, change, group.get(), source, interface));
                assert!(result < 0 || socket.is_open);
            }
            21..=32 => self.send(input),
            33..=44 => self.receive(input),
            45..=51 => self.in_place(input),
            52..=57 => self.look(input),
            _ => {
                let socket = self.socket(input);
                let error = mnet_udp_error {
                    size: size_of::<mnet_udp_error>(),
                    remote: mnet_addr::default(),
                    error: 0,
                    mtu: 0,
                };
                let info = sized(input, &error);
                let result = call!(mnet_udp_last_error(socket.number, info.get()));
                assert!(result < 0 || socket.is_open);
            }
        }
    }

    fn info(input: &mut Input<'_>) -> mnet_datagram {
        let plain = input.byte() < 224;
        mnet_datagram {
            size: size_of::<mnet_datagram>(),
            remote: input.address(),
            local: if plain {
                mnet_addr::default()
            } else {
                input.address()
            },
            interface: u32::from(input.byte() > 240),
            hop_limit: u16::from(input.byte() > 240),
            traffic_class: u16::from(input.byte() > 240),
        }
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let size = input.size() % 70_000;
        let mut data = Memory::new(input, size, self.arena());
        data.fill(std::iter::repeat(9));
        let info = Self::info(input);
        let result = if input.byte() < 160 {
            let remote = Memory::with(input, info.remote, None);
            call!(mnet_sendto(
                socket.number,
                data.void(),
                data.len,
                remote.get()
            ))
        } else {
            let info = sized(input, &info);
            call!(mnet_sendmsg(
                socket.number,
                data.void(),
                data.len,
                info.get()
            ))
        };
        assert!(result < 0 || (socket.is_open && len(result) == size));
        assert!(result < 0 || size == 0 || !data.is_wrong);
    }

    fn receive(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let size = input.size() % 70_000;
        let buffer = Memory::new(input, size, self.arena());
        let (fd, pointer, room) = (socket.number, buffer.void(), buffer.len);
        let result = if input.byte() < 160 {
            let remote = Memory::of::<mnet_addr>(input, self.arena());
            let result = call!(mnet_recvfrom(fd, pointer, room, remote.get()));
            remote.check("mnet_recvfrom", result, size_of::<mnet_addr>());
            result
        } else {
            let plain = mnet_datagram {
                size: size_of::<mnet_datagram>(),
                ..Self::info(input)
            };
            let info = sized(input, &plain);
            call!(mnet_recvmsg(fd, pointer, room, info.get()))
        };
        buffer.check("mnet_recvfrom", result, len(result).min(size));
        assert!(result < 0 || socket.is_open);
        self.reached.datagrams += usize::from(result > 0);
    }

    /// A datagram written where it leaves from.
    fn in_place(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let fd = socket.number;
        match input.byte() % 4 {
            0 | 1 => {
                let size = input.size();
                let place = Memory::of::<*mut c_void>(input, self.arena());
                let result = call!(mnet_send_reserve(fd, size, place.get()));
                place.check("mnet_send_reserve", result, size_of::<*mut c_void>());
                assert!(result < 0 || socket.is_open);
                if result == 0 {
                    // SAFETY: as much as was reserved may be written.
                    unsafe { ptr::write_bytes(place.read::<*mut u8>(), 9, size) };
                }
            }
            2 => {
                let (size, address) = (input.size(), input.address());
                let remote = Memory::with(input, address, None);
                let result = call!(mnet_send_commit(fd, size, remote.get()));
                assert!(result < 0 || socket.is_open);
            }
            _ => {
                let result = call!(mnet_send_cancel(fd));
                assert!(result < 0 || socket.is_open);
            }
        }
    }

    /// A datagram read where it has arrived.
    fn look(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let place = Memory::of::<*const c_void>(input, self.arena());
        let plain = Self::info(input);
        let info = sized(input, &plain);
        let result = call!(mnet_datagram_peek(socket.number, place.get(), info.get()));
        place.check("mnet_datagram_peek", result, size_of::<*const c_void>());
        if result > 0 {
            // SAFETY: readable until the next call, as the header says.
            let bytes =
                unsafe { std::slice::from_raw_parts(place.read::<*const u8>(), len(result)) };
            std::hint::black_box(bytes.iter().fold(0_u8, |all, byte| all ^ byte));
        }
        if input.byte() < 128 {
            let result = call!(mnet_datagram_consume(socket.number));
            assert!(result < 0 || socket.is_open);
        }
    }
}
