/* Two blocks of thread-local storage, with sizes that are no multiple of any alignment. */
#include "support.h"

static _Thread_local char zeroed[11];
static _Thread_local uint64_t counter;
#ifdef INITIALISED
static _Thread_local uint32_t initialised = 0x12345678;
static _Thread_local char text[13] = "abc";
#endif
#ifdef ALIGNED
static _Thread_local _Alignas(64) char aligned[3];
#endif

/* Zeroed memory for the blocks, aligned as variables may ask for. */
static _Alignas(64) char memory[2][16384];

/* Whether the variable lies inside the block. */
static bool inside(const void *variable, size_t size, const char *block)
{
    const char *start = variable;
    return start >= block && start + size <= block + solo5_tls_size();
}

/*
 * The compiler takes the thread pointer for constant within a function. So these two are never part
 * of the one that changes it.
 */
__attribute__((noinline)) static void check_fresh_block_and_fill(const char *block, int number)
{
    for (size_t i = 0; i < sizeof zeroed; i++)
        EXPECT(zeroed[i] == 0);
    EXPECT(counter == 0);
    EXPECT(inside(zeroed, sizeof zeroed, block));
    EXPECT(inside(&counter, sizeof counter, block));
    zeroed[10] = (char)(number + 1);
    counter = 100 + (uint64_t)number;
#ifdef INITIALISED
    EXPECT(initialised == 0x12345678);
    EXPECT(same(text, "abc"));
    EXPECT(inside(&initialised, sizeof initialised, block));
    initialised = (uint32_t)number;
#endif
#ifdef ALIGNED
    EXPECT((uintptr_t)aligned % 64 == 0);
#endif
}

__attribute__((noinline)) static void check_filled_block(int number)
{
    EXPECT(zeroed[10] == (char)(number + 1));
    EXPECT(counter == 100 + (uint64_t)number);
#ifdef INITIALISED
    EXPECT(initialised == (uint32_t)number);
#endif
}

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    uintptr_t base[2];
    EXPECT(solo5_tls_size() <= sizeof memory[0]);
    EXPECT(solo5_tls_init(0) == SOLO5_R_EINVAL);
    for (int i = 0; i < 2; i++) {
        uintptr_t block = (uintptr_t)memory[i];
        EXPECT(solo5_tls_init(block) == SOLO5_R_OK);
        base[i] = solo5_tls_tp_offset(block);
        EXPECT(base[i] >= block && base[i] + sizeof(void *) <= block + solo5_tls_size());
        EXPECT(*(uintptr_t *)base[i] == base[i]);
    }

    for (int i = 0; i < 2; i++) {
        EXPECT(solo5_set_tls_base(base[i]) == SOLO5_R_OK);
        check_fresh_block_and_fill(memory[i], i);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT(solo5_set_tls_base(base[i]) == SOLO5_R_OK);
        check_filled_block(i);
    }

    /* No canonical address: refused, and nothing changed. */
    EXPECT(solo5_set_tls_base((uintptr_t)1 << 63) == SOLO5_R_EINVAL);
    check_filled_block(1);
    return SUCCESS();
}
