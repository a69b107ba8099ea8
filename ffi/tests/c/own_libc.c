/*
 * A program that brings its own functions of libc and libm, as language runtimes do. The library must neither use them
 * nor stand in their way: they all have wrong results, and the library works.
 */
#include <mnet.h>
#include <stdint.h>

int wrong_calls;

#define WRONG(type, name, parameters) \
    type name parameters;             \
    type name parameters { wrong_calls++; return (type)0; }

WRONG(void *, memcpy, (void *a, const void *b, size_t n))
WRONG(void *, memmove, (void *a, const void *b, size_t n))
WRONG(void *, memset, (void *a, int b, size_t n))
WRONG(int, memcmp, (const void *a, const void *b, size_t n))
WRONG(int, bcmp, (const void *a, const void *b, size_t n))
WRONG(size_t, strlen, (const char *a))
WRONG(double, fmod, (double a, double b))
WRONG(double, sqrt, (double a))
WRONG(double, fma, (double a, double b, double c))
WRONG(double, trunc, (double a))
WRONG(float, fmodf, (float a, float b))
WRONG(void *, malloc, (size_t n))
WRONG(void *, rust_eh_personality, (void))

/* Everything in the loader's terms, since no libc is there. */
static long system_call(long number, long a)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a) : "rcx", "r11", "memory");
    return result;
}

static uint8_t arena[1 << 20];
static const uint8_t seed[32] = { 1 };

uint64_t solo5_clock_monotonic(void);
uint64_t solo5_clock_monotonic(void) { return 1; }
uint64_t solo5_clock_wall(void);
uint64_t solo5_clock_wall(void) { return 1; }
void solo5_yield(uint64_t a, uint64_t *b);
void solo5_yield(uint64_t a, uint64_t *b) { (void)a; *b = 0; }
void solo5_console_write(const char *a, size_t b);
void solo5_console_write(const char *a, size_t b) { (void)a; (void)b; }
void solo5_abort(void);
void solo5_abort(void) { system_call(231, 77); }
int solo5_net_acquire(void);
int solo5_net_acquire(void) { return 2; }
int solo5_net_write(void);
int solo5_net_write(void) { return 2; }
int solo5_net_read(void);
int solo5_net_read(void) { return 2; }

__attribute__((force_align_arg_pointer, noreturn)) void _start(void);
void _start(void)
{
    struct mnet_config config;
    struct mnet_addr local;
    uint8_t frame[1514];
    int failed = mnet_config_default(&config, sizeof config) != 0;
    config.arena = arena;
    config.arena_size = sizeof arena;
    config.flags = MNET_CONFIG_MANUAL;
    config.hardware_address[0] = 2;
    config.seed = seed;
    config.seed_len = sizeof seed;
    failed |= mnet_cidr_parse("10.0.0.2/24", 11, &config.address, &config.prefix_len) != 0;
    mnet_stack stack = mnet_open(&config);
    failed |= stack <= 0;
    failed |= mnet_addr_parse("10.0.0.1:9", 10, &local) != 0;
    failed |= mnet_connect(stack, &local, NULL, 0) <= 0;
    failed |= mnet_frame_out(stack, 5, frame, sizeof frame) <= 0;
    failed |= mnet_close_stack(stack) != 0;
    failed |= wrong_calls != 0;
    system_call(231, failed);
    for (;;) { }
}
