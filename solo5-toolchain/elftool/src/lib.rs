//! Manifests in and out of images (solo5-abi section 7): the parts of `solo5-elftool`.
//!
//! - [`source`]: reads a manifest from its JSON source, with a position for every complaint
//! - [`generate`]: turns it into the C source of a note
//! - [`query`]: shows the notes of an image as JSON

pub mod generate;
pub mod query;
pub mod source;
