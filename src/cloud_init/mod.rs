//! What cloud-init reads: user-data of one part or several, and its own schema to judge it by.

mod multipart;
mod part;
pub mod schema;

pub use multipart::multipart;
pub use part::{Kind, Part, PartError};
