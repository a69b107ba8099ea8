//! Calls on interfaces, addresses, routes and leases; texts and command lines.

use std::ffi::{CStr, c_char, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::ptr;

use mnet_ffi::*;

use super::call;
use super::memory::{Input, Memory};
use super::net;
use super::world::{World, sized};
use crate::dhcp::answer;

fn len(result: i64) -> usize {
    usize::try_from(result).unwrap_or(0)
}

impl World {
    pub(super) fn network(&mut self, operation: u8, input: &mut Input<'_>) {
        match operation {
            0..=7 => self.interfaces(input),
            8..=19 => self.addresses(input),
            20..=31 => self.routes(input),
            32..=39 => self.ipv6(input),
            40..=49 => self.resolvers(input),
            50..=63 => self.dhcp(input),
            64..=71 => self.texts(input),
            _ => self.command_line(input),
        }
    }

    fn interfaces(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let stack = stack.number;
        match input.byte() % 4 {
            0 => {
                const NAMES: [&CStr; 3] = [c"service", c"nobody", c""];
                let name = NAMES[input.below(3)].as_ptr();
                let name = if input.byte() > 240 {
                    ptr::null()
                } else {
                    name
                };
                let result = call!(mnet_add_interface(stack, name));
                assert!(result < 0, "there is one device, and its stack has it");
            }
            1 => {
                let hardware: [u8; 6] = [2, 0, 0, 0, 1, input.byte()];
                let hardware = if input.byte() < 224 {
                    hardware
                } else {
                    input.bytes()
                };
                let hardware = Memory::with(input, hardware, None);
                let mtu = input.number32();
                call!(mnet_add_manual_interface(stack, hardware.get(), mtu));
            }
            2 => {
                let [parent, vlan, priority, mtu] = [0; 4].map(|_| input.number32());
                call!(mnet_add_vlan(stack, parent % 4, vlan, priority % 9, mtu));
            }
            _ => {
                let size = input.size() % 200;
                let info = Memory::new(input, size, self.arena());
                let interface = input.number32() % 5;
                let result = call!(mnet_interface_info(stack, interface, info.get(), info.len));
                info.check(
                    "mnet_interface_info",
                    result,
                    if result > 0 { size } else { 0 },
                );
            }
        }
    }

    fn addresses(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let stack = stack.number;
        let interface = input.number32() % 4;
        match input.byte() % 6 {
            0 | 1 => {
                let address = input.address();
                let address = Memory::with(input, address, None);
                let (prefix, flags) = (input.number32() % 140, input.number32() % 20);
                call!(mnet_add_address(
                    stack,
                    interface,
                    address.get(),
                    prefix,
                    flags
                ));
            }
            2 => {
                let address = input.address();
                let address = Memory::with(input, address, None);
                call!(mnet_remove_address(stack, interface, address.get()));
            }
            3 => {
                call!(mnet_link_local(
                    stack,
                    interface,
                    i32::from(input.byte() & 1)
                ));
            }
            4 => {
                let size = input.size() % 100;
                let info = Memory::new(input, size, self.arena());
                let index = input.size() % 20;
                let result = call!(mnet_address(stack, interface, index, info.get(), info.len));
                info.check("mnet_address", result, if result > 0 { size } else { 0 });
            }
            _ => {
                let (handle, _) = self.stack(input);
                let time = Self::wait(handle, input);
                let family = u16::from(input.byte() % 8);
                let place = Memory::of::<mnet_addr>(input, self.arena());
                let (stack, to) = (handle.number, place.get());
                let result = call!(mnet_wait_address(stack, interface, family, time, to));
                let written = if result > 0 {
                    size_of::<mnet_addr>()
                } else {
                    0
                };
                place.check("mnet_wait_address", result, written);
            }
        }
    }

    fn routes(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let stack = stack.number;
        if input.byte() < 64 {
            let size = input.size() % 120;
            let route = Memory::new(input, size, self.arena());
            let index = input.size() % 70;
            let result = call!(mnet_route_list(stack, index, route.get(), route.len));
            return route.check("mnet_route_list", result, if result > 0 { size } else { 0 });
        }
        let mut destination = input.address();
        if input.byte() < 128 {
            destination.ip = [0; 16];
        }
        let route = mnet_route {
            size: size_of::<mnet_route>(),
            destination,
            gateway: input.address(),
            prefix_len: if destination.ip == [0; 16] {
                0
            } else {
                input.number32() % 130
            },
            interface: input.number32() % 4,
            metric: input.number32(),
            flags: u32::from(input.byte() > 230),
            expires: u64::from(input.byte() > 250),
        };
        let route = sized(input, &route);
        if input.byte() < 160 {
            call!(mnet_add_route(stack, route.get()));
        } else {
            call!(mnet_remove_route(stack, route.get()));
        }
    }

    fn ipv6(&mut self, input: &mut Input<'_>) {
        static SECRET: [u8; 16] = [3; 16];
        let (stack, _) = self.stack(input);
        let mut ipv6 = MaybeUninit::<mnet_ipv6>::zeroed();
        let size = input.size() % 120;
        let defaults = Memory::new(input, size, self.arena());
        let result = call!(mnet_ipv6_default(defaults.get(), defaults.len));
        defaults.check("mnet_ipv6_default", result, size);
        call!(mnet_ipv6_default(ipv6.as_mut_ptr(), size_of::<mnet_ipv6>()));
        let mut ipv6 = unsafe { ipv6.assume_init() };
        (ipv6.secret, ipv6.secret_len) = (SECRET.as_ptr(), SECRET.len());
        match input.byte() % 8 {
            0 => ipv6.address = input.address(),
            1 => ipv6.gateway = input.address(),
            2 => ipv6.prefix_len = input.number32(),
            3 => ipv6.flags = input.number32() % 64,
            4 => ipv6.interface = input.number32() % 4,
            5 => ipv6.secret_len = input.size() % 16,
            _ => {}
        }
        let ipv6 = sized(input, &ipv6);
        call!(mnet_enable_ipv6(stack.number, ipv6.get()));
    }

    fn resolvers(&mut self, input: &mut Input<'_>) {
        let (stack, _) = self.stack(input);
        let (stack, interface) = (stack.number, input.number32() % 4);
        let origin = Memory::of::<u32>(input, self.arena());
        let lifetime = Memory::of::<u64>(input, self.arena());
        let index = input.size() % 20;
        match input.byte() % 4 {
            0 => {
                let server = input.address();
                let server = Memory::with(input, server, None);
                call!(mnet_add_dns_server(stack, interface, server.get()));
            }
            1 => {
                call!(mnet_clear_dns_servers(stack, interface));
            }
            2 => {
                let server = Memory::of::<mnet_addr>(input, self.arena());
                let (a, b, c) = (server.get(), origin.get(), lifetime.get());
                let result = call!(mnet_dns_server(stack, interface, index, a, b, c));
                let there = usize::from(result > 0);
                server.check("mnet_dns_server", result, there * size_of::<mnet_addr>());
                origin.check("mnet_dns_server", result, there * 4);
                lifetime.check("mnet_dns_server", result, there * 8);
            }
            _ => {
                let size = input.size() % 300;
                let name = Memory::new(input, size, self.arena());
                let (a, b, c, room) = (name.get(), origin.get(), lifetime.get(), name.len);
                let result = call!(mnet_search_domain(stack, interface, index, a, room, b, c));
                let there = usize::from(result > 0);
                name.check("mnet_search_domain", result, there * (len(result) + 1));
                origin.check("mnet_search_domain", result, there * 4);
                lifetime.check("mnet_search_domain", result, there * 8);
            }
        }
    }

    fn dhcp(&mut self, input: &mut Input<'_>) {
        static BYTES: [u8; 128] = [b'x'; 128];
        let (handle, slot) = self.stack(input);
        let (stack, interface) = (handle.number, input.number32() % 4);
        match input.byte() % 8 {
            0..=2 => {
                let mut dhcp = MaybeUninit::<mnet_dhcp>::zeroed();
                call!(mnet_dhcp_default(dhcp.as_mut_ptr(), size_of::<mnet_dhcp>()));
                let mut dhcp = unsafe { dhcp.assume_init() };
                if input.byte() & 1 != 0 {
                    dhcp.accept = Some(net::accept);
                    dhcp.context = ptr::without_provenance_mut::<c_void>(slot);
                }
                dhcp.flags = u32::from(input.byte() & 0x1f);
                match input.byte() % 8 {
                    0 => {
                        (dhcp.hostname, dhcp.hostname_len) =
                            (BYTES.as_ptr().cast(), input.size() % 128)
                    }
                    1 => {
                        (dhcp.client_id, dhcp.client_id_len) = (BYTES.as_ptr(), input.size() % 128)
                    }
                    2 => (dhcp.requests, dhcp.requests_len) = (BYTES.as_ptr(), input.size() % 128),
                    3 => dhcp.hostname_len = input.size(),
                    4 => dhcp.previous = input.address(),
                    5 => dhcp.flags = input.number32(),
                    _ => {}
                }
                let dhcp = sized(input, &dhcp);
                // With what the slot of the context has: the callback enters that.
                if Self::slot(slot).stack == stack {
                    call!(mnet_dhcp_start(stack, interface, dhcp.get()));
                }
            }
            3 => {
                call!(mnet_dhcp_stop(
                    stack,
                    interface,
                    i32::from(input.byte() & 1)
                ));
            }
            4 => {
                let size = input.size() % 150;
                let lease = Memory::new(input, size, self.arena());
                let result = call!(mnet_dhcp_lease(stack, interface, lease.get(), lease.len));
                lease.check("mnet_dhcp_lease", result, if result > 0 { size } else { 0 });
                self.reached.leases += usize::from(result > 0);
            }
            5 => {
                let size = input.size() % 100;
                let option = Memory::new(input, size, self.arena());
                let length = Memory::of::<usize>(input, self.arena());
                let (tag, to, place) = (input.byte(), option.void(), length.get());
                let result = call!(mnet_dhcp_option(
                    stack, interface, tag, to, option.len, place
                ));
                option.check(
                    "mnet_dhcp_option",
                    result,
                    if result > 0 { size } else { 0 },
                );
                length.check("mnet_dhcp_option", result, if result > 0 { 8 } else { 0 });
            }
            6 => {
                let size = input.size() % 150;
                let defaults = Memory::new(input, size, self.arena());
                let result = call!(mnet_dhcp_default(defaults.get(), defaults.len));
                defaults.check("mnet_dhcp_default", result, size);
            }
            _ => net::with(|net| net.wants_leases = input.byte() & 1 != 0),
        }
    }

    /// A server's answer to whoever has asked last.
    pub(super) fn answer_dhcp(&mut self, input: &mut Input<'_>) {
        let Some((xid, hardware)) = net::with(|net| net.question) else {
            return;
        };
        let kind = match input.byte() {
            0..=95 => 2,
            96..=191 => 5,
            other => other & 0xf,
        };
        let last = 50 + input.byte() % 4;
        let options = input.some();
        // A lease of an hour unless the input says otherwise.
        let usual = [51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0];
        let options = if options.is_empty() {
            &usual[..]
        } else {
            &options
        };
        let frame = answer(xid, hardware, kind, last, options);
        net::deliver(usize::MAX, Self::now(), &frame);
    }

    fn texts(&mut self, input: &mut Input<'_>) {
        let bytes = input.some();
        let mut text = Memory::new(input, bytes.len(), None);
        text.fill(bytes);
        let address = Memory::of::<mnet_addr>(input, None);
        let prefix = Memory::of::<u32>(input, None);
        let whole = size_of::<mnet_addr>();
        match input.byte() % 4 {
            0 => {
                let result = call!(mnet_addr_parse(text.get(), text.len, address.get()));
                address.check("mnet_addr_parse", result, whole);
            }
            1 => {
                let (to, bits) = (address.get(), prefix.get());
                let result = call!(mnet_cidr_parse(text.get(), text.len, to, bits));
                address.check("mnet_cidr_parse", result, whole);
                prefix.check("mnet_cidr_parse", result, 4);
            }
            2 => {
                let value = input.address();
                let value = Memory::with(input, value, None);
                let size = input.size() % 80;
                let buffer = Memory::new(input, size, self.arena());
                let result = call!(mnet_addr_format(value.get(), buffer.get(), buffer.len));
                buffer.check("mnet_addr_format", result, len(result) + 1);
            }
            _ => {
                let code = input.number32().cast_signed();
                for text in [
                    mnet_strerror(code),
                    mnet_error_name(code),
                    mnet_tcp_state_name(code.cast_unsigned()),
                    mnet_congestion_name(code.cast_unsigned()),
                    mnet_version(),
                ] {
                    assert!(unsafe { CStr::from_ptr(text) }.to_bytes().is_ascii());
                }
                let size = input.size() % 600;
                let defaults = Memory::new(input, size, self.arena());
                let result = call!(mnet_config_default(defaults.get(), defaults.len));
                defaults.check("mnet_config_default", result, size);
                let defaults = Memory::room(input, 2_000, self.arena());
                let result = call!(mnet_args_default(defaults.get(), size));
                defaults.check("mnet_args_default", result, size);
            }
        }
    }

    /// A table of options, a command line, and a stack that is opened as they say.
    fn command_line(&mut self, input: &mut Input<'_>) {
        const NAMES: [&CStr; 6] = [c"port", c"verbose", c"size", c"ipv4", c"", c"help"];
        const DEVICES: [&CStr; 4] = [c"service", c"backend", c"a", c"a"];
        /// As much as four texts of the largest size.
        const VALUE: usize = 4 * 1_100;
        let mut args = MaybeUninit::<mnet_args>::zeroed();
        call!(mnet_args_default(args.as_mut_ptr(), size_of::<mnet_args>()));
        let mut args = unsafe { args.assume_init() };
        let count = input.below(4);
        let values: Vec<Memory> = (0..count)
            .map(|_| Memory::room(input, VALUE, None))
            .collect();
        let mut table: Vec<mnet_option> = values
            .iter()
            .map(|value| mnet_option {
                name: match input.below(8) {
                    6 => ptr::null(),
                    name => NAMES[name % 6].as_ptr(),
                },
                help: ptr::null(),
                value_name: ptr::null(),
                value: value.get(),
                value_size: input.size() % 1_100,
                min: input.number(),
                max: input.number(),
                kind: u32::from(input.byte() % 9),
                flags: u32::from(input.byte() % 4),
                letter: u32::from(input.byte() % 3) * 40,
                times: u32::from(input.byte() % 4),
                given: 0,
                reserved: u32::from(input.byte() > 250),
            })
            .collect();
        if count > 0 {
            args.options = table.as_mut_ptr();
        }
        args.option_count = count;
        args.option_size = match input.byte() {
            0..=239 => size_of::<mnet_option>(),
            240..=247 => 0,
            _ => usize::MAX - 7,
        };
        let devices: Vec<*const c_char> = (0..=MNET_ARGS_DEVICES)
            .map(|_| DEVICES[input.below(4)].as_ptr())
            .collect();
        if input.byte() > 128 {
            (args.devices, args.device_count) = (devices.as_ptr(), input.below(10));
        }
        args.flags = u32::from(input.byte() > 220) + 2 * u32::from(input.byte() > 250);
        let mut line: Vec<u8> = match input.byte() % 4 {
            0 => b"--ipv4=10.0.0.1/24 ".to_vec(),
            1 => b"--ipv4=dhcp --ipv6 --port=7 ".to_vec(),
            2 => b"--ipv4:backend=10.1.0.1/24 --vlan ".to_vec(),
            _ => Vec::new(),
        };
        line.extend(input.some().into_iter().filter(|byte| *byte != 0));
        line.push(0);
        let begin = call!(mnet_args_parse(&raw mut args, line.as_ptr().cast()));
        assert!(begin <= 1);
        for value in &values {
            value.check("mnet_args_parse", 0, VALUE);
        }
        // Whatever the numbers in it are afterwards.
        if input.byte() > 200 {
            let at = offset_of!(mnet_args, nameserver_count);
            let end = offset_of!(mnet_args, dhcp_hostname);
            let place = at + usize::from(u16::from_le_bytes(input.bytes())) % (end - at);
            // SAFETY: inside of members that are integers.
            unsafe { (&raw mut args).cast::<u8>().add(place).write(input.byte()) };
        }
        if begin == 1 {
            self.open_args(&args, input);
        }
    }
}
