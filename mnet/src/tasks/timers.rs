//! Waiting for a time.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::rc::Rc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use mnet_core::Instant;
use pin_project_lite::pin_project;

use super::Scheduler;

/// The timers of one runtime, in order of their time; at the same time, in the order of their
/// creation.
#[derive(Default)]
pub(super) struct Timers {
    set: BTreeMap<(Instant, u64), Waker>,
    last_key: u64,
}

impl Timers {
    pub(super) fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// Returns the waker that was there before, to be dropped by the caller.
    pub(super) fn set(&mut self, deadline: Instant, key: u64, waker: &Waker) -> Option<Waker> {
        match self.set.entry((deadline, key)) {
            Entry::Occupied(entry) if entry.get().will_wake(waker) => None,
            Entry::Occupied(mut entry) => Some(entry.insert(waker.clone())),
            Entry::Vacant(entry) => {
                entry.insert(waker.clone());
                None
            }
        }
    }

    pub(super) fn cancel(&mut self, deadline: Instant, key: u64) -> Option<Waker> {
        self.set.remove(&(deadline, key))
    }

    /// Takes the next timer that is due.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Waker> {
        let first = self.set.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next one is due; [`Instant::FAR_FUTURE`] without any.
    pub(super) fn next(&self) -> Instant {
        self.set
            .first_key_value()
            .map_or(Instant::FAR_FUTURE, |((deadline, _), _)| *deadline)
    }
}

/// The future of [`Net::sleep`](crate::Net::sleep) and
/// [`Net::sleep_until`](crate::Net::sleep_until). Dropping it takes the timer back.
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    scheduler: Rc<Scheduler>,
    deadline: Instant,
    /// The timer, once it is set.
    key: Option<u64>,
}

impl Sleep {
    pub(super) fn new(scheduler: Rc<Scheduler>, deadline: Instant) -> Self {
        Self {
            scheduler,
            deadline,
            key: None,
        }
    }

    /// When it ends.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    fn take_back(&mut self) {
        if let Some(key) = self.key.take() {
            self.scheduler.cancel_timer(self.deadline, key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sleep").field(&self.deadline).finish()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.scheduler.now() >= self.deadline {
            self.take_back();
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| self.scheduler.new_timer());
        self.key = Some(key);
        self.scheduler.set_timer(self.deadline, key, cx.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// The time of a [`Net::timeout`](crate::Net::timeout) is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

impl core::error::Error for Elapsed {}

pin_project! {
    /// The future of [`Net::timeout`](crate::Net::timeout).
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Timeout<F> {
        sleep: Sleep,
        #[pin]
        future: F,
    }
}

impl<F> Timeout<F> {
    pub(super) fn new(sleep: Sleep, future: F) -> Self {
        Self { sleep, future }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// What is done at the last moment counts.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}
