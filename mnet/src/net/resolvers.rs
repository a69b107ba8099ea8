//! What is known of name service, for a program that resolves names.

use alloc::vec::Vec;
use core::net::IpAddr;

use mnet_core::config::DomainName;
use mnet_core::device::InterfaceId;
use mnet_core::error::ConfigError;
use mnet_core::{DnsServer, Instant, ResolverOrigin};

use super::Net;
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Names a DNS server: see [`Stack::add_dns_server`](mnet_core::Stack::add_dns_server).
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn add_dns_server(
        &self,
        interface: InterfaceId,
        address: IpAddr,
    ) -> Result<(), ConfigError> {
        self.with(|runtime| runtime.stack_mut().add_dns_server(interface, address))
    }

    /// The DNS servers that are known on an interface now, the one to ask first before the others.
    /// They come and go with DHCP and routers: ask again from time to time.
    #[must_use]
    pub fn dns_servers(&self, interface: InterfaceId) -> Vec<DnsServer> {
        self.with(|runtime| runtime.stack().dns_servers(interface).collect())
    }

    /// The search domains that are known on an interface now, who has named each, and until when
    /// that holds.
    #[must_use]
    pub fn search_domains(
        &self,
        interface: InterfaceId,
    ) -> Vec<(DomainName, ResolverOrigin, Instant)> {
        self.with(|runtime| {
            let domains = runtime.stack().search_domains(interface);
            domains
                .map(|domain| (domain.name.clone(), domain.origin, domain.until))
                .collect()
        })
    }
}
