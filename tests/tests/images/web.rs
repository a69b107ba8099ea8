//! The example `web` with the clients that it is for: curl, wrk and ab; and with those that
//! it is not for.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::clients::Pattern;
use mnet_tests::prefix::{copy_folder, workspace};
use mnet_tests::process::{Process, run};
use mnet_tests::tap::Tap;

use crate::fixture::{Fixture, GUEST};
use crate::hvt::has_kvm;
use crate::ipv6::{dual_tap, eventually};
use crate::{Skipped, Test};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("curl_gets_all_files_over_both_families", curl_gets_files),
    ("curl_is_told_of_tags_ranges_and_folders", curl_is_told),
    ("requests_are_answered_as_rfc_9112_says", requests),
    ("pipelined_requests_come_in_any_pieces", pipelined),
    ("slow_clients_keep_nobody_out", slow_clients),
    ("a_slow_reader_gets_all_of_a_large_file", slow_reader),
    ("wrk_with_64_connections_gets_no_error", wrk),
    ("ab_gets_no_error_with_and_without_keep_alive", ab),
    ("on_hvt_curl_gets_all_files", |fixture| {
        if !has_kvm() {
            bail!(Skipped("/dev/kvm cannot be used"));
        }
        let site = start_on(fixture, "hvt")?;
        site.serves_all("http://10.0.0.2")
    }),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVICE: ([u8; 4], u16) = (GUEST.octets(), 80);
/// The image's other address.
const URL6: &str = "http://[2001:db8::2]";
/// The places for clients that `web.c` has.
const CLIENTS: usize = 256;

/// The server, with a large file beside those of the example.
pub(crate) struct Site {
    image: Process,
    www: PathBuf,
    _tap: Tap,
}

pub(crate) fn start(fixture: &Fixture) -> Result<Site> {
    start_on(fixture, "spt")
}

fn start_on(fixture: &Fixture, target: &str) -> Result<Site> {
    let image = fixture.built(&format!("web-{target}"), |directory| {
        copy_folder(&workspace().join("c-examples/web"), directory)?;
        let www = directory.join("www");
        let mut large = vec![0; 2 << 20];
        Pattern::new(9).fill(&mut large);
        fs::write(www.join("large.bin"), large)?;
        fs::write(www.join("a name.txt"), "with a blank")?;
        let sources = ["web.c", "http.c", "files.c"];
        fixture
            .prefix
            .build_there(target, "web", &sources, directory)
    })?;
    let www = image.with_file_name("www");
    let tap = dual_tap()?;
    let image = fixture
        .unikernel(&image)
        .option("--mem=32")
        .option("--net:service=tap0")
        .argument(format!("--ipv4={GUEST}/24"))
        .argument("--ipv6=2001:db8::2/64")
        .start()?;
    image.wait_for("files at http://[::]:80/", PATIENCE)?;
    Ok(Site {
        image,
        www,
        _tap: tap,
    })
}

/// What curl prints for these arguments; it must succeed.
fn curl(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--globoff"]);
    let finished = run(command.args(arguments), PATIENCE)?;
    ensure!(
        finished.status.success(),
        "curl {arguments:?}: {}",
        finished.text
    );
    Ok(finished.text)
}

impl Site {
    /// Every file, byte for byte, over one connection.
    fn serves_all(&self, url: &str) -> Result<()> {
        eventually("the first answer", || {
            curl(&["--output", "/dev/null", url]).map(|_| ())
        })?;
        let names = [
            "index.html",
            "style.css",
            "script.js",
            "logo.svg",
            "about/index.html",
            "large.bin",
            "a name.txt",
        ];
        let output = tempfile::tempdir()?;
        let mut arguments = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let file = output.path().join(number.to_string());
            let file = file.to_str().context("a path in UTF-8")?.to_owned();
            let name = name.replace(' ', "%20");
            arguments.extend(["--output".into(), file, format!("{url}/{name}")]);
        }
        arguments.extend([
            "--write-out".into(),
            "%{http_code} %{num_connects}\n".into(),
        ]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let text = curl(&arguments)?;
        let lines: Vec<&str> = text.lines().collect();
        let expected = [vec!["200 1"], vec!["200 0"; names.len() - 1]].concat();
        ensure!(lines == expected, "{text}; {}", self.image.text());
        for (number, name) in names.iter().enumerate() {
            let got = fs::read(output.path().join(number.to_string()))?;
            ensure!(got == fs::read(self.www.join(name))?, "{name}");
        }
        Ok(())
    }
}

fn curl_gets_files(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    site.serves_all("http://10.0.0.2")?;
    site.serves_all(URL6)
}

fn curl_is_told(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let head = curl(&["--head", "http://10.0.0.2/style.css"])?;
    let size = fs::metadata(site.www.join("style.css"))?.len();
    for line in [
        "HTTP/1.1 200 OK\r".to_owned(),
        "Content-Type: text/css; charset=utf-8\r".to_owned(),
        format!("Content-Length: {size}\r"),
        "Accept-Ranges: bytes\r".to_owned(),
    ] {
        ensure!(
            head.lines().any(|got| format!("{got}\r") == line),
            "{line}: {head}"
        );
    }
    let date = head
        .lines()
        .find_map(|line| line.strip_prefix("Date: "))
        .context("no date")?;
    let told = run(Command::new("date").args(["+%s", "--date", date]), PATIENCE)?;
    let told: i64 = told.text.trim().parse().context(told.text)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    ensure!((i64::try_from(now.as_secs())? - told).abs() < 60, "{date}");

    let etag = head
        .lines()
        .find_map(|line| line.strip_prefix("ETag: "))
        .context("no tag")?;
    let code = |arguments: &[&str]| {
        let all = [
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{size_download}",
        ];
        curl(&[&all, arguments].concat())
    };
    let matches = format!("If-None-Match: \"x\", {etag}");
    ensure!(code(&["--header", &matches, "http://10.0.0.2/style.css"])? == "304 0");
    let other = "If-None-Match: \"x\"";
    let whole = format!("200 {size}");
    ensure!(code(&["--header", other, "http://10.0.0.2/style.css"])? == whole);
    ensure!(code(&["http://10.0.0.2/nothing"])?.starts_with("404 "));
    ensure!(code(&["http://10.0.0.2/../../etc/passwd", "--path-as-is"])?.starts_with("404 "));
    ensure!(code(&["--data", "x=y", "http://10.0.0.2/"])?.starts_with("405 "));
    let location = [
        "--write-out",
        "%{url_effective}",
        "--output",
        "/dev/null",
        "--location",
    ];
    let location = curl(&[&location[..], &["http://10.0.0.2/about"]].concat())?;
    ensure!(location == "http://10.0.0.2/about/", "{location}");

    // A download that was interrupted goes on where it was.
    let large = fs::read(site.www.join("large.bin"))?;
    let output = site.www.with_file_name("part.bin");
    fs::write(&output, &large[..1_000_000])?;
    let name = output.to_str().context("a path in UTF-8")?;
    curl(&[
        "--continue-at",
        "-",
        "--output",
        name,
        "http://10.0.0.2/large.bin",
    ])?;
    ensure!(fs::read(&output)? == large, "the second part is wrong");
    let last = curl(&["--range", "-5", "http://10.0.0.2/style.css"])?;
    let css = fs::read_to_string(site.www.join("style.css"))?;
    ensure!(css.ends_with(&last) && last.len() == 5, "{last}");
    let beyond = code(&["--range", "999999-", "http://10.0.0.2/style.css"])?;
    ensure!(beyond.starts_with("416 "), "{beyond}");
    Ok(())
}

fn connect() -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(SERVICE), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// All that a connection says until its end.
fn rest(mut stream: TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The status lines in what came over a connection.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|answer| answer.get(..3))
        .collect()
}

/// What is refused is answered, and the connection is closed, but never so that the answer gets
/// lost, however much is still on its way.
fn requests(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(5_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1_100));
    let long_head = format!(
        "GET / HTTP/1.1\r\nA: {}\r\nHost: a\r\n\r\n",
        "a".repeat(9_000)
    );
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "A: b\r\n".repeat(20_000));
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    let chunks =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "200",
        ),
        (
            "\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "200",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("\u{16}\u{3}\u{1}\n", "400"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
        (chunks, "405"),
        (&upload, "405"),
        (&long_line, "414"),
        (&long_path, "414"),
        (&long_head, "431"),
        (&endless, "431"),
    ];
    for (request, status) in cases {
        let beginning = request.get(..60).unwrap_or(request);
        let mut stream = connect()?;
        stream.write_all(request.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let text = rest(stream).with_context(|| beginning.to_owned())?;
        ensure!(statuses(&text) == [status], "{beginning:?}: {text}");
        ensure!(text.contains("\r\nConnection: close\r\n"), "{text}");
    }
    // What is uploaded is passed over, and the next request is understood.
    let mut stream = connect()?;
    let upload = upload.replace("Connection: close\r\n", "");
    stream.write_all(upload.as_bytes())?;
    stream.write_all(b"GET /style.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let text = rest(stream)?;
    ensure!(statuses(&text) == ["405", "200"], "{text}");
    site.serves_all("http://10.0.0.2")
}

fn pipelined(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let css = fs::read_to_string(site.www.join("style.css"))?;
    let mut requests = String::new();
    for number in 0..300 {
        let path = ["/style.css", "/nothing"][number % 2];
        requests += &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    requests += "GET /style.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for piece in [1, 7, 1_000, usize::MAX] {
        let stream = connect()?;
        let mut sending = stream.try_clone()?;
        let text = std::thread::scope(|scope| {
            let requests = &requests;
            scope.spawn(move || {
                requests
                    .as_bytes()
                    .chunks(piece)
                    .try_for_each(|piece| sending.write_all(piece))
            });
            rest(stream)
        })?;
        let got = statuses(&text);
        let expected: Vec<&str> = (0..=300).map(|number| ["200", "404"][number % 2]).collect();
        ensure!(got == expected, "pieces of {piece}: {} answers", got.len());
        ensure!(text.matches(&css).count() == 151, "the files differ");
    }
    Ok(())
}

/// Clients that say nothing, and that never finish a request, more than there are places.
fn slow_clients(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let get = |patience: Duration| -> Result<Duration> {
        let start = Instant::now();
        let mut stream = connect()?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let text = rest(stream)?;
        ensure!(statuses(&text) == ["200"], "{text}");
        Ok(start.elapsed())
    };
    // Those that say nothing have to go for one that does.
    let idle: Vec<TcpStream> = (0..CLIENTS + 20)
        .map(|_| connect())
        .collect::<Result<_>>()?;
    get(Duration::from_secs(5)).context("among idle clients")?;
    drop(idle);
    // Those that have begun have ten seconds, and are told that they are over.
    let mut slow: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect::<Result<_>>()?;
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHost")?;
    }
    let waited = get(PATIENCE).context("among slow clients")?;
    println!("a place was free after {waited:?}");
    // One byte now and then does not buy more time.
    let mut answers = Vec::new();
    for mut stream in slow {
        // It may be closed by now.
        let _ = stream.write_all(b":");
        answers.push(rest(stream).unwrap_or_default());
    }
    let told = answers
        .iter()
        .filter(|text| statuses(text) == ["408"])
        .count();
    ensure!(
        told > CLIENTS / 2,
        "{told} were told; {}",
        site.image.text()
    );
    site.serves_all("http://10.0.0.2")
}

fn slow_reader(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let large = fs::read(site.www.join("large.bin"))?;
    let request = b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut stream = connect()?;
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::RcvBuf, &4_096)?;
    stream.write_all(request)?;
    // Others go on meanwhile.
    site.serves_all("http://10.0.0.2")?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    ensure!(got.ends_with(&large), "{} bytes", got.len());
    Ok(())
}

/// The number behind a label of a tool's report.
fn number(text: &str, label: &str) -> Result<f64> {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(label));
    let line = line.with_context(|| format!("no {label} in {text}"))?;
    let word = line.split_whitespace().next().context("no number")?;
    word.parse().with_context(|| format!("{label} {word}"))
}

fn wrk(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    let mut command = Command::new("wrk");
    command.args([
        "-c",
        "64",
        "-t",
        "1",
        "-d",
        "3",
        "http://10.0.0.2/style.css",
    ]);
    let finished = run(&mut command, PATIENCE)?;
    let text = finished.text;
    ensure!(finished.status.success(), "{text}");
    let rate = number(&text, "Requests/sec:")?;
    println!("wrk: {rate} requests per second");
    ensure!(rate > 100.0, "{text}");
    // Both lines are there only if there is something to tell.
    for bad in ["Socket errors", "Non-2xx"] {
        ensure!(!text.contains(bad), "{text}\n{}", site.image.text());
    }
    Ok(())
}

fn ab(fixture: &Fixture) -> Result<()> {
    let site = start(fixture)?;
    for keep in [&["-k"][..], &[]] {
        let mut command = Command::new("ab");
        command.args(["-q", "-n", "3000", "-c", "64"]).args(keep);
        let finished = run(command.arg("http://10.0.0.2/style.css"), PATIENCE)?;
        let text = finished.text;
        ensure!(finished.status.success(), "{text}\n{}", site.image.text());
        println!("ab {keep:?}: {}", number(&text, "Requests per second:")?);
        ensure!(number(&text, "Complete requests:")? == 3_000.0, "{text}");
        ensure!(number(&text, "Failed requests:")? == 0.0, "{text}");
        if !keep.is_empty() {
            ensure!(number(&text, "Keep-Alive requests:")? == 3_000.0, "{text}");
        }
    }
    Ok(())
}
