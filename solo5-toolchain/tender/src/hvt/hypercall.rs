//! Hypercalls: what a guest asks for is copied once, checked, and done (solo5-abi section 11).

use solo5_abi::hvt::{
    BlockIo, HALT_COOKIE_LEN, Halt, Hypercall, NetIo, PORT_BASE, Poll, Puts, TrapFrame, Walltime,
};
use thiserror::Error;

use crate::hvt::host::{GuestBytes, Host, HostFailure, Outcome};
use crate::hvt::memory::{BadAccess, Ram};

/// What a guest did that it must not do. The guest is at fault, and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It pointed to memory that it does not have.
    #[error(transparent)]
    Access(#[from] BadAccess),
    /// It made a call that does not exist or for which it has no device.
    #[error("Invalid guest hypercall: num={0}")]
    Call(u16),
    /// It used a port that means nothing.
    #[error("Invalid guest port access: port={0:#x}")]
    Port(u16),
    /// It submitted more than the ring has room for.
    #[error("Invalid guest ring: {submitted} entries submitted beyond {taken}")]
    Ring {
        /// The guest's index.
        submitted: u32,
        /// Ours.
        taken: u32,
    },
}

/// How the guest goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Behind the call.
    Continue,
    /// Not at all.
    Halt {
        /// The exit status that it wants.
        status: i32,
        /// What its trap handler says, if it was that which ended it.
        trap: Option<TrapFrame>,
    },
    /// Not at all: the host cannot do what it asks for.
    Failed(HostFailure),
}

/// Guest memory that a guest points to, for a device to read.
fn guest_bytes(ram: &Ram, gpa: u64, len: u64) -> Result<GuestBytes, BadAccess> {
    let start = ram.readable(gpa, len)?;
    let len = usize::try_from(len).map_err(|_| BadAccess { gpa, len })?;
    Ok(GuestBytes { start, len })
}

/// Guest memory that a guest points to, for a device to write.
fn guest_room(ram: &Ram, gpa: u64, len: u64) -> Result<GuestBytes, BadAccess> {
    ram.writable(gpa, len)?;
    guest_bytes(ram, gpa, len)
}

/// Makes the hypercall with this port, the argument of which is at `gpa`.
///
/// # Errors
///
/// See [`Fault`]. The guest's memory is then as it was, but for what a device wrote before.
pub fn hypercall(ram: &Ram, host: &impl Host, port: u16, gpa: u32) -> Result<Next, Fault> {
    let number = port.checked_sub(PORT_BASE).ok_or(Fault::Port(port))?;
    if number >= solo5_abi::hvt::HYPERCALL_END {
        return Err(Fault::Port(port));
    }
    let call = Hypercall::from_raw(number).ok_or(Fault::Call(number))?;
    host.called(call);
    let gpa = u64::from(gpa);
    match call {
        Hypercall::Walltime => {
            let nsecs = host.walltime();
            ram.write(gpa, &Walltime { nsecs })?;
        }
        Hypercall::Puts => {
            let puts: Puts = ram.read(gpa)?;
            host.console(guest_bytes(ram, puts.data, puts.len)?);
        }
        Hypercall::Poll => {
            let poll: Poll = ram.read_in_out(gpa)?;
            let ready_set = match host.poll(poll.timeout_nsecs) {
                Ok(ready_set) => ready_set,
                Err(failure) => return Ok(Next::Failed(failure)),
            };
            let ret = ready_set.count_ones().cast_signed();
            let poll = Poll {
                ready_set,
                ret,
                ..poll
            };
            ram.write(gpa, &poll)?;
        }
        Hypercall::BlockWrite | Hypercall::BlockRead => {
            if !host.has_block() {
                return Err(Fault::Call(number));
            }
            let io: BlockIo = ram.read_in_out(gpa)?;
            let ret = block(ram, host, call, &io)? as i32;
            ram.write(gpa, &BlockIo { ret, ..io })?;
        }
        Hypercall::NetWrite | Hypercall::NetRead => {
            if !host.has_net() {
                return Err(Fault::Call(number));
            }
            let io: NetIo = ram.read_in_out(gpa)?;
            ram.write(gpa, &net(ram, host, call, io)?)?;
        }
        Hypercall::Halt => {
            let halt: Halt = ram.read(gpa)?;
            let trap = if halt.cookie == 0 {
                None
            } else {
                ram.readable(halt.cookie, HALT_COOKIE_LEN as u64)?;
                Some(ram.read(halt.cookie)?)
            };
            return Ok(Next::Halt {
                status: halt.exit_status,
                trap,
            });
        }
    }
    Ok(Next::Continue)
}

fn block(ram: &Ram, host: &impl Host, call: Hypercall, io: &BlockIo) -> Result<Outcome, Fault> {
    let Some(capacity) = host.capacity(io.handle) else {
        return Ok(Outcome::Invalid);
    };
    let end = io.offset.checked_add(io.len);
    if io.offset >= capacity || end.is_none_or(|end| end > capacity) {
        return Ok(Outcome::Invalid);
    }
    Ok(if call == Hypercall::BlockWrite {
        let data = guest_bytes(ram, io.data, io.len)?;
        host.block_write(io.handle, io.offset, data)
    } else {
        let room = guest_room(ram, io.data, io.len)?;
        host.block_read(io.handle, io.offset, room)
    })
}

/// The argument with its results.
fn net(ram: &Ram, host: &impl Host, call: Hypercall, io: NetIo) -> Result<NetIo, Fault> {
    if !host.is_net(io.handle) {
        let ret = Outcome::Invalid as i32;
        return Ok(NetIo { ret, ..io });
    }
    if call == Hypercall::NetWrite {
        let frame = guest_bytes(ram, io.data, io.len)?;
        let ret = host.net_write(io.handle, frame) as i32;
        return Ok(NetIo { ret, ..io });
    }
    let room = guest_room(ram, io.data, io.len)?;
    Ok(match host.net_read(io.handle, room) {
        Ok(len) => NetIo {
            len: len as u64,
            ret: Outcome::Ok as i32,
            ..io
        },
        Err(outcome) => NetIo {
            ret: outcome as i32,
            ..io
        },
    })
}
