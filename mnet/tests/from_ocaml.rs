//! Every Rust name in docs/from-ocaml.md is one: this file uses them all, so that it compiles only with
//! them, and its test compares the page with what it uses.

use std::collections::BTreeSet;
use std::future::Ready;
use std::net::IpAddr;

use mnet::cli::{self, NetworkArgs};
use mnet::mnet_core::address::NetworkChanges;
use mnet::mnet_core::config::Ipv6Config;
use mnet::mnet_core::dhcp::{DhcpConfig, Lease};
use mnet::mnet_core::error::{RecvFromError, SendToError};
use mnet::mnet_core::{AddressOptions, UdpReceived};
use mnet::tap::Tap;
use mnet::{Config, Stack, TcpFailure};
use solo5::StartInfo;

type Net = mnet::Net<Tap>;
type Runtime = mnet::Runtime<Tap>;
type Task = mnet::tasks::Task<()>;
type TcpListener = mnet::TcpListener<Tap>;
type TcpStream = mnet::TcpStream<Tap>;
type UdpSocket = mnet::UdpSocket<Tap>;

mod aio {
    use mnet::tap::Tap;

    pub(super) type TcpListener = mnet::aio::TcpListener<Tap>;
    pub(super) type TcpStream = mnet::aio::TcpStream<Tap>;
    pub(super) type UdpSocket = mnet::aio::UdpSocket<Tap>;
}

/// Names of functions, constants and variants; of fields; and of functions that take a closure, with a
/// call.
macro_rules! names {
    (
        paths { $($path:path,)+ }
        fields { $($type:ident :: $field:ident,)+ }
        calls { $($called:path = |$self:ident| $call:expr,)+ }
    ) => {
        /// Nobody calls this. It is generic, so that no code is made of it: there are no bindings to link
        /// with.
        #[allow(dead_code, reason = "it is there to compile")]
        fn exist<T>(_: &T) {
            $(let _ = $path;)+
            $(let _ = |value: &$type| { let _ = &value.$field; };)+
            $(let _ = async |$self: &_| { let _ = $call; };)+
        }

        const NAMES: &[&str] = &[
            $(stringify!($path),)+
            $(concat!(stringify!($type), "::", stringify!($field)),)+
            $(stringify!($called),)+
        ];
    };
}

/// A value of any type, for calls that nobody makes.
fn any<T>() -> T {
    unreachable!("nobody calls this")
}

names! {
    paths {
        Net::add_address,
        Net::add_interface,
        Net::add_route,
        Net::add_vlan,
        Net::addresses,
        Net::bind,
        Net::connect,
        Net::connect_timeout,
        Net::counters,
        Net::dhcp_start,
        Net::dns_servers,
        Net::interfaces,
        Net::listen,
        Net::new,
        Net::next_network_event,
        Net::now,
        Net::random,
        Net::remove_address,
        Net::run::<Ready<()>>,
        Net::search_domains,
        Net::sleep,
        Net::spawn::<Ready<()>>,
        Net::step,
        Net::step_tasks,
        Net::tcp_entries,
        Net::timeout::<Ready<()>>,
        Net::usage,
        NetworkArgs::apply,
        NetworkArgs::with_log,
        NetworkChanges::ADDRESS_CONFLICT,
        RecvFromError::Refused,
        Runtime::attach,
        Runtime::new,
        SendToError::MessageTooLong,
        SendToError::NoRoute,
        Lease::option,
        Lease::options,
        Stack::close,
        Stack::enable_ipv6,
        Stack::handle_timeout,
        Stack::new,
        Stack::next_timeout,
        Stack::receive_copy,
        Stack::tcp_connect,
        Stack::tcp_recv,
        Stack::tcp_send,
        Stack::tcp_shutdown,
        Stack::transmit,
        StartInfo::heap,
        Task::cancel,
        Task::detach,
        TcpFailure::NoRoute,
        TcpFailure::Refused,
        TcpFailure::Reset,
        TcpFailure::Unreachable,
        TcpListener::accept,
        TcpStream::close,
        TcpStream::info,
        TcpStream::local_addr,
        TcpStream::peer_addr,
        TcpStream::peers,
        TcpStream::read,
        TcpStream::set,
        TcpStream::set_linger,
        TcpStream::set_nodelay,
        TcpStream::shutdown,
        TcpStream::try_write,
        TcpStream::write_all,
        UdpSocket::connect,
        UdpSocket::last_error,
        UdpSocket::recv_from,
        UdpSocket::send_to,
        UdpSocket::set_read_timeout,
        aio::TcpListener::accept,
        aio::TcpStream::connect,
        aio::TcpStream::consume,
        aio::TcpStream::fill_buf,
        aio::TcpStream::read,
        aio::TcpStream::shutdown,
        aio::TcpStream::write_all,
        aio::UdpSocket::recv_from,
        aio::UdpSocket::send_to,
        cli::parse,
        solo5::Block::acquire,
        solo5::Block::read,
        solo5::Block::write,
        solo5::Net::acquire,
        solo5::Net::read,
        solo5::Net::write,
        solo5::clock_monotonic,
        solo5::clock_wall,
        solo5::yield_until,
    }
    fields {
        AddressOptions::on_conflict,
        Config::max_connections,
        Config::memory,
        DhcpConfig::client_id,
        DhcpConfig::hostname,
        DhcpConfig::requests,
        Ipv6Config::identifiers,
        Ipv6Config::secret,
        UdpReceived::destination,
    }
    calls {
        Net::dhcp_lease = |net| Net::dhcp_lease(net, any(), |lease| lease.server),
        Net::dhcp_start_with = |net| Net::dhcp_start_with(net, any(), any(), |_, _| true),
        Net::wait_address = |net| Net::wait_address(net, any(), IpAddr::is_ipv4, any()),
        UdpSocket::try_send_with = |udp| UdpSocket::try_send_with(udp, 1, None, |_| 1),
        aio::TcpStream::read_with = |tcp| aio::TcpStream::read_with(tcp, |_| (1, ())).await,
        aio::UdpSocket::send_with = |udp| aio::UdpSocket::send_with(udp, 1, None, |_| 1).await,
    }
}

/// `Type::name` or longer, and nothing else.
fn is_path(text: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.contains("::") && text.split("::").all(is_word)
}

#[test]
fn every_rust_name_of_the_page_is_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-ocaml.md");
    let page = std::fs::read_to_string(path).unwrap();
    let in_page: BTreeSet<&str> = page
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|text| is_path(text))
        .collect();
    let names: Vec<String> = NAMES
        .iter()
        .map(|name| name.split_whitespace().collect())
        .collect();
    let here: BTreeSet<&str> = names
        .iter()
        .map(|name: &String| name.split("::<").next().unwrap())
        .collect();
    assert!(in_page.len() > 90, "only {} names", in_page.len());
    let unknown: Vec<_> = in_page.difference(&here).collect();
    assert!(unknown.is_empty(), "not in this file: {unknown:?}");
    let unused: Vec<_> = here.difference(&in_page).collect();
    assert!(unused.is_empty(), "not in the page: {unused:?}");
}
