//! The tasks of one runtime: those that exist, those that are ready, and what the others wait for.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use async_task::{Runnable, Task};
use concurrent_queue::ConcurrentQueue;
use mnet_core::{Event, Instant, SocketId};
use pin_project_lite::pin_project;
use slab::Slab;

use super::timers::Timers;
use super::waiters::{Direction, Ticket, Waiters};

/// Most tasks that run before the network has its turn: as many as frames are taken in at once.
const TASKS_PER_TURN: usize = 64;

/// The tasks that exist, each with its waker: who wakes and drops them all has no task left.
type Living = RefCell<Slab<Waker>>;

pub(crate) struct Scheduler {
    /// Wakers are `Send` by their type, so this queue has to be one between threads.
    ready: Arc<ConcurrentQueue<Runnable>>,
    living: Rc<Living>,
    /// The clock, as the loop has read it last.
    now: Cell<Instant>,
    timers: RefCell<Timers>,
    waiters: RefCell<Waiters>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

impl Scheduler {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            ready: Arc::new(ConcurrentQueue::unbounded()),
            living: Rc::default(),
            now: Cell::new(now),
            timers: RefCell::default(),
            waiters: RefCell::default(),
        }
    }

    pub(super) fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let mut living = self.living.borrow_mut();
        let entry = living.vacant_entry();
        let future = Listed {
            future,
            registration: Registration {
                living: Rc::clone(&self.living),
                key: entry.key(),
            },
        };
        let ready = Arc::clone(&self.ready);
        let schedule = move |runnable| {
            // It has no bound and is never closed.
            let _ = ready.push(runnable);
        };
        // SAFETY: the future may stay on this thread for its whole life, so a `Runnable` must be
        // run and dropped here. Other threads get wakers only, which put it into the queue; it is
        // taken out by `run_some` and `cancel_all`, and `self` is not `Send`. The queue can outlive
        // `self`, but no future does: `drop` waits until the last is gone. The future is 'static,
        // and `schedule` is 'static, `Send` and `Sync`.
        let (runnable, task) = unsafe { async_task::spawn_unchecked(future, schedule) };
        entry.insert(runnable.waker());
        drop(living);
        runnable.schedule();
        task
    }

    /// Whether a task is ready.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Runs the tasks that are ready now, each once, [`TASKS_PER_TURN`] at most.
    pub(super) fn run_some(&self) {
        for _ in 0..self.ready.len().min(TASKS_PER_TURN) {
            let Ok(runnable) = self.ready.pop() else {
                return;
            };
            runnable.run();
        }
    }

    /// Cancels all tasks but those that are just running, if it is called by one.
    pub(super) fn cancel_all(&self) {
        let wakers: Vec<Waker> = self
            .living
            .borrow()
            .iter()
            .map(|(_, w)| w.clone())
            .collect();
        // A waker puts a task that waits into the queue, and a task that is dropped there ends.
        wakers.iter().for_each(Waker::wake_by_ref);
        while let Ok(runnable) = self.ready.pop() {
            drop(runnable);
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    /// The clock was read: wakes those whose time has come.
    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
        while let Some(waker) = self.expired() {
            waker.wake();
        }
    }

    fn expired(&self) -> Option<Waker> {
        self.timers.borrow_mut().expire(self.now.get())
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Instant {
        self.timers.borrow().next()
    }

    /// Sets, or sets again, the timer `key` for `deadline`.
    pub(super) fn set_timer(&self, deadline: Instant, key: u64, waker: &Waker) {
        // What is replaced is dropped when nothing is borrowed any more: that may run others' code.
        let _replaced = self.timers.borrow_mut().set(deadline, key, waker);
    }

    pub(super) fn new_timer(&self) -> u64 {
        self.timers.borrow_mut().new_key()
    }

    pub(super) fn cancel_timer(&self, deadline: Instant, key: u64) {
        let _cancelled = self.timers.borrow_mut().cancel(deadline, key);
    }

    /// Wakes those who wait for what has happened to a socket.
    pub(super) fn wake(&self, event: Event) {
        for direction in Direction::BOTH {
            if direction.is_concerned(event.readiness) {
                let woken = self.waiters.borrow_mut().take(event.socket, direction);
                woken.wake();
            }
        }
    }

    /// Notes that `waker` waits for a socket. With the ticket of an earlier call, in its place.
    pub(crate) fn wait(
        &self,
        socket: SocketId,
        direction: Direction,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) {
        let _replaced = self
            .waiters
            .borrow_mut()
            .wait(socket, direction, ticket, waker);
    }

    /// Who has this ticket waits no more.
    pub(crate) fn leave(&self, socket: SocketId, direction: Direction, ticket: Ticket) {
        let _left = self.waiters.borrow_mut().leave(socket, direction, ticket);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Nothing of it is running, or somebody would have a handle on the runtime. With wakers on
        // other threads, one may be about to put its task into the queue: the only case in which
        // one round is not enough.
        while !self.living.borrow().is_empty() {
            self.cancel_all();
            core::hint::spin_loop();
        }
    }
}

pin_project! {
    /// The future of a task, which is on the list of those that live for as long as it does.
    struct Listed<F> {
        #[pin]
        future: F,
        registration: Registration,
    }
}

impl<F: Future> Future for Listed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

struct Registration {
    living: Rc<Living>,
    key: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _waker = self.living.borrow_mut().try_remove(self.key);
    }
}
