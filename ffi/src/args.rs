//! The command line of a unikernel: the program's options, and those of its network.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;
use core::net::{IpAddr, SocketAddr};

use mnet::cli::{
    self, ConsoleLines, InterfaceArgs, Ipv4Args, Ipv6Args, Kind, NetworkArgs, Outcome, Program,
    Spec, Table, Value,
};

use crate::dhcp::{self, mnet_dhcp, mnet_dhcp_start};
use crate::error::{Error, status};
use crate::interfaces::{mnet_add_interface, mnet_add_vlan};
use crate::log::mnet_log_start;
use crate::pointer::{self, text};
use crate::registry;
use crate::stack::{mnet_close_stack, mnet_open};
use crate::types::{mnet_addr, mnet_config, mnet_stack};

/// mnet_option.kind: there or not. Its value is an int, which becomes 1.
pub const MNET_OPTION_FLAG: u32 = 1;
/// mnet_option.kind: a whole number from min to max. Its value is a uint64_t.
pub const MNET_OPTION_NUMBER: u32 = 2;
/// mnet_option.kind: a text. Its value is an array of value_size char, and gets a NUL at its end; what
/// does not fit is refused.
pub const MNET_OPTION_TEXT: u32 = 3;
/// mnet_option.kind: an address without a port, "10.0.0.2". Its value is a struct mnet_addr.
pub const MNET_OPTION_ADDRESS: u32 = 4;
/// mnet_option.kind: an address and a port, "10.0.0.2:7", as mnet_addr_parse() reads them. Its value is
/// a struct mnet_addr.
pub const MNET_OPTION_ENDPOINT: u32 = 5;
/// mnet_option.kind: a time from min to max, a whole number and its unit: ns, us, ms, s, min, h or d.
/// Its value is a uint64_t, in nanoseconds, as min and max are.
pub const MNET_OPTION_TIME: u32 = 6;
/// mnet_option.kind: a size from min to max, a whole number of bytes, or with a unit: kB, MB, GB
/// (1000), KiB, MiB, GiB (1024). Its value is a uint64_t, in bytes, as min and max are.
pub const MNET_OPTION_SIZE: u32 = 7;

/// mnet_option.flags: it must be there.
pub const MNET_OPTION_REQUIRED: u32 = 1;
/// mnet_option.flags: a word that is no option; its name is what the help calls it. Such words are
/// taken in the order of the table.
pub const MNET_OPTION_POSITIONAL: u32 = 2;

/// An option of a program. What is not mentioned is 0, as with designated initializers:
///
///     uint64_t port = 7;
///     struct mnet_option options[] = {
///         { .name = "port", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
///           .help = "the port to listen on; default 7" },
///     };
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_option {
    /// Its name, as in --port=VALUE or --port VALUE.
    pub name: *const c_char,
    /// One line for the help. NULL: none.
    pub help: *const c_char,
    /// What the help calls the value. NULL: by its kind.
    pub value_name: *const c_char,
    /// Where the value goes; it has the default before. With times above 1, an array of so many.
    pub value: *mut c_void,
    /// MNET_OPTION_TEXT: bytes of one value, its NUL included, 1 to 1025. Ignored for other kinds.
    pub value_size: usize,
    /// The least value of a number, time or size.
    pub min: u64,
    /// The largest. 0: no limit.
    pub max: u64,
    /// MNET_OPTION_FLAG, MNET_OPTION_NUMBER and so on.
    pub kind: u32,
    /// MNET_OPTION_REQUIRED and MNET_OPTION_POSITIONAL, combined.
    pub flags: u32,
    /// A letter for short, as in -p VALUE; 0: none.
    pub letter: u32,
    /// How often it may be there. 0: once.
    pub times: u32,
    /// Set by mnet_args_parse(): how often it was there.
    pub given: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// mnet_args.flags: the program uses no network, and has only its own options.
pub const MNET_ARGS_NO_NETWORK: u32 = 1;

/// Most network devices that a command line can speak of.
pub const MNET_ARGS_DEVICES: usize = 8;
/// Most name servers that a command line can name.
pub const MNET_ARGS_NAMESERVERS: usize = 4;

/// mnet_device_args.ipv4: the device is not to speak IPv4.
pub const MNET_ARGS_IPV4_NONE: u32 = 0;
/// mnet_device_args.ipv4: it has the address that was given.
pub const MNET_ARGS_IPV4_STATIC: u32 = 1;
/// mnet_device_args.ipv4: it finds an address of 169.254/16 itself; see mnet_link_local().
pub const MNET_ARGS_IPV4_LINK_LOCAL: u32 = 2;
/// mnet_device_args.ipv4: it has what a DHCP server lends it; see mnet_dhcp_start().
pub const MNET_ARGS_IPV4_DHCP: u32 = 3;

/// mnet_device_args.ipv6: the device is not to speak IPv6.
pub const MNET_ARGS_IPV6_NONE: u32 = 0;
/// mnet_device_args.ipv6: its addresses end in numbers that tell nothing (RFC 7217).
pub const MNET_ARGS_IPV6_RANDOM: u32 = 1;
/// mnet_device_args.ipv6: its addresses end in the Ethernet address.
pub const MNET_ARGS_IPV6_EUI64: u32 = 2;
/// mnet_device_args.ipv6: as MNET_ARGS_IPV6_RANDOM, and the address that was given.
pub const MNET_ARGS_IPV6_STATIC: u32 = 3;

/// What the command line says of one network device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct mnet_device_args {
    /// --ipv4: our address; MNET_AF_NONE where none was given.
    pub ipv4_address: mnet_addr,
    /// --ipv4-gateway; MNET_AF_NONE where none was given.
    pub ipv4_gateway: mnet_addr,
    /// --ipv6: our address; MNET_AF_NONE where none was given.
    pub ipv6_address: mnet_addr,
    /// --ipv6-gateway; MNET_AF_NONE where none was given.
    pub ipv6_gateway: mnet_addr,
    /// The length of the prefix of the IPv4 network, in bits.
    pub ipv4_prefix_len: u32,
    /// The length of the prefix of the IPv6 network, in bits.
    pub ipv6_prefix_len: u32,
    /// MNET_ARGS_IPV4_*: how it speaks IPv4.
    pub ipv4: u32,
    /// MNET_ARGS_IPV6_*: how it speaks IPv6.
    pub ipv6: u32,
    /// --vlan: all that is about this VLAN of the device, 1 to 4094; 0: none was given.
    pub vlan: u32,
    /// 0. For later versions.
    pub reserved: [u32; 11],
}

/// What a program says of its command line, and what the command line says. Fill it with
/// mnet_args_default(), say what the program has, and pass it to mnet_args_parse().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_args {
    /// sizeof (struct mnet_args) as the caller knows it. Set by mnet_args_default().
    pub size: usize,
    /// The name of the program, in front of every message. Default "unikernel".
    pub program: *const c_char,
    /// What the program does, one line for the help. NULL (the default): not said.
    pub summary: *const c_char,
    /// The options of the program. NULL (the default): none.
    pub options: *mut mnet_option,
    /// How many.
    pub option_count: usize,
    /// sizeof (struct mnet_option) as the caller knows it. Required where there are options.
    pub option_size: usize,
    /// The names of the network devices, as the manifest has them. Options of the network are about
    /// the first, or about the one that they name: --ipv4:NAME=... NULL (the default): one device,
    /// "service".
    pub devices: *const *const c_char,
    /// How many, up to MNET_ARGS_DEVICES.
    pub device_count: usize,
    /// MNET_ARGS_* combined. Default 0.
    pub flags: u32,
    /// Set by mnet_args_parse(): how many name servers the command line names.
    pub nameserver_count: u32,
    /// Set by mnet_args_parse(): --nameserver, in the order given, with port 0.
    pub nameservers: [mnet_addr; MNET_ARGS_NAMESERVERS],
    /// Set by mnet_args_parse(): what the command line says of each device.
    pub device: [mnet_device_args; MNET_ARGS_DEVICES],
    /// Set by mnet_args_parse(): --dhcp-hostname, with a NUL at its end; empty where none was given.
    pub dhcp_hostname: [c_char; 64],
    /// Begins the log of the stack that mnet_open_args() opens: mnet_log_console, or a function of the
    /// program's. With it there are the options --log and --verbosity. NULL (the default): no log.
    pub log: mnet_log_start,
    /// Set by mnet_args_parse(): what --log and --verbosity say, as for mnet_log_filter(), with a NUL
    /// at its end; empty where they were not given. Passed to the function.
    pub log_filter: [c_char; 128],
}

/// Bytes of the first version of the structures.
const FIRST_SIZE: usize =
    offset_of!(mnet_args, device) + MNET_ARGS_DEVICES * size_of::<mnet_device_args>();
const FIRST_OPTION_SIZE: usize = size_of::<mnet_option>();
/// Most options of a program.
const MAX_OPTIONS: usize = 256;

const SERVICE: *const c_char = c"service".as_ptr();

fn defaults(size: usize) -> mnet_args {
    mnet_args {
        size,
        program: c"unikernel".as_ptr(),
        summary: core::ptr::null(),
        options: core::ptr::null_mut(),
        option_count: 0,
        option_size: 0,
        devices: core::ptr::null(),
        device_count: 0,
        flags: 0,
        nameserver_count: 0,
        nameservers: Default::default(),
        device: Default::default(),
        dhcp_hostname: [0; 64],
        log: None,
        log_filter: [0; 128],
    }
}

/// Fills the structure with the defaults: a program "unikernel" without options of its own, and one
/// network device, "service".
///
/// - args: the structure to fill.
/// - size: sizeof (struct mnet_args), so that the library knows how old the caller is.
///
/// Returns 0, or MNET_EINVAL: args is NULL, or size is not that of any version. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_args_default(args: *mut mnet_args, size: usize) -> c_int {
    let fill = || {
        if !(FIRST_SIZE..=1 << 16).contains(&size) {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or `size` bytes that may be written.
        unsafe { pointer::write_sized(args, size, &defaults(size)) }
    };
    status(fill())
}

/// [`text`], empty for NULL.
///
/// # Safety
/// As [`text`].
unsafe fn optional<'a>(given: *const c_char) -> Result<&'a str, Error> {
    if given.is_null() {
        return Ok("");
    }
    // SAFETY: the caller's promise is the one asked for.
    unsafe { text(given) }
}

/// A table that C has filled, checked.
struct Options<'a>(&'a mut [mnet_option]);

impl<'a> Options<'a> {
    /// # Safety
    /// `args.options` is NULL or has as many elements as `args` says, and what they point to is there
    /// and is nobody else's while the table lives.
    unsafe fn new(args: &mnet_args) -> Result<Self, Error> {
        if args.option_count == 0 {
            return Ok(Self(&mut []));
        }
        // There is one version of the structure so far.
        if args.option_size != FIRST_OPTION_SIZE || args.option_count > MAX_OPTIONS {
            return Err(Error::INVALID);
        }
        let aligned = args.options.is_aligned();
        let len = pointer::array_len::<mnet_option>(args.option_count)?;
        // SAFETY: the caller vouches for as many bytes.
        let bytes = unsafe { pointer::output(args.options.cast(), len) }?;
        if bytes.is_empty() || !aligned {
            return Err(Error::INVALID);
        }
        // SAFETY: aligned and there, and every bit pattern is a value.
        let options = unsafe { core::slice::from_raw_parts_mut(args.options, args.option_count) };
        for option in &mut *options {
            // SAFETY: the caller vouches for what the options point to.
            unsafe { check(option) }?;
            option.given = 0;
        }
        Ok(Self(options))
    }
}

/// # Safety
/// What the option points to is there.
unsafe fn check(option: &mnet_option) -> Result<(), Error> {
    const FLAGS: u32 = MNET_OPTION_REQUIRED | MNET_OPTION_POSITIONAL;
    let kind = kind(option).ok_or(Error::INVALID)?;
    let letter = option.letter == 0 || letter(option).is_some();
    let positional = option.flags & MNET_OPTION_POSITIONAL != 0;
    if option.flags & !FLAGS != 0
        || option.reserved != 0
        || !letter
        || (positional && kind == Kind::Flag)
    {
        return Err(Error::INVALID);
    }
    let times = usize::try_from(option.times.max(1)).map_err(|_| Error::INVALID)?;
    let len = value_len(option).checked_mul(times).ok_or(Error::INVALID)?;
    // SAFETY: the caller vouches for the place of the values.
    let place = unsafe { pointer::output(option.value, len) }?;
    if place.is_empty() {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller vouches for the texts.
    let (name, help, value) = unsafe {
        let (name, help) = (text(option.name)?, optional(option.help)?);
        (name, help, optional(option.value_name)?)
    };
    let plain = !name.is_empty() && !name.contains(['=', ' ', ':']) && !name.starts_with('-');
    let one_line = !help.contains('\n') && !value.contains('\n');
    (plain && one_line).then_some(()).ok_or(Error::INVALID)
}

/// Bytes of one value.
fn value_len(option: &mnet_option) -> usize {
    match option.kind {
        MNET_OPTION_FLAG => size_of::<c_int>(),
        MNET_OPTION_TEXT => option.value_size,
        MNET_OPTION_ADDRESS | MNET_OPTION_ENDPOINT => size_of::<mnet_addr>(),
        _ => size_of::<u64>(),
    }
}

fn letter(option: &mnet_option) -> Option<char> {
    char::from_u32(option.letter).filter(char::is_ascii_alphanumeric)
}

fn kind(option: &mnet_option) -> Option<Kind> {
    let min = option.min;
    let max = match option.max {
        0 => u64::MAX,
        max => max,
    };
    if min > max {
        return None;
    }
    Some(match option.kind {
        MNET_OPTION_FLAG => Kind::Flag,
        MNET_OPTION_NUMBER => Kind::Number { min, max },
        MNET_OPTION_TEXT => Kind::Text {
            max_len: option
                .value_size
                .checked_sub(1)
                .filter(|len| *len <= 1_024)?,
        },
        MNET_OPTION_ADDRESS => Kind::Address,
        MNET_OPTION_ENDPOINT => Kind::Endpoint,
        MNET_OPTION_TIME => Kind::Duration { min, max },
        MNET_OPTION_SIZE => Kind::Size { min, max },
        _ => return None,
    })
}

impl Table for Options<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn spec(&self, index: usize) -> Spec<'_> {
        let option = &self.0[index];
        // SAFETY: the texts were there when the table was checked, and nobody changes them.
        let (name, help, value_name) = unsafe {
            let name = text(option.name).unwrap_or_default();
            let help = optional(option.help).unwrap_or_default();
            (name, help, optional(option.value_name).unwrap_or_default())
        };
        Spec {
            name,
            short: letter(option),
            kind: kind(option).unwrap_or(Kind::Flag),
            value_name,
            help,
            positional: option.flags & MNET_OPTION_POSITIONAL != 0,
            required: option.flags & MNET_OPTION_REQUIRED != 0,
            times: option.times.max(1),
        }
    }

    fn given(&self, index: usize) -> u32 {
        self.0[index].given
    }

    fn set(&mut self, index: usize, value: Value<'_>) {
        let option = &mut self.0[index];
        let before = usize::try_from(option.given).unwrap_or(usize::MAX);
        let place = option.value.cast::<u8>();
        // SAFETY: there are as many values as the option may be given times, and this is not the last
        // but one more (`Table::set`).
        let place = unsafe { place.add(before * value_len(option)) };
        option.given += 1;
        match value {
            Value::Flag => {
                let first = option.value.cast::<c_int>();
                // SAFETY: the place of an `int`.
                unsafe { first.write_unaligned(1) };
            }
            Value::Number(number) | Value::Duration(number) | Value::Size(number) => {
                // SAFETY: the place of a `uint64_t`.
                unsafe { place.cast::<u64>().write_unaligned(number) };
            }
            Value::Text(text) => {
                // SAFETY: the kind says that the text is shorter than its place.
                unsafe {
                    core::ptr::copy_nonoverlapping(text.as_ptr(), place, text.len());
                    place.add(text.len()).write(0);
                }
            }
            Value::Address(address) | Value::Endpoint(address) => {
                let address = mnet_addr::new(address);
                // SAFETY: the place of an address.
                unsafe { place.cast::<mnet_addr>().write_unaligned(address) };
            }
            // No option has this kind.
            Value::Prefix(..) => {}
        }
    }
}

/// Reads the command line of a unikernel: the program's options, those of its network, and --help.
/// What there is to be said is written to the console: the help, or what is wrong with the command
/// line, and the usage. The stack need not be open.
///
/// Words may be quoted with ' and " and \, as in a shell. The options of the network are --ipv4,
/// --ipv4-gateway, --ipv6, --ipv6-gateway and --nameserver; docs/commandline.md has them all.
///
/// - args: what the program has; receives what the command line says. Pass it to mnet_open_args().
/// - cmdline: the command line, as solo5_app_main() gets it.
///
/// Returns 1: begin. Or 0: the help was asked for and written, end with success. Or negative:
///   MNET_EINVAL     the command line is wrong, which was written; or NULL, or the program's table is
///                   wrong: a name that is empty, used twice or the network's, a kind or flag that is
///                   unknown, a value that is NULL, min above max
///   MNET_EMSGSIZE   a text is longer than 65536 bytes
/// After anything but 1 some values may have been changed. Does not block.
///
///     struct mnet_args args;
///     mnet_args_default(&args, sizeof args);
///     args.program = "echo";
///     args.options = options;
///     args.option_count = sizeof options / sizeof options[0];
///     args.option_size = sizeof options[0];
///     int begin = mnet_args_parse(&args, info->cmdline);
///     if (begin <= 0)
///         return begin == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_args_parse(args: *mut mnet_args, cmdline: *const c_char) -> c_int {
    let parse = || {
        // SAFETY: as the header says: NULL, or a structure of the size in its first member. Its
        // members are integers and pointers, so every bit pattern is a value.
        let mut given = unsafe { pointer::read_sized(args, FIRST_SIZE) }?;
        // SAFETY: as the header says: strings.
        let (line, name, summary) = unsafe {
            let line = text(cmdline)?;
            (line, text(given.program)?, optional(given.summary)?)
        };
        if given.flags & !MNET_ARGS_NO_NETWORK != 0 {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or as many options as the structure says.
        let mut options = unsafe { Options::new(&given) }?;
        let mut names = [""; MNET_ARGS_DEVICES];
        // SAFETY: as the header says: NULL, or as many names as the structure says.
        let devices = unsafe { devices(&given, &mut names) }?;
        let program = Program {
            name,
            summary,
            devices,
        };
        let mut network = if given.log.is_some() {
            NetworkArgs::with_log()
        } else {
            NetworkArgs::default()
        };
        let has_network = given.flags & MNET_ARGS_NO_NETWORK == 0;
        let wanted = has_network.then_some(&mut network);
        let mut console = ConsoleLines::new();
        match cli::parse(line, &program, &mut options, wanted, &mut console) {
            Outcome::Refused => return Err(Error::INVALID),
            Outcome::Help => return Ok(0),
            Outcome::Run => {}
        }
        tell(&mut given, &network);
        // SAFETY: as the header says: as many bytes may be written as the structure has.
        unsafe { pointer::write_sized(args, given.size, &given) }?;
        Ok(1)
    };
    parse().unwrap_or_else(|error: Error| error.code())
}

/// # Safety
/// `args.devices` is NULL or has as many names as `args` says.
unsafe fn devices<'a, 'b>(
    args: &mnet_args,
    names: &'b mut [&'a str; MNET_ARGS_DEVICES],
) -> Result<&'b [&'a str], Error> {
    if args.devices.is_null() && args.device_count == 0 {
        names[0] = "service";
        return Ok(&names[..1]);
    }
    if args.devices.is_null() || !(1..=MNET_ARGS_DEVICES).contains(&args.device_count) {
        return Err(Error::INVALID);
    }
    let given = names.get_mut(..args.device_count).ok_or(Error::INVALID)?;
    for (index, name) in given.iter_mut().enumerate() {
        // SAFETY: there are as many names.
        *name = unsafe { text(device_name(args, index)?) }?;
    }
    Ok(given)
}

/// # Safety
/// As [`devices`].
unsafe fn device_name(args: &mnet_args, index: usize) -> Result<*const c_char, Error> {
    if args.devices.is_null() {
        return Ok(SERVICE);
    }
    // SAFETY: there are as many names.
    unsafe { pointer::read(args.devices.wrapping_add(index)) }
}

/// What the line says, for C.
fn tell(args: &mut mnet_args, network: &NetworkArgs) {
    let address = |ip: IpAddr| mnet_addr::new(SocketAddr::new(ip, 0));
    args.nameserver_count = 0;
    args.nameservers = Default::default();
    for (place, server) in args.nameservers.iter_mut().zip(&network.nameservers) {
        *place = address(*server);
        args.nameserver_count += 1;
    }
    args.device = Default::default();
    copy(&network.dhcp_hostname, &mut args.dhcp_hostname);
    copy(
        network.log.as_deref().unwrap_or_default(),
        &mut args.log_filter,
    );
    for (out, said) in args.device.iter_mut().zip(&network.interfaces) {
        out.ipv4 = match said.ipv4 {
            None => MNET_ARGS_IPV4_NONE,
            Some(Ipv4Args::LinkLocal) => MNET_ARGS_IPV4_LINK_LOCAL,
            Some(Ipv4Args::Dhcp) => MNET_ARGS_IPV4_DHCP,
            Some(Ipv4Args::Static(ours, len)) => {
                out.ipv4_address = address(ours.into());
                out.ipv4_prefix_len = len.into();
                MNET_ARGS_IPV4_STATIC
            }
        };
        out.ipv6 = match said.ipv6 {
            None => MNET_ARGS_IPV6_NONE,
            Some(Ipv6Args::Random) => MNET_ARGS_IPV6_RANDOM,
            Some(Ipv6Args::Eui64) => MNET_ARGS_IPV6_EUI64,
            Some(Ipv6Args::Static(ours, len)) => {
                out.ipv6_address = address(ours.into());
                out.ipv6_prefix_len = len.into();
                MNET_ARGS_IPV6_STATIC
            }
        };
        out.vlan = said.vlan.map_or(0, u32::from);
        if let Some(gateway) = said.ipv4_gateway {
            out.ipv4_gateway = address(gateway.into());
        }
        if let Some(gateway) = said.ipv6_gateway {
            out.ipv6_gateway = address(gateway.into());
        }
    }
}

/// Text for C, with NUL behind it: it is shorter than its place.
fn copy(text: &str, place: &mut [c_char]) {
    place.fill(0);
    for (place, byte) in place.iter_mut().zip(text.bytes()) {
        *place = c_char::from_ne_bytes([byte]);
    }
}

/// What C has, which may have changed it, as the stack takes it.
fn network(args: &mnet_args) -> Result<NetworkArgs, Error> {
    let ip = |address: mnet_addr| Ok::<_, Error>(address.optional()?.map(|address| address.ip()));
    let len = |len: u32| u8::try_from(len).map_err(|_| Error::INVALID);
    let mut network = NetworkArgs::default();
    let servers = usize::try_from(args.nameserver_count).map_err(|_| Error::INVALID)?;
    for server in args.nameservers.get(..servers).ok_or(Error::INVALID)? {
        let server = ip(*server)?.ok_or(Error::INVALID)?;
        network
            .nameservers
            .push(server)
            .map_err(|_| Error::INVALID)?;
    }
    if args.device_count > MNET_ARGS_DEVICES {
        return Err(Error::INVALID);
    }
    for device in args.device.iter().take(args.device_count.max(1)) {
        let mut interface = InterfaceArgs::default();
        let v4 = |address: mnet_addr| match ip(address)? {
            None => Ok(None),
            Some(IpAddr::V4(v4)) => Ok(Some(v4)),
            Some(IpAddr::V6(_)) => Err(Error::FAMILY),
        };
        let v6 = |address: mnet_addr| match ip(address)? {
            None => Ok(None),
            Some(IpAddr::V6(v6)) => Ok(Some(v6)),
            Some(IpAddr::V4(_)) => Err(Error::FAMILY),
        };
        interface.ipv4 = match device.ipv4 {
            MNET_ARGS_IPV4_NONE => None,
            MNET_ARGS_IPV4_STATIC => {
                let ours = v4(device.ipv4_address)?.ok_or(Error::INVALID)?;
                Some(Ipv4Args::Static(ours, len(device.ipv4_prefix_len)?))
            }
            MNET_ARGS_IPV4_LINK_LOCAL => Some(Ipv4Args::LinkLocal),
            MNET_ARGS_IPV4_DHCP => Some(Ipv4Args::Dhcp),
            _ => return Err(Error::INVALID),
        };
        interface.ipv6 = match device.ipv6 {
            MNET_ARGS_IPV6_NONE => None,
            MNET_ARGS_IPV6_RANDOM => Some(Ipv6Args::Random),
            MNET_ARGS_IPV6_EUI64 => Some(Ipv6Args::Eui64),
            MNET_ARGS_IPV6_STATIC => {
                let ours = v6(device.ipv6_address)?.ok_or(Error::INVALID)?;
                Some(Ipv6Args::Static(ours, len(device.ipv6_prefix_len)?))
            }
            _ => return Err(Error::INVALID),
        };
        interface.ipv4_gateway = v4(device.ipv4_gateway)?;
        interface.ipv6_gateway = v6(device.ipv6_gateway)?;
        interface.vlan = match u16::try_from(device.vlan).map_err(|_| Error::INVALID)? {
            0 => None,
            id => Some(id),
        };
        if device.reserved != [0; 11] {
            return Err(Error::INVALID);
        }
        network
            .interfaces
            .push(interface)
            .map_err(|_| Error::INVALID)?;
    }
    Ok(network)
}

/// Opens a stack as the command line says: mnet_open() with the first device of the program and
/// mnet_add_interface() with the others, so that they are interfaces 1, 2 and so on; then VLANs in the
/// order of their devices, with the numbers that follow (mnet_add_vlan()); then addresses, gateways,
/// IPv6 (mnet_enable_ipv6()) and name servers (mnet_add_dns_server()).
///
/// - config: as for mnet_open(). Its device, address, gateway and prefix_len are ignored.
/// - args: what mnet_args_parse() has filled.
///
/// Returns the stack, or what these functions return; then there is no stack. MNET_EINVAL also if args
/// says MNET_ARGS_NO_NETWORK. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_open_args(
    config: *const mnet_config,
    args: *const mnet_args,
) -> mnet_stack {
    let open = || {
        // SAFETY: as the header says: NULL, or structures of the size in their first member. Their
        // members are integers and pointers, so every bit pattern is a value.
        let (mut config, args) = unsafe {
            let smallest = offset_of!(mnet_config, now) + size_of::<u64>();
            let config = pointer::read_sized(config, smallest)?;
            (config, pointer::read_sized(args, FIRST_SIZE)?)
        };
        if args.flags & MNET_ARGS_NO_NETWORK != 0 {
            return Err(Error::INVALID);
        }
        let network = network(&args)?;
        // SAFETY: as the header says: NULL, or as many names as the structure says.
        config.device = unsafe { device_name(&args, 0) }?;
        config.size = size_of::<mnet_config>();
        config.address = mnet_addr::default();
        config.gateway = mnet_addr::default();
        config.prefix_len = 24;
        // SAFETY: our own structure; what it points to is what the caller's did.
        let stack = unsafe { mnet_open(&raw const config) };
        if stack < 0 {
            return Ok(stack);
        }
        // SAFETY: as the header says: as many names as the structure says.
        let configured = unsafe { configure(stack, &args, &network) };
        if configured < 0 {
            mnet_close_stack(stack);
            return Ok(configured.into());
        }
        let logs = begin_log(stack, &args);
        if logs < 0 {
            mnet_close_stack(stack);
            return Ok(logs.into());
        }
        Ok(stack)
    };
    crate::error::value(open())
}

/// Adds the interfaces of a stack beyond the first, and gives all what the line says. 0, or the code of
/// the call that failed.
///
/// # Safety
/// As [`devices`].
unsafe fn configure(stack: mnet_stack, args: &mnet_args, network: &NetworkArgs) -> c_int {
    let mut numbers = [1; MNET_ARGS_DEVICES];
    let devices = || network.interfaces.iter().zip(0..);
    for (number, (_, device)) in numbers.iter_mut().zip(devices()).skip(1) {
        // SAFETY: there are as many names.
        *number = match unsafe { device_name(args, device) } {
            // SAFETY: a string of the caller's.
            Ok(name) => unsafe { mnet_add_interface(stack, name) },
            Err(error) => error.code(),
        };
        if *number < 0 {
            return *number;
        }
    }
    for (number, (interface, _)) in numbers.iter_mut().zip(devices()) {
        if let (Some(vlan), Ok(parent)) = (interface.vlan, u32::try_from(*number)) {
            *number = mnet_add_vlan(stack, parent, vlan.into(), 0, 0);
            if *number < 0 {
                return *number;
            }
        }
    }
    for (number, (interface, _)) in numbers.iter().zip(devices()) {
        if let (Some(Ipv4Args::Dhcp), Ok(number)) = (interface.ipv4, u32::try_from(*number)) {
            let status = start_dhcp(stack, number, args);
            if status < 0 {
                return status;
            }
        }
    }
    let network = &without_dhcp(network);
    status(registry::with_stack(stack, |opened| {
        let now = opened.runtime.now();
        for (number, (_, device)) in numbers.iter().zip(devices()) {
            let number = u32::try_from(*number).map_err(|_| Error::INVALID)?;
            let interface = opened.interface_of(number)?;
            network.configure(opened.runtime.stack_mut(), now, device, interface)?;
        }
        Ok(())
    }))
}

/// Begins the log, if the program has one. Nothing of it is in programs that do not name it.
fn begin_log(stack: mnet_stack, args: &mnet_args) -> c_int {
    let Some(log) = args.log else {
        return 0;
    };
    // One that C has filled to its end is none.
    let text = &args.log_filter;
    if !text.contains(&0) {
        return Error::INVALID.code();
    }
    let filter = if text[0] == 0 {
        core::ptr::null()
    } else {
        text.as_ptr()
    };
    // SAFETY: a function of the caller's, and a string of ours.
    unsafe { log(stack, filter) }
}

/// Starts the client of an interface: memory of the arena is for it.
fn start_dhcp(stack: mnet_stack, interface: u32, args: &mnet_args) -> c_int {
    let name = args.dhcp_hostname.iter().take_while(|byte| **byte != 0);
    let mut dhcp = dhcp::defaults(size_of::<mnet_dhcp>());
    dhcp.hostname_len = name.count();
    if dhcp.hostname_len > 0 {
        dhcp.hostname = args.dhcp_hostname.as_ptr();
    }
    // SAFETY: our own structure, whose name is there.
    unsafe { mnet_dhcp_start(stack, interface, &raw const dhcp) }
}

/// What is left when the clients of DHCP run.
fn without_dhcp(network: &NetworkArgs) -> NetworkArgs {
    let mut network = network.clone();
    for interface in &mut network.interfaces {
        interface.ipv4 = interface.ipv4.filter(|ipv4| *ipv4 != Ipv4Args::Dhcp);
    }
    network
}
