//! Where an upload finds the connection that its archive goes to.
//!
//! A browser reads no answer before it has sent its whole request, so an archive that is larger than
//! what the network holds cannot be the answer to the upload. Its page asks for the archive in a
//! second request, with a word that is in the upload's path as well: that connection waits here.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// Who waits, one for each word.
pub(crate) struct Meeting<T> {
    waiting: RefCell<Vec<(String, T)>>,
    /// Uploads that look for somebody.
    looking: RefCell<Vec<Waker>>,
    limit: usize,
}

impl<T> Meeting<T> {
    /// A place for `limit` who wait.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            waiting: RefCell::default(),
            looking: RefCell::default(),
            limit,
        }
    }

    /// Waits under this word until somebody [`meet`](Meeting::meet)s it.
    ///
    /// # Errors
    /// Gives back who cannot wait: there is no place, or somebody waits under this word.
    pub(crate) fn wait(&self, word: &str, who: T) -> Result<(), T> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() == self.limit || waiting.iter().any(|(other, _)| other == word) {
            return Err(who);
        }
        waiting.push((word.into(), who));
        for waker in self.looking.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Takes the one who waits under this word away, if there is one.
    pub(crate) fn take(&self, word: &str) -> Option<T> {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.iter().position(|(other, _)| other == word)?;
        Some(waiting.swap_remove(place).1)
    }

    /// Waits until somebody waits under this word.
    pub(crate) async fn meet(&self, word: &str) -> T {
        poll_fn(|context| match self.take(word) {
            Some(who) => Poll::Ready(who),
            None => {
                // There are as many as there are uploads; each is woken, and looks again.
                self.looking.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
