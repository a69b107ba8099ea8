//! The example `client`, against servers of every behaviour.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::Pattern;
use mnet_tests::process::Finished;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST};
use crate::ipv6::dual_tap;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("prints_what_servers_answer", prints_answers),
    ("fetches_large_files_over_both_families", fetches_large),
    ("says_why_there_is_no_answer", says_why),
    ("says_what_is_wrong_with_a_url", bad_urls),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The image and a network.
struct Place<'a> {
    fixture: &'a Fixture,
    image: PathBuf,
    _tap: Tap,
}

impl<'a> Place<'a> {
    fn new(fixture: &'a Fixture, test: &str) -> Result<Self> {
        let directory = fixture.directory(test)?;
        let image = fixture.prefix.build_example("client", &directory)?;
        let tap = dual_tap()?;
        Ok(Self {
            fixture,
            image,
            _tap: tap,
        })
    }

    /// Runs the image to its end.
    fn fetch(&self, arguments: &[&str]) -> Result<Finished> {
        self.fixture
            .unikernel(&self.image)
            .option("--mem=16")
            .option("--net:service=tap0")
            .argument("--solo5:quiet")
            .argument(format!("--ipv4={GUEST}/24"))
            .argument("--ipv6=2001:db8::2/64")
            .arguments(arguments)
            .start()?
            .wait(PATIENCE)
    }
}

/// Answers one client with these bytes, and closes; returns what it asked. `None` stays silent.
fn serve_once(
    address: &str,
    answer: Option<Vec<u8>>,
) -> Result<(SocketAddr, thread::JoinHandle<String>)> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        let Ok((mut client, _)) = listener.accept() else {
            return String::new();
        };
        let mut asked = Vec::new();
        let mut buffer = [0; 1024];
        while !asked.ends_with(b"\r\n\r\n") {
            match client.read(&mut buffer) {
                Ok(length) if length > 0 => asked.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
        match answer {
            Some(answer) => {
                let _ = client.write_all(&answer);
            }
            // Until the client gives up.
            None => {
                let _ = client.read(&mut buffer);
            }
        }
        String::from_utf8_lossy(&asked).into_owned()
    });
    Ok((address, server))
}

fn prints_answers(fixture: &Fixture) -> Result<()> {
    let place = Place::new(fixture, "client-answers")?;
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            0,
            "HTTP/1.1 200 OK\nhello",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
            0,
            "HTTP/1.1 200 OK\nhe",
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\nto the end",
            0,
            "HTTP/1.0 200 OK\nto the end",
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            0,
            "HTTP/1.1 204 No Content\n",
        ),
        (
            "HTTP/1.1 200\nX: y\n\nplain line ends",
            0,
            "HTTP/1.1 200\nplain line ends",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n",
            2,
            "HTTP/1.1 404 Not Found\nno\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            1,
            "HTTP/1.1 200 OK\nhello\nclient: the answer was cut off after 5 bytes: \
             the server closed the connection\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            1,
            "HTTP/1.1 200 OK\nclient: the answer does not say clearly how long it is\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2 \t\r\n\r\nabc",
            0,
            "HTTP/1.1 200 OK\nab",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
            1,
            "HTTP/1.1 200 OK\nclient: the answer does not say clearly how long it is\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10000000000000000000\r\n\r\nab",
            1,
            "HTTP/1.1 200 OK\nclient: the answer does not say clearly how long it is\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            1,
            "HTTP/1.1 200 OK\nclient: the content comes in chunks, which were not asked for\n",
        ),
        (
            "SSH-2.0-x\r\n\r\n",
            1,
            "client: this is no answer of HTTP\n",
        ),
        (
            "HTTP/1.1 200 \x1b[2J\r\n\r\n",
            1,
            "client: this is no answer of HTTP\n",
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            1,
            "client: the server closed the connection without an answer\n",
        ),
        (
            "",
            1,
            "client: the server closed the connection without an answer\n",
        ),
    ];
    for (answer, status, printed) in cases {
        let (address, server) = serve_once("10.0.0.1:0", Some(answer.into()))?;
        let url = format!("http://{address}/a/b?c=d#e");
        let finished = place.fetch(&[&url])?;
        ensure!(
            finished.status.code() == Some(status) && finished.text == printed,
            "{answer:?}: {}: {}",
            finished.status,
            finished.text
        );
        let asked = server.join().expect("no panic");
        let wanted = format!("GET /a/b?c=d HTTP/1.0\r\nHost: {address}\r\n");
        ensure!(asked.starts_with(&wanted), "{asked}");
    }
    // A head that has no end.
    let answer = format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(5_000));
    let (address, _server) = serve_once("10.0.0.1:0", Some(answer.into()))?;
    let finished = place.fetch(&[&format!("http://{address}")])?;
    ensure!(
        finished.status.code() == Some(1)
            && finished.text.starts_with("client: there is no answer"),
        "{}",
        finished.text
    );
    Ok(())
}

fn fetches_large(fixture: &Fixture) -> Result<()> {
    let place = Place::new(fixture, "client-large")?;
    let mut random = vec![0; 1 << 20];
    Pattern::new(5).fill(&mut random);
    // As text, which the output is taken for.
    let content: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    for address in ["10.0.0.1:0", "[2001:db8::1]:0"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let (address, server) = serve_once(address, Some((answer + &content).into()))?;
        let finished = place.fetch(&[&format!("http://{address}/")])?;
        ensure!(finished.status.success(), "{address}: {}", finished.status);
        let got = finished.text.strip_prefix("HTTP/1.1 200 OK\n");
        ensure!(got == Some(&content), "{address}: the content differs");
        server.join().expect("no panic");
    }
    Ok(())
}

fn says_why(fixture: &Fixture) -> Result<()> {
    let place = Place::new(fixture, "client-why")?;
    let (silent, _server) = serve_once("10.0.0.1:0", None)?;
    let silent = format!("http://{silent}/");
    let cases: &[(&[&str], &str)] = &[
        (
            &["http://10.0.0.1:9/"],
            "client: cannot connect: connection refused\n",
        ),
        (
            &["http://[2001:db8::1]:9/"],
            "client: cannot connect: connection refused\n",
        ),
        (
            &["--timeout=1s", &silent],
            "client: there is no answer: connection timed out\n",
        ),
        (
            &["--connect-timeout=500ms", "http://10.0.0.77/"],
            "client: cannot connect: ",
        ),
        (&["http://192.0.2.1/"], "client: cannot connect: "),
    ];
    for (arguments, message) in cases {
        let finished = place.fetch(arguments)?;
        ensure!(
            finished.status.code() == Some(1) && finished.text.starts_with(message),
            "{arguments:?}: {}: {}",
            finished.status,
            finished.text
        );
    }
    Ok(())
}

fn bad_urls(fixture: &Fixture) -> Result<()> {
    let place = Place::new(fixture, "client-urls")?;
    let cases = [
        ("https://10.0.0.1/", "https:// is not spoken here"),
        ("10.0.0.1", "a URL begins with http://"),
        ("http://example.com/", "names are not resolved"),
        ("http://user@10.0.0.1/", "names are not resolved"),
        ("http:///", "names are not resolved"),
        ("http://10.0.0.1:99999/", "names are not resolved"),
        ("'http://10.0.0.1/a b'", "a URL has no spaces"),
        ("http://10.0.0.1/\u{e4}", "a URL has no spaces"),
    ];
    for (url, message) in cases {
        let finished = place.fetch(&[url])?;
        let wanted = format!("client: {message}");
        let text = finished.text.lines().next().context("it says nothing")?;
        ensure!(
            finished.status.code() == Some(1) && text.starts_with(&wanted),
            "{url}: {}: {text}",
            finished.status
        );
    }
    Ok(())
}
