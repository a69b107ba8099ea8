//! Waiting until a call that does not wait has something to say.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use mnet_core::SocketId;

use crate::net::Net;
use crate::platform::Platform;
use crate::tasks::{Direction, Ticket};

/// Tries again whenever the readiness of a socket has grown, until `attempt` gives something.
///
/// Nothing happens between the last attempt and its result, so who drops this before it is done
/// has changed nothing that a failed attempt does not change.
pub(super) struct Attempts<'a, P: Platform, F> {
    net: &'a Net<P>,
    socket: SocketId,
    direction: Direction,
    ticket: Option<Ticket>,
    attempt: F,
}

/// See [`Attempts`].
pub(super) fn attempts<P: Platform, T, F: FnMut() -> Option<T> + Unpin>(
    net: &Net<P>,
    socket: SocketId,
    direction: Direction,
    attempt: F,
) -> Attempts<'_, P, F> {
    Attempts {
        net,
        socket,
        direction,
        ticket: None,
        attempt,
    }
}

impl<P: Platform, T, F: FnMut() -> Option<T> + Unpin> Future for Attempts<'_, P, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self {
            net,
            socket,
            direction,
            ticket,
            attempt,
        } = &mut *self;
        match attempt() {
            Some(result) => Poll::Ready(result),
            None => {
                net.scheduler()
                    .wait(*socket, *direction, ticket, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl<P: Platform, F> Drop for Attempts<'_, P, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.net
                .scheduler()
                .leave(self.socket, self.direction, ticket);
        }
    }
}
