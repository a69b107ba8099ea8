//! Groups, with Linux as the switch and its querier: a bridge that forwards what goes to a group only
//! to ports where somebody has told it of a membership (RFC 4541).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::bridge;
use mnet_tests::packet::PacketSocket;
use mnet_tests::prefix::succeed;
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST};
use crate::ipv6::{self, eventually, ip, ping};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("igmp_3_is_heard_by_a_switch", |fixture| {
        membership(fixture, &IGMP_3)
    }),
    ("igmp_2_is_heard_by_a_switch", |fixture| {
        membership(fixture, &IGMP_2)
    }),
    ("mld_2_is_heard_by_a_switch", |fixture| {
        membership(fixture, &MLD_2)
    }),
    ("mld_1_is_heard_by_a_switch", |fixture| {
        membership(fixture, &MLD_1)
    }),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// The image's port, in the group and alone.
const PORT: u16 = 5353;
/// The bridge's port with the image.
const PORT_OF_IMAGE: &str = "tap0";

/// What the bridge's querier speaks, and what the image then has to say.
struct Protocol {
    /// Options of the bridge.
    bridge: &'static str,
    group: IpAddr,
    guest: IpAddr,
    /// What tells of a membership, and of the end of one.
    report: Message,
    leave: Message,
    /// What the bridge's table says of the membership.
    mode: &'static str,
}

/// A type of IGMP or ICMPv6, and the types of records for the group where a message has those.
struct Message {
    message_type: u8,
    records: &'static [u8],
}

impl Message {
    const fn new(message_type: u8, records: &'static [u8]) -> Self {
        Self {
            message_type,
            records,
        }
    }

    fn is(&self, message: &[u8], group: &[u8]) -> bool {
        let at = message
            .windows(group.len())
            .position(|bytes| bytes == group);
        // A record starts with its type, four bytes in front of the group.
        let record = at.and_then(|at| message.get(at.checked_sub(4)?));
        message.first() == Some(&self.message_type)
            && record.is_some_and(|kind| self.records.is_empty() || self.records.contains(kind))
    }
}

/// MODE_IS_EXCLUDE and CHANGE_TO_EXCLUDE_MODE without sources: everybody is listened to.
const EVERYBODY: &[u8] = &[2, 4];
/// CHANGE_TO_INCLUDE_MODE without sources: nobody.
const NOBODY: &[u8] = &[3];

const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 77, 78, 69));
const GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x4d4e, 0x4554));
const IGMP_3: Protocol = Protocol {
    bridge: "mcast_igmp_version 3",
    group: GROUP,
    guest: IpAddr::V4(GUEST),
    report: Message::new(0x22, EVERYBODY),
    leave: Message::new(0x22, NOBODY),
    mode: " filter_mode exclude",
};
const IGMP_2: Protocol = Protocol {
    bridge: "mcast_igmp_version 2",
    report: Message::new(0x16, &[]),
    leave: Message::new(0x17, &[]),
    mode: "",
    ..IGMP_3
};
const MLD_2: Protocol = Protocol {
    bridge: "mcast_mld_version 2",
    group: GROUP_V6,
    guest: IpAddr::V6(ipv6::GUEST),
    report: Message::new(143, EVERYBODY),
    leave: Message::new(143, NOBODY),
    mode: " filter_mode exclude",
};
const MLD_1: Protocol = Protocol {
    bridge: "mcast_mld_version 1",
    report: Message::new(131, &[]),
    leave: Message::new(132, &[]),
    mode: "",
    ..MLD_2
};

/// The image at a port of a bridge, which is Linux's own network.
struct Network {
    image: Process,
    /// What the image sends.
    packets: PacketSocket,
}

impl Network {
    /// The bridge asks every second, and believes an end of membership after two questions within a
    /// fifth of one.
    fn new(fixture: &Fixture, protocol: &Protocol) -> Result<Self> {
        let directory = fixture.directory("multicast")?.join(protocol.bridge);
        let image = fixture
            .prefix
            .build_image("tests/images/groups", "groups", &directory)?;
        let tap = Tap::new(PORT_OF_IMAGE)?;
        let bridge = bridge::join("br0", &[&tap])?;
        // The port has no addresses: what Linux sends to groups leaves by the bridge.
        std::fs::write("/proc/sys/net/ipv6/conf/tap0/disable_ipv6", "1")?;
        bridge.set_address(HOST, 24)?;
        ip(&format!(
            "link set br0 type bridge mcast_snooping 1 {} mcast_querier 1 mcast_query_interval 100 \
             mcast_startup_query_interval 100 mcast_query_response_interval 50 \
             mcast_last_member_interval 10 mcast_last_member_count 2",
            protocol.bridge
        ))?;
        ip("address add 2001:db8::1/64 dev br0 nodad")?;
        ip("route add 224.0.0.0/4 dev br0")?;
        let packets = PacketSocket::open(&tap)?;
        let image = fixture
            .unikernel(&image)
            .option("--mem=8")
            .option("--net:service=tap0")
            .argument(format!("--ipv4={GUEST}/24"))
            .argument(format!("--ipv6={}/64", ipv6::GUEST))
            .start()?;
        image.wait_for("groups: joined", PATIENCE)?;
        eventually("the first ping", || ping(&ipv6::GUEST.to_string(), 56))?;
        Ok(Self { image, packets })
    }

    /// What the bridge knows of a group at a port: `None` if it is not listed there.
    fn listed(&self, group: IpAddr, port: &str) -> Result<Option<String>> {
        let table = succeed(Command::new("bridge").args(["-d", "mdb", "show", "dev", "br0"]))?;
        let entry = format!("port {port} grp {group} ");
        let line = table.lines().find(|line| line.contains(&entry));
        Ok(line.map(str::to_owned))
    }

    /// Waits until the bridge knows of a membership at that port.
    fn wait_listed(&self, protocol: &Protocol, port: &str) -> Result<()> {
        eventually("the membership", || {
            let entry = self.listed(protocol.group, port)?;
            let entry = entry.with_context(|| format!("{} is not listed", protocol.group))?;
            // What Linux itself is in has no mode.
            ensure!(
                port != PORT_OF_IMAGE || entry.contains(protocol.mode),
                "{entry}"
            );
            Ok(())
        })
    }

    /// Waits until the image has said this of a group.
    fn wait_said(&self, wanted: &Message, group: IpAddr) -> Result<()> {
        let group = match group {
            IpAddr::V4(group) => group.octets().to_vec(),
            IpAddr::V6(group) => group.octets().to_vec(),
        };
        self.packets
            .find(PATIENCE, |frame| {
                let message = membership_message(frame)?;
                wanted.is(message, &group).then_some(())
            })?
            .with_context(|| format!("no message of type {:#x}", wanted.message_type))
    }
}

/// The message in a frame of IGMP or of multicast listener discovery, which both have a Router Alert
/// option.
fn membership_message(frame: &[u8]) -> Option<&[u8]> {
    const ETHERNET: usize = 14;
    match frame.get(ETHERNET - 2..ETHERNET)? {
        // A header of 24 bytes, IGMP.
        [0x08, 0x00]
            if frame.get(ETHERNET) == Some(&0x46) && frame.get(ETHERNET + 9) == Some(&2) =>
        {
            frame.get(ETHERNET + 24..)
        }
        // Hop-by-hop options of 8 bytes, ICMPv6.
        [0x86, 0xdd]
            if frame.get(ETHERNET + 6) == Some(&0) && frame.get(ETHERNET + 40) == Some(&58) =>
        {
            frame.get(ETHERNET + 48..)
        }
        _ => None,
    }
}

/// A member of the group on Linux, at the bridge.
fn join(network: &Network, protocol: &Protocol) -> Result<UdpSocket> {
    let any: IpAddr = match protocol.group {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    match protocol.group {
        IpAddr::V4(group) => socket.join_multicast_v4(&group, &HOST)?,
        IpAddr::V6(group) => {
            let bridge = Tap::existing("br0")?.index()?;
            socket.join_multicast_v6(&group, bridge.try_into()?)?;
        }
    }
    socket.set_read_timeout(Some(PATIENCE))?;
    network.wait_listed(protocol, "br0")?;
    Ok(socket)
}

/// The next datagram to the socket, which must be this one from the image.
fn expect(socket: &UdpSocket, protocol: &Protocol, payload: &[u8]) -> Result<()> {
    let mut buffer = [0; 2_048];
    let (len, sender) = socket.recv_from(&mut buffer).context("nothing comes")?;
    let text = String::from_utf8_lossy(&buffer[..len]);
    ensure!(
        buffer[..len] == *payload && sender.port() == PORT && is_guest(sender, protocol),
        "{sender}: {len} bytes: {text}"
    );
    Ok(())
}

/// Whether it is the image's address; to a group it may as well send from its link-local one.
fn is_guest(sender: SocketAddr, protocol: &Protocol) -> bool {
    match sender.ip() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => protocol.group.is_ipv6(),
        address => address == protocol.guest,
    }
}

/// Tells the image, and waits for its answer.
fn command(socket: &UdpSocket, protocol: &Protocol, word: &str) -> Result<()> {
    socket.send_to(word.as_bytes(), (protocol.guest, PORT))?;
    expect(socket, protocol, b"done").with_context(|| format!("{word}?"))
}

/// One datagram to the group, and its way back.
fn echo(socket: &UdpSocket, protocol: &Protocol, payload: &[u8]) -> Result<()> {
    socket.send_to(payload, (protocol.group, PORT))?;
    expect(socket, protocol, payload).context("the way through the group")
}

fn membership(fixture: &Fixture, protocol: &Protocol) -> Result<()> {
    let network = Network::new(fixture, protocol)?;
    from_join_to_leave(&network, protocol).with_context(|| network.image.text())
}

fn from_join_to_leave(network: &Network, protocol: &Protocol) -> Result<()> {
    // In the version of the querier, once it has been heard.
    network.wait_said(&protocol.report, protocol.group)?;
    network.wait_listed(protocol, PORT_OF_IMAGE)?;
    let socket = join(network, protocol)?;
    echo(&socket, protocol, b"one")?;
    echo(&socket, protocol, &[0x5a; 1_400])?;
    for _ in 0..2 {
        command(&socket, protocol, "leave")?;
        network.wait_said(&protocol.leave, protocol.group)?;
        eventually("the end of the membership", || {
            let entry = network.listed(protocol.group, PORT_OF_IMAGE)?;
            ensure!(entry.is_none(), "{entry:?}");
            Ok(())
        })?;
        // An echo would come before the answer to the command.
        socket.send_to(b"nobody", (protocol.group, PORT))?;
        command(&socket, protocol, "join")?;
        network.wait_said(&protocol.report, protocol.group)?;
        network.wait_listed(protocol, PORT_OF_IMAGE)?;
        echo(&socket, protocol, b"again")?;
    }
    Ok(())
}
