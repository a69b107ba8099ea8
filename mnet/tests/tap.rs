//! The example server on a real TAP device, against Linux' own TCP and UDP.
//!
//! Everything happens in a network namespace of this process. Where none can be made (no root, no
//! user namespaces, no /dev/net/tun) the test says so and passes.

mod namespace;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Generous: a loaded machine is slow, a hanging test is still found.
const PATIENCE: Duration = Duration::from_secs(30);

/// The example, stopped at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the example in this thread's namespace and waits until it listens.
fn start() -> Server {
    // Cargo builds the examples of a package before it runs the package's tests.
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/echo_tap");
    let child = Command::new(&example)
        .args(["tap0", "--ipv4=10.0.0.2/24", "--port=7"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    let mut server = Server(child);
    let mut line = [0; 32];
    let len = server.0.stdout.as_mut().unwrap().read(&mut line).unwrap();
    assert!(
        line[..len].starts_with(b"echo_tap: listening"),
        "it did not start"
    );
    server
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect_timeout(&"10.0.0.2:7".parse().unwrap(), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `len` bytes while reading them back.
fn exchange(seed: u8, len: usize) {
    let mut stream = connect();
    let data: Vec<u8> = (0..len)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 9)).to_le_bytes()[0] ^ seed)
        .collect();
    let mut sender = stream.try_clone().unwrap();
    let copy = data.clone();
    let writer = thread::spawn(move || {
        sender.write_all(&copy).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::with_capacity(len);
    stream.read_to_end(&mut answer).unwrap();
    writer.join().unwrap();
    assert!(
        answer == data,
        "client {seed}: {} of {len} bytes, or others",
        answer.len()
    );
}

#[test]
fn linux_clients_get_everything_back() {
    if let Err(reason) = namespace::enter() {
        println!("skipped: {reason}");
        return;
    }
    let _server = start();

    exchange(0, 4 << 20);
    // New threads stay in the namespace of the one that makes them.
    let clients: Vec<_> = (1..9)
        .map(|seed| thread::spawn(move || exchange(seed, 200_000)))
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());

    let udp = UdpSocket::bind("10.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    udp.connect("10.0.0.2:7").unwrap();
    let mut buffer = [0; 2_000];
    for len in [0, 1, 1_472] {
        udp.send(&vec![9; len]).unwrap();
        assert_eq!(udp.recv(&mut buffer).unwrap(), len);
        assert!(buffer[..len].iter().all(|byte| *byte == 9));
    }

    // The server sleeps between these, and no timer would wake it: a frame must.
    let start = Instant::now();
    let mut stream = connect();
    for _ in 0..100 {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut buffer[..1]).unwrap();
    }
    assert!(start.elapsed() < PATIENCE);
    assert!(
        TcpStream::connect("10.0.0.2:8").is_err(),
        "nobody listens there"
    );
}
