/* The smallest job there is: what runs in every container that the benchmark makes. */
int main(void) { return 0; }
