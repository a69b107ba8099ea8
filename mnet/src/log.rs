//! The log of a runtime: what its stack tells a person, handed to whoever wants it.
//!
//! [`Runtime::set_log`] hands each [`LogEvent`] to a function; `Runtime::log_to_crate`, with the feature
//! `log`, to the crate `log`. A [`Filter`] says which: `"tcp=debug,*=warn"`. What there is to be told,
//! and why nobody can flood it, is in [`mnet_core::log`].

use alloc::boxed::Box;
use core::fmt;

use mnet_core::log::Observer;
pub use mnet_core::log::{BadFilter, Filter, Level, LogEvent, LogKind, Module};
use mnet_core::{Instant, Stack};

use crate::platform::Platform;
use crate::runtime::Runtime;

/// Takes the events of a log.
pub type LogSink = Box<dyn FnMut(&LogEvent)>;

/// What a runtime knows of its log, so that a program without one has nothing of this in it.
pub(crate) trait Watch {
    /// Tells what has happened since the last call.
    fn watch(&mut self, stack: &mut Stack, now: Instant);
    /// The same, before a sleep: if it is worth a look.
    fn catch_up(&mut self, stack: &mut Stack, now: Instant);
    /// When there is something to tell, at the latest.
    fn next_timeout(&self) -> Option<Instant>;
    fn set_filter(&mut self, filter: Filter);
    fn filter(&self) -> &Filter;
    fn end(self: Box<Self>, stack: &mut Stack);
}

struct Log {
    observer: Observer,
    sink: LogSink,
}

impl Watch for Log {
    fn watch(&mut self, stack: &mut Stack, now: Instant) {
        self.observer.observe(stack, now);
        while let Some(event) = self.observer.next() {
            (self.sink)(&event);
        }
    }

    fn catch_up(&mut self, stack: &mut Stack, now: Instant) {
        if self.observer.is_behind(stack) {
            self.watch(stack, now);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.observer.next_timeout()
    }

    fn set_filter(&mut self, filter: Filter) {
        self.observer.set_filter(filter);
    }

    fn filter(&self) -> &Filter {
        self.observer.filter()
    }

    fn end(self: Box<Self>, stack: &mut Stack) {
        self.observer.end(stack);
    }
}

/// Why there is no such log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLog;

impl fmt::Display for NoLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no log was begun")
    }
}

impl core::error::Error for NoLog {}

impl<P: Platform> Runtime<P> {
    /// Begins to tell `sink` what the stack's log has, as far as `filter` lets it through; it takes
    /// the place of one that was there. Some 26 KiB are allocated, here and nowhere else.
    ///
    /// `sink` is called by whatever turns the loop, and must not call the runtime. It cannot be flooded:
    /// see [`mnet_core::log`].
    pub fn set_log(&mut self, filter: Filter, sink: LogSink) {
        self.end_log();
        let now = self.now();
        let observer = Observer::new(self.stack_mut(), now, filter);
        self.log = Some(Box::new(Log { observer, sink }));
    }

    /// Ends the log, if there is one.
    pub fn end_log(&mut self) {
        if let Some(log) = self.log.take() {
            log.end(self.stack_mut());
        }
    }

    /// Changes what is told.
    ///
    /// # Errors
    /// [`NoLog`].
    pub fn set_log_filter(&mut self, filter: Filter) -> Result<(), NoLog> {
        self.log.as_mut().ok_or(NoLog)?.set_filter(filter);
        Ok(())
    }

    /// What is told; `None`: there is no log.
    #[must_use]
    pub fn log_filter(&self) -> Option<&Filter> {
        self.log.as_deref().map(Watch::filter)
    }

    /// Hands the log to the crate `log`, with `mnet::tcp` and so on as targets. Two filters apply: this
    /// one, and that of the logger.
    #[cfg(feature = "log")]
    pub fn log_to_crate(&mut self, filter: Filter) {
        self.set_log(filter, Box::new(hand_on));
    }
}

#[cfg(feature = "log")]
fn hand_on(event: &LogEvent) {
    let level = match event.level {
        Level::Error => ::log::Level::Error,
        Level::Warn => ::log::Level::Warn,
        Level::Info => ::log::Level::Info,
        Level::Debug => ::log::Level::Debug,
    };
    let target = match event.module {
        Module::Link => "mnet::link",
        Module::Neighbour => "mnet::neighbour",
        Module::Ip => "mnet::ip",
        Module::Icmp => "mnet::icmp",
        Module::Group => "mnet::group",
        Module::Dhcp => "mnet::dhcp",
        Module::Udp => "mnet::udp",
        Module::Tcp => "mnet::tcp",
    };
    ::log::log!(target: target, level, "{event}");
}
