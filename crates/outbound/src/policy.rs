//! Where calls may go, and how long they may take.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Uri;

use crate::network::{Network, is_public};

/// Where calls may go, and how long they may take.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Hosts that may be called: a name, or `*.` and a name for all below it. Where there are none, all may.
    pub hosts: Vec<String>,
    /// Networks that may be called though they are not of the open internet, and also without TLS.
    pub networks: Vec<Network>,
    /// Longest time until a connection stands, its name resolved and its TLS agreed on. Where a name has several addresses,
    /// each that is tried has its share of it.
    pub connect_time: Duration,
    /// Longest time of a whole call.
    pub total_time: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            hosts: vec![],
            networks: vec![],
            connect_time: Duration::from_secs(5),
            total_time: Duration::from_secs(15),
        }
    }
}

/// Where a call goes, before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Path and query.
    pub path: String,
    /// As it stands in the header `host`.
    pub authority: String,
}

impl Target {
    /// Reads a URL.
    pub fn of(url: &str) -> Result<Self, String> {
        // What is joined to it would be no part of the query, and nobody at the other end would see it.
        if url.contains('#') {
            return Err("a URL with a fragment (#) is not taken".to_owned());
        }
        let uri: Uri = url.parse().map_err(|_| "this is no URL".to_owned())?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("a URL begins with https:// or http://".to_owned()),
        };
        let authority = uri.authority().ok_or("the URL has no host")?;
        if authority.as_str().contains('@') {
            return Err("a URL with a user or password is not taken".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if host.is_empty() {
            return Err("the URL has no host".to_owned());
        }
        Ok(Self { host, port, is_encrypted, path, authority: authority.as_str().to_owned() })
    }
}

impl Policy {
    /// Refuses a URL whose host, or whose lack of encryption, can never be allowed.
    pub fn admit(&self, url: &str) -> Result<Target, String> {
        let target = Target::of(url)?;
        let is_listed = |listed: &String| match listed.strip_prefix("*.") {
            Some(above) => target.host.strip_suffix(above).is_some_and(|below| below.ends_with('.')),
            None => target.host == *listed,
        };
        if !self.hosts.is_empty() && !self.hosts.iter().any(is_listed) {
            return Err(format!("the host {} is not allowed", target.host));
        }
        if let Ok(address) = target.host.parse::<IpAddr>() {
            self.admit_address(&target, address)?;
        } else if !target.is_encrypted && self.networks.is_empty() {
            return Err("a URL without TLS is only taken in networks that are listed".to_owned());
        }
        Ok(target)
    }

    /// Refuses an address that may not be connected to.
    pub fn admit_address(&self, target: &Target, address: IpAddr) -> Result<(), String> {
        if self.networks.iter().any(|network| network.holds(address)) {
            return Ok(());
        }
        if !is_public(address) {
            return Err(format!(
                "the address {address} is not of the open internet, and its network is not listed"
            ));
        }
        if target.is_encrypted {
            Ok(())
        } else {
            Err("a URL without TLS is only taken in networks that are listed".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_admitted_or_refused_with_a_sentence() {
        let open = Policy::default();
        let inside =
            Policy { networks: vec!["127.0.0.0/8".parse().expect("a network")], ..Policy::default() };
        let listed = Policy {
            hosts: vec!["pay.example".to_owned(), "*.shop.example".to_owned()],
            ..Policy::default()
        };
        for (policy, url, expected) in [
            (&open, "https://pay.example/hook?a=b", true),
            (&open, "https://93.184.215.14/", true),
            (&open, "https://[2606:2800:21f::1]:8443/", true),
            (&open, "http://pay.example/", false),
            (&open, "http://93.184.215.14/", false),
            (&open, "https://127.0.0.1/", false),
            (&open, "https://[::1]/", false),
            (&open, "https://[::ffff:10.0.0.1]/", false),
            (&open, "https://user:pass@pay.example/", false),
            (&open, "https://pay.example/taken#top", false),
            (&open, "https://pay.example/?a=b#", false),
            (&open, "ftp://pay.example/", false),
            (&open, "pay.example", false),
            (&open, "/hook", false),
            (&open, "", false),
            (&inside, "http://127.0.0.1:8080/hook", true),
            (&inside, "http://10.0.0.1/", false),
            (&inside, "https://10.0.0.1/", false),
            (&listed, "https://pay.example/", true),
            (&listed, "https://PAY.example/", true),
            (&listed, "https://a.shop.example/", true),
            (&listed, "https://shop.example/", false),
            (&listed, "https://evilshop.example/", false),
            (&listed, "https://pay.example.evil/", false),
        ] {
            let told = policy.admit(url);
            assert_eq!(told.is_ok(), expected, "{url}: {told:?}");
        }
        let target = Target::of("https://[2606:2800:21f::1]:8443/a?b").expect("a target");
        assert_eq!((&*target.host, target.port, &*target.path), ("2606:2800:21f::1", 8443, "/a?b"));
    }
}
