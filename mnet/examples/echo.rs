//! The echo service (RFC 862) with a task for each client: `echo TAP ADDRESS/PREFIX`.
//!
//! `cargo run -p mnet --example echo -- tap0 10.0.0.2/24`, then `nc 10.0.0.2 7`. The TAP device:
//! see `common/mod.rs`. docs/rust.md explains it line by line.

mod common;

use std::error::Error;
use std::net::SocketAddr;

use mnet::aio::{TcpListener, TcpStream, UdpSocket};
use mnet::{Net, Platform, TcpFailure, UdpFailure};

/// Gives a client back what it sends, until it has sent everything.
async fn client<P: Platform>(stream: TcpStream<P>) -> Result<(), TcpFailure> {
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len]).await?,
        }
    }
}

/// Gives datagrams back.
async fn datagrams<P: Platform>(socket: UdpSocket<P>) -> Result<(), UdpFailure> {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv_from(&mut buffer).await {
            // Another service, which might echo too: one forged question would never end.
            Ok(received) if received.remote.port() < 1024 => {}
            Ok(received) => {
                let data = &buffer[..received.len];
                socket.send_to(data, received.remote).await?;
            }
            // About an answer to somebody who does not listen any more.
            Err(UdpFailure::Refused | UdpFailure::Unreachable) => {}
            Err(other) => return Err(other),
        }
    }
}

/// Serves everybody.
async fn serve<P: Platform + 'static>(
    net: Net<P>,
    local: SocketAddr,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(&net, local, 128)?;
    let udp = UdpSocket::bind(&net, local)?;
    net.spawn(datagrams(udp)).detach();
    println!("echo: listening on {local}");
    loop {
        let stream = listener.accept().await?;
        // A client that goes away takes only its own task with it.
        net.spawn(async { client(stream).await.unwrap_or_default() })
            .detach();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let host = common::start()?;
    let local = SocketAddr::new(host.ip, 7);
    host.net.run(serve(host.net.clone(), local))
}
