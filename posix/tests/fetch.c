/* A client: connects to HOST PORT, sends the words that follow, one a line, and prints what comes back. */

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct addrinfo hints, *found, *try;
    char buffer[512];
    ssize_t got;
    int fd = -1;
    if (argc < 3)
        return 2;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(argv[1], argv[2], &hints, &found) != 0)
        return 3;
    for (try = found; try != NULL; try = try->ai_next) {
        fd = socket(try->ai_family, try->ai_socktype, try->ai_protocol);
        if (fd < 0)
            continue;
        if (connect(fd, try->ai_addr, try->ai_addrlen) == 0)
            break;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        return 4;
    for (int i = 3; i < argc; i++)
        if (write(fd, argv[i], strlen(argv[i])) < 0 || write(fd, "\n", 1) < 0)
            return 5;
    if (shutdown(fd, SHUT_WR) < 0)
        return 6;
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, (size_t)got) < 0)
            return 7;
    close(fd);
    return got < 0 ? 8 : 0;
}
