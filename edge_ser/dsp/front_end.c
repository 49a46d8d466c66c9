/* Log-mel of a stream: the compiled form of the NumPy arithmetic in frames.py, called through ctypes.
 *
 * Why so (the figures, and the command that gets them again: docs/front_end.md):
 * - No Python API: one library serves every Python, and a board needs a C compiler but no headers.
 * - Double precision: in float32 the quiet bands beside loud ones of real speech are wrong by up to 0.01 dB.
 * - Written in pairs of doubles, a register of NEON and of SSE2. Left to the compiler's vectoriser the same loops
 *   were a third slower, and differently so for each compiler; compiled for AVX2 they gain little, not worth a
 *   second copy; several frames side by side in a register gain nothing at this width.
 * - A frame's result depends on its samples alone, so any split of a recording gives the same bits. Sums have
 *   one order, and the build contracts nothing to fused operations (-ffp-contract=off).
 */
#include <stdint.h>
#include <string.h>

#ifndef SOURCE_CRC
#define SOURCE_CRC 0
#endif
#define EXPORTED __attribute__((visibility("default")))
#define INLINED static inline __attribute__((always_inline))
#define LARGEST_RADIX 31
#define SLACK 4 /* doubles between working arrays: pairs may write so far beyond an end */

/* Mirrors _Plan in _compiled.py, which makes it. */
typedef struct {
    int64_t n_fft, hop_length, n_mels, passes, magnitude, logarithm;
    double floor, gain, bias;  /* out = gain * f(max(mel, floor)) + bias, f being ln or nothing */
    const int64_t *radices;    /* (passes,), their product n_fft / 2: fours, odd numbers, at most one two */
    const double *window;      /* (n_fft,), halved */
    const double *twiddles;    /* for each pass, for k = 1 .. radix - 1: (m,) cosines, (m,) sines; and one number */
    const double *roots;       /* for each pass: (radix,) cosines, (radix,) sines of a turn's parts */
    const double *split;       /* (n_fft / 4 + 1,) cosines, as many sines */
    const int64_t *first_bin;  /* (n_mels,) */
    const int64_t *quads;      /* (n_mels,) taps of each band, in fours */
    const double *weights;     /* of all taps, padded to fours with zeros */
    double *work;              /* (5 * (n_fft / 2 + SLACK) + n_mels + 2,), zeros at first */
    double *samples;           /* those held, then fresh ones */
    float *out;                /* (frames, n_mels) */
} plan_t;

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef uint64_t bits __attribute__((vector_size(16), aligned(8), may_alias));
typedef const double *restrict in_t;
typedef double *restrict out_t;

#define IN(x, i) (*(const pair *)((x) + (i)))
#define OUT(x, i) (*(pair *)((x) + (i)))
#define BOTH(v) ((pair){(v), (v)})
#define SWAPPED(v) ((pair){(v)[1], (v)[0]})
#define WHERE(mask, v, other) ((pair)(((bits)(v) & (bits)(mask)) | ((bits)(other) & ~(bits)(mask))))

#define TURN(re, im, cosine, sine)                           \
    do {                                                     \
        pair turned = (re) * (cosine) - (im) * (sine);       \
        (im) = (re) * (sine) + (im) * (cosine);              \
        (re) = turned;                                       \
    } while (0)

/* Fourier transform of the four numbers that lie `step` apart, for two neighbours at once. */
typedef struct { pair r[4], i[4]; } four_t;

INLINED four_t four(in_t xr, in_t xi, int64_t step)
{
    pair ar = IN(xr, 0) + IN(xr, 2 * step), ai = IN(xi, 0) + IN(xi, 2 * step);
    pair br = IN(xr, 0) - IN(xr, 2 * step), bi = IN(xi, 0) - IN(xi, 2 * step);
    pair cr = IN(xr, step) + IN(xr, 3 * step), ci = IN(xi, step) + IN(xi, 3 * step);
    pair dr = IN(xr, step) - IN(xr, 3 * step), di = IN(xi, step) - IN(xi, 3 * step);
    return (four_t){{ar + cr, br + di, ar - cr, br - di}, {ai + ci, bi - dr, ai - ci, bi + dr}};
}

/* The passes of Stockham's transform, which sorts as it goes. A pass does transforms of `radix` numbers that lie
 * m * s apart, for p < m, and s of them side by side; result k goes to s * (radix * p + k), turned by w[p, k].
 * In the first pass s is 1, so there the pairs are over p; a last odd p writes into the slack. */
INLINED void first_four(int64_t m, in_t xr, in_t xi, out_t yr, out_t yi, in_t w)
{
    for (int64_t p = 0; p < m; p += 2) {
        four_t y = four(xr + p, xi + p, m);
        for (int k = 1; k < 4; k++) TURN(y.r[k], y.i[k], IN(w, p + (2 * k - 2) * m), IN(w, p + (2 * k - 1) * m));
        for (int k = 0; k < 4; k += 2) {
            OUT(yr, 4 * p + k) = (pair){y.r[k][0], y.r[k + 1][0]};
            OUT(yi, 4 * p + k) = (pair){y.i[k][0], y.i[k + 1][0]};
            OUT(yr, 4 * p + k + 4) = (pair){y.r[k][1], y.r[k + 1][1]};
            OUT(yi, 4 * p + k + 4) = (pair){y.i[k][1], y.i[k + 1][1]};
        }
    }
}

INLINED void middle_four(int64_t m, int64_t s, in_t xr, in_t xi, out_t yr, out_t yi, in_t w)
{
    for (int64_t p = 0; p < m; p++)
        for (int64_t q = s * p, to = 4 * s * p; q < s * p + s; q += 2, to += 2) {
            four_t y = four(xr + q, xi + q, m * s);
            for (int k = 0; k < 4; k++) {
                if (k) TURN(y.r[k], y.i[k], BOTH(w[p + (2 * k - 2) * m]), BOTH(w[p + (2 * k - 1) * m]));
                OUT(yr, to + k * s) = y.r[k];
                OUT(yi, to + k * s) = y.i[k];
            }
        }
}

INLINED void last_four(int64_t s, in_t xr, in_t xi, out_t yr, out_t yi)
{
    for (int64_t q = 0; q < s; q += 2) {
        four_t y = four(xr + q, xi + q, s);
        for (int k = 0; k < 4; k++) {
            OUT(yr, q + k * s) = y.r[k];
            OUT(yi, q + k * s) = y.i[k];
        }
    }
}

INLINED void last_two(int64_t s, in_t xr, in_t xi, out_t yr, out_t yi)
{
    for (int64_t q = 0; q < s; q += 2) {
        OUT(yr, q) = IN(xr, q) + IN(xr, q + s);
        OUT(yi, q) = IN(xi, q) + IN(xi, q + s);
        OUT(yr, q + s) = IN(xr, q) - IN(xr, q + s);
        OUT(yi, q + s) = IN(xi, q) - IN(xi, q + s);
    }
}

/* Results k and radix - k share the sums over x[j] + x[radix - j] and x[j] - x[radix - j]. */
INLINED void odd(int64_t radix, int64_t m, int64_t s, in_t xr, in_t xi, out_t yr, out_t yi, in_t w, in_t root)
{
    pair sum_r[LARGEST_RADIX / 2 + 1], sum_i[LARGEST_RADIX / 2 + 1];
    pair gap_r[LARGEST_RADIX / 2 + 1], gap_i[LARGEST_RADIX / 2 + 1];
    for (int64_t p = 0; p < m; p++)
        for (int64_t q = s * p, to = radix * s * p; q < s * p + s; q += 2, to += 2) {
            pair all_r = IN(xr, q), all_i = IN(xi, q);
            for (int64_t j = 1; j <= radix / 2; j++) {
                int64_t a = q + m * s * j, b = q + m * s * (radix - j);
                sum_r[j] = IN(xr, a) + IN(xr, b), sum_i[j] = IN(xi, a) + IN(xi, b);
                gap_r[j] = IN(xr, a) - IN(xr, b), gap_i[j] = IN(xi, a) - IN(xi, b);
                all_r += sum_r[j], all_i += sum_i[j];
            }
            OUT(yr, to) = all_r;
            OUT(yi, to) = all_i;
            for (int64_t k = 1; k <= radix / 2; k++) {
                pair cr = IN(xr, q), ci = IN(xi, q), sr = BOTH(0.0), si = BOTH(0.0);
                for (int64_t j = 1, turn = k; j <= radix / 2; j++, turn = (turn + k) % radix) {
                    cr += sum_r[j] * root[turn], ci += sum_i[j] * root[turn];
                    sr += gap_r[j] * root[radix + turn], si += gap_i[j] * root[radix + turn];
                }
                pair r = cr - si, i = ci + sr, other_r = cr + si, other_i = ci - sr;
                TURN(r, i, w[p + (2 * k - 2) * m], w[p + (2 * k - 1) * m]);
                TURN(other_r, other_i, w[p + 2 * (radix - k - 1) * m], w[p + (2 * (radix - k) - 1) * m]);
                OUT(yr, to + k * s) = r;
                OUT(yi, to + k * s) = i;
                OUT(yr, to + (radix - k) * s) = other_r;
                OUT(yi, to + (radix - k) * s) = other_i;
            }
        }
}

INLINED void windowed(int64_t half, in_t x, in_t window, out_t even_samples, out_t odd_samples)
{
    for (int64_t j = 0; j < half; j += 2) {
        pair a = IN(x, 2 * j) * IN(window, 2 * j), b = IN(x, 2 * j + 2) * IN(window, 2 * j + 2);
        OUT(even_samples, j) = (pair){a[0], b[0]};
        OUT(odd_samples, j) = (pair){a[1], b[1]};
    }
}

/* From the transform z of even + i * odd samples to the power of the whole: bins k and half - k come together,
 * and the pair of the last k holds the middle, where both are the same. */
INLINED void split(int64_t half, in_t zr, in_t zi, in_t cosine, in_t sine, double *power)
{
    double first = 2.0 * (zr[0] + zi[0]), last = 2.0 * (zr[0] - zi[0]);
    power[0] = first * first;
    power[half] = last * last;
    for (int64_t k = 1; k < half / 2; k += 2) {
        pair far_r = SWAPPED(IN(zr, half - k - 1)), far_i = SWAPPED(IN(zi, half - k - 1));
        pair even_r = IN(zr, k) + far_r, even_i = IN(zi, k) - far_i;
        pair odd_r = IN(zi, k) + far_i, odd_i = far_r - IN(zr, k);
        TURN(odd_r, odd_i, IN(cosine, k), IN(sine, k));
        pair low = (even_r + odd_r) * (even_r + odd_r) + (even_i + odd_i) * (even_i + odd_i);
        pair high = (even_r - odd_r) * (even_r - odd_r) + (even_i - odd_i) * (even_i - odd_i);
        OUT(power, half - k - 1) = SWAPPED(high);
        OUT(power, k) = low;
    }
}

INLINED void bands(const plan_t *plan, in_t power, in_t weights, out_t mel)
{
    for (int64_t b = 0; b < plan->n_mels; b++) {
        const double *p = power + plan->first_bin[b];
        pair one = BOTH(0.0), two = BOTH(0.0);
        for (int64_t quad = plan->quads[b]; quad > 0; quad--, p += 4, weights += 4) {
            one += IN(p, 0) * IN(weights, 0);
            two += IN(p, 2) * IN(weights, 2);
        }
        one += two;
        mel[b] = one[0] + one[1];
    }
}

/* Natural logarithm of normal positive numbers, within 4e-16 of the larger of 1 and its size. The C library's,
 * number by number, would be 0.3 us a frame more. The polynomial is that of FreeBSD's e_log.c:
 * log((1 + s) / (1 - s)) = 2 s + s r(s^2) for |s| < 0.1716. */
INLINED pair ln(pair x)
{
    const uint64_t one = 0x3ff0000000000000u, half_root = 0x3fe6a09e667f3bcdu; /* bits of 1 and sqrt(1/2) */
    bits stepped = (bits)x + (one - half_root); /* the exponent steps at the root of 2, not at 2 */
    pair m = (pair)((stepped & 0x000fffffffffffffu) + half_root);
    pair e = (pair)((stepped >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    pair f = m - 1.0, s = f / (2.0 + f), z = s * s;
    pair r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01;
    r = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * r);
    r = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * r)));
    return e * 6.931471805599453094e-01 + (2.0 * s + s * r);
}

INLINED void scaled(const plan_t *plan, in_t mel, float *restrict out)
{
    for (int64_t b = 0; b < plan->n_mels; b += 2) {
        pair v = IN(mel, b);
        if (plan->logarithm) {
            v = WHERE(v < plan->floor, BOTH(plan->floor), v);
            v = WHERE(v < 0x1p1023, ln(v), v); /* what overflowed stays infinite */
        }
        v = v * plan->gain + plan->bias;
        out[b] = (float)v[0];
        if (b + 1 < plan->n_mels) out[b + 1] = (float)v[1];
    }
}

static void frame(const plan_t *plan, const double *x, float *out)
{
    int64_t half = plan->n_fft / 2, s = 1;
    double *xr = plan->work, *xi = xr + half + SLACK, *yr = xi + half + SLACK, *yi = yr + half + SLACK;
    double *power = yi + half + SLACK, *mel = power + half + SLACK, *t;
    const double *w = plan->twiddles, *root = plan->roots;
    windowed(half, x, plan->window, xr, xi);
    for (int64_t i = 0, n = half; i < plan->passes; i++) {
        int64_t radix = plan->radices[i], m = n / radix;
        if (radix == 4 && s == 1)
            first_four(m, xr, xi, yr, yi, w);
        else if (radix == 4 && m == 1)
            last_four(s, xr, xi, yr, yi);
        else if (radix == 4)
            middle_four(m, s, xr, xi, yr, yi, w);
        else if (radix == 2)
            last_two(s, xr, xi, yr, yi);
        else
            odd(radix, m, s, xr, xi, yr, yi, w, root);
        w += 2 * (radix - 1) * m;
        root += 2 * radix;
        n = m;
        s *= radix;
        t = xr, xr = yr, yr = t;
        t = xi, xi = yi, yi = t;
    }
    split(half, xr, xi, plan->split, plan->split + half / 2 + 1, power);
    if (plan->magnitude)
        for (int64_t k = 0; k <= half; k++) power[k] = __builtin_sqrt(power[k]);
    bands(plan, power, plan->weights, mel);
    scaled(plan, mel, out);
}

/* Frames of samples[0 .. held + fresh), of which the fresh ones are not yet known to be finite; what later
 * frames need moves to the front. Returns the number of frames, or -1 and leaves all as it was. */
EXPORTED int64_t edge_ser_push(const plan_t *plan, int64_t held, int64_t fresh)
{
    double *samples = plan->samples;
    int64_t have = held + fresh, hop = plan->hop_length;
    for (int64_t i = held; i < have; i++)
        if (samples[i] - samples[i] != 0.0) return -1; /* infinite, or not a number */
    if (have < plan->n_fft) return 0;
    int64_t frames = (have - plan->n_fft) / hop + 1, left = have - frames * hop;
    for (int64_t i = 0; i < frames; i++) frame(plan, samples + i * hop, plan->out + i * plan->n_mels);
    if (left > 0) memmove(samples, samples + frames * hop, (size_t)left * sizeof(double));
    return frames;
}

/* Of the source this was built from: for the test that finds a library left behind. */
EXPORTED uint32_t edge_ser_source_crc(void) { return SOURCE_CRC; }

/* For the test of its error. */
EXPORTED double edge_ser_ln(double x) { return ln(BOTH(x))[0]; }
