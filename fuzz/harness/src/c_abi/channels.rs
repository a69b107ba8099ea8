//! Calls on channels, and on fibers that there are not. A fiber itself has a stack of its own, which is no
//! place for a sanitizer: none is started here.

use std::ptr;

use mnet_ffi::*;

use super::call;
use super::memory::{Input, Memory};
use super::world::World;

/// Largest item of a channel.
const MAX_ITEM: usize = 300;

impl World {
    /// A channel as an argument: open, closed, or invented.
    fn channel(&self, input: &mut Input<'_>) -> mnet_channel {
        let how = input.byte();
        match how / 32 {
            0..=6 if !self.channels.is_empty() => {
                self.channels[usize::from(how) % self.channels.len()].0
            }
            7 => i64::from_le_bytes(input.bytes()),
            _ => i64::from(how & 1) - 1,
        }
    }

    pub(super) fn channels(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 | 1 => self.open_channel(input),
            2 => {
                let channel = self.channel(input);
                let mut item = Memory::room(input, MAX_ITEM, self.arena());
                item.fill(std::iter::repeat(5));
                let time = Self::limited(input);
                call!(mnet_channel_send(channel, item.void(), time));
            }
            3 => {
                let channel = self.channel(input);
                let item = Memory::room(input, MAX_ITEM, self.arena());
                let time = Self::limited(input);
                let result = call!(mnet_channel_receive(channel, item.void(), time));
                item.check("mnet_channel_receive", result, MAX_ITEM);
            }
            4 => {
                let channel = self.channel(input);
                let count = call!(mnet_channel_count(channel));
                assert!(count <= 64, "more than there is room for");
            }
            5 => {
                let channel = self.channel(input);
                call!(mnet_channel_finish(channel));
            }
            6 => {
                let channel = self.channel(input);
                let open = channel > 0 && call!(mnet_channel_count(channel)) >= 0;
                let result = call!(mnet_channel_close(channel));
                assert_eq!(result == 0, open || channel <= 0);
            }
            _ => self.no_fiber(input),
        }
    }

    fn open_channel(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let item = match input.byte() {
            0..=239 => input.size() % (MAX_ITEM + 1),
            _ => usize::MAX / (1 + input.below(8)),
        };
        let capacity = match input.byte() {
            0..=239 => input.size() % 65,
            _ => usize::MAX / (1 + input.below(8)),
        };
        let needed = item
            .saturating_mul(capacity)
            .saturating_add(MNET_CHANNEL_OVERHEAD);
        let size = if input.byte() < 200 {
            needed
        } else {
            input.size()
        };
        let memory = Memory::new(input, size.min(32_000), self.arena());
        let (pointer, len) = (memory.void(), memory.len);
        let channel = call!(mnet_channel_open(
            stack.number,
            item,
            capacity,
            pointer,
            len
        ));
        assert!(channel < 0 || (stack.is_open && capacity > 0 && !memory.is_wrong));
        if channel > 0 {
            assert!(self.channels.iter().all(|(other, _)| *other != channel));
            // Its memory until it is closed.
            self.channels.push((channel, memory));
        }
    }

    /// What a call of no fiber, or about none, is told.
    fn no_fiber(&mut self, input: &mut Input<'_>) {
        let fiber = i64::from_le_bytes(input.bytes());
        let result = Memory::of::<*mut std::ffi::c_void>(input, self.arena());
        let (stack, _) = self.stack(input);
        match input.byte() % 8 {
            0 => {
                let time = Self::limited(input);
                let joined = call!(mnet_join(fiber, result.get(), time));
                result.check("mnet_join", joined, 8);
                assert!(joined < 0);
            }
            1 => assert!(call!(mnet_detach(fiber)) < 0 || fiber <= 0),
            2 => assert!(call!(mnet_cancel(fiber)) < 0 || fiber <= 0),
            3 => {
                let time = Self::limited(input);
                call!(mnet_cancel_all(stack.number, time));
            }
            4 => {
                call!(mnet_canceled());
            }
            5 => assert!(call!(mnet_self()) <= 0),
            6 => {
                call!(mnet_cleanup_pop(i32::from(input.byte() & 1)));
            }
            _ => {
                // Nothing of this is a stack for a fiber.
                let memory = Memory::new(input, 512, self.arena());
                let (pointer, len) = (
                    memory.void(),
                    if memory.is_wrong { memory.len } else { 512 },
                );
                let none = ptr::null_mut();
                let fiber = call!(mnet_spawn(stack.number, None, none, pointer, len));
                assert!(fiber < 0);
            }
        }
    }

    fn limited(input: &mut Input<'_>) -> i64 {
        (input.number() % 10_000_000_000).cast_signed()
    }
}
