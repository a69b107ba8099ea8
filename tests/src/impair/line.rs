//! The model of one direction: frames and times go in, frames and times come out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::packet::{ETHERNET, Ip, mark, too_big};
use super::settings::Impairment;

/// Frames that are on their way at most, so that memory stays bounded: 2.5 s of 600 Mbit/s.
const MAX_FRAMES: usize = 1 << 17;
/// Buffers that are kept for later frames.
const MAX_SPARE: usize = 256;

/// One direction of a path. It does what a chain of router, queue and cable does, in this order:
/// packets are too long, lost, damaged or repeated; they wait for their turn; they travel.
///
/// Time is the time since some start, and never goes back. The fate of the n-th packet depends on
/// nothing but the seed, n, and the probability concerned: other settings do not change what is
/// lost.
#[derive(Debug)]
pub struct Line {
    impairment: Impairment,
    chance: Chance,
    /// A burst of losses is on.
    in_burst: bool,
    /// When the bottleneck has sent everything it has, to the nanosecond.
    free_at: Duration,
    /// When the last frame arrives that nothing holds back: what follows arrives no earlier.
    last_arrival: Duration,
    /// On their way, by arrival, and among equals by their number.
    flying: BTreeMap<(Duration, u64), Vec<u8>>,
    number: u64,
    spare: Vec<Vec<u8>>,
    stats: Stats,
}

/// A generator for each kind of misfortune, so that they do not depend on each other.
#[derive(Debug)]
struct Chance {
    loss: Rng,
    burst: Rng,
    duplicate: Rng,
    corrupt: Rng,
    reorder: Rng,
    jitter: Rng,
}

/// What happened in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out, duplicates included.
    pub sent: u64,
    /// Bytes in them.
    pub sent_bytes: u64,
    /// Lost one by one.
    pub lost: u64,
    /// Lost in bursts.
    pub lost_in_bursts: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// With one bit turned over.
    pub corrupted: u64,
    /// Held back for others to overtake.
    pub reordered: u64,
    /// Dropped because the queue of the bottleneck was full.
    pub queue_full: u64,
    /// Marked with CE.
    pub marked: u64,
    /// Too long.
    pub too_long: u64,
    /// Dropped because too many frames were on their way, or the device did not take them.
    pub overflowed: u64,
    /// The most bytes that ever waited at the bottleneck.
    pub queue_peak: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            received,
            sent,
            sent_bytes,
            lost,
            lost_in_bursts,
            duplicated,
            corrupted,
            reordered,
            queue_full,
            marked,
            too_long,
            overflowed,
            queue_peak,
        } = self;
        write!(f, "received {received}, sent {sent} ({sent_bytes} bytes)")?;
        for (what, count) in [
            ("lost", lost),
            ("lost in bursts", lost_in_bursts),
            ("duplicated", duplicated),
            ("corrupted", corrupted),
            ("reordered", reordered),
            ("queue full", queue_full),
            ("marked", marked),
            ("too long", too_long),
            ("overflowed", overflowed),
            ("most bytes queued", queue_peak),
        ] {
            if *count > 0 {
                write!(f, ", {what} {count}")?;
            }
        }
        Ok(())
    }
}

impl Line {
    /// A direction in which nothing is on its way yet.
    #[must_use]
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        let mut seeds = Rng::with_seed(seed);
        let mut rng = || Rng::with_seed(seeds.u64(..));
        Self {
            impairment,
            chance: Chance {
                loss: rng(),
                burst: rng(),
                duplicate: rng(),
                corrupt: rng(),
                reorder: rng(),
                jitter: rng(),
            },
            in_burst: false,
            free_at: Duration::ZERO,
            last_arrival: Duration::ZERO,
            flying: BTreeMap::new(),
            number: 0,
            spare: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Changes what happens to later frames. What is on its way arrives as it would have.
    pub fn set(&mut self, impairment: Impairment) {
        self.impairment = impairment;
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Counts a frame that came out and that the device did not take.
    pub(super) fn refused(&mut self, frame: Vec<u8>) {
        self.stats.overflowed += 1;
        self.stats.sent -= 1;
        self.stats.sent_bytes -= frame.len() as u64;
        self.recycle(frame);
    }

    /// A frame enters. What comes back, if anything, is the path's answer to its sender.
    pub fn push(&mut self, now: Duration, frame: &[u8]) -> Option<Vec<u8>> {
        self.stats.received += 1;
        let Some(ip) = Ip::of(frame) else {
            let arrival = self.travel(now);
            self.fly(arrival, frame);
            return None;
        };
        if let Some(mtu) = self.impairment.mtu
            && ip.len() > mtu.into()
        {
            self.stats.too_long += 1;
            return self
                .impairment
                .icmp
                .then(|| too_big(frame, ip, mtu))
                .flatten();
        }
        let fate = self.draw();
        if fate.lost {
            self.stats.lost += 1;
            return None;
        }
        if fate.in_burst {
            self.stats.lost_in_bursts += 1;
            return None;
        }
        self.pass(now, frame, ip, &fate);
        if fate.twice {
            self.stats.duplicated += 1;
            self.pass(now, frame, ip, &fate);
        }
        None
    }

    /// When the next frame comes out.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next frame, if it has arrived by now.
    pub fn pop(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.next()? > now {
            return None;
        }
        let (_, frame) = self.flying.pop_first()?;
        self.stats.sent += 1;
        self.stats.sent_bytes += frame.len() as u64;
        Some(frame)
    }

    /// Takes a frame's buffer back, for a later one.
    pub fn recycle(&mut self, frame: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(frame);
        }
    }

    /// What chance has in mind for a packet.
    fn draw(&mut self) -> Fate {
        let Chance {
            loss,
            burst,
            duplicate,
            corrupt,
            reorder,
            jitter: _,
        } = &mut self.chance;
        // Each generator is asked once for each packet, whatever the others said.
        let burst = burst.f64();
        self.in_burst = if self.in_burst {
            // Geometric, with the mean that was asked for.
            burst >= 1.0 / self.impairment.burst_length
        } else {
            burst < self.impairment.burst
        };
        let corrupt = (corrupt.f64() < self.impairment.corrupt, corrupt.u64(..));
        Fate {
            lost: loss.f64() < self.impairment.loss,
            in_burst: self.in_burst,
            twice: duplicate.f64() < self.impairment.duplicate,
            held_back: reorder.f64() < self.impairment.reorder,
            corrupt: corrupt.0.then_some(corrupt.1),
        }
    }

    /// Through the bottleneck and onto the cable.
    fn pass(&mut self, now: Duration, frame: &[u8], ip: Ip, fate: &Fate) {
        let Some((departure, congested)) = self.queue(now, frame.len()) else {
            self.stats.queue_full += 1;
            return;
        };
        let mut arrival = self.travel(departure);
        if fate.held_back {
            self.stats.reordered += 1;
            arrival += self.impairment.reorder_by;
        }
        let Some(frame) = self.fly(arrival, frame) else {
            return;
        };
        let marked = congested && mark(frame, ip);
        if let Some(random) = fate.corrupt {
            // Not in the Ethernet header: a cable's checksum would see to that.
            let mut random = Rng::with_seed(random);
            let byte = random.usize(ETHERNET..frame.len());
            frame[byte] ^= 1 << random.u32(0..8);
            self.stats.corrupted += 1;
        }
        self.stats.marked += u64::from(marked);
    }

    /// Waits for its turn: when it has left, and whether so many waited that it is to be marked.
    /// `None` when there is no room.
    fn queue(&mut self, now: Duration, len: usize) -> Option<(Duration, bool)> {
        let Some(rate) = self.impairment.rate else {
            return Some((now, false));
        };
        let start = self.free_at.max(now);
        let waiting = u128::from(rate) * (start - now).as_nanos() / 8_000_000_000;
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        let len = len as u64;
        if waiting + len > self.impairment.queue_bytes() {
            return None;
        }
        self.stats.queue_peak = self.stats.queue_peak.max(waiting + len);
        self.free_at = start + Duration::from_nanos(len * 8_000_000_000 / rate);
        let congested = self.impairment.mark.is_some_and(|mark| waiting >= mark);
        Some((self.free_at, congested))
    }

    /// When something that leaves then arrives. The order of departures is kept.
    fn travel(&mut self, departure: Duration) -> Duration {
        let jitter = self.impairment.jitter.mul_f64(self.chance.jitter.f64());
        let arrival = departure + self.impairment.delay + jitter;
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }

    /// The copy that is on its way. `None` when there are too many.
    fn fly(&mut self, arrival: Duration, frame: &[u8]) -> Option<&mut Vec<u8>> {
        if self.flying.len() >= MAX_FRAMES {
            self.stats.overflowed += 1;
            return None;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        self.number += 1;
        Some(
            self.flying
                .entry((arrival, self.number))
                .insert_entry(copy)
                .into_mut(),
        )
    }
}

/// What happens to one packet.
#[derive(Debug)]
struct Fate {
    lost: bool,
    in_burst: bool,
    twice: bool,
    held_back: bool,
    /// Damaged; the number chooses the bit.
    corrupt: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const MS: Duration = Duration::from_millis(1);

    /// A UDP packet that carries `number`, 1000 bytes long on the wire.
    fn packet(number: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        let mut payload = vec![0; 1000 - 42];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1, 2)
            .write(&mut frame, &payload)
            .unwrap();
        frame
    }

    fn number(frame: &[u8]) -> u32 {
        u32::from_be_bytes(frame[42..46].try_into().unwrap())
    }

    fn line(text: &str) -> Line {
        Line::new(text.parse().unwrap(), 7)
    }

    /// Everything that comes out, with its time.
    fn drain(line: &mut Line) -> Vec<(Duration, u32)> {
        let mut out = Vec::new();
        while let Some(at) = line.next() {
            assert!(line.pop(at - Duration::from_nanos(1)).is_none());
            let frame = line.pop(at).unwrap();
            out.push((at, number(&frame)));
            line.recycle(frame);
        }
        out
    }

    /// Packets one millisecond apart; the numbers that arrive.
    fn survivors(text: &str, count: u32) -> Vec<u32> {
        let mut line = line(text);
        for number in 0..count {
            line.push(MS * (number + 1), &packet(number));
        }
        drain(&mut line).iter().map(|(_, number)| *number).collect()
    }

    #[test]
    fn a_path_without_settings_passes_everything_at_once() {
        let mut line = line("");
        let frame = packet(1);
        assert_eq!(line.push(MS, &frame), None);
        assert_eq!(line.next(), Some(MS));
        assert_eq!(line.pop(MS), Some(frame));
        assert_eq!(line.next(), None);
    }

    #[test]
    fn the_share_that_is_lost_is_the_one_asked_for() {
        let left = survivors("loss=5%", 100_000).len();
        assert!((94_700..95_300).contains(&left), "{left}");
        assert_eq!(survivors("loss=100%", 100).len(), 0);
    }

    #[test]
    fn the_same_packets_are_lost_whatever_else_happens() {
        let mut others = survivors("loss=5%,reorder=10%/3ms,corrupt=0,rate=10mbit", 1000);
        others.sort_unstable();
        assert_eq!(others, survivors("loss=5%", 1000));
        assert!((920..980).contains(&others.len()), "{}", others.len());
        let mut other_seed = Line::new("loss=5%".parse().unwrap(), 8);
        for number in 0..1000 {
            other_seed.push(MS, &packet(number));
        }
        let survivors: Vec<u32> = drain(&mut other_seed).iter().map(|(_, n)| *n).collect();
        assert_ne!(survivors, others);
    }

    #[test]
    fn bursts_have_the_mean_length_asked_for() {
        let mut line = line("burst=1%/5");
        let mut bursts = 0;
        let mut lost_before = false;
        for number in 0..100_000 {
            let before = line.stats().lost_in_bursts;
            line.push(MS, &packet(number));
            let lost = line.stats().lost_in_bursts > before;
            bursts += u64::from(lost && !lost_before);
            lost_before = lost;
        }
        let lost = line.stats().lost_in_bursts;
        assert!((850..1150).contains(&bursts), "{bursts}");
        assert!((4 * bursts..6 * bursts).contains(&lost), "{lost}/{bursts}");
    }

    #[test]
    fn held_back_packets_are_overtaken_and_no_others() {
        let order = survivors("reorder=1%/2500us,delay=10ms", 10_000);
        assert_eq!(order.len(), 10_000);
        let late: Vec<_> = order.windows(2).filter(|pair| pair[1] < pair[0]).collect();
        assert!((60..140).contains(&late.len()), "{}", late.len());
        assert!(late.iter().all(|pair| pair[0] - pair[1] <= 2), "{late:?}");
    }

    #[test]
    fn jitter_delays_and_keeps_the_order() {
        let mut line = line("delay=10ms,jitter=5ms");
        for number in 0..1000 {
            line.push(MS * number, &packet(number));
        }
        let out = drain(&mut line);
        assert!(out.is_sorted_by_key(|(_, number)| *number));
        let delay = |&(at, number): &(Duration, u32)| at - MS * number;
        assert!(out.iter().all(|p| (10 * MS..=15 * MS).contains(&delay(p))));
        assert!(out.iter().any(|p| delay(p) < 12 * MS) && out.iter().any(|p| delay(p) > 13 * MS));
    }

    #[test]
    fn duplicates_are_counted_and_arrive() {
        let mut line = line("duplicate=100%");
        line.push(MS, &packet(3));
        assert_eq!(drain(&mut line), [(MS, 3), (MS, 3)]);
        assert_eq!(line.stats().duplicated, 1);
    }

    #[test]
    fn one_bit_is_damaged_behind_the_ethernet_header() {
        for seed in 0..200 {
            let mut line = Line::new("corrupt=100%".parse().unwrap(), seed);
            let good = packet(1);
            line.push(MS, &good);
            let bad = line.pop(MS).unwrap();
            let bits: u32 = good
                .iter()
                .zip(&bad)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!((bits, &good[..14]), (1, &bad[..14]));
        }
    }

    /// 1000 bytes at 8 Mbit/s take a millisecond.
    #[test]
    fn a_rate_spaces_packets_and_a_full_queue_drops_the_last() {
        let mut line = line("rate=8mbit,queue=5k,delay=20ms");
        for number in 0..8 {
            line.push(MS, &packet(number));
        }
        let expected: Vec<_> = (0..5).map(|n| ((22 + n) * MS, n)).collect();
        assert_eq!(drain(&mut line), expected);
        assert_eq!(
            (line.stats().queue_full, line.stats().queue_peak),
            (3, 5000)
        );
        // At 3.5 ms two and a half packets have left: two fit, not three.
        for number in 10..13 {
            line.push(MS * 7 / 2, &packet(number));
        }
        assert_eq!(drain(&mut line), [(27 * MS, 10), (28 * MS, 11)]);
    }

    #[test]
    fn a_long_queue_marks_capable_packets() {
        let mut line = line("rate=8mbit,queue=10k,mark=2k");
        let mut capable = packet(0);
        capable[15] |= 2;
        for number in 0..5 {
            capable[42..46].copy_from_slice(&u32::to_be_bytes(number));
            line.push(MS, &capable);
        }
        line.push(MS, &packet(5));
        let marks: Vec<bool> = std::iter::from_fn(|| line.pop(MS * 100))
            .map(|frame| frame[15] & 3 == 3)
            .collect();
        assert_eq!(marks, [false, false, true, true, true, false]);
        assert_eq!(line.stats().marked, 3);
    }

    #[test]
    fn long_packets_vanish_and_with_icmp_the_sender_is_told() {
        let mut capable = packet(0);
        capable[14 + 6] |= 0x40;
        let mut hole = line("mtu=900");
        assert_eq!(hole.push(MS, &capable), None);
        let mut router = line("mtu=900,icmp");
        assert!(router.push(MS, &capable).is_some());
        assert_eq!((hole.next(), router.next()), (None, None));
        assert_eq!((hole.stats().too_long, router.stats().too_long), (1, 1));
        let mut wide = line("mtu=986");
        assert_eq!(wide.push(MS, &capable), None);
        assert_eq!(wide.next(), Some(MS));
    }

    #[test]
    fn frames_of_other_protocols_are_delayed_and_never_lost() {
        let mut line = line("loss=100%,delay=5ms,mtu=68");
        let mut arp = packet(1);
        arp[13] = 6;
        line.push(MS, &arp);
        assert_eq!(line.next(), Some(6 * MS));
    }
}
