//! What a user may choose for a connection, or for a listener and the connections that it brings.
//!
//! Connections with the same choices share one entry of a small table ([`Profiles`]), so that all
//! choices together cost a connection one byte. A program makes few different ones.

use super::state::{Tcb, TcbFlags};
use crate::config::{CongestionAlgorithm, Keepalive, TcpConfig};
use crate::error::SettingError;
use alloc::boxed::Box;
use alloc::vec;
use core::ops::RangeInclusive;
use core::time::Duration;

/// A choice for one connection. On a listener, it is that of the connections to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpSetting {
    /// Nagle's algorithm off (true) or on (RFC 9293 §3.7.4, MUST-17).
    NoDelay(bool),
    /// Holds a segment back that is not full until more data fills it, the cork is taken out, this
    /// side is shut down, or 200 ms have passed. Stronger than [`TcpSetting::NoDelay`].
    Cork(bool),
    /// Probes of an idle connection; `None`: off, the default (RFC 9293 §3.8.4, MUST-24,
    /// MUST-25). See
    /// [`Keepalive`] for the ranges.
    Keepalive(Option<Keepalive>),
    /// How long unacknowledged data, an unanswered SYN or a closed window is tried before the
    /// connection fails (RFC 9293 §3.8.3 MUST-21, RFC 5482; nothing is sent about it): 100 ms to 24
    /// days. A connection whose probes ([`TcpSetting::Keepalive`]) are not answered fails after this
    /// time too, whatever their number. `None`: as [`TcpConfig::user_timeout`] says.
    UserTimeout(Option<Duration>),
    /// How long a connection may take to be established, from the first SYN on: 1 ms to 24 days.
    /// `None`: as the number of SYNs says ([`TcpConfig::syn_retries`]).
    ConnectTimeout(Option<Duration>),
    /// What closing the handle means while data is unacknowledged, as `SO_LINGER`: `None`, the
    /// default, delivers in the background; zero resets the connection; any other time, up to 24
    /// days, delivers in the background as well, and is how long a call that closes may wait for it.
    Linger(Option<Duration>),
    /// How long an acknowledgement may wait for company: 0 to 500 ms (RFC 9293 §3.8.6.3, MUST-40).
    /// Zero acknowledges every batch of frames at once.
    DelayedAck(Duration),
    /// What governs the rate of sending. The new algorithm goes on with the window of the old one.
    Congestion(CongestionAlgorithm),
    /// Largest receive window, in bytes: 4 KiB to 1 GiB. The window scale of the handshake, which
    /// follows from [`TcpConfig::receive_buffer`], bounds what can be announced.
    ReceiveBuffer(usize),
    /// Most bytes in the send queue: 4 KiB to 1 GiB.
    SendBuffer(usize),
    /// The time to live of its packets: 1 to 255.
    TimeToLive(u8),
    /// The differentiated services code point of its packets (RFC 2474 §3, RFC 9293
    /// §3.9.1.9 MUST-48, SHLD-21, SHLD-22): 0 to 63.
    Dscp(u8),
}

/// All choices of a connection or a listener, as they are now. See [`TcpSetting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpSettings {
    /// [`TcpSetting::NoDelay`].
    pub nodelay: bool,
    /// [`TcpSetting::Cork`].
    pub cork: bool,
    /// [`TcpSetting::Keepalive`].
    pub keepalive: Option<Keepalive>,
    /// [`TcpSetting::UserTimeout`].
    pub user_timeout: Option<Duration>,
    /// [`TcpSetting::ConnectTimeout`].
    pub connect_timeout: Option<Duration>,
    /// [`TcpSetting::Linger`].
    pub linger: Option<Duration>,
    /// [`TcpSetting::DelayedAck`].
    pub delayed_ack: Duration,
    /// [`TcpSetting::Congestion`].
    pub congestion: CongestionAlgorithm,
    /// [`TcpSetting::ReceiveBuffer`].
    pub receive_buffer: usize,
    /// [`TcpSetting::SendBuffer`].
    pub send_buffer: usize,
    /// [`TcpSetting::TimeToLive`].
    pub time_to_live: u8,
    /// [`TcpSetting::Dscp`].
    pub dscp: u8,
}

/// Sizes of a connection's buffers.
const BUFFER_SIZES: RangeInclusive<usize> = 4 << 10..=1 << 30;
/// The longest time that a setting can say, in milliseconds: 24 days.
const LONGEST: u32 = 24 * 24 * 3_600_000;
/// The shortest user timeout, in milliseconds: less than the smallest retransmission timeout would
/// end connections that lose one segment.
const SHORTEST_USER_TIMEOUT: u32 = 100;
/// The longest delay of an acknowledgement (RFC 9293 §3.8.6.3, MUST-40), in milliseconds.
const LONGEST_DELAYED_ACK: u32 = 500;
/// "None" where zero is a value.
const NONE: u32 = u32::MAX;

/// The settings in the units that TCP counts in. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) receive_buffer: u32,
    pub(super) send_buffer: u32,
    /// 0: the stack's.
    user_timeout: u32,
    /// 0: none.
    connect_timeout: u32,
    keep_idle: u32,
    keep_interval: u32,
    /// `NONE`: closing does not wait.
    linger: u32,
    delayed_ack: u16,
    /// 0: off.
    keep_count: u8,
    pub(super) time_to_live: u8,
    /// DSCP in the upper six bits; the lower two are ECN's.
    pub(super) traffic_class: u8,
    pub(super) congestion: CongestionAlgorithm,
    nodelay: bool,
    cork: bool,
}

/// A time in milliseconds, rounded up; `None` beyond what can be said.
fn millis(duration: Duration) -> Option<u32> {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).ok().filter(|ms| *ms <= LONGEST)
}

/// A time that is at least `least`, where 0 stands for none.
fn optional_millis(duration: Option<Duration>, least: u32) -> Result<u32, SettingError> {
    match duration {
        None => Ok(0),
        Some(duration) => millis(duration)
            .filter(|ms| *ms >= least)
            .ok_or(SettingError::OutOfRange),
    }
}

fn duration(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn buffer(bytes: usize) -> Result<u32, SettingError> {
    Some(bytes)
        .filter(|bytes| BUFFER_SIZES.contains(bytes))
        .and_then(|bytes| u32::try_from(bytes).ok())
        .ok_or(SettingError::OutOfRange)
}

impl Profile {
    /// What the configuration says.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`].
    pub(super) fn new(config: &TcpConfig) -> Result<Self, SettingError> {
        let mut profile = Self {
            receive_buffer: 0,
            send_buffer: 0,
            user_timeout: 0,
            connect_timeout: 0,
            keep_idle: 0,
            keep_interval: 0,
            linger: NONE,
            delayed_ack: 0,
            keep_count: 0,
            time_to_live: 0,
            traffic_class: 0,
            congestion: config.congestion,
            nodelay: config.nodelay,
            cork: false,
        };
        for setting in [
            TcpSetting::ReceiveBuffer(config.receive_buffer),
            TcpSetting::SendBuffer(config.send_buffer),
            TcpSetting::Keepalive(config.keepalive),
            TcpSetting::ConnectTimeout(config.connect_timeout),
            TcpSetting::Linger(config.linger),
            TcpSetting::DelayedAck(config.delayed_ack),
            TcpSetting::TimeToLive(config.time_to_live),
            TcpSetting::Dscp(config.dscp),
        ] {
            profile.set(setting)?;
        }
        Ok(profile)
    }

    /// Changes one setting, or nothing if its value is out of range.
    pub(super) fn set(&mut self, setting: TcpSetting) -> Result<(), SettingError> {
        let out_of_range = SettingError::OutOfRange;
        match setting {
            TcpSetting::NoDelay(on) => self.nodelay = on,
            TcpSetting::Cork(on) => self.cork = on,
            TcpSetting::Keepalive(None) => self.keep_count = 0,
            TcpSetting::Keepalive(Some(Keepalive {
                idle,
                interval,
                count,
            })) => {
                let at_least_a_second = |time| optional_millis(Some(time), 1_000);
                let (idle, interval) = (at_least_a_second(idle)?, at_least_a_second(interval)?);
                if count == 0 {
                    return Err(out_of_range);
                }
                (self.keep_idle, self.keep_interval) = (idle, interval);
                self.keep_count = count;
            }
            TcpSetting::UserTimeout(time) => {
                self.user_timeout = optional_millis(time, SHORTEST_USER_TIMEOUT)?;
            }
            TcpSetting::ConnectTimeout(time) => {
                self.connect_timeout = optional_millis(time, 1)?;
            }
            TcpSetting::Linger(None) => self.linger = NONE,
            TcpSetting::Linger(Some(time)) => self.linger = millis(time).ok_or(out_of_range)?,
            TcpSetting::DelayedAck(time) => {
                self.delayed_ack = millis(time)
                    .filter(|ms| *ms <= LONGEST_DELAYED_ACK)
                    .and_then(|ms| u16::try_from(ms).ok())
                    .ok_or(out_of_range)?;
            }
            TcpSetting::Congestion(algorithm) => self.congestion = algorithm,
            TcpSetting::ReceiveBuffer(bytes) => self.receive_buffer = buffer(bytes)?,
            TcpSetting::SendBuffer(bytes) => self.send_buffer = buffer(bytes)?,
            TcpSetting::TimeToLive(0) => return Err(out_of_range),
            TcpSetting::TimeToLive(hops) => self.time_to_live = hops,
            TcpSetting::Dscp(code_point @ 0..=63) => self.traffic_class = code_point << 2,
            TcpSetting::Dscp(_) => return Err(out_of_range),
        }
        Ok(())
    }

    /// The settings for the user.
    pub(super) fn settings(&self) -> TcpSettings {
        let optional = |ms: u32| (ms != 0).then(|| duration(ms));
        TcpSettings {
            nodelay: self.nodelay,
            cork: self.cork,
            keepalive: self.keepalive(),
            user_timeout: optional(self.user_timeout),
            connect_timeout: optional(self.connect_timeout),
            linger: self.linger(),
            delayed_ack: self.delayed_ack(),
            congestion: self.congestion,
            receive_buffer: self.receive_buffer as usize,
            send_buffer: self.send_buffer as usize,
            time_to_live: self.time_to_live,
            dscp: self.traffic_class >> 2,
        }
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        (self.keep_count > 0).then(|| Keepalive {
            idle: duration(self.keep_idle),
            interval: duration(self.keep_interval),
            count: self.keep_count,
        })
    }

    pub(super) fn linger(&self) -> Option<Duration> {
        (self.linger != NONE).then(|| duration(self.linger))
    }

    /// How long an acknowledgement may wait, in milliseconds.
    pub(super) fn delayed_ack_millis(&self) -> u16 {
        self.delayed_ack
    }

    pub(super) fn delayed_ack(&self) -> Duration {
        duration(self.delayed_ack.into())
    }

    /// The user timeout, if it is not the stack's.
    pub(super) fn user_timeout(&self) -> Option<Duration> {
        (self.user_timeout != 0).then(|| duration(self.user_timeout))
    }

    /// How long a connection that is not established yet may wait for an answer.
    pub(super) fn handshake_timeout(&self) -> Option<Duration> {
        [self.connect_timeout, self.user_timeout]
            .into_iter()
            .filter(|ms| *ms != 0)
            .min()
            .map(duration)
    }

    /// The flags of a connection that follow from its settings.
    pub(super) fn flags(&self) -> TcbFlags {
        let mut flags = TcbFlags::empty();
        flags.set(TcbFlags::NODELAY, self.nodelay);
        flags.set(TcbFlags::CORK, self.cork);
        flags.set(TcbFlags::KEEPALIVE, self.keep_count > 0);
        let limited = self.user_timeout != 0 || self.connect_timeout != 0;
        flags.set(TcbFlags::USER_TIMEOUT, limited);
        flags
    }
}

impl TcbFlags {
    /// Those that [`Profile::flags`] decides.
    pub(super) const SETTINGS: Self = Self::NODELAY
        .union(Self::CORK)
        .union(Self::KEEPALIVE)
        .union(Self::USER_TIMEOUT);
}

/// A place in [`Profiles`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProfileId(u8);

impl ProfileId {
    /// The stack's defaults.
    pub(super) const DEFAULT: Self = Self(0);
}

/// Different combinations of settings that there can be at a time.
const PROFILES: usize = 1 << u8::BITS;

/// Every combination of settings that is in use, once. The first is that of the configuration and
/// stays.
#[derive(Debug)]
pub(super) struct Profiles {
    profiles: Box<[Profile; PROFILES]>,
    /// Connections and listeners with each of them.
    users: Box<[u32; PROFILES]>,
}

impl Profiles {
    pub(super) fn new(default: Profile) -> Self {
        let mut users = Box::new([0; PROFILES]);
        users[0] = 1;
        Self {
            profiles: vec![default; PROFILES]
                .try_into()
                .unwrap_or_else(|_| Box::new([default; PROFILES])),
            users,
        }
    }

    #[inline]
    pub(super) fn get(&self, id: ProfileId) -> &Profile {
        &self.profiles[usize::from(id.0)]
    }

    /// One more has this profile.
    pub(super) fn retain(&mut self, id: ProfileId) {
        self.users[usize::from(id.0)] += 1;
    }

    /// One has gone that had this profile.
    pub(super) fn release(&mut self, id: ProfileId) {
        let users = &mut self.users[usize::from(id.0)];
        debug_assert!(*users > 0);
        *users = users.saturating_sub(1);
    }

    /// One that has the profile `id` wants `profile` instead; `None`, and nothing has changed, when
    /// there are too many different ones.
    pub(super) fn change(&mut self, id: ProfileId, profile: Profile) -> Option<ProfileId> {
        let used = |(_, users): &(u8, &u32)| **users > 0;
        let equal = (0u8..=u8::MAX)
            .zip(self.users.iter())
            .filter(used)
            .find(|(index, _)| self.profiles[usize::from(*index)] == profile);
        let free = || {
            (0u8..=u8::MAX)
                .zip(self.users.iter())
                .find(|one| !used(one))
        };
        let own = usize::from(id.0);
        let index = match equal {
            Some((index, _)) => index,
            // Nobody else has it, and the default has a user that never leaves.
            None if self.users[own] == 1 && id != ProfileId::DEFAULT => id.0,
            None => free()?.0,
        };
        self.profiles[usize::from(index)] = profile;
        self.release(id);
        self.retain(ProfileId(index));
        Some(ProfileId(index))
    }

    /// Users of all profiles, the configuration aside.
    #[cfg(test)]
    fn users(&self) -> u32 {
        self.users.iter().sum::<u32>() - 1
    }
}

impl Tcb {
    /// Its settings.
    #[inline]
    pub(super) fn settings<'s>(&self, shared: &'s super::shared::Shared) -> &'s Profile {
        shared.profiles.get(self.profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> Profile {
        Profile::new(&TcpConfig::default()).unwrap()
    }

    #[test]
    fn what_is_set_can_be_read() {
        let mut profile = default();
        let keepalive = Keepalive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(1),
            count: 3,
        };
        for setting in [
            TcpSetting::NoDelay(true),
            TcpSetting::Cork(true),
            TcpSetting::Keepalive(Some(keepalive)),
            TcpSetting::UserTimeout(Some(Duration::from_secs(7))),
            TcpSetting::ConnectTimeout(Some(Duration::from_micros(1_500))),
            TcpSetting::Linger(Some(Duration::ZERO)),
            TcpSetting::DelayedAck(Duration::from_millis(500)),
            TcpSetting::Congestion(CongestionAlgorithm::NewReno),
            TcpSetting::ReceiveBuffer(4_096),
            TcpSetting::SendBuffer(1 << 30),
            TcpSetting::TimeToLive(255),
            TcpSetting::Dscp(46),
        ] {
            profile.set(setting).unwrap();
        }
        let wanted = TcpSettings {
            nodelay: true,
            cork: true,
            keepalive: Some(keepalive),
            user_timeout: Some(Duration::from_secs(7)),
            connect_timeout: Some(Duration::from_millis(2)),
            linger: Some(Duration::ZERO),
            delayed_ack: Duration::from_millis(500),
            congestion: CongestionAlgorithm::NewReno,
            receive_buffer: 4_096,
            send_buffer: 1 << 30,
            time_to_live: 255,
            dscp: 46,
        };
        assert_eq!(profile.settings(), wanted);
        assert_eq!(profile.handshake_timeout(), Some(Duration::from_millis(2)));
        assert_eq!(profile.flags(), TcbFlags::SETTINGS);
    }

    #[test]
    fn what_is_out_of_range_changes_nothing() {
        let too_long = Duration::from_secs(25 * 24 * 3_600);
        let keepalive = |idle, count| {
            TcpSetting::Keepalive(Some(Keepalive {
                idle: Duration::from_millis(idle),
                interval: Duration::from_secs(75),
                count,
            }))
        };
        let mut profile = default();
        for setting in [
            keepalive(999, 9),
            keepalive(1_000, 0),
            TcpSetting::UserTimeout(Some(Duration::from_millis(99))),
            TcpSetting::UserTimeout(Some(too_long)),
            TcpSetting::ConnectTimeout(Some(Duration::ZERO)),
            TcpSetting::Linger(Some(too_long)),
            TcpSetting::DelayedAck(Duration::from_millis(501)),
            TcpSetting::ReceiveBuffer(4_095),
            TcpSetting::SendBuffer((1 << 30) + 1),
            TcpSetting::TimeToLive(0),
            TcpSetting::Dscp(64),
        ] {
            assert_eq!(profile.set(setting), Err(SettingError::OutOfRange));
            assert_eq!(profile, default(), "{setting:?}");
        }
    }

    #[test]
    fn equal_settings_share_a_place_and_unused_places_are_free_again() {
        let mut profiles = Profiles::new(default());
        let with = |hops| Profile {
            time_to_live: hops,
            ..default()
        };
        // As many connections as there are places beside the default one.
        for hops in 0..255 {
            profiles.retain(ProfileId::DEFAULT);
            let id = profiles
                .change(ProfileId::DEFAULT, with(hops))
                .unwrap_or_default();
            assert_eq!(profiles.get(id).time_to_live, hops);
        }
        // 64 was the default's, so one is left.
        assert_eq!(profiles.users(), 255);
        let mut corked = with(1);
        corked.cork = true;
        profiles.retain(ProfileId::DEFAULT);
        let id = profiles.change(ProfileId::DEFAULT, corked).unwrap();
        profiles.retain(ProfileId::DEFAULT);
        assert_eq!(profiles.change(ProfileId::DEFAULT, with(255)), None);
        assert_eq!(profiles.get(ProfileId::DEFAULT), &default());
        // The only user of a place may change it.
        assert_eq!(profiles.change(id, with(255)), Some(id));
        // Back to what others have, the place is free.
        let one = profiles.change(id, with(1)).unwrap();
        assert_ne!(one, id);
        assert_eq!(profiles.change(ProfileId::DEFAULT, corked), Some(id));
        assert_eq!(profiles.users(), 257);
    }
}
