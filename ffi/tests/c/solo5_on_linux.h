/* Just enough of Solo5 for a Linux program that uses the library without a device. */
#include <solo5.h>
#include <stdio.h>
#include <stdlib.h>

solo5_time_t solo5_clock_monotonic(void) { return 1000000000; }
solo5_time_t solo5_clock_wall(void) { return 1700000000000000000; }
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready) { (void)deadline; *ready = 0; }
void solo5_console_write(const char *text, size_t size) { fwrite(text, 1, size, stderr); }
void solo5_abort(void) { abort(); }
solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle, struct solo5_net_info *info)
{
    (void)name; (void)handle; (void)info;
    return SOLO5_R_EINVAL;
}
solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size)
{
    (void)handle; (void)buf; (void)size;
    return SOLO5_R_EINVAL;
}
solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size)
{
    (void)handle; (void)buf; (void)size; (void)read_size;
    return SOLO5_R_EINVAL;
}
