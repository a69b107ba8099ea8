//! Calls on TCP sockets, and those that wait.

use std::ffi::c_void;
use std::ptr;

use mnet_ffi::*;

use super::call;
use super::memory::{Input, Memory};
use super::world::{Handle, World};

/// What a length of the result counts.
fn len(result: i64) -> usize {
    usize::try_from(result).unwrap_or(0)
}

/// A call on a handle that names nothing has failed.
#[track_caller]
fn refused(handle: Handle, result: i64) {
    assert!(
        handle.is_open || result < 0,
        "a handle of nothing was taken"
    );
}

impl World {
    pub(super) fn streams(&mut self, operation: u8, input: &mut Input<'_>) {
        match operation {
            0..=7 => self.listen(input),
            8..=17 => self.accept(input),
            18..=27 => self.connect(input),
            28..=39 => self.write(input),
            40..=51 => self.read(input),
            52..=57 => self.peek(input),
            58..=61 => {
                let socket = self.socket(input);
                let how = i32::from(input.byte() < 192) + i32::from(input.byte() > 250);
                refused(socket, call!(mnet_shutdown(socket.number, how)));
            }
            62..=65 => self.close(input),
            66 => {
                let socket = self.socket(input);
                let result = call!(mnet_abort(socket.number));
                refused(socket, result);
                if result == 0 {
                    self.closed(socket.number);
                }
            }
            67..=74 => self.set(input),
            75..=82 => self.ask(input),
            _ => self.wait_for(input),
        }
    }

    fn listen(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let address = input.address();
        let local = Memory::with(input, address, None);
        let backlog = input.number32() % 300;
        let fd = call!(mnet_listen(stack.number, local.get(), backlog));
        assert!(fd < 0 || (stack.is_open && backlog > 0));
        self.given(stack.number, fd);
    }

    fn accept(&mut self, input: &mut Input<'_>) {
        let listener = self.socket(input);
        let peer = Memory::of::<mnet_addr>(input, self.arena());
        let fd = call!(mnet_accept(listener.number, peer.get()));
        peer.check("mnet_accept", fd, size_of::<mnet_addr>());
        refused(listener, fd);
        if fd > 0 {
            self.reached.accepted += 1;
            self.given(self.stack_of(listener.number), fd);
        }
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let remote = input.address();
        let remote = Memory::with(input, remote, None);
        let local = input.address();
        let local = Memory::with(input, local, None);
        // Mostly from wherever.
        let local = if input.byte() < 200 {
            ptr::null()
        } else {
            local.get()
        };
        let flags = i32::from(input.byte() & 1) + 2 * i32::from(input.byte() > 250);
        let fd = if input.byte() < 128 {
            call!(mnet_connect(stack.number, remote.get(), local, flags))
        } else {
            let time = input.number();
            call!(mnet_connect_timeout(
                stack.number,
                remote.get(),
                local,
                flags,
                time
            ))
        };
        assert!(fd < 0 || stack.is_open);
        self.given(stack.number, fd);
    }

    fn write(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let size = input.size() % 70_000;
        let mut data = Memory::new(input, size, self.arena());
        data.fill(std::iter::repeat(7));
        let result = call!(mnet_write(socket.number, data.void(), data.len));
        refused(socket, result);
        // What lies in an arena is copied first: it may be what mnet_peek() has shown.
        let is_impossible = data.is_null() || data.len != size;
        assert!(result < 0 || size == 0 || !is_impossible);
        assert!(len(result) <= size);
    }

    fn read(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let size = input.size() % 70_000;
        let buffer = Memory::new(input, size, self.arena());
        let result = call!(mnet_read(socket.number, buffer.void(), buffer.len));
        buffer.check("mnet_read", result, len(result));
        refused(socket, result);
        self.reached.read += usize::from(result > 0);
    }

    /// Received data in place: read, passed on, taken.
    fn peek(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let place = Memory::of::<*const c_void>(input, self.arena());
        let result = call!(mnet_peek(socket.number, place.get()));
        place.check("mnet_peek", result, size_of::<*const c_void>());
        refused(socket, result);
        let mut taken = len(result);
        if result > 0 {
            let data = place.read::<*const u8>();
            // SAFETY: readable until the next call, as the header says.
            let bytes = unsafe { std::slice::from_raw_parts(data, len(result)) };
            std::hint::black_box(bytes.iter().fold(0_u8, |all, byte| all ^ byte));
            let other = self.socket(input);
            if self.stack_of(other.number) == self.stack_of(socket.number) {
                let written = call!(mnet_write(other.number, data.cast(), len(result)));
                assert!(len(written) <= len(result));
            }
        }
        taken = match input.byte() {
            0..=127 => taken,
            128..=191 => taken / 2,
            _ => input.size(),
        };
        let result = call!(mnet_consume(socket.number, taken));
        assert!(socket.is_open || result < 0);
    }

    fn close(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let result = call!(mnet_close(socket.number));
        if socket.is_open {
            assert_ne!(result, MNET_EBADF.into(), "an open socket");
            assert_ne!(result, MNET_EBUSY.into(), "nobody is inside");
            self.closed(socket.number);
        } else {
            let nothing = socket.number <= 0;
            assert_eq!(result, if nothing { 0 } else { MNET_EBADF.into() });
        }
    }

    fn set(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let fd = socket.number;
        let (which, number) = (input.byte(), input.number());
        let (size, small) = (input.size(), input.number32());
        // Times of hours would only make the input last long.
        let time = number % 250_000_000_000;
        let result = match which % 14 {
            0 => call!(mnet_set_nodelay(fd, i32::from(which))),
            1 => call!(mnet_set_cork(fd, i32::from(which & 0x80))),
            2 => call!(mnet_set_keepalive(
                fd,
                i32::from(which & 0x80),
                number,
                time,
                small
            )),
            3 => {
                self.may_take_long |= number > 1 << 39;
                call!(mnet_set_user_timeout(fd, number))
            }
            4 => call!(mnet_set_linger(fd, time.cast_signed() - 1)),
            5 => call!(mnet_set_delayed_ack(fd, number)),
            6 => call!(mnet_set_congestion(fd, small % 5)),
            7 => call!(mnet_set_receive_buffer(fd, size)),
            8 => call!(mnet_set_send_buffer(fd, size)),
            9 => call!(mnet_set_ttl(fd, small)),
            10 => call!(mnet_set_dscp(fd, small)),
            11 => {
                let manual = self.is_manual(fd);
                let time = if manual { number } else { 1 + time };
                let result = call!(mnet_set_timeout(fd, small % 5, time));
                assert!(!socket.is_open || result != MNET_EBADF.into());
                result
            }
            _ => {
                let result = call!(mnet_set_nonblocking(fd, i32::from(which & 1)));
                assert!(!socket.is_open || result != MNET_EBADF.into());
                result
            }
        };
        refused(socket, result);
    }

    fn ask(&mut self, input: &mut Input<'_>) {
        let socket = self.socket(input);
        let fd = socket.number;
        let size = input.size() % 200;
        let [first, second] = [0; 2].map(|_| Memory::of::<mnet_addr>(input, self.arena()));
        let whole = size_of::<mnet_addr>();
        let result = match input.byte() % 8 {
            0 => {
                let result = call!(mnet_sockname(fd, first.get()));
                first.check("mnet_sockname", result, whole);
                result
            }
            1 => {
                let result = call!(mnet_peername(fd, first.get()));
                first.check("mnet_peername", result, whole);
                result
            }
            2 => {
                let result = call!(mnet_peers(fd, first.get(), second.get()));
                first.check("mnet_peers", result, whole);
                second.check("mnet_peers", result, whole);
                result
            }
            // Both into the same place, or nearly.
            3 => {
                let wide = Memory::room(input, 2 * whole, None);
                let at = wide.get::<u8>();
                let next = if wide.is_null() {
                    at
                } else {
                    at.wrapping_add(usize::from(input.byte() % 20))
                };
                let result = call!(mnet_peers(fd, at.cast(), next.cast()));
                wide.check("mnet_peers", result, 2 * whole);
                result
            }
            4 => {
                let info = Memory::new(input, size, self.arena());
                let result = call!(mnet_tcp_info(fd, info.get(), info.len));
                info.check("mnet_tcp_info", result, size);
                result
            }
            5 => {
                let settings = Memory::new(input, size, self.arena());
                let result = call!(mnet_tcp_settings(fd, settings.get(), settings.len));
                settings.check("mnet_tcp_settings", result, size);
                result
            }
            6 => {
                let result = call!(mnet_index(fd));
                assert!(!socket.is_open || result >= 0);
                result
            }
            _ => {
                let result = call!(mnet_readiness(fd));
                assert!(!socket.is_open || (0..16).contains(&result));
                result
            }
        };
        refused(socket, result);
    }

    /// Waiting for sockets and for the network, and the list of connections.
    fn wait_for(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let time = Self::wait(stack, input);
        let count = input.below(5);
        match input.byte() % 4 {
            0 => {
                let size = size_of::<mnet_pollfd>();
                let mut entries = Memory::new(input, count * size, self.arena());
                let list = (0..count).flat_map(|_| {
                    let fd = self.socket(input).number.to_ne_bytes();
                    let events = (input.number32() % 64).to_ne_bytes();
                    [&fd[..], &events, &[0xee; 4]].concat()
                });
                entries.fill(list.collect::<Vec<_>>());
                let pointer = entries.get();
                let number = if entries.len == count * size {
                    count
                } else {
                    entries.len
                };
                let result = call!(mnet_poll(stack.number, pointer, number, time));
                assert!(result < 0 || (stack.is_open && len(result) <= count));
                assert!(result < 0 || !entries.is_wrong || entries.is_null());
                for at in 0..if entries.is_wrong { 0 } else { count } {
                    let written = entries.read_at::<u32>(at * size + 12);
                    assert_eq!(written == 0xeeee_eeee, result < 0, "revents of all entries");
                }
            }
            1 => {
                let size = size_of::<mnet_event>();
                let events = Memory::new(input, count * size, self.arena());
                let number = if events.len == count * size {
                    count
                } else {
                    events.len
                };
                let result = call!(mnet_events(stack.number, events.get(), number, time));
                events.check("mnet_events", result, len(result) * size);
                assert!(result < 0 || stack.is_open);
            }
            2 => {
                let size = size_of::<mnet_network_event>();
                let events = Memory::new(input, count * size, self.arena());
                let number = if events.len == count * size {
                    count
                } else {
                    events.len
                };
                let pointer = events.get();
                let result = call!(mnet_network_events(stack.number, pointer, number, time));
                events.check("mnet_network_events", result, len(result) * size);
            }
            _ => {
                let size = size_of::<mnet_tcp_entry>();
                let mut cursor = Memory::with(input, 0_u64, None);
                for _ in 0..4 {
                    let entries = Memory::new(input, count * size, self.arena());
                    let number = if entries.len == count * size {
                        count
                    } else {
                        entries.len
                    };
                    let (at, pointer) = (cursor.get(), entries.get());
                    let result = call!(mnet_tcp_list(stack.number, at, pointer, number));
                    entries.check("mnet_tcp_list", result, len(result) * size);
                    if result <= 0 {
                        break;
                    }
                    if input.byte() > 240 {
                        cursor.fill(input.number().to_ne_bytes());
                    }
                }
            }
        }
    }
}
