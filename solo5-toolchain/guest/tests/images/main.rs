//! Images that are linked with our bindings, the way that the compiler wrapper links them.
//!
//! - `layout`: the files: symbols, segments, notes
//! - `both`: what they do under each of the tenders
//! - `spt`, `hvt`: what only one of them has
//! - `debugger`: guests under a debugger
//! - `observed`: what the tenders tell about a guest
//! - `support`: building and running them

mod both;
mod debugger;
mod hvt;
mod layout;
mod observed;
mod spt;
mod support;
