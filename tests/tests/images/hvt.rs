//! The echo image in a virtual machine serves Linux clients as it does as a process.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{ping, tcp_echo_checked, udp_echo};
use mnet_tests::packet::PacketSocket;
use mnet_tests::process::run;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST, GUEST_MAC, Machine, SERVICE};
use crate::ipv6::eventually;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("hello_runs_in_a_virtual_machine", hello_runs),
    ("echo_serves_through_the_ring", serves_through_the_ring),
    ("echo_serves_by_hypercalls", serves_by_hypercalls),
    ("frames_pass_whole_and_in_order", frames_pass),
];

/// Whether there is KVM. If not, says so.
pub(crate) fn has_kvm() -> bool {
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match kvm {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: /dev/kvm: {error}");
            false
        }
    }
}

fn hello_runs(fixture: &Fixture) -> Result<()> {
    if !has_kvm() {
        return Ok(());
    }
    let directory = fixture.directory("hvt-hello")?;
    let (folder, name) = ("c-examples/hello", "hello");
    let image = fixture
        .prefix
        .build_image_for("hvt", folder, name, &directory)?;
    let unikernel = fixture.unikernel(&image).argument("--solo5:quiet");
    let finished = run(&mut unikernel.command(), Duration::from_secs(10))?;
    ensure!(
        finished.status.success() && finished.text.contains("Hello from a unikernel!"),
        "{} (signal {:?}): {}",
        finished.status,
        finished.status.signal(),
        finished.text
    );
    Ok(())
}

/// Boots the echo image as a virtual machine with these options; `None` if there is no KVM.
fn boot(fixture: &Fixture, test: &str, options: &[&str]) -> Result<Option<Machine>> {
    if !has_kvm() {
        return Ok(None);
    }
    let directory = fixture.directory(test)?;
    let (folder, name) = ("c-examples/echo", "echo");
    let image = fixture
        .prefix
        .build_image_for("hvt", folder, name, &directory)?;
    let unikernel = fixture.echo_unikernel_of(&image).options(options);
    fixture.boot(&unikernel).map(Some)
}

/// Pings and datagrams of many sizes, one stream of some length, and many clients at once.
fn serve(machine: &Machine, bytes: u64) -> Result<()> {
    for (sequence, size) in (0..).zip([0, 1, 56, 1471, 1472]) {
        ping(GUEST, sequence, size, Duration::from_secs(5))?;
    }
    for size in [0, 1, 2, 63, 64, 500, 1471, 1472] {
        udp_echo(SERVICE, size.try_into()?, size)?;
    }
    let transfer = tcp_echo_checked(SERVICE, 1, bytes)?;
    println!(
        "{} MiB there and back in {:.1?}",
        bytes >> 20,
        transfer.elapsed
    );
    let clients: Vec<_> = (0..64)
        .map(|seed| thread::spawn(move || tcp_echo_checked(SERVICE, seed, 100_000)))
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let result = client.join().expect("a client does not panic");
        result.with_context(|| format!("client {number}; {}", machine.account()))?;
    }
    Ok(())
}

fn serves_through_the_ring(fixture: &Fixture) -> Result<()> {
    match boot(fixture, "hvt-ring", &[])? {
        Some(machine) => serve(&machine, 64 << 20),
        None => Ok(()),
    }
}

fn serves_by_hypercalls(fixture: &Fixture) -> Result<()> {
    match boot(fixture, "hvt-hypercalls", &["--no-net-ring"])? {
        Some(machine) => serve(&machine, 8 << 20),
        None => Ok(()),
    }
}

/// A guest that sends every frame back gets thousands of every length, some of them under way at once,
/// under either tender, with the ring and without.
fn frames_pass(fixture: &Fixture) -> Result<()> {
    let targets: &[(&str, &[&str])] = match has_kvm() {
        true => &[("spt", &[]), ("hvt", &[]), ("hvt", &["--no-net-ring"])],
        false => &[("spt", &[])],
    };
    let directory = fixture.directory("raw-frames")?;
    let guests = "solo5-toolchain/guest/tests/guests";
    for (number, (target, options)) in targets.iter().enumerate() {
        let image = fixture
            .prefix
            .build_image_for(target, guests, "ethernet", &directory)?;
        let name = format!("raw{number}");
        let tap = Tap::new(&name)?;
        tap.up()?;
        let unikernel = fixture
            .unikernel(&image)
            .option("--mem=8")
            .option(format!("--net:service={name}"))
            .option("--net-mac:service=02:00:00:00:00:02")
            .options(*options);
        let guest = unikernel.start()?;
        guest.wait_for("echoing", Duration::from_secs(20))?;
        exchange(&tap).with_context(|| format!("{target} {options:?}"))?;
        drop(guest);
    }
    Ok(())
}

/// Sends frames to a guest that sends them back; each comes back whole, one after the other.
fn exchange(tap: &Tap) -> Result<()> {
    const FRAMES: u32 = 5000;
    /// Fewer than anybody's queue has room for.
    const UNDER_WAY: u32 = 100;
    const OURS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
    /// Both are for experiments (RFC 9542 §3): that of the frames, and that of those before them.
    const KIND: [u8; 2] = [0x88, 0xb5];
    const KNOCK: [u8; 2] = [0x88, 0xb6];
    let frame = |number: u32, to: [u8; 6], from: [u8; 6]| {
        let len = usize::try_from(46 + number * 7 % 1455).unwrap_or(46);
        let word = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
        let payload = number.to_be_bytes().into_iter();
        let payload = payload.chain(word.into_iter().cycle()).take(len);
        to.into_iter()
            .chain(from)
            .chain(KIND)
            .chain(payload)
            .collect()
    };
    let socket = PacketSocket::open(tap)?;
    let is = |bytes: &[u8], kind| bytes.get(12..14) == Some(kind);
    // The device throws frames away until the kernel has noticed that its other end is there.
    let knock = [&GUEST_MAC[..], &OURS, &KNOCK, &[0; 46]].concat();
    eventually("a frame that comes back", || {
        socket.send(&knock)?;
        let back = |bytes: &[u8]| is(bytes, &KNOCK).then_some(());
        let back = socket.find(Duration::from_millis(100), back)?;
        back.context("none came")
    })?;
    let (mut sent, mut received) = (0, 0);
    while received < FRAMES {
        while sent < FRAMES && sent - received < UNDER_WAY {
            let bytes: Vec<u8> = frame(sent, GUEST_MAC, OURS);
            socket.send(&bytes)?;
            sent += 1;
        }
        let ours = |bytes: &[u8]| is(bytes, &KIND).then(|| bytes.to_vec());
        let came = socket.find(Duration::from_secs(20), ours)?;
        let came = came.with_context(|| format!("frame {received} is lost"))?;
        let want: Vec<u8> = frame(received, OURS, GUEST_MAC);
        ensure!(came == want, "frame {received} is another: {came:02x?}");
        received += 1;
    }
    Ok(())
}
