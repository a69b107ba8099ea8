//! The user of one side of a connection: sends a stream and checks the one that it receives.

use super::random::Random;
use super::{pattern, pattern_at};
use mnet_core::error::{RecvError, SendError};
use mnet_core::{Instant, SocketId, Stack};

/// What a user has sent and received.
#[derive(Debug)]
pub struct User {
    pub id: SocketId,
    pub to_send: usize,
    pub sent: usize,
    pub received: usize,
    /// Bytes that the peer sends.
    pub expected: usize,
    pub shut_down: bool,
    pub ended: bool,
    write_size: usize,
    read_size: usize,
    zero_copy: bool,
}

impl User {
    /// A user with habits of its own.
    pub fn new(id: SocketId, to_send: usize, expected: usize, random: &mut Random) -> Self {
        Self {
            id,
            to_send,
            sent: 0,
            received: 0,
            expected,
            shut_down: false,
            ended: false,
            // One byte at a time is for short streams only: the test shall end soon.
            write_size: random
                .pick(&[1, 17, 500, 1448, 4_000, 60_000])
                .max(to_send / 500)
                .max(1),
            read_size: random.pick(&[1, 100, 1_500, 100_000]).max(expected / 500),
            zero_copy: random.per_mille(300),
        }
    }

    /// Writes and reads once; `false` when neither was possible.
    pub fn act(&mut self, stack: &mut Stack, now: Instant, lazy_read: bool) -> bool {
        let mut acted = false;
        if self.sent < self.to_send {
            let len = self.write_size.min(self.to_send - self.sent);
            match stack.tcp_send(now, self.id, &pattern_at(self.sent, len)) {
                Ok(taken) => {
                    assert!(taken > 0 && taken <= len);
                    self.sent += taken;
                    acted = true;
                }
                Err(SendError::WouldBlock) => {}
                Err(error) => panic!("send: {error}"),
            }
        } else if !self.shut_down {
            stack.tcp_shutdown(now, self.id).expect("shutdown");
            self.shut_down = true;
            acted = true;
        }
        if !self.ended && !lazy_read {
            acted |= self.read(stack, now);
        }
        acted
    }

    fn read(&mut self, stack: &mut Stack, now: Instant) -> bool {
        let mut buf = vec![0; self.read_size];
        let result = if self.zero_copy {
            let slice = stack.tcp_recv_slice(self.id).map(<[u8]>::to_vec);
            slice.map(|mut slice| {
                slice.truncate(self.read_size);
                stack
                    .tcp_consume(now, self.id, slice.len())
                    .expect("consume");
                buf[..slice.len()].copy_from_slice(&slice);
                slice.len()
            })
        } else {
            stack.tcp_recv(now, self.id, &mut buf)
        };
        match result {
            Ok(0) => {
                assert_eq!(
                    self.received, self.expected,
                    "the stream's end is where it belongs"
                );
                self.ended = true;
                true
            }
            Ok(len) => {
                for (i, byte) in buf[..len].iter().enumerate() {
                    assert_eq!(
                        *byte,
                        pattern(self.received + i),
                        "at offset {}",
                        self.received + i
                    );
                }
                self.received += len;
                true
            }
            Err(RecvError::WouldBlock) => false,
            Err(error) => panic!("recv: {error}"),
        }
    }

    pub fn done(&self) -> bool {
        self.shut_down && self.ended
    }
}
