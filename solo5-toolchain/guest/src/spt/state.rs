//! What the bindings remember from start to end.
//!
//! A unikernel has one thread; atomics with relaxed ordering are plain memory accesses that Rust
//! allows in statics.

use core::sync::atomic::{AtomicI32, AtomicU64};

/// The epoll instance with all network devices and the timer in it.
pub(super) static EPOLL_FD: AtomicI32 = AtomicI32::new(-1);
/// The timer that ends a wait.
pub(super) static TIMER_FD: AtomicI32 = AtomicI32::new(-1);
/// What the timer is set to; 0 for never set.
pub(super) static TIMER_DEADLINE: AtomicU64 = AtomicU64::new(0);
/// The last reading of the monotonic clock. Time is at least this.
pub(super) static LAST_READING: AtomicU64 = AtomicU64::new(0);
