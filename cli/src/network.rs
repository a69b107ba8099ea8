//! What every unikernel's command line can say about its network.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mnet_core::config::{InterfaceIdentifiers, Ipv6Config, VlanConfig};
use mnet_core::device::InterfaceId;
use mnet_core::dhcp::DhcpConfig;
use mnet_core::error::ConfigError;
use mnet_core::log::{Filter, Level};
use mnet_core::{Instant, Stack};

use crate::address::parse_number;
use crate::value::{Kind, Value};

/// Most devices of a program that the command line can speak of.
pub const MAX_DEVICES: usize = 8;
/// Most name servers: as many as the stack keeps of its owner.
pub const MAX_NAMESERVERS: usize = 4;

/// How an interface speaks IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Args {
    /// With this address, in a network whose prefix has so many bits.
    Static(Ipv4Addr, u8),
    /// With an address of 169.254/16 that it finds itself (RFC 3927).
    LinkLocal,
    /// With what a DHCP server lends it (RFC 2131).
    Dhcp,
}

/// How an interface speaks IPv6. In each case it has a link-local address, and more of routers'
/// prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Args {
    /// Addresses with ends that tell nothing (RFC 7217).
    Random,
    /// Addresses that end in the Ethernet address (RFC 4291 appendix A).
    Eui64,
    /// As [`Ipv6Args::Random`], and this address as well.
    Static(Ipv6Addr, u8),
}

/// What the line says of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceArgs {
    /// `--ipv4`; `None`: no IPv4.
    pub ipv4: Option<Ipv4Args>,
    /// `--ipv4-gateway`.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// `--ipv6`; `None`: no IPv6.
    pub ipv6: Option<Ipv6Args>,
    /// `--ipv6-gateway`.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// `--vlan`: all that is about this VLAN of the device, 1 to 4094.
    pub vlan: Option<u16>,
}

/// The name of a host: letters, digits, hyphens and dots.
pub type Hostname = heapless::String<63>;

/// What a log is to tell, as text.
pub type LogFilter = heapless::String<127>;

/// What the line says of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkArgs {
    /// One for each device of the program, in its order.
    pub interfaces: heapless::Vec<InterfaceArgs, MAX_DEVICES>,
    /// `--nameserver`, in the order given.
    pub nameservers: heapless::Vec<IpAddr, MAX_NAMESERVERS>,
    /// `--dhcp-hostname`: what DHCP servers hear; empty: nothing.
    pub dhcp_hostname: Hostname,
    /// `--verbosity` and `--log`: a text for [`Filter::changed`], empty where they were not given.
    /// `None`, and there are no such options: see [`NetworkArgs::with_log`].
    pub log: Option<LogFilter>,
}

impl NetworkArgs {
    /// For a program that keeps a log, so that its user may say what is in it.
    #[must_use]
    pub fn with_log() -> Self {
        Self {
            log: Some(LogFilter::new()),
            ..Self::default()
        }
    }

    /// What is to be in the log: warnings and errors, and what the line says.
    #[must_use]
    pub fn log_filter(&self) -> Filter {
        let text = self.log.as_deref().unwrap_or_default();
        // It was looked at when it was taken in.
        Filter::default().changed(text).unwrap_or_default()
    }

    /// Gives the interface of a device what the line says of it: addresses, gateways, and the first one
    /// the name servers. Where the line names a VLAN, all that goes to a new interface, of the VLAN.
    /// Returns the interface that has it.
    ///
    /// # Errors
    /// [`ConfigError`] of what the stack refuses. What came before it was done.
    pub fn apply(
        &self,
        stack: &mut Stack,
        now: Instant,
        device: usize,
        interface: InterfaceId,
    ) -> Result<InterfaceId, ConfigError> {
        let vlan = self.interfaces.get(device).and_then(|args| args.vlan);
        let interface = match vlan {
            Some(id) => stack.add_vlan(now, interface, VlanConfig::new(id))?,
            None => interface,
        };
        self.configure(stack, now, device, interface)?;
        Ok(interface)
    }

    /// The same on an interface that is the VLAN's already, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] of what the stack refuses. What came before it was done.
    pub fn configure(
        &self,
        stack: &mut Stack,
        now: Instant,
        device: usize,
        interface: InterfaceId,
    ) -> Result<(), ConfigError> {
        let Some(args) = self.interfaces.get(device) else {
            return Ok(());
        };
        match args.ipv4 {
            Some(Ipv4Args::Static(address, len)) => {
                stack.add_address(now, interface, address.into(), len)?;
            }
            Some(Ipv4Args::LinkLocal) => stack.enable_link_local(now, interface)?,
            Some(Ipv4Args::Dhcp) => {
                let name = &self.dhcp_hostname;
                let config = DhcpConfig {
                    hostname: (!name.is_empty()).then(|| name.clone()),
                    ..DhcpConfig::default()
                };
                stack.dhcp_start(now, interface, config)?;
            }
            None => {}
        }
        if let Some(gateway) = args.ipv4_gateway {
            stack.add_route(Ipv4Addr::UNSPECIFIED.into(), 0, gateway.into(), interface)?;
        }
        if let Some(ipv6) = args.ipv6 {
            let mut config = Ipv6Config::default();
            if ipv6 == Ipv6Args::Eui64 {
                config.identifiers = InterfaceIdentifiers::Eui64;
            }
            stack.enable_ipv6(now, interface, config)?;
            if let Ipv6Args::Static(address, len) = ipv6 {
                stack.add_address(now, interface, address.into(), len)?;
            }
            if let Some(gateway) = args.ipv6_gateway {
                stack.add_route(Ipv6Addr::UNSPECIFIED.into(), 0, gateway.into(), interface)?;
            }
        }
        if device == 0 {
            for server in &self.nameservers {
                stack.add_dns_server(interface, *server)?;
            }
        }
        Ok(())
    }
}

/// One of the options below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Ipv4,
    Ipv4Gateway,
    Ipv6,
    Ipv6Gateway,
    Vlan,
    Nameserver,
    DhcpHostname,
    Log,
    Verbosity,
    Help,
}

/// An option of every unikernel.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) builtin: Builtin,
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    /// What the help calls its value; empty: it has none.
    pub(super) value_name: &'static str,
    pub(super) help: &'static str,
    /// What an error says was expected.
    pub(super) expected: &'static str,
    /// It can be said of each device.
    pub(super) for_device: bool,
}

/// All of them, in the order of the help. The spelling is that of OCaml mnet's.
const KNOWN: [Known; 10] = [
    Known {
        builtin: Builtin::Ipv4,
        name: "ipv4",
        short: None,
        value_name: "ADDRESS/PREFIX|dhcp|link-local",
        help: "our address and the length of its network's prefix; or what a DHCP server lends; or one of 169.254/16",
        expected: "an address such as 10.0.0.2/24, dhcp or link-local",
        for_device: true,
    },
    Known {
        builtin: Builtin::Ipv4Gateway,
        name: "ipv4-gateway",
        short: None,
        value_name: "ADDRESS",
        help: "the default gateway; without it only that network is reachable",
        expected: "an address such as 10.0.0.1",
        for_device: true,
    },
    Known {
        builtin: Builtin::Ipv6,
        name: "ipv6",
        short: None,
        value_name: "random|eui64|ADDRESS/PREFIX",
        help: "speak IPv6: addresses with random ends, with the Ethernet address at their ends, or also this one",
        expected: "random, eui64, or an address such as 2001:db8::2/64",
        for_device: true,
    },
    Known {
        builtin: Builtin::Ipv6Gateway,
        name: "ipv6-gateway",
        short: None,
        value_name: "ADDRESS",
        help: "the default gateway of IPv6; without it, what routers tell",
        expected: "an address such as fe80::1",
        for_device: true,
    },
    Known {
        builtin: Builtin::Vlan,
        name: "vlan",
        short: None,
        value_name: "ID",
        help: "all that in this VLAN of the device (802.1Q), 1 to 4094",
        expected: "a VLAN identifier from 1 to 4094",
        for_device: true,
    },
    Known {
        builtin: Builtin::Nameserver,
        name: "nameserver",
        short: Some('n'),
        value_name: "[udp:]ADDRESS",
        help: "a DNS server, before those of DHCP and routers; up to 4 times",
        expected: "an address such as 10.0.0.53 or udp:10.0.0.53",
        for_device: false,
    },
    Known {
        builtin: Builtin::DhcpHostname,
        name: "dhcp-hostname",
        short: None,
        value_name: "NAME",
        help: "what DHCP servers hear as our name",
        expected: "a name of at most 63 letters, digits, hyphens and dots",
        for_device: false,
    },
    Known {
        builtin: Builtin::Log,
        name: "log",
        short: Some('l'),
        value_name: "FILTER",
        help: "what is told: parts of the stack with a level each, tcp=debug,dhcp=info",
        expected: "a list such as tcp=debug,*=warn",
        for_device: false,
    },
    Known {
        builtin: Builtin::Verbosity,
        name: "verbosity",
        short: None,
        value_name: "LEVEL",
        help: "how much is told: quiet, error, warning (the default), info or debug",
        expected: "quiet, error, warning, info or debug",
        for_device: false,
    },
    Known {
        builtin: Builtin::Help,
        name: "help",
        short: Some('h'),
        value_name: "",
        help: "print this text and end",
        expected: "no value",
        for_device: false,
    },
];

/// Which of them a program has.
#[derive(Clone, Copy)]
pub(super) struct Offered {
    pub(super) network: bool,
    log: bool,
}

impl Offered {
    /// Those that there is a place for.
    pub(super) fn by(network: Option<&NetworkArgs>) -> Self {
        Self {
            network: network.is_some(),
            log: network.is_some_and(|network| network.log.is_some()),
        }
    }

    /// In the order of the help.
    pub(super) fn options(self) -> impl Iterator<Item = &'static Known> {
        KNOWN.iter().filter(move |known| match known.builtin {
            Builtin::Help => true,
            Builtin::Log | Builtin::Verbosity => self.log,
            _ => self.network,
        })
    }
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// It was said before.
    Again,
    /// It is not what was expected.
    Bad,
}

impl NetworkArgs {
    /// Takes in what the line says of a device.
    pub(super) fn take(&mut self, builtin: Builtin, device: usize, text: &str) -> Taken {
        if builtin == Builtin::Nameserver {
            let Some(address) = address(text.strip_prefix("udp:").unwrap_or(text)) else {
                return Taken::Bad;
            };
            return match self.nameservers.push(address) {
                Ok(()) => Taken::Yes,
                Err(_) => Taken::Again,
            };
        }
        if builtin == Builtin::DhcpHostname {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            return match Hostname::try_from(text) {
                Ok(name) if !name.is_empty() && name.bytes().all(fits) => {
                    let again = !self.dhcp_hostname.is_empty();
                    self.dhcp_hostname = name;
                    if again { Taken::Again } else { Taken::Yes }
                }
                _ => Taken::Bad,
            };
        }
        if matches!(builtin, Builtin::Log | Builtin::Verbosity) {
            return self.take_log(builtin, text);
        }
        let Some(args) = self.interfaces.get_mut(device) else {
            return Taken::Bad;
        };
        match builtin {
            Builtin::Ipv4 => {
                let value = match (text, Kind::Prefix.parse(text)) {
                    ("link-local", _) => Some(Ipv4Args::LinkLocal),
                    ("dhcp", _) => Some(Ipv4Args::Dhcp),
                    (_, Some(Value::Prefix(IpAddr::V4(address), len))) => {
                        Some(Ipv4Args::Static(address, len))
                    }
                    _ => None,
                };
                fill(&mut args.ipv4, value)
            }
            Builtin::Ipv4Gateway => {
                let value = match address(text) {
                    Some(IpAddr::V4(address)) => Some(address),
                    _ => None,
                };
                fill(&mut args.ipv4_gateway, value)
            }
            Builtin::Ipv6 => {
                let value = match (text, Kind::Prefix.parse(text)) {
                    ("random", _) => Some(Ipv6Args::Random),
                    ("eui64", _) => Some(Ipv6Args::Eui64),
                    (_, Some(Value::Prefix(IpAddr::V6(address), len))) => {
                        Some(Ipv6Args::Static(address, len))
                    }
                    _ => None,
                };
                fill(&mut args.ipv6, value)
            }
            Builtin::Ipv6Gateway => {
                let value = match address(text) {
                    Some(IpAddr::V6(address)) => Some(address),
                    _ => None,
                };
                fill(&mut args.ipv6_gateway, value)
            }
            Builtin::Vlan => {
                let value = parse_number(text).filter(|id| (1..=4094).contains(id));
                fill(&mut args.vlan, value)
            }
            Builtin::Nameserver
            | Builtin::DhcpHostname
            | Builtin::Log
            | Builtin::Verbosity
            | Builtin::Help => Taken::Bad,
        }
    }
}

impl NetworkArgs {
    /// As it was before the line was read.
    pub(super) fn reset(&mut self) {
        *self = match self.log {
            Some(_) => Self::with_log(),
            None => Self::default(),
        };
    }

    fn take_log(&mut self, builtin: Builtin, text: &str) -> Taken {
        let known = match builtin {
            Builtin::Verbosity => Level::named(text).is_ok(),
            _ => !text.is_empty() && Filter::default().changed(text).is_ok(),
        };
        let Some(log) = self.log.as_mut().filter(|_| known) else {
            return Taken::Bad;
        };
        let separator = if log.is_empty() { "" } else { "," };
        if log.len() + separator.len() + text.len() > log.capacity() {
            return Taken::Again;
        }
        let _ = log.push_str(separator);
        let _ = log.push_str(text);
        Taken::Yes
    }
}

/// An address without port and zone.
fn address(text: &str) -> Option<IpAddr> {
    match Kind::Address.parse(text)? {
        Value::Address(SocketAddr::V6(address)) if address.scope_id() != 0 => None,
        Value::Address(address) => Some(address.ip()),
        _ => None,
    }
}

fn fill<T>(place: &mut Option<T>, value: Option<T>) -> Taken {
    match (&place, value) {
        (_, None) => Taken::Bad,
        (Some(_), _) => Taken::Again,
        (None, value) => {
            *place = value;
            Taken::Yes
        }
    }
}
