//! Interfaces and their VLANs (IEEE 802.1Q): the owner's calls, tags taken off and put on, headers.
//!
//! A VLAN is an interface like any other, with addresses, neighbours, groups and routes of its own;
//! only its frames travel with a tag over the device of its parent, whose Ethernet address it has. A
//! frame with the tag of a VLAN that the interface does not have is dropped, and so is one with a
//! second tag behind the first, by which frames hop between VLANs. A tag that names no VLAN (0) only
//! gives a priority: the frame is the parent's own.

use super::Stack;
use crate::config::{InterfaceConfig, VlanConfig};
use crate::counters::Counters;
use crate::device::{InterfaceId, InterfaceInfo, VlanInfo};
use crate::error::ConfigError;
use crate::ip::Interface;
use crate::pool::Frame;
use crate::time::Instant;
use crate::wire::ethernet::{
    self, EthernetAddress, EthernetHeader, LinkHeader, VlanTag, ether_type,
};
use zerocopy::byteorder::network_endian::U16;

/// The counter of a reason to drop a frame.
pub(super) type Reason = fn(&mut Counters) -> &mut u64;

impl Stack {
    /// Adds an interface.
    ///
    /// # Errors
    /// [`ConfigError::MtuOutOfRange`], [`ConfigError::BadHardwareAddress`] and
    /// [`ConfigError::TooMany`] ([`Config::max_interfaces`](crate::Config::max_interfaces)).
    pub fn add_interface(
        &mut self,
        now: Instant,
        config: InterfaceConfig,
    ) -> Result<InterfaceId, ConfigError> {
        self.advance(now);
        let hardware = EthernetAddress(config.hardware_address);
        if !(576..=self.max_mtu).contains(&config.mtu) {
            return Err(ConfigError::MtuOutOfRange);
        }
        if !hardware.is_station() {
            return Err(ConfigError::BadHardwareAddress);
        }
        let id = self.next_interface()?;
        self.interfaces
            .push(Interface::new(hardware, config.mtu, id, None));
        Ok(InterfaceId(id))
    }

    /// Adds an interface for a VLAN of another one, its parent, which need not have addresses
    /// itself. Its frames travel over the parent's device, with a tag and with the parent's Ethernet
    /// address. It is configured and used as any other interface is.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`] for the parent; [`ConfigError::BadVlan`];
    /// [`ConfigError::VlanInUse`]; [`ConfigError::MtuOutOfRange`]; [`ConfigError::TooMany`]
    /// ([`Config::max_interfaces`](crate::Config::max_interfaces)).
    pub fn add_vlan(
        &mut self,
        now: Instant,
        parent: InterfaceId,
        config: VlanConfig,
    ) -> Result<InterfaceId, ConfigError> {
        self.advance(now);
        let entry = self.interface(parent)?;
        let mtu = config.mtu.unwrap_or(entry.mtu);
        if !(1..=4094).contains(&config.id) || config.priority > 7 || entry.tag.is_some() {
            return Err(ConfigError::BadVlan);
        }
        if !(576..=entry.mtu).contains(&mtu) {
            return Err(ConfigError::MtuOutOfRange);
        }
        if self.vlan_of(parent.0, config.id).is_some() {
            return Err(ConfigError::VlanInUse);
        }
        let hardware = entry.hardware;
        let tag = VlanTag::control_word(config.id, config.priority);
        let id = self.next_interface()?;
        self.interfaces
            .push(Interface::new(hardware, mtu, parent.0, Some(tag)));
        Ok(InterfaceId(id))
    }

    /// The number of the next interface, if there is room for one.
    fn next_interface(&self) -> Result<u8, ConfigError> {
        let count = self.interfaces.len();
        let id = u8::try_from(count).map_err(|_| ConfigError::TooMany)?;
        if count < self.max_interfaces {
            Ok(id)
        } else {
            Err(ConfigError::TooMany)
        }
    }

    /// All interfaces, in the order in which they were added.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceInfo> {
        (0u8..).zip(&self.interfaces).map(|(id, interface)| {
            let vlan = interface.tag.map(|control| VlanInfo {
                parent: InterfaceId(interface.device),
                id: control & 0x0fff,
                // Three bits.
                priority: u8::try_from(control >> 13).unwrap_or(0),
            });
            InterfaceInfo {
                id: InterfaceId(id),
                hardware_address: interface.hardware.0,
                mtu: interface.mtu,
                vlan,
                counters: interface.counters,
            }
        })
    }

    /// The interface of a parent's VLAN.
    fn vlan_of(&self, parent: u8, vlan: u16) -> Option<u8> {
        let place = self.interfaces.iter().position(|interface| {
            interface.device == parent && interface.tag.is_some_and(|tag| tag & 0x0fff == vlan)
        })?;
        u8::try_from(place).ok()
    }

    /// Takes the tag off a frame that came in on `parent`, if it has one that means something: the
    /// interface that the frame is for, and what it carries.
    #[cold]
    pub(super) fn untag(
        &mut self,
        parent: u8,
        frame: &Frame,
        destination: EthernetAddress,
    ) -> Result<(u8, u16), Reason> {
        let content = self.pool.content(frame);
        let len = (content.len() + ethernet::HEADER_LEN) as u64;
        let Ok((tag, payload)) = ethernet::parse_vlan(content) else {
            return Err(|c| &mut c.eth_malformed);
        };
        let (vlan, inside) = (tag.vlan(), tag.ether_type.get());
        if matches!(inside, ether_type::VLAN | ether_type::SERVICE_VLAN) {
            return Err(|c| &mut c.eth_vlan_double);
        }
        let id = match vlan {
            0 => Some(parent),
            vlan => self.vlan_of(parent, vlan),
        };
        let Some((id, interface)) =
            id.and_then(|id| Some((id, self.interfaces.get_mut(usize::from(id))?)))
        else {
            return Err(|c| &mut c.eth_vlan_unknown);
        };
        if id != parent {
            interface.counters.rx_frames += 1;
            interface.counters.rx_bytes += len;
        }
        if destination != interface.hardware && !interface.listens_on(destination) {
            return Err(|c| &mut c.eth_bad_destination);
        }
        self.strip(frame, payload.start);
        Ok((id, inside))
    }

    /// Counts a frame that is given to the device of an interface: that device's interface.
    #[inline]
    pub(super) fn count_sent(&mut self, id: u8, len: usize) -> Option<u8> {
        let len = len as u64;
        self.counters.tx_frames += 1;
        self.counters.tx_bytes += len;
        let interface = self.interfaces.get_mut(usize::from(id))?;
        interface.counters.tx_frames += 1;
        interface.counters.tx_bytes += len;
        let device = interface.device;
        if device != id
            && let Some(parent) = self.interfaces.get_mut(usize::from(device))
        {
            parent.counters.tx_frames += 1;
            parent.counters.tx_bytes += len;
        }
        Some(device)
    }

    /// Frees a frame that the link layer of an interface drops, and counts why.
    #[cold]
    pub(super) fn discard_on_link(&mut self, id: u8, frame: Frame, reason: Reason) {
        if let Some(interface) = self.interfaces.get_mut(usize::from(id)) {
            interface.counters.rx_dropped += 1;
        }
        self.discard(frame, reason);
    }

    /// Our address on an interface; all zero for one that does not exist.
    pub(super) fn hardware(&self, id: u8) -> EthernetAddress {
        self.interfaces
            .get(usize::from(id))
            .map(|i| i.hardware)
            .unwrap_or_default()
    }

    /// A header for frames that we send.
    pub(super) fn ethernet_header(
        &self,
        id: u8,
        destination: EthernetAddress,
        ether_type: u16,
    ) -> LinkHeader {
        let header = EthernetHeader {
            destination,
            source: self.hardware(id),
            ether_type: U16::new(ether_type),
        };
        let interface = self.interfaces.get(usize::from(id));
        LinkHeader::new(header, interface.and_then(|interface| interface.tag))
    }

    /// Puts the Ethernet header in front of a packet, and the frame into the queue of those to be
    /// sent.
    pub(super) fn push_ready(&mut self, id: u8, frame: Frame, header: &LinkHeader) {
        self.prepend(&frame, header.as_bytes());
        self.pool.descriptor_mut(&frame).flags = u16::from(id);
        self.ready.push_back(&mut self.pool, frame);
    }
}
