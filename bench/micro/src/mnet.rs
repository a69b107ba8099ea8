//! mnet-core, driven as `mnet::Runtime` drives it.

use crate::peer::SERVER_HARDWARE;
use crate::wire::Wire;
use crate::{Family, Service, Subject};
use mnet_core::config::Ipv6Config;
use mnet_core::device::{InterfaceId, RxInfo, TxFrame};
use mnet_core::error::RecvError;
use mnet_core::{Config, Instant, InterfaceConfig, SocketId, Stack};

/// The stack and its server.
#[derive(Debug)]
pub struct Mnet {
    stack: Stack,
    interface: InterfaceId,
    listener: SocketId,
    connection: Option<SocketId>,
    service: Service,
    family: Family,
    buffer: Box<[u8]>,
}

/// What a device's read does: not counted.
#[inline(never)]
fn device_read(wire: &mut Wire, buffer: &mut [u8]) -> Option<usize> {
    let frame = wire.pop()?;
    buffer[..frame.len()].copy_from_slice(frame);
    Some(frame.len())
}

/// What a device's write does: not counted.
#[inline(never)]
fn device_write(wire: &mut Wire, frame: &TxFrame<'_>) {
    let bytes = frame.slices[0];
    wire.push(bytes.len()).copy_from_slice(bytes);
}

impl Mnet {
    fn receive(&mut self, now: Instant, incoming: &mut Wire) {
        while let Some(buffer) = self.stack.receive_buffer() {
            let Some(len) = device_read(incoming, buffer) else {
                break;
            };
            let info = RxInfo {
                len,
                ..RxInfo::default()
            };
            self.stack.receive(now, self.interface, info);
        }
    }

    fn serve(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            if event.socket == self.listener {
                while let Ok(connection) = self.stack.tcp_accept(self.listener) {
                    self.connection = Some(connection);
                    self.read(now, connection);
                }
            } else {
                self.read(now, event.socket);
            }
        }
        if let (Service::Source { segments }, Some(connection)) = (self.service, self.connection) {
            let _ = self.stack.tcp_send(
                now,
                connection,
                &self.buffer[..segments * self.family.mss()],
            );
        }
    }

    fn read(&mut self, now: Instant, id: SocketId) {
        match self.service {
            Service::Discard => loop {
                match self.stack.tcp_recv_slice(id).map(<[u8]>::len) {
                    Ok(0) => break self.close(now, id),
                    Ok(len) => self.stack.tcp_consume(now, id, len).expect("it was there"),
                    Err(_) => break,
                }
            },
            Service::Source { .. } => {}
            Service::Echo => loop {
                match self.stack.tcp_recv(now, id, &mut self.buffer) {
                    Ok(0) => break self.close(now, id),
                    Ok(len) => {
                        let sent = self.stack.tcp_send(now, id, &self.buffer[..len]);
                        assert_eq!(sent, Ok(len));
                    }
                    Err(RecvError::WouldBlock) => break,
                    Err(error) => panic!("{error}"),
                }
            },
        }
    }

    fn close(&mut self, now: Instant, id: SocketId) {
        self.connection = None;
        self.stack.close(now, id).expect("it was open");
    }
}

impl Subject for Mnet {
    fn new(service: Service, family: Family) -> Self {
        Self::with(&Config::default(), service, family)
    }

    #[inline(never)]
    fn measured_turn(&mut self, now: u64, incoming: &mut Wire, outgoing: &mut Wire) {
        let now = Instant::from_nanos(now * 1_000);
        self.receive(now, incoming);
        self.stack.handle_timeout(now);
        self.serve(now);
        while let Some(frame) = self.stack.transmit(now) {
            device_write(outgoing, &frame);
        }
        std::hint::black_box(self.stack.next_timeout());
    }
}

impl Mnet {
    /// A stack for at least so many connections, listening.
    pub(crate) fn for_connections(connections: usize, service: Service) -> Self {
        let config = Config {
            memory: (16 << 20) + connections * 1_024,
            max_connections: Some(connections + 16),
            ..Config::default()
        };
        Self::with(&config, service, Family::V4)
    }

    fn with(config: &Config, service: Service, family: Family) -> Self {
        let now = Instant::from_millis(1_000);
        let mut stack = Stack::new(config, [7; 32], now).expect("a good configuration");
        let interface = stack
            .add_interface(
                now,
                InterfaceConfig {
                    hardware_address: SERVER_HARDWARE,
                    mtu: 1500,
                },
            )
            .expect("the first interface");
        if family == Family::V6 {
            let config = Ipv6Config {
                accept_router_advertisements: false,
                dad_transmits: 0,
                ..Ipv6Config::default()
            };
            stack
                .enable_ipv6(now, interface, config)
                .expect("the first time");
        }
        let server = family.server();
        stack
            .add_address(now, interface, server.ip(), family.prefix_len())
            .expect("the first address");
        // The announcements and reports of the address are not of the work.
        let mut now = now;
        while let Some(next) = stack.next_timeout() {
            now = now.max(next);
            stack.handle_timeout(now);
            while stack.transmit(now).is_some() {}
        }
        let listener = stack.tcp_listen(server, 16).expect("a free port");
        Self {
            stack,
            interface,
            listener,
            connection: None,
            service,
            family,
            buffer: vec![0x5a; 64 * family.mss()].into_boxed_slice(),
        }
    }
}
