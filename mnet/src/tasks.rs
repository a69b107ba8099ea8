//! Tasks: futures that take turns on one thread, and wait for sockets and for time.
//!
//! ```
//! # use mnet::{Net, Platform, aio::TcpListener};
//! # async fn serve<P: Platform + 'static>(net: Net<P>) -> Result<(), Box<dyn core::error::Error>> {
//! let listener = TcpListener::bind(&net, "10.0.0.2:7".parse()?, 16)?;
//! loop {
//!     let stream = listener.accept().await?;
//!     let client = async move {
//!         let mut buffer = [0; 1024];
//!         while let Ok(len @ 1..) = stream.read(&mut buffer).await {
//!             if stream.write_all(&buffer[..len]).await.is_err() {
//!                 break;
//!             }
//!         }
//!     };
//!     net.spawn(client).detach();
//! }
//! # }
//! ```
//!
//! Tasks run inside [`Net::block_on`] and [`Net::run`]; those are the event loop:
//!
//! 1. run tasks that are ready, each once, at most 64;
//! 2. send what they have queued;
//! 3. take in a batch of frames; if no task is ready and there are none, sleep until there are or
//!    a timer is due;
//! 4. wake the tasks that wait for what came.
//!
//! So neither side can starve the other: a task that is always ready still lets frames in, and
//! under a flood of frames each batch is followed by the tasks. Inside one poll of a task nothing
//! else happens: what computes for long calls [`yield_now`] now and then.
//!
//! A frame costs what the sockets that it changes cost, however many others there are: each
//! socket has a place for those who wait for it. Timers are kept in order of their time.
//!
//! # Handles
//!
//! [`Net::spawn`] gives a [`Task`]. It is a future: awaiting it gives what the task's future gave.
//! **Dropping it cancels the task**: its future is dropped before it would run again. So a task
//! does not outlive the one that wants its result, unless [`Task::detach`] says that it shall.
//! [`Task::cancel`] also waits until the future was dropped. Awaiting a task that [`Net::run`] has
//! ended panics.
//!
//! # Combinators and threads
//!
//! Everything here is an ordinary [`Future`]: `select` and `join` of embassy-futures, futures-lite
//! and futures-util work. Sockets, timers and tasks belong to one thread. A waker may be used from
//! another one, where there are threads, but does not end a sleep: the task runs when a frame or a
//! timer does.

mod scheduler;
mod timers;
mod waiters;

pub use async_task::Task;
pub use timers::{Elapsed, Sleep, Timeout};

pub(crate) use scheduler::Scheduler;
pub(crate) use waiters::{Direction, Ticket};

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use mnet_core::Instant;

use crate::net::Net;
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Starts a task. It runs inside [`Net::block_on`] and [`Net::run`], beside the others.
    ///
    /// Dropping what this returns cancels the task; [`Task::detach`] lets it go on by itself.
    #[must_use = "dropping the handle cancels the task: detach it, await it or keep it"]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.scheduler().spawn(future)
    }

    /// Runs the tasks and the network until `future` is done. The tasks that are left then go on
    /// with the next call of this or of [`Net::run`].
    ///
    /// What was queued for sending has been sent on return. A call of this inside a task runs the
    /// other tasks meanwhile.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            if woken.0.swap(false, Ordering::Acquire)
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.flush();
                return output;
            }
            self.scheduler().run_some();
            // What leaves makes room, and who waits for room must not be slept over.
            self.flush();
            self.wake_by_events();
            let busy = woken.0.load(Ordering::Relaxed) || self.scheduler().has_ready();
            self.turn_for_tasks(busy);
        }
    }

    /// [`Net::block_on`] for a whole program: when `future` is done, all tasks are cancelled and
    /// their sockets are closed.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let output = self.block_on(future);
        self.scheduler().cancel_all();
        self.flush();
        output
    }

    /// [`Net::step`] with tasks, for the owner of another event loop: does what is due at `now` and
    /// runs tasks that are ready, each once, at most 64. Never sleeps.
    ///
    /// Returns when it wants to be called again at the latest: `now` if tasks are still ready;
    /// `None`: only for a frame or a command.
    pub fn step_tasks(&self, now: Instant) -> Option<Instant> {
        self.step(now);
        self.scheduler().set_now(now);
        self.wake_by_events();
        self.scheduler().run_some();
        self.flush();
        self.wake_by_events();
        if self.scheduler().has_ready() {
            return Some(now);
        }
        let of_stack = self.with(|runtime| runtime.next_timeout());
        let next = of_stack
            .unwrap_or(Instant::FAR_FUTURE)
            .min(self.scheduler().next_timer());
        (next < Instant::FAR_FUTURE).then_some(next)
    }

    /// One turn of the loop: does not sleep if a task is `busy`.
    fn turn_for_tasks(&self, busy: bool) {
        let until = if busy {
            Instant::ZERO
        } else {
            self.scheduler().next_timer()
        };
        let now = self.with(|runtime| {
            runtime.turn(until);
            runtime.now()
        });
        self.scheduler().set_now(now);
        self.wake_by_events();
    }

    /// Wakes those who wait for the sockets that something happened to.
    fn wake_by_events(&self) {
        while let Some(event) = self.with(|runtime| runtime.stack_mut().poll_event()) {
            self.scheduler().wake(event);
        }
    }

    /// Waits for `duration`, at least.
    #[must_use = "a future does nothing until it is awaited"]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Waits until the clock says `deadline`. Does not read the clock: a task that acts at a steady
    /// pace adds to the last deadline.
    #[must_use = "a future does nothing until it is awaited"]
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(Rc::clone(self.scheduler()), deadline)
    }

    /// Runs `future` for `duration` at most. It is dropped at the end of that time; what this means
    /// for a socket's method is said there.
    pub fn timeout<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        Timeout::new(self.sleep(duration), future)
    }
}

/// Wakes the future that [`Net::block_on`] was given.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Lets the other tasks that are ready run, and frames in.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
