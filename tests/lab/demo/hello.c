#include <stdio.h>
#include <unistd.h>

int main(void) {
    char line[80] = "nothing";
    FILE *motd = fopen("/etc/motd", "r");
    if (motd == NULL || fgets(line, sizeof line, motd) == NULL) {
        perror("/etc/motd");
        return 1;
    }
    printf("hello from uid %d: %s", (int)getuid(), line);
    return 0;
}
