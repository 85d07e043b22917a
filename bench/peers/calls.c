/* Times calls of MPI. Usage: calls BATCHES BATCH_MS KIND:BYTES:WINDOW...
 *
 * Rank 0 prints a line per case: the case, then the nanoseconds per operation of each batch. How
 * many operations make a batch is found by doubling, so that one takes about BATCH_MS. The program
 * `calls` of this package does the same with Mainstay; change both or neither.
 *
 * Kinds: pingpong (one way), window (per message: WINDOW sends and receives, then an answer),
 * allreduce (sum of doubles, in place), barrier, alltoall (BYTES for each pair).
 *
 * Results are compared after each case. Absent: faults; a failing call ends the job. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG_DATA = 1, TAG_ANSWER = 2, WINDOW_MOST = 64, BATCHES_MOST = 1000 };

struct work {
    char kind[16];
    long bytes;
    long window;
    int rank, size;
    char *from, *to; /* what is sent; room for all that is received */
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void stop(const char *why, const char *what)
{
    fprintf(stderr, "calls: %s: %s\n", why, what);
    MPI_Abort(MPI_COMM_WORLD, 2);
    exit(2);
}

static void pingpong(const struct work *w)
{
    if (w->rank == 0) {
        MPI_Send(w->from, (int)w->bytes, MPI_BYTE, 1, TAG_DATA, MPI_COMM_WORLD);
        MPI_Recv(w->to, (int)w->bytes, MPI_BYTE, 1, TAG_DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (w->rank == 1) {
        MPI_Recv(w->to, (int)w->bytes, MPI_BYTE, 0, TAG_DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(w->from, (int)w->bytes, MPI_BYTE, 0, TAG_DATA, MPI_COMM_WORLD);
    }
}

static void window(const struct work *w)
{
    MPI_Request requests[WINDOW_MOST];
    char answer = 0;
    int count = (int)w->window;
    for (int k = 0; k < count && w->rank == 0; k++)
        MPI_Isend(w->from, (int)w->bytes, MPI_BYTE, 1, TAG_DATA, MPI_COMM_WORLD, &requests[k]);
    for (int k = 0; k < count && w->rank == 1; k++)
        MPI_Irecv(w->to + k * w->bytes, (int)w->bytes, MPI_BYTE, 0, TAG_DATA, MPI_COMM_WORLD,
                  &requests[k]);
    if (w->rank < 2)
        MPI_Waitall(count, requests, MPI_STATUSES_IGNORE);
    if (w->rank == 0)
        MPI_Recv(&answer, 1, MPI_BYTE, 1, TAG_ANSWER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else if (w->rank == 1)
        MPI_Send(&answer, 1, MPI_BYTE, 0, TAG_ANSWER, MPI_COMM_WORLD);
}

static void once(const struct work *w)
{
    if (strcmp(w->kind, "pingpong") == 0)
        pingpong(w);
    else if (strcmp(w->kind, "window") == 0)
        window(w);
    else if (strcmp(w->kind, "allreduce") == 0)
        MPI_Allreduce(MPI_IN_PLACE, w->to, (int)(w->bytes / 8), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    else if (strcmp(w->kind, "barrier") == 0)
        MPI_Barrier(MPI_COMM_WORLD);
    else if (strcmp(w->kind, "alltoall") == 0)
        MPI_Alltoall(w->from, (int)w->bytes, MPI_BYTE, w->to, (int)w->bytes, MPI_BYTE,
                     MPI_COMM_WORLD);
    else
        stop("unknown kind", w->kind);
}

/* The nanoseconds that `count` operations took at this rank. */
static double timed(const struct work *w, long count)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double start = now_ns();
    for (long k = 0; k < count; k++)
        once(w);
    return now_ns() - start;
}

/* Doubles until a batch is a quarter of the wanted time; warms up meanwhile. Where one operation takes
 * much longer than a batch should, `batches` becomes smaller. */
static long operations(const struct work *w, double batch_ns, long *batches)
{
    long count = 1;
    for (;;) {
        double took = timed(w, count);
        long more = took * 4.0 >= batch_ns ? 0 : count * 2;
        MPI_Bcast(&more, 1, MPI_LONG, 0, MPI_COMM_WORLD);
        if (more == 0) {
            double exact = (double)count * batch_ns / took;
            count = exact < 1.0 ? 1 : (long)exact;
            MPI_Bcast(&count, 1, MPI_LONG, 0, MPI_COMM_WORLD);
            double fewer = (double)*batches * batch_ns * 4.0 / took;
            if (fewer < (double)*batches)
                *batches = fewer < 1.0 ? 1 : (long)fewer;
            MPI_Bcast(batches, 1, MPI_LONG, 0, MPI_COMM_WORLD);
            return count;
        }
        count = more;
    }
}

/* Whether what arrived is what was sent. */
static void compare(struct work *w)
{
    long length = w->bytes;
    if (strcmp(w->kind, "allreduce") == 0) {
        double *all = (double *)w->to, sum = w->size * (w->size + 1) / 2.0;
        for (long k = 0; k < length / 8; k++)
            all[k] = w->rank + 1;
        once(w);
        for (long k = 0; k < length / 8; k++)
            if (all[k] != sum)
                stop("a sum differs", w->kind);
        return;
    }
    if (strcmp(w->kind, "barrier") == 0 || (strcmp(w->kind, "window") == 0 && w->rank == 0))
        return;
    if (strcmp(w->kind, "window") == 0)
        length *= w->window;
    if (strcmp(w->kind, "alltoall") == 0)
        length *= w->size;
    for (long k = 0; k < length; k++)
        if (w->to[k] != w->from[k % w->bytes])
            stop("a byte differs", w->kind);
}

static void measure(struct work *w, long batches, double batch_ns)
{
    static double each[BATCHES_MOST];
    long blocks = strcmp(w->kind, "window") == 0 ? w->window : w->size;
    size_t room = (size_t)(w->bytes > 0 ? w->bytes : 1);
    size_t sent = strcmp(w->kind, "alltoall") == 0 ? room * (size_t)w->size : room;
    w->from = malloc(sent);
    w->to = calloc((size_t)blocks, room);
    if (w->from == NULL || w->to == NULL)
        stop("out of memory", w->kind);
    for (size_t k = 0; k < sent; k++)
        w->from[k] = (char)(k % room * 7 + 1);
    if (strcmp(w->kind, "allreduce") != 0)
        memset(w->to, 1, (size_t)blocks * room);
    long count = operations(w, batch_ns, &batches);
    double per = strcmp(w->kind, "pingpong") == 0 ? 2.0
                 : strcmp(w->kind, "window") == 0 ? (double)w->window
                                                  : 1.0;
    for (long k = 0; k < batches; k++)
        each[k] = timed(w, count) / (double)count / per;
    compare(w);
    if (w->rank == 0) {
        printf("%s:%ld:%ld", w->kind, w->bytes, w->window);
        for (long k = 0; k < batches; k++)
            printf(" %.2f", each[k]);
        printf("\n");
        fflush(stdout);
    }
    free(w->from);
    free(w->to);
}

int main(int argc, char **argv)
{
    struct work w;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &w.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &w.size);
    long batches = argc > 2 ? atol(argv[1]) : 0;
    double batch_ns = argc > 2 ? atof(argv[2]) * 1e6 : 0.0;
    if (batches < 1 || batches > BATCHES_MOST || batch_ns <= 0.0)
        stop("give BATCHES BATCH_MS KIND:BYTES:WINDOW...", "too few or bad words");
    for (int k = 3; k < argc; k++) {
        if (sscanf(argv[k], "%15[a-z]:%ld:%ld", w.kind, &w.bytes, &w.window) != 3 || w.bytes < 0
            || w.bytes > INT32_MAX || w.window < 1 || w.window > WINDOW_MOST)
            stop("not a case", argv[k]);
        measure(&w, batches, batch_ns);
    }
    MPI_Finalize();
    return 0;
}
