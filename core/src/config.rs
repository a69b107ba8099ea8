//! What the owner of a stack may choose, and the limits that follow from it.

use crate::error::ConfigError;
use crate::ip::{INTERFACE_BYTES, TIME_TO_LIVE};
use crate::pool::HEADROOM;
use crate::tcp::{CONNECTION_BYTES, HALF_OPEN_BYTES, LISTENER_BYTES, TIME_WAIT_BYTES};
use core::net::SocketAddr;
use core::time::Duration;

/// Choices for a whole stack. Every limit has a default derived from [`Config::memory`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Memory for frames and tables, in bytes. Default 16 MiB. All of it is allocated by
    /// [`Stack::new`](crate::Stack::new); the stack allocates nothing afterwards.
    pub memory: usize,
    /// The largest MTU of any interface, in bytes without the Ethernet header: 576 to 65,000,
    /// default 1500. It fixes the size of the pool's frames.
    pub max_mtu: usize,
    /// Most interfaces, those of VLANs included: 1 to 64, default 8. Each takes some 11 KiB of
    /// the memory.
    pub max_interfaces: usize,
    /// Most TCP connections; default: as many as a quarter of the memory holds.
    pub max_connections: Option<usize>,
    /// Most half-open TCP connections of all listeners; default: `max_connections`, at most 4,096.
    pub max_half_open: Option<usize>,
    /// Most remembered TIME-WAIT states; when full the oldest ends early. Default:
    /// `max_connections`, at most 16,384.
    pub max_time_wait: Option<usize>,
    /// Most TCP listeners. Default 32.
    pub max_listeners: usize,
    /// Most UDP sockets. Default 64.
    pub max_udp_sockets: usize,
    /// Bytes that wait at most in one UDP socket's receive queue. Default 212,992. All queues
    /// together can always have an eighth of the frames, and never more than a quarter. A datagram
    /// that came in fragments takes as many frames as there were.
    pub udp_receive_buffer: usize,
    /// Most memberships of UDP sockets in groups. Default 16. Each interface listens to 32 groups at
    /// most, and tells the link of 32 sources at most.
    pub max_group_memberships: usize,
    /// Most TCP connections that one peer may have open to all listeners together: an IPv4 address,
    /// or all addresses of an IPv6 network of 64 bits, which are one host's to choose.
    /// Default `None`: no such limit, and no memory for it. A SYN beyond it is ignored, and a
    /// handshake that ends beyond it is reset; both are counted.
    pub max_connections_per_peer: Option<usize>,
    /// The least path MTU over IPv4 that an ICMP message is believed, in bytes: 576, the default, to
    /// 65,000. A lower claim is dropped and counted: it is forged, or the path is found by probing.
    pub min_path_mtu: usize,
    /// Defaults of new TCP connections.
    pub tcp: TcpConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            max_mtu: 1500,
            max_interfaces: 8,
            max_connections: None,
            max_half_open: None,
            max_time_wait: None,
            max_listeners: 32,
            max_udp_sockets: 64,
            udp_receive_buffer: 212_992,
            max_group_memberships: 16,
            max_connections_per_peer: None,
            min_path_mtu: 576,
            tcp: TcpConfig::default(),
        }
    }
}

/// Defaults of new TCP connections.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Largest receive window of a connection, in bytes; what the pool can spare bounds it
    /// further. Default 4 MiB; 4 KiB to 1 GiB.
    pub receive_buffer: usize,
    /// Most bytes that wait in a connection's send queue, unsent or unacknowledged. Default 4 MiB;
    /// 4 KiB to 1 GiB.
    pub send_buffer: usize,
    /// Whether a connection gets of its buffers what its path and its user can use: the receive
    /// window starts with 64 KiB and grows as the user keeps up, the send queue follows the
    /// congestion window. Otherwise each connection has the whole buffers at once, as far as the
    /// pool allows. Default true.
    pub autotuning: bool,
    /// Whether output is spread over the round-trip time where that is at least 4 ms. Default
    /// true.
    pub pacing: bool,
    /// Whether a path that swallows full segments is found out and searched for the size that it
    /// carries, without help from ICMP (RFC 4821). Default true.
    pub mtu_probing: bool,
    /// Disables Nagle's algorithm (RFC 9293 §3.7.4). Default false.
    pub nodelay: bool,
    /// What governs the rate of sending. Default CUBIC.
    pub congestion: CongestionAlgorithm,
    /// Explicit congestion notification (RFC 3168, RFC 9768). Default [`EcnMode::Passive`].
    pub ecn: EcnMode,
    /// How long an acknowledgement may wait for company: default 40 ms, at most 500 ms
    /// (RFC 9293 §3.8.6.3 MUST-40).
    pub delayed_ack: Duration,
    /// How long a closed connection is remembered: default 60 s. RFC 9293 §3.4.1 asks for 2 MSL,
    /// 4 minutes; this is what Linux uses.
    pub time_wait: Duration,
    /// How long a connection that the user closed waits for the peer's FIN. Default 60 s.
    pub fin_wait_2: Duration,
    /// How often the SYN of a connection that the user asked for is sent again. Default 5.
    pub syn_retries: u8,
    /// How often the SYN-ACK of a listener is sent again. Default 3: whoever sends SYNs with the
    /// address of somebody else sends as many packets to him at most.
    pub syn_ack_retries: u8,
    /// When SYNs are answered with cookies. Default [`SynCookies::WhenFull`].
    pub syn_cookies: SynCookies,
    /// How long the peer may keep its window closed, acknowledging every probe, without taking a
    /// byte of what waits for it. Default `None`: for ever (RFC 9293 §3.8.6.1, MUST-37), but for
    /// `user_timeout` while the stack is short of connections or of memory to send, that is, while
    /// more than 7/8 of either are in use (RFC 6429 §4).
    pub zero_window_timeout: Option<Duration>,
    /// How long unacknowledged data is retransmitted before the connection fails (R2 of RFC 9293
    /// §3.8.3). Default 5 minutes, at least 100 s (MUST-21 and SHLD-11).
    pub user_timeout: Duration,
    /// How long a connection may take to be established: 1 ms to 24 days. Default `None`: as
    /// `syn_retries` says, 63 s with its default.
    pub connect_timeout: Option<Duration>,
    /// Probes of idle connections. Default `None`: off (RFC 9293 §3.8.4, MUST-25).
    pub keepalive: Option<Keepalive>,
    /// What closing means while data is unacknowledged: see
    /// [`TcpSetting::Linger`](crate::tcp::TcpSetting::Linger). Default `None`: it is delivered in
    /// the background.
    pub linger: Option<Duration>,
    /// The time to live of packets: 1 to 255. Default 64 (RFC 9293 §3.9.1, MUST-49: configurable).
    pub time_to_live: u8,
    /// The differentiated services code point of packets (RFC 2474 §3): 0 to 63. Default 0.
    pub dscp: u8,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            receive_buffer: 4 << 20,
            send_buffer: 4 << 20,
            autotuning: true,
            pacing: true,
            mtu_probing: true,
            nodelay: false,
            congestion: CongestionAlgorithm::default(),
            ecn: EcnMode::default(),
            delayed_ack: Duration::from_millis(40),
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
            syn_retries: 5,
            syn_ack_retries: 3,
            syn_cookies: SynCookies::default(),
            zero_window_timeout: None,
            user_timeout: Duration::from_secs(300),
            connect_timeout: None,
            keepalive: None,
            linger: None,
            time_to_live: TIME_TO_LIVE,
            dscp: 0,
        }
    }
}

/// Probes of a connection on which nothing arrives (RFC 9293 §3.8.4): a peer that has gone without
/// a word is noticed, and what forgets idle connections on the way is reminded of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// How long nothing has arrived before the first probe: 1 s to 24 days. Default 2 hours
    /// (MUST-27, MUST-28: no less by default).
    pub idle: Duration,
    /// Between probes: 1 s to 24 days. Default 75 s.
    pub interval: Duration,
    /// Unanswered probes after which the connection fails, 1 to 255: after one more interval, with
    /// "timed out". Default 9 (MUST-29: more than one).
    pub count: u8,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7_200),
            interval: Duration::from_secs(75),
            count: 9,
        }
    }
}

/// When a listener answers SYNs with cookies (RFC 4987 §3.6) instead of remembering them.
///
/// What a cookie costs: the SYN-ACK is not sent again, the peer's MSS is rounded down to one of
/// eight sizes, and without timestamps window scale and SACK are not agreed on. So the default uses
/// them only when there is no memory for the ordinary way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynCookies {
    /// Never: SYNs beyond the limits are ignored.
    Off,
    /// When the listener's backlog has no room for one more half-open connection, or the stack has
    /// none.
    #[default]
    WhenFull,
    /// Always: no half-open connection is ever remembered.
    Always,
}

/// Choices for one listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Most connections that wait: complete ones for the user to accept them, and half-open ones
    /// for their peers. At least 1; default 128. When it is full, SYNs are answered with cookies
    /// ([`TcpConfig::syn_cookies`]); when it is full of complete ones, SYNs are ignored.
    pub backlog: usize,
    /// Most connections open at the same time that this listener has brought, accepted or not.
    /// Default `None`: as many as the stack has room for. Beyond it SYNs are ignored, and
    /// handshakes that end beyond it are reset.
    pub max_connections: Option<usize>,
    /// Fast Open (RFC 7413): most connections at a time that have sent data with their SYN and whose
    /// handshake is not complete. Data of others waits for the handshake. Default 0: off, since a
    /// SYN that the network duplicates may be taken twice, with its data.
    pub fast_open: usize,
}

/// Choices for one connection to a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions<'a> {
    /// Our address and port. Without it, or with an unspecified address or port 0 in it, the route
    /// decides the address and a random port is taken.
    pub local: Option<SocketAddr>,
    /// Fast Open (RFC 7413): `early_data` goes with the SYN to a server that has given us a cookie
    /// before; otherwise the SYN asks for one. Only for data that the server may take twice. Off by
    /// default.
    pub fast_open: bool,
    /// Data to send first. At most what one segment carries is taken.
    pub early_data: &'a [u8],
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 128,
            max_connections: None,
            fast_open: 0,
        }
    }
}

/// Congestion control algorithms. All start with ten segments (RFC 6928) and leave their first slow
/// start by HyStart++ (RFC 9406).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CongestionAlgorithm {
    /// RFC 9438: fills long and fast paths, and is as friendly as NewReno on others. What most hosts
    /// use.
    #[default]
    Cubic,
    /// RFC 5681: gives way more, and takes longer to come back.
    NewReno,
}

/// Whether connections use explicit congestion notification: routers that are congested mark
/// packets instead of dropping them (RFC 3168, RFC 9768).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnMode {
    /// Never.
    Off,
    /// Where a peer asks for it. What most hosts do.
    #[default]
    Passive,
    /// Asks for it in connections to peers as well. A SYN that asks and is lost goes once more,
    /// and then without asking.
    Active,
    /// As `Active`, but asks for Accurate ECN (RFC 9768), agrees to it where a peer asks for it, and
    /// to classic ECN with peers that know no other.
    Accurate,
}

impl CongestionAlgorithm {
    /// The name: `cubic` or `new-reno`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "new-reno",
        }
    }
}

/// One network interface.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceConfig {
    /// Our Ethernet address on it.
    pub hardware_address: [u8; 6],
    /// Largest IP packet it carries, in bytes: 576 to [`Config::max_mtu`].
    pub mtu: usize,
}

/// A VLAN of an interface (IEEE 802.1Q).
#[derive(Clone, Copy, Debug)]
pub struct VlanConfig {
    /// The VLAN identifier: 1 to 4094.
    pub id: u16,
    /// The priority in the tags of what we send (PCP): 0, best effort, to 7. Of what is received the
    /// priority means nothing to us.
    pub priority: u8,
    /// Largest IP packet, 576 to the parent's MTU; `None`: the parent's. The parent's device must
    /// carry the four bytes of a tag beside that, as most do.
    pub mtu: Option<usize>,
}

impl VlanConfig {
    /// The VLAN with priority 0 and the parent's MTU.
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self {
            id,
            priority: 0,
            mtu: None,
        }
    }
}

/// How an interface uses IPv6.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Config {
    /// What the stack makes the second half of its own addresses of. Default opaque.
    pub identifiers: InterfaceIdentifiers,
    /// The secret behind opaque identifiers. With the same one, a host has the same addresses after
    /// every start; `None`, the default, takes a new one at each start.
    pub secret: Option<[u8; 16]>,
    /// Whether routers are asked and believed: addresses made of their prefixes (RFC 4862), default
    /// routes and more specific ones (RFC 4191), MTU, DNS servers (RFC 8106). Default true.
    pub accept_router_advertisements: bool,
    /// Whether, beside each stable address that is made of a router's prefix, there is one that
    /// changes every day and that connections leave from (RFC 8981). Default false: servers want
    /// to be found.
    pub temporary_addresses: bool,
    /// Probes before an address is used (DupAddrDetectTransmits of RFC 4862 §5.1). Default 1; 0
    /// uses it at once, without asking.
    pub dad_transmits: u8,
    /// Whether DHCPv6 servers are asked for DNS servers and search domains. Default: where routers
    /// say so.
    pub dhcp6: Dhcp6Mode,
}

impl Default for Ipv6Config {
    fn default() -> Self {
        Self {
            identifiers: InterfaceIdentifiers::default(),
            secret: None,
            accept_router_advertisements: true,
            temporary_addresses: false,
            dad_transmits: 1,
            dhcp6: Dhcp6Mode::default(),
        }
    }
}

/// When an interface asks DHCPv6 servers for what is not an address (RFC 8415 §6.1). Addresses are
/// never asked for: an interface makes its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dhcp6Mode {
    /// Never.
    Never,
    /// When a router that is believed says so: by the flag O, or M, of its advertisements (RFC 4861
    /// §4.2).
    #[default]
    FollowRouters,
    /// As soon as it has an address, whatever routers say.
    Always,
}

/// A domain name as text, as long as names can be (RFC 1035 §2.3.4), without a dot at its end.
pub type DomainName = heapless::String<253>;

/// What a host makes the identifiers of its addresses of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InterfaceIdentifiers {
    /// A keyed hash of prefix and interface (RFC 7217): stable as long as the secret is, and it
    /// tells nothing and differs from network to network.
    #[default]
    Opaque,
    /// The Ethernet address (RFC 4291 appendix A), the same in every network.
    Eui64,
}

/// The limits of a stack, as they follow from its [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Frames in the pool.
    pub frames: usize,
    /// Bytes in each frame.
    pub frame_size: usize,
    /// Frames that only the receive path and control packets may use, so that acknowledgements
    /// can always be taken in and answered.
    pub reserved_frames: usize,
    /// Most TCP connections.
    pub connections: usize,
    /// Most half-open TCP connections.
    pub half_open: usize,
    /// Most remembered TIME-WAIT states.
    pub time_wait: usize,
}

/// The smallest workable pool: the reserve, and a few frames for data.
const MIN_FRAMES: usize = 96;
/// Most packets that wait for the Ethernet address of their next hop.
const MAX_PENDING: usize = 128;
/// Tables beside a frame's bytes: its descriptor, and half a range of data behind holes.
const FRAME_TABLE_BYTES: usize = crate::pool::META_BYTES + crate::tcp::RANGE_BYTES / 2;
/// Bytes for a neighbour, with all its tables.
const NEIGHBOUR_BYTES: usize = 128;
/// The same for the count of a peer's connections.
const PEER_BYTES: usize = 64;
/// Tables of a fixed size: destinations, path MTUs, rate limits, identifications,
/// settings of connections.
const FIXED_BYTES: usize = 60 << 10;
/// Most interfaces that can be asked for.
const MAX_INTERFACES: usize = 64;
/// Bytes for a packet whose fragments wait for others.
const REASSEMBLY_BYTES: usize = 112;
/// Most entries of a kind: handles have 24 bits for them.
const MAX_ENTRIES: usize = 1 << 20;

/// Entries of the neighbour cache: one for each 16 KiB, 128 to 1,024.
pub(crate) fn neighbours(config: &Config) -> usize {
    (config.memory >> 14).clamp(128, 1_024)
}

/// Packets whose fragments wait for others: one for each 128 KiB, 16 to 128.
pub(crate) fn reassembled_packets(config: &Config) -> usize {
    (config.memory >> 17).clamp(16, 128)
}

impl Limits {
    /// Derives and checks the limits.
    ///
    /// # Errors
    /// [`ConfigError::MtuOutOfRange`], [`ConfigError::MemoryTooSmall`] and
    /// [`ConfigError::LimitOutOfRange`].
    pub fn derive(config: &Config) -> Result<Self, ConfigError> {
        if !(576..=65_000).contains(&config.max_mtu) {
            return Err(ConfigError::MtuOutOfRange);
        }
        let in_range = crate::tcp::is_in_range(&config.tcp)
            && config
                .tcp
                .zero_window_timeout
                .is_none_or(|timeout| !timeout.is_zero())
            && config.max_connections_per_peer != Some(0)
            && (576..=65_000).contains(&config.min_path_mtu)
            && (1..=MAX_INTERFACES).contains(&config.max_interfaces)
            && (1..=MAX_ENTRIES).contains(&config.max_listeners)
            && (1..=MAX_ENTRIES).contains(&config.max_udp_sockets)
            && config.max_group_memberships <= MAX_ENTRIES;
        if !in_range {
            return Err(ConfigError::LimitOutOfRange);
        }
        let frame_size = (HEADROOM + config.max_mtu).next_multiple_of(64);
        let connections = config.max_connections.unwrap_or(
            (config.memory / 4 / (CONNECTION_BYTES + HALF_OPEN_BYTES + TIME_WAIT_BYTES))
                .clamp(16, MAX_ENTRIES),
        );
        let half_open = config.max_half_open.unwrap_or(connections.min(4_096));
        let time_wait = config.max_time_wait.unwrap_or(connections.min(16_384));
        if [connections, half_open, time_wait]
            .iter()
            .any(|n| !(1..=MAX_ENTRIES).contains(n))
        {
            return Err(ConfigError::LimitOutOfRange);
        }
        let tables = connections * CONNECTION_BYTES
            + half_open * HALF_OPEN_BYTES
            + time_wait * TIME_WAIT_BYTES
            + config.max_listeners * LISTENER_BYTES
            + neighbours(config) * NEIGHBOUR_BYTES
            + reassembled_packets(config) * REASSEMBLY_BYTES
            + config
                .max_connections_per_peer
                .map_or(0, |_| connections * PEER_BYTES)
            + config.max_udp_sockets * crate::udp::SOCKET_BYTES
            + config.max_interfaces * INTERFACE_BYTES
            + config.max_group_memberships * crate::udp::MEMBER_BYTES
            + FIXED_BYTES;
        let frame_bytes = frame_size + FRAME_TABLE_BYTES;
        let frames = config.memory.saturating_sub(tables) / frame_bytes;
        if frames < MIN_FRAMES {
            return Err(ConfigError::MemoryTooSmall);
        }
        let reserved_frames = (frames / 16).clamp(32, 256);
        Ok(Self {
            frames,
            frame_size,
            reserved_frames,
            connections,
            half_open,
            time_wait,
        })
    }

    /// Frames that data of users may be in.
    fn shared_frames(&self) -> usize {
        self.frames.saturating_sub(self.reserved_frames)
    }

    /// Frames set aside for packets that wait for a neighbour, the most of them that there may be.
    pub(crate) fn waiting_frames(&self) -> usize {
        MAX_PENDING.min(self.frames / 8)
    }

    /// Most frames in the receive queues of UDP, however few others use.
    pub(crate) fn most_datagrams(&self) -> usize {
        self.shared_frames() / 4
    }

    /// Most frames for fragments that wait for others. They and the receive queues of UDP share what
    /// follows.
    pub(crate) fn most_fragments(&self) -> usize {
        self.shared_frames() / 8
    }

    /// Frames that the receive queues of UDP can always have.
    pub(crate) fn least_datagrams(&self) -> usize {
        self.shared_frames() / 8
    }

    /// Frames for the data of TCP while the receive queues of UDP, and fragments that wait for others,
    /// hold `datagrams`.
    pub(crate) fn tcp_frames(&self, datagrams: usize) -> usize {
        let others = self.waiting_frames() + datagrams.max(self.least_datagrams());
        self.shared_frames().saturating_sub(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_leave_most_of_the_memory_to_frames() {
        let config = Config::default();
        let limits = Limits::derive(&config).unwrap();
        assert!(
            limits.frames * limits.frame_size > config.memory / 2,
            "{limits:?}"
        );
        assert!(limits.connections >= 1_000, "{limits:?}");
    }

    /// RFC 9293 §3.8.4 (MUST-25, MUST-28), §3.8.3 (SHLD-11).
    #[test]
    fn times_are_what_the_standard_asks_for_by_default() {
        let hours = Duration::from_secs(2 * 3_600);
        assert!(Keepalive::default().idle >= hours);
        assert_eq!(TcpConfig::default().keepalive, None);
        assert!(TcpConfig::default().user_timeout >= Duration::from_secs(100));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            Limits::derive(&config).unwrap_err()
        };
        assert_eq!(with(|c| c.memory = 100_000), ConfigError::MemoryTooSmall);
        assert_eq!(
            with(|c| c.max_connections = Some(1 << 20)),
            ConfigError::MemoryTooSmall
        );
        assert_eq!(with(|c| c.max_mtu = 575), ConfigError::MtuOutOfRange);
        assert_eq!(with(|c| c.max_mtu = 65_001), ConfigError::MtuOutOfRange);
        assert_eq!(
            with(|c| c.max_half_open = Some(0)),
            ConfigError::LimitOutOfRange
        );
        assert_eq!(
            with(|c| c.tcp.send_buffer = 0),
            ConfigError::LimitOutOfRange
        );
    }
}
