//! The echo image serves Linux clients.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{connect, ping, reset_on_close, tcp_echo_checked, udp_echo};
use mnet_tests::frame::{Segment, flags, parse_tcp};

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST, SERVICE};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("answers_pings_of_every_size", answers_pings),
    ("returns_datagrams_of_every_size", returns_datagrams),
    ("answers_no_other_service", answers_no_service),
    ("returns_a_gibibyte_unchanged", returns_a_gibibyte),
    ("serves_256_clients_at_once", serves_256_clients),
    ("survives_a_client_that_resets", survives_a_reset),
    ("survives_a_client_that_goes_silent", survives_silence),
    (
        "returns_data_after_the_client_shut_down",
        returns_after_shutdown,
    ),
    (
        "resets_a_syn_to_a_closed_port",
        resets_a_syn_to_a_closed_port,
    ),
];

fn answers_pings(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    for (sequence, size) in (0..).zip([0, 1, 2, 55, 56, 57, 1000, 1471, 1472]) {
        ping(GUEST, sequence, size, Duration::from_secs(5))?;
    }
    Ok(())
}

fn returns_datagrams(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    for size in (0..=64).chain((100..1472).step_by(100)).chain([1471, 1472]) {
        udp_echo(SERVICE, size.try_into()?, size)?;
    }
    Ok(())
}

/// A datagram that another echo service seems to have sent would be answered without end.
fn answers_no_service(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    no_service_is_answered()
}

/// Asks what is there as another echo service, and then as a client.
pub(crate) fn no_service_is_answered() -> Result<()> {
    let service = UdpSocket::bind((HOST, 7))?;
    let client = UdpSocket::bind((HOST, 1024))?;
    for socket in [&service, &client] {
        socket.send_to(b"a question", SERVICE)?;
    }
    // The later question is answered, so the earlier one is not going to be.
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    ensure!(client.recv(&mut [0; 100])? == 10);
    service.set_nonblocking(true)?;
    let answer = service.recv(&mut [0; 100]);
    ensure!(answer.is_err(), "{answer:?}");
    Ok(())
}

fn returns_a_gibibyte(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    let transfer = tcp_echo_checked(SERVICE, 1, 1 << 30)?;
    println!("1 GiB there and back in {:.1?}", transfer.elapsed);
    Ok(())
}

fn serves_256_clients(fixture: &Fixture) -> Result<()> {
    const CLIENTS: u64 = 256;
    let machine = fixture.boot_echo()?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| thread::spawn(move || tcp_echo_checked(SERVICE, seed, 1 << 20)))
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let result = client.join().expect("a client does not panic");
        result.with_context(|| format!("client {number}; {}", machine.account()))?;
    }
    Ok(())
}

/// A client that sends so many bytes, reads the first ones, and resets the connection while data is in
/// flight both ways.
pub(crate) fn send_and_reset(bytes: usize) -> Result<()> {
    let mut client = connect(SERVICE)?;
    reset_on_close(&client)?;
    client.write_all(&vec![7; bytes])?;
    Ok(client.read_exact(&mut [0; 1000])?)
}

fn survives_a_reset(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    for _ in 0..20 {
        send_and_reset(100_000)?;
    }
    tcp_echo_checked(SERVICE, 1, 1 << 20)?;
    Ok(())
}

/// Clients that send and then neither read nor close: their windows fill up and stay full.
pub(crate) fn silent_clients(count: usize) -> Result<Vec<TcpStream>> {
    let silent = || {
        let mut client = connect(SERVICE)?;
        client.set_nonblocking(true)?;
        // Until nothing moves any more, or 4 MiB: both directions have far smaller buffers.
        let mut sent = 0;
        while sent < 4 << 20 {
            match client.write(&[7; 65_536]) {
                Ok(size) => sent += size,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("a silent client was thrown out"),
            }
        }
        Ok(client)
    };
    std::iter::repeat_with(silent).take(count).collect()
}

fn survives_silence(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    let _silent = silent_clients(20)?;
    tcp_echo_checked(SERVICE, 1, 1 << 20)?;
    Ok(())
}

fn returns_after_shutdown(fixture: &Fixture) -> Result<()> {
    let _machine = fixture.boot_echo()?;
    last_words()
}

/// A client that shuts down its sending side at once, and still gets everything back.
pub(crate) fn last_words() -> Result<()> {
    let mut client = connect(SERVICE)?;
    client.write_all(b"the last words")?;
    client.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    ensure!(answer == b"the last words", "got {answer:?}");
    Ok(())
}

fn resets_a_syn_to_a_closed_port(fixture: &Fixture) -> Result<()> {
    let machine = fixture.boot_echo()?;
    let closed = SocketAddrV4::new(GUEST, 4444);
    let error = connect(closed).expect_err("nobody listens there");
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    ensure!(
        kind == Some(std::io::ErrorKind::ConnectionRefused),
        "{error:#}"
    );

    // Exactly as RFC 9293 §3.10.7.1 wants it: SEQ 0, ACK one past the SYN and its data.
    let packets = machine.packets()?;
    packets.send(&machine.link.tcp(&Segment {
        source: 50_000,
        destination: closed.port(),
        seq: 1000,
        flags: flags::SYN,
        window: 1000,
        payload: b"12345".to_vec(),
        ..Segment::default()
    }))?;
    let reset = packets
        .find(Duration::from_secs(5), |frame| {
            parse_tcp(frame, GUEST).filter(|segment| segment.destination == 50_000)
        })?
        .context("no answer")?;
    ensure!(reset.flags == flags::RST | flags::ACK, "{reset:?}");
    ensure!((reset.seq, reset.ack) == (0, 1006), "{reset:?}");
    Ok(())
}
