//! Name service as the stack knows it, for its owner's use: the stack itself resolves no names.

use super::Stack;
use crate::device::InterfaceId;
use crate::error::ConfigError;
use crate::ip::{DnsServer, Origin, SearchDomain};
use core::net::IpAddr;

impl Stack {
    /// Names a DNS server. It comes before those that DHCP and routers name, and stays.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::BadAddress`] for what no host can have;
    /// [`ConfigError::TooMany`] (4 for each interface).
    pub fn add_dns_server(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
    ) -> Result<(), ConfigError> {
        self.interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?
            .resolvers
            .add_static(address)
    }

    /// Forgets the servers of [`Stack::add_dns_server`].
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`].
    pub fn clear_dns_servers(&mut self, interface: InterfaceId) -> Result<(), ConfigError> {
        self.interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?
            .resolvers
            .forget(Origin::Static);
        Ok(())
    }

    /// The DNS servers that are known on an interface now, the one to ask first before the others:
    /// those of [`Stack::add_dns_server`], of DHCP, of router advertisements (RFC 8106 §5.3.1). At
    /// most 4 of each origin.
    pub fn dns_servers(&self, interface: InterfaceId) -> impl Iterator<Item = DnsServer> {
        let interface = self.interfaces.get(interface.index());
        interface
            .into_iter()
            .flat_map(|interface| interface.resolvers.servers(self.now))
    }

    /// The search domains that are known on an interface now, in the same order. At most 3 of each
    /// origin.
    pub fn search_domains(&self, interface: InterfaceId) -> impl Iterator<Item = SearchDomain<'_>> {
        let interface = self.interfaces.get(interface.index());
        interface
            .into_iter()
            .flat_map(|interface| interface.resolvers.domains(self.now))
    }
}
