//! The pieces of work, and one measurement of one of them.

use crate::Result;
use crate::build::{Programs, check};
use crate::network::{Network, Stack};
use std::process::Command;

/// One piece of work for the load tool.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Arguments of the load tool; `SECS` is replaced.
    load: &'static str,
    /// The field of its JSON line that counts; higher is better.
    key: &'static str,
    pub(crate) unit: &'static str,
}

/// All of them. The services: 5001 discards, 5002 sends, 5003 echoes.
pub(crate) const ALL: &[Work] = &[
    Work {
        name: "bulk-in",
        what: "one connection, client sends",
        load: "send 10.0.0.2 5001 SECS",
        key: "gbps",
        unit: "Gbit/s",
    },
    Work {
        name: "bulk-out",
        what: "one connection, server sends",
        load: "recv 10.0.0.2 5002 SECS",
        key: "gbps",
        unit: "Gbit/s",
    },
    Work {
        name: "request-response",
        what: "1 byte each way, one connection",
        load: "rr 10.0.0.2 5003 SECS 1",
        key: "rate",
        unit: "/s",
    },
    Work {
        name: "connect-1",
        what: "connect, 1 byte each way, close; one at a time",
        load: "conn 10.0.0.2 5003 SECS 1",
        key: "rate",
        unit: "/s",
    },
    Work {
        name: "connect-64",
        what: "the same, 64 at once",
        load: "conn 10.0.0.2 5003 SECS 64",
        key: "rate",
        unit: "/s",
    },
    Work {
        name: "ping",
        what: "ICMP echo, one outstanding",
        load: "echo 10.0.0.2 SECS 1 56",
        key: "rate",
        unit: "/s",
    },
];

impl Work {
    /// Whether the stack can do it: the ceiling answers no ICMP.
    pub(crate) fn runs_on(&self, stack: &Stack) -> bool {
        self.name != "ping" || !stack.name.starts_with("ceiling")
    }
}

/// Does `work` once against `stack`: load on core 1, server on core 0.
pub(crate) fn measure(
    work: &Work,
    stack: &Stack,
    network: &Network,
    programs: &Programs,
    seconds: u32,
) -> Result<f64> {
    let _server = network.start(stack, programs)?;
    let line = check(
        Command::new("ip")
            .args([
                "netns",
                "exec",
                network.client_of(stack),
                "nice",
                "-n",
                "-20",
                "taskset",
                "-c",
                "1",
            ])
            .arg(&programs.load)
            .args(
                work.load
                    .replace("SECS", &seconds.to_string())
                    .split_whitespace(),
            ),
    )?;
    let json: serde_json::Value =
        serde_json::from_str(&line).map_err(|e| format!("{line}: {e}"))?;
    json[work.key]
        .as_f64()
        .ok_or_else(|| format!("no {} in {line}", work.key))
}
