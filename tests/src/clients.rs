//! Linux clients of an echo service: they send, and check that exactly the same comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream, UdpSocket,
};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use sha2::{Digest, Sha256};

/// For how long a connection may stand still before it counts as dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// A deterministic stream of bytes that does not repeat.
///
/// SplitMix64, written out in little-endian order.
#[derive(Clone, Debug)]
pub struct Pattern {
    state: u64,
}

impl Pattern {
    /// The stream with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next bytes. A length that is not a multiple of 8 throws the rest of a word away.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What a transfer did.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// SHA-256 of what was sent.
    pub sent: [u8; 32],
    /// SHA-256 of what came back.
    pub received: [u8; 32],
    /// How many bytes came back.
    pub bytes: u64,
    /// From the first byte sent until the end of the stream came back.
    pub elapsed: Duration,
}

/// Sends `bytes` bytes of [`Pattern`] over a new connection, closes its sending side, and reads
/// until the service has closed its own. Sends and receives at once.
///
/// # Errors
///
/// When the connection fails, or nothing moves for 30 seconds.
pub fn tcp_echo(service: impl Into<SocketAddr>, seed: u64, bytes: u64) -> Result<Transfer> {
    let mut receiving = connect(service)?;
    let mut sending = receiving.try_clone()?;
    let start = Instant::now();
    let sender = thread::spawn(move || -> Result<[u8; 32]> {
        let (mut pattern, mut hash) = (Pattern::new(seed), Sha256::new());
        let mut buffer = vec![0; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let chunk = &mut buffer[..size];
            pattern.fill(chunk);
            hash.update(&*chunk);
            sending.write_all(chunk).context("sending")?;
            left -= u64::try_from(size)?;
        }
        sending.shutdown(Shutdown::Write)?;
        Ok(hash.finalize().into())
    });
    let mut hash = Sha256::new();
    let mut count = 0;
    let mut buffer = vec![0; 256 * 1024];
    let received = loop {
        match receiving.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(size) => {
                hash.update(&buffer[..size]);
                count += u64::try_from(size)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                // The sender must not stay in a write that nobody will take.
                let _ = receiving.shutdown(Shutdown::Both);
                break Err(error).with_context(|| format!("receiving, after {count} bytes"));
            }
        }
    };
    let sent = sender.join().expect("the sender does not panic");
    received?;
    Ok(Transfer {
        sent: sent?,
        received: hash.finalize().into(),
        bytes: count,
        elapsed: start.elapsed(),
    })
}

/// Like [`tcp_echo`], and insists that all came back unchanged.
///
/// # Errors
///
/// As there, or when count or hash differ.
pub fn tcp_echo_checked(service: impl Into<SocketAddr>, seed: u64, bytes: u64) -> Result<Transfer> {
    let transfer = tcp_echo(service, seed, bytes)?;
    ensure!(
        transfer.bytes == bytes,
        "sent {bytes} bytes, {} came back",
        transfer.bytes
    );
    ensure!(
        transfer.sent == transfer.received,
        "all {bytes} bytes came back, but not unchanged"
    );
    Ok(transfer)
}

/// Connects, with deadlines on everything.
///
/// # Errors
///
/// When nobody answers within 30 seconds, or the connection is refused.
pub fn connect(service: impl Into<SocketAddr>) -> Result<TcpStream> {
    let service = service.into();
    let stream = TcpStream::connect_timeout(&service, PATIENCE)
        .with_context(|| format!("connecting to {service}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Has the connection reset when it is closed, with whatever is on its way: its linger time is zero.
///
/// # Errors
///
/// When the kernel refuses.
pub fn reset_on_close(stream: &TcpStream) -> std::io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(stream, sockopt::Linger, &linger)?)
}

/// Sends one datagram and insists that it comes back unchanged. Tries again when one is lost, as
/// datagrams may be.
///
/// # Errors
///
/// When nothing comes back, or something else.
pub fn udp_echo(service: impl Into<SocketAddr>, seed: u64, size: usize) -> Result<()> {
    const TRIES: usize = 5;
    let service = service.into();
    let any: IpAddr = match service {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(service)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut sent = vec![0; size];
    Pattern::new(seed).fill(&mut sent);
    let mut received = vec![0; 65_536];
    for _ in 0..TRIES {
        socket.send(&sent)?;
        match socket.recv(&mut received) {
            Ok(length) => {
                ensure!(
                    received[..length] == sent,
                    "a datagram of {size} bytes came back with {length}, or changed"
                );
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("receiving a datagram"),
        }
    }
    bail!("a datagram of {size} bytes did not come back in {TRIES} tries")
}

/// Pings once with `size` bytes of data; the round-trip time.
///
/// # Errors
///
/// When no answer with the same data comes within that time.
pub fn ping(host: Ipv4Addr, sequence: u16, size: usize, within: Duration) -> Result<Duration> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Icmp,
    )
    .context("cannot open a raw socket")?;
    let id = u16::try_from(std::process::id() & 0xffff)?;
    let mut data = vec![0; size];
    Pattern::new(sequence.into()).fill(&mut data);
    let mut request = Vec::new();
    etherparse::Icmpv4Header::with_checksum(
        etherparse::Icmpv4Type::EchoRequest(etherparse::IcmpEchoHeader { id, seq: sequence }),
        &data,
    )
    .write(&mut request)?;
    request.extend(&data);
    let answer = {
        let mut answer = Vec::new();
        let header = etherparse::IcmpEchoHeader { id, seq: sequence };
        etherparse::Icmpv4Header::with_checksum(etherparse::Icmpv4Type::EchoReply(header), &data)
            .write(&mut answer)?;
        answer.extend(&data);
        answer
    };

    let start = Instant::now();
    let to = SockaddrIn::from(SocketAddrV4::new(host, 0));
    sendto(socket.as_raw_fd(), &request, &to, MsgFlags::empty()).context("sending a ping")?;
    let mut buffer = vec![0; 65_536];
    loop {
        let left = within.saturating_sub(start.elapsed());
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if left.is_zero() || poll(&mut fds, PollTimeout::try_from(left)?)? == 0 {
            bail!("no answer to a ping of {size} bytes within {within:?}");
        }
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let elapsed = start.elapsed();
        // A raw socket sees the IPv4 header too, and everybody's ICMP messages.
        let Ok((header, message)) = etherparse::Ipv4Header::from_slice(&buffer[..length]) else {
            continue;
        };
        if Ipv4Addr::from(header.source) == host && message == answer {
            return Ok(elapsed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A service on loopback that returns what it gets, changed by `change`.
    fn service(change: fn(&mut Vec<u8>)) -> SocketAddrV4 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            panic!("bound to an IPv4 address");
        };
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut data = Vec::new();
            client.read_to_end(&mut data).unwrap();
            change(&mut data);
            client.write_all(&data).unwrap();
        });
        address
    }

    #[test]
    fn what_comes_back_unchanged_is_accepted() {
        let transfer = tcp_echo_checked(service(|_| {}), 1, 100_000).unwrap();
        assert_eq!(transfer.bytes, 100_000);
        assert_eq!(transfer.sent, transfer.received);
    }

    #[test]
    fn a_single_wrong_bit_is_noticed() {
        let error = tcp_echo_checked(service(|data| data[77] ^= 1), 1, 100_000);
        assert!(error.unwrap_err().to_string().contains("not unchanged"));
    }

    #[test]
    fn a_missing_byte_is_noticed() {
        let error = tcp_echo_checked(service(|data| data.truncate(data.len() - 1)), 1, 100_000);
        assert!(error.unwrap_err().to_string().contains("99999 came back"));
    }

    #[test]
    fn patterns_of_different_seeds_differ_and_repeat_themselves() {
        let bytes = |seed| {
            let mut buffer = [0; 100];
            Pattern::new(seed).fill(&mut buffer);
            buffer
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }
}
