//! The debugger's end of the line: one connection, from this machine only.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use gdbstub::conn::{Connection, ConnectionExt};
use solo5_debug::packets::{AGAIN, Packets, REFUSAL};
use solo5_tender::cli::Program;
use solo5_tender::hvt::Guest;

/// A connection to a debugger.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    /// What is to be sent with the next flush.
    waiting: Vec<u8>,
    /// What was received.
    packets: Packets,
}

/// The byte that makes the processor leave the guest at once; null while that is not wanted.
static LEAVE: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// The debugger sent something.
extern "C" fn something_came(_: libc::c_int) {
    let leave = LEAVE.load(Ordering::Relaxed);
    if !leave.is_null() {
        // SAFETY: in memory that KVM shares with this process, as long as there is a machine.
        unsafe { leave.write_volatile(1) };
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl Line {
    /// Waits for a debugger; says where and how.
    pub(crate) fn wait(program: &Program, port: u16, kernel: &str) -> Result<Self, String> {
        let failed = |error: io::Error| format!("Could not wait for a debugger: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        program.warn("Waiting for a debugger. Connect to it like this:");
        program.warn(format!(
            "    gdb --ex=\"target remote localhost:{port}\" {kernel}"
        ));
        let (stream, peer) = listener.accept().map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        program.warn(format!("Connection from debugger at {}", peer.ip()));
        Ok(Self {
            stream,
            waiting: Vec::new(),
            packets: Packets::default(),
        })
    }

    /// Its descriptor.
    pub(crate) fn fd(&self) -> i32 {
        self.stream.as_raw_fd()
    }

    /// From now on, whatever the debugger sends interrupts the guest: by a signal to this thread, which
    /// has to be the one that runs the processor.
    pub(crate) fn interrupt(&self, machine: &mut Guest) -> io::Result<()> {
        LEAVE.store(
            &raw mut machine.vcpu().get_kvm_run().immediate_exit,
            Ordering::Relaxed,
        );
        machine.host().inner().wake_by(self.fd());
        // SAFETY: all fields of `sigaction` may be zero.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = something_came as *const () as usize;
        let owner = Owner {
            kind: F_OWNER_TID,
            // SAFETY: no preconditions.
            thread: unsafe { libc::gettid() },
        };
        // SAFETY: the handler does only what handlers may; the descriptor is ours, and the kernel
        // reads the owner.
        unsafe {
            checked(libc::sigaction(libc::SIGIO, &raw const action, null_mut()))?;
            checked(libc::fcntl(self.fd(), F_SETOWN_EX, &raw const owner))?;
            checked(libc::fcntl(self.fd(), libc::F_SETFL, libc::O_ASYNC))
        }
    }

    /// Ends what [`interrupt`](Self::interrupt) began.
    pub(crate) fn let_run(machine: &mut Guest) {
        LEAVE.store(null_mut(), Ordering::Relaxed);
        machine.vcpu().set_kvm_immediate_exit(0);
        machine.host().inner().wake_by(-1);
    }

    /// Receives what there is, and sorts it.
    fn receive(&mut self, flags: libc::c_int) -> io::Result<()> {
        let mut bytes = [0u8; 1024];
        let (to, room) = (bytes.as_mut_ptr(), bytes.len());
        // SAFETY: there is so much room.
        let received = unsafe { libc::recv(self.fd(), to.cast(), room, flags) };
        match usize::try_from(received) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => bytes[..len]
                .iter()
                .try_for_each(|&byte| match self.packets.sort(byte) {
                    true => Ok(()),
                    false => self.send(AGAIN),
                }),
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Answers that what came makes no sense.
    pub(crate) fn refuse(&mut self) -> io::Result<()> {
        self.waiting.clear();
        self.send(REFUSAL)
    }

    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (from, len) = (bytes.as_ptr(), bytes.len());
            // SAFETY: so many bytes are there.
            let result = unsafe { libc::send(self.fd(), from.cast(), len, libc::MSG_NOSIGNAL) };
            match usize::try_from(result) {
                Ok(count) => bytes = &bytes[count..],
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

// From <linux/fcntl.h>.
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

/// The kernel's `struct f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    thread: libc::pid_t,
}

impl Connection for &mut Line {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.waiting.push(byte);
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.send(&waiting)
    }
}

impl ConnectionExt for &mut Line {
    fn read(&mut self) -> io::Result<u8> {
        loop {
            match self.packets.take() {
                Some(byte) => return Ok(byte),
                None => self.receive(0)?,
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.packets.peek().is_none() {
            self.receive(libc::MSG_DONTWAIT)?;
        }
        Ok(self.packets.peek())
    }
}
