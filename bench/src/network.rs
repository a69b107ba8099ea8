//! The private networks: one namespace with a TAP, two joined by a veth pair.
//!
//! Client and server have the same addresses in both (10.0.0.1 and 10.0.0.2), so that the same
//! load command serves. The client keeps no TIME-WAIT: connection rates would run out of ports.

use crate::Result;
use crate::build::{Programs, check};
use std::process::{Child, Command, Stdio};

/// A TCP to measure.
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    /// On the veth pair instead of the TAP.
    on_veth: bool,
    /// Microseconds that it polls before it sleeps.
    busy_poll_us: u32,
}

/// All that are compared; the first is the base of the ratios.
pub(crate) const STACKS: &[Stack] = &[
    Stack {
        name: "linux",
        on_veth: true,
        busy_poll_us: 0,
    },
    Stack {
        name: "mnet",
        on_veth: false,
        busy_poll_us: 0,
    },
    Stack {
        name: "ceiling",
        on_veth: false,
        busy_poll_us: 0,
    },
    Stack {
        name: "mnet-busy-poll",
        on_veth: false,
        busy_poll_us: 50,
    },
    Stack {
        name: "ceiling-busy-poll",
        on_veth: false,
        busy_poll_us: 50,
    },
];

/// The namespaces; removed when dropped.
pub(crate) struct Network {
    tap: String,
    client: String,
    server: String,
}

const TUNE: &str = "ip link set lo up
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
sysctl -qw net.ipv4.ip_local_port_range='1025 65000'
sysctl -qw net.ipv4.tcp_max_tw_buckets=0 net.ipv4.tcp_no_metrics_save=1
sysctl -qw net.ipv4.tcp_max_syn_backlog=8192 net.core.somaxconn=8192
sysctl -qw net.ipv4.tcp_wmem='4096 65536 8388608' net.ipv4.tcp_rmem='4096 131072 8388608'";

impl Network {
    pub(crate) fn new() -> Result<Self> {
        let id = std::process::id();
        let network = Self {
            tap: format!("mnet-{id}-t"),
            client: format!("mnet-{id}-c"),
            server: format!("mnet-{id}-s"),
        };
        for name in [&network.tap, &network.client, &network.server] {
            ip(&format!("netns add {name}"))?;
            check(Command::new("ip").args(["netns", "exec", name, "sh", "-ec", TUNE]))?;
        }
        let (c, s) = (&network.client, &network.server);
        ip(&format!(
            "-n {c} link add veth0 type veth peer name veth0 netns {s}"
        ))?;
        for (name, host) in [(c, 1), (s, 2)] {
            ip(&format!("-n {name} addr add 10.0.0.{host}/24 dev veth0"))?;
            ip(&format!("-n {name} link set veth0 up"))?;
            let off = [
                "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off", "sg", "off",
            ];
            check(
                Command::new("ip")
                    .args(["netns", "exec", name, "ethtool", "-K", "veth0"])
                    .args(off),
            )?;
        }
        Ok(network)
    }

    /// The namespace in which the load runs.
    pub(crate) fn client_of(&self, stack: &Stack) -> &str {
        if stack.on_veth {
            &self.client
        } else {
            &self.tap
        }
    }

    /// Starts a stack's services on core 0 and waits until they take connections.
    pub(crate) fn start(&self, stack: &Stack, programs: &Programs) -> Result<Server> {
        let namespace = if stack.on_veth {
            &self.server
        } else {
            // Made anew: offload settings of the one before would stay.
            let _ = ip(&format!("-n {} link del tap0", self.tap));
            ip(&format!("-n {} tuntap add dev tap0 mode tap", self.tap))?;
            ip(&format!("-n {} addr add 10.0.0.1/24 dev tap0", self.tap))?;
            ip(&format!("-n {} link set tap0 up", self.tap))?;
            &self.tap
        };
        let mut command = Command::new("ip");
        command.args([
            "netns", "exec", namespace, "nice", "-n", "-20", "taskset", "-c", "0", "env",
        ]);
        if stack.name.starts_with("ceiling") {
            command
                .arg(format!("SPIN_US={}", stack.busy_poll_us))
                .arg(&programs.ceiling)
                .args(["tap0", "64"]);
        } else if stack.name.starts_with("mnet") {
            command
                .arg(&programs.tender)
                .args(["--mem=256", "--net:service=tap0", "--"])
                .arg(&programs.image);
            command.args(["--solo5:quiet", "--ipv4=10.0.0.2/24"]);
            command.arg(format!("--busy-poll-us={}", stack.busy_poll_us));
        } else {
            command.arg(&programs.linux);
        }
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        let mut server = Server(child);
        let probe = format!(
            "{} netns exec {} {} rr 10.0.0.2 5003 0 1",
            "ip",
            self.client_of(stack),
            programs.load.display()
        );
        for _ in 0..50 {
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(format!("{command:?} ended: {status}"));
            }
            if check(Command::new("sh").args(["-c", &probe])).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(format!("{command:?} does not answer"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.tap, &self.client, &self.server] {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &str) -> Result<String> {
    check(Command::new("ip").args(arguments.split_whitespace()))
}
