//! Two stacks and the cable between them, and calls on their sockets.

use std::ptr;

use super::fibers::SIZE;
use super::{EchoServer, Memory, World, address, config, manual_config, name, open};
use mnet_ffi::*;

/// A stack on the device, and an echo server at 10.0.0.2:7 on the other end of the cable.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) stack: mnet_stack,
    pub(crate) server: mnet_stack,
    /// Outlives both stacks.
    pub(crate) memory: [Memory; 2],
}

impl Pair {
    /// With these flags of `mnet_config`.
    pub(crate) fn new(flags: u32) -> Self {
        Self::with(|config| config.flags = flags)
    }

    /// With another configuration.
    pub(crate) fn with(change: impl FnOnce(&mut mnet_config)) -> Self {
        Self::of(change, |_| {})
    }

    /// With other configurations of both stacks.
    pub(crate) fn of(
        change: impl FnOnce(&mut mnet_config),
        change_server: impl FnOnce(&mut mnet_config),
    ) -> Self {
        Self::build([2 << 20; 2], change, change_server)
    }

    /// With memory for so many fibers.
    pub(crate) fn with_fibers(flags: u32, fibers: usize) -> Self {
        let change = |config: &mut mnet_config| {
            config.flags = flags;
            config.fiber_memory = fibers * SIZE;
        };
        Self::build([(4 << 20) + fibers * SIZE, 4 << 20], change, |_| {})
    }

    fn build(
        sizes: [usize; 2],
        change: impl FnOnce(&mut mnet_config),
        change_server: impl FnOnce(&mut mnet_config),
    ) -> Self {
        let world = World::new();
        let mut memory = sizes.map(Memory::new);
        let mut server_config = manual_config(&mut memory[1], 2);
        change_server(&mut server_config);
        let server = open(&server_config);
        let mut echo = EchoServer::new(server, 2);
        world.peer(move |now| echo.turn(now));
        let mut config = config(&mut memory[0], 1);
        change(&mut config);
        Self {
            world,
            stack: open(&config),
            server,
            memory,
        }
    }

    pub(crate) fn connect(&self) -> mnet_fd {
        let fd = self.connect_with(0);
        assert!(fd > 0, "{}", name(fd));
        fd
    }

    /// With these flags of `mnet_connect`; what it returned.
    pub(crate) fn connect_with(&self, flags: i32) -> mnet_fd {
        let remote = address("10.0.0.2:7");
        unsafe { mnet_connect(self.stack, &raw const remote, ptr::null(), flags) }
    }

    /// A UDP socket with this local address.
    pub(crate) fn udp(&self, local: &str) -> mnet_fd {
        let local = address(local);
        let fd = unsafe { mnet_udp_bind(self.stack, &raw const local) };
        assert!(fd > 0, "{}", name(fd));
        fd
    }

    /// From now on nobody is at the other end.
    pub(crate) fn unplug(&self) {
        self.world.peer(|_| u64::MAX);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.unplug();
        if !std::thread::panicking() {
            assert_eq!(name(mnet_cancel_all(self.stack, -1).into()), "0");
            assert_eq!(
                (mnet_close_stack(self.stack), mnet_close_stack(self.server)),
                (0, 0)
            );
        }
    }
}

pub(crate) fn write(fd: mnet_fd, data: &[u8]) -> i64 {
    unsafe { mnet_write(fd, data.as_ptr().cast(), data.len()) }
}

pub(crate) fn read(fd: mnet_fd, buffer: &mut [u8]) -> i64 {
    unsafe { mnet_read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

/// Sends `data` and reads as much; what came back.
pub(crate) fn exchange(fd: mnet_fd, data: &[u8]) -> Vec<u8> {
    assert_eq!(usize::try_from(write(fd, data)), Ok(data.len()));
    let mut back = Vec::new();
    let mut buffer = [0; 512];
    while back.len() < data.len() {
        let len = read(fd, &mut buffer);
        assert!(len > 0, "{}", name(len));
        back.extend(buffer.iter().take(usize::try_from(len).unwrap()));
    }
    back
}

/// Bytes that are never the same at two places for long.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0_u32..)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .take(len)
        .collect()
}

pub(crate) fn usage(stack: mnet_stack) -> mnet_usage {
    let mut usage = mnet_usage::default();
    let size = size_of::<mnet_usage>();
    assert_eq!(unsafe { mnet_usage(stack, &raw mut usage, size) }, 0);
    usage
}
