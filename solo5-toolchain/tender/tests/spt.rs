//! Guests in their box: what they find, what they may do, and how they end (solo5-abi sections 8.3,
//! 8.4, 9.2 and 14).

mod common;
#[path = "common/process.rs"]
mod process;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Arg, DATA, Elf, TEXT, exit, header, jump, print, store_byte, store_result, syscall};
use process::{Start, dumper, file, spt};
use solo5_abi::constants::SPT_BOOT_INFO;
use solo5_abi::manifest::{ManifestEntry, TYPE_BLOCK_BASIC, TYPE_NET_BASIC};
use solo5_abi::spt as abi;
use zerocopy::IntoBytes;

/// Address of the descriptor in entry 1 of the manifest, where this tender puts it.
const DEVICE_FD: u64 = SPT_BOOT_INFO + 40 + 8 + 104 + 88;
const EPOLL_FD: u64 = SPT_BOOT_INFO + 32;
const TIMER_FD: u64 = SPT_BOOT_INFO + 36;
/// Room for a frame or a sector in the page of data.
const BUFFER: u64 = DATA + 0x100;

fn net() -> ManifestEntry {
    ManifestEntry::declare("service", TYPE_NET_BASIC)
}

fn block() -> ManifestEntry {
    ManifestEntry::declare("storage", TYPE_BLOCK_BASIC)
}

/// Runs an image in 2 MiB with these options.
fn run_with(name: &str, elf: &Elf, options: &[&str]) -> Output {
    let image = file(name, &elf.bytes());
    spt(options).arg("--mem=2").arg(image).output().unwrap()
}

/// Runs code that needs no devices.
fn run(name: &str, code: &[u8]) -> Output {
    run_with(name, &Elf::guest(code, &[]), &[])
}

#[test]
fn a_guest_exits_with_its_status() {
    for (status, want) in [(0, 0), (7, 7), (255, 255), (256, 0), (0xffff_fffe, 254)] {
        assert_eq!(
            run(&format!("exit{status}"), &exit(status)).status.code(),
            Some(want)
        );
    }
}

#[test]
fn console_output_goes_to_standard_output() {
    let code = [print(TEXT + 1, 3), exit(0)].concat();
    let output = run("console", &code);
    assert_eq!(output.stdout, code[1..4]);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_guest_finds_memory_stack_manifest_and_command_line() {
    let image = file("start", &dumper(&[]).bytes());
    let start = Start::parse(&spt(["--mem=3"]).arg(&image).output().unwrap());
    assert_eq!(start.boot.mem_size, 3 << 20);
    assert_eq!(start.boot.kernel_end, DATA + 0x1000);
    assert_eq!(start.stack, (3 << 20) - 8);
    assert_eq!(start.argument, SPT_BOOT_INFO);
    assert_eq!((start.header.version, start.header.entries), (1, 1));
    assert_eq!(start.entries, [ManifestEntry::RESERVED]);
    assert_eq!(start.cmdline, b"");
    assert!(start.boot.epoll_fd > 2 && start.boot.timer_fd > 2);

    let start = Start::parse(&spt(["--"]).arg(&image).output().unwrap());
    assert_eq!(start.boot.mem_size, 512 << 20);
}

#[test]
fn everything_after_the_image_is_the_command_line() {
    let image = file("cmdline", &dumper(&[]).bytes());
    let args = ["--mem=7", "--", "--help", "two words", ""];
    let start = Start::parse(&spt(["--mem=2"]).arg(&image).args(args).output().unwrap());
    assert_eq!(start.cmdline, b"--mem=7 -- --help two words ");
    assert_eq!(start.boot.mem_size, 2 << 20);
    let longest = "x".repeat(8191);
    let start = Start::parse(&spt(["--mem=2"]).arg(&image).arg(&longest).output().unwrap());
    assert_eq!(start.cmdline, longest.as_bytes());
}

#[test]
fn memory_is_zero_and_writable_from_the_image_to_its_end() {
    let last = (2 << 20) - 1;
    let code = [
        print(0x11_0000, 4),
        store_byte(last),
        print(last, 1),
        exit(0),
    ]
    .concat();
    let output = run("memory", &code);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, [0; 5]);
}

#[test]
fn faults_end_the_guest_with_their_own_signal() {
    for (name, code) in [
        ("null_page", store_byte(8)),
        ("end_of_memory", store_byte(2 << 20)),
        ("text", store_byte(TEXT)),
        ("jump_to_data", jump(DATA)),
        ("jump_to_bss", jump(DATA + 0x1000)),
        ("jump_to_heap", jump(0x11_0000)),
        ("jump_to_boot_info", jump(SPT_BOOT_INFO)),
    ] {
        let output = run(name, &code);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{name}");
    }
    assert_eq!(
        run("ud2", &[0x0f, 0x0b]).status.signal(),
        Some(libc::SIGILL)
    );
}

#[test]
fn data_is_executable_only_on_request() {
    const HEAP: u64 = 0x11_0000;
    let mut code = Vec::new();
    for (address, byte) in (HEAP..).zip(exit(9)) {
        code.extend(store_byte(address));
        *code.last_mut().unwrap() = byte;
    }
    code.extend(jump(HEAP));
    let elf = Elf::guest(&code, &[]);
    assert_eq!(
        run_with("heap", &elf, &[]).status.signal(),
        Some(libc::SIGSEGV)
    );
    let output = run_with("xheap", &elf, &["--x-exec-heap"]);
    assert_eq!(output.status.code(), Some(9));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.starts_with("solo5-spt: WARNING: The use of --x-exec-heap"),
        "{errors}"
    );
    // Segments keep their own protection.
    let elf = Elf::guest(&store_byte(TEXT), &[]);
    let output = run_with("xheap_text", &elf, &["--x-exec-heap"]);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn read_only_segments_stay_so() {
    let elf = Elf::guest(&store_byte(DATA), &[]).with(header::DATA, |data| data.p_flags = 4);
    assert_eq!(
        run_with("rodata", &elf, &[]).status.signal(),
        Some(libc::SIGSEGV)
    );
}

#[test]
fn forbidden_system_calls_end_the_guest() {
    let one = Arg::Value(1);
    let cases: &[(&str, u64, &[Arg])] = &[
        ("dup", 32, &[one]),
        ("open", 2, &[TEXT.into()]),
        ("mmap", 9, &[]),
        ("mprotect", 10, &[TEXT.into(), 0x1000.into(), 7.into()]),
        ("socket", 41, &[2.into(), one]),
        ("fork", 57, &[]),
        ("kill", 62, &[one, 9.into()]),
        ("exit_of_one_thread", 60, &[one]),
        (
            "write_to_stderr",
            abi::SYS_WRITE,
            &[2.into(), TEXT.into(), one],
        ),
        (
            "write_to_a_wide_one",
            abi::SYS_WRITE,
            &[0x1_0000_0001.into(), TEXT.into(), one],
        ),
        (
            "read_the_console",
            abi::SYS_READ,
            &[0.into(), DATA.into(), one],
        ),
        (
            "read_the_timer",
            abi::SYS_READ,
            &[Arg::Word(TIMER_FD), DATA.into(), 8.into()],
        ),
        ("get_fs", abi::SYS_ARCH_PRCTL, &[0x1003.into(), DATA.into()]),
        (
            "cpu_clock",
            abi::SYS_CLOCK_GETTIME,
            &[2.into(), DATA.into()],
        ),
        (
            "wrong_epoll",
            abi::SYS_EPOLL_PWAIT,
            &[Arg::Word(TIMER_FD), DATA.into(), one],
        ),
        (
            "wrong_timer",
            abi::SYS_TIMERFD_SETTIME,
            &[Arg::Word(EPOLL_FD)],
        ),
        (
            "pread_of_stdin",
            abi::SYS_PREAD64,
            &[0.into(), DATA.into(), 512.into(), 0.into()],
        ),
        ("x32", 0x4000_0001, &[one, TEXT.into(), one]),
    ];
    for (name, number, args) in cases {
        let output = run(name, &[syscall(*number, args), exit(0)].concat());
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn system_calls_of_another_architecture_do_not_get_through() {
    // i386: exit(0) by int 0x80. A kernel without emulation gives SIGSEGV.
    let output = run(
        "i386",
        &[&[0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80][..], &exit(0)].concat(),
    );
    let signal = output.status.signal();
    assert!(
        signal == Some(libc::SIGSYS) || signal == Some(libc::SIGSEGV),
        "{signal:?}"
    );
}

#[test]
fn clocks_and_thread_pointer_work() {
    for clock in [abi::CLOCK_REALTIME, abi::CLOCK_MONOTONIC] {
        let read = syscall(abi::SYS_CLOCK_GETTIME, &[clock.into(), BUFFER.into()]);
        let code = [
            read,
            store_result(DATA),
            print(BUFFER, 8),
            exit(Arg::Word(DATA)),
        ]
        .concat();
        let output = run(&format!("clock{clock}"), &code);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.iter().any(|&byte| byte != 0));
    }
    let set = syscall(abi::SYS_ARCH_PRCTL, &[abi::ARCH_SET_FS.into(), DATA.into()]);
    // mov eax, fs:[0]: the first word of the data page.
    let load = vec![0x64, 0x8b, 0x04, 0x25, 0, 0, 0, 0];
    let mut elf = Elf::guest(&[set, load, exit(Arg::Result)].concat(), &[]);
    elf.segments[header::DATA].1[0] = 42;
    assert_eq!(run_with("fs", &elf, &[]).status.code(), Some(42));
}

#[test]
fn the_timer_wakes_the_guest_with_its_own_datum() {
    let deadline = abi::Itimerspec {
        it_value: abi::Timespec {
            tv_sec: 0,
            tv_nsec: 1,
        },
        ..abi::Itimerspec::default()
    };
    let arm = [
        Arg::Word(TIMER_FD),
        abi::TFD_TIMER_ABSTIME.into(),
        DATA.into(),
        0.into(),
    ];
    let wait = [
        Arg::Word(EPOLL_FD),
        BUFFER.into(),
        1.into(),
        u64::MAX.into(),
        0.into(),
        0.into(),
    ];
    let code = [
        syscall(abi::SYS_TIMERFD_SETTIME, &arm),
        syscall(abi::SYS_EPOLL_PWAIT, &wait),
        store_result(DATA),
        print(BUFFER, 12),
        exit(Arg::Word(DATA)),
    ];
    let mut elf = Elf::guest(&code.concat(), &[]);
    elf.segments[header::DATA].1 = deadline.as_bytes().to_vec();
    let data = elf.program_header(header::DATA);
    (data.p_filesz, data.p_memsz) = (32, 32);
    let output = run_with("timer", &elf, &[]);
    assert_eq!(output.status.code(), Some(1));
    let event = abi::EpollEvent {
        events: abi::EPOLLIN,
        data: abi::TIMER_DATUM,
    };
    assert_eq!(output.stdout, event.as_bytes());
}

/// Code that waits for a frame, sends it back and ends.
fn echo() -> Vec<u8> {
    let wait = [
        Arg::Word(EPOLL_FD),
        DATA.into(),
        2.into(),
        u64::MAX.into(),
        0.into(),
        0.into(),
    ];
    let read = [Arg::Word(DEVICE_FD), BUFFER.into(), 1514.into()];
    let write = [Arg::Word(DEVICE_FD), BUFFER.into(), Arg::Result];
    [
        syscall(abi::SYS_EPOLL_PWAIT, &wait),
        print(DATA, 12),
        syscall(abi::SYS_READ, &read),
        syscall(abi::SYS_WRITE, &write),
        // Nothing more to read: the descriptor must not block.
        syscall(abi::SYS_READ, &read),
        store_result(DATA),
        print(DATA, 8),
        exit(0),
    ]
    .concat()
}

/// Waits for a guest that says little to end. Kills one that does not.
#[track_caller]
fn wait(mut child: Child) -> Output {
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the guest does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn an_inherited_descriptor_is_a_network_device() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let image = file("inherited", &Elf::guest(&echo(), &[net()]).bytes());
    let child = spt(["--mem=2", "--net:service=@0"])
        .arg(image)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    ours.send(b"a frame").unwrap();
    let mut frame = [0; 100];
    let length = ours.recv(&mut frame).unwrap();
    assert_eq!(frame[..length], *b"a frame");
    let output = wait(child);
    assert_eq!(output.status.code(), Some(0));
    let event = abi::EpollEvent {
        events: abi::EPOLLIN,
        data: 1,
    };
    assert_eq!(
        output.stdout,
        [event.as_bytes(), &abi::EAGAIN.to_le_bytes()].concat()
    );
}

#[test]
fn an_inherited_descriptor_without_an_interface_has_an_mtu_of_1500_and_a_mac_address() {
    let image = file("mac", &dumper(&[net()]).bytes());
    let start = |options: &[&str]| {
        let (_ours, theirs) = UnixDatagram::pair().unwrap();
        let mut command = spt(options);
        command.args(["--mem=2", "--net:service=@0"]).arg(&image);
        Start::parse(&command.stdin(OwnedFd::from(theirs)).output().unwrap())
    };
    let (first, second) = (start(&[]), start(&[]));
    let entry = first.entries[1];
    assert_eq!(entry.name_bytes(), b"service");
    assert_eq!((entry.mtu(), entry.attached), (1500, 1));
    assert!(entry.host_fd > 2);
    let (mac, other) = (entry.mac(), second.entries[1].mac());
    assert_eq!(
        (mac[0] & 3, other[0] & 3),
        (2, 2),
        "unicast, locally administered"
    );
    assert_ne!(mac, other);
    let given = start(&["--net-mac:service=00:1a:2B:3:4:5"]);
    assert_eq!(given.entries[1].mac(), [0, 0x1a, 0x2b, 3, 4, 5]);
}

#[test]
fn what_an_image_claims_about_its_devices_is_not_believed() {
    let mut device = net();
    device.set_mac([0xff; 6]);
    device.host_fd = 1;
    device.host_fd_high = 1;
    device.details[8..].fill(0xff);
    let image = file("claims", &dumper(&[device]).bytes());
    let (_ours, theirs) = UnixDatagram::pair().unwrap();
    let mut command = spt(["--mem=2", "--net:service=@0"]);
    let output = command
        .arg(image)
        .stdin(OwnedFd::from(theirs))
        .output()
        .unwrap();
    let entry = Start::parse(&output).entries[1];
    assert_ne!(entry.mac(), [0xff; 6]);
    assert_eq!((entry.host_fd_high, &entry.details[8..]), (0, &[0; 8][..]));
    assert!(entry.host_fd > 2);
}

/// Code that reads `length` bytes at `offset`, then stores the first of them in its place.
fn block_io(number: u64, length: u64, offset: u64) -> Vec<u8> {
    let args = [
        Arg::Word(DEVICE_FD),
        BUFFER.into(),
        length.into(),
        offset.into(),
    ];
    [
        syscall(number, &args),
        store_result(DATA),
        exit(Arg::Word(DATA)),
    ]
    .concat()
}

#[test]
fn a_block_device_is_read_and_written_sector_by_sector() {
    let disk = file("disk", &[7; 2048]);
    let option = format!("--block:storage={}", disk.display());
    let start = Start::parse(&run_with("block_info", &dumper(&[block()]), &[&option]));
    let entry = start.entries[1];
    assert_eq!(
        (entry.capacity(), entry.block_size(), entry.attached),
        (2048, 512, 1)
    );

    let copy = [
        syscall(
            abi::SYS_PREAD64,
            &[Arg::Word(DEVICE_FD), BUFFER.into(), 512.into(), 1536.into()],
        ),
        print(BUFFER, 2),
        store_byte(BUFFER),
        block_io(abi::SYS_PWRITE64, 512, 512),
    ];
    let output = run_with(
        "block_copy",
        &Elf::guest(&copy.concat(), &[block()]),
        &[&option],
    );
    assert_eq!(output.status.code(), Some(512 & 0xff));
    assert_eq!(output.stdout, [7, 7]);
    let disk = fs::read(disk).unwrap();
    assert_eq!((disk[511], disk[512], disk[513]), (7, 0, 7));
}

#[test]
fn block_access_is_confined_to_whole_sectors_of_the_device() {
    let disk = file("confined", &[7; 8192]);
    let options = [
        "--block-sector-size:storage=4096",
        &format!("--block:storage={}", disk.display()),
    ];
    for (name, number, length, offset) in [
        ("two_sectors", abi::SYS_PREAD64, 8192, 0),
        ("half_a_sector", abi::SYS_PREAD64, 2048, 0),
        ("beyond", abi::SYS_PWRITE64, 4096, 4097),
        ("far_beyond", abi::SYS_PWRITE64, 4096, u64::MAX),
        ("sequential", abi::SYS_WRITE, 4096, 0),
    ] {
        let elf = Elf::guest(&block_io(number, length, offset), &[block()]);
        let output = run_with(name, &elf, &options);
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{name}");
    }
    let elf = Elf::guest(&block_io(abi::SYS_PWRITE64, 4096, 4096), &[block()]);
    assert_eq!(
        run_with("last_sector", &elf, &options).status.code(),
        Some(0)
    );
    assert_eq!(fs::metadata(disk).unwrap().len(), 8192);
}

#[test]
fn paths_of_block_devices_may_contain_blanks() {
    let disk = file("a disk", &[0; 512]);
    let option = format!("--block:storage={}", disk.display());
    Start::parse(&run_with("blank", &dumper(&[block()]), &[&option]));
}

#[test]
fn the_last_of_repeated_options_counts() {
    let (small, large) = (file("small", &[0; 512]), file("large", &[0; 1024]));
    let attach = |disk: &std::path::Path| format!("--block:storage={}", disk.display());
    let options = [&attach(&small)[..], &attach(&large)];
    let start = Start::parse(&run_with("repeated", &dumper(&[block()]), &options));
    assert_eq!(start.entries[1].capacity(), 1024);
}

#[test]
fn a_guest_can_have_63_devices() {
    let disk = file("shared", &[0; 512]);
    let names: Vec<_> = (0..63).map(|i| format!("storage{i}")).collect();
    let devices: Vec<_> = names
        .iter()
        .map(|name| ManifestEntry::declare(name, TYPE_BLOCK_BASIC))
        .collect();
    let option = |name| format!("--block:{name}={}", disk.display());
    let options: Vec<_> = names.iter().map(option).collect();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let start = Start::parse(&run_with("devices63", &dumper(&devices), &options));
    assert_eq!(start.entries.len(), 64);
    assert!(start.entries[1..].iter().all(ManifestEntry::is_attached));
}

#[test]
fn a_closed_console_is_not_replaced_by_a_device() {
    let disk = file("victim", &[7; 512]);
    let code = [print(TEXT, 4), exit(0)].concat();
    let image = file("closed", &Elf::guest(&code, &[block()]).bytes());
    let status = Command::new("sh")
        .args([
            "-c",
            "exec \"$@\" <&- >&- 2>&-",
            "sh",
            env!("CARGO_BIN_EXE_solo5-spt"),
        ])
        .arg(format!("--block:storage={}", disk.display()))
        .args(["--mem=2".as_ref(), image.as_os_str()])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read(disk).unwrap(), [7; 512]);
}

#[test]
fn signals_have_their_default_effect() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let image = file(
        "pipe",
        &Elf::guest(&[print(TEXT, 1), exit(0)].concat(), &[]).bytes(),
    );
    let status = spt(["--mem=2"]).arg(image).stdout(writer).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGPIPE));
}

#[test]
fn an_image_cannot_be_run_from_a_pipe() {
    let output = spt(["/dev/stdin"])
        .stdin(std::io::pipe().unwrap().0)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        errors,
        "solo5-spt: /dev/stdin: Could not read: Illegal seek\n"
    );
}
