//! Calls of the C ABI, and fibers.

use super::Seeds;

/// Scripts of fibers, byte by byte as `fibers` reads them: operation and arguments.
pub(super) fn fibers(seeds: &Seeds) {
    const YIELD: &[u8] = &[0];
    const START: &[u8] = &[9, 200];
    const OWN: &[u8] = &[9, 24];
    const CHANNEL: &[u8] = &[13, 2];
    // On channel 0, for ever.
    const SEND: &[u8] = &[2, 0, 255];
    const RECEIVE: &[u8] = &[4, 0, 255];
    const END: &[u8] = &[15, 0];
    let sleep = |ms| [1, ms];
    let join = |fiber| [6, fiber, 255];
    let cancel = |fiber| [7, fiber];
    let two = [CHANNEL, START, START, OWN, YIELD].concat();
    let handed = [
        SEND, SEND, SEND, RECEIVE, RECEIVE, YIELD, RECEIVE, SEND, END, END,
    ]
    .concat();
    seeds.add(
        "fibers",
        "handed",
        &[&two[..], &handed, &sleep(3), &handed, &join(0)].concat(),
    );
    let asked = [
        &two[..],
        RECEIVE,
        RECEIVE,
        &cancel(0),
        &cancel(1),
        YIELD,
        &join(2),
        END,
    ];
    seeds.add("fibers", "canceled", &asked.concat());
    let cleaned = [
        &two[..],
        &[11, 1],
        &[11, 0],
        &[12, 1],
        &sleep(5),
        &[15, 0],
        &[15, 0],
        YIELD,
    ];
    seeds.add("fibers", "cleaned", &cleaned.concat());
    let gone = [
        &two[..],
        &[8, 0],
        &[8, 1],
        END,
        END,
        &[14, 0, 0],
        &[14, 0, 1],
        SEND,
        &join(0),
    ];
    seeds.add("fibers", "gone", &gone.concat());
    let wrong = [
        &two[..],
        &[6, 200, 0],
        &[7, 210],
        &[8, 220],
        &[2, 230, 0],
        &[9, 3],
        &[9, 17],
        &[9, 21],
    ];
    seeds.add("fibers", "wrong", &wrong.concat());
}

/// Calls of the C ABI, byte by byte as `c_abi` reads them. Stacks 0 and 1 are manual, 2 waits.
pub(super) fn c_abi(seeds: &Seeds) {
    const TURN: &[u8] = &[8, 8];
    const TCP: u8 = 16;
    const UDP: u8 = 112;
    const NETWORK: u8 = 176;
    // The address 0.0.0.0:7, and 10.0.0.1:7 and following; memory as it should be; number 1280.
    const ANY: u8 = 8;
    let host = |number: u8| (number - 1) << 4;
    const GOOD: u8 = 4;
    const MUCH: u8 = 9;
    let listen = |stack| [TCP, stack, ANY, GOOD, 4];
    let connect = |stack, to, flags| [TCP + 18, stack, host(to), GOOD, 0, GOOD, 0, flags, 0, 0];
    let accept = |socket| [TCP + 8, socket, GOOD];
    let write_to = |socket, size| [TCP + 28, socket, size, GOOD];
    let read = |socket| [TCP + 40, socket, 12, GOOD];
    let peek = |socket, other| [TCP + 52, socket, GOOD, other, 0];
    let shut = |socket| [TCP + 58, socket, 0, 0];
    let close = |socket| [TCP + 62, socket];
    let set = |socket, which, number| [TCP + 67, socket, which, number, number, 4];
    let ask = |socket, what| [TCP + 75, socket, MUCH, GOOD, GOOD, what, GOOD];
    let bind = |stack| [UDP, stack, ANY, GOOD, 0];
    let send = |socket, size, to| [UDP + 21, socket, size, GOOD, 0, host(to), 0, 0, 0, 0, GOOD];
    let receive = |socket| [UDP + 33, socket, 13, GOOD, 0, GOOD];
    let later = |bits| [5, bits];
    let open = [
        &[0][..],
        &listen(1),
        &connect(0, 2, 1),
        TURN,
        &accept(0),
        TURN,
    ]
    .concat();
    let talk = [
        &write_to(1, MUCH)[..],
        TURN,
        &read(2),
        &write_to(2, 13),
        TURN,
        &peek(1, 1),
        TURN,
    ]
    .concat();
    let end = [
        &shut(1)[..],
        TURN,
        &read(2),
        &close(2),
        TURN,
        &close(1),
        TURN,
        &later(30),
    ]
    .concat();
    seeds.add(
        "c_abi",
        "streams",
        &[&open[..], &talk, &talk, &end].concat(),
    );
    let settings: Vec<u8> = (0..14).flat_map(|which| set(1, which, 7)).collect();
    let questions: Vec<u8> = (0..24).flat_map(|what| ask(what / 8, what % 8)).collect();
    seeds.add(
        "c_abi",
        "settings",
        &[&open[..], &settings, &questions, &talk].concat(),
    );
    let aborted = [
        &open[..],
        &write_to(1, 13),
        &[TCP + 66, 1],
        TURN,
        &read(2),
        &close(2),
    ]
    .concat();
    seeds.add("c_abi", "aborted", &aborted);
    let lossy = [
        &open[..],
        &[15, 3],
        &talk,
        &talk,
        &later(28),
        TURN,
        &later(32),
        TURN,
    ]
    .concat();
    seeds.add("c_abi", "lossy", &lossy);
    let waiting = [
        &[0][..],
        &bind(2),
        &listen(0),
        &connect(2, 1, 0),
        &accept(1),
        &read(2),
        &write_to(3, MUCH),
        &read(2),
        &write_to(2, 13),
        &read(3),
        &receive(0),
        &close(2),
        TURN,
    ];
    seeds.add("c_abi", "waiting", &waiting.concat());
    let reserve = [UDP + 45, 0, 0, MUCH, GOOD];
    let commit = [UDP + 45, 0, 2, 4, host(2), GOOD];
    let look = [UDP + 52, 1, GOOD, 0, 0, 0, 0, 0, 0, 0, GOOD, 0, 0];
    let datagrams = [
        &[0][..],
        &bind(0),
        &bind(1),
        &send(0, MUCH, 2),
        TURN,
        &receive(1),
        // In fragments.
        &send(0, 14, 2),
        TURN,
        &receive(1),
        &reserve,
        &commit,
        TURN,
        &look,
        &send(0, 4, 1),
        TURN,
    ];
    seeds.add("c_abi", "datagrams", &datagrams.concat());
    let lease = [NETWORK + 50, 0, 0, 4, MUCH, GOOD];
    let leases = [
        &[0][..],
        &[NETWORK + 50, 0, 0, 0, 1, 1, 6, 0, GOOD, 0],
        TURN,
        &later(34),
        TURN,
        &[6, 0, 0, 0],
        TURN,
        &[6, 96, 0, 0],
        TURN,
        &lease,
        &later(33),
        TURN,
        &[NETWORK + 50, 0, 0, 3, 1],
        TURN,
    ];
    seeds.add("c_abi", "leases", &leases.concat());
    let stacks = [
        &[0b101][..],
        &[0, 0, 0, 0, GOOD, 0],
        &[0, 2, 1, 11, 4, 0, GOOD, 0],
        &listen(0),
        &[1, 0],
        &[1, 0],
        &read(0),
        &[0, 0, 2, 7, 1, 18, 9, 0, GOOD, 0],
        &[1, 192],
        &[1, 224],
    ];
    seeds.add("c_abi", "stacks", &stacks.concat());
    let network = [
        &[0][..],
        &[NETWORK, 0, 1, 1, 0, GOOD, 0],
        &[NETWORK, 0, 2, 0, 4, 4, 0],
        &[NETWORK + 8, 0, 1, 0, host(4), GOOD, 4, 0],
        &[
            NETWORK + 20,
            0,
            200,
            ANY,
            0,
            host(2),
            1,
            1,
            0,
            0,
            0,
            GOOD,
            0,
            0,
        ],
        &[NETWORK + 32, 0, MUCH, GOOD, 7, 0, GOOD, 0],
        &[NETWORK + 40, 0, 0, GOOD, GOOD, 0, 0, host(2), GOOD],
        &later(31),
        TURN,
        &[NETWORK + 8, 0, 0, 4, 8, GOOD, 0],
    ];
    seeds.add("c_abi", "network", &network.concat());
    let channel = [12, 0, 0, 0, 3, 0, 4, 0, GOOD];
    let channels = [
        &[0][..],
        &channel,
        &[12, 2, 0, GOOD, 0],
        &[12, 2, 0, GOOD, 0],
        &[12, 4, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 5, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 6, 0],
        &channel,
        &[1, 0],
        &[12, 4, 1],
    ];
    seeds.add("c_abi", "channels", &channels.concat());
    let arguments = [
        &[0b111][..],
        &[
            NETWORK + 72,
            1,
            GOOD,
            0,
            8,
            1,
            11,
            2,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    seeds.add("c_abi", "arguments", &arguments.concat());
}
