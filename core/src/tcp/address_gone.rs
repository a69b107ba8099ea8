//! What happens to TCP when one of our addresses goes.

use super::Tcp;
use super::state::{Failure, TcbFlags};
use crate::context::Context;
use crate::demux::Address;
use core::net::IpAddr;

impl Tcp {
    /// An address is not ours any more: its connections fail, without a word to their peers, for
    /// there is no address to say it from. Listeners stay, for it may come back. One pass over the
    /// tables.
    #[cold]
    pub(crate) fn address_gone(&mut self, cx: &mut Context<'_>, address: IpAddr) {
        let address = Address::from(address);
        for index in places(self.connections.places()) {
            if let Some(tcb) = self.connections.get_mut(index)
                && tcb.key.local == address
                && tcb.flags.contains(TcbFlags::IN_DEMUX)
            {
                cx.counters.tcp_address_gone += 1;
                tcb.fail(Failure::AddressGone);
                self.settle(cx, index);
            }
        }
        for place in places(self.half_open.places()) {
            if self
                .half_open
                .get(place)
                .is_some_and(|h| h.key.local == address)
            {
                self.forget_half_open(place);
            }
        }
        for index in places(self.time_wait.entries.places()) {
            let entry = self.time_wait.entries.get(index);
            if entry.is_some_and(|entry| entry.key.local == address) {
                self.end_time_wait(index);
            }
        }
    }
}

fn places(count: usize) -> core::ops::Range<u32> {
    0..u32::try_from(count).unwrap_or(u32::MAX)
}
