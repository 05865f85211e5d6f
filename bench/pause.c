/* What a container that does nothing runs as its init. */
#include <unistd.h>

int main(void)
{
    for (;;)
        pause();
}
