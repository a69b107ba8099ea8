//! The peer has every address: answers to the questions that the stack has on the link.

use crate::peer::{ETHERNET, PEER_HARDWARE, SERVER_HARDWARE};
use crate::wire::Wire;
use mnet_core::checksum;
use std::net::{IpAddr, Ipv6Addr};

/// The answer to an ARP request for `address` by 10.0.0.1.
pub(crate) fn arp_reply(address: [u8; 4], wire: &mut Wire) {
    let frame = wire.push(42);
    frame[..6].copy_from_slice(&SERVER_HARDWARE);
    frame[6..12].copy_from_slice(&PEER_HARDWARE);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    frame[22..28].copy_from_slice(&PEER_HARDWARE);
    frame[28..32].copy_from_slice(&address);
    frame[32..38].copy_from_slice(&SERVER_HARDWARE);
    frame[38..42].copy_from_slice(&[10, 0, 0, 1]);
}

/// The answer to a neighbour solicitation (RFC 4861 §4.3). Reports of groups have none.
pub(crate) fn advertise(frame: &[u8], wire: &mut Wire) {
    const SOLICITATION: u8 = 135;
    let (asked_by, packet) = (&frame[ETHERNET + 8..ETHERNET + 24], &frame[ETHERNET + 40..]);
    if packet[0] != SOLICITATION {
        return;
    }
    let (asked_by, target): ([u8; 16], [u8; 16]) = (
        asked_by.try_into().expect("16 bytes"),
        packet[8..24].try_into().expect("16 bytes"),
    );
    let answer = wire.push(ETHERNET + 40 + 32);
    answer.fill(0);
    answer[..6].copy_from_slice(&SERVER_HARDWARE);
    answer[6..12].copy_from_slice(&PEER_HARDWARE);
    answer[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    answer[22..38].copy_from_slice(&target);
    answer[38..54].copy_from_slice(&asked_by);
    let message = &mut answer[54..];
    // Neighbour advertisement, solicited and to override.
    (message[0], message[4]) = (136, 0x60);
    message[8..24].copy_from_slice(&target);
    message[24..26].copy_from_slice(&[2, 1]);
    message[26..32].copy_from_slice(&PEER_HARDWARE);
    let [from, to] = [target, asked_by].map(|address| IpAddr::V6(Ipv6Addr::from(address)));
    let sum = checksum::pseudo_header(from, to, 58, message.len()) + checksum::sum(message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
}
