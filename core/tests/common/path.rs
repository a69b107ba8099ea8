//! One direction of a simulated path: what it does to the frames that go into it.

use super::middlebox::{Middlebox, set_ecn};
use super::packet::{frame_is_sound, icmp_error};
use super::random::Random;
use mnet_core::Instant;
use std::time::Duration;

/// Losses that come in bursts, after Gilbert and Elliott: a good state without losses, and a bad
/// one. Chances are thousandths for each frame. A bad state is over after [`LONGEST_BURST`], however
/// few frames have met it: retransmissions that back off would otherwise all fall into one.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    /// From good to bad, and back.
    pub begin: u32,
    pub end: u32,
    /// Loss in the bad state.
    pub loss: u32,
}

const LONGEST_BURST: Duration = Duration::from_secs(2);

/// How a direction of a path is at the moment. Chances are thousandths for each frame.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Frames lost by chance.
    pub loss: u32,
    pub bursts: Option<Bursts>,
    /// Frames that arrive twice.
    pub duplicate: u32,
    /// Frames that are damaged so that a checksum, a length or an address tells.
    pub corrupt: u32,
    pub delay: Duration,
    /// Added to the delay of each frame, from nothing up to this: frames overtake each other.
    pub jitter: Duration,
    /// Frames that take `detour` longer than the others: these are overtaken.
    pub reorder: u32,
    pub detour: Duration,
    /// Bits per second, with a queue of so many bytes in front that drops what does not fit.
    pub rate: Option<(u64, usize)>,
    /// Bytes in that queue from which on packets that are ECN-capable are marked.
    pub mark: Option<usize>,
    /// What else happens to explicit congestion notification.
    pub middlebox: Middlebox,
    /// How often a frame of somebody else's, of any size, takes the queue's place before. Without
    /// that, frames come in step with those that leave, and it is chance of the first seconds which
    /// connection finds the queue full, again and again (Floyd and Jacobson, "On Traffic Phase
    /// Effects in Packet-Switched Gateways").
    pub others: u32,
    /// Larger IP packets do not pass.
    pub mtu: usize,
    /// Whether their sender is told.
    pub icmp: bool,
    /// Nothing passes at all.
    pub down: bool,
}

impl Conditions {
    /// A perfect path with this delay.
    pub fn clean(delay: Duration) -> Self {
        Self {
            loss: 0,
            bursts: None,
            duplicate: 0,
            corrupt: 0,
            delay,
            jitter: Duration::ZERO,
            reorder: 0,
            detour: Duration::ZERO,
            rate: None,
            mark: None,
            middlebox: Middlebox::default(),
            others: 0,
            mtu: usize::MAX,
            icmp: true,
            down: false,
        }
    }
}

/// What has become of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fates {
    pub lost: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    pub queue_full: u64,
    pub marked: u64,
    pub too_big: u64,
    pub down: u64,
}

/// A direction of a path.
#[derive(Clone, Debug)]
pub struct Direction {
    pub conditions: Conditions,
    pub fates: Fates,
    /// Since when the bad state of [`Bursts`] lasts.
    bad_since: Option<Instant>,
    /// When the bottleneck has sent all that is in its queue.
    idle_at: Instant,
}

/// What comes of a frame: arrivals at the other side, and an error to its sender.
#[derive(Debug, Default)]
pub struct Outcome {
    pub arrivals: Vec<(Instant, Vec<u8>)>,
    pub error: Option<(Instant, Vec<u8>)>,
}

impl Direction {
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            fates: Fates::default(),
            bad_since: None,
            idle_at: Instant::ZERO,
        }
    }

    /// Takes a frame at `now`.
    pub fn send(&mut self, now: Instant, mut frame: Vec<u8>, random: &mut Random) -> Outcome {
        let mut outcome = Outcome::default();
        let conditions = self.conditions;
        if frame[12..14] == [8, 6] {
            // ARP is for the link at either end, not for the path behind it.
            outcome.arrivals.push((now + conditions.delay, frame));
            return outcome;
        }
        if conditions.down {
            self.fates.down += 1;
            return outcome;
        }
        if frame.len() - 14 > conditions.mtu {
            self.fates.too_big += 1;
            if conditions.icmp {
                let at = now + conditions.delay;
                let mtu = u16::try_from(conditions.mtu).unwrap();
                outcome.error = Some((at, icmp_error(&frame, (3, 4), mtu)));
            }
            return outcome;
        }
        if self.is_lost(now, random) {
            self.fates.lost += 1;
            return outcome;
        }
        let marked = conditions.middlebox.pass(&mut frame, random);
        self.fates.marked += u64::from(marked);
        if conditions.others > 0 && random.per_mille(conditions.others) {
            self.through_the_queue(now, 60 + random.below(1_455));
        }
        self.mark(now, &mut frame);
        let Some(sent) = self.through_the_queue(now, frame.len()) else {
            self.fates.queue_full += 1;
            return outcome;
        };
        let twice = random.per_mille(conditions.duplicate);
        self.fates.duplicated += u64::from(twice);
        for _ in 0..=u8::from(twice) {
            let mut bytes = frame.clone();
            if random.per_mille(conditions.corrupt) {
                self.fates.corrupted += 1;
                corrupt(&mut bytes, random);
            }
            let jitter = u64::try_from(conditions.jitter.as_nanos()).unwrap();
            let mut at = sent + conditions.delay;
            if jitter > 0 {
                at = at + Duration::from_nanos(random.next() % jitter);
            }
            if random.per_mille(conditions.reorder) {
                at = at + conditions.detour;
            }
            outcome.arrivals.push((at, bytes));
        }
        outcome
    }

    fn is_lost(&mut self, now: Instant, random: &mut Random) -> bool {
        let mut chance = self.conditions.loss;
        if let Some(bursts) = self.conditions.bursts {
            let in_time = |since: &Instant| now.saturating_since(*since) < LONGEST_BURST;
            self.bad_since = match self.bad_since.filter(in_time) {
                Some(since) => (!random.per_mille(bursts.end)).then_some(since),
                None => random.per_mille(bursts.begin).then_some(now),
            };
            if self.bad_since.is_some() {
                chance = chance.max(bursts.loss);
            }
        }
        random.per_mille(chance)
    }

    /// What an active queue management does instead of dropping (RFC 3168 §5).
    fn mark(&mut self, now: Instant, frame: &mut [u8]) {
        let (Some((rate, _)), Some(most)) = (self.conditions.rate, self.conditions.mark) else {
            return;
        };
        let waiting = self.idle_at.saturating_since(now).as_nanos() * u128::from(rate);
        let may_mark = frame[12..14] == [8, 0] && matches!(frame[15] & 3, 1 | 2);
        if may_mark && waiting > most as u128 * 8_000_000_000 {
            self.fates.marked += 1;
            set_ecn(frame, 3);
        }
    }

    /// When the last bit has left the bottleneck; `None` if the queue is full.
    fn through_the_queue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some((bits_per_second, queue)) = self.conditions.rate else {
            return Some(now);
        };
        let time = |bytes: usize| {
            let nanos = bytes as u128 * 8_000_000_000 / u128::from(bits_per_second);
            Duration::from_nanos(u64::try_from(nanos).unwrap())
        };
        let start = self.idle_at.max(now);
        if start - now > time(queue.saturating_sub(len)) && start > now {
            return None;
        }
        self.idle_at = start + time(len);
        Some(self.idle_at)
    }
}

/// Damages a frame so that whoever looks can tell: at least one of checksums, lengths and addresses
/// is wrong, or what was added means nothing. Damage that the Internet checksum cannot see would be
/// believed by every receiver, and says nothing about this one.
fn corrupt(frame: &mut Vec<u8>, random: &mut Random) {
    let original = frame.clone();
    for _ in 0..50 {
        frame.clone_from(&original);
        match random.below(7) {
            0 | 1 => {
                let bit = random.below((frame.len() - 14) * 8);
                frame[14 + bit / 8] ^= 1 << (bit % 8);
            }
            // A burst of noise.
            2 | 3 => {
                let at = 14 + random.below(frame.len() - 14);
                let end = (at + 1 + random.below(32)).min(frame.len());
                frame[at..end].fill_with(|| random.byte());
            }
            // Cut.
            4 => frame.truncate(random.below(frame.len())),
            // Bytes behind the packet, as the padding of short frames has them.
            5 => {
                let more = 1 + random.below(60);
                frame.extend((0..more).map(|_| random.byte()));
                return;
            }
            // For somebody else, or of another kind.
            _ => frame[random.pick(&[0, 5, 12, 13])] ^= 1 << random.below(8),
        }
        if !frame_is_sound(frame) || (*frame != original && frame[14..] == original[14..]) {
            return;
        }
    }
    frame.clone_from(&original);
}
