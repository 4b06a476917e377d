//! Every port, kept by SQLite and this process: nothing to install.

pub mod sqlite;
pub mod broker;
pub mod clock;
pub mod entropy;
