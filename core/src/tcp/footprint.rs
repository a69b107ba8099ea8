//! What an entry of TCP's tables takes in all of them together: from this, the limits of a stack
//! follow (`config`).

use super::half_open::HalfOpen;
use super::list::IndexList;
use super::listener::Listener;
use super::slab::Slab;
use super::state::Tcb;
use super::time_wait::TimeWait;
use crate::demux::Demux;
use crate::timer_wheel::TimerWheel;

/// A connection: control block, demultiplexer, timing wheel, and the lists of those that have
/// something to send, to report, wait for memory, or have lost their user. Its data is not in here:
/// an idle one has none.
pub(crate) const CONNECTION_BYTES: usize = Slab::<Tcb>::PLACE_BYTES
    + Demux::ENTRY_BYTES
    + TimerWheel::ENTRY_BYTES
    + 4 * IndexList::LINK_BYTES;

/// A half-open connection: also in the demultiplexer, the wheel, the list of what to send, and that
/// of its listener.
pub(crate) const HALF_OPEN_BYTES: usize = Slab::<HalfOpen>::PLACE_BYTES
    + Demux::ENTRY_BYTES
    + TimerWheel::ENTRY_BYTES
    + 2 * IndexList::LINK_BYTES;

/// A connection in TIME-WAIT: in the demultiplexer, and in the queue in which all of them end.
pub(crate) const TIME_WAIT_BYTES: usize =
    Slab::<TimeWait>::PLACE_BYTES + Demux::ENTRY_BYTES + IndexList::LINK_BYTES;

/// A listener: in the demultiplexer and in the list of events.
pub(crate) const LISTENER_BYTES: usize =
    Slab::<Listener>::PLACE_BYTES + Demux::ENTRY_BYTES + IndexList::LINK_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    /// The aims are 512, 96 and 96 bytes; these are what is reached.
    #[test]
    fn entries_stay_small() {
        std::println!(
            "connection {CONNECTION_BYTES}, half-open {HALF_OPEN_BYTES}, \
             TIME-WAIT {TIME_WAIT_BYTES}, listener {LISTENER_BYTES} bytes"
        );
        const {
            assert!(CONNECTION_BYTES <= 616);
            assert!(HALF_OPEN_BYTES <= 152);
            assert!(TIME_WAIT_BYTES <= 128);
        }
    }
}
