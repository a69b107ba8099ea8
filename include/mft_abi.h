/*
 * mft_abi.h: the manifest of an image, and the ELF note that carries it.
 *
 * Two uses:
 *
 *   - The C file that "solo5-elftool gen-manifest" writes defines MFT_ENTRIES, includes this header and puts an
 *     initialiser for a struct mft between MFT1_NOTE_DECLARE_BEGIN and MFT1_NOTE_DECLARE_END. That defines the object
 *     __solo5_mft1_note, the MFT1 note of the image.
 *   - Without MFT_ENTRIES the header only declares types, to read the manifest that a tender put into guest memory.
 *
 * For C99 and later with the attributes of GCC and Clang. Little-endian machines with 64-bit pointers only.
 */
#ifndef MFT_ABI_H
#define MFT_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Version of this layout. */
#define MFT_VERSION 1

/* Most entries of a manifest, the reserved first one included; the most devices is one less. */
#define MFT_MAX_ENTRIES 64

/* Longest name of a device, in characters, and the room for it with its NUL. */
#define MFT_NAME_MAX  67
#define MFT_NAME_SIZE 68

#ifdef MFT_ENTRIES
#if MFT_ENTRIES < 1 || MFT_ENTRIES > MFT_MAX_ENTRIES
#error "MFT_ENTRIES must be 1 to MFT_MAX_ENTRIES"
#endif
#endif

/* What an entry declares. Numbers from MFT_RESERVED_FIRST on name no device. */
typedef enum mft_type {
    MFT_DEV_BLOCK_BASIC = 1,
    MFT_DEV_NET_BASIC = 2,
    MFT_RESERVED_FIRST = 0x40000000
} mft_type_t;

/* What a tender says of a block device: capacity and sector size in bytes. */
struct mft_block_basic {
    uint64_t capacity;
    uint16_t block_size;
};

/* What a tender says of a network device: the guest's MAC address, and the MTU without the Ethernet header. */
struct mft_net_basic {
    uint8_t mac[6];
    uint16_t mtu;
};

/*
 * One entry. An image sets name and type and leaves the rest zero; a tender fills that in. The position of the entry is
 * the handle of its device. Entry 0 has an empty name and the type MFT_RESERVED_FIRST.
 */
struct mft_entry {
    char name[MFT_NAME_SIZE];
    mft_type_t type;
    union {
        struct mft_block_basic block_basic;
        struct mft_net_basic net_basic;
    } u;
    union {
        int hostfd; /* spt: the descriptor that the guest reads and writes */
        void *data;
    } b;
    bool attached;
};

/* A manifest: its version, the number of its entries, and those. */
struct mft {
    uint32_t version;
    uint32_t entries;
#ifdef MFT_ENTRIES
    struct mft_entry e[MFT_ENTRIES];
#else
    struct mft_entry e[];
#endif
};

/* The note's type, the characters "MFT1", and its section. */
#define MFT1_NOTE_TYPE    0x3154464d
#define MFT1_NOTE_SECTION ".note.solo5.manifest"

#ifdef MFT_ENTRIES

/*
 * The complete note. The padding belongs to the descriptor; it puts the manifest at a multiple of eight bytes from the
 * start of the note. The section is aligned to four bytes only; compilers would align a large object more if not told.
 */
struct mft1_note {
    uint32_t namesz;
    uint32_t descsz;
    uint32_t type;
    char name[8];
    uint32_t padding;
    struct mft manifest;
} __attribute__((packed, aligned(4)));

#define MFT1_NOTE_DECLARE_BEGIN                                                                                        \
    extern const struct mft1_note __solo5_mft1_note;                                                                   \
    const struct mft1_note __solo5_mft1_note __attribute__((section(MFT1_NOTE_SECTION), aligned(4), used)) = {         \
        .namesz = sizeof "Solo5",                                                                                      \
        .descsz = (uint32_t)(sizeof(struct mft1_note) - offsetof(struct mft1_note, padding)),                          \
        .type = MFT1_NOTE_TYPE,                                                                                        \
        .name = "Solo5",                                                                                               \
        .padding = 0,                                                                                                  \
        .manifest =

#define MFT1_NOTE_DECLARE_END                                                                                          \
    }                                                                                                                  \
    ;

#endif /* MFT_ENTRIES */

#endif /* MFT_ABI_H */
