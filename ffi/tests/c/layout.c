/*
 * The binary layout of the header's structures, as programs that were compiled earlier know it. A line that fails here
 * is a change of the ABI: append members instead, or raise MNET_ABI_VERSION and change the line.
 */
#include <mnet.h>

#if defined(__cplusplus)
#define LAYOUT(name, condition) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define LAYOUT(name, condition) _Static_assert(condition, #name)
#else
#define LAYOUT(name, condition) typedef char name[(condition) ? 1 : -1]
#endif

LAYOUT(abi_version, MNET_ABI_VERSION == 0);

LAYOUT(addr_size, sizeof(struct mnet_addr) == 24);
LAYOUT(addr_family, offsetof(struct mnet_addr, family) == 0);
LAYOUT(addr_port, offsetof(struct mnet_addr, port) == 2);
LAYOUT(addr_zone, offsetof(struct mnet_addr, zone) == 4);
LAYOUT(addr_ip, offsetof(struct mnet_addr, ip) == 8);

LAYOUT(listen_options_size, sizeof(struct mnet_listen_options) == 24);
LAYOUT(listen_options_size_, offsetof(struct mnet_listen_options, size) == 0);
LAYOUT(listen_options_backlog, offsetof(struct mnet_listen_options, backlog) == 8);
LAYOUT(listen_options_max_connections, offsetof(struct mnet_listen_options, max_connections) == 12);
LAYOUT(listen_options_fast_open, offsetof(struct mnet_listen_options, fast_open) == 16);

LAYOUT(config_size, sizeof(struct mnet_config) == 264);
LAYOUT(config_size_, offsetof(struct mnet_config, size) == 0);
LAYOUT(config_arena, offsetof(struct mnet_config, arena) == 8);
LAYOUT(config_arena_size, offsetof(struct mnet_config, arena_size) == 16);
LAYOUT(config_device, offsetof(struct mnet_config, device) == 24);
LAYOUT(config_address, offsetof(struct mnet_config, address) == 32);
LAYOUT(config_gateway, offsetof(struct mnet_config, gateway) == 56);
LAYOUT(config_prefix_len, offsetof(struct mnet_config, prefix_len) == 80);
LAYOUT(config_flags, offsetof(struct mnet_config, flags) == 84);
LAYOUT(config_seed, offsetof(struct mnet_config, seed) == 88);
LAYOUT(config_seed_len, offsetof(struct mnet_config, seed_len) == 96);
LAYOUT(config_busy_poll_ns, offsetof(struct mnet_config, busy_poll_ns) == 104);
LAYOUT(config_max_connections, offsetof(struct mnet_config, max_connections) == 112);
LAYOUT(config_max_half_open, offsetof(struct mnet_config, max_half_open) == 116);
LAYOUT(config_max_time_wait, offsetof(struct mnet_config, max_time_wait) == 120);
LAYOUT(config_max_listeners, offsetof(struct mnet_config, max_listeners) == 124);
LAYOUT(config_max_udp_sockets, offsetof(struct mnet_config, max_udp_sockets) == 128);
LAYOUT(config_tcp_receive_buffer, offsetof(struct mnet_config, tcp_receive_buffer) == 132);
LAYOUT(config_tcp_send_buffer, offsetof(struct mnet_config, tcp_send_buffer) == 136);
LAYOUT(config_mtu, offsetof(struct mnet_config, mtu) == 140);
LAYOUT(config_hardware_address, offsetof(struct mnet_config, hardware_address) == 144);
LAYOUT(config_reserved, offsetof(struct mnet_config, reserved) == 150);
LAYOUT(config_now, offsetof(struct mnet_config, now) == 152);
LAYOUT(config_tcp_keepalive_idle_ns, offsetof(struct mnet_config, tcp_keepalive_idle_ns) == 160);
LAYOUT(config_tcp_keepalive_interval_ns, offsetof(struct mnet_config, tcp_keepalive_interval_ns) == 168);
LAYOUT(config_tcp_user_timeout_ns, offsetof(struct mnet_config, tcp_user_timeout_ns) == 176);
LAYOUT(config_tcp_connect_timeout_ns, offsetof(struct mnet_config, tcp_connect_timeout_ns) == 184);
LAYOUT(config_tcp_delayed_ack_ns, offsetof(struct mnet_config, tcp_delayed_ack_ns) == 192);
LAYOUT(config_tcp_keepalive_count, offsetof(struct mnet_config, tcp_keepalive_count) == 200);
LAYOUT(config_tcp_congestion, offsetof(struct mnet_config, tcp_congestion) == 204);
LAYOUT(config_tcp_ttl, offsetof(struct mnet_config, tcp_ttl) == 208);
LAYOUT(config_tcp_dscp, offsetof(struct mnet_config, tcp_dscp) == 212);
LAYOUT(config_tcp_ecn, offsetof(struct mnet_config, tcp_ecn) == 216);
LAYOUT(config_max_connections_per_peer, offsetof(struct mnet_config, max_connections_per_peer) == 220);
LAYOUT(config_tcp_zero_window_timeout_ns, offsetof(struct mnet_config, tcp_zero_window_timeout_ns) == 224);
LAYOUT(config_tcp_syn_cookies, offsetof(struct mnet_config, tcp_syn_cookies) == 232);
LAYOUT(config_tcp_syn_retries, offsetof(struct mnet_config, tcp_syn_retries) == 236);
LAYOUT(config_tcp_syn_ack_retries, offsetof(struct mnet_config, tcp_syn_ack_retries) == 240);
LAYOUT(config_reserved2, offsetof(struct mnet_config, reserved2) == 244);
LAYOUT(config_max_mtu, offsetof(struct mnet_config, max_mtu) == 248);
LAYOUT(config_max_interfaces, offsetof(struct mnet_config, max_interfaces) == 252);
LAYOUT(config_fiber_memory, offsetof(struct mnet_config, fiber_memory) == 256);

LAYOUT(ipv6_size, sizeof(struct mnet_ipv6) == 88);
LAYOUT(ipv6_size_, offsetof(struct mnet_ipv6, size) == 0);
LAYOUT(ipv6_address, offsetof(struct mnet_ipv6, address) == 8);
LAYOUT(ipv6_gateway, offsetof(struct mnet_ipv6, gateway) == 32);
LAYOUT(ipv6_prefix_len, offsetof(struct mnet_ipv6, prefix_len) == 56);
LAYOUT(ipv6_flags, offsetof(struct mnet_ipv6, flags) == 60);
LAYOUT(ipv6_secret, offsetof(struct mnet_ipv6, secret) == 64);
LAYOUT(ipv6_secret_len, offsetof(struct mnet_ipv6, secret_len) == 72);
LAYOUT(ipv6_interface, offsetof(struct mnet_ipv6, interface) == 80);
LAYOUT(ipv6_reserved, offsetof(struct mnet_ipv6, reserved) == 84);

LAYOUT(interface_size, sizeof(struct mnet_interface) == 144);
LAYOUT(interface_number, offsetof(struct mnet_interface, number) == 0);
LAYOUT(interface_parent, offsetof(struct mnet_interface, parent) == 4);
LAYOUT(interface_vlan, offsetof(struct mnet_interface, vlan) == 8);
LAYOUT(interface_priority, offsetof(struct mnet_interface, priority) == 12);
LAYOUT(interface_mtu, offsetof(struct mnet_interface, mtu) == 16);
LAYOUT(interface_reserved, offsetof(struct mnet_interface, reserved) == 20);
LAYOUT(interface_hardware_address, offsetof(struct mnet_interface, hardware_address) == 24);
LAYOUT(interface_reserved2, offsetof(struct mnet_interface, reserved2) == 30);
LAYOUT(interface_rx_frames, offsetof(struct mnet_interface, rx_frames) == 32);
LAYOUT(interface_rx_bytes, offsetof(struct mnet_interface, rx_bytes) == 40);
LAYOUT(interface_rx_dropped, offsetof(struct mnet_interface, rx_dropped) == 48);
LAYOUT(interface_tx_frames, offsetof(struct mnet_interface, tx_frames) == 56);
LAYOUT(interface_tx_bytes, offsetof(struct mnet_interface, tx_bytes) == 64);
LAYOUT(interface_device, offsetof(struct mnet_interface, device) == 72);

LAYOUT(route_size, sizeof(struct mnet_route) == 80);
LAYOUT(route_size_, offsetof(struct mnet_route, size) == 0);
LAYOUT(route_destination, offsetof(struct mnet_route, destination) == 8);
LAYOUT(route_gateway, offsetof(struct mnet_route, gateway) == 32);
LAYOUT(route_prefix_len, offsetof(struct mnet_route, prefix_len) == 56);
LAYOUT(route_interface, offsetof(struct mnet_route, interface) == 60);
LAYOUT(route_metric, offsetof(struct mnet_route, metric) == 64);
LAYOUT(route_flags, offsetof(struct mnet_route, flags) == 68);
LAYOUT(route_expires, offsetof(struct mnet_route, expires) == 72);

LAYOUT(pollfd_size, sizeof(struct mnet_pollfd) == 16);
LAYOUT(pollfd_fd, offsetof(struct mnet_pollfd, fd) == 0);
LAYOUT(pollfd_events, offsetof(struct mnet_pollfd, events) == 8);
LAYOUT(pollfd_revents, offsetof(struct mnet_pollfd, revents) == 12);

LAYOUT(event_size, sizeof(struct mnet_event) == 16);
LAYOUT(event_fd, offsetof(struct mnet_event, fd) == 0);
LAYOUT(event_ready, offsetof(struct mnet_event, ready) == 8);

LAYOUT(usage_size, sizeof(struct mnet_usage) == 80);
LAYOUT(usage_frames, offsetof(struct mnet_usage, frames) == 0);
LAYOUT(usage_frames_free, offsetof(struct mnet_usage, frames_free) == 8);
LAYOUT(usage_frames_lowest, offsetof(struct mnet_usage, frames_lowest) == 16);
LAYOUT(usage_connections, offsetof(struct mnet_usage, connections) == 24);
LAYOUT(usage_orphaned, offsetof(struct mnet_usage, orphaned) == 32);
LAYOUT(usage_max_connections, offsetof(struct mnet_usage, max_connections) == 40);
LAYOUT(usage_half_open, offsetof(struct mnet_usage, half_open) == 48);
LAYOUT(usage_time_wait, offsetof(struct mnet_usage, time_wait) == 56);
LAYOUT(usage_udp_sockets, offsetof(struct mnet_usage, udp_sockets) == 64);
LAYOUT(usage_fibers, offsetof(struct mnet_usage, fibers) == 72);

LAYOUT(tcp_settings_size, sizeof(struct mnet_tcp_settings) == 88);
LAYOUT(tcp_settings_keepalive_idle_ns, offsetof(struct mnet_tcp_settings, keepalive_idle_ns) == 0);
LAYOUT(tcp_settings_keepalive_interval_ns, offsetof(struct mnet_tcp_settings, keepalive_interval_ns) == 8);
LAYOUT(tcp_settings_user_timeout_ns, offsetof(struct mnet_tcp_settings, user_timeout_ns) == 16);
LAYOUT(tcp_settings_connect_timeout_ns, offsetof(struct mnet_tcp_settings, connect_timeout_ns) == 24);
LAYOUT(tcp_settings_linger_ns, offsetof(struct mnet_tcp_settings, linger_ns) == 32);
LAYOUT(tcp_settings_delayed_ack_ns, offsetof(struct mnet_tcp_settings, delayed_ack_ns) == 40);
LAYOUT(tcp_settings_receive_buffer, offsetof(struct mnet_tcp_settings, receive_buffer) == 48);
LAYOUT(tcp_settings_send_buffer, offsetof(struct mnet_tcp_settings, send_buffer) == 56);
LAYOUT(tcp_settings_keepalive_count, offsetof(struct mnet_tcp_settings, keepalive_count) == 64);
LAYOUT(tcp_settings_congestion, offsetof(struct mnet_tcp_settings, congestion) == 68);
LAYOUT(tcp_settings_ttl, offsetof(struct mnet_tcp_settings, ttl) == 72);
LAYOUT(tcp_settings_dscp, offsetof(struct mnet_tcp_settings, dscp) == 76);
LAYOUT(tcp_settings_nodelay, offsetof(struct mnet_tcp_settings, nodelay) == 80);
LAYOUT(tcp_settings_cork, offsetof(struct mnet_tcp_settings, cork) == 84);

LAYOUT(datagram_size, sizeof(struct mnet_datagram) == 64);
LAYOUT(datagram_remote, offsetof(struct mnet_datagram, remote) == 8);
LAYOUT(datagram_local, offsetof(struct mnet_datagram, local) == 32);
LAYOUT(datagram_interface, offsetof(struct mnet_datagram, interface) == 56);
LAYOUT(datagram_hop_limit, offsetof(struct mnet_datagram, hop_limit) == 60);
LAYOUT(datagram_traffic_class, offsetof(struct mnet_datagram, traffic_class) == 62);

LAYOUT(udp_error_size, sizeof(struct mnet_udp_error) == 40);
LAYOUT(udp_error_remote, offsetof(struct mnet_udp_error, remote) == 8);
LAYOUT(udp_error_error, offsetof(struct mnet_udp_error, error) == 32);
LAYOUT(udp_error_mtu, offsetof(struct mnet_udp_error, mtu) == 36);

LAYOUT(tcp_info_size, sizeof(struct mnet_tcp_info) == 112);
LAYOUT(tcp_info_srtt_ns, offsetof(struct mnet_tcp_info, srtt_ns) == 0);
LAYOUT(tcp_info_rttvar_ns, offsetof(struct mnet_tcp_info, rttvar_ns) == 8);
LAYOUT(tcp_info_min_rtt_ns, offsetof(struct mnet_tcp_info, min_rtt_ns) == 16);
LAYOUT(tcp_info_rto_ns, offsetof(struct mnet_tcp_info, rto_ns) == 24);
LAYOUT(tcp_info_bytes_delivered, offsetof(struct mnet_tcp_info, bytes_delivered) == 32);
LAYOUT(tcp_info_bytes_received, offsetof(struct mnet_tcp_info, bytes_received) == 40);
LAYOUT(tcp_info_state, offsetof(struct mnet_tcp_info, state) == 48);
LAYOUT(tcp_info_flags, offsetof(struct mnet_tcp_info, flags) == 52);
LAYOUT(tcp_info_mss, offsetof(struct mnet_tcp_info, mss) == 56);
LAYOUT(tcp_info_path_mtu, offsetof(struct mnet_tcp_info, path_mtu) == 60);
LAYOUT(tcp_info_congestion, offsetof(struct mnet_tcp_info, congestion) == 64);
LAYOUT(tcp_info_cwnd, offsetof(struct mnet_tcp_info, cwnd) == 68);
LAYOUT(tcp_info_ssthresh, offsetof(struct mnet_tcp_info, ssthresh) == 72);
LAYOUT(tcp_info_snd_wnd, offsetof(struct mnet_tcp_info, snd_wnd) == 76);
LAYOUT(tcp_info_rcv_wnd, offsetof(struct mnet_tcp_info, rcv_wnd) == 80);
LAYOUT(tcp_info_snd_scale, offsetof(struct mnet_tcp_info, snd_scale) == 84);
LAYOUT(tcp_info_rcv_scale, offsetof(struct mnet_tcp_info, rcv_scale) == 88);
LAYOUT(tcp_info_in_flight, offsetof(struct mnet_tcp_info, in_flight) == 92);
LAYOUT(tcp_info_unsent, offsetof(struct mnet_tcp_info, unsent) == 96);
LAYOUT(tcp_info_unread, offsetof(struct mnet_tcp_info, unread) == 100);
LAYOUT(tcp_info_retransmits, offsetof(struct mnet_tcp_info, retransmits) == 104);
LAYOUT(tcp_info_backoff, offsetof(struct mnet_tcp_info, backoff) == 108);

LAYOUT(tcp_entry_size, sizeof(struct mnet_tcp_entry) == 64);
LAYOUT(tcp_entry_fd, offsetof(struct mnet_tcp_entry, fd) == 0);
LAYOUT(tcp_entry_local, offsetof(struct mnet_tcp_entry, local) == 8);
LAYOUT(tcp_entry_remote, offsetof(struct mnet_tcp_entry, remote) == 32);
LAYOUT(tcp_entry_state, offsetof(struct mnet_tcp_entry, state) == 56);
LAYOUT(tcp_entry_reserved, offsetof(struct mnet_tcp_entry, reserved) == 60);

LAYOUT(address_info_size, sizeof(struct mnet_address_info) == 56);
LAYOUT(address_info_address, offsetof(struct mnet_address_info, address) == 0);
LAYOUT(address_info_prefix_len, offsetof(struct mnet_address_info, prefix_len) == 24);
LAYOUT(address_info_interface, offsetof(struct mnet_address_info, interface) == 28);
LAYOUT(address_info_state, offsetof(struct mnet_address_info, state) == 32);
LAYOUT(address_info_origin, offsetof(struct mnet_address_info, origin) == 36);
LAYOUT(address_info_preferred_ns, offsetof(struct mnet_address_info, preferred_ns) == 40);
LAYOUT(address_info_valid_ns, offsetof(struct mnet_address_info, valid_ns) == 48);

LAYOUT(network_event_size, sizeof(struct mnet_network_event) == 8);
LAYOUT(network_event_interface, offsetof(struct mnet_network_event, interface) == 0);
LAYOUT(network_event_changes, offsetof(struct mnet_network_event, changes) == 4);

LAYOUT(dhcp_size, sizeof(struct mnet_dhcp) == 104);
LAYOUT(dhcp_size_, offsetof(struct mnet_dhcp, size) == 0);
LAYOUT(dhcp_hostname, offsetof(struct mnet_dhcp, hostname) == 8);
LAYOUT(dhcp_hostname_len, offsetof(struct mnet_dhcp, hostname_len) == 16);
LAYOUT(dhcp_client_id, offsetof(struct mnet_dhcp, client_id) == 24);
LAYOUT(dhcp_client_id_len, offsetof(struct mnet_dhcp, client_id_len) == 32);
LAYOUT(dhcp_requests, offsetof(struct mnet_dhcp, requests) == 40);
LAYOUT(dhcp_requests_len, offsetof(struct mnet_dhcp, requests_len) == 48);
LAYOUT(dhcp_previous, offsetof(struct mnet_dhcp, previous) == 56);
LAYOUT(dhcp_flags, offsetof(struct mnet_dhcp, flags) == 80);
LAYOUT(dhcp_reserved, offsetof(struct mnet_dhcp, reserved) == 84);
LAYOUT(dhcp_accept, offsetof(struct mnet_dhcp, accept) == 88);
LAYOUT(dhcp_context, offsetof(struct mnet_dhcp, context) == 96);

LAYOUT(dhcp_lease_size, sizeof(struct mnet_dhcp_lease) == 112);
LAYOUT(dhcp_lease_address, offsetof(struct mnet_dhcp_lease, address) == 0);
LAYOUT(dhcp_lease_server, offsetof(struct mnet_dhcp_lease, server) == 24);
LAYOUT(dhcp_lease_gateway, offsetof(struct mnet_dhcp_lease, gateway) == 48);
LAYOUT(dhcp_lease_prefix_len, offsetof(struct mnet_dhcp_lease, prefix_len) == 72);
LAYOUT(dhcp_lease_interface, offsetof(struct mnet_dhcp_lease, interface) == 76);
LAYOUT(dhcp_lease_mtu, offsetof(struct mnet_dhcp_lease, mtu) == 80);
LAYOUT(dhcp_lease_reserved, offsetof(struct mnet_dhcp_lease, reserved) == 84);
LAYOUT(dhcp_lease_duration_ns, offsetof(struct mnet_dhcp_lease, duration_ns) == 88);
LAYOUT(dhcp_lease_renew_ns, offsetof(struct mnet_dhcp_lease, renew_ns) == 96);
LAYOUT(dhcp_lease_valid_ns, offsetof(struct mnet_dhcp_lease, valid_ns) == 104);

/* Error codes are never renumbered. */
LAYOUT(einval, MNET_EINVAL == -1);
LAYOUT(ebadf, MNET_EBADF == -2);
LAYOUT(eagain, MNET_EAGAIN == -3);
LAYOUT(enomem, MNET_ENOMEM == -4);
LAYOUT(elimit, MNET_ELIMIT == -5);
LAYOUT(eaddrinuse, MNET_EADDRINUSE == -6);
LAYOUT(eaddrnotavail, MNET_EADDRNOTAVAIL == -7);
LAYOUT(econnrefused, MNET_ECONNREFUSED == -8);
LAYOUT(econnreset, MNET_ECONNRESET == -9);
LAYOUT(etimedout, MNET_ETIMEDOUT == -10);
LAYOUT(ehostunreach, MNET_EHOSTUNREACH == -11);
LAYOUT(enetunreach, MNET_ENETUNREACH == -12);
LAYOUT(epipe, MNET_EPIPE == -13);
LAYOUT(emsgsize, MNET_EMSGSIZE == -14);
LAYOUT(enodev, MNET_ENODEV == -15);
LAYOUT(ebusy, MNET_EBUSY == -16);
LAYOUT(entropy, MNET_ENTROPY == -17);
LAYOUT(eafnosupport, MNET_EAFNOSUPPORT == -18);
LAYOUT(egateway, MNET_EGATEWAY == -19);
LAYOUT(eaddrgone, MNET_EADDRGONE == -20);

LAYOUT(option_size, sizeof(struct mnet_option) == 80);
LAYOUT(option_value, offsetof(struct mnet_option, value) == 24);
LAYOUT(option_min, offsetof(struct mnet_option, min) == 40);
LAYOUT(option_kind, offsetof(struct mnet_option, kind) == 56);
LAYOUT(option_given, offsetof(struct mnet_option, given) == 72);
LAYOUT(device_args_size, sizeof(struct mnet_device_args) == 160);
LAYOUT(device_args_ipv4, offsetof(struct mnet_device_args, ipv4) == 104);
LAYOUT(device_args_vlan, offsetof(struct mnet_device_args, vlan) == 112);
LAYOUT(args_size, sizeof(struct mnet_args) == 1648);
LAYOUT(args_options, offsetof(struct mnet_args, options) == 24);
LAYOUT(args_devices, offsetof(struct mnet_args, devices) == 48);
LAYOUT(args_flags, offsetof(struct mnet_args, flags) == 64);
LAYOUT(args_nameservers, offsetof(struct mnet_args, nameservers) == 72);
LAYOUT(args_device, offsetof(struct mnet_args, device) == 168);
LAYOUT(args_log, offsetof(struct mnet_args, log) == 1512);
LAYOUT(log_levels, MNET_LOG_ERROR == 1 && MNET_LOG_WARN == 2 && MNET_LOG_INFO == 3 && MNET_LOG_DEBUG == 4);
LAYOUT(option_kinds, MNET_OPTION_FLAG == 1 && MNET_OPTION_SIZE == 7 && MNET_OPTION_POSITIONAL == 2);
LAYOUT(args_modes, MNET_ARGS_IPV4_LINK_LOCAL == 2 && MNET_ARGS_IPV4_DHCP == 3 && MNET_ARGS_IPV6_EUI64 == 2 && MNET_ARGS_IPV6_STATIC == 3);

int layout_is_compiled(void);
int layout_is_compiled(void)
{
    return MNET_VERSION_NUMBER == MNET_VERSION_MAJOR * 1000000 + MNET_VERSION_MINOR * 1000 + MNET_VERSION_PATCH;
}
