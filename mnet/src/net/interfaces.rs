//! Interfaces, VLANs and routes of a [`Net`].

use alloc::vec::Vec;
use core::net::IpAddr;

use mnet_core::config::VlanConfig;
use mnet_core::device::{InterfaceId, InterfaceInfo};
use mnet_core::error::ConfigError;
use mnet_core::route::{NextHop, RouteEntry};

use super::Net;
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Adds an interface with another device. What must fit: its MTU into
    /// [`Config::max_mtu`](crate::Config::max_mtu), and one more into
    /// [`Config::max_interfaces`](crate::Config::max_interfaces).
    ///
    /// # Errors
    /// See [`ConfigError`]. The device is dropped.
    pub fn add_interface(&self, device: P::Device) -> Result<InterfaceId, ConfigError> {
        self.with(|runtime| runtime.attach(device))
    }

    /// Adds an interface for a VLAN of another one: see [`Stack::add_vlan`](crate::Stack::add_vlan).
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn add_vlan(
        &self,
        parent: InterfaceId,
        vlan: VlanConfig,
    ) -> Result<InterfaceId, ConfigError> {
        self.command(|stack, now| stack.add_vlan(now, parent, vlan))
    }

    /// All interfaces, in the order in which they were added, with what passed them.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceInfo> {
        self.with(|runtime| runtime.stack().interfaces().collect())
    }

    /// Adds a route: see [`Stack::add_route_with`](crate::Stack::add_route_with).
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn add_route(
        &self,
        destination: IpAddr,
        prefix_len: u8,
        next_hop: NextHop,
        metric: u32,
    ) -> Result<(), ConfigError> {
        self.with(|runtime| {
            let stack = runtime.stack_mut();
            stack.add_route_with(destination, prefix_len, next_hop, metric)
        })
    }

    /// Removes a route: see [`Stack::remove_route_by`](crate::Stack::remove_route_by).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchRoute`].
    pub fn remove_route(
        &self,
        destination: IpAddr,
        prefix_len: u8,
        next_hop: NextHop,
    ) -> Result<(), ConfigError> {
        self.with(|runtime| {
            let stack = runtime.stack_mut();
            stack.remove_route_by(destination, prefix_len, next_hop)
        })
    }

    /// All routes, best first.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteEntry> {
        self.with(|runtime| runtime.stack().routes().collect())
    }
}
