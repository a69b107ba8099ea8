/*
 * Requests of HTTP/1.0 and 1.1, as far as a server of files needs them (RFC 9110, RFC 9112).
 *
 * Nothing here waits, allocates or knows of a network: bytes go in, a request or a status comes out. What RFC 9112 leaves
 * to the choice of a recipient is refused, because a request that two programs read differently is how one is smuggled
 * past the other.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>
#include <stdint.h>

/* Statuses (RFC 9110 section 15, RFC 6585 section 5). */
enum {
    HTTP_OK = 200,
    HTTP_PARTIAL_CONTENT = 206,
    HTTP_MOVED_PERMANENTLY = 301,
    HTTP_NOT_MODIFIED = 304,
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_METHOD_NOT_ALLOWED = 405,
    HTTP_REQUEST_TIMEOUT = 408,
    HTTP_URI_TOO_LONG = 414,
    HTTP_RANGE_NOT_SATISFIABLE = 416,
    HTTP_FIELDS_TOO_LARGE = 431,
    HTTP_NOT_IMPLEMENTED = 501,
    HTTP_VERSION_NOT_SUPPORTED = 505,
};

/* Longest path, decoded. */
#define HTTP_PATH_MAX 1024

/* A piece of the request, without a NUL. NULL: it was not there. */
struct http_text {
    const char *at;
    size_t length;
};

struct http_request {
    /* It is HEAD, and not GET. Only these two are served. */
    int head;
    /* The version is 1.0, and not 1.1. */
    int version_1_0;
    /* The client lets the connection stay open (RFC 9112 section 9.3), and what follows is surely its next request. */
    int keep_alive;
    /* The content that follows the head: its length, or that it comes in chunks of lengths that are not read here. */
    uint64_t content_length;
    int chunked;
    /* The path of the target, decoded, without its query, with a NUL at its end. It may say anything, "/../" as well. */
    char path[HTTP_PATH_MAX + 1];
    size_t path_length;
    /* The query as it is, behind the question mark. */
    struct http_text query;
    /* The values of fields (RFC 9110 sections 13 and 14). */
    struct http_text if_none_match, if_range, range;
};

/*
 * Looks for the end of a request's head: an empty line.
 *
 * - bytes, length: what has arrived, from the beginning of the request.
 * - seen: how much of that an earlier call has looked at; 0 at first. Is updated.
 *
 * Returns the length of the head with the empty line; 0: it is not complete yet; HTTP_BAD_REQUEST, negative: it will
 * not become one, for there is a CR without LF, or LF without CR (RFC 9112 section 2.2).
 */
int http_find_end(const char *bytes, size_t length, size_t *seen);

/*
 * Reads a head.
 *
 * - bytes, length: the head, as http_find_end() has found it.
 *
 * Returns HTTP_OK, or the status of the refusal. Then nothing of the request is to be used but keep_alive, head and
 * what follows the head, and these only after HTTP_METHOD_NOT_ALLOWED; otherwise they are 0.
 */
int http_parse(const char *bytes, size_t length, struct http_request *request);

/*
 * Whether a field If-None-Match names this entity tag (with its quotation marks), or all: RFC 9110 section 13.1.2.
 */
int http_matches(struct http_text field, const char *etag);

/* A part of a file. */
struct http_part {
    uint64_t first;
    uint64_t length;
};

/*
 * What a request's fields Range and If-Range ask for of a file of this size (RFC 9110 sections 13.1.5 and 14.2). Several
 * ranges, and what is no range, are ignored.
 *
 * Returns HTTP_OK: all of it; HTTP_PARTIAL_CONTENT: part was set; or HTTP_RANGE_NOT_SATISFIABLE.
 */
int http_range(const struct http_request *request, const char *etag, uint64_t size, struct http_part *part);

/* Bytes of a date with its NUL. */
#define HTTP_DATE_SIZE 30

/* The date as fields have it (RFC 9110 section 5.6.7), of a time in seconds since 1970-01-01, before the year 10000. */
void http_date(uint64_t seconds, char date[HTTP_DATE_SIZE]);

/* Writes a path with percent encoding where a target needs it, and a NUL. 0: it does not fit. */
int http_encode_path(const char *path, char *to, size_t size);

/* The reason phrase of a status, as in "Not Found". */
const char *http_reason(int status);

#endif /* HTTP_H */
