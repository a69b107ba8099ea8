/* Requests of HTTP/1.0 and 1.1: see http.h. */
#include "http.h"

/* -------------------------------------------------------------------------------------------------------- text --- */

/* tchar (RFC 9110 section 5.6.2). */
static int is_token_char(char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return 1;
    for (const char *other = "!#$%&'*+-.^_`|~"; *other != '\0'; other++)
        if (c == *other)
            return 1;
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Whether a piece is this text, which is in lower case, in whatever case. */
static int is(struct http_text piece, const char *text)
{
    size_t i = 0;
    while (i < piece.length && text[i] != '\0' && lower(piece.at[i]) == text[i])
        i++;
    return i == piece.length && text[i] == '\0';
}

/* Whether a piece is this text, to the letter. */
static int is_exactly(struct http_text piece, const char *text)
{
    size_t i = 0;
    while (i < piece.length && text[i] != '\0' && piece.at[i] == text[i])
        i++;
    return i == piece.length && text[i] == '\0';
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without blanks at its ends. */
static struct http_text trim(struct http_text piece)
{
    while (piece.length > 0 && is_blank(piece.at[0])) {
        piece.at++;
        piece.length--;
    }
    while (piece.length > 0 && is_blank(piece.at[piece.length - 1]))
        piece.length--;
    return piece;
}

/* Takes off what is before the first such character, and that; all if there is none. */
static struct http_text take_until(struct http_text *rest, char separator)
{
    struct http_text piece = { rest->at, 0 };
    while (piece.length < rest->length && piece.at[piece.length] != separator)
        piece.length++;
    size_t taken = piece.length < rest->length ? piece.length + 1 : piece.length;
    rest->at += taken;
    rest->length -= taken;
    return piece;
}

/* A number in decimal digits and nothing else. 0: it is none, or does not fit. */
static int parse_number(struct http_text piece, uint64_t *number)
{
    uint64_t value = 0;
    if (piece.length == 0)
        return 0;
    for (size_t i = 0; i < piece.length; i++) {
        char c = piece.at[i];
        if (c < '0' || c > '9' || value > (UINT64_MAX - 9) / 10)
            return 0;
        value = value * 10 + (uint64_t)(c - '0');
    }
    *number = value;
    return 1;
}

/* -------------------------------------------------------------------------------------------------------- head --- */

int http_find_end(const char *bytes, size_t length, size_t *seen)
{
    /* The last byte may be a CR whose LF has not arrived. */
    for (size_t i = *seen; i < length; i++) {
        if (bytes[i] == '\r') {
            if (i + 1 == length) {
                *seen = i;
                return 0;
            }
            if (bytes[i + 1] != '\n')
                return -HTTP_BAD_REQUEST;
        } else if (bytes[i] == '\n') {
            if (i == 0 || bytes[i - 1] != '\r')
                return -HTTP_BAD_REQUEST;
            if (i >= 3 && bytes[i - 2] == '\n')
                return (int)(i + 1);
        }
    }
    *seen = length;
    return 0;
}

/* One line without its CRLF; 0: there is none. */
static int take_line(struct http_text *rest, struct http_text *line)
{
    if (rest->length == 0)
        return 0;
    *line = take_until(rest, '\n');
    if (line->length == 0 || line->at[line->length - 1] != '\r')
        return 0;
    line->length--;
    return 1;
}

static int parse_method(struct http_text method, struct http_request *request)
{
    static const char *const OTHERS[] = { "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" };
    if (method.length == 0)
        return HTTP_BAD_REQUEST;
    for (size_t i = 0; i < method.length; i++)
        if (!is_token_char(method.at[i]))
            return HTTP_BAD_REQUEST;
    request->head = is_exactly(method, "HEAD");
    if (request->head || is_exactly(method, "GET"))
        return HTTP_OK;
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        if (is_exactly(method, OTHERS[i]))
            return HTTP_METHOD_NOT_ALLOWED;
    return HTTP_NOT_IMPLEMENTED;
}

/* HTTP-version (RFC 9112 section 2.3). */
static int parse_version(struct http_text version, struct http_request *request)
{
    static const char NAME[] = "HTTP/";
    if (version.length != 8 || version.at[6] != '.')
        return HTTP_BAD_REQUEST;
    for (size_t i = 0; i < 5; i++)
        if (version.at[i] != NAME[i])
            return HTTP_BAD_REQUEST;
    char major = version.at[5], minor = version.at[7];
    if (major < '0' || major > '9' || minor < '0' || minor > '9')
        return HTTP_BAD_REQUEST;
    if (major != '1')
        return HTTP_VERSION_NOT_SUPPORTED;
    request->version_1_0 = minor == '0';
    return HTTP_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the percent encoding off a path (RFC 3986 section 2.1). */
static int decode_path(struct http_text path, struct http_request *request)
{
    size_t length = 0;
    for (size_t i = 0; i < path.length; i++) {
        char c = path.at[i];
        if (c == '%') {
            if (path.length - i < 3)
                return HTTP_BAD_REQUEST;
            int high = hex_digit(path.at[i + 1]), low = hex_digit(path.at[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return HTTP_BAD_REQUEST;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (length == HTTP_PATH_MAX)
            return HTTP_URI_TOO_LONG;
        request->path[length++] = c;
    }
    request->path[length] = '\0';
    request->path_length = length;
    return HTTP_OK;
}

/* uri-host with an optional port, as far as it matters here (RFC 9112 section 3.2). May be empty. */
static int is_host(struct http_text host)
{
    for (size_t i = 0; i < host.length; i++)
        if (!is_token_char(host.at[i]) && host.at[i] != ':' && host.at[i] != '[' && host.at[i] != ']'
            && host.at[i] != '(' && host.at[i] != ')' && host.at[i] != ',' && host.at[i] != ';' && host.at[i] != '=')
            return 0;
    return 1;
}

/* origin-form or absolute-form (RFC 9112 section 3.2). */
static int parse_target(struct http_text target, struct http_request *request)
{
    static const char SCHEME[] = "http://";
    /* Only visible characters of ASCII; a fragment is not sent. */
    for (size_t i = 0; i < target.length; i++)
        if (target.at[i] <= ' ' || target.at[i] >= 0x7f || target.at[i] == '#')
            return HTTP_BAD_REQUEST;
    size_t matched = 0;
    while (SCHEME[matched] != '\0' && matched < target.length && lower(target.at[matched]) == SCHEME[matched])
        matched++;
    if (SCHEME[matched] == '\0') {
        target.at += matched;
        target.length -= matched;
        struct http_text host = { target.at, 0 };
        while (host.length < target.length && target.at[host.length] != '/' && target.at[host.length] != '?')
            host.length++;
        /* Not empty, and without a user: RFC 9110 sections 4.2.1 and 4.2.4. */
        if (host.length == 0 || host.at[0] == ':' || !is_host(host))
            return HTTP_BAD_REQUEST;
        target.at += host.length;
        target.length -= host.length;
    } else if (target.length == 0 || target.at[0] != '/') {
        return HTTP_BAD_REQUEST;
    }
    struct http_text path = take_until(&target, '?');
    request->query = target;
    if (path.length == 0) /* "http://host" and "http://host?query": RFC 9110 section 4.2.3. */
        path = (struct http_text){ "/", 1 };
    return decode_path(path, request);
}

static int parse_request_line(struct http_text line, struct http_request *request)
{
    struct http_text method = take_until(&line, ' '), target = take_until(&line, ' ');
    /* The version first: what other versions mean by the rest is not known. */
    int status = parse_version(line, request);
    if (status != HTTP_OK)
        return status;
    int allowed = parse_method(method, request);
    if (allowed == HTTP_BAD_REQUEST)
        return allowed;
    /* Other methods have other forms of targets, which do not matter any more. */
    status = allowed == HTTP_OK ? parse_target(target, request) : HTTP_OK;
    return status == HTTP_OK ? allowed : status;
}

/* What is gathered of the fields until all of them are read. */
struct fields {
    int hosts;
    int lengths;
    int codings;
    int close;
    int keep_alive;
    int expects;
};

static int parse_field(struct http_text name, struct http_text value, struct fields *fields,
                       struct http_request *request)
{
    if (is(name, "host")) {
        fields->hosts++;
        return is_host(value) ? HTTP_OK : HTTP_BAD_REQUEST;
    }
    if (is(name, "content-length")) {
        /* Once, and one number: RFC 9112 section 6.3, 5. */
        if (fields->lengths++ > 0 || !parse_number(value, &request->content_length))
            return HTTP_BAD_REQUEST;
    } else if (is(name, "transfer-encoding")) {
        /* Others could be removed only by who knows them, and chunked comes last: RFC 9112 section 6.1. */
        if (fields->codings++ > 0)
            return HTTP_BAD_REQUEST;
        if (!is(value, "chunked"))
            return HTTP_NOT_IMPLEMENTED;
        request->chunked = 1;
    } else if (is(name, "connection")) {
        while (value.length > 0) {
            struct http_text option = trim(take_until(&value, ','));
            fields->close |= is(option, "close");
            fields->keep_alive |= is(option, "keep-alive");
        }
    } else if (is(name, "expect")) {
        fields->expects = 1;
    } else if (is(name, "if-none-match")) {
        request->if_none_match = value;
    } else if (is(name, "if-range")) {
        request->if_range = value;
    } else if (is(name, "range")) {
        request->range = value;
    }
    return HTTP_OK;
}

/* field-line (RFC 9112 section 5). */
static int parse_field_line(struct http_text line, struct fields *fields, struct http_request *request)
{
    struct http_text name = { line.at, 0 };
    while (name.length < line.length && is_token_char(line.at[name.length]))
        name.length++;
    /* No name: a line that is folded (section 5.2), among others. No colon: a blank before it (section 5.1). */
    if (name.length == 0 || name.length == line.length || line.at[name.length] != ':')
        return HTTP_BAD_REQUEST;
    struct http_text value = { line.at + name.length + 1, line.length - name.length - 1 };
    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return HTTP_BAD_REQUEST;
    }
    return parse_field(name, trim(value), fields, request);
}

int http_parse(const char *bytes, size_t length, struct http_request *request)
{
    struct http_text rest = { bytes, length }, line;
    struct fields fields = { 0 };
    request->content_length = 0;
    request->chunked = request->keep_alive = request->head = request->version_1_0 = 0;
    request->path_length = 0;
    request->path[0] = '\0';
    request->query = request->if_none_match = request->if_range = request->range = (struct http_text){ NULL, 0 };

    if (!take_line(&rest, &line))
        return HTTP_BAD_REQUEST;
    int result = parse_request_line(line, request);
    /* Who asks for a tunnel may have begun to use it, with what looks like a request (RFC 9110 section 9.3.6). */
    fields.close = is_exactly(take_until(&line, ' '), "CONNECT");
    if (result != HTTP_OK && result != HTTP_METHOD_NOT_ALLOWED && result != HTTP_NOT_IMPLEMENTED)
        return result;
    for (;;) {
        if (!take_line(&rest, &line))
            return HTTP_BAD_REQUEST;
        if (line.length == 0)
            break;
        int status = parse_field_line(line, &fields, request);
        if (status != HTTP_OK)
            return status;
    }
    if (rest.length != 0)
        return HTTP_BAD_REQUEST;
    /* RFC 9112 section 3.2: exactly one Host, in 1.0 at most. */
    if (fields.hosts > 1 || (fields.hosts == 0 && !request->version_1_0))
        return HTTP_BAD_REQUEST;
    /* RFC 9112 section 6.1: both is an attack, and so are chunks of a version that has none. */
    if (request->chunked && (fields.lengths > 0 || request->version_1_0))
        return HTTP_BAD_REQUEST;
    /* The answer comes without waiting for the content, so that may never be sent (RFC 9110 section 10.1.1). */
    if (fields.expects && (request->content_length > 0 || request->chunked))
        fields.close = 1;
    if (result != HTTP_NOT_IMPLEMENTED)
        request->keep_alive = !fields.close && (!request->version_1_0 || fields.keep_alive);
    return result;
}

/* ---------------------------------------------------------------------------------------------------- conditions --- */

int http_matches(struct http_text field, const char *etag)
{
    if (field.at == NULL)
        return 0;
    if (field.length == 1 && field.at[0] == '*')
        return 1;
    while (field.length > 0) {
        /* There are no commas in our tags, so pieces of tags that have some match none of them. */
        struct http_text tag = trim(take_until(&field, ','));
        if (tag.length > 2 && tag.at[0] == 'W' && tag.at[1] == '/') {
            tag.at += 2;
            tag.length -= 2;
        }
        if (is_exactly(tag, etag))
            return 1;
    }
    return 0;
}

int http_range(const struct http_request *request, const char *etag, uint64_t size, struct http_part *part)
{
    static const char UNIT[] = "bytes=";
    struct http_text last = request->range;
    uint64_t from, to;
    if (last.at == NULL || (request->if_range.at != NULL && !is_exactly(request->if_range, etag)))
        return HTTP_OK;
    if (last.length < sizeof UNIT - 1)
        return HTTP_OK;
    for (size_t i = 0; i < sizeof UNIT - 1; i++)
        if (lower(last.at[i]) != UNIT[i])
            return HTTP_OK;
    last.at += sizeof UNIT - 1;
    last.length -= sizeof UNIT - 1;
    size_t length = last.length;
    struct http_text first = take_until(&last, '-');
    if (first.length == length) /* There is no "-". */
        return HTTP_OK;
    first = trim(first);
    last = trim(last);
    if (first.length == 0) {
        /* The last so many bytes. */
        if (!parse_number(last, &to))
            return HTTP_OK;
        if (to == 0 || size == 0)
            return HTTP_RANGE_NOT_SATISFIABLE;
        part->length = to < size ? to : size;
        part->first = size - part->length;
        return HTTP_PARTIAL_CONTENT;
    }
    if (!parse_number(first, &from))
        return HTTP_OK;
    if (last.length == 0)
        to = UINT64_MAX;
    else if (!parse_number(last, &to) || to < from)
        return HTTP_OK;
    if (from >= size)
        return HTTP_RANGE_NOT_SATISFIABLE;
    part->first = from;
    part->length = (to < size - 1 ? to : size - 1) - from + 1;
    return HTTP_PARTIAL_CONTENT;
}

/* -------------------------------------------------------------------------------------------------------- answers --- */

static char *put_digits(char *to, uint64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return to + digits;
}

static char *put_three(char *to, const char *names, uint64_t index)
{
    for (int i = 0; i < 3; i++)
        *to++ = names[index * 3 + (uint64_t)i];
    *to++ = ' ';
    return to;
}

void http_date(uint64_t seconds, char date[HTTP_DATE_SIZE])
{
    uint64_t days = seconds / 86400, second = seconds % 86400;
    /* Years that begin on the first of March, in eras of 400 years, so that the day of a leap year comes last. */
    uint64_t since = days + 719468;
    uint64_t era = since / 146097, day = since % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= year * 365 + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153; /* 0: March. */
    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10);
    month = month < 10 ? month + 2 : month - 10;

    char *to = date;
    to = put_three(to, "SunMonTueWedThuFriSat", (days + 4) % 7);
    to[-1] = ',';
    *to++ = ' ';
    to = put_digits(to, day + 1, 2);
    *to++ = ' ';
    to = put_three(to, "JanFebMarAprMayJunJulAugSepOctNovDec", month);
    to = put_digits(to, year, 4);
    *to++ = ' ';
    to = put_digits(to, second / 3600, 2);
    *to++ = ':';
    to = put_digits(to, second / 60 % 60, 2);
    *to++ = ':';
    to = put_digits(to, second % 60, 2);
    for (const char *zone = " GMT"; *zone != '\0'; zone++)
        *to++ = *zone;
    *to = '\0';
}

int http_encode_path(const char *path, char *to, size_t size)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    size_t length = 0;
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;
        /* Of the other characters of paths tokens have most. */
        int plain = c < 0x80 && c != '%' && c != '#' && c != '^' && c != '`' && c != '|'
            && (is_token_char((char)c) || c == '/');
        if (size - length < 4)
            return 0;
        if (plain) {
            to[length++] = (char)c;
        } else {
            to[length++] = '%';
            to[length++] = DIGITS[c >> 4];
            to[length++] = DIGITS[c & 15];
        }
    }
    to[length] = '\0';
    return 1;
}

const char *http_reason(int status)
{
    switch (status) {
    case HTTP_OK:
        return "OK";
    case HTTP_PARTIAL_CONTENT:
        return "Partial Content";
    case HTTP_MOVED_PERMANENTLY:
        return "Moved Permanently";
    case HTTP_NOT_MODIFIED:
        return "Not Modified";
    case HTTP_BAD_REQUEST:
        return "Bad Request";
    case HTTP_NOT_FOUND:
        return "Not Found";
    case HTTP_METHOD_NOT_ALLOWED:
        return "Method Not Allowed";
    case HTTP_REQUEST_TIMEOUT:
        return "Request Timeout";
    case HTTP_URI_TOO_LONG:
        return "URI Too Long";
    case HTTP_RANGE_NOT_SATISFIABLE:
        return "Range Not Satisfiable";
    case HTTP_FIELDS_TOO_LARGE:
        return "Request Header Fields Too Large";
    case HTTP_NOT_IMPLEMENTED:
        return "Not Implemented";
    case HTTP_VERSION_NOT_SUPPORTED:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}
