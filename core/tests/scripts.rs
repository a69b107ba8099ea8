//! One connection against a scripted peer, under virtual time. The scripts lie in `scripts/`, one
//! file per behaviour; `scripts/README.md` describes the notation.
//!
//! Every script runs several times, with initial sequence numbers on both sides that make the
//! numbers wrap at different places, or not at all.

mod common;

use common::script::Script;
use common::script::words::{Line, duration};
use common::small_config;
use mnet_core::Instant;
use mnet_core::config::{Config, EcnMode, Keepalive, SynCookies};
use std::collections::BTreeSet;
use std::time::Duration;

/// The `config` lines of a script.
fn config(text: &str) -> Config {
    let mut config = small_config();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let ["config", name, value] = words[..] else {
            continue;
        };
        let number = || value.parse().unwrap();
        match name {
            "ecn" => {
                config.tcp.ecn = match value {
                    "off" => EcnMode::Off,
                    "passive" => EcnMode::Passive,
                    "active" => EcnMode::Active,
                    "accurate" => EcnMode::Accurate,
                    other => panic!("what is config ecn {other}?"),
                }
            }
            "receive-buffer" => config.tcp.receive_buffer = number(),
            "send-buffer" => config.tcp.send_buffer = number(),
            "autotuning" => config.tcp.autotuning = number() == 1,
            "pacing" => config.tcp.pacing = number() == 1,
            "syn-retries" => config.tcp.syn_retries = u8::try_from(number()).unwrap(),
            "connect-timeout" => {
                config.tcp.connect_timeout = Some(Duration::from_millis(number() as u64));
            }
            "ttl" => config.tcp.time_to_live = u8::try_from(number()).unwrap(),
            "dscp" => config.tcp.dscp = u8::try_from(number()).unwrap(),
            "keepalive" => {
                config.tcp.keepalive = Some(Keepalive {
                    idle: Duration::from_millis(number() as u64),
                    ..Keepalive::default()
                });
            }
            "syn-ack-retries" => config.tcp.syn_ack_retries = u8::try_from(number()).unwrap(),
            "syn-cookies" => {
                config.tcp.syn_cookies = match value {
                    "off" => SynCookies::Off,
                    "when-full" => SynCookies::WhenFull,
                    "always" => SynCookies::Always,
                    other => panic!("what is {other}?"),
                }
            }
            "max-half-open" => config.max_half_open = Some(number()),
            "max-connections" => config.max_connections = Some(number()),
            "max-per-peer" => config.max_connections_per_peer = Some(number()),
            "zero-window-timeout" => {
                config.tcp.zero_window_timeout = Some(duration(value).unwrap());
            }
            other => panic!("what is config {other}?"),
        }
    }
    config
}

/// Our initial sequence number grows by one every 4 microseconds: starting the clock later gives
/// any number that is wanted.
fn start_for(text: &str, wanted: u32) -> Instant {
    let base = Instant::from_millis(1_000);
    let mut probe = Script::new(&config(text), base, 0);
    if text.contains("call connect") {
        probe.line(&mut Line {
            number: 0,
            words: ["call", "connect"].into(),
        });
    } else {
        probe.line(&mut Line {
            number: 0,
            words: ["call", "listen", "4"].into(),
        });
        probe.line(&mut Line {
            number: 0,
            words: ["-->", "SYN"].into(),
        });
    }
    probe.flush();
    let (_, packet) = probe.host.sent.front().expect("a SYN").clone();
    base + Duration::from_nanos(u64::from(wanted.wrapping_sub(packet.seq)) * 4_000)
}

/// The numbers of both sides that a script mentions: ours, and the peer's.
fn mentioned(text: &str) -> [BTreeSet<u32>; 2] {
    let mut numbers = [BTreeSet::new(), BTreeSet::new()];
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = line.split_whitespace().collect();
        let sender = match words.first() {
            Some(&("<--" | "icmp")) => 0,
            Some(&"-->") => 1,
            _ => continue,
        };
        for (at, word) in words.iter().enumerate() {
            let (side, count) = match *word {
                "seq" => (sender, 1),
                "ack" => (1 - sender, 1),
                "sack" => (1 - sender, 2),
                _ => continue,
            };
            let named = words[at + 1..].iter().take(count);
            numbers[side].extend(named.filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    numbers
}

/// Runs a script with numbers that wrap at different places, and at each number that it mentions:
/// those of SYN, data, FIN, blocks, and the ones behind.
fn run(text: &str) {
    let [ours, theirs] = mentioned(text).map(|numbers| {
        let at = numbers.into_iter().flat_map(|n| [n, n.wrapping_add(1)]);
        let isns: BTreeSet<u32> = at.map(u32::wrapping_neg).chain([0]).collect();
        isns.into_iter().collect::<Vec<u32>>()
    });
    let count = ours.len().max(theirs.len());
    let pairs = (0..count).map(|i| (ours[i % ours.len()], theirs[i % theirs.len()]));
    for (our_isn, peer_isn) in pairs.chain([
        (1_000, 5_000),
        (u32::MAX, u32::MAX),
        (u32::MAX - 1, 0),
        (u32::MAX - 700, u32::MAX - 400),
        (0x7fff_ff00, 0x7fff_fff0),
        (u32::MAX - 8_000, u32::MAX - 9_000),
    ]) {
        // Time that a script spends before a number is chosen makes it differ a little.
        let start = start_for(text, our_isn);
        let mut script = Script::new(&config(text), start, peer_isn);
        script.run(text);
    }
}

macro_rules! scripts {
    ($($name:ident,)+) => {
        $(#[test]
        fn $name() {
            run(include_str!(concat!("scripts/", stringify!($name), ".script")));
        })+

        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

scripts! {
    abort,
    accecn_active,
    accecn_active_falls_back,
    accecn_active_mangled,
    accecn_active_reflected,
    accecn_active_syn_ack_marked,
    accecn_active_syn_lost,
    accecn_asks_for_both_kinds,
    accecn_client_not_counting,
    accecn_field_wiped,
    accecn_marks_on_acks,
    accecn_option_contradicts,
    accecn_option_stripped,
    accecn_passive,
    accecn_passive_classic,
    accecn_passive_other_flags,
    accecn_simultaneous,
    accecn_syn_ack_lost,
    accecn_with_sack,
    ack_of_the_future_and_the_past,
    close_active,
    close_fin_at_zero_window,
    close_fin_out_of_order,
    close_fin_with_data_and_lost,
    close_numbers_wrap,
    close_orphan,
    close_orphan_gets_data,
    close_orphan_gets_old_data_with_fin,
    close_orphan_in_fin_wait_2,
    close_orphan_zero_window,
    close_passive,
    close_simultaneous,
    close_simultaneous_lost_ack,
    close_simultaneous_lost_fin,
    close_with_unread_data,
    closed_port,
    connect_neighbour_is_silent,
    connect_timeout,
    connect_timeout_is_over_with_the_handshake,
    connect_timeout_of_the_configuration,
    cork_and_keepalive,
    cork_ends_with_shutdown,
    cork_holds_for_200_ms,
    cork_is_no_probe,
    cork_taken_out,
    data_delayed_ack,
    data_in_order_is_acknowledged,
    data_old_and_beyond,
    data_out_of_order,
    data_urgent_in_line,
    data_window_closes_and_opens,
    data_window_scale,
    ecn_active,
    ecn_active_reflected,
    ecn_active_refused,
    ecn_active_syn_lost,
    ecn_loss_after_a_mark,
    ecn_mark_after_timeout,
    ecn_mark_at_the_smallest_window,
    ecn_mark_in_recovery,
    ecn_marks_outside_the_window,
    ecn_not_asked,
    ecn_off,
    ecn_passive,
    ecn_receiver,
    ecn_sender,
    ecn_simultaneous,
    ecn_slow_start_ends,
    ecn_syn_ack_lost,
    ecn_syn_that_is_ecn_capable,
    ecn_timeout_after_a_mark,
    ecn_what_is_not_capable,
    fast_open_active,
    fast_open_active_held_down,
    fast_open_active_lost,
    fast_open_active_not_taken,
    fast_open_active_smaller_mss,
    fast_open_passive,
    fast_open_passive_answers_lost,
    fast_open_passive_bad_cookie,
    fast_open_passive_closed_early,
    fast_open_passive_limit,
    fast_open_passive_off,
    fast_open_passive_old_cookie,
    fast_open_passive_syn_ack_lost,
    fast_open_passive_syn_repeated,
    fast_retransmit,
    fast_retransmit_not_for_other_acks,
    handshake_ack_without_timestamp,
    handshake_active,
    handshake_active_bad_ack,
    handshake_active_lost,
    handshake_active_refused,
    handshake_data_on_last_ack,
    handshake_passive,
    handshake_simultaneous,
    handshake_simultaneous_lost,
    handshake_simultaneous_lost_syn,
    handshake_simultaneous_lost_syn_ack,
    handshake_syn_ack_lost,
    handshake_syn_received_segments,
    handshake_syn_repeated,
    handshake_without_options,
    icmp_about_a_connection_is_noted,
    icmp_about_a_syn,
    icmp_of_others_is_ignored,
    keepalive_after_shutdown,
    keepalive_and_user_timeout,
    keepalive_not_with_data_in_flight,
    keepalive_of_a_listener,
    keepalive_peer_answers,
    keepalive_peer_has_forgotten,
    keepalive_peer_is_gone,
    keepalive_short_user_timeout,
    keepalive_while_connecting,
    linger_off_or_with_time_delivers,
    linger_zero_resets,
    listen_backlog,
    listen_backlog_with_cookies,
    listen_close_resets_unaccepted,
    listen_max_connections,
    listen_max_connections_at_once,
    listen_max_per_peer,
    loss_dsack_of_other_data,
    loss_dsack_undo,
    loss_eifel_after_fast_retransmit,
    loss_eifel_after_timeout,
    loss_fin,
    loss_frto_makes_the_timer_patient,
    loss_frto_real,
    loss_frto_spurious,
    loss_in_a_batch,
    loss_limited_transmit,
    loss_new_reno_partial_acks,
    loss_sack_bad_blocks,
    loss_sack_blocks_in_any_order,
    loss_sack_lost_again,
    loss_sack_reneged,
    loss_sack_reordered_in_time,
    loss_sack_reordering_timer,
    loss_sack_three_segments,
    loss_sack_without_timestamps,
    loss_tail_probe,
    loss_tail_probe_repairs,
    loss_tail_probe_timestamps,
    loss_tail_probe_was_late,
    loss_tail_probe_with_new_data,
    loss_timeout_keeps_blocks,
    neighbour_is_silent_for_a_while,
    neighbour_is_silent_for_ever,
    options_in_any_segment,
    path_mtu_doubted_until_a_timeout,
    path_mtu_lowered_at_once,
    paws,
    paws_after_a_month,
    reset_after_both_closed,
    reset_at_a_closed_window,
    reset_in_and_out_of_the_window,
    reset_in_syn_received_after_connect,
    reset_in_syn_received_after_listen,
    reset_with_data_left_after_both_closed,
    rto_backoff_and_failure,
    rto_karn,
    rto_sends_everything_again,
    sack_active,
    sack_blocks_latest_first,
    sack_blocks_only_where_room_is,
    sack_duplicates,
    sack_duplicates_with_timestamps,
    sack_not_agreed,
    sack_with_timestamps,
    send_buffer_is_bounded,
    send_nagle,
    send_nagle_ends_with_shutdown,
    send_partial_ack_of_a_segment,
    send_restart_after_idle,
    send_segments_and_windows,
    send_silly_window,
    send_window_of_overtaken_segments,
    send_window_override,
    send_window_override_while_peer_sends,
    send_window_shrinks,
    send_zero_window,
    send_zero_window_is_no_loss,
    send_zero_window_timeout,
    send_zero_window_unanswered,
    settings_buffers,
    settings_delayed_ack,
    settings_of_the_configuration,
    settings_ttl_and_dscp,
    syn_cookie_accecn,
    syn_cookie_accecn_other_flags,
    syn_cookie_data_with_the_ack,
    syn_cookie_ecn,
    syn_cookie_expired,
    syn_cookie_not_for_others,
    syn_cookie_options,
    syn_cookie_plain,
    syn_in_a_connection,
    syn_without_timestamps,
    time_wait_assassination,
    time_wait_new_connection_by_number,
    time_wait_new_connection_by_timestamp,
    time_wait_old_segments,
    time_wait_old_syn,
    time_wait_syn_with_and_without_timestamp,
    timestamps_of_a_bad_ack,
    timestamps_recent_follows_the_left_edge,
    urgent_corner_cases,
    urgent_fin_alone,
    user_timeout_ends_data,
    user_timeout_of_a_closed_window,
    user_timeout_starts_over,
    user_timeout_while_connecting,
}

#[test]
fn every_script_in_the_folder_is_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".script") {
            assert!(NAMES.contains(&name), "{name} is not in the list");
        }
    }
}
