//! Events as text, without `core::fmt`.

use super::{End, LogEvent, LogKind};
use crate::address::{AddressOrigin, AddressState};
use crate::device::InterfaceId;
use crate::route::NextHop;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes that the text of any event fits into.
const MAX_LEN: usize = 200;

/// A buffer that takes as much as there is room for.
struct Line<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Line<'_> {
    #[inline(never)]
    fn text(&mut self, text: &str) -> &mut Self {
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        self
    }

    #[inline(never)]
    fn digits(&mut self, mut number: u64, base: u64, least: usize) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while number > 0 || digits.len() - at < least {
            at -= 1;
            digits[at] = b"0123456789abcdef"[usize::try_from(number % base).unwrap_or(0)];
            number /= base;
        }
        // Only digits were written.
        self.text(core::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.digits(number.into(), 10, 1)
    }

    fn v4(&mut self, address: Ipv4Addr) -> &mut Self {
        for (place, octet) in address.octets().into_iter().enumerate() {
            self.text(if place > 0 { "." } else { "" }).number(octet);
        }
        self
    }

    /// RFC 5952 §4.
    fn v6(&mut self, address: Ipv6Addr) -> &mut Self {
        if let Some(v4) = address.to_ipv4_mapped() {
            return self.text("::ffff:").v4(v4);
        }
        let groups = address.segments();
        // The longest run of zeros, the first of them if there are several, at least two long.
        let mut longest = (0, 1);
        let mut start = 0;
        for (place, group) in groups.iter().enumerate() {
            if *group != 0 {
                start = place + 1;
            } else if place + 1 - start > longest.1 {
                longest = (start, place + 1 - start);
            }
        }
        let (first, len) = longest;
        let mut place = 0;
        while place < groups.len() {
            if len > 1 && place == first {
                self.text("::");
                place += len;
                continue;
            }
            let separator = if place == 0 || len > 1 && place == first + len {
                ""
            } else {
                ":"
            };
            self.text(separator).digits(groups[place].into(), 16, 1);
            place += 1;
        }
        self
    }

    #[inline(never)]
    fn ip(&mut self, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(v4) => self.v4(v4),
            IpAddr::V6(v6) => self.v6(v6),
        }
    }

    #[inline(never)]
    fn prefix(&mut self, address: IpAddr, len: u8) -> &mut Self {
        self.ip(address).text("/").number(len)
    }

    #[inline(never)]
    fn endpoint(&mut self, endpoint: SocketAddr) -> &mut Self {
        match endpoint {
            SocketAddr::V4(v4) => self.v4(*v4.ip()),
            SocketAddr::V6(v6) => self.text("[").v6(*v6.ip()).text("]"),
        };
        self.text(":").number(endpoint.port())
    }

    #[inline(never)]
    fn hardware(&mut self, address: [u8; 6]) -> &mut Self {
        for (place, octet) in address.into_iter().enumerate() {
            self.text(if place > 0 { ":" } else { "" })
                .digits(octet.into(), 16, 2);
        }
        self
    }

    fn station(&mut self, address: [u8; 6]) -> &mut Self {
        match address {
            [0, 0, 0, 0, 0, 0] => self.text("somebody else"),
            address => self.hardware(address),
        }
    }

    /// Interfaces are counted from 1, as in C.
    #[inline(never)]
    fn interface(&mut self, interface: InterfaceId) -> &mut Self {
        let number = u64::try_from(interface.index()).unwrap_or(0) + 1;
        self.text("interface ").number(number)
    }

    fn event(&mut self, kind: &LogKind) {
        match *kind {
            LogKind::Opened {
                local,
                remote,
                passive,
            } => {
                let by = if passive {
                    " opened by peer "
                } else {
                    " opened to "
                };
                self.endpoint(local).text(by).endpoint(remote)
            }
            LogKind::Ended { local, remote, how } => self
                .endpoint(local)
                .text(" with ")
                .endpoint(remote)
                .text(" ended: ")
                .text(end(how)),
            LogKind::Address {
                interface,
                address,
                prefix_len,
                state,
                origin,
            } => self
                .interface(interface)
                .text(": ")
                .text(origin_name(origin))
                .text(" address ")
                .prefix(address, prefix_len)
                .text(state_name(state)),
            LogKind::AddressGone {
                interface,
                address,
                prefix_len,
            } => self
                .interface(interface)
                .text(": address ")
                .prefix(address, prefix_len)
                .text(" is gone"),
            LogKind::Conflict {
                interface,
                address,
                hardware,
            } => self
                .interface(interface)
                .text(": our address ")
                .ip(address)
                .text(" is claimed by ")
                .station(hardware),
            LogKind::Lease {
                interface,
                address,
                server,
                duration,
            } => {
                self.interface(interface)
                    .text(": lease of ")
                    .ip(address)
                    .text(" from ")
                    .ip(server);
                match duration {
                    Some(duration) => self.text(" for ").number(duration.as_secs()).text(" s"),
                    None => self.text(" for ever"),
                }
            }
            LogKind::LeaseGone { interface, address } => self
                .interface(interface)
                .text(": lease of ")
                .ip(address)
                .text(" is over"),
            LogKind::Route {
                destination,
                prefix_len,
                next_hop,
                there,
            } => {
                self.text("route to ").prefix(destination, prefix_len);
                match next_hop {
                    NextHop::Gateway { interface, address } => self
                        .text(" by ")
                        .ip(address)
                        .text(" on ")
                        .interface(interface),
                    NextHop::OnLink { interface } => self.text(" on ").interface(interface),
                    NextHop::Unreachable => self.text(" nowhere"),
                };
                self.text(if there { "" } else { " is gone" })
            }
            LogKind::Gateway { address, answers } => {
                self.text("gateway ").ip(address).text(if answers {
                    " answers again"
                } else {
                    " does not answer"
                })
            }
            LogKind::Neighbour {
                interface,
                address,
                hardware,
            } => self
                .interface(interface)
                .text(": ")
                .ip(address)
                .text(" is at ")
                .hardware(hardware),
            LogKind::PathMtu { address, mtu } => self
                .text("path to ")
                .ip(address)
                .text(" carries ")
                .number(mtu)
                .text(" bytes"),
            LogKind::Counted { counter, times } => {
                self.text(counter).text(": ").number(times).text(" more")
            }
            LogKind::Missed { events } => self.number(events).text(" events were not told"),
        };
    }
}

fn end(how: End) -> &'static str {
    match how {
        End::Closed => "closed by both sides",
        End::Aborted => "aborted by us",
        End::Reset => "reset by peer",
        End::Refused => "refused",
        End::TimedOut => "timed out",
        End::Unreachable => "unreachable",
        End::AddressGone => "our address is gone",
    }
}

fn origin_name(origin: AddressOrigin) -> &'static str {
    match origin {
        AddressOrigin::Static => "static",
        AddressOrigin::Dhcp => "DHCP's",
        AddressOrigin::LinkLocal => "link-local",
        AddressOrigin::Router => "router's",
        AddressOrigin::Temporary => "temporary",
    }
}

fn state_name(state: AddressState) -> &'static str {
    match state {
        AddressState::Tentative => " is asked for",
        AddressState::Usable => " is ours",
        AddressState::Deprecated => " is deprecated",
        AddressState::Duplicate => " is somebody else's",
    }
}

impl LogEvent {
    /// Writes the event's text into `buffer`, without level, module and newline, as far as there is
    /// room; 200 bytes are enough for all. How many bytes that were.
    pub fn render(&self, buffer: &mut [u8]) -> usize {
        let mut line = Line { buffer, len: 0 };
        line.event(&self.kind);
        line.len
    }
}

impl fmt::Display for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; MAX_LEN];
        let len = self.render(&mut buffer);
        // Only text was written, and whole: it fits.
        f.write_str(core::str::from_utf8(&buffer[..len]).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Level, Module};
    use crate::time::Instant;
    use alloc::string::{String, ToString};
    use core::time::Duration;

    fn text(kind: LogKind) -> String {
        LogEvent {
            at: Instant::ZERO,
            level: Level::Info,
            module: Module::Tcp,
            kind,
        }
        .to_string()
    }

    /// The library's own words are the oracle.
    #[test]
    fn addresses_are_written_as_the_library_writes_them() {
        for address in [
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8:0:1:1:1:1:1",
            "2001:0:0:1::1",
            "1:0:0:2:0:0:0:3",
            "0:1:2:3:4:5:6:7",
            "0:0:1:2:3:4:5:6",
            "1:2:3:4:5:6:0:0",
            "::ffff:10.0.0.1",
            "fe80::ffff:ff",
            "1:2:3:4:5:6:7:8",
            "10.0.0.255",
            "0.0.0.0",
        ] {
            let address: IpAddr = address.parse().unwrap();
            let kind = LogKind::Gateway {
                address,
                answers: true,
            };
            let wanted = std::format!("gateway {address} answers again");
            assert_eq!(text(kind), wanted);
            let endpoint = SocketAddr::new(address, 80);
            let kind = LogKind::Ended {
                local: endpoint,
                remote: endpoint,
                how: End::TimedOut,
            };
            assert_eq!(
                text(kind),
                std::format!("{endpoint} with {endpoint} ended: timed out")
            );
        }
    }

    #[test]
    fn the_longest_texts_fit() {
        let address: IpAddr = "1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap();
        let interface = InterfaceId(255);
        let next_hop = NextHop::Gateway { interface, address };
        let texts = [
            text(LogKind::Route {
                destination: address,
                prefix_len: 128,
                next_hop,
                there: false,
            }),
            text(LogKind::Lease {
                interface,
                address,
                server: address,
                duration: Some(Duration::MAX),
            }),
        ];
        for text in texts {
            assert!(text.len() < MAX_LEN, "{text}");
        }
    }

    #[test]
    fn a_short_buffer_gets_the_beginning() {
        let event = LogEvent {
            at: Instant::ZERO,
            level: Level::Debug,
            module: Module::Link,
            kind: LogKind::Counted {
                counter: "eth_malformed",
                times: 12,
            },
        };
        let mut buffer = [0; 10];
        assert_eq!(event.render(&mut buffer), 10);
        assert_eq!(&buffer, b"eth_malfor");
        assert_eq!(event.to_string(), "eth_malformed: 12 more");
    }
}
