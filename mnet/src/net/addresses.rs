//! The addresses of the interfaces, and what changes in the network.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use mnet_core::address::{AddressOrigin, AddressState};
use mnet_core::device::InterfaceId;
use mnet_core::error::ConfigError;
use mnet_core::{AddressInfo, AddressOptions, Instant, NetworkEvent};

use super::Net;
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Gives an interface an address: see
    /// [`Stack::add_address_with`](mnet_core::Stack::add_address_with).
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn add_address(
        &self,
        interface: InterfaceId,
        address: IpAddr,
        prefix_len: u8,
        options: AddressOptions,
    ) -> Result<(), ConfigError> {
        self.command(|stack, now| {
            stack.add_address_with(now, interface, address, prefix_len, options)
        })
    }

    /// Takes an address away; its connections end with an error of their own: see
    /// [`Stack::remove_address`](mnet_core::Stack::remove_address).
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn remove_address(
        &self,
        interface: InterfaceId,
        address: IpAddr,
    ) -> Result<(), ConfigError> {
        self.command(|stack, now| stack.remove_address(now, interface, address))
    }

    /// Every address of an interface with its state, where it comes from, and how long it holds.
    #[must_use]
    pub fn addresses(&self, interface: InterfaceId) -> Vec<AddressInfo> {
        self.with(|runtime| runtime.stack().address_list(interface).collect())
    }

    /// Waits until something has changed on an interface; `None` when `until` has come first. Each
    /// change is told once: see [`Stack::poll_network_event`](mnet_core::Stack::poll_network_event).
    #[must_use]
    pub fn next_network_event(&self, until: Instant) -> Option<NetworkEvent> {
        let mut runtime = self.runtime.borrow_mut();
        runtime.wait_for(until, |runtime| runtime.stack_mut().poll_network_event())
    }

    /// Waits, for `timeout` at most, until an interface has a usable address of a family that `is`
    /// accepts and that others than its neighbours can reach: for programs whose address comes from
    /// DHCP or from a router.
    ///
    /// ```no_run
    /// # use core::net::IpAddr;
    /// # use core::time::Duration;
    /// # fn wait<P: mnet::Platform>(net: mnet::Net<P>, interface: mnet::mnet_core::device::InterfaceId) {
    /// let address = net.wait_address(interface, IpAddr::is_ipv4, Duration::from_secs(30));
    /// # }
    /// ```
    #[must_use]
    pub fn wait_address(
        &self,
        interface: InterfaceId,
        is: impl Fn(&IpAddr) -> bool,
        timeout: Duration,
    ) -> Option<IpAddr> {
        self.block_within(Some(timeout), |net| {
            net.with(|runtime| {
                let mut all = runtime.stack().address_list(interface);
                let found = all.find(|info| {
                    info.state == AddressState::Usable
                        && info.origin != AddressOrigin::LinkLocal
                        && is(&info.address)
                });
                found.map(|info| info.address)
            })
        })
    }
}
