/*
 * hvt_ring.h: the network ring of the hvt target, in memory that guest and tender share.
 *
 * One ring serves all network devices. The guest fills an entry, increments ent_tail, and if needs_kick is not zero then
 * writes to the port HVT_RING_PIO. The tender works through entries in their order; a read that is done, with a frame or
 * without, becomes a completion. Indices run freely modulo 2^32; an index modulo HVT_RING_ENTRIES is a slot.
 */
#ifndef HVT_RING_H
#define HVT_RING_H

#include <stdint.h>

/* The port that wakes the tender. The value written means nothing. */
#define HVT_RING_PIO 0x600

/* Slots in each direction. */
#define HVT_RING_ENTRIES 1024

/* Operations. */
#define HVT_RING_NET_WRITE 1
#define HVT_RING_NET_READ  2

/* An order of the guest. A write is not answered: its slot and buffer are free when ent_head has passed it. */
struct hvt_ring_entry {
    uint32_t op;
    uint32_t handle; /* manifest index */
    uint64_t data;   /* address of the frame, or of room for one */
    uint32_t len;    /* in bytes */
    uint32_t id;     /* comes back in the completion */
    uint64_t reserved;
};

/* What became of a read. */
struct hvt_ring_commit {
    uint32_t id;
    int32_t ret;  /* a solo5_result_t */
    uint32_t len; /* length of the frame in bytes */
    uint32_t reserved;
};

/* The ring, 49280 bytes. */
struct hvt_ring {
    /* Written by the guest. */
    uint32_t ent_tail; /* entries filled */
    uint32_t com_head; /* completions taken */
    uint32_t padding_guest[14];
    /* Written by the tender. */
    uint32_t ent_head; /* entries taken */
    uint32_t com_tail; /* completions made */
    uint32_t needs_kick;
    uint32_t padding_host[13];
    struct hvt_ring_entry entries[HVT_RING_ENTRIES];
    struct hvt_ring_commit commits[HVT_RING_ENTRIES];
};

#endif /* HVT_RING_H */
