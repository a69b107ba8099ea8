//! The work of `mnet-bench-micro` on smoltcp: `mnet-bench-micro-smoltcp run OPERATION TIMES`.

use mnet_bench_micro::peer::SERVER_HARDWARE;
use mnet_bench_micro::wire::{FRAME, Wire};
use mnet_bench_micro::{Family, Service, Subject, Work};
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

/// Both directions as one device.
struct Device<'a> {
    incoming: &'a mut Wire,
    outgoing: &'a mut Wire,
}

struct Received<'a>(&'a [u8]);
struct ToSend<'a>(&'a mut Wire);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        f(device_room(self.0, len))
    }
}

/// The next frame: not counted.
#[inline(never)]
fn device_frame(wire: &mut Wire) -> Option<&[u8]> {
    wire.pop()
}

/// Room for a frame: not counted.
#[inline(never)]
fn device_room(wire: &mut Wire, len: usize) -> &mut [u8] {
    wire.push(len)
}

impl phy::Device for Device<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = ToSend<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, ToSend<'_>)> {
        Some((
            Received(device_frame(self.incoming)?),
            ToSend(self.outgoing),
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToSend<'_>> {
        Some(ToSend(self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        // Without timestamps there are 12 bytes less in a header: the same data in each segment.
        capabilities.max_transmission_unit = FRAME - 12;
        capabilities
    }
}

/// One socket, which listens again when its connection has ended.
struct Smoltcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    service: Service,
    family: Family,
    buffer: Box<[u8]>,
}

impl Smoltcp {
    fn serve(&mut self) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        match self.service {
            Service::Discard => {
                while socket.can_recv() {
                    socket.recv(|data| (data.len(), ())).expect("it can");
                }
            }
            Service::Source { segments } => {
                if socket.can_send() {
                    let _ = socket.send_slice(&self.buffer[..segments * self.family.mss()]);
                }
            }
            Service::Echo => {
                while socket.can_recv() {
                    let len = socket.recv_slice(&mut self.buffer).expect("it can");
                    assert_eq!(socket.send_slice(&self.buffer[..len]), Ok(len));
                }
            }
        }
        match socket.state() {
            State::CloseWait => socket.close(),
            State::Closed => socket
                .listen(self.family.server().port())
                .expect("it was closed"),
            _ => {}
        }
    }
}

impl Subject for Smoltcp {
    fn new(service: Service, family: Family) -> Self {
        let (mut incoming, mut outgoing) = (Wire::default(), Wire::default());
        let mut device = Device {
            incoming: &mut incoming,
            outgoing: &mut outgoing,
        };
        let config = Config::new(EthernetAddress(SERVER_HARDWARE).into());
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        let address = IpCidr::new(family.server().ip().into(), family.prefix_len());
        interface.update_ip_addrs(|all| all.push(address).expect("the first"));
        let buffer = || SocketBuffer::new(vec![0; 256 << 10]);
        let mut sockets = SocketSet::new(vec![]);
        let socket = sockets.add(Socket::new(buffer(), buffer()));
        let mut subject = Self {
            interface,
            sockets,
            socket,
            service,
            family,
            buffer: vec![0x5a; 64 * family.mss()].into_boxed_slice(),
        };
        subject.serve();
        subject
    }

    #[inline(never)]
    fn measured_turn(&mut self, now: u64, incoming: &mut Wire, outgoing: &mut Wire) {
        let now = Instant::from_micros(i64::try_from(now).expect("a short time"));
        let mut device = Device { incoming, outgoing };
        let Self {
            interface, sockets, ..
        } = self;
        while interface.poll_ingress_single(now, &mut device, sockets)
            != PollIngressSingleResult::None
        {}
        self.serve();
        let Self {
            interface, sockets, ..
        } = self;
        while interface.poll_egress(now, &mut device, sockets) == PollResult::SocketStateChanged {}
        std::hint::black_box(interface.poll_delay(now, sockets));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "run", operation, times] => {
            let work = Work::named(operation).expect("an operation");
            work.run::<Smoltcp>(times.parse().expect("a number"));
        }
        _ => panic!("run OPERATION TIMES"),
    }
}
