//! A web server with edge-http: `web TAP ADDRESS/PREFIX`.
//!
//! `cargo run -p mnet --example web -- tap0 10.0.0.2/24`, then `curl http://10.0.0.2/`. The TAP
//! device: see `common/mod.rs`. docs/rust.md explains it.
//!
//! | | |
//! |---|---|
//! | `GET /`, `GET /style.css` | files that are part of the program |
//! | `GET /hello/NAME` | a greeting |
//! | `POST /length` | how long the body was; it is never in memory as a whole |

mod common;
#[path = "web/service.rs"]
mod service;

use std::error::Error;
use std::net::SocketAddr;

use mnet::aio::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let common::Host { net, ip, .. } = common::start()?;
    let local = SocketAddr::new(ip, 80);
    let listener = TcpListener::bind(&net, local, 128)?;
    println!("web: listening on {local}");
    Ok(net.run(service::serve(&net, listener))?)
}
