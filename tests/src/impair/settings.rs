//! What one direction of a path does to packets, and the notation for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

/// What one direction of a path does to the IP packets in it. The default does nothing.
///
/// Frames that are no IP packets (ARP) are delayed like everything else and otherwise left alone:
/// on a real path they end at the first router.
///
/// Written as a list, in any order, each part once: `loss=1%,delay=25ms,rate=100mbit,queue=625k`.
///
/// | Part | What it does |
/// |---|---|
/// | `loss=P` | each packet is lost with probability P (`1%` or `0.01`) |
/// | `burst=P/N` | with probability P a burst begins, in which everything is lost; N packets long on average |
/// | `duplicate=P` | each packet comes twice with probability P |
/// | `corrupt=P` | one bit of each packet is turned over with probability P |
/// | `reorder=P/T` | each packet is held back by the time T with probability P; others overtake it |
/// | `delay=T` | every packet takes that long (`25ms`, `100us`, `1s`) |
/// | `jitter=T` | and up to that much longer, by chance; the order stays |
/// | `rate=R` | so many bits per second, Ethernet header included (`100mbit`, `64kbit`, `1gbit`) |
/// | `queue=B` | bytes that wait for their turn at that rate; what comes on top is dropped (`64k`, `2m`) |
/// | `mark=B` | with so many bytes waiting, ECN-capable packets are marked (RFC 3168 §5) |
/// | `mtu=B` | longer IP packets are dropped silently: a black hole |
/// | `icmp` | and answered with Fragmentation Needed or Packet Too Big, as a router should |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Probability that a packet is lost, 0 to 1.
    pub loss: f64,
    /// Probability that a packet starts a burst of losses.
    pub burst: f64,
    /// Mean length of a burst, in packets, at least 1 where there are bursts.
    pub burst_length: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a bit of a packet is turned over.
    pub corrupt: f64,
    /// Probability that a packet is held back and overtaken.
    pub reorder: f64,
    /// For how long.
    pub reorder_by: Duration,
    /// How long every packet takes, one way.
    pub delay: Duration,
    /// How much longer it may take, evenly distributed.
    pub jitter: Duration,
    /// Bits per second; `None`: no limit.
    pub rate: Option<u64>,
    /// Bytes that wait at most at that rate. 0 stands for the default: 100 ms of the rate, but at
    /// least 16 KiB.
    pub queue: u64,
    /// Bytes waiting from which on ECN-capable packets are marked; `None`: never.
    pub mark: Option<u64>,
    /// The longest IP packet that passes, in bytes; `None`: any.
    pub mtu: Option<u16>,
    /// Whether the sender of a longer one is told.
    pub icmp: bool,
}

impl Impairment {
    /// The queue's size in bytes, the default put in.
    #[must_use]
    pub fn queue_bytes(&self) -> u64 {
        match (self.queue, self.rate) {
            (0, Some(rate)) => (rate / 80).max(16 << 10),
            (queue, _) => queue,
        }
    }

    /// Sets one part from its text.
    fn set(&mut self, part: &str) -> Result<()> {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "loss" => self.loss = probability(value)?,
            "duplicate" => self.duplicate = probability(value)?,
            "corrupt" => self.corrupt = probability(value)?,
            "burst" => {
                let (chance, length) = pair(value)?;
                self.burst = probability(chance)?;
                self.burst_length = length.parse().context("the length of a burst")?;
                ensure!(
                    (1.0..=1e6).contains(&self.burst_length),
                    "a burst has 1 to a million packets"
                );
            }
            "reorder" => {
                let (chance, by) = pair(value)?;
                self.reorder = probability(chance)?;
                self.reorder_by = time(by)?;
            }
            "delay" => self.delay = time(value)?,
            "jitter" => self.jitter = time(value)?,
            "rate" => {
                let rate = number(value, &[("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3)])?;
                ensure!(rate >= 1000, "at least 1 kbit");
                self.rate = Some(rate);
            }
            "queue" => self.queue = bytes(value)?,
            "mark" => self.mark = Some(bytes(value)?),
            "mtu" => {
                let mtu = value.parse().context("an MTU in bytes")?;
                ensure!(mtu >= 68, "IPv4 needs 68 bytes at least (RFC 791 §3.2)");
                self.mtu = Some(mtu);
            }
            "icmp" if !part.contains('=') => self.icmp = true,
            _ => bail!("nothing of that name"),
        }
        Ok(())
    }
}

impl FromStr for Impairment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut impairment = Self::default();
        let mut seen = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            impairment.set(part).with_context(|| part.to_owned())?;
            let name = part.split('=').next();
            ensure!(!seen.contains(&name), "{part}: there already");
            seen.push(name);
        }
        let needs_rate = impairment.queue > 0 || impairment.mark.is_some();
        ensure!(
            impairment.rate.is_some() || !needs_rate,
            "nothing ever waits without a rate: queue and mark need one"
        );
        ensure!(
            impairment.mtu.is_some() || !impairment.icmp,
            "icmp needs an mtu"
        );
        Ok(impairment)
    }
}

impl fmt::Display for Impairment {
    /// The notation from which it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let percent = |p: f64| format!("{}%", (p * 1e8).round() / 1e6);
        for (name, chance) in [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
        ] {
            if chance > 0.0 {
                parts.push(format!("{name}={}", percent(chance)));
            }
        }
        if self.burst > 0.0 {
            parts.push(format!(
                "burst={}/{}",
                percent(self.burst),
                self.burst_length
            ));
        }
        if self.reorder > 0.0 {
            let by = micros(self.reorder_by);
            parts.push(format!("reorder={}/{by}", percent(self.reorder)));
        }
        for (name, time) in [("delay", self.delay), ("jitter", self.jitter)] {
            if !time.is_zero() {
                parts.push(format!("{name}={}", micros(time)));
            }
        }
        if let Some(rate) = self.rate {
            parts.push(format!("rate={rate}"));
        }
        if self.queue > 0 {
            parts.push(format!("queue={}", self.queue));
        }
        if let Some(mark) = self.mark {
            parts.push(format!("mark={mark}"));
        }
        if let Some(mtu) = self.mtu {
            parts.push(format!("mtu={mtu}"));
        }
        if self.icmp {
            parts.push("icmp".to_owned());
        }
        f.write_str(&parts.join(","))
    }
}

fn micros(time: Duration) -> String {
    let micros = time.as_micros();
    if micros.is_multiple_of(1000) {
        format!("{}ms", micros / 1000)
    } else {
        format!("{micros}us")
    }
}

fn pair(text: &str) -> Result<(&str, &str)> {
    text.split_once('/').context("two values with / between")
}

/// `1%` or `0.01`.
fn probability(text: &str) -> Result<f64> {
    let (text, unit) = match text.strip_suffix('%') {
        Some(text) => (text, 100.0),
        None => (text, 1.0),
    };
    let value: f64 = text.parse().context("a probability")?;
    let value = value / unit;
    ensure!((0.0..=1.0).contains(&value), "0 to 1, or 0% to 100%");
    Ok(value)
}

/// `25ms`, `0.5s`, `100us`: at most a minute.
fn time(text: &str) -> Result<Duration> {
    for (unit, seconds) in [("ms", 1e-3), ("us", 1e-6), ("s", 1.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            let number: f64 = number.parse().context("a time")?;
            let seconds = number * seconds;
            ensure!((0.0..=60.0).contains(&seconds), "0 s to 60 s");
            return Ok(Duration::from_micros(whole(seconds * 1e6)));
        }
    }
    bail!("a time needs a unit: s, ms or us")
}

fn bytes(text: &str) -> Result<u64> {
    number(text, &[("k", 1e3), ("m", 1e6)])
}

/// A number with one of these units, or none.
fn number(text: &str, units: &[(&str, f64)]) -> Result<u64> {
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1.0));
    let number: f64 = number.parse().context("a number")?;
    let value = number * factor;
    ensure!((0.0..=1e12).contains(&value), "out of range");
    Ok(whole(value))
}

/// The nearest integer of a number between 0 and 2^53.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers have checked the range"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_written() {
        let text = "loss=1%,duplicate=0.5%,corrupt=0.01%,burst=0.1%/5,reorder=0.5%/1500us,\
                    delay=25ms,jitter=2ms,rate=100mbit,queue=625k,mark=64k,mtu=1400,icmp";
        let read: Impairment = text.parse().unwrap();
        let expected = Impairment {
            loss: 0.01,
            burst: 0.001,
            burst_length: 5.0,
            duplicate: 0.005,
            corrupt: 0.0001,
            reorder: 0.005,
            reorder_by: Duration::from_micros(1500),
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(2),
            rate: Some(100_000_000),
            queue: 625_000,
            mark: Some(64_000),
            mtu: Some(1400),
            icmp: true,
        };
        assert_eq!(read, expected);
        assert_eq!(read.to_string().parse::<Impairment>().unwrap(), read);
        assert_eq!("".parse::<Impairment>().unwrap(), Impairment::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "loss=101%",
            "loss=-1",
            "loss=NaN",
            "loss",
            "delay=25",
            "delay=61s",
            "burst=1%",
            "burst=1%/0",
            "rate=0",
            "rate=inf",
            "queue=5k",
            "mark=5k",
            "icmp",
            "mtu=67",
            "icmp=1,mtu=1400",
            "loss=1%,loss=2%",
            "lost=1%",
        ] {
            assert!(text.parse::<Impairment>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_queue_that_nobody_chose_holds_a_tenth_of_a_second() {
        let of = |text: &str| text.parse::<Impairment>().unwrap().queue_bytes();
        assert_eq!(of("rate=100mbit"), 1_250_000);
        assert_eq!(of("rate=64kbit"), 16 << 10);
        assert_eq!(of("rate=64kbit,queue=5k"), 5000);
    }
}
