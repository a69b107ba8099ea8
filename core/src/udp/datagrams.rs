//! Datagrams as they lie in the queue of a socket: a frame, and those that go on with it where it came
//! in fragments. What their headers say, and copies of them for several sockets.

use super::sockets::Received;
use crate::pool::{Frame, FramePool, FrameQueue};
use crate::wire::{ipv4, ipv6};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Takes the frames that go on with a datagram from the front of its queue.
pub(super) fn rest_of(pool: &mut FramePool, frame: &Frame, queue: &mut FrameQueue) -> FrameQueue {
    match pool.descriptor(frame).seq {
        0 => FrameQueue::default(),
        frames => queue.split_front(pool, frames as usize),
    }
}

/// What the headers of a datagram in a queue say.
pub(super) fn received(pool: &FramePool, index: u32) -> Received {
    let descriptor = pool.descriptor_at(index);
    let packet = pool.buffer_at(index).get(usize::from(descriptor.sum)..);
    let packet = packet.unwrap_or_default();
    let (source, destination, hop_limit, traffic_class) = match ipv6::parse_quoted(packet) {
        Ok(header) => (
            header.source().into(),
            header.destination().into(),
            header.hop_limit,
            header.traffic_class(),
        ),
        Err(_) => match ipv4::parse_quoted(packet) {
            Ok((header, _)) => (
                header.source().into(),
                header.destination().into(),
                header.time_to_live,
                header.traffic_class,
            ),
            Err(_) => (NOBODY, NOBODY, 0, 0),
        },
    };
    let mut len = usize::from(descriptor.len);
    let mut at = index;
    for _ in 0..descriptor.seq {
        at = pool.next_in_queue(at).unwrap_or(at);
        len += usize::from(pool.descriptor_at(at).len);
    }
    Received {
        len,
        remote: SocketAddr::new(source, descriptor.flags),
        interface: u8::try_from(descriptor.link).unwrap_or(u8::MAX),
        destination,
        hop_limit,
        traffic_class,
    }
}

/// Stands for the addresses of a packet that has none; IP has seen to it that there is no such one.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Who has sent a datagram in a queue.
pub(super) fn sender_of(pool: &FramePool, index: u32) -> (IpAddr, u16) {
    let remote = received(pool, index).remote;
    (remote.ip(), remote.port())
}

/// A copy of a datagram with its headers, unless the pool runs low.
pub(super) fn copy_of(pool: &mut FramePool, index: u32, reserved: usize) -> Option<Frame> {
    if pool.free_frames() <= reserved {
        return None;
    }
    let copy = pool.allocate()?;
    let descriptor = *pool.descriptor_at(index);
    let (from, to) = (descriptor.sum, descriptor.start + descriptor.len);
    pool.copy_range(
        index,
        usize::from(from)..usize::from(to),
        &copy,
        usize::from(from),
    );
    *pool.descriptor_mut(&copy) = descriptor;
    Some(copy)
}

/// The same for a datagram with the frames that go on with it.
pub(super) fn copy_of_all(
    pool: &mut FramePool,
    frame: &Frame,
    rest: &FrameQueue,
    reserved: usize,
) -> Option<(Frame, FrameQueue)> {
    let first = copy_of(pool, frame.index(), reserved)?;
    let mut copies = FrameQueue::default();
    let mut at = rest.first();
    while let Some(index) = at {
        let Some(copy) = copy_of(pool, index, reserved) else {
            pool.free(first);
            copies.clear(pool);
            return None;
        };
        copies.push_back(pool, copy);
        at = pool.next_in_queue(index);
    }
    Some((first, copies))
}
