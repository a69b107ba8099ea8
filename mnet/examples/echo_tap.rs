//! The echo service (RFC 862) on a Linux TAP device: `echo_tap TAP --ipv4=ADDRESS/PREFIX [--port=PORT]`.
//! Its arguments are those of a unikernel; `--help` tells all.
//!
//! ```sh
//! sudo ip tuntap add dev tap0 mode tap user "$USER"
//! sudo ip address add 10.0.0.1/24 dev tap0
//! sudo ip link set dev tap0 up
//! cargo run -p mnet --features tap --example echo_tap -- tap0 --ipv4=10.0.0.2/24
//! nc 10.0.0.2 7
//! ```
//!
//! One loop serves all clients. What a client sent stays in the stack until the stack has taken it
//! for sending, so there is no buffer for each client here, and a client that does not read is not
//! read from.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use mnet::cli::{self, NetworkArgs, Opt, Outcome, Program};
use mnet::mnet_core::error::{RecvError, SendError};
use mnet::mnet_core::socket::SocketKind;
use mnet::tap::{Tap, TapDevice};
use mnet::{Config, Instant, Runtime, SocketId};

fn main() -> ExitCode {
    let mut tap = String::new();
    let mut port = 7;
    let mut options = [
        Opt::text("TAP", &mut tap, "the TAP device")
            .positional()
            .required(),
        Opt::port("port", &mut port, "the port to listen on; default 7"),
    ];
    let program = Program {
        name: "echo_tap",
        summary: "The echo service (RFC 862) on a TAP device.",
        devices: &["service"],
    };
    let line = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let (mut network, mut said) = (NetworkArgs::default(), String::new());
    let outcome = cli::parse(&line, &program, &mut options, Some(&mut network), &mut said);
    print!("{said}");
    match outcome {
        Outcome::Help => return ExitCode::SUCCESS,
        Outcome::Refused => return ExitCode::FAILURE,
        Outcome::Run => {}
    }
    match serve(&tap, &network, port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_tap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(tap: &str, network: &NetworkArgs, port: u16) -> Result<(), Box<dyn Error>> {
    let mut runtime = Runtime::new(&Config::default(), Tap::default(), None)?;
    let interface = runtime.attach(TapDevice::open(tap)?)?;
    let now = runtime.now();
    let stack = runtime.stack_mut();
    network.apply(stack, now, 0, interface)?;
    for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        let local = SocketAddr::new(any, port);
        stack.tcp_listen(local, 128)?;
        stack.udp_bind(local)?;
        println!("echo_tap: listening on {local}");
    }

    loop {
        runtime.turn(Instant::FAR_FUTURE);
        while let Some(event) = runtime.stack_mut().poll_event() {
            match event.socket.kind() {
                SocketKind::Listener => accept_all(&mut runtime, event.socket),
                SocketKind::Connection => echo(&mut runtime, event.socket),
                SocketKind::Udp => echo_datagrams(&mut runtime, event.socket),
            }
        }
    }
}

fn accept_all(runtime: &mut Runtime<Tap>, listener: SocketId) {
    while let Ok(connection) = runtime.stack_mut().tcp_accept(listener) {
        echo(runtime, connection);
    }
}

/// Moves data from the receive side of a connection to its send side, until one of them has to
/// wait for the peer.
fn echo(runtime: &mut Runtime<Tap>, id: SocketId) {
    let now = runtime.now();
    let stack = runtime.stack_mut();
    loop {
        // A segment's worth at a time: small enough for the stack, large enough for the wire.
        let mut buffer = [0; 2048];
        let len = match stack.tcp_recv_slice(id) {
            Ok(data) => {
                let len = data.len().min(buffer.len());
                buffer[..len].copy_from_slice(&data[..len]);
                len
            }
            Err(RecvError::WouldBlock) => return,
            Err(_) => break,
        };
        if len == 0 {
            break; // The end of the stream.
        }
        let taken = match stack.tcp_send(now, id, &buffer[..len]) {
            Ok(taken) => taken,
            Err(SendError::WouldBlock) => return,
            Err(_) => break,
        };
        if stack.tcp_consume(now, id, taken).is_err() {
            break;
        }
    }
    // What was queued is still sent.
    let _ = stack.close(now, id);
}

fn echo_datagrams(runtime: &mut Runtime<Tap>, id: SocketId) {
    let now = runtime.now();
    let stack = runtime.stack_mut();
    let mut buffer = [0; 2048];
    while let Ok(received) = stack.udp_recv_from(now, id, &mut buffer) {
        // Another service, which might echo too: one forged question would never end.
        if received.remote.port() < 1024 {
            continue;
        }
        // UDP promises nothing: an answer that does not fit now is dropped.
        let _ = stack.udp_send_to(now, id, &buffer[..received.len], received.remote);
    }
}
