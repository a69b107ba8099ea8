/* Datagrams in capitals, by poll(), without waiting anywhere else; "quit" ends it. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buffer[65536];
    struct sockaddr_in local, from;
    struct pollfd entry;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (argc != 2 || fd < 0)
        return 2;
    memset(&local, 0, sizeof local);
    local.sin_family = AF_INET;
    local.sin_port = htons((uint16_t)atoi(argv[1]));
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        return 3;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK) < 0)
        return 4;
    entry.fd = fd;
    entry.events = POLLIN;
    for (;;) {
        if (poll(&entry, 1, -1) != 1 || entry.revents != POLLIN)
            return 5;
        for (;;) {
            socklen_t size = sizeof from;
            ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size);
            if (got < 0 && errno == EAGAIN)
                break;
            if (got < 0 || size != sizeof from)
                return 6;
            if (got == 4 && memcmp(buffer, "quit", 4) == 0)
                return write(1, "quit\n", 5) == 5 ? 0 : 7;
            for (ssize_t i = 0; i < got; i++)
                if (buffer[i] >= 'a' && buffer[i] <= 'z')
                    buffer[i] = (char)(buffer[i] - 'a' + 'A');
            if (sendto(fd, buffer, (size_t)got, 0, (struct sockaddr *)&from, size) != got)
                return 8;
        }
    }
}
