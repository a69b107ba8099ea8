/*
 * elf_abi.h: the ELF notes and the interpreter that mark an ELF file as a Solo5 image.
 *
 * Bindings put one ABI1 note into each image; it says which tender can run the image. The note of the manifest is in
 * mft_abi.h. For C99 and later with the attributes of GCC and Clang.
 */
#ifndef ELF_ABI_H
#define ELF_ABI_H

#include <stdint.h>

/* What an image was linked for. */
enum abi_target {
    HVT_ABI_TARGET = 1,
    SPT_ABI_TARGET = 2,
    VIRTIO_ABI_TARGET = 3,
    MUEN_ABI_TARGET = 4,
    GENODE_ABI_TARGET = 5,
    XEN_ABI_TARGET = 6
};

/* The note's type, the characters "ABI1", and its section. */
#define ABI1_NOTE_TYPE    0x31494241
#define ABI1_NOTE_SECTION ".note.solo5.abi"

/* The complete note, 36 bytes. */
struct abi1_note {
    uint32_t namesz;
    uint32_t descsz;
    uint32_t type;
    char name[8];
    uint32_t abi_target;
    uint32_t abi_version;
    uint32_t reserved0;
    uint32_t reserved1;
};

/* Defines the ABI1 note of an image. */
#define ABI1_NOTE_DECLARE(target_, version_)                                                                           \
    static const struct abi1_note solo5_abi1_note __attribute__((section(ABI1_NOTE_SECTION), aligned(4), used)) = {    \
        sizeof "Solo5", 16, ABI1_NOTE_TYPE, "Solo5", (target_), (version_), 0, 0}

/*
 * The note that makes OpenBSD heed PT_INTERP, 24 bytes. It must be the first note of an image.
 */
#define OPENBSD_NOTE_SECTION ".note.solo5.not_openbsd"
struct openbsd_note {
    uint32_t namesz;
    uint32_t descsz;
    uint32_t type;
    char name[8];
    uint32_t desc;
};

/*
 * An interpreter that cannot exist, so that a host refuses to execute an image directly. With its NULs it fills the 24
 * bytes of the section .interp.
 */
#define SOLO5_ELF_INTERP         "/nonexistent/solo5/"
#define SOLO5_ELF_INTERP_SIZE    24
#define SOLO5_ELF_INTERP_SECTION ".interp"

#endif /* ELF_ABI_H */
