//! The DHCPv4 client.

use alloc::boxed::Box;

use mnet_core::Instant;
use mnet_core::device::InterfaceId;
use mnet_core::dhcp::{DhcpConfig, DhcpState, Lease};
use mnet_core::error::ConfigError;

use super::Net;
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Starts a DHCPv4 client on an interface: see
    /// [`Stack::dhcp_start`](mnet_core::Stack::dhcp_start). [`Net::wait_address`] waits for the
    /// address.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn dhcp_start(
        &self,
        interface: InterfaceId,
        config: DhcpConfig,
    ) -> Result<(), ConfigError> {
        self.command(|stack, now| stack.dhcp_start(now, interface, config))
    }

    /// The same, and `accept` decides about each new lease: what is offered, and what the interface
    /// has. Renewals are taken. It is called while some call turns the loop, and must not use this
    /// handle or its sockets.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn dhcp_start_with(
        &self,
        interface: InterfaceId,
        config: DhcpConfig,
        mut accept: impl FnMut(&Lease, Option<&Lease>) -> bool + 'static,
    ) -> Result<(), ConfigError> {
        let config = DhcpConfig {
            ask: true,
            ..config
        };
        self.dhcp_start(interface, config)?;
        let policy =
            move |_: Instant, offered: &Lease, previous: Option<&Lease>| accept(offered, previous);
        self.with(|runtime| runtime.set_lease_policy(interface, Box::new(policy)));
        Ok(())
    }

    /// Ends the client of an interface; its address goes. With `release` the server is told.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn dhcp_stop(&self, interface: InterfaceId, release: bool) -> Result<(), ConfigError> {
        let stopped = self.command(|stack, now| stack.dhcp_stop(now, interface, release));
        self.flush();
        stopped
    }

    /// What the client of an interface is about; `None`: there is none.
    #[must_use]
    pub fn dhcp_state(&self, interface: InterfaceId) -> Option<DhcpState> {
        self.with(|runtime| runtime.stack().dhcp_state(interface))
    }

    /// Does something with the lease of an interface, if it has one: reads its options, for example.
    ///
    /// ```no_run
    /// # use mnet::mnet_core::device::InterfaceId;
    /// # fn show<P: mnet::Platform>(net: mnet::Net<P>, interface: InterfaceId) {
    /// let server = net.dhcp_lease(interface, |lease| lease.server);
    /// # }
    /// ```
    pub fn dhcp_lease<T>(
        &self,
        interface: InterfaceId,
        read: impl FnOnce(&Lease) -> T,
    ) -> Option<T> {
        self.with(|runtime| runtime.stack().dhcp_lease(interface).map(read))
    }
}
