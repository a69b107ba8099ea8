//! The examples with tasks on a real TAP device, against Linux' clients and daemons.
//!
//! Everything happens in network namespaces of this process. Where none can be made (no root, no
//! user namespaces, no /dev/net/tun) the tests say so and pass.

mod namespace;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Generous: a loaded machine is slow, a hanging test is still found.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is stopped at the end.
struct Running(Child, BufReader<ChildStdout>);

impl Running {
    /// Starts a program in this thread's namespace.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        Self(child, output)
    }

    /// Starts an example and waits until it says that it is ready.
    fn example(name: &str, arguments: &[&str], ready: &str) -> Self {
        // Cargo builds the examples of a package before it runs the package's tests.
        let test = std::env::current_exe().unwrap();
        let path = test.ancestors().nth(2).unwrap().join("examples").join(name);
        let mut example = Self::start(
            Command::new(path)
                .args(["tap0", "10.0.0.2/24"])
                .args(arguments),
        );
        let mut line = String::new();
        example.1.read_line(&mut line).unwrap();
        assert!(line.contains(ready), "{name} said: {line:?}");
        example
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A namespace with a TAP device, or the reason why there is none was told.
fn has_network() -> bool {
    namespace::enter()
        .inspect_err(|reason| println!("skipped: {reason}"))
        .is_ok()
}

/// What a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("10.0.0.2", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `len` bytes to the echo service while reading them back.
fn exchange(seed: u8, len: usize) {
    let mut stream = connect(7);
    let data: Vec<u8> = (0..len)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 9)).to_le_bytes()[0] ^ seed)
        .collect();
    let (mut sender, copy) = (stream.try_clone().unwrap(), data.clone());
    let writer = thread::spawn(move || {
        sender.write_all(&copy).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::with_capacity(len);
    stream.read_to_end(&mut answer).unwrap();
    writer.join().unwrap();
    assert!(answer == data, "{} of {len} bytes, or others", answer.len());
}

#[test]
fn the_echo_service_serves_many_clients_at_once() {
    if !has_network() {
        return;
    }
    let _echo = Running::example("echo", &[], "listening");
    exchange(0, 4 << 20);
    let clients: Vec<_> = (1..65)
        .map(|seed| thread::spawn(move || exchange(seed, 100_000)))
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());

    let udp = UdpSocket::bind("10.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    udp.connect("10.0.0.2:7").unwrap();
    for len in [0, 1, 1_472] {
        udp.send(&vec![9; len]).unwrap();
        assert_eq!(udp.recv(&mut [0; 2_000]).unwrap(), len);
    }

    // The service sleeps between these, and no timer would wake it: a frame must.
    let (start, mut stream) = (Instant::now(), connect(7));
    for _ in 0..100 {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    assert!(start.elapsed() < PATIENCE);
}

/// One request on a connection that stays open; the body of the answer.
fn get(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (_, rest) = head.split_once("Content-Length: ").unwrap();
    let len = rest.lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn the_web_server_speaks_with_curl_and_keeps_connections() {
    if !has_network() {
        return;
    }
    let _web = Running::example("web", &[], "listening");
    let url = |path: &str| format!("http://10.0.0.2{path}");
    let common = ["--silent", "--show-error", "--max-time", "60"];
    let curl = |arguments: &[&str]| output("curl", &[&common[..], arguments].concat());

    let page = include_str!("../examples/web/index.html");
    assert_eq!(curl(&[&url("/")]), page);
    assert_eq!(curl(&[&url("/hello/you")]), "Hello, you!\n");
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert_eq!(curl(&[&status[..], &[&url("/nothing")]].concat()), "404");
    let kind = ["--output", "/dev/null", "--write-out", "%{content_type}"];
    assert_eq!(
        curl(&[&kind[..], &[&url("/style.css")]].concat()),
        "text/css"
    );

    // Three requests on one connection, says curl.
    let connects = ["--write-out", "%{num_connects}"];
    let urls = ["/hello/a", "/hello/b", "/hello/c"].map(url);
    let urls = urls.each_ref().map(String::as_str);
    let answer = curl(&[&connects[..], &urls[..]].concat());
    assert_eq!(answer, "Hello, a!\n1Hello, b!\n0Hello, c!\n0");

    // A body that is larger than what the server has for it, with a length and in chunks.
    let body = "x".repeat(3_000_000);
    let dir = std::env::temp_dir().join(format!("mnet-services-{}", std::process::id()));
    std::fs::write(&dir, &body).unwrap();
    let data = format!("@{}", dir.display());
    for header in ["X-Nothing: 1", "Transfer-Encoding: chunked"] {
        let post = ["--header", header, "--data-binary", &data, &url("/length")];
        assert_eq!(curl(&post), "3000000\n", "{header}");
    }
    std::fs::remove_file(&dir).unwrap();

    // 64 clients at once, each with 50 requests on one connection.
    let clients: Vec<_> = (0..64)
        .map(|client| {
            thread::spawn(move || {
                let mut stream = connect(80);
                for number in 0..50 {
                    let name = format!("{client}-{number}");
                    let text = get(&mut stream, &format!("/hello/{name}"));
                    assert_eq!(text, format!("Hello, {name}!\n"));
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());

    // What is not HTTP is told so, and a head without an end as well.
    for nonsense in ["hello\r\n\r\n", &"x".repeat(5_000)] {
        let mut stream = connect(80);
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
    }
}

#[test]
fn the_mqtt_client_answers_questions_through_mosquitto() {
    if !has_network() {
        return;
    }
    let config = std::env::temp_dir().join(format!("mnet-mosquitto-{}", std::process::id()));
    let text = "listener 1883 10.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n";
    std::fs::write(&config, text).unwrap();
    // Debian has daemons where the search path of users does not lead.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut broker = Command::new("mosquitto");
    let _broker = Running::start(broker.env("PATH", path).arg("-c").arg(&config));
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = TcpStream::connect("10.0.0.1:1883") {
        assert!(Instant::now() < deadline, "mosquitto: {error}");
        thread::yield_now();
    }
    let _client = Running::example("mqtt", &["10.0.0.1:1883"], "waiting");
    for question in ["hello", &"long ".repeat(2_000)] {
        let topics = ["-t", "mnet/ask", "-e", "mnet/answer", "-m", question];
        let common = ["-V", "mqttv5", "-h", "10.0.0.1", "-W", "60"];
        let answer = output("mosquitto_rr", &[&common[..], &topics[..]].concat());
        assert_eq!(answer, format!("{}\n", question.to_uppercase()));
    }
    std::fs::remove_file(&config).unwrap();
}
