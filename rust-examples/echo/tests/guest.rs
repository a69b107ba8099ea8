//! Tests that run in guests: `cargo solo5 test`.
#![no_std]
#![no_main]

use core::net::Ipv4Addr;

use echo_rust::{Address, NotAnAddress};

solo5::test_main!();

#[solo5::test]
fn an_address_has_a_prefix() {
    let good = "10.0.0.2/24".parse::<Address>().unwrap();
    assert_eq!(good.ip, Ipv4Addr::new(10, 0, 0, 2));
    assert_eq!(good.prefix_len, 24);
    for bad in ["10.0.0.2", "10.0.0.2/33", "/24", ""] {
        assert_eq!(bad.parse::<Address>(), Err(NotAnAddress));
    }
}

#[solo5::test]
fn the_network_device_is_there() -> Result<(), solo5::AcquireError> {
    let net = solo5::Net::acquire("service")?;
    assert_eq!(net.info().mac, [2, 0, 0, 0, 0, 2]);
    assert_eq!(net.info().mtu, 1500);
    Ok(())
}
