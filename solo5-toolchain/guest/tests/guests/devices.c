/* 63 disks: the first and the last work, and no handle is waiting for input. */
#include "support.h"

static uint8_t data[512];

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    struct solo5_block_info disk;
    solo5_handle_t first, last;
    solo5_handle_set_t ready = UINT64_MAX;
    EXPECT(solo5_block_acquire("storage0", &first, &disk) == SOLO5_R_OK && first == 1);
    EXPECT(solo5_block_acquire("storage62", &last, &disk) == SOLO5_R_OK && last == 63);
    data[0] = 62;
    EXPECT(solo5_block_write(last, 0, data, sizeof data) == SOLO5_R_OK);
    EXPECT(solo5_block_read(first, 0, data, sizeof data) == SOLO5_R_OK && data[0] == 0);
    EXPECT(solo5_block_read(last, 0, data, sizeof data) == SOLO5_R_OK && data[0] == 62);
    solo5_yield(0, &ready);
    EXPECT(ready == 0);
    return SUCCESS();
}
