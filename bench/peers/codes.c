/* Times erasure codes of ISA-L. Usage: codes K M BATCHES BATCH_MS KIND:BYTES:WINDOW...
 *
 * Prints a line per case: the case, then the nanoseconds per operation of each batch. BYTES are those of
 * all K data shards. Kinds: encode (M parity shards), rebuild (the first min(K, M) data shards from the
 * others). The program `codes` of this package does the same with Mainstay; change both or neither.
 *
 * The functions are declared here as the library's erasure_code.h documents them: its package has no
 * headers. What was rebuilt is compared with what was lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void gf_gen_cauchy1_matrix(unsigned char *a, int m, int k);
int gf_invert_matrix(unsigned char *in, unsigned char *out, const int n);
unsigned char gf_mul(unsigned char a, unsigned char b);
void ec_init_tables(int k, int rows, unsigned char *a, unsigned char *gftbls);
void ec_encode_data(int len, int k, int rows, unsigned char *gftbls, unsigned char **data,
                    unsigned char **coding);

enum { SHARDS = 255, BATCHES_MOST = 1000, ALIGNMENT = 4096 };

struct work {
    char kind[16];
    long bytes, window;
    int k, m, rows, len;
    unsigned char *inputs[SHARDS], *outputs[SHARDS], *expected[SHARDS];
    unsigned char tables[32 * SHARDS * SHARDS];
};

static void stop(const char *why, const char *what)
{
    fprintf(stderr, "codes: %s: %s\n", why, what);
    exit(2);
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static unsigned char *shard(long len, int number)
{
    unsigned char *bytes;
    if (posix_memalign((void **)&bytes, ALIGNMENT, (size_t)len + 1) != 0)
        stop("out of memory", "shard");
    for (long i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251 + number * 31 + 1);
    return bytes;
}

/* Rows that give the lost shards from the k inputs: those of the inverse of the inputs' rows. */
static void rebuild_rows(struct work *w, const unsigned char *matrix, unsigned char *rows)
{
    static unsigned char known[SHARDS * SHARDS], inverse[SHARDS * SHARDS];
    for (int i = 0; i < w->k; i++)
        memcpy(known + i * w->k, matrix + (i + w->rows) * w->k, (size_t)w->k);
    if (gf_invert_matrix(known, inverse, w->k) != 0)
        stop("no inverse", w->kind);
    memcpy(rows, inverse, (size_t)(w->rows * w->k));
}

static void prepare(struct work *w)
{
    static unsigned char matrix[SHARDS * SHARDS], rows[SHARDS * SHARDS];
    unsigned char *all[SHARDS];
    int encodes = strcmp(w->kind, "encode") == 0;
    if (!encodes && strcmp(w->kind, "rebuild") != 0)
        stop("neither encode nor rebuild", w->kind);
    w->len = (int)(w->bytes / w->k);
    for (int i = 0; i < w->k + w->m; i++)
        all[i] = shard(w->len, i < w->k ? i : 0);
    gf_gen_cauchy1_matrix(matrix, w->k + w->m, w->k);
    ec_init_tables(w->k, w->m, matrix + w->k * w->k, w->tables);
    ec_encode_data(w->len, w->k, w->m, w->tables, all, all + w->k);
    w->rows = encodes ? w->m : w->k < w->m ? w->k : w->m;
    if (!encodes) {
        rebuild_rows(w, matrix, rows);
        ec_init_tables(w->k, w->rows, rows, w->tables);
    }
    for (int i = 0; i < w->k; i++)
        w->inputs[i] = all[encodes ? i : i + w->rows];
    for (int i = 0; i < w->rows; i++) {
        w->expected[i] = all[encodes ? w->k + i : i];
        w->outputs[i] = shard(w->len, 1);
    }
}

static double timed(struct work *w, long count)
{
    double start = now_ns();
    for (long i = 0; i < count; i++)
        ec_encode_data(w->len, w->k, w->rows, w->tables, w->inputs, w->outputs);
    return now_ns() - start;
}

static void measure(struct work *w, long batches, double batch_ns)
{
    long count = 1;
    double took;
    prepare(w);
    while ((took = timed(w, count)) * 4.0 < batch_ns)
        count *= 2;
    double exact = (double)count * batch_ns / took, fewer = (double)batches * batch_ns * 4.0 / took;
    count = exact < 1.0 ? 1 : (long)exact;
    if (fewer < (double)batches)
        batches = fewer < 1.0 ? 1 : (long)fewer;
    printf("%s:%ld:%ld", w->kind, w->bytes, w->window);
    for (long i = 0; i < batches; i++)
        printf(" %.2f", timed(w, count) / (double)count);
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < w->rows; i++)
        if (memcmp(w->outputs[i], w->expected[i], (size_t)w->len) != 0)
            stop("a shard differs", w->kind);
}

int main(int argc, char **argv)
{
    static struct work w;
    w.k = argc > 4 ? atoi(argv[1]) : 0;
    w.m = argc > 4 ? atoi(argv[2]) : 0;
    long batches = argc > 4 ? atol(argv[3]) : 0;
    double batch_ns = argc > 4 ? atof(argv[4]) * 1e6 : 0.0;
    if (w.k < 1 || w.m < 1 || w.k + w.m > SHARDS || batches < 1 || batches > BATCHES_MOST || batch_ns <= 0.0)
        stop("give K M BATCHES BATCH_MS KIND:BYTES:WINDOW...", "too few or bad words");
    for (int i = 5; i < argc; i++) {
        if (sscanf(argv[i], "%15[a-z]:%ld:%ld", w.kind, &w.bytes, &w.window) != 3
            || w.bytes < w.k || w.bytes / w.k > 0x7fffffff)
            stop("not a case", argv[i]);
        measure(&w, batches, batch_ns);
    }
    return 0;
}
