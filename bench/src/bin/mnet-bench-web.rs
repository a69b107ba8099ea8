//! Requests per second of the example `web` and of nginx, with `wrk` as the client of both.
//!
//! The server on one core, `wrk` on the other; a TAP for mnet, a veth pair without offloads for nginx.
//! Rounds are interleaved, medians are compared, and only ratios within one run mean anything.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mnet_bench::median;
use mnet_tests::namespace::{self, Network};
use mnet_tests::prefix::{Prefix, Unikernel, copy_folder, succeed, workspace};
use mnet_tests::process::{Process, run as run_command};
use mnet_tests::tap::Tap;

/// Compares the example `web` with nginx. Needs nginx and wrk.
#[derive(Parser)]
struct Options {
    /// Prefix that `cargo xtask dist` has filled.
    #[arg(long)]
    prefix: PathBuf,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections, which stay open.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of the files that are asked for, one measurement for each.
    #[arg(long, value_delimiter = ',', default_value = "200,10000,100000")]
    sizes: Vec<usize>,
}

/// For what has to happen soon.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";

/// One worker, which says nothing of each request and keeps files open, as on a busy site.
const NGINX: &str = "daemon off;
master_process off;
error_log stderr crit;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    server {
        listen 10.0.0.2:80 backlog=4096;
        root www;
    }
}
";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-bench-web: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    namespace::check_tun()?;
    namespace::become_capable()?;
    let prefix = Prefix::new(options.prefix.canonicalize().context("no prefix")?);
    let directory = prefix.root().with_extension("bench").join("web");
    let image = build(&prefix, &directory, &options.sizes)?;
    // For each size, mnet's figures and nginx's.
    let mut samples = vec![[Vec::new(), Vec::new()]; options.sizes.len()];
    for round in 0..options.rounds {
        for (size, [mnet, nginx]) in options.sizes.iter().zip(&mut samples) {
            let network = with_tap()?;
            let unikernel = Unikernel::new(&prefix, &image)
                .options(["--mem=64", "--net:service=tap0"])
                .arguments(["--solo5:quiet", "--ipv4=10.0.0.2/24"]);
            let server = || start(unikernel.command(), Some("files at http://10.0.0.2:80/"));
            mnet.push(measure(&network.0, &network.0, server, *size, options)?);
            drop(network);

            let (client, server) = with_veth()?;
            let mut command = Command::new("nginx");
            command.args(["-c", "nginx.conf", "-p"]).arg(&directory);
            nginx.push(measure(
                &client,
                &server,
                || start(command, None),
                *size,
                options,
            )?);
            eprintln!(
                "round {round}: {size} bytes: mnet {:.0}/s, nginx {:.0}/s",
                mnet[round], nginx[round]
            );
        }
    }
    println!(
        "{} connections, {} rounds of {} s\n\n\
         | bytes | mnet, requests/s | nginx | ratio of medians | ratios of the rounds |\n\
         |---:|---:|---:|---:|---|",
        options.connections, options.rounds, options.seconds
    );
    for (size, [mnet, nginx]) in options.sizes.iter().zip(&samples) {
        let mut ratios: Vec<f64> = mnet.iter().zip(nginx).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let (mnet, nginx) = (median(mnet), median(nginx));
        println!(
            "| {size} | {mnet:.0} | {nginx:.0} | {:.2} | {:.2} - {:.2} |",
            mnet / nginx,
            ratios.first().context("no round")?,
            ratios.last().context("no round")?
        );
    }
    Ok(())
}

/// The example with a file of each size, and nginx's settings beside it: the image.
fn build(prefix: &Prefix, directory: &Path, sizes: &[usize]) -> Result<PathBuf> {
    copy_folder(&workspace().join("c-examples/web"), directory)?;
    for size in sizes {
        let file = directory.join("www").join(name(*size));
        std::fs::write(file, "x".repeat(*size))?;
    }
    std::fs::write(directory.join("nginx.conf"), NGINX)?;
    prefix.build_there("spt", "web", &["web.c", "http.c", "files.c"], directory)
}

fn name(size: usize) -> String {
    format!("{size}.txt")
}

/// A network with a TAP device.
fn with_tap() -> Result<(Network, Tap)> {
    let network = Network::new()?;
    let tap = network.within(|| Tap::with_address("tap0", [10, 0, 0, 1].into(), 24))?;
    Ok((network, tap))
}

/// A client's and a server's network, joined by a veth pair that does no work of theirs.
fn with_veth() -> Result<(Network, Network)> {
    const OFF: &str = "tso off gso off gro off tx off rx off sg off";
    let networks = (Network::new()?, Network::new()?);
    networks.0.within(|| {
        let mut add = Command::new("ip");
        add.args("link add veth0 type veth peer name veth0 netns".split(' '));
        succeed(add.arg(networks.1.path()))
    })?;
    for (network, host) in [(&networks.0, 1), (&networks.1, 2)] {
        network.within(|| {
            let address = format!("address add 10.0.0.{host}/24 dev veth0");
            succeed(Command::new("ip").args(address.split(' ')))?;
            succeed(Command::new("ip").args(["link", "set", "veth0", "up"]))?;
            let mut off = Command::new("ethtool");
            succeed(off.args(["-K", "veth0"]).args(OFF.split(' ')))
        })?;
    }
    Ok(networks)
}

/// A command on one core.
fn on_core(core: &str, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", core]).arg(command.get_program());
    pinned.args(command.get_args());
    pinned
}

/// Starts a server, which says `ready` when it is; one that says nothing is asked.
fn start(command: Command, ready: Option<&str>) -> Result<Process> {
    let server = Process::start(&mut on_core(SERVER_CORE, &command))?;
    if let Some(ready) = ready {
        server.wait_for(ready, PATIENCE)?;
    }
    Ok(server)
}

/// Requests per second from one server.
fn measure(
    client: &Network,
    there: &Network,
    server: impl FnOnce() -> Result<Process>,
    size: usize,
    options: &Options,
) -> Result<f64> {
    let server = there.within(server)?;
    let url = format!("http://10.0.0.2/{}", name(size));
    client.within(|| {
        // Whether it is there, and gives the whole file.
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--retry", "5"]);
        curl.args(["--retry-connrefused", "--output", "/dev/null"]);
        let given = run_command(
            curl.args(["--write-out", "%{size_download}", &url]),
            PATIENCE,
        )?;
        ensure!(
            given.text == size.to_string(),
            "{url}: {}\n{}",
            given.text,
            server.text()
        );
        let mut wrk = Command::new("wrk");
        let connections = options.connections.to_string();
        let time = format!("{}s", options.seconds);
        wrk.args(["-t", "1", "-c", &connections, "-d", &time, &url]);
        let time = Duration::from_secs(options.seconds) + PATIENCE;
        let text = run_command(&mut on_core(CLIENT_CORE, &wrk), time)?.text;
        // Both lines are there only if there is something to tell.
        let is_clean = !text.contains("Socket errors") && !text.contains("Non-2xx");
        ensure!(is_clean, "{text}\n{}", server.text());
        let rate = text.split_once("Requests/sec:").context("no rate")?.1;
        let rate = rate.split_whitespace().next().context("no rate")?;
        Ok(rate.parse()?)
    })
}
