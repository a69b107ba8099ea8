/*
 * solo5_embed.h: files that are part of the image.
 *
 * `solo5-embed FOLDER files.c` turns a folder into C source, which is compiled into the program:
 *
 *     const struct solo5_file *file = solo5_find_file("/index.html");
 *     if (file != NULL)
 *         ... file->data, file->size ...
 *
 * Usable from C99, C11 and later, and from C++.
 */
#ifndef SOLO5_EMBED_H
#define SOLO5_EMBED_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A file. All of it is constant, and lives as long as the program. */
struct solo5_file {
    /* Its path from the folder on, with a slash in front: "/css/style.css". NUL terminated. */
    const char *path;
    /* Its media type (RFC 9110 section 8.3.1), by the end of its name: "text/html; charset=utf-8". NUL terminated. */
    const char *type;
    /*
     * An entity tag (RFC 9110 section 8.8.3) with its quotation marks, which is another one whenever the content is.
     * NUL terminated.
     */
    const char *etag;
    /* Its content. A NUL follows, which does not count. */
    const char *data;
    /* Bytes of the content. */
    size_t size;
};

/* All files, in the order of the bytes of their paths. */
extern const struct solo5_file solo5_files[];

/* How many there are. */
extern const size_t solo5_file_count;

/* The file with this path, to the letter; NULL: there is none. */
static inline const struct solo5_file *solo5_find_file(const char *path)
{
    size_t first = 0, end = solo5_file_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2, i = 0;
        const char *other = solo5_files[middle].path;
        while (path[i] == other[i] && path[i] != '\0')
            i++;
        if (path[i] == other[i])
            return &solo5_files[middle];
        if ((unsigned char)path[i] > (unsigned char)other[i])
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

#ifdef __cplusplus
}
#endif

#endif /* SOLO5_EMBED_H */
