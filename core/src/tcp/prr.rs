//! Proportional rate reduction (RFC 9937): during recovery, what is sent follows what arrives, so
//! that the flight shrinks to ssthresh smoothly.

/// The variables of RFC 9937 §6.1, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prr {
    /// prr_delivered: what has arrived since recovery started.
    delivered: u32,
    /// prr_out: what was sent since then.
    out: u32,
    /// RecoverFS: what was on its way then.
    recover_flight: u32,
}

impl Prr {
    /// Recovery starts. `flight` is SND.NXT - SND.UNA without what was `SACKED` before, and with
    /// what the starting acknowledgement has delivered.
    pub(super) fn new(flight: u32) -> Self {
        Self {
            delivered: 0,
            out: 0,
            recover_flight: flight.max(1),
        }
    }

    /// Something was sent.
    pub(super) fn sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }

    /// An acknowledgement has delivered `delivered` bytes, with `pipe` bytes in flight; returns the
    /// congestion window (§6.2). `safe`: SND.UNA has moved and no further loss was found.
    pub(super) fn on_ack(
        &mut self,
        delivered: u32,
        pipe: u32,
        ssthresh: u32,
        safe: bool,
        smss: u32,
    ) -> Option<u32> {
        if delivered == 0 {
            return None;
        }
        self.delivered = self.delivered.saturating_add(delivered);
        let mut send = if pipe > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let due = share.div_ceil(u64::from(self.recover_flight));
            u32::try_from(due)
                .unwrap_or(u32::MAX)
                .saturating_sub(self.out)
        } else {
            // PRR-CRB, and PRR-SSRB while recovery makes good progress.
            let mut send = self.delivered.saturating_sub(self.out).max(delivered);
            if safe {
                send = send.saturating_add(smss);
            }
            send.min(ssthresh - pipe)
        };
        if self.out == 0 && send == 0 {
            // The fast retransmit.
            send = smss;
        }
        Some(pipe.saturating_add(send))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1_000;

    /// The example of RFC 9937 §7: 20 segments in flight, the first is lost, ssthresh is 10. One
    /// segment goes for every two that arrive.
    #[test]
    fn the_flight_shrinks_to_ssthresh_while_data_arrives() {
        let mut prr = Prr::new(20 * SMSS);
        let mut pipe = 19 * SMSS;
        let mut sent = 0;
        for _ in 0..19 {
            pipe -= SMSS;
            let window = prr.on_ack(SMSS, pipe, 10 * SMSS, false, SMSS).unwrap();
            while window >= pipe + SMSS {
                prr.sent(SMSS);
                pipe += SMSS;
                sent += 1;
            }
        }
        assert_eq!((sent, pipe), (10, 10 * SMSS));
    }

    #[test]
    fn after_heavy_loss_it_sends_what_arrives_and_more_when_that_is_safe() {
        let mut prr = Prr::new(20 * SMSS);
        prr.sent(SMSS);
        // Only four segments are left in flight.
        assert_eq!(prr.on_ack(SMSS, 4_000, 10_000, false, SMSS), Some(5_000));
        assert_eq!(prr.on_ack(SMSS, 4_000, 10_000, true, SMSS), Some(6_000));
        // Never beyond ssthresh.
        assert_eq!(prr.on_ack(SMSS, 9_500, 10_000, true, SMSS), Some(10_000));
    }

    #[test]
    fn the_first_loss_is_repaired_at_once_and_nothing_new_changes_nothing() {
        let mut prr = Prr::new(u32::MAX);
        assert_eq!(prr.on_ack(1, 3_000, 2_000, false, SMSS), Some(3_001));
        let mut prr = Prr::new(10 * SMSS);
        assert_eq!(prr.on_ack(100, 2_000, 2_000, false, SMSS), Some(3_000));
        assert_eq!(prr.on_ack(0, 2_000, 2_000, false, SMSS), None);
    }
}
