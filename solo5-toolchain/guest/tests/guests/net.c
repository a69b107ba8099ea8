/* Waits for a frame, checks what it can, answers with frames of both extreme lengths. */
#include "support.h"

static uint8_t frame[65536 + SOLO5_NET_HLEN];

static void send(solo5_handle_t handle, const uint8_t *mac, size_t size)
{
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)i;
    for (size_t i = 0; i < SOLO5_NET_ALEN; i++) {
        frame[i] = 0xff;
        frame[SOLO5_NET_ALEN + i] = mac[i];
    }
    /* The EtherType for experiments. */
    frame[12] = 0x88;
    frame[13] = 0xb5;
    EXPECT(solo5_net_write(handle, frame, size) == SOLO5_R_OK);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    struct solo5_net_info net;
    struct solo5_block_info disk;
    solo5_handle_t handle, second;
    solo5_handle_set_t ready = 0;
    size_t size = 0;

    EXPECT(solo5_net_acquire("nothing", &handle, &net) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_acquire("service", &handle, &disk) == SOLO5_R_EINVAL);
    EXPECT(solo5_net_acquire("service", &handle, &net) == SOLO5_R_OK && handle == 1);
    EXPECT(solo5_net_acquire("other", &second, &net) == SOLO5_R_OK && second == 2);
    EXPECT(net.mtu == 1500);
    EXPECT(solo5_net_acquire("service", &handle, &net) == SOLO5_R_OK);
    EXPECT((net.mac_address[0] & 1) == 0);
    say("MTU is ");
    say_number(net.mtu);
    say("\n");
    EXPECT(net.mtu + SOLO5_NET_HLEN <= sizeof frame);

    /* A frame comes to the first device only. The deadline is far; a test that waits fails. */
    solo5_time_t deadline = solo5_clock_monotonic() + UINT64_C(60000000000);
    say("waiting\n");
    solo5_yield(deadline, &ready);
    EXPECT(ready == (UINT64_C(1) << handle));
    EXPECT(solo5_clock_monotonic() < deadline);
    /* Still there, and reported without waiting too. */
    ready = 0;
    solo5_yield(0, &ready);
    EXPECT(ready == (UINT64_C(1) << handle));
    EXPECT(solo5_net_read(handle, frame, net.mtu + SOLO5_NET_HLEN, &size) == SOLO5_R_OK);
    EXPECT(size >= SOLO5_NET_HLEN && size <= net.mtu + SOLO5_NET_HLEN);
    size = 12345;
    EXPECT(solo5_net_read(second, frame, sizeof frame, &size) == SOLO5_R_AGAIN);
    EXPECT(size == 12345);

    send(handle, net.mac_address, SOLO5_NET_HLEN);
    send(handle, net.mac_address, net.mtu + SOLO5_NET_HLEN);

    static const solo5_handle_t wrong[] = { 0, 3, 63, 64, UINT64_MAX };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        EXPECT(solo5_net_write(wrong[i], frame, 60) == SOLO5_R_EINVAL);
        EXPECT(solo5_net_read(wrong[i], frame, sizeof frame, &size) == SOLO5_R_EINVAL);
    }
    EXPECT(solo5_block_read(handle, 0, frame, 512) == SOLO5_R_EINVAL);
    /* Not a frame: the host refuses it, and the guest goes on. */
    EXPECT(solo5_net_write(handle, frame, 5) == SOLO5_R_EUNSPEC);
#ifndef HVT
    EXPECT(solo5_net_write(handle, (const uint8_t *)0x1000, 60) == SOLO5_R_EUNSPEC);
#endif
    return SUCCESS();
}
