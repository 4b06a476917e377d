//! Ports kept by servers, which stand on machines of their own.

#[cfg(feature = "scratch")]
pub mod scratch;
pub mod mariadb;
