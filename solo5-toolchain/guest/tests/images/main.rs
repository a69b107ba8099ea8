//! Images that are linked with our bindings, the way that the compiler wrapper links them.
//!
//! - `layout`: the files: symbols, segments, notes
//! - `spt`: what they do under `solo5-spt`
//! - `support`: building and running them

mod layout;
mod spt;
mod support;
