/* VELOC and redset, for the suite `levels`. The state of each rank is one array of f64 that changes before each version.
 *   levels veloc MIB ROUNDS CONFIG
 *   levels xor|rs MIB ROUNDS FOLDER
 * Rank 0 prints a line for each round: `name ns`, ns being those of the slowest rank. */
#include <mpi.h>
#include <redset.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <veloc.h>

static int rank, ranks;
static double *state, *copy;
static size_t numbers;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "levels: rank %d: %s\n", rank, what);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

static void must(int good, const char *what) {
    if (!good)
        fail(what);
}

/* Prints what the slowest rank took. */
static void tell(const char *name, int64_t took) {
    int64_t most = 0;
    MPI_Reduce(&took, &most, 1, MPI_INT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("%s %lld\n", name, (long long)most);
        fflush(stdout);
    }
}

/* Changes the state, and meets the others. */
static void change(int round) {
    for (size_t i = 0; i < numbers; i++)
        state[i] = (double)(i + 1) * (round + 1) + rank;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void plain_copy(void) {
    int64_t from = now();
    memcpy(copy, state, numbers * sizeof *state);
    __asm__ volatile("" : : "r"(copy) : "memory");
    tell("memcpy", now() - from);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void veloc(int rounds, const char *config) {
    must(VELOC_Init(MPI_COMM_WORLD, config) == VELOC_SUCCESS, "VELOC_Init");
    must(VELOC_Mem_protect(0, state, numbers, sizeof *state) == VELOC_SUCCESS, "VELOC_Mem_protect");
    for (int round = 1; round <= rounds; round++) {
        change(round);
        plain_copy();
        int64_t from = now();
        must(VELOC_Checkpoint("state", round) == VELOC_SUCCESS, "VELOC_Checkpoint");
        tell("blocking", now() - from);
        must(VELOC_Checkpoint_wait() == VELOC_SUCCESS, "VELOC_Checkpoint_wait");
        tell("written", now() - from);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    for (int round = 1; round <= 3; round++) {
        memset(state, 0, numbers * sizeof *state);
        MPI_Barrier(MPI_COMM_WORLD);
        int64_t from = now();
        must(VELOC_Restart("state", rounds) == VELOC_SUCCESS, "VELOC_Restart");
        tell("restart", now() - from);
        must(state[7] == 8.0 * (rounds + 1) + rank, "restored something else");
    }
    must(VELOC_Finalize(1) == VELOC_SUCCESS, "VELOC_Finalize");
}

static void sets(const char *kind, int rounds, const char *folder) {
    char file[4096], name[4096], group[16];
    snprintf(group, sizeof group, "%d", rank);
    must(redset_init() == REDSET_SUCCESS, "redset_init");
    redset set;
    int made = kind[0] == 'x' ? redset_create_xor(MPI_COMM_WORLD, group, ranks, &set)
                              : redset_create_rs(MPI_COMM_WORLD, group, ranks, 2, &set);
    must(made == REDSET_SUCCESS, "redset_create");
    snprintf(file, sizeof file, "%s/state.%d", folder, rank);
    for (int round = 1; round <= rounds; round++) {
        change(round);
        plain_copy();
        FILE *out = fopen(file, "w");
        must(out && fwrite(state, sizeof *state, numbers, out) == numbers && fclose(out) == 0, file);
        snprintf(name, sizeof name, "%s/set.%d.%d", folder, round, rank);
        const char *files[1] = {file};
        MPI_Barrier(MPI_COMM_WORLD);
        int64_t from = now();
        must(redset_apply(1, files, name, set) == REDSET_SUCCESS, "redset_apply");
        tell("encode", now() - from);
        /* What node 1 has is lost, and with two parities that of node 2. */
        int lost = rank == 1 || (rank == 2 && kind[0] == 'r');
        if (lost) {
            char command[8400];
            snprintf(command, sizeof command, "rm -f '%s' '%s'*", file, name);
            must(system(command) == 0, "rm");
        }
        MPI_Barrier(MPI_COMM_WORLD);
        from = now();
        redset again;
        must(redset_recover(MPI_COMM_WORLD, name, &again) == REDSET_SUCCESS, "redset_recover");
        tell("rebuild", now() - from);
        double last = 0;
        FILE *in = fopen(file, "r");
        must(in && fseek(in, -(long)sizeof last, SEEK_END) == 0 && fread(&last, sizeof last, 1, in) == 1, file);
        fclose(in);
        must(last == state[numbers - 1], "rebuilt something else");
        must(redset_unapply(name, again) == REDSET_SUCCESS, "redset_unapply");
        redset_delete(&again);
        unlink(file);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    redset_delete(&set);
    redset_finalize();
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    must(argc == 5, "give veloc MIB ROUNDS CONFIG, or xor|rs MIB ROUNDS FOLDER");
    numbers = (size_t)atol(argv[2]) << 17;
    state = malloc(numbers * sizeof *state);
    copy = malloc(numbers * sizeof *copy);
    must(state && copy, "no memory");
    memset(state, 1, numbers * sizeof *state);
    memset(copy, 1, numbers * sizeof *copy);
    if (strcmp(argv[1], "veloc") == 0)
        veloc(atoi(argv[3]), argv[4]);
    else
        sets(argv[1], atoi(argv[3]), argv[4]);
    MPI_Finalize();
    return 0;
}
