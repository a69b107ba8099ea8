/* Reads and writes a disk of any geometry, and asks for what it must not get. The file is zero. */
#include "support.h"

static uint8_t data[65536 + 1], back[65536 + 1];

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    struct solo5_block_info disk;
    struct solo5_net_info net;
    solo5_handle_t handle = 99, other;
    EXPECT(solo5_block_acquire("nothing", &handle, &disk) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_acquire("storag", &handle, &disk) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_acquire("storages", &handle, &disk) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_acquire("", &handle, &disk) == SOLO5_R_EINVAL);
    EXPECT(solo5_net_acquire("storage", &handle, &net) == SOLO5_R_EINVAL);
    EXPECT(handle == 99);
    EXPECT(solo5_block_acquire("storage", &handle, &disk) == SOLO5_R_OK);
    EXPECT(handle == 1);
    EXPECT(solo5_block_acquire("storage", &other, &disk) == SOLO5_R_OK && other == handle);

    size_t size = disk.block_size;
    say("capacity ");
    say_number(disk.capacity);
    say(" block size ");
    say_number(size);
    say("\n");
    EXPECT(size >= 512 && size <= 65536 && disk.capacity % size == 0);

    /* Every tenth block, from a buffer without any alignment, and the last one. */
    for (solo5_off_t at = 0; at < disk.capacity; at += 10 * size) {
        for (size_t i = 0; i < size; i++)
            data[1 + i] = (uint8_t)(at / size + i * 7);
        EXPECT(solo5_block_write(handle, at, data + 1, size) == SOLO5_R_OK);
        EXPECT(solo5_block_read(handle, at, back, size) == SOLO5_R_OK);
        for (size_t i = 0; i < size; i++)
            EXPECT(back[i] == data[1 + i]);
        if (at + size < disk.capacity) {
            EXPECT(solo5_block_read(handle, at + size, back, size) == SOLO5_R_OK);
            for (size_t i = 0; i < size; i++)
                EXPECT(back[i] == 0);
        }
    }
    solo5_off_t last = disk.capacity - size;
    EXPECT(solo5_block_write(handle, last, data, size) == SOLO5_R_OK);
    EXPECT(solo5_block_read(handle, last, back, size) == SOLO5_R_OK);

    /* Beyond the end, not whole blocks, not at a block, not this device: refused, not killed. */
    static const uint64_t everything = UINT64_MAX;
    EXPECT(solo5_block_write(handle, disk.capacity, data, size) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_read(handle, disk.capacity, back, size) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_read(handle, everything - size + 1, back, size) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_read(handle, 0, back, size - 1) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_read(handle, 0, back, size + 1) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_read(handle, 0, back, 0) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_write(handle, 1, data, size) == SOLO5_R_EINVAL);
    EXPECT(solo5_block_write(handle, last + 1, data, size) == SOLO5_R_EINVAL);
    static const solo5_handle_t wrong[] = { 0, 2, 63, 64, 1000000, UINT64_MAX };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        EXPECT(solo5_block_read(wrong[i], 0, back, size) == SOLO5_R_EINVAL);
        EXPECT(solo5_block_write(wrong[i], 0, data, size) == SOLO5_R_EINVAL);
    }
    EXPECT(solo5_net_write(handle, data, 60) == SOLO5_R_EINVAL);
    EXPECT(solo5_net_read(handle, back, 1514, &size) == SOLO5_R_EINVAL);

#ifndef HVT
    /* Memory that is not there is the host's to refuse. */
    uint8_t *nowhere = (uint8_t *)0x1000;
    EXPECT(solo5_block_read(handle, 0, nowhere, disk.block_size) == SOLO5_R_EUNSPEC);
#endif
    return SUCCESS();
}
